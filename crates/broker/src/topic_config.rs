//! Every key of a topic's configuration, on one page: what it takes, its default, what it does.

use std::collections::BTreeMap;

use base::Filter;
use base::limits::BATCH_BYTES_MAX;
use base::subject::FILTERS;
use router::Router;
use store::batch::Compression;
use store::{Compaction, Durability, LogOptions};

use crate::partitioner::Partitioner;
use crate::topics::Bound;

/// What a key's value must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A 32-bit number in this range.
    Int(i64, i64),
    /// A 64-bit number in this range.
    Long(i64, i64),
    /// `true` or `false`.
    Boolean,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A level of a codec in this range, or -1 for the codec's own choice.
    Level(i64, i64),
    /// A floating-point number from 0 to 1.
    Ratio,
    /// A list of anything.
    List,
    /// A list of these words, each at most once.
    Words(&'static [&'static str]),
    /// Text of at most so many bytes.
    Text(usize),
    /// Where to begin (see [`crate::group_config::Begin::parse`]).
    OffsetReset,
    /// A partitioner (see [`Partitioner::parse`]).
    Partitioner,
    /// Filters over subjects, as text, with spaces between them.
    Filters,
    /// Names and numbers.
    Weights,
    /// A floating-point number that is not negative.
    Rate,
    /// `ADDRESS:COUNT`, several separated by commas (see [`counts`]).
    Counts,
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct ConfigKey {
    /// Its name.
    pub name: &'static str,
    /// What its values look like.
    pub kind: Kind,
    /// Its value where neither topic nor broker set one.
    pub default: &'static str,
    /// What it does; for keys without effect, why they have none.
    pub doc: &'static str,
    /// Whether it changes anything here.
    pub has_effect: bool,
}

pub(crate) const fn key(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> ConfigKey {
    ConfigKey { name, kind, default, doc, has_effect: true }
}

/// A key that tools set and list, and that changes nothing here.
pub(crate) const fn inert(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> ConfigKey {
    ConfigKey { name, kind, default, doc, has_effect: false }
}

const ANY_INT: Kind = Kind::Int(0, i32::MAX as i64);
const ANY_LONG: Kind = Kind::Long(0, i64::MAX);
const ONE_COPY: &str = "No effect: each message is stored once, durably; there are no followers.";
const OWN_FLUSH: &str = "No effect: entrepot.durability says when a message is on disk.";
const NO_TIERS: &str = "No effect: there is no tiered storage; all messages stay where they are.";
const OLD_FORMATS: &str =
    "No effect: record batches are stored, and converted for clients that need it.";
/// No record can be larger than a 32-bit length allows, so this bounds none.
const RECORD_BYTES_ANY: &str = "2147483639";
const REMOTE_STORAGE: &str = "remote.storage.enable";
const OWN_INDEX: &str = "No effect: the index has a fixed spacing and is never preallocated.";

/// All keys, by name.
pub const TOPIC_KEYS: &[ConfigKey] = &[
    key(
        "cleanup.policy",
        Kind::Words(&["compact", "delete"]),
        "delete",
        "What happens to old records: delete by age and size, compact by key, both, or (empty) none.",
    ),
    key(
        "compression.gzip.level",
        Kind::Level(1, 9),
        "-1",
        "How hard to compress where compression.type is gzip; -1: the codec's own choice.",
    ),
    inert(
        "compression.lz4.level",
        Kind::Int(1, 17),
        "9",
        "No effect: LZ4 is compressed at its fast level.",
    ),
    key(
        "compression.type",
        Kind::Word(&["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]),
        "producer",
        "producer: batches are kept as they come; else they are compressed anew with this codec.",
    ),
    key(
        "compression.zstd.level",
        Kind::Int(-131_072, 22),
        "3",
        "How hard to compress where compression.type is zstd.",
    ),
    key(
        "delete.retention.ms",
        ANY_LONG,
        "86400000",
        "How long a deletion mark is kept after it was first compacted, in ms.",
    ),
    key(
        "entrepot.bind",
        Kind::Filters,
        "",
        "What is published to the topic: filters over subjects such as sensors.*.temp, sensors.> or #.temp, \
         with spaces between them; empty: what is published to the topic's own name.",
    ),
    key(
        "entrepot.durability",
        Kind::Word(&["fsync", "os", "memory"]),
        "fsync",
        "When a message is acknowledged: on stable storage, in the operating system, in memory.",
    ),
    key(
        "entrepot.partitioner",
        Kind::Partitioner,
        "hash",
        "Partition of messages whose producer chose none: hash, round-robin, range:…, list:…",
    ),
    key(
        "entrepot.queue",
        Kind::Boolean,
        "false",
        "The topic holds the messages of a queue, which made it: what is published to the topic's own \
         name is not for it, and each partition has the messages of one priority.",
    ),
    key(
        "errors.deadletterqueue.group.enable",
        Kind::Boolean,
        "false",
        "Whether share groups may send their dead letters here (KIP-1191).",
    ),
    inert(
        "file.delete.delay.ms",
        ANY_LONG,
        "60000",
        "No effect: a reader keeps the file that it reads until it is done.",
    ),
    inert("flush.messages", ANY_LONG, "9223372036854775807", OWN_FLUSH),
    inert("flush.ms", ANY_LONG, "9223372036854775807", OWN_FLUSH),
    inert("follower.replication.throttled.replicas", Kind::List, "", ONE_COPY),
    inert("index.interval.bytes", ANY_INT, "4096", OWN_INDEX),
    inert("leader.replication.throttled.replicas", Kind::List, "", ONE_COPY),
    inert("local.retention.bytes", Kind::Long(-2, i64::MAX), "-2", NO_TIERS),
    inert("local.retention.ms", Kind::Long(-2, i64::MAX), "-2", NO_TIERS),
    key(
        "max.compaction.lag.ms",
        Kind::Long(1, i64::MAX),
        "9223372036854775807",
        "A partition with an older record that was not compacted is compacted, in ms.",
    ),
    key(
        "max.decompressed.message.bytes",
        Kind::Int(1, i32::MAX as i64),
        RECORD_BYTES_ANY,
        "Largest record in a compressed batch, in bytes, unpacked. Where it is set, such batches are \
         opened when they are produced, and no further than records of this size can take.",
    ),
    key(
        "max.message.bytes",
        Kind::Int(0, 64 * 1024 * 1024),
        "1048588",
        "Largest record batch accepted, in bytes, compressed as it arrives.",
    ),
    inert("message.downconversion.enable", Kind::Boolean, "true", OLD_FORMATS),
    inert("message.format.version", Kind::Text(100), "3.0-IV1", OLD_FORMATS),
    key(
        "message.timestamp.after.max.ms",
        ANY_LONG,
        "3600000",
        "A producer's timestamp may be this far ahead of the broker's clock, in ms.",
    ),
    key(
        "message.timestamp.before.max.ms",
        ANY_LONG,
        "9223372036854775807",
        "A producer's timestamp may be this far behind the broker's clock, in ms.",
    ),
    inert(
        "message.timestamp.difference.max.ms",
        ANY_LONG,
        "9223372036854775807",
        "No effect: message.timestamp.before.max.ms and .after.max.ms have taken its place.",
    ),
    key(
        "message.timestamp.type",
        Kind::Word(&["CreateTime", "LogAppendTime"]),
        "CreateTime",
        "A message's time: the producer's, or when the broker appended it.",
    ),
    key(
        "min.cleanable.dirty.ratio",
        Kind::Ratio,
        "0.5",
        "A partition is compacted when more than this part of it was added since the last time.",
    ),
    key(
        "min.compaction.lag.ms",
        ANY_LONG,
        "0",
        "A record is not compacted before this age, in ms.",
    ),
    inert("min.insync.replicas", Kind::Int(1, i32::MAX as i64), "1", ONE_COPY),
    inert("preallocate", Kind::Boolean, "false", "No effect: the write-ahead log always is."),
    inert("remote.copy.lag.bytes", Kind::Long(-1, i64::MAX), "0", NO_TIERS),
    inert("remote.copy.lag.ms", Kind::Long(-1, i64::MAX), "0", NO_TIERS),
    inert("remote.log.copy.disable", Kind::Boolean, "false", NO_TIERS),
    inert("remote.log.delete.on.disable", Kind::Boolean, "false", NO_TIERS),
    inert(
        REMOTE_STORAGE,
        Kind::Boolean,
        "false",
        "Only false can be set: all messages stay in the broker's own folder.",
    ),
    key(
        "retention.bytes",
        Kind::Long(-1, i64::MAX),
        "-1",
        "Oldest segments of a partition are deleted beyond this size in bytes; -1: never.",
    ),
    key(
        "retention.ms",
        Kind::Long(-1, i64::MAX),
        "604800000",
        "Segments whose newest record is older than this are deleted, in ms; -1: never.",
    ),
    key(
        "segment.bytes",
        Kind::Int(64 * 1024, i32::MAX as i64),
        "1073741824",
        "A segment of this many bytes is closed. Deletion is by whole segments.",
    ),
    inert("segment.index.bytes", ANY_INT, "10485760", OWN_INDEX),
    inert("segment.jitter.ms", ANY_LONG, "0", "No effect: segments close when records arrive."),
    key(
        "segment.ms",
        Kind::Long(1, i64::MAX),
        "604800000",
        "A segment this old is closed, in milliseconds.",
    ),
    inert("unclean.leader.election.enable", Kind::Boolean, "false", ONE_COPY),
];

/// Why a value cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// There is no such key.
    #[error("unknown {of} configuration key '{name}'")]
    Unknown {
        /// Of what: `topic` or `group`.
        of: &'static str,
        /// The key.
        name: String,
    },
    /// Tiered storage was asked for.
    #[error(
        "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
    )]
    NoTiers,
    /// Two values that contradict each other.
    #[error("conflict topic config setting {0} ({1}) > {2} ({3})")]
    Conflict(&'static str, i64, &'static str, i64),
    /// The value is not one that the key takes.
    #[error("'{value}' is not a value of {name}: {expected}")]
    Invalid {
        /// The key.
        name: &'static str,
        /// The value.
        value: String,
        /// What it takes.
        expected: String,
    },
}

impl ConfigKey {
    /// The key of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        TOPIC_KEYS.iter().find(|key| key.name == name)
    }

    pub(crate) fn check(&self, value: &str) -> Result<(), ConfigError> {
        if self.kind.takes(value) {
            return Ok(());
        }
        let expected = match (self.kind, Partitioner::parse(value)) {
            (Kind::Partitioner, Err(error)) => error.to_string(),
            (kind, _) => kind.allowed(),
        };
        Err(ConfigError::Invalid { name: self.name, value: value.to_owned(), expected })
    }
}

impl Kind {
    /// Whether a value is one.
    pub fn takes(self, value: &str) -> bool {
        match self {
            Self::Int(low, high) | Self::Long(low, high) => {
                value.parse().is_ok_and(|number: i64| (low..=high).contains(&number))
            }
            Self::Level(low, high) => {
                let level = value.parse::<i64>();
                level.is_ok_and(|level| level == -1 || (low..=high).contains(&level))
            }
            Self::Boolean => matches!(value, "true" | "false"),
            Self::Word(words) => words.contains(&value),
            Self::Ratio => value.parse().is_ok_and(|ratio: f64| (0.0..=1.0).contains(&ratio)),
            Self::List => true,
            Self::Words(words) => {
                let given: Vec<&str> = items(value).collect();
                let once = |(at, word): (usize, &&str)| given.iter().take(at).all(|w| w != word);
                given.iter().all(|word| words.contains(word)) && given.iter().enumerate().all(once)
            }
            Self::Text(bytes_max) => value.len() <= bytes_max,
            Self::OffsetReset => crate::group_config::Begin::parse(value).is_some(),
            Self::Partitioner => Partitioner::parse(value).is_ok(),
            Self::Filters => filters(value).is_some(),
            Self::Weights => crate::group_config::parse_weights(value).is_some(),
            Self::Rate => value.parse().is_ok_and(|rate: f64| rate >= 0.0),
            Self::Counts => counts(value).is_some(),
        }
    }

    /// What a value must be, in words.
    pub fn allowed(self) -> String {
        match self {
            Self::Int(low, i64::MAX) | Self::Long(low, i64::MAX) => {
                format!("a number from {low} up")
            }
            Self::Int(low, high) | Self::Long(low, high) => {
                format!("a number from {low} to {high}")
            }
            Self::Level(low, high) => format!("a number from {low} to {high}, or -1"),
            Self::Boolean => "true or false".to_owned(),
            Self::Word(words) => format!("one of {}", words.join(", ")),
            Self::Ratio => "a number from 0 to 1".to_owned(),
            Self::List => "a list".to_owned(),
            Self::Words(words) => format!("a list of {}, each at most once", words.join(", ")),
            Self::Text(bytes_max) => format!("text of at most {bytes_max} bytes"),
            Self::OffsetReset => {
                "earliest, latest, or by_duration: and a duration such as PT1H30M".to_owned()
            }
            Self::Partitioner => {
                "hash, round-robin, range:BOUND,… or list:KEY=PARTITION,…".to_owned()
            }
            Self::Weights => "NAME=WEIGHT,…, weights from 1 to 1000".to_owned(),
            Self::Filters => format!(
                "at most {BIND_MAX} filters such as a.b, a.*.c or a.>, with spaces between them"
            ),
            Self::Rate => "a number from 0 up".to_owned(),
            Self::Counts => "ADDRESS:COUNT, several separated by commas".to_owned(),
        }
    }
}

/// The items of a list, as it is written.
pub fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Most filters of a topic.
const BIND_MAX: usize = 256;

/// Filters as text, with spaces between them.
pub fn filters(text: &str) -> Option<Vec<Filter>> {
    let filters = text.split_ascii_whitespace().map(|one| {
        let filter = FILTERS.filter(one.as_bytes()).ok();
        filter.filter(|filter| filter.raw_steps().count() <= Router::<Bound>::STEPS_MAX)
    });
    let filters: Option<Vec<_>> = filters.collect();
    filters.filter(|filters| filters.len() <= BIND_MAX)
}

/// The hosts and their counts in a list of `HOST:COUNT`; `None` if it is no such list. An IPv6 address
/// may stand in brackets.
pub fn counts(list: &str) -> Option<Vec<(&str, usize)>> {
    items(list).map(count).collect()
}

fn count(item: &str) -> Option<(&str, usize)> {
    // The last colon: an IPv6 address has some of its own.
    let (host, count) = item.rsplit_once(':')?;
    let host = host.trim_matches(['[', ']']);
    let is_host = host.parse::<std::net::IpAddr>().is_ok() || !host.contains(':');
    let count = count.parse::<u32>().ok().filter(|_| is_host && !host.is_empty())?;
    Some((host, usize::try_from(count).unwrap_or(usize::MAX)))
}

/// Checks that all of these may be set on a topic, where the broker's `defaults` are these.
///
/// # Errors
/// See [`ConfigError`].
pub fn check(
    config: &BTreeMap<String, String>,
    defaults: &BTreeMap<String, String>,
) -> Result<(), ConfigError> {
    for (name, value) in config {
        let key = ConfigKey::find(name).ok_or_else(|| {
            let name = name.clone();
            ConfigError::Unknown { of: "topic", name }
        })?;
        key.check(value)?;
    }
    let values = Values { set: config, defaults };
    if values.text(REMOTE_STORAGE) == "true" {
        return Err(ConfigError::NoTiers);
    }
    let (low, high) = ("min.compaction.lag.ms", "max.compaction.lag.ms");
    let (least, most) = (values.number(low), values.number(high));
    if least > most {
        return Err(ConfigError::Conflict(low, least, high, most));
    }
    Ok(())
}

/// What the topic sets, then the broker's defaults, then the defaults of this page.
struct Values<'a> {
    set: &'a BTreeMap<String, String>,
    defaults: &'a BTreeMap<String, String>,
}

impl<'a> Values<'a> {
    fn text(&self, name: &str) -> &'a str {
        let own = self.set.get(name).or_else(|| self.defaults.get(name)).map(String::as_str);
        own.or_else(|| ConfigKey::find(name).map(|key| key.default)).unwrap_or_default()
    }

    /// Values were checked when they were set, so a default of this is never seen.
    fn number(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or_default()
    }

    fn unless_negative(&self, name: &str) -> Option<i64> {
        Some(self.number(name)).filter(|number| *number >= 0)
    }

    fn log_options(&self) -> LogOptions {
        let policy = |word: &str| items(self.text("cleanup.policy")).any(|item| item == word);
        let deletes = policy("delete");
        LogOptions {
            durability: match self.text("entrepot.durability") {
                "memory" => Durability::Memory,
                "os" => Durability::Os,
                _ => Durability::Fsync,
            },
            retention_ms: self.unless_negative("retention.ms").filter(|_| deletes),
            retention_bytes: self
                .unless_negative("retention.bytes")
                .filter(|_| deletes)
                .map(i64::cast_unsigned),
            segment_bytes: self.number("segment.bytes").cast_unsigned(),
            segment_ms: self.number("segment.ms"),
            compaction: policy("compact").then(|| Compaction {
                min_lag_ms: self.number("min.compaction.lag.ms"),
                max_lag_ms: self.number("max.compaction.lag.ms"),
                dirty_ppm: self.millionths("min.cleanable.dirty.ratio"),
                delete_retention_ms: self.number("delete.retention.ms"),
            }),
        }
    }

    fn times(&self) -> Times {
        match self.text("message.timestamp.type") {
            "LogAppendTime" => Times::Appended,
            _ => Times::Created {
                before_max: self.number("message.timestamp.before.max.ms"),
                after_max: self.number("message.timestamp.after.max.ms"),
            },
        }
    }

    fn packing(&self) -> Option<(Compression, Option<i32>)> {
        let level = |name: &str| self.text(name).parse::<i32>().ok();
        match self.text("compression.type") {
            "producer" => None,
            "uncompressed" => Some((Compression::None, None)),
            "gzip" => {
                let level = level("compression.gzip.level").filter(|level| *level > 0);
                Some((Compression::Gzip, level))
            }
            "zstd" => Some((Compression::Zstd, level("compression.zstd.level"))),
            other => Compression::from_name(other).map(|codec| (codec, None)),
        }
    }

    fn millionths(&self, name: &str) -> u32 {
        let ratio: f64 = self.text(name).parse().unwrap_or_default();
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to 1, and a cast of anything else saturates"
        )]
        let millionths = (ratio * 1e6).round() as u32;
        millionths
    }
}

/// A topic's configuration, in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicConfig {
    /// How its logs keep their records.
    pub log: LogOptions,
    /// Largest record batch accepted, in bytes.
    pub max_message_bytes: usize,
    /// Largest record in a compressed batch, in bytes, unpacked; `None`: it is not looked at.
    pub unpacked_record_bytes_max: Option<usize>,
    /// Which time records have.
    pub times: Times,
    /// The codec and its level that batches are to be packed with; `None`: as they come.
    pub packing: Option<(Compression, Option<i32>)>,
    /// Partition of messages whose producer chose none.
    pub partitioner: Partitioner,
    /// Groups may send dead letters here.
    pub dead_letters: bool,
    /// What is published to it; if empty, what is published to its own name.
    pub bind: Vec<Filter>,
    /// It holds the messages of a queue: nothing is published to its own name, and each partition is a priority.
    pub is_queue: bool,
}

/// Which time records have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// The producer's, which may differ from the broker's clock by so much, in milliseconds.
    Created {
        /// How far behind.
        before_max: i64,
        /// How far ahead.
        after_max: i64,
    },
    /// When they were appended.
    Appended,
}

impl TopicConfig {
    /// From what the topic sets, then the broker's `defaults`, then the defaults of this page.
    pub fn new(set: &BTreeMap<String, String>, defaults: &BTreeMap<String, String>) -> Self {
        let values = Values { set, defaults };
        Self {
            log: values.log_options(),
            max_message_bytes: usize::try_from(values.number("max.message.bytes"))
                .unwrap_or(BATCH_BYTES_MAX),
            unpacked_record_bytes_max: Some(values.text("max.decompressed.message.bytes"))
                .filter(|bytes| *bytes != RECORD_BYTES_ANY)
                .and_then(|bytes| bytes.parse().ok()),
            times: values.times(),
            packing: values.packing(),
            partitioner: Partitioner::parse(values.text("entrepot.partitioner"))
                .unwrap_or_default(),
            dead_letters: values.text("errors.deadletterqueue.group.enable") == "true",
            bind: filters(values.text("entrepot.bind")).unwrap_or_default(),
            is_queue: values.text("entrepot.queue") == "true",
        }
    }
}
