//! Reading all sources and merging them by rank.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use broker::topic_config;

use super::kafka_file;
use super::kafka_keys;
use super::keys::{self, KEYS, Key};
use super::listeners::{self, Found};
use super::model::Config;
use super::origin::{ConfigError, ConfigErrors, Notice, Origin, nearest};
use super::security::{HIDDEN, Scoped, Secret, is_per_listener};
use super::toml_file;

/// The process's environment, as far as configuration looks at it. A value, so that tests need not
/// change the real one.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// Variables by name.
    pub variables: BTreeMap<String, String>,
    /// This machine's name, told to clients of a listener on all addresses.
    pub machine: String,
}

impl Environment {
    /// What this process was started with. Variables that are not Unicode are left out.
    pub fn of_this_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { variables, machine }
    }
}

/// The flags of `serve` and `config`, of the highest rank.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Flags {
    /// Configuration file: Kafka's server.properties, or our own as .toml
    #[arg(long, value_name = "FILE", env = "ENTREPOT_CONFIG")]
    pub config: Option<PathBuf>,
    /// Folder for all data [key storage.dir]
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<String>,
    /// Port of the Kafka door, 0 for any free one [key kafka.port]
    #[arg(long, value_name = "PORT")]
    pub kafka_port: Option<String>,
    /// Port of the ZooKeeper door, 0 for any free one [key zookeeper.port]
    #[arg(long, value_name = "PORT")]
    pub zookeeper_port: Option<String>,
    /// Port of the AMQP door, 0 for any free one [key amqp.port]
    #[arg(long, value_name = "PORT")]
    pub amqp_port: Option<String>,
    /// Port of the MQTT door, 0 for any free one [key mqtt.port]
    #[arg(long, value_name = "PORT")]
    pub mqtt_port: Option<String>,
    /// Port of the NATS door, 0 for any free one [key nats.port]
    #[arg(long, value_name = "PORT")]
    pub nats_port: Option<String>,
    /// Port of the STOMP door, 0 for any free one [key stomp.port]
    #[arg(long, value_name = "PORT")]
    pub stomp_port: Option<String>,
    /// Port of the CoAP door, 0 for any free one [key coap.port]
    #[arg(long, value_name = "PORT")]
    pub coap_port: Option<String>,
    /// Port of the gRPC door, 0 for any free one [key grpc.port]
    #[arg(long, value_name = "PORT")]
    pub grpc_port: Option<String>,
    /// Address on which the doors listen [key net.bind]
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Option<String>,
    /// Ask for logins over TLS on every listener, with a certificate and a first user made as needed
    /// [key net.secure]
    #[arg(long)]
    pub secure: bool,
    /// Sets any key, by our name or by Kafka's; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// One key with its value, as a source gave it.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) origin: Origin,
}

/// A value for one of our keys.
pub(crate) struct Setting {
    pub(crate) key: &'static Key,
    pub(crate) value: String,
    /// The listener that it is for, if it is for one alone.
    pub(crate) listener: Option<String>,
    /// The name under which it was given, for errors.
    pub(crate) given_as: String,
    pub(crate) origin: Origin,
}

/// What has been read so far.
#[derive(Default)]
pub(crate) struct Collected {
    pub(crate) settings: Vec<Setting>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) errors: Vec<ConfigError>,
}

impl Config {
    /// Reads all sources and merges them: defaults, then the file, then the environment, then
    /// flags; later ones win.
    ///
    /// # Errors
    ///
    /// Everything that is wrong in any source, together.
    pub fn load(flags: &Flags, environment: &Environment) -> Result<Self, ConfigErrors> {
        let mut collected = Collected::default();
        // In rising rank: a later setting of the same key replaces an earlier one.
        if let Some(path) = &flags.config {
            read_file(path, &mut collected);
        }
        read_environment(environment, &mut collected);
        read_flags(flags, &mut collected);
        merge(collected, environment)
    }
}

fn read_file(path: &Path, out: &mut Collected) {
    let format = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let read: fn(&Path, &[u8], &mut Collected) = match format.to_ascii_lowercase().as_str() {
        "properties" => kafka_file::read,
        "toml" => toml_file::read,
        _ => return out.errors.push(ConfigError::UnknownFormat { path: path.to_owned() }),
    };
    match std::fs::read(path) {
        Ok(bytes) => read(path, &bytes, out),
        Err(error) => out
            .errors
            .push(ConfigError::Unreadable { path: path.to_owned(), why: error.to_string() }),
    }
}

/// `ENTREPOT_STORAGE__DIR` sets `storage.dir`. Names without two underscores in a row are not
/// ours: container platforms invent some, such as `ENTREPOT_SERVICE_HOST`.
fn read_environment(environment: &Environment, out: &mut Collected) {
    for (name, value) in &environment.variables {
        let Some(rest) = name.strip_prefix("ENTREPOT_").filter(|rest| rest.contains("__")) else {
            continue;
        };
        let key = rest.to_ascii_lowercase().replace("__", ".");
        let origin = Origin::Environment(name.clone());
        push(Given { key, value: value.clone(), origin }, out);
    }
}

fn read_flags(flags: &Flags, out: &mut Collected) {
    let named = [
        ("--data-dir", "storage.dir", &flags.data_dir),
        ("--kafka-port", "kafka.port", &flags.kafka_port),
        ("--zookeeper-port", "zookeeper.port", &flags.zookeeper_port),
        ("--amqp-port", "amqp.port", &flags.amqp_port),
        ("--mqtt-port", "mqtt.port", &flags.mqtt_port),
        ("--nats-port", "nats.port", &flags.nats_port),
        ("--stomp-port", "stomp.port", &flags.stomp_port),
        ("--coap-port", "coap.port", &flags.coap_port),
        ("--grpc-port", "grpc.port", &flags.grpc_port),
        ("--bind", "net.bind", &flags.bind),
    ];
    let mut kafka = Vec::new();
    for text in &flags.set {
        let origin = Origin::Flag("--set".to_owned());
        match text.split_once('=') {
            Some((key, value)) => {
                let given = Given { key: key.trim().to_owned(), value: value.to_owned(), origin };
                // `broker.id` is both ours and Kafka's, and means the same.
                if keys::find(&given.key).is_none() && kafka_keys::find(&given.key).is_some() {
                    kafka.push(given);
                } else {
                    push(given, out);
                }
            }
            None => out.errors.push(ConfigError::Syntax {
                origin,
                what: format!("{text:?} is not of the form key=value"),
            }),
        }
    }
    kafka_file::translate(kafka, out);
    if flags.secure {
        let origin = Origin::Flag("--secure".to_owned());
        push(Given { key: "net.secure".to_owned(), value: "true".to_owned(), origin }, out);
    }
    for (flag, key, value) in named {
        if let Some(value) = value {
            let origin = Origin::Flag(flag.to_owned());
            push(Given { key: key.to_owned(), value: value.clone(), origin }, out);
        }
    }
}

/// Takes a value for one of our keys, or reports that there is no such key.
pub(crate) fn push(given: Given, out: &mut Collected) {
    let Given { key: given_as, value, origin } = given;
    let (listener, name) = match listener_key(&given_as) {
        Some((listener, name)) => (Some(listener.to_ascii_uppercase()), name),
        None => (None, given_as.as_str()),
    };
    let found = keys::find(name).filter(|key| listener.is_none() || is_per_listener(key));
    match found {
        Some(key) => out.settings.push(Setting { key, value, listener, given_as, origin }),
        None => out.errors.push(ConfigError::UnknownKey {
            nearest: nearest(&given_as, KEYS.iter().map(|key| key.name)).map(str::to_owned),
            key: given_as,
            origin,
        }),
    }
}

/// Takes `listener.NAME.section.key` apart. A listener's name may have dots in it.
fn listener_key(key: &str) -> Option<(&str, &str)> {
    let rest = key.strip_prefix("listener.")?;
    let at = rest.rmatch_indices('.').nth(1).map(|(at, _)| at).filter(|at| *at > 0)?;
    Some((&rest[..at], &rest[at + 1..]))
}

fn merge(collected: Collected, environment: &Environment) -> Result<Config, ConfigErrors> {
    let Collected { settings, mut notices, mut errors } = collected;
    let mut config = Config::defaults();
    for Setting { key, value, listener, given_as, origin } in settings {
        let set = match listener {
            None => key.set(&mut config, &value).map(|()| {
                config.origins.insert(key.name, origin.clone());
            }),
            // Tried on a copy, kept for when the listeners are known.
            Some(listener) => key.set(&mut config.clone(), &value).map(|()| {
                let value = Secret(value.clone());
                let origin = origin.clone();
                config.scoped.push(Scoped { listener, key: key.name, value, origin });
            }),
        };
        if let Err(allowed) = set {
            let value = if key.is_secret() { HIDDEN.to_owned() } else { value };
            errors.push(ConfigError::BadValue { key: given_as, value, allowed, origin });
        }
    }
    finish_storage(&mut config, environment);
    finish_bounds(&mut config, &mut errors);
    finish_topic(&config, &mut errors);
    finish_registration(&config, &mut errors);
    finish_log(&config, &mut errors);
    listeners::resolve(
        &mut config,
        &environment.machine,
        &mut Found { errors: &mut errors, notices: &mut notices },
    );
    // Sources are read key by key; people read their files from the top.
    notices.sort_by(|a, b| a.origin.cmp(&b.origin));
    errors.sort_by(|a, b| a.origin().cmp(&b.origin()));
    // A key that sets two of ours is wrong once.
    errors.dedup();
    config.notices = notices;
    if errors.is_empty() { Ok(config) } else { Err(ConfigErrors(errors)) }
}

fn finish_storage(config: &mut Config, environment: &Environment) {
    if config.storage.dir.as_os_str().is_empty() {
        config.storage.dir = default_data_dir(environment);
    }
    // Named at start, so it should say where it is whatever folder one stands in.
    if let Ok(absolute) = std::path::absolute(&config.storage.dir) {
        config.storage.dir = absolute;
    }
}

/// By the XDG base directory specification, which has relative paths ignored.
fn default_data_dir(environment: &Environment) -> PathBuf {
    let absolute = |name: &str| {
        environment.variables.get(name).map(PathBuf::from).filter(|path| path.is_absolute())
    };
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .unwrap_or_else(|| PathBuf::from("/var/lib"))
        .join("entrepot")
}

/// The least, what holds if nobody says otherwise, and the most, of what groups may set.
const BOUNDED: &[[&str; 3]] = &[
    [
        "group.consumer_session_timeout_min_ms",
        "group.consumer_session_timeout_ms",
        "group.consumer_session_timeout_max_ms",
    ],
    [
        "group.consumer_heartbeat_interval_min_ms",
        "group.consumer_heartbeat_interval_ms",
        "group.consumer_heartbeat_interval_max_ms",
    ],
    [
        "group.share_session_timeout_min_ms",
        "group.share_session_timeout_ms",
        "group.share_session_timeout_max_ms",
    ],
    [
        "group.share_heartbeat_interval_min_ms",
        "group.share_heartbeat_interval_ms",
        "group.share_heartbeat_interval_max_ms",
    ],
    [
        "group.share_record_lock_duration_min_ms",
        "group.share_record_lock_duration_ms",
        "group.share_record_lock_duration_max_ms",
    ],
    [
        "group.share_delivery_count_limit_min",
        "group.share_delivery_count_limit",
        "group.share_delivery_count_limit_max",
    ],
    [
        "group.share_partition_max_record_locks_min",
        "group.share_partition_max_record_locks",
        "group.share_partition_max_record_locks_max",
    ],
];

/// Pairs of bounds: a default gives way to what was set, two set values must agree.
fn finish_bounds(config: &mut Config, errors: &mut Vec<ConfigError>) {
    let of_groups = BOUNDED.iter();
    let of_groups = of_groups.flat_map(|[min, of, max]| [[min, max], [min, of], [of, max]]);
    let pairs = [
        ["zookeeper.session_timeout_min_ms", "zookeeper.session_timeout_max_ms"],
        ["group.min_session_timeout_ms", "group.max_session_timeout_ms"],
    ];
    for [low, high] in pairs.into_iter().chain(of_groups.map(|[low, high]| [*low, *high])) {
        let (Some(least), Some(most)) = (keys::find(low), keys::find(high)) else { continue };
        let number = |text: String| text.parse::<i64>().unwrap_or_default();
        let (min, max) = (number(least.get(config)), number(most.get(config)));
        if min <= max {
            continue;
        }
        let (key, value) = match (config.origin(low).rank(), config.origin(high).rank()) {
            (0, _) => (least, max),
            (_, 0) => (most, min),
            _ => {
                errors.push(ConfigError::Conflict {
                    key: low.to_owned(),
                    why: format!("is {min}, above {high}, which is {max}"),
                    origin: config.origin(low).clone(),
                });
                continue;
            }
        };
        let _ = key.set(config, &value.to_string());
    }
}

/// Defaults of topics that contradict each other.
fn finish_topic(config: &Config, errors: &mut Vec<ConfigError>) {
    if let Err(error) = topic_config::check(&config.topic.as_topic_config(), &BTreeMap::new()) {
        let key = "topic.min_compaction_lag_ms".to_owned();
        let origin = config.origin(&key).clone();
        errors.push(ConfigError::Conflict { key, why: error.to_string(), origin });
    }
}

/// An access list for nobody in particular would protect nothing, or shut us out.
fn finish_registration(config: &Config, errors: &mut Vec<ConfigError>) {
    let registration = &config.registration;
    if registration.set_acl && registration.digest.is_none() && !registration.zookeeper.is_empty() {
        let key = "registration.set_acl".to_owned();
        let origin = config.origin(&key).clone();
        let why = "needs registration.digest: user:password, to whom what is written will belong \
                   (logins of ZooKeeper clients by SASL are not supported)";
        errors.push(ConfigError::Conflict { key, why: why.to_owned(), origin });
    }
}

fn finish_log(config: &Config, errors: &mut Vec<ConfigError>) {
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&config.log.level) {
        errors.push(ConfigError::BadValue {
            key: "log.level".to_owned(),
            value: config.log.level.clone(),
            allowed: format!(
                "a level such as info, or directives such as info,store=debug ({error})"
            ),
            origin: config.origin("log.level").clone(),
        });
    }
}

#[cfg(test)]
mod tests;
