//! The broker's log, and how much each part of the program tells in it: changed while it runs.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Formatter};
use std::io;
use std::sync::Arc;

use broker::loggers::{Level, Loggers, NoLoggers, ROOT};
use parking_lot::Mutex;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Targets;

use crate::config::Config;
use crate::run::RunError;

/// The parts of the program: what stands at the beginning of a line in the log.
const LOGGERS: [&str; 14] = [
    "broker",
    "cluster",
    "door",
    "door_kafka",
    "door_amqp",
    "door_coap",
    "door_grpc",
    "door_http",
    "door_mqtt",
    "door_nats",
    "door_zookeeper",
    "observe",
    "server",
    "store",
];

/// From the one that tells most.
const LEVELS: [(Level, &str, tracing::Level); 5] = [
    (Level::Trace, "trace", tracing::Level::TRACE),
    (Level::Debug, "debug", tracing::Level::DEBUG),
    (Level::Info, "info", tracing::Level::INFO),
    (Level::Warn, "warn", tracing::Level::WARN),
    (Level::Error, "error", tracing::Level::ERROR),
];

/// Begins to log as the configuration says.
///
/// # Errors
/// When its filter is not one.
pub(crate) fn start(config: &Config) -> Result<Arc<dyn Loggers>, RunError> {
    let level = &config.log.level;
    let filter = EnvFilter::try_new(level);
    let filter = filter.map_err(|error| RunError::LogLevel(error.to_string()))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(
            io::IsTerminal::is_terminal(&io::stderr()) && std::env::var_os("NO_COLOR").is_none(),
        )
        .with_filter_reloading();
    let handle = log.reload_handle();
    // Fails only where a log was set up before, which then goes on.
    if log.try_init().is_err() {
        return Ok(Arc::new(NoLoggers));
    }
    let reload = move |filter| {
        if let Err(error) = handle.reload(filter) {
            tracing::error!(%error, "the levels of the log stay what they were");
        }
    };
    Ok(Arc::new(LogLevels::new(level, Box::new(reload))))
}

type Reload = Box<dyn Fn(EnvFilter) + Send + Sync>;

/// What the log was told at start, and what was changed since.
struct LogLevels {
    given: String,
    changed: Mutex<BTreeMap<String, Level>>,
    reload: Reload,
}

impl Debug for LogLevels {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogLevels").field("directives", &self.directives()).finish()
    }
}

impl LogLevels {
    fn new(given: &str, reload: Reload) -> Self {
        Self { given: given.to_owned(), changed: Mutex::default(), reload }
    }

    /// What the filter is made of: of two for the same logger the later one counts, else the one that
    /// says more exactly of whom it is.
    fn directives(&self) -> Vec<String> {
        let given = self.given.split(',').map(str::trim).filter(|one| !one.is_empty());
        let changed = self.changed.lock();
        let changed = changed.iter().map(|(name, level)| {
            let word = LEVELS.iter().find(|(known, ..)| known == level);
            let word = word.map_or("off", |(_, word, _)| word);
            if name == ROOT { word.to_owned() } else { format!("{name}={word}") }
        });
        given.map(str::to_owned).chain(changed).collect()
    }
}

impl Loggers for LogLevels {
    fn levels(&self) -> Vec<(String, Level)> {
        // What is said of spans and their fields changes no logger's level.
        let of_loggers =
            self.directives().into_iter().filter_map(|one| one.parse::<Targets>().ok());
        let of_loggers = of_loggers.fold(Targets::new(), |all, one| {
            let all = match one.default_level() {
                Some(level) => all.with_default(level),
                None => all,
            };
            all.with_targets(&one)
        });
        let level = |name: &str| {
            // Whoever is named nowhere has the level of all.
            let target = if name == ROOT { "\u{1}" } else { name };
            let enabled = LEVELS.iter().find(|(.., level)| of_loggers.would_enable(target, level));
            enabled.map_or(Level::Off, |(level, ..)| *level)
        };
        let mut names: Vec<String> =
            LOGGERS.iter().chain(&[ROOT]).map(|&name| name.into()).collect();
        names.extend(self.changed.lock().keys().cloned());
        names.sort();
        names.dedup();
        names.into_iter().map(|name| (level(&name), name)).map(|(l, n)| (n, l)).collect()
    }

    fn exists(&self, name: &str) -> bool {
        let mut parts = name.split("::");
        let first = parts.next().unwrap_or_default();
        let is_name = |part: &str| {
            let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
            (1..=64).contains(&part.len()) && part.chars().all(letter)
        };
        // A few parts: names stay short, whoever asks.
        name == ROOT || LOGGERS.contains(&first) && parts.clone().count() < 8 && parts.all(is_name)
    }

    fn change(&self, changes: &[(String, Option<Level>)]) {
        {
            let mut changed = self.changed.lock();
            for (name, level) in changes {
                match level {
                    Some(level) => drop(changed.insert(name.clone(), *level)),
                    None => drop(changed.remove(name)),
                }
            }
        }
        // One that is none is not made of names and levels such as these.
        match EnvFilter::try_new(self.directives().join(",")) {
            Ok(filter) => (self.reload)(filter),
            Err(error) => tracing::error!(%error, "the levels of the log stay what they were"),
        }
        for (logger, level) in changes {
            tracing::warn!(logger, ?level, "the level of a logger was changed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(given: &str) -> LogLevels {
        LogLevels::new(given, Box::new(|_| {}))
    }

    fn of(levels: &LogLevels, name: &str) -> Level {
        levels.levels().into_iter().find(|(known, _)| known == name).unwrap().1
    }

    #[test]
    fn every_crate_that_logs_is_a_logger() {
        let crates = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        for entry in std::fs::read_dir(crates).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap().replace('-', "_");
            let manifest = std::fs::read_to_string(entry.path().join("Cargo.toml")).unwrap();
            let logs = manifest.contains("\ntracing.workspace");
            assert_eq!(LOGGERS.contains(&name.as_str()), logs, "{name}");
        }
    }

    #[test]
    fn a_change_counts_until_it_is_taken_back() {
        let levels = levels("info,store=debug,door_kafka[request]=trace");
        assert_eq!((of(&levels, ROOT), of(&levels, "store")), (Level::Info, Level::Debug));
        assert_eq!(of(&levels, "cluster"), Level::Info);
        let set = |name: &str, level| levels.change(&[(name.to_owned(), level)]);
        set("store", Some(Level::Error));
        set(ROOT, Some(Level::Warn));
        set("cluster::embedded", Some(Level::Trace));
        assert_eq!((of(&levels, ROOT), of(&levels, "store")), (Level::Warn, Level::Error));
        assert_eq!(of(&levels, "cluster"), Level::Warn);
        assert_eq!(of(&levels, "cluster::embedded"), Level::Trace);
        set("store", Some(Level::Off));
        assert_eq!(of(&levels, "store"), Level::Off);
        set("store", None);
        assert_eq!(of(&levels, "store"), Level::Debug, "as it was given at start");
    }

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_told_follows_the_levels() {
        let written = Written::default();
        let to = written.clone();
        let log = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("info"))
            .with_writer(move || to.clone())
            .with_filter_reloading();
        let handle = log.reload_handle();
        let levels = LogLevels::new("info", Box::new(move |filter| handle.reload(filter).unwrap()));
        tracing::subscriber::with_default(log.finish(), || {
            let tell = |what: &str| {
                tracing::debug!(target: "store", "store {what}");
                tracing::debug!(target: "broker", "broker {what}");
            };
            tell("before");
            levels.change(&[("store".to_owned(), Some(Level::Debug))]);
            tell("meanwhile");
            levels.change(&[("store".to_owned(), None)]);
            tell("after");
        });
        let text = String::from_utf8(written.0.lock().clone()).unwrap();
        assert!(text.contains("store meanwhile"), "{text}");
        let others = ["store before", "store after", "broker"];
        assert!(!others.iter().any(|other| text.contains(other)), "{text}");
    }

    #[test]
    fn there_are_loggers_of_parts_but_none_of_other_programs() {
        let levels = levels("info");
        for name in [ROOT, "store", "store::writer", "door_kafka::handle::produce"] {
            assert!(levels.exists(name), "{name}");
        }
        for name in ["", "kafka.server", "hyper", "store::", "store::a b", "store=debug", "store,x"]
        {
            assert!(!levels.exists(name), "{name}");
        }
    }
}
