//! The configuration as typed, plain data.

use std::collections::BTreeMap;
use std::path::PathBuf;

use store::Durability;

use super::keys::KEYS;
use super::origin::{Notice, Origin};
use super::security::{Login, Scoped, Secret, Tls};

/// Everything that can be configured. Made by [`Config::load`](super::Config::load).
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Who this broker is.
    pub broker: Broker,
    /// Where the doors listen, resolved from [`Config::net`] and the sections of the doors: what the
    /// server opens.
    pub listeners: Vec<Listener>,
    /// Addresses.
    pub net: Net,
    /// The Kafka door.
    pub kafka: Kafka,
    /// The ZooKeeper door.
    pub zookeeper: Zookeeper,
    /// The MQTT door.
    pub mqtt: Mqtt,
    /// The AMQP door.
    pub amqp: Amqp,
    /// The STOMP door.
    pub stomp: Stomp,
    /// The HTTP door.
    pub http: Http,
    /// What the broker does about itself.
    pub observe: Observe,
    /// Registration in a ZooKeeper elsewhere.
    pub registration: Registration,
    /// The NATS door.
    pub nats: Nats,
    /// The CoAP door.
    pub coap: Coap,
    /// The gRPC door.
    pub grpc: Grpc,
    /// TLS, where a listener speaks it and says nothing else.
    pub tls: Tls,
    /// Logins, where a listener asks for them and says nothing else.
    pub login: Login,
    /// Sockets and connections.
    pub network: Network,
    /// Where and how data is kept.
    pub storage: Storage,
    /// What a topic has that does not say otherwise.
    pub topic: TopicDefaults,
    /// Consumer groups.
    pub group: Groups,
    /// Transactions and idempotent producers.
    pub transaction: Transactions,
    /// How usage is measured against quotas.
    pub quota: Quota,
    /// Who may do what.
    pub security: Security,
    /// Logging.
    pub log: Log,
    /// What the operator should be told at start.
    pub notices: Vec<Notice>,
    /// What was said for one listener alone, in rising rank.
    pub(crate) scoped: Vec<Scoped>,
    pub(crate) origins: BTreeMap<&'static str, Origin>,
}

/// Who this broker is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Broker {
    /// Its number in the cluster.
    pub id: i32,
    /// Where it stands, told to clients.
    pub rack: Option<String>,
}

/// Addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Net {
    /// The address on which doors listen unless a listener names its own.
    pub bind: String,
    /// Whether every listener asks for logins over TLS.
    pub secure: bool,
}

/// The Kafka door, as configured; see [`Config::listeners`] for the result.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kafka {
    /// The port of the only listener, when `listeners` is empty. 0: any free port.
    pub port: u16,
    /// `NAME://host:port` for each listener.
    pub listeners: Vec<String>,
    /// `NAME://host:port` for each listener that clients reach by another address.
    pub advertised_listeners: Vec<String>,
    /// `NAME:PROTOCOL` for each listener whose name is not itself a security protocol.
    pub listener_security: Vec<String>,
    /// Most bytes of records in one fetch response.
    pub fetch_max_bytes: usize,
    /// Fetch sessions kept.
    pub fetch_sessions: usize,
    /// Most bytes of metrics in one push of a client.
    pub telemetry_max_bytes: usize,
}

/// The ZooKeeper door.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Zookeeper {
    /// Whether the door is open at all.
    pub enabled: bool,
    /// Its port. 0: any free port.
    pub port: u16,
    /// `PLAINTEXT` or `SSL`.
    pub security: String,
    /// Shortest session time-out granted, in milliseconds.
    pub session_timeout_min_ms: i32,
    /// Longest session time-out granted, in milliseconds.
    pub session_timeout_max_ms: i32,
}

/// The MQTT door.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mqtt {
    /// Whether the door is open at all.
    pub enabled: bool,
    /// Its port. 0: any free port.
    pub port: u16,
    /// `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.
    pub security: String,
    /// Largest packet, in bytes.
    pub max_packet_bytes: usize,
    /// Messages that a client may send before they are acknowledged.
    pub receive_max: u16,
    /// Aliases of topics that a client may use.
    pub topic_alias_max: u16,
    /// The broker says under `$SYS` how it is doing so often, in seconds. 0: never.
    pub sys_interval: u64,
    /// The port for clients over WebSocket. 0: any free port. `None`: there is none.
    pub websocket_port: Option<u16>,
    /// The origins of pages that may connect; empty means all.
    pub websocket_origins: Vec<String>,
}

/// Registration in a ZooKeeper elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Registration {
    /// `host:port,host:port/path`; checked, as [`door_zookeeper::Servers::parse`] reads it. Empty:
    /// nowhere.
    pub zookeeper: String,
    /// Whether to register at `zookeeper.port` of this machine if that is taken at start.
    pub if_port_taken: bool,
    /// The time-out to ask for, in milliseconds.
    pub session_timeout_ms: i32,
    /// How long an attempt to connect may take, in milliseconds.
    pub connect_timeout_ms: i32,
    /// `user:password` for access lists.
    pub digest: Option<Secret>,
    /// Whether only that user may change what is written.
    pub set_acl: bool,
    /// Whether to speak TLS with it.
    pub tls: bool,
    /// Authorities to trust, in PEM or its file's name. None: the system's.
    pub tls_ca: Option<String>,
    /// The certificate to show, in PEM or its file's name.
    pub tls_certificate: Option<String>,
    /// Its key, if it stands elsewhere.
    pub tls_key: Option<Secret>,
    /// Whether a server's certificate must be for the name that was connected to.
    pub tls_verify_name: bool,
}

/// The AMQP door.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Amqp {
    /// Whether the door is open at all.
    pub enabled: bool,
    /// Its port. 0: any free port.
    pub port: u16,
    /// The port for clients that begin with TLS. 0: any free port. `None`: there is none.
    pub tls_port: Option<u16>,
    /// `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.
    pub security: String,
    /// Largest frame, in bytes.
    pub max_frame_bytes: usize,
    /// Largest payload of a message, in bytes.
    pub max_message_bytes: usize,
    /// Channels of one connection.
    pub max_channels: u16,
    /// A peer is to say something so often, in seconds.
    pub heartbeat_seconds: u16,
    /// A delivery is to be acknowledged within so many milliseconds. 0: within any.
    pub consumer_timeout_ms: u64,
    /// Virtual hosts beside `/`.
    pub virtual_hosts: Vec<String>,
    /// The port of the management API. 0: any free port. `None`: there is none.
    pub management_port: Option<u16>,
}

/// The STOMP door.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stomp {
    /// Whether the door is open at all.
    pub enabled: bool,
    /// Its port. 0: any free port.
    pub port: u16,
    /// The port for clients that begin with TLS. 0: any free port. `None`: there is none.
    pub tls_port: Option<u16>,
    /// `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.
    pub security: String,
    /// Largest body of a frame, in bytes.
    pub max_message_bytes: usize,
    /// Whether a `host` that is no virtual host means `/`.
    pub any_host: bool,
    /// The port for clients over WebSocket. 0: any free port. `None`: there is none.
    pub websocket_port: Option<u16>,
    /// The origins of pages that may connect; empty means all.
    pub websocket_origins: Vec<String>,
}

/// The HTTP door.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Http {
    /// Its port. 0: any free port. `None`: it is shut.
    pub port: Option<u16>,
    /// `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.
    pub security: String,
    /// Largest body of a request, in bytes.
    pub max_body_bytes: usize,
    /// Metrics are shown to everybody who reaches the port, logins or not.
    pub open_metrics: bool,
}

/// What the broker does about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observe {
    /// It looks at everything once a second, and remembers an hour of it.
    pub watch: bool,
    /// Events are kept in the topic `_events`.
    pub events_topic: bool,
    /// Messages are followed whose trace is sampled.
    pub trace: bool,
    /// Whether the broker does something about what is wrong: `observe`, `suggest` or `auto`.
    pub remedies: String,
    /// The collector of OpenTelemetry that is told of them; empty: none.
    pub otlp_endpoint: String,
    /// Fields for it, such as those of a login.
    pub otlp_headers: Option<Secret>,
}

/// The NATS door.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Nats {
    /// Whether the door is open at all.
    pub enabled: bool,
    /// Its port. 0: any free port.
    pub port: u16,
    /// `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.
    pub security: String,
    /// Whether TLS comes before the server's first words, and not after them.
    pub tls_first: bool,
    /// Largest payload with its headers, in bytes.
    pub max_payload_bytes: usize,
    /// What may wait for one client, in bytes.
    pub max_pending_bytes: usize,
    /// A silent client is asked for a sign of life so often, in milliseconds.
    pub ping_interval_ms: u64,
    /// So many pings may go unanswered.
    pub ping_max: usize,
    /// What lets a client in by itself.
    pub token: Option<Secret>,
    /// The user that such a client is.
    pub token_user: String,
    /// `KEY` or `KEY=user` for each user with a key; checked.
    pub keys: Vec<String>,
    /// The port for clients over WebSocket. 0: any free port. `None`: there is none.
    pub websocket_port: Option<u16>,
    /// The origins of pages that may connect; empty means all.
    pub websocket_origins: Vec<String>,
    /// The port of the monitoring endpoints. 0: any free port. `None`: there is none.
    pub monitor_port: Option<u16>,
}

/// The gRPC door.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grpc {
    /// Whether the door is open at all.
    pub enabled: bool,
    /// Its port. 0: any free port.
    pub port: u16,
    /// `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.
    pub security: String,
    /// Largest message of the protocol, in bytes.
    pub max_message_bytes: usize,
    /// Calls of one connection at a time.
    pub max_calls: usize,
    /// A silent client is asked for a sign of life so often, in milliseconds, …
    pub keep_alive_interval_ms: u64,
    /// … and is gone when it gives none for so long.
    pub keep_alive_timeout_ms: u64,
    /// The origins of pages that may call; empty means all.
    pub web_origins: Vec<String>,
}

/// The CoAP door.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coap {
    /// Whether the door is open at all.
    pub enabled: bool,
    /// Its port, over TCP and UDP. 0: any free port.
    pub port: u16,
    /// `PLAINTEXT` or `SSL`; with the latter there is no UDP.
    pub security: String,
    /// Whether it listens to the groups of all CoAP nodes.
    pub multicast: bool,
    /// The port for clients over WebSocket. 0: any free port. `None`: there is none.
    pub websocket_port: Option<u16>,
    /// The origins of pages that may connect; empty means all.
    pub websocket_origins: Vec<String>,
    /// Largest body of a request, in bytes.
    pub max_body_bytes: usize,
    /// How long a responder may take, in milliseconds.
    pub request_timeout_ms: u64,
    /// Messages a second that one address may publish over UDP. 0: any number.
    pub publish_rate: usize,
    /// Whether clients show with the Echo option that they are where they say they are.
    pub echo: bool,
    /// Its port over DTLS. 0: any free port. `None`: there is none.
    pub dtls_port: Option<u16>,
    /// Keys of clients over DTLS: `NAME=HEX`, separated by commas.
    pub psk: Option<Secret>,
    /// The path of the collection of topics.
    pub collection: String,
    /// The number of the format of topics.
    pub pubsub_format: u16,
}

/// Sockets and connections.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    /// Threads that serve connections. 0: one for each processor.
    pub worker_threads: usize,
    /// Largest request, in bytes.
    pub request_max_bytes: usize,
    /// What all requests may take that are on their way in, in bytes; `None`: no limit.
    pub queued_request_bytes: Option<usize>,
    /// Size of a socket's send buffer in bytes (`SO_SNDBUF`); `None`: the system's choice.
    pub send_buffer_bytes: Option<usize>,
    /// Size of a socket's receive buffer in bytes (`SO_RCVBUF`); `None`: the system's choice.
    pub receive_buffer_bytes: Option<usize>,
    /// Connections waiting to be accepted, for each listener.
    pub listen_backlog: i32,
    /// Connections of all doors together.
    pub max_connections: usize,
    /// Connections that one address may have.
    pub max_connections_per_ip: usize,
    /// `ADDRESS:COUNT` for addresses that may have another number.
    pub max_connections_per_ip_overrides: Vec<String>,
    /// Connections accepted in a second.
    pub max_connection_rate: usize,
    /// A connection on which nothing happens for so long is closed, in milliseconds.
    /// `None`: never.
    pub connections_max_idle_ms: Option<u64>,
}

/// Where and how data is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Storage {
    /// The data folder.
    pub dir: PathBuf,
    /// How often old segments are looked for, in milliseconds.
    pub retention_check_interval_ms: u64,
    /// Whether topics that ask for it are compacted.
    pub cleaner_enable: bool,
    /// How long the cleaner rests when nothing is due, in milliseconds.
    pub cleaner_backoff_ms: u64,
    /// Most bytes of memory for the keys of a partition that is compacted.
    pub cleaner_dedupe_bytes: usize,
    /// Most bytes that the cleaner reads and writes a second. `None`: no limit.
    pub cleaner_io_bytes_per_second: Option<u64>,
    /// Most bytes of what waits for sessions, of all together.
    pub session_queue_bytes: u64,
}

/// What a topic has that does not say otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDefaults {
    /// Partitions of a topic created without a number of them.
    pub partitions: i32,
    /// Whether a topic is created when a client first names it.
    pub auto_create: bool,
    /// Whether clients may delete topics.
    pub delete_enable: bool,
    /// How long records are kept, in milliseconds. `None`: for ever.
    pub retention_ms: Option<u64>,
    /// How many bytes of a partition are kept. `None`: all.
    pub retention_bytes: Option<u64>,
    /// A segment is closed when it has so many bytes.
    pub segment_bytes: u64,
    /// A segment is closed when it is so old, in milliseconds.
    pub segment_ms: u64,
    /// Largest record batch, in bytes.
    pub max_message_bytes: usize,
    /// `max.decompressed.message.bytes`.
    pub max_decompressed_message_bytes: String,
    /// Which partition a message goes to whose producer chose none; checked, as
    /// [`broker::Partitioner::parse`] reads it.
    pub partitioner: String,
    /// When an append is acknowledged.
    pub durability: Durability,
    /// `cleanup.policy`, as a topic's own configuration has it. So are the others below; all are
    /// checked.
    pub cleanup_policy: String,
    /// `delete.retention.ms`.
    pub delete_retention_ms: String,
    /// `min.cleanable.dirty.ratio`.
    pub min_cleanable_dirty_ratio: String,
    /// `min.compaction.lag.ms`.
    pub min_compaction_lag_ms: String,
    /// `max.compaction.lag.ms`.
    pub max_compaction_lag_ms: String,
    /// `message.timestamp.type`.
    pub message_timestamp_type: String,
    /// `message.timestamp.before.max.ms`.
    pub message_timestamp_before_max_ms: String,
    /// `message.timestamp.after.max.ms`.
    pub message_timestamp_after_max_ms: String,
    /// `compression.type`.
    pub compression_type: String,
    /// `compression.gzip.level`.
    pub compression_gzip_level: String,
    /// `compression.zstd.level`.
    pub compression_zstd_level: String,
}

/// Consumer groups.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Groups {
    /// How long the first member of an empty group waits for others, in milliseconds.
    pub initial_rebalance_delay_ms: u64,
    /// Shortest session time-out that a member may ask for, in milliseconds.
    pub min_session_timeout_ms: i32,
    /// Longest session time-out that a member may ask for, in milliseconds.
    pub max_session_timeout_ms: i32,
    /// A member of a consumer group (KIP-848) is gone when not heard of for so long, in
    /// milliseconds.
    pub consumer_session_timeout_ms: u64,
    /// How often members of consumer groups are told to send heartbeats, in milliseconds.
    pub consumer_heartbeat_interval_ms: u64,
    /// Most members of one group.
    pub max_size: usize,
    /// A member of a share group (KIP-932) is gone when not heard of for so long, in milliseconds.
    pub share_session_timeout_ms: u64,
    /// How often members of share groups are told to send heartbeats, in milliseconds.
    pub share_heartbeat_interval_ms: u64,
    /// How long a consumer of a share group may keep a record, in milliseconds.
    pub share_record_lock_duration_ms: u64,
    /// How often a share group delivers a record at most.
    pub share_delivery_count_limit: u64,
    /// Most records of a partition that a share group has in flight.
    pub share_partition_max_record_locks: u64,
    /// What single groups may set at least and at most.
    pub bounds: GroupBounds,
    /// Most members of one share group.
    pub share_max_size: usize,
    /// Most share sessions of all share groups.
    pub share_max_sessions: usize,
    /// What the name of a topic for dead letters begins with.
    pub dead_letter_topic_prefix: String,
    /// Whether such a topic is made when a record needs it.
    pub dead_letter_auto_create: bool,
    /// How long the offsets of an empty group are kept, in minutes.
    pub offsets_retention_minutes: u64,
}

/// The least and the most that a group may set for itself, as Kafka's `group.share.min.…` and
/// `group.share.max.…`. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupBounds {
    /// `consumer.session.timeout.ms`.
    pub consumer_session: (u64, u64),
    /// `consumer.heartbeat.interval.ms`.
    pub consumer_heartbeat: (u64, u64),
    /// `share.session.timeout.ms`.
    pub share_session: (u64, u64),
    /// `share.heartbeat.interval.ms`.
    pub share_heartbeat: (u64, u64),
    /// `share.record.lock.duration.ms`.
    pub share_lock: (u64, u64),
    /// `share.delivery.count.limit`.
    pub share_deliveries: (u64, u64),
    /// `share.partition.max.record.locks`.
    pub share_window: (u64, u64),
}

/// Transactions and idempotent producers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transactions {
    /// Longest time-out that a transactional producer may ask for, in milliseconds.
    pub max_timeout_ms: u64,
    /// A transactional id that is not used for so long is forgotten, in milliseconds.
    pub id_expiration_ms: u64,
    /// An idempotent producer that is not heard of for so long is forgotten, in milliseconds.
    pub producer_expiration_ms: u64,
}

/// How usage is measured against quotas.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quota {
    /// Rates are means over so many windows.
    pub windows: u64,
    /// The length of one, in seconds.
    pub window_seconds: u64,
    /// Changes of so many windows may be made at once.
    pub mutation_windows: u64,
    /// The length of one, in seconds.
    pub mutation_window_seconds: u64,
}

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Security {
    /// Whether access rules are enforced.
    pub authorize: bool,
    /// Principals that may do everything; checked.
    pub super_users: Vec<String>,
    /// Whether everybody may do everything with what no rule names.
    pub allow_if_no_rule: bool,
}

/// Logging.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    /// A level (`error`, `warn`, `info`, `debug`, `trace`) or filter directives such as
    /// `info,store=debug`.
    pub level: String,
}

/// Which protocol a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Kafka's.
    Kafka,
    /// ZooKeeper's.
    Zookeeper,
    /// AMQP 0-9-1.
    Amqp,
    /// The same, for clients that begin with TLS.
    AmqpTls,
    /// RabbitMQ's management API, over HTTP.
    AmqpManagement,
    /// HTTP.
    Http,
    /// MQTT.
    Mqtt,
    /// MQTT over WebSocket.
    MqttWebsocket,
    /// That of NATS.
    Nats,
    /// That of NATS, over WebSocket.
    NatsWebsocket,
    /// What a NATS server shows to those who watch it, over HTTP.
    NatsMonitor,
    /// STOMP.
    Stomp,
    /// The same, for clients that begin with TLS.
    StompTls,
    /// STOMP over WebSocket.
    StompWebsocket,
    /// CoAP, over TCP and UDP.
    Coap,
    /// CoAP over WebSocket.
    CoapWebsocket,
    /// gRPC, and gRPC-Web.
    Grpc,
}

impl Door {
    /// The key that says on which port it listens.
    pub fn port_key(self) -> &'static str {
        match self {
            Self::Kafka => "kafka.port",
            Self::Zookeeper => "zookeeper.port",
            Self::Amqp => "amqp.port",
            Self::AmqpTls => "amqp.tls_port",
            Self::AmqpManagement => "amqp.management_port",
            Self::Http => "http.port",
            Self::Mqtt => "mqtt.port",
            Self::MqttWebsocket => "mqtt.websocket_port",
            Self::Nats => "nats.port",
            Self::NatsWebsocket => "nats.websocket_port",
            Self::NatsMonitor => "nats.monitor_port",
            Self::Stomp => "stomp.port",
            Self::StompTls => "stomp.tls_port",
            Self::StompWebsocket => "stomp.websocket_port",
            Self::Coap => "coap.port",
            Self::CoapWebsocket => "coap.websocket_port",
            Self::Grpc => "grpc.port",
        }
    }
}

/// One address on which a door listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its name, such as `PLAINTEXT`.
    pub name: String,
    /// What it speaks.
    pub door: Door,
    /// The security protocol: `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.
    pub security: String,
    /// TLS, if it speaks that.
    pub tls: Option<Tls>,
    /// Logins, if it asks for them.
    pub login: Option<Login>,
    /// The host name or address to bind.
    pub host: String,
    /// The port to bind. 0: any free port.
    pub port: u16,
    /// The host that clients are told to connect to.
    pub advertised_host: String,
    /// The port that clients are told to connect to. 0: the port that was bound.
    pub advertised_port: u16,
}

impl Listener {
    /// Whether only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl Config {
    /// Where the value of one of our keys came from. `Origin::Default` for a key that does not
    /// exist.
    pub fn origin(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&Origin::Default)
    }

    /// The defaults, before any source is read. `storage.dir` is empty: it depends on the
    /// environment.
    pub(crate) fn defaults() -> Self {
        let mut config = Self {
            broker: Broker::default(),
            listeners: Vec::new(),
            net: Net::default(),
            kafka: Kafka::default(),
            zookeeper: Zookeeper::default(),
            mqtt: Mqtt::default(),
            amqp: Amqp::default(),
            stomp: Stomp::default(),
            http: Http::default(),
            observe: Observe::default(),
            registration: Registration::default(),
            nats: Nats::default(),
            coap: Coap::default(),
            grpc: Grpc::default(),
            tls: Tls::default(),
            login: Login::default(),
            network: Network::default(),
            storage: Storage::default(),
            topic: TopicDefaults::empty(),
            group: Groups::default(),
            transaction: Transactions::default(),
            quota: Quota::default(),
            security: Security::default(),
            log: Log::default(),
            notices: Vec::new(),
            scoped: Vec::new(),
            origins: BTreeMap::new(),
        };
        for key in KEYS {
            // A default that its own key refuses is caught by a test.
            let _ = key.set(&mut config, key.default);
        }
        config
    }
}

impl TopicDefaults {
    /// Before the defaults of the keys are set.
    fn empty() -> Self {
        Self {
            partitions: 0,
            auto_create: false,
            delete_enable: false,
            retention_ms: None,
            retention_bytes: None,
            segment_bytes: 0,
            segment_ms: 0,
            max_message_bytes: 0,
            max_decompressed_message_bytes: String::new(),
            partitioner: String::new(),
            durability: Durability::Fsync,
            cleanup_policy: String::new(),
            delete_retention_ms: String::new(),
            min_cleanable_dirty_ratio: String::new(),
            min_compaction_lag_ms: String::new(),
            max_compaction_lag_ms: String::new(),
            message_timestamp_type: String::new(),
            message_timestamp_before_max_ms: String::new(),
            message_timestamp_after_max_ms: String::new(),
            compression_type: String::new(),
            compression_gzip_level: String::new(),
            compression_zstd_level: String::new(),
        }
    }

    /// The defaults under the names that a topic's own configuration uses.
    pub fn as_topic_config(&self) -> BTreeMap<String, String> {
        fn limit(value: Option<u64>) -> String {
            value.map_or_else(|| "-1".to_owned(), |value| value.to_string())
        }
        [
            ("retention.ms", limit(self.retention_ms)),
            ("retention.bytes", limit(self.retention_bytes)),
            ("segment.bytes", self.segment_bytes.to_string()),
            ("segment.ms", self.segment_ms.to_string()),
            ("max.message.bytes", self.max_message_bytes.to_string()),
            ("max.decompressed.message.bytes", self.max_decompressed_message_bytes.clone()),
            ("entrepot.partitioner", self.partitioner.clone()),
            ("entrepot.durability", durability_word(self.durability).to_owned()),
            ("cleanup.policy", self.cleanup_policy.clone()),
            ("delete.retention.ms", self.delete_retention_ms.clone()),
            ("min.cleanable.dirty.ratio", self.min_cleanable_dirty_ratio.clone()),
            ("min.compaction.lag.ms", self.min_compaction_lag_ms.clone()),
            ("max.compaction.lag.ms", self.max_compaction_lag_ms.clone()),
            ("message.timestamp.type", self.message_timestamp_type.clone()),
            ("message.timestamp.before.max.ms", self.message_timestamp_before_max_ms.clone()),
            ("message.timestamp.after.max.ms", self.message_timestamp_after_max_ms.clone()),
            ("compression.type", self.compression_type.clone()),
            ("compression.gzip.level", self.compression_gzip_level.clone()),
            ("compression.zstd.level", self.compression_zstd_level.clone()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }
}

/// The values of `topic.durability`.
pub(crate) const DURABILITIES: [(&str, Durability); 3] =
    [("fsync", Durability::Fsync), ("os", Durability::Os), ("memory", Durability::Memory)];

/// The word by which a durability is configured.
pub(crate) fn durability_word(durability: Durability) -> &'static str {
    DURABILITIES.iter().find(|(_, value)| *value == durability).map_or("fsync", |(word, _)| word)
}
