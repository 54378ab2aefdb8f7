//! Every key of a Kafka `server.properties`, one a row: what it means here, or that it has no
//! effect and why. The names are those of Kafka 2.0 to 4.4, of both the ZooKeeper and KRaft eras.

use super::keys::{self, Key};

/// One key of `server.properties`.
pub(crate) struct KafkaKey {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it means here.
    pub(crate) meaning: Meaning,
}

/// What a key means here.
pub(crate) enum Meaning {
    /// It sets one of our keys. Of several rows that set the same one, the first in the table that
    /// the file uses wins, as in Kafka.
    Sets(&'static str, Convert),
    /// It is one of several that together decide something; the text says what.
    Takes(Part, &'static str),
    /// It is checked, and has no effect.
    Nothing(Check, &'static str),
    /// It asks for something that we cannot do and whose absence would do harm, protection above
    /// all: an error, unless the value asks for nothing.
    Refused(&'static [&'static str], &'static str),
}

/// How a value becomes ours.
pub(crate) enum Convert {
    /// As it stands.
    Same,
    /// Multiplied, unless it is -1.
    Times(i64),
    /// Larger values become this one, with a notice.
    AtMost(i64),
    /// A number with a fraction, so large by default that it means no limit, becomes a whole one.
    Rate,
    /// 0 becomes "none".
    ZeroIsNone,
    /// A `file:` URL becomes the file.
    FileUrl,
    /// The line of a login module: the users that it names.
    Users,
    /// Each of these words means one of ours; no other is known.
    Words(&'static [(&'static str, &'static str)]),
}

impl Convert {
    /// The words that are known, for errors and the documentation.
    pub(crate) fn words(&self) -> String {
        let Self::Words(words) = self else { return String::new() };
        let word = |(word, _): &(&'static str, _)| if word.is_empty() { "empty" } else { word };
        words.iter().map(word).collect::<Vec<_>>().join(", ")
    }
}

/// Keys that are read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Part {
    BrokerId,
    NodeId,
    LogDirs,
    LogDir,
    Listeners,
    Advertised,
    SecurityMap,
    OneListener,
    ControllerNames,
    Roles,
    HostName,
    Port,
    AdvertisedHost,
    AdvertisedPort,
    ZookeeperConnect,
    ZookeeperSession,
}

/// What values a key without effect must still have.
#[derive(Clone, Copy)]
pub(crate) enum Check {
    /// true or false.
    Bool,
    /// A whole number, at least this.
    Int(i64),
    /// Any number.
    Number,
    /// Anything.
    Text,
}

impl Check {
    /// Whether `text` is allowed; if not, what is.
    pub(crate) fn check(self, text: &str) -> Result<(), String> {
        let text = text.trim();
        let fine = match self {
            Self::Bool => text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"),
            Self::Int(min) => text.parse::<i64>().is_ok_and(|n| n >= min),
            Self::Number => text.parse::<f64>().is_ok_and(f64::is_finite),
            Self::Text => true,
        };
        if fine { Ok(()) } else { Err(self.allowed()) }
    }

    /// What is allowed, in words.
    pub(crate) fn allowed(self) -> String {
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::Int(min) => format!("a whole number from {min} up"),
            Self::Number => "a number".to_owned(),
            Self::Text => "text".to_owned(),
        }
    }
}

impl KafkaKey {
    /// Our key that it sets, if it sets exactly one.
    pub(crate) fn target(&self) -> Option<&'static Key> {
        match self.meaning {
            Meaning::Sets(name, _) => keys::find(name),
            _ => None,
        }
    }
}

/// The row of this name. Families of keys with a free part in their name have one row that ends
/// in a dot.
pub(crate) fn find(name: &str) -> Option<&'static KafkaKey> {
    KAFKA_KEYS.iter().find(|row| row.name == name).or_else(|| {
        KAFKA_KEYS.iter().find(|row| row.name.ends_with('.') && name.starts_with(row.name))
    })
}

const fn sets(name: &'static str, ours: &'static str, convert: Convert) -> KafkaKey {
    KafkaKey { name, meaning: Meaning::Sets(ours, convert) }
}

const fn takes(name: &'static str, part: Part, what: &'static str) -> KafkaKey {
    KafkaKey { name, meaning: Meaning::Takes(part, what) }
}

const fn nothing(name: &'static str, check: Check, why: &'static str) -> KafkaKey {
    KafkaKey { name, meaning: Meaning::Nothing(check, why) }
}

const fn refused(
    name: &'static str,
    unless: &'static [&'static str],
    why: &'static str,
) -> KafkaKey {
    KafkaKey { name, meaning: Meaning::Refused(unless, why) }
}

use Check::{Bool, Int, Number, Text};
use Convert::{AtMost, FileUrl, Rate, Same, Times, Users, Words, ZeroIsNone};

/// The authorizers whose rules are ours; others are Java classes.
const AUTHORIZERS: Convert = Words(&[
    ("", "false"),
    ("org.apache.kafka.metadata.authorizer.StandardAuthorizer", "true"),
    ("kafka.security.authorizer.AclAuthorizer", "true"),
    ("kafka.security.auth.SimpleAclAuthorizer", "true"),
]);

const MINUTE: Convert = Times(60 * 1000);
const HOUR: Convert = Times(60 * 60 * 1000);

const NO_REPLICAS: &str =
    "a message is stored once; there are no follower replicas to fetch for, elect or balance";
const NO_WATERMARK: &str =
    "a message is stored once, so what is durable is visible; there is no high watermark to save";
const NO_QUORUM: &str = "one broker keeps its own metadata; there is no controller quorum to reach";
const NO_BROKERS: &str = "one broker runs alone; it makes no connections to other brokers";
const FLUSHED: &str = "every write is flushed to stable storage before it is acknowledged; topic.durability relaxes that";
const ONE_WRITER: &str = "requests run on the worker threads (num.network.threads) and one writer gathers all disk writes";
const ONE_WAL: &str = "recovery replays one write-ahead log for all partitions";
const PIPELINE: &str =
    "each connection has a fixed number of requests in flight and is not read past it";
const JOURNAL: &str = "groups, offsets and transactions are kept in the broker's own journal, not in a replicated topic";
const SHARE_ALWAYS: &str = "share groups are always served";
const SHARE_FIXED: &str = "details of how share groups are served are fixed";
const NO_STREAMS: &str = "streams groups are not supported yet";
const GROUPS_FIXED: &str = "both group protocols are always served, and a group without members changes its own; other settings are fixed";
const NO_TIERS: &str = "tiered storage is not supported yet; all data stays in storage.dir";
const CLEANER_TABLE: &str = "the table of keys is filled to nine tenths, which needs no tuning";
const CLEANER_BUFFERS: &str =
    "the cleaner reads and writes 1 MiB at a time, or one batch if it is larger";
const DYNAMIC_QUOTAS: &str =
    "as in Kafka from 3.0 on; set a default quota of users or clients instead";
const NO_PURGATORY: &str = "waiting requests are woken one by one; there is no purgatory to sweep";
const NO_JMX: &str = "there is no JVM; metrics are not collected by Kafka's reporters";
const INDEXES: &str = "the spacing and size of indexes are fixed";
const OLD_FORMATS: &str =
    "only record batches of version 2 are stored; older formats are not converted";
const METADATA: &str = "metadata is kept in an embedded store, not in a log of records";
const IDS: &str = "the broker's number is broker.id, 0 if it is not set";
const NO_ZK_METADATA: &str =
    "a ZooKeeper is only where the broker registers; it keeps its metadata itself";
const GRACE: &str = "there is no other broker to hand partitions to before stopping";

const NO_MODULE: &str = "users log in with PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER, which need no such setting";
const PEM_ONLY: &str = "certificates and keys are in PEM here. Make PEM of a key store with keytool -importkeystore -deststoretype PKCS12 and openssl pkcs12 -noenc, then set the type to PEM";
const PEM_PASSWORD: &str =
    "PEM files have no password, and an encrypted private key is refused with a way to decrypt it";
const TLS_FIXED: &str =
    "TLS is spoken by one library, which knows no other providers or algorithms";
const NO_TOKENS: &str = "delegation tokens are not issued. Remove the key";
const NO_REVOCATION: &str =
    "whether a certificate was revoked is not asked anybody. Remove the key";
const NO_JAVA: &str = "a Java class cannot be loaded, and what it would forbid would be allowed. Remove the key to run without it";
const NO_PROVIDERS: &str = "values are taken as they are written; a reference to a secret would become the secret. Write the values out";
pub(crate) const NO_LISTENER_KEYS: &str =
    "of single listeners, only keys of TLS and logins are known. Remove the key";

/// Every key.
#[rustfmt::skip]
pub(crate) const KAFKA_KEYS: &[KafkaKey] = &[
    // Who the broker is and where it listens.
    takes("broker.id", Part::BrokerId, "sets `broker.id`; -1 means it is not set"),
    takes("node.id", Part::NodeId, "sets `broker.id`; must agree with `broker.id` if both are set"),
    sets("broker.rack", "broker.rack", Same),
    takes("listeners", Part::Listeners, "sets `kafka.listeners`; an empty host listens on all addresses, as in Kafka; listeners named in `controller.listener.names` are left out"),
    takes("advertised.listeners", Part::Advertised, "sets `kafka.advertised_listeners`"),
    takes("listener.security.protocol.map", Part::SecurityMap, "sets `kafka.listener_security`"),
    takes("controller.listener.names", Part::ControllerNames, "the listeners of these names are not opened: there is no controller quorum to reach"),
    takes("process.roles", Part::Roles, "must contain `broker`; this process is always broker and controller in one"),
    takes("host.name", Part::HostName, "the host to listen on, if `listeners` is not set (before Kafka 3.0)"),
    takes("port", Part::Port, "the port to listen on, if `listeners` is not set (before Kafka 3.0)"),
    takes("advertised.host.name", Part::AdvertisedHost, "the host told to clients, if `advertised.listeners` is not set (before Kafka 3.0)"),
    takes("advertised.port", Part::AdvertisedPort, "the port told to clients, if `advertised.listeners` is not set (before Kafka 3.0)"),
    takes("zookeeper.connect", Part::ZookeeperConnect, "sets `registration.zookeeper`: this broker registers there. A loopback address alone, without a path, sets `zookeeper.port` instead, where this broker answers ZooKeeper clients itself; where that port is taken, it registers in the ZooKeeper there (`registration.if_port_taken`)"),
    takes("zookeeper.session.timeout.ms", Part::ZookeeperSession, "sets `registration.session_timeout_ms`, and `zookeeper.session_timeout_max_ms` for clients of this broker"),
    sets("zookeeper.connection.timeout.ms", "registration.connect_timeout_ms", Same),

    // Sockets and threads.
    sets("num.network.threads", "network.worker_threads", Same),
    nothing("num.io.threads", Int(1), ONE_WRITER),
    sets("socket.send.buffer.bytes", "network.send_buffer_bytes", Same),
    sets("socket.receive.buffer.bytes", "network.receive_buffer_bytes", Same),
    sets("socket.request.max.bytes", "network.request_max_bytes", Same),
    sets("socket.listen.backlog.size", "network.listen_backlog", AtMost(65_535)),
    sets("max.connections", "network.max_connections", Same),
    sets("connections.max.idle.ms", "network.connections_max_idle_ms", Same),
    sets("fetch.max.bytes", "kafka.fetch_max_bytes", Same),
    sets("max.connections.per.ip", "network.max_connections_per_ip", Same),
    sets("max.connections.per.ip.overrides", "network.max_connections_per_ip_overrides", Same),
    sets("max.connection.creation.rate", "network.max_connection_rate", Same),
    sets("connection.failed.authentication.delay.ms", "login.failure_delay_ms", Same),
    nothing("queued.max.requests", Int(1), PIPELINE),
    sets("queued.max.request.bytes", "network.queued_request_bytes", Same),
    sets("max.incremental.fetch.session.cache.slots", "kafka.fetch_sessions", AtMost(100_000)),
    nothing("max.request.partition.size.limit", Int(1), "the elements of a request are bounded together"),
    nothing("background.threads", Int(1), ONE_WRITER),

    // Where and how data is kept.
    takes("log.dirs", Part::LogDirs, "the first folder sets `storage.dir`; one folder is supported, and more are named at start as unused"),
    takes("log.dir", Part::LogDir, "sets `storage.dir`, if `log.dirs` is not set"),
    nothing("num.recovery.threads.per.data.dir", Int(1), ONE_WAL),
    nothing("num.replica.alter.log.dirs.threads", Int(0), "there is one data folder, so nothing is moved between folders"),
    nothing("log.dir.failure.timeout.ms", Int(1), "there is one data folder; when it fails the broker stops acknowledging"),
    nothing("cordoned.log.dirs", Text, "there is one data folder"),
    nothing("log.flush.interval.messages", Int(1), FLUSHED),
    nothing("log.flush.interval.ms", Int(0), FLUSHED),
    nothing("log.flush.scheduler.interval.ms", Int(0), FLUSHED),
    nothing("log.flush.offset.checkpoint.interval.ms", Int(0), ONE_WAL),
    nothing("log.flush.start.offset.checkpoint.interval.ms", Int(0), ONE_WAL),
    nothing("log.preallocate", Bool, "the write-ahead log is always preallocated, and segments never are"),
    nothing("log.index.size.max.bytes", Int(4), INDEXES),
    nothing("log.index.interval.bytes", Int(0), INDEXES),
    nothing("log.segment.delete.delay.ms", Int(0), "a deleted segment goes when its last reader is done"),
    nothing("log.deletion.max.segments.per.run", Int(1), "all segments past their retention are deleted in one run"),
    nothing("log.initial.task.delay.ms", Int(0), "retention is first looked after when its interval has passed"),
    sets("log.retention.check.interval.ms", "storage.retention_check_interval_ms", Same),

    // What topics have by default.
    sets("num.partitions", "topic.partitions", Same),
    sets("auto.create.topics.enable", "topic.auto_create", Same),
    sets("delete.topic.enable", "topic.delete_enable", Same),
    sets("log.retention.ms", "topic.retention_ms", Same),
    sets("log.retention.minutes", "topic.retention_ms", MINUTE),
    sets("log.retention.hours", "topic.retention_ms", HOUR),
    sets("log.retention.bytes", "topic.retention_bytes", Same),
    sets("log.segment.bytes", "topic.segment_bytes", Same),
    sets("log.roll.ms", "topic.segment_ms", Same),
    sets("log.roll.hours", "topic.segment_ms", HOUR),
    nothing("log.roll.jitter.ms", Int(0), "segments are written behind the log, so closing many at once costs nothing"),
    nothing("log.roll.jitter.hours", Int(0), "segments are written behind the log, so closing many at once costs nothing"),
    sets("message.max.bytes", "topic.max_message_bytes", Same),
    sets("max.decompressed.message.bytes", "topic.max_decompressed_message_bytes", Same),
    sets("log.cleanup.policy", "topic.cleanup_policy", Same),
    sets("log.message.timestamp.type", "topic.message_timestamp_type", Same),
    nothing("log.message.timestamp.difference.max.ms", Int(0), "log.message.timestamp.before.max.ms and log.message.timestamp.after.max.ms have taken its place"),
    sets("log.message.timestamp.before.max.ms", "topic.message_timestamp_before_max_ms", Same),
    sets("log.message.timestamp.after.max.ms", "topic.message_timestamp_after_max_ms", Same),
    nothing("log.message.format.version", Text, OLD_FORMATS),
    nothing("log.message.downconversion.enable", Bool, OLD_FORMATS),
    sets("compression.type", "topic.compression_type", Same),
    sets("compression.gzip.level", "topic.compression_gzip_level", Same),
    nothing("compression.lz4.level", Int(1), "LZ4 is compressed at its fast level"),
    sets("compression.zstd.level", "topic.compression_zstd_level", Same),
    sets("log.cleaner.enable", "storage.cleaner_enable", Same),
    nothing("log.cleaner.threads", Int(0), "one thread compacts all partitions, one after the other"),
    sets("log.cleaner.backoff.ms", "storage.cleaner_backoff_ms", Same),
    sets("log.cleaner.dedupe.buffer.size", "storage.cleaner_dedupe_bytes", AtMost(i32::MAX as i64)),
    sets("log.cleaner.delete.retention.ms", "topic.delete_retention_ms", Same),
    nothing("log.cleaner.io.buffer.load.factor", Number, CLEANER_TABLE),
    nothing("log.cleaner.io.buffer.size", Int(0), CLEANER_BUFFERS),
    sets("log.cleaner.io.max.bytes.per.second", "storage.cleaner_io_bytes_per_second", Rate),
    sets("log.cleaner.max.compaction.lag.ms", "topic.max_compaction_lag_ms", Same),
    sets("log.cleaner.min.cleanable.ratio", "topic.min_cleanable_dirty_ratio", Same),
    sets("log.cleaner.min.compaction.lag.ms", "topic.min_compaction_lag_ms", Same),

    // Consumer groups and their offsets.
    sets("group.initial.rebalance.delay.ms", "group.initial_rebalance_delay_ms", Same),
    sets("group.min.session.timeout.ms", "group.min_session_timeout_ms", Same),
    sets("group.max.session.timeout.ms", "group.max_session_timeout_ms", Same),
    sets("group.max.size", "group.max_size", AtMost(10_000)),
    sets("offsets.retention.minutes", "group.offsets_retention_minutes", Same),
    nothing("offsets.retention.check.interval.ms", Int(1), "expired offsets are looked for at a fixed interval"),
    nothing("offset.metadata.max.bytes", Int(0), "a note stored with an offset may always have 4096 bytes"),
    nothing("offsets.commit.timeout.ms", Int(1), JOURNAL),
    nothing("offsets.commit.required.acks", Int(-1), JOURNAL),
    nothing("offsets.load.buffer.size", Int(1), JOURNAL),
    nothing("offsets.topic.compression.codec", Int(0), JOURNAL),
    nothing("offsets.topic.num.partitions", Int(1), JOURNAL),
    nothing("offsets.topic.replication.factor", Int(1), JOURNAL),
    nothing("offsets.topic.segment.bytes", Int(1), JOURNAL),
    nothing("group.coordinator.append.linger.ms", Int(-1), JOURNAL),
    nothing("group.coordinator.cached.buffer.max.bytes", Int(0), JOURNAL),
    nothing("group.coordinator.threads", Int(1), ONE_WRITER),
    nothing("group.coordinator.background.threads", Int(1), ONE_WRITER),
    nothing("group.coordinator.new.enable", Bool, GROUPS_FIXED),
    nothing("group.coordinator.rebalance.protocols", Text, GROUPS_FIXED),
    sets("group.consumer.session.timeout.ms", "group.consumer_session_timeout_ms", Same),
    sets("group.consumer.heartbeat.interval.ms", "group.consumer_heartbeat_interval_ms", Same),
    sets("group.consumer.min.session.timeout.ms", "group.consumer_session_timeout_min_ms", Same),
    sets("group.consumer.max.session.timeout.ms", "group.consumer_session_timeout_max_ms", Same),
    sets("group.consumer.min.heartbeat.interval.ms", "group.consumer_heartbeat_interval_min_ms", Same),
    sets("group.consumer.max.heartbeat.interval.ms", "group.consumer_heartbeat_interval_max_ms", Same),
    nothing("group.consumer.", Text, GROUPS_FIXED),
    sets("group.share.session.timeout.ms", "group.share_session_timeout_ms", Same),
    sets("group.share.heartbeat.interval.ms", "group.share_heartbeat_interval_ms", Same),
    sets("group.share.record.lock.duration.ms", "group.share_record_lock_duration_ms", Same),
    sets("group.share.delivery.count.limit", "group.share_delivery_count_limit", Same),
    sets("group.share.partition.max.record.locks", "group.share_partition_max_record_locks", Same),
    sets("group.share.min.session.timeout.ms", "group.share_session_timeout_min_ms", Same),
    sets("group.share.max.session.timeout.ms", "group.share_session_timeout_max_ms", Same),
    sets("group.share.min.heartbeat.interval.ms", "group.share_heartbeat_interval_min_ms", Same),
    sets("group.share.max.heartbeat.interval.ms", "group.share_heartbeat_interval_max_ms", Same),
    sets("group.share.min.record.lock.duration.ms", "group.share_record_lock_duration_min_ms", Same),
    sets("group.share.max.record.lock.duration.ms", "group.share_record_lock_duration_max_ms", Same),
    sets("group.share.min.delivery.count.limit", "group.share_delivery_count_limit_min", Same),
    sets("group.share.max.delivery.count.limit", "group.share_delivery_count_limit_max", Same),
    sets("group.share.min.partition.max.record.locks", "group.share_partition_max_record_locks_min", Same),
    sets("group.share.max.partition.max.record.locks", "group.share_partition_max_record_locks_max", Same),
    sets("group.share.max.size", "group.share_max_size", Same),
    sets("group.share.max.share.sessions", "group.share_max_sessions", Same),
    sets("errors.deadletterqueue.topic.name.prefix", "group.dead_letter_topic_prefix", Same),
    sets("errors.deadletterqueue.auto.create.topics.enable", "group.dead_letter_auto_create", Same),
    nothing("group.share.enable", Bool, SHARE_ALWAYS),
    nothing("group.share.", Text, SHARE_FIXED),
    nothing("share.coordinator.", Text, JOURNAL),
    nothing("share.fetch.purgatory.purge.interval.requests", Int(0), SHARE_FIXED),
    nothing("group.streams.", Text, NO_STREAMS),

    // Replication and other brokers.
    nothing("num.replica.fetchers", Int(0), NO_REPLICAS),
    nothing("replica.fetch.max.bytes", Int(0), NO_REPLICAS),
    nothing("replica.fetch.wait.max.ms", Int(0), NO_REPLICAS),
    nothing("replica.fetch.min.bytes", Int(0), NO_REPLICAS),
    nothing("replica.fetch.backoff.ms", Int(0), NO_REPLICAS),
    nothing("replica.fetch.response.max.bytes", Int(0), NO_REPLICAS),
    nothing("replica.high.watermark.checkpoint.interval.ms", Int(0), NO_WATERMARK),
    nothing("replica.lag.time.max.ms", Int(0), NO_REPLICAS),
    nothing("replica.selector.class", Text, NO_REPLICAS),
    nothing("replica.socket.receive.buffer.bytes", Int(-1), NO_REPLICAS),
    nothing("replica.socket.timeout.ms", Int(0), NO_REPLICAS),
    nothing("default.replication.factor", Int(1), NO_REPLICAS),
    nothing("min.insync.replicas", Int(1), NO_REPLICAS),
    nothing("unclean.leader.election.enable", Bool, NO_REPLICAS),
    nothing("unclean.leader.election.interval.ms", Int(1), NO_REPLICAS),
    nothing("auto.leader.rebalance.enable", Bool, NO_REPLICAS),
    nothing("leader.imbalance.check.interval.seconds", Int(1), NO_REPLICAS),
    nothing("leader.imbalance.per.broker.percentage", Int(0), NO_REPLICAS),
    nothing("eligible.leader.replicas.enable", Bool, NO_REPLICAS),
    nothing("follower.fetch.last.tiered.offset.enable", Bool, NO_REPLICAS),
    nothing("inter.broker.listener.name", Text, NO_BROKERS),
    nothing("inter.broker.protocol.version", Text, NO_BROKERS),
    nothing("control.plane.listener.name", Text, NO_BROKERS),
    nothing("controlled.shutdown.enable", Bool, GRACE),
    nothing("controlled.shutdown.max.retries", Int(0), GRACE),
    nothing("controlled.shutdown.retry.backoff.ms", Int(0), GRACE),
    nothing("broker.id.generation.enable", Bool, IDS),
    nothing("reserved.broker.max.id", Int(0), IDS),
    nothing("request.timeout.ms", Int(0), NO_BROKERS),
    nothing("socket.connection.setup.timeout.ms", Int(0), NO_BROKERS),
    nothing("socket.connection.setup.timeout.max.ms", Int(0), NO_BROKERS),
    nothing("controller.socket.timeout.ms", Int(0), NO_QUORUM),

    // The KRaft quorum and its log.
    nothing("controller.quorum.voters", Text, NO_QUORUM),
    nothing("controller.quorum.bootstrap.servers", Text, NO_QUORUM),
    nothing("controller.quorum.auto.join.enable", Bool, NO_QUORUM),
    nothing("controller.quorum.append.linger.ms", Int(0), NO_QUORUM),
    nothing("controller.quorum.election.backoff.max.ms", Int(0), NO_QUORUM),
    nothing("controller.quorum.election.timeout.ms", Int(0), NO_QUORUM),
    nothing("controller.quorum.fetch.timeout.ms", Int(0), NO_QUORUM),
    nothing("controller.quorum.fetch.max.bytes", Int(0), NO_QUORUM),
    nothing("controller.quorum.fetch.snapshot.max.bytes", Int(0), NO_QUORUM),
    nothing("controller.quorum.request.timeout.ms", Int(0), NO_QUORUM),
    nothing("controller.quorum.retry.backoff.ms", Int(0), NO_QUORUM),
    nothing("controller.quorum.retry.backoff.max.ms", Int(0), NO_QUORUM),
    nothing("controller.performance.sample.period.ms", Int(0), NO_QUORUM),
    nothing("controller.performance.always.log.threshold.ms", Int(0), NO_QUORUM),
    nothing("broker.heartbeat.interval.ms", Int(1), NO_QUORUM),
    nothing("broker.session.timeout.ms", Int(1), NO_QUORUM),
    nothing("initial.broker.registration.timeout.ms", Int(1), NO_QUORUM),
    nothing("server.max.startup.time.ms", Int(0), "starting takes less than a second, or fails with a reason"),
    nothing("metadata.log.dir", Text, METADATA),
    nothing("metadata.log.max.record.bytes.between.snapshots", Int(1), METADATA),
    nothing("metadata.log.max.snapshot.interval.ms", Int(0), METADATA),
    nothing("metadata.log.segment.bytes", Int(1), METADATA),
    nothing("metadata.log.segment.min.bytes", Int(1), METADATA),
    nothing("metadata.log.segment.ms", Int(0), METADATA),
    nothing("metadata.max.idle.interval.ms", Int(0), METADATA),
    nothing("metadata.max.retention.bytes", Int(-1), METADATA),
    nothing("metadata.max.retention.ms", Int(-1), METADATA),
    nothing("unstable.api.versions.enable", Bool, "only finished versions of the protocol are spoken"),
    nothing("unstable.feature.versions.enable", Bool, "only finished versions of the protocol are spoken"),
    nothing("zookeeper.metadata.migration.enable", Bool, NO_ZK_METADATA),
    nothing("zookeeper.metadata.migration.min.batch.size", Int(1), NO_ZK_METADATA),
    nothing("zookeeper.max.in.flight.requests", Int(1), NO_ZK_METADATA),
    nothing("zookeeper.sync.time.ms", Int(0), NO_ZK_METADATA),
    nothing("zookeeper.clientCnxnSocket", Text, NO_ZK_METADATA),

    // Transactions and producer ids.
    sets("transaction.max.timeout.ms", "transaction.max_timeout_ms", Same),
    nothing("transaction.state.log.load.buffer.size", Int(1), JOURNAL),
    nothing("transaction.state.log.min.isr", Int(1), JOURNAL),
    nothing("transaction.state.log.num.partitions", Int(1), JOURNAL),
    nothing("transaction.state.log.replication.factor", Int(1), JOURNAL),
    nothing("transaction.state.log.segment.bytes", Int(1), JOURNAL),
    nothing("transaction.abort.timed.out.transaction.cleanup.interval.ms", Int(1), "transactions are aborted when their time-out ends, not at intervals"),
    nothing("transaction.remove.expired.transaction.cleanup.interval.ms", Int(1), "transactional ids are forgotten when their time ends, not at intervals"),
    nothing("transaction.partition.verification.enable", Bool, "whether a transaction has a partition is always verified"),
    nothing("transaction.two.phase.commit.enable", Bool, "two-phase commit is not finished in Kafka and not offered here"),
    nothing("add.partitions.to.txn.retry.backoff.ms", Int(0), NO_BROKERS),
    nothing("add.partitions.to.txn.retry.backoff.max.ms", Int(0), NO_BROKERS),
    sets("transactional.id.expiration.ms", "transaction.id_expiration_ms", Same),
    sets("producer.id.expiration.ms", "transaction.producer_expiration_ms", Same),
    nothing("producer.id.expiration.check.interval.ms", Int(1), "producers past their time are looked for at a fixed interval"),

    // Waiting requests, quotas, metrics, tiered storage.
    nothing("fetch.purgatory.purge.interval.requests", Int(0), NO_PURGATORY),
    nothing("producer.purgatory.purge.interval.requests", Int(0), NO_PURGATORY),
    nothing("delete.records.purgatory.purge.interval.requests", Int(0), NO_PURGATORY),
    nothing("quota.consumer.default", Int(1), DYNAMIC_QUOTAS),
    nothing("quota.producer.default", Int(1), DYNAMIC_QUOTAS),
    sets("quota.window.num", "quota.windows", Same),
    sets("quota.window.size.seconds", "quota.window_seconds", Same),
    sets("controller.quota.window.num", "quota.mutation_windows", Same),
    sets("controller.quota.window.size.seconds", "quota.mutation_window_seconds", Same),
    nothing("replication.quota.window.num", Int(1), NO_REPLICAS),
    nothing("replication.quota.window.size.seconds", Int(1), NO_REPLICAS),
    nothing("alter.log.dirs.replication.quota.window.num", Int(1), NO_REPLICAS),
    nothing("alter.log.dirs.replication.quota.window.size.seconds", Int(1), NO_REPLICAS),
    nothing("metric.reporters", Text, NO_JMX),
    nothing("metrics.num.samples", Int(1), NO_JMX),
    nothing("metrics.recording.level", Text, NO_JMX),
    nothing("metrics.sample.window.ms", Int(1), NO_JMX),
    nothing("auto.include.jmx.reporter", Bool, NO_JMX),
    nothing("kafka.metrics.reporters", Text, NO_JMX),
    nothing("kafka.metrics.polling.interval.secs", Int(1), NO_JMX),
    sets("telemetry.max.bytes", "kafka.telemetry_max_bytes", AtMost(16_777_216)),
    nothing("log.local.retention.bytes", Int(-2), NO_TIERS),
    nothing("log.local.retention.ms", Int(-2), NO_TIERS),
    nothing("remote.fetch.max.wait.ms", Int(1), NO_TIERS),
    nothing("remote.list.offsets.request.timeout.ms", Int(1), NO_TIERS),
    nothing("remote.log.", Text, NO_TIERS),
    nothing("rlmm.config.", Text, NO_TIERS),
    nothing("rsm.config.", Text, NO_TIERS),

    // Protection. Left out, the broker would be open where its operator thinks it closed.
    sets("authorizer.class.name", "security.authorize", AUTHORIZERS),
    refused("authorizer.", &[], NO_JAVA),
    sets("super.users", "security.super_users", Same),
    sets("allow.everyone.if.no.acl.found", "security.allow_if_no_rule", Same),
    nothing("early.start.listeners", Text, "access rules are read before any listener opens"),
    refused("principal.builder.class", &["", "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"], NO_JAVA),
    nothing("security.inter.broker.protocol", Text, NO_BROKERS),
    refused("security.providers", &[""], NO_JAVA),
    sets("connections.max.reauth.ms", "login.session_max_ms", ZeroIsNone),
    sets("ssl.keystore.certificate.chain", "tls.certificate", Same),
    sets("ssl.keystore.location", "tls.certificate", Same),
    sets("ssl.keystore.key", "tls.key", Same),
    refused("ssl.keystore.type", &["PEM"], PEM_ONLY),
    nothing("ssl.keystore.password", Text, PEM_PASSWORD),
    nothing("ssl.key.password", Text, PEM_PASSWORD),
    sets("ssl.truststore.certificates", "tls.client_ca", Same),
    sets("ssl.truststore.location", "tls.client_ca", Same),
    refused("ssl.truststore.type", &["PEM"], PEM_ONLY),
    nothing("ssl.truststore.password", Text, PEM_PASSWORD),
    sets("ssl.client.auth", "tls.client_auth", Same),
    sets("ssl.enabled.protocols", "tls.versions", Same),
    sets("ssl.cipher.suites", "tls.cipher_suites", Same),
    sets("ssl.principal.mapping.rules", "tls.principal_rules", Same),
    nothing("ssl.protocol", Text, TLS_FIXED),
    nothing("ssl.keymanager.algorithm", Text, TLS_FIXED),
    nothing("ssl.trustmanager.algorithm", Text, TLS_FIXED),
    nothing("ssl.secure.random.implementation", Text, TLS_FIXED),
    nothing("ssl.endpoint.identification.algorithm", Text, NO_BROKERS),
    nothing("ssl.allow.dn.changes", Bool, "a new certificate may have any subject"),
    nothing("ssl.allow.san.changes", Bool, "a new certificate may have any names"),
    refused("ssl.provider", &[""], NO_JAVA),
    refused("ssl.engine.factory.class", &[""], NO_JAVA),
    sets("sasl.enabled.mechanisms", "login.mechanisms", Same),
    sets("sasl.jaas.config", "login.plain_users", Users),
    sets("sasl.server.max.receive.size", "login.request_max_bytes", Same),
    refused("sasl.server.callback.handler.class", &["", "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler", "org.apache.kafka.common.security.oauthbearer.secured.OAuthBearerValidatorCallbackHandler"], NO_JAVA),
    sets("sasl.oauthbearer.jwks.endpoint.url", "login.token_keys", FileUrl),
    sets("sasl.oauthbearer.expected.issuer", "login.token_issuer", Same),
    sets("sasl.oauthbearer.expected.audience", "login.token_audiences", Same),
    sets("sasl.oauthbearer.clock.skew.seconds", "login.token_clock_skew_seconds", Same),
    sets("sasl.oauthbearer.sub.claim.name", "login.token_subject_claim", Same),
    nothing("sasl.oauthbearer.", Text, "keys are read from a file, and scopes grant nothing"),
    nothing("sasl.kerberos.", Text, NO_MODULE),
    nothing("sasl.login.", Text, NO_BROKERS),
    nothing("sasl.client.callback.handler.class", Text, NO_BROKERS),
    nothing("sasl.mechanism.inter.broker.protocol", Text, NO_BROKERS),
    nothing("sasl.mechanism.controller.protocol", Text, NO_BROKERS),
    refused("sasl.", &[], "this login setting is not known"),
    refused("delegation.token.", &[], NO_TOKENS),
    nothing("password.encoder.", Text, "passwords in the broker's own configuration are not stored"),
    sets("zookeeper.ssl.client.enable", "registration.tls", Same),
    sets("zookeeper.ssl.keystore.location", "registration.tls_certificate", Same),
    refused("zookeeper.ssl.keystore.type", &["PEM"], PEM_ONLY),
    nothing("zookeeper.ssl.keystore.password", Text, PEM_PASSWORD),
    sets("zookeeper.ssl.truststore.location", "registration.tls_ca", Same),
    refused("zookeeper.ssl.truststore.type", &["PEM"], PEM_ONLY),
    nothing("zookeeper.ssl.truststore.password", Text, PEM_PASSWORD),
    sets("zookeeper.ssl.endpoint.identification.algorithm", "registration.tls_verify_name", Words(&[("HTTPS", "true"), ("https", "true"), ("", "false")])),
    nothing("zookeeper.ssl.protocol", Text, TLS_FIXED),
    nothing("zookeeper.ssl.enabled.protocols", Text, TLS_FIXED),
    nothing("zookeeper.ssl.cipher.suites", Text, TLS_FIXED),
    refused("zookeeper.ssl.crl.enable", &["false"], NO_REVOCATION),
    refused("zookeeper.ssl.ocsp.enable", &["false"], NO_REVOCATION),
    refused("zookeeper.ssl.", &[], "this setting of TLS is not known"),
    sets("zookeeper.client.secure", "registration.tls", Same),
    sets("zookeeper.set.acl", "registration.set_acl", Same),
    refused("create.topic.policy.class.name", &[""], NO_JAVA),
    refused("alter.config.policy.class.name", &[""], NO_JAVA),
    refused("client.quota.callback.class", &[""], NO_JAVA),
    refused("config.providers", &[""], NO_PROVIDERS),
    refused("config.providers.", &[], NO_PROVIDERS),
    takes("listener.name.", Part::OneListener, "keys of TLS and logins (`listener.name.NAME.ssl.…`, `listener.name.NAME.MECHANISM.sasl.jaas.config`) set ours for that listener alone; others are refused"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_targets_exist() {
        for (index, row) in KAFKA_KEYS.iter().enumerate() {
            assert!(KAFKA_KEYS[..index].iter().all(|other| other.name != row.name), "{}", row.name);
            if let Meaning::Sets(ours, _) = row.meaning {
                assert!(keys::find(ours).is_some(), "{} sets {ours}", row.name);
            }
        }
    }

    #[test]
    fn a_family_is_found_by_its_prefix_and_an_exact_row_goes_first() {
        assert_eq!(find("sasl.kerberos.service.name").unwrap().name, "sasl.kerberos.");
        assert_eq!(find("ssl.client.auth").unwrap().name, "ssl.client.auth");
        assert_eq!(find("listener.name.internal.max.connections").unwrap().name, "listener.name.");
        assert!(find("log.dirz").is_none());
        assert!(find("ssl").is_none());
    }

    #[test]
    fn a_reason_is_one_sentence_without_its_full_stop() {
        for row in KAFKA_KEYS {
            if let Meaning::Nothing(_, why) = row.meaning {
                assert!(!why.contains(". ") && !why.ends_with('.'), "{}: {why}", row.name);
            }
        }
    }

    #[test]
    fn a_key_without_effect_is_still_checked() {
        assert_eq!(Int(1).check("0"), Err("a whole number from 1 up".to_owned()));
        assert_eq!(Int(1).check(" 8 "), Ok(()));
        assert!(Bool.check("yes").is_err());
        assert!(Number.check("NaN").is_err());
        assert_eq!(Number.check("1.7976931348623157E308"), Ok(()));
    }
}
