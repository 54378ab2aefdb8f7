//! The broker's own configuration, as far as it is changed while the broker runs: every such key on
//! one page, where its value comes from, and what the values come to. What is changed is kept in the
//! metadata store, for one broker or for all of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::BrokerId;
use store::Tuning;

use crate::metadata::Metadata;
use crate::options::BrokerOptions;
use crate::topic_config::{self, ConfigError, ConfigKey, Kind};

/// Values by key.
pub type Values = BTreeMap<String, String>;

/// One key that can be changed while the broker runs.
#[derive(Debug, Clone, Copy)]
pub struct BrokerKey {
    /// Its name.
    pub name: &'static str,
    of: Of,
}

/// What a key is.
#[derive(Debug, Clone, Copy)]
enum Of {
    /// What a topic has that does not set this key of a topic.
    Topic(&'static str),
    /// The broker's own: what it takes, its default, what it does.
    Own(Kind, &'static str, &'static str),
}

const fn topics(name: &'static str, key: &'static str) -> BrokerKey {
    BrokerKey { name, of: Of::Topic(key) }
}

const fn own(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> BrokerKey {
    BrokerKey { name, of: Of::Own(kind, default, doc) }
}

const FROM_ONE: Kind = Kind::Int(1, i32::MAX as i64);
const FROM_ZERO: Kind = Kind::Int(0, i32::MAX as i64);
const BYTES_A_SECOND: Kind = Kind::Long(0, i64::MAX);
const NO_BOUND: &str = "9223372036854775807";
/// The most that a 32-bit number says, which stands for no bound.
const MOST: &str = "2147483647";
const NOTHING_MOVES: &str =
    "Always kept: a message is stored once, so there is nothing to be slowed down.";

/// All of them, by name.
pub const BROKER_KEYS: &[BrokerKey] = &[
    topics("compression.gzip.level", "compression.gzip.level"),
    topics("compression.type", "compression.type"),
    topics("compression.zstd.level", "compression.zstd.level"),
    own("follower.replication.throttled.rate", BYTES_A_SECOND, NO_BOUND, NOTHING_MOVES),
    own("leader.replication.throttled.rate", BYTES_A_SECOND, NO_BOUND, NOTHING_MOVES),
    own(
        "log.cleaner.backoff.ms",
        Kind::Long(1, i64::MAX),
        "15000",
        "How long the cleaner rests when no partition is due for compaction, in milliseconds.",
    ),
    own(
        "log.cleaner.dedupe.buffer.size",
        Kind::Long(1024, i32::MAX as i64),
        "134217728",
        "Most bytes of memory for the table of a partition's keys while it is compacted.",
    ),
    topics("log.cleaner.delete.retention.ms", "delete.retention.ms"),
    own(
        "log.cleaner.io.max.bytes.per.second",
        Kind::Rate,
        "1.7976931348623157E308",
        "Most bytes that the cleaner reads and writes a second.",
    ),
    topics("log.cleaner.max.compaction.lag.ms", "max.compaction.lag.ms"),
    topics("log.cleaner.min.cleanable.ratio", "min.cleanable.dirty.ratio"),
    topics("log.cleaner.min.compaction.lag.ms", "min.compaction.lag.ms"),
    topics("log.cleanup.policy", "cleanup.policy"),
    topics("log.message.timestamp.after.max.ms", "message.timestamp.after.max.ms"),
    topics("log.message.timestamp.before.max.ms", "message.timestamp.before.max.ms"),
    topics("log.message.timestamp.type", "message.timestamp.type"),
    topics("log.retention.bytes", "retention.bytes"),
    topics("log.retention.ms", "retention.ms"),
    topics("log.roll.ms", "segment.ms"),
    topics("log.segment.bytes", "segment.bytes"),
    own(
        "max.connection.creation.rate",
        FROM_ONE,
        MOST,
        "Connections accepted in a second, of all doors together; more wait until they are accepted.",
    ),
    own(
        "max.connections",
        FROM_ONE,
        "20000",
        "Connections of all doors together; more are closed as they arrive.",
    ),
    own(
        "max.connections.per.ip",
        FROM_ZERO,
        MOST,
        "Connections that one address may have at a time, of all doors together.",
    ),
    own(
        "max.connections.per.ip.overrides",
        Kind::Counts,
        "",
        "Addresses, or host names, that may have another number of connections. A host name means \
         the addresses that it has when this is set, or when the broker starts.",
    ),
    topics("max.decompressed.message.bytes", "max.decompressed.message.bytes"),
    topics("message.max.bytes", "max.message.bytes"),
    own(
        "producer.id.expiration.ms",
        FROM_ONE,
        "86400000",
        "An idempotent producer that is not heard of for so many milliseconds is forgotten.",
    ),
    own("replica.alter.log.dirs.io.max.bytes.per.second", BYTES_A_SECOND, NO_BOUND, NOTHING_MOVES),
    topics("unclean.leader.election.enable", "unclean.leader.election.enable"),
];

impl BrokerKey {
    /// The key of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        BROKER_KEYS.iter().find(|key| key.name == name)
    }

    /// The key that says what topics have which do not set this key of theirs.
    pub fn of_topics(topic_key: &str) -> Option<&'static Self> {
        BROKER_KEYS.iter().find(|key| key.topic_key() == Some(topic_key))
    }

    /// The topic's key whose default it is, if it is one.
    pub fn topic_key(&self) -> Option<&'static str> {
        match self.of {
            Of::Topic(key) => Some(key),
            Of::Own(..) => None,
        }
    }

    /// What its values look like.
    pub fn kind(&self) -> Kind {
        match self.of {
            Of::Topic(key) => ConfigKey::find(key).map_or(Kind::List, |key| key.kind),
            Of::Own(kind, ..) => kind,
        }
    }

    /// Its value where nobody set one.
    pub fn default(&self) -> &'static str {
        match self.of {
            Of::Topic(key) => ConfigKey::find(key).map_or("", |key| key.default),
            Of::Own(_, default, _) => default,
        }
    }

    /// What it does.
    pub fn doc(&self) -> &'static str {
        match self.of {
            Of::Topic(key) => ConfigKey::find(key).map_or("", |key| key.doc),
            Of::Own(_, _, doc) => doc,
        }
    }

    fn check(&self, value: &str) -> Result<(), ConfigError> {
        if self.kind().takes(value) {
            return Ok(());
        }
        let expected = self.kind().allowed();
        Err(ConfigError::Invalid { name: self.name, value: value.to_owned(), expected })
    }
}

/// Where a value comes from; the first of them counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Changed for one broker.
    Broker,
    /// Changed for all brokers.
    Cluster,
    /// What the broker was started with.
    File,
    /// Nobody set it.
    Default,
}

/// A value that the broker was started with, for tools to show.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The key's name.
    pub name: &'static str,
    /// What its values look like.
    pub kind: Kind,
    /// The value; `None` for one that must not be shown.
    pub value: Option<String>,
    /// Whether somebody set it; else it is the default.
    pub is_set: bool,
    /// The default, where there is one.
    pub default: Option<String>,
    /// What it means.
    pub doc: &'static str,
}

/// Bounds on connections; `None` is what the broker was started with.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConnectionBounds {
    /// Of all together.
    pub max: Option<usize>,
    /// Of one address.
    pub per_address: Option<usize>,
    /// Of these addresses or host names.
    pub overrides: Option<Vec<(String, usize)>>,
    /// New ones in a second; `Some(None)` is no bound.
    pub rate: Option<Option<f64>>,
}

/// What can be changed, as it is now. Replaced as a whole when anything changes.
#[derive(Debug)]
pub struct Settings {
    own: Arc<Values>,
    cluster: Arc<Values>,
    /// What the broker was started with, by the names of [`BROKER_KEYS`].
    file: Values,
    topic_defaults: Values,
    /// Bounds on connections.
    pub connections: ConnectionBounds,
}

impl Settings {
    pub(crate) fn new(options: &BrokerOptions, metadata: &Metadata) -> Self {
        let of = |whose| metadata.settings.get(&whose).map(Arc::clone).unwrap_or_default();
        Self::of(options, of(Some(options.id)), of(None))
    }

    fn of(options: &BrokerOptions, own: Arc<Values>, cluster: Arc<Values>) -> Self {
        let mut file = Values::new();
        for key in BROKER_KEYS {
            let value = match key.topic_key() {
                Some(topic_key) => options.topic_defaults.get(topic_key),
                None => {
                    let mut set = options.settings.iter().filter(|setting| setting.is_set);
                    set.find(|set| set.name == key.name).and_then(|set| set.value.as_ref())
                }
            };
            file.extend(value.map(|value| (key.name.to_owned(), value.clone())));
        }
        let mut settings = Self {
            own,
            cluster,
            file,
            topic_defaults: options.topic_defaults.clone(),
            connections: ConnectionBounds::default(),
        };
        for key in BROKER_KEYS {
            if let (Some(topic_key), Some(value)) = (key.topic_key(), settings.changed(key.name)) {
                let value = value.to_owned();
                settings.topic_defaults.insert(topic_key.to_owned(), value);
            }
        }
        settings.connections = settings.connection_bounds();
        settings
    }

    /// What topics have that do not set it themselves, by the topic's keys.
    pub fn topic_defaults(&self) -> &Values {
        &self.topic_defaults
    }

    /// What is changed for all brokers.
    pub fn for_all(&self) -> &Values {
        &self.cluster
    }

    /// All values that a key has, that in effect first.
    pub fn values(&self, key: &BrokerKey) -> Vec<(Source, &str)> {
        let layers = [
            (Source::Broker, &*self.own),
            (Source::Cluster, &*self.cluster),
            (Source::File, &self.file),
        ];
        let mut all = Vec::new();
        for (source, values) in layers {
            all.extend(values.get(key.name).map(|value| (source, value.as_str())));
        }
        all.push((Source::Default, key.default()));
        all
    }

    /// The value that a key was given since the broker started, or before that by the same way.
    fn changed(&self, name: &str) -> Option<&str> {
        self.own.get(name).or_else(|| self.cluster.get(name)).map(String::as_str)
    }

    /// [`Self::changed`], of a number. Values were checked when they were set.
    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.changed(name)?.parse().ok()
    }

    fn connection_bounds(&self) -> ConnectionBounds {
        let overrides = self.changed("max.connections.per.ip.overrides");
        let host = |(host, count): (&str, usize)| (host.to_owned(), count);
        let rate = self.number::<u32>("max.connection.creation.rate");
        ConnectionBounds {
            max: self.number("max.connections"),
            per_address: self.number("max.connections.per.ip"),
            overrides: overrides
                .and_then(topic_config::counts)
                .map(|counts| counts.into_iter().map(host).collect()),
            rate: rate.map(|rate| Some(rate).filter(|r| *r < i32::MAX as u32).map(f64::from)),
        }
    }

    /// What the store is to be told.
    pub(crate) fn tuning(&self) -> Tuning {
        let rate = self.number::<f64>("log.cleaner.io.max.bytes.per.second");
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and a cast of what is too large saturates"
        )]
        let whole = |rate: f64| (rate < i64::MAX as f64).then(|| rate.ceil().max(1.0) as u64);
        Tuning {
            cleaner_backoff: self.number("log.cleaner.backoff.ms").map(Duration::from_millis),
            cleaner_table_bytes: self.number("log.cleaner.dedupe.buffer.size"),
            cleaner_bytes_per_second: rate.map(whole),
            producer_expiry_ms: self.number("producer.id.expiration.ms"),
        }
    }
}

/// Why the broker's configuration was not changed.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// These keys cannot be changed while the broker runs, or there are no such keys.
    #[error("Cannot update these configs dynamically: [{}]", .0.join(", "))]
    NotDynamic(Vec<String>),
    /// A value.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The metadata store.
    #[error(transparent)]
    Meta(#[from] cluster::MetaError),
}

/// Checks that all of these may be set, for one broker or for all, beside what is set otherwise.
///
/// # Errors
/// A key that cannot be changed, a value that its key does not take, values that contradict each other.
pub fn check(
    values: &Values,
    whose: Option<BrokerId>,
    options: &BrokerOptions,
    metadata: &Metadata,
) -> Result<(), SettingsError> {
    let fixed = values.keys().filter(|name| BrokerKey::find(name).is_none());
    let fixed: Vec<String> = fixed.cloned().collect();
    if !fixed.is_empty() {
        return Err(SettingsError::NotDynamic(fixed));
    }
    for (name, value) in values {
        BrokerKey::find(name).map_or(Ok(()), |key| key.check(value))?;
    }
    let now = Settings::new(options, metadata);
    let values = Arc::new(values.clone());
    let together = match whose {
        Some(_) => Settings::of(options, values, now.cluster),
        None => Settings::of(options, now.own, values),
    };
    topic_config::check(&Values::new(), together.topic_defaults())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_of_its_key_and_keys_are_sorted() {
        for key in BROKER_KEYS {
            assert!(key.kind().takes(key.default()), "{}", key.name);
            assert!(!key.doc().is_empty(), "{}", key.name);
            assert!(key.topic_key().is_none_or(|key| ConfigKey::find(key).is_some()));
        }
        assert!(BROKER_KEYS.windows(2).all(|two| two[0].name < two[1].name));
    }
}
