//! Building the parts of a broker from its configuration.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use base::{BrokerId, Clock, Principal, Random};
use broker::access::AccessOptions;
use broker::metadata::Endpoint;
use broker::observing::ObserveOptions;
use broker::quotas::{NewConnections, QuotaOptions};
use broker::settings::Settings;
use broker::topic_config::counts;
use broker::{Broker, BrokerOptions};
use door::tls::Pem;
use door::tls::client::ClientOptions;
use door::{
    Bounds, ConnectionLimit, DatagramOptions, Door, Listener, ListenerOptions, Pace, RequestRoom,
    WebSocketOptions,
};
use door_amqp::{AmqpDoor, AmqpDoorOptions, AmqpManagement};
use door_coap::{CoapDoor, CoapDoorOptions, CoapUdp, PskKeys};
use door_grpc::{GrpcDoor, GrpcDoorOptions};
use door_http::{HttpDoor, HttpDoorOptions};
use door_kafka::{KafkaDoor, KafkaDoorOptions};
use door_mqtt::{MqttDoor, MqttDoorOptions};
use door_nats::{Keys, NatsDoor, NatsDoorOptions, NatsMonitor, Token};
use door_stomp::{StompDoor, StompDoorOptions};
use door_zookeeper::{RegistrationOptions, Servers, ZooKeeperDoor};
use store::{CleanerOptions, StoreOptions};

use crate::config::{self, Config};
use crate::otlp::Target;
use crate::run::RunError;

/// A socket that is bound, and what is to be spoken on it.
pub(crate) struct Bound {
    pub(crate) listener: Listener,
    pub(crate) config: config::Listener,
    /// The same port over UDP, where the protocol is spoken over both.
    pub(crate) udp: Option<CoapUdp>,
}

/// Binds every configured listener. Nothing is accepted yet; clients wait in the backlog. The
/// ZooKeeper door's is left out where its port is taken and that was foreseen.
pub(crate) fn bind(config: &Config) -> Result<Vec<Bound>, RunError> {
    let bind = |listener: &config::Listener| {
        let failed = |source| RunError::Bind {
            name: listener.name.clone(),
            key: listener.door.port_key(),
            address: format!("{}:{}", listener.host, listener.port),
            source,
        };
        let options = ListenerOptions {
            backlog: u32::try_from(config.network.listen_backlog).unwrap_or(0),
            send_buffer: buffer(config.network.send_buffer_bytes),
            receive_buffer: buffer(config.network.receive_buffer_bytes),
            ..ListenerOptions::new(&listener.name, resolve(listener).map_err(failed)?)
        };
        let (bound, udp) = bind_both(config, listener, &options).map_err(failed)?;
        Ok(Bound { listener: bound, config: listener.clone(), udp })
    };
    let mut all = Vec::with_capacity(config.listeners.len());
    for listener in &config.listeners {
        match bind(listener) {
            Err(RunError::Bind { source, .. })
                if listener.door == config::Door::Zookeeper
                    && config.registration.if_port_taken
                    && source.kind() == std::io::ErrorKind::AddrInUse => {}
            bound => all.push(bound?),
        }
    }
    Ok(all)
}

/// Where this broker is to register beside its own ZooKeeper door, if anywhere.
pub(crate) fn registration(config: &Config, bound: &[Bound]) -> Option<RegistrationOptions> {
    let registration = &config.registration;
    let is_zookeeper = |door| door == config::Door::Zookeeper;
    let wanted = config.listeners.iter().find(|listener| is_zookeeper(listener.door));
    let opened = bound.iter().any(|bound| is_zookeeper(bound.config.door));
    let servers = match wanted.filter(|_| !opened && registration.zookeeper.is_empty()) {
        Some(listener) => {
            let port = listener.port;
            tracing::warn!(
                "port {port} is taken, by a ZooKeeper as it seems: the ZooKeeper door stays shut, \
                 and this broker registers there"
            );
            format!("localhost:{port}")
        }
        None => registration.zookeeper.clone(),
    };
    let millis = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    Some(RegistrationOptions {
        // What is none was refused when the configuration was read.
        servers: Servers::parse(&servers).ok()?,
        session_timeout: millis(registration.session_timeout_ms),
        connect_timeout: millis(registration.connect_timeout_ms),
        credentials: registration.digest.as_ref().map(|digest| digest.0.clone()),
        restrict: registration.set_acl,
        tls: registration.tls.then(|| registration_tls(config)),
    })
}

/// How a ZooKeeper elsewhere is spoken with over TLS.
fn registration_tls(config: &Config) -> ClientOptions {
    let registration = &config.registration;
    let key = registration.tls_key.as_ref().map(|key| Pem::new(&key.0));
    ClientOptions {
        authorities: registration.tls_ca.as_deref().map(Pem::new),
        identity: registration.tls_certificate.as_deref().map(|text| (Pem::new(text), key)),
        verify_name: registration.tls_verify_name,
    }
}

fn buffer(bytes: Option<usize>) -> Option<u32> {
    bytes.map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX))
}

fn resolve(listener: &config::Listener) -> std::io::Result<SocketAddr> {
    let host = if listener.host.is_empty() { "0.0.0.0" } else { &listener.host };
    let unknown = || std::io::Error::new(std::io::ErrorKind::NotFound, "the host has no address");
    let mut addresses: Vec<_> = (host, listener.port).to_socket_addrs()?.collect();
    // The same choice every time where a name has several: the older family first, which is what
    // clients of `localhost` try.
    addresses.sort_by_key(|address| !address.is_ipv4());
    addresses.first().copied().ok_or_else(unknown)
}

/// Where clients reach what is bound.
pub(crate) fn endpoints(bound: &[Bound]) -> Vec<Endpoint> {
    let kafka = bound.iter().filter(|bound| bound.config.door == config::Door::Kafka);
    let endpoint = |bound: &Bound| Endpoint {
        listener: bound.config.name.clone(),
        security: bound.config.security.clone(),
        host: bound.config.advertised_host.clone(),
        port: match bound.config.advertised_port {
            0 => bound.listener.local_address().port(),
            port => port,
        },
    };
    kafka.map(endpoint).collect()
}

pub(crate) fn store_options(config: &Config) -> StoreOptions {
    StoreOptions {
        retention_interval: Duration::from_millis(config.storage.retention_check_interval_ms),
        cleaner: CleanerOptions {
            enabled: config.storage.cleaner_enable,
            backoff: Duration::from_millis(config.storage.cleaner_backoff_ms),
            table_bytes: config.storage.cleaner_dedupe_bytes,
            bytes_per_second: config.storage.cleaner_io_bytes_per_second,
        },
        producer_expiry_ms: i64::try_from(config.transaction.producer_expiration_ms)
            .unwrap_or(i64::MAX),
        ..StoreOptions::new(&config.storage.dir)
    }
}

pub(crate) fn broker_options(
    config: &Config,
    endpoints: Vec<Endpoint>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> BrokerOptions {
    let group = &config.group;
    let millis = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    BrokerOptions {
        id: BrokerId(config.broker.id),
        endpoints,
        rack: config.broker.rack.clone(),
        data_dir: config.storage.dir.display().to_string(),
        session_queue_bytes_max: config.storage.session_queue_bytes,
        auto_create_topics: config.topic.auto_create,
        delete_topics: config.topic.delete_enable,
        default_partitions: config.topic.partitions,
        topic_defaults: topic_defaults(&config.topic),
        groups: broker::queue::Config {
            initial_rebalance_delay: millis(group.initial_rebalance_delay_ms),
            session_timeout_min: group.min_session_timeout_ms.into(),
            session_timeout_max: group.max_session_timeout_ms.into(),
            consumer_session_timeout: millis(group.consumer_session_timeout_ms),
            consumer_heartbeat_interval: millis(group.consumer_heartbeat_interval_ms),
            group_members_max: group.max_size,
            offsets_retention: millis(group.offsets_retention_minutes.saturating_mul(60_000)),
            ..broker::queue::Config::default()
        },
        groups_topic: Some(Arc::new(door_kafka::ConsumerOffsets)),
        group_defaults: group_defaults(group),
        group_bounds: group_bounds(&group.bounds),
        share_members_max: group.share_max_size,
        dead_letter_prefix: group.dead_letter_topic_prefix.clone(),
        auto_create_dead_letter_topics: group.dead_letter_auto_create,
        transactions: broker::queue::transactions::TxnConfig {
            timeout_max: millis(config.transaction.max_timeout_ms),
            id_expiry: millis(config.transaction.id_expiration_ms),
            ..broker::queue::transactions::TxnConfig::default()
        },
        access: access(config),
        quotas: quotas(&config.quota),
        settings: Vec::new(),
        loggers: Arc::new(broker::loggers::NoLoggers),
        clock,
        random,
    }
}

/// Where every listener asks for logins, rules are enforced too, and the first user is a super
/// user, unless the configuration says otherwise.
fn access(config: &Config) -> AccessOptions {
    let security = &config.security;
    let is_said = |key: &str| *config.origin(key) != config::Origin::Default;
    let enforce = match is_said("security.authorize") {
        true => security.authorize,
        false => security.authorize || config.net.secure,
    };
    // Names that are none were refused when the configuration was read.
    let named = security.super_users.iter().filter_map(|name| Principal::parse(name));
    let mut super_users: Vec<_> = named.collect();
    if config.net.secure && !is_said("security.super_users") {
        super_users.push(Principal::user(&config.login.admin_user));
    }
    AccessOptions { enforce, super_users, allow_if_no_rule: security.allow_if_no_rule }
}

/// The groups of all CoAP nodes (RFC 7252 §12.8): of IPv4, and of IPv6 on the link.
const COAP_GROUPS: [IpAddr; 2] = [
    IpAddr::V4(std::net::Ipv4Addr::new(224, 0, 1, 187)),
    IpAddr::V6(std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfd)),
];

/// How often a free port is looked for that is free over UDP, too.
const PORTS_TRIED: usize = 16;

/// Binds a listener over TCP, and over UDP where its protocol is spoken over both.
fn bind_both(
    config: &Config,
    listener: &config::Listener,
    options: &ListenerOptions,
) -> std::io::Result<(Listener, Option<CoapUdp>)> {
    let mut tried = 1;
    loop {
        let bound = Listener::bind(options)?;
        match datagrams(config, listener, bound.local_address()).transpose() {
            Ok(udp) => return Ok((bound, udp)),
            // Any port will do, but for this one.
            Err(error)
                if listener.port == 0
                    && error.kind() == std::io::ErrorKind::AddrInUse
                    && tried < PORTS_TRIED =>
            {
                tried += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Binds a listener's port over UDP, too, if its protocol is spoken over that, and in the clear.
fn datagrams(
    config: &Config,
    listener: &config::Listener,
    address: SocketAddr,
) -> Option<std::io::Result<CoapUdp>> {
    if listener.door != config::Door::Coap || listener.security != "PLAINTEXT" {
        return None;
    }
    let groups = match config.coap.multicast && !listener.is_loopback() {
        true => COAP_GROUPS.to_vec(),
        false => Vec::new(),
    };
    let sockets = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let receive_buffer = buffer(config.network.receive_buffer_bytes);
    Some(CoapUdp::bind(&DatagramOptions { address, sockets, groups, receive_buffer }))
}

/// The CoAP door's socket for DTLS, and the keys of its clients, if it has one.
pub(crate) fn coap_dtls(config: &Config) -> Result<Option<(CoapUdp, PskKeys)>, RunError> {
    let coap = &config.coap;
    let Some(port) = coap.dtls_port.filter(|_| coap.enabled) else { return Ok(None) };
    // What is none was refused when the configuration was read.
    let keys = coap.psk.as_ref().and_then(|keys| PskKeys::parse(&keys.0).ok()).unwrap_or_default();
    let failed = |source| RunError::Bind {
        name: "COAP_DTLS".to_owned(),
        key: "coap.dtls_port",
        address: format!("{}:{port}", config.net.bind),
        source,
    };
    let mut addresses = (config.net.bind.as_str(), port).to_socket_addrs().map_err(failed)?;
    let none = || std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    let address = addresses.next().ok_or_else(none).map_err(failed)?;
    let sockets = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let options = DatagramOptions { sockets, ..DatagramOptions::new(address) };
    let socket = CoapUdp::bind(&options).map_err(failed)?;
    tracing::info!(address = %socket.local_address(), keys = keys.0.len(), "CoAP over DTLS");
    Ok(Some((socket, keys)))
}

/// What requests may take that are on their way in, of all listeners together.
pub(crate) fn request_room(config: &Config) -> RequestRoom {
    /// What a message of the NATS door takes besides its payload: a control line.
    const LINE_BYTES_MAX: usize = 8 * 1024;
    let network = &config.network;
    let largest = network.request_max_bytes.max(config.nats.max_payload_bytes + LINE_BYTES_MAX);
    // A connection may have a little more than two messages that are not all there.
    let largest = largest.max(2 * config.amqp.max_message_bytes + config.amqp.max_frame_bytes);
    // Headers are bounded by much less than what a body may have besides.
    let largest = largest.max(2 * config.stomp.max_message_bytes);
    // What is read of a call beyond the end of a message belongs to the next one.
    let largest = largest.max(2 * config.grpc.max_message_bytes);
    let room = |bytes: usize| RequestRoom::new(bytes.max(largest));
    network.queued_request_bytes.map_or_else(RequestRoom::unlimited, room)
}

/// How many connections there may be, and how fast they may come.
pub(crate) fn connection_limit(
    config: &Config,
    broker: &Broker,
) -> Result<ConnectionLimit, RunError> {
    let network = &config.network;
    // The largest that can be configured means that there is no bound.
    let rate = u32::try_from(network.max_connection_rate).ok().filter(|r| *r < i32::MAX as u32);
    let pace = ConnectionPace(broker.new_connections(rate.map(f64::from)));
    let (bounds, unknown) = bounds(network, &broker.settings());
    // What was changed while the broker ran must not keep it from starting.
    let is_given = broker.settings().connections.overrides.is_none();
    if let Some((host, source)) = unknown.into_iter().next().filter(|_| is_given) {
        return Err(RunError::Override { host, source });
    }
    Ok(ConnectionLimit::within(bounds).with_pace(Arc::new(pace)))
}

/// The bounds on connections, as they are now, and the hosts among them that have no address.
fn bounds(
    network: &config::Network,
    settings: &Settings,
) -> (Bounds, Vec<(String, std::io::Error)>) {
    let now = &settings.connections;
    let given = network.max_connections_per_ip_overrides.join(",");
    // What is not of this form was refused when it was set.
    let given = || {
        let counts = counts(&given).unwrap_or_default().into_iter();
        counts.map(|(host, count)| (host.to_owned(), count)).collect()
    };
    let (mut overrides, mut unknown) = (HashMap::new(), Vec::new());
    for (host, count) in now.overrides.clone().unwrap_or_else(given) {
        match (host.as_str(), 0).to_socket_addrs() {
            Ok(addresses) => overrides.extend(addresses.map(|address| (address.ip(), count))),
            Err(error) => unknown.push((host, error)),
        }
    }
    let bounds = Bounds {
        max: now.max.unwrap_or(network.max_connections),
        per_address: now.per_address.unwrap_or(network.max_connections_per_ip),
        overrides,
    };
    (bounds, unknown)
}

/// Has the bounds on connections follow what is changed while the broker runs.
pub(crate) async fn follow_bounds(
    network: config::Network,
    broker: Broker,
    limit: ConnectionLimit,
) {
    let mut changes = broker.watch_settings();
    loop {
        let settings = Arc::clone(&changes.borrow_and_update());
        let network = network.clone();
        // Names of hosts are looked up, which may take its time.
        let made = tokio::task::spawn_blocking(move || bounds(&network, &settings)).await;
        if let Ok((bounds, unknown)) = made {
            for (host, error) in unknown {
                tracing::warn!(%host, %error, "has no bound on its connections: it has no address");
            }
            limit.set(bounds);
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// The broker's measure of new connections, as listeners ask for it.
#[derive(Debug)]
struct ConnectionPace(NewConnections);

impl Pace for ConnectionPace {
    fn pause(&self) -> Duration {
        self.0.accepted()
    }

    fn admit(&self, address: IpAddr) -> Result<(), Duration> {
        self.0.admit(address)
    }
}

fn quotas(quota: &config::Quota) -> QuotaOptions {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    QuotaOptions {
        windows: number(quota.windows),
        window_ms: number(quota.window_seconds.saturating_mul(1000)),
        mutation_windows: number(quota.mutation_windows),
        mutation_window_ms: number(quota.mutation_window_seconds.saturating_mul(1000)),
    }
}

/// The defaults for topics under the topic's own keys; what equals the built-in default is left
/// out, so that tools show it as such.
fn topic_defaults(topic: &config::TopicDefaults) -> BTreeMap<String, String> {
    let differs = |name: &String, value: &mut String| {
        broker::topic_config::ConfigKey::find(name).is_none_or(|key| key.default != value)
    };
    let mut defaults = topic.as_topic_config();
    defaults.retain(differs);
    defaults
}

/// The defaults for groups under the group's own keys, as for topics.
fn group_defaults(group: &config::Groups) -> BTreeMap<String, String> {
    let defaults = [
        ("consumer.session.timeout.ms", group.consumer_session_timeout_ms),
        ("consumer.heartbeat.interval.ms", group.consumer_heartbeat_interval_ms),
        ("share.session.timeout.ms", group.share_session_timeout_ms),
        ("share.heartbeat.interval.ms", group.share_heartbeat_interval_ms),
        ("share.record.lock.duration.ms", group.share_record_lock_duration_ms),
        ("share.delivery.count.limit", group.share_delivery_count_limit),
        ("share.partition.max.record.locks", group.share_partition_max_record_locks),
    ];
    let defaults = defaults.map(|(name, value)| (name.to_owned(), value.to_string()));
    let differs = |(name, value): &(String, String)| {
        broker::group_config::find(name).is_none_or(|key| key.default != value)
    };
    defaults.into_iter().filter(differs).collect()
}

/// What groups may set, under their own keys.
fn group_bounds(bounds: &config::GroupBounds) -> broker::group_config::Bounds {
    let wide = |(least, most): (u64, u64)| {
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        number(least)..=number(most)
    };
    BTreeMap::from([
        ("consumer.session.timeout.ms", wide(bounds.consumer_session)),
        ("consumer.heartbeat.interval.ms", wide(bounds.consumer_heartbeat)),
        ("share.session.timeout.ms", wide(bounds.share_session)),
        ("share.heartbeat.interval.ms", wide(bounds.share_heartbeat)),
        ("share.record.lock.duration.ms", wide(bounds.share_lock)),
        ("share.delivery.count.limit", wide(bounds.share_deliveries)),
        ("share.partition.max.record.locks", wide(bounds.share_window)),
    ])
}

fn nats_options(config: &Config) -> NatsDoorOptions {
    let nats = &config.nats;
    let token = nats
        .token
        .as_ref()
        .map(|secret| Token { secret: secret.0.clone(), user: nats.token_user.clone() });
    NatsDoorOptions {
        server_name: format!("entrepot-{}", config.broker.id),
        payload_bytes_max: nats.max_payload_bytes,
        pending_bytes_max: nats.max_pending_bytes,
        ping_interval: Duration::from_millis(nats.ping_interval_ms),
        pings_out_max: u32::try_from(nats.ping_max).unwrap_or(u32::MAX),
        token,
        // What is none was refused when the configuration was read.
        keys: Keys::parse(nats.keys.iter().map(String::as_str)).unwrap_or_default(),
    }
}

/// How some listeners differ from others: in when TLS begins, and in WebSocket.
pub(crate) fn adapt(listener: Listener, door: config::Door, config: &Config) -> Listener {
    match door {
        config::Door::Nats if !config.nats.tls_first => listener.with_tls_later(),
        config::Door::MqttWebsocket => listener.with_websocket(WebSocketOptions {
            // MQTT 3.1.1 §6; the other is what clients of 3.1 say.
            protocols: vec!["mqtt".to_owned(), "mqttv3.1".to_owned()],
            origins: config.mqtt.websocket_origins.clone(),
            ..WebSocketOptions::default()
        }),
        config::Door::NatsWebsocket => listener.with_websocket(WebSocketOptions {
            origins: config.nats.websocket_origins.clone(),
            accepts_text: true,
            ..WebSocketOptions::default()
        }),
        config::Door::StompWebsocket => listener.with_websocket(WebSocketOptions {
            protocols: ["v12.stomp", "v11.stomp", "v10.stomp"].map(str::to_owned).to_vec(),
            origins: config.stomp.websocket_origins.clone(),
            // Browsers' clients write frames as text.
            accepts_text: true,
            ..WebSocketOptions::default()
        }),
        config::Door::CoapWebsocket => listener.with_websocket(WebSocketOptions {
            // RFC 8323 §8.3.
            protocols: vec!["coap".to_owned()],
            origins: config.coap.websocket_origins.clone(),
            delimited: true,
            ..WebSocketOptions::default()
        }),
        _ => listener,
    }
}

/// The doors of a broker, each made once however many listeners lead to it.
pub(crate) struct Doors {
    kafka: Arc<KafkaDoor>,
    zookeeper: Arc<ZooKeeperDoor>,
    amqp: Arc<AmqpDoor>,
    amqp_management: Arc<AmqpManagement>,
    http: Arc<HttpDoor>,
    mqtt: Arc<MqttDoor>,
    nats: Arc<NatsDoor>,
    nats_monitor: Arc<NatsMonitor>,
    stomp: Arc<StompDoor>,
    pub(crate) coap: Arc<CoapDoor>,
    grpc: Arc<GrpcDoor>,
}

impl Doors {
    pub(crate) fn new(config: &Config, broker: &Broker) -> Self {
        let options = KafkaDoorOptions {
            request_bytes_max: config.network.request_max_bytes,
            fetch_bytes_max: config.kafka.fetch_max_bytes,
            fetch_session_slots: config.kafka.fetch_sessions,
            share_sessions_max: config.group.share_max_sessions,
            telemetry_bytes_max: config.kafka.telemetry_max_bytes,
            idle: config.network.connections_max_idle_ms.map(Duration::from_millis),
        };
        let BrokerOptions { clock, random, .. } = broker.options();
        let zookeeper = ZooKeeperDoor::new(
            broker.watch_metadata(),
            broker.registry(),
            Arc::clone(clock),
            Arc::clone(random),
        );
        let timeouts = &config.zookeeper;
        let zookeeper = zookeeper.with_session_timeouts(
            timeouts.session_timeout_min_ms..=timeouts.session_timeout_max_ms,
        );
        let amqp = AmqpDoor::new(broker.clone(), amqp_options(&config.amqp));
        let nats = NatsDoor::new(broker.clone(), nats_options(config));
        Self {
            kafka: Arc::new(KafkaDoor::new(broker.clone(), options)),
            zookeeper: Arc::new(zookeeper),
            amqp_management: Arc::new(amqp.management()),
            amqp: Arc::new(amqp),
            http: Arc::new(HttpDoor::new(broker.clone(), http_options(config))),
            mqtt: Arc::new(MqttDoor::new(broker.clone(), mqtt_options(&config.mqtt))),
            nats_monitor: Arc::new(nats.monitor()),
            nats: Arc::new(nats),
            stomp: Arc::new(StompDoor::new(broker.clone(), stomp_options(config))),
            coap: Arc::new(CoapDoor::new(broker.clone(), coap_options(&config.coap))),
            grpc: Arc::new(GrpcDoor::new(broker.clone(), grpc_options(&config.grpc))),
        }
    }

    pub(crate) fn get(&self, door: config::Door) -> Arc<dyn Door> {
        match door {
            config::Door::Kafka => Arc::clone(&self.kafka) as Arc<dyn Door>,
            config::Door::Zookeeper => Arc::clone(&self.zookeeper) as Arc<dyn Door>,
            config::Door::Amqp | config::Door::AmqpTls => Arc::clone(&self.amqp) as Arc<dyn Door>,
            config::Door::AmqpManagement => Arc::clone(&self.amqp_management) as Arc<dyn Door>,
            config::Door::Mqtt | config::Door::MqttWebsocket => {
                Arc::clone(&self.mqtt) as Arc<dyn Door>
            }
            config::Door::Nats | config::Door::NatsWebsocket => {
                Arc::clone(&self.nats) as Arc<dyn Door>
            }
            config::Door::Http => Arc::clone(&self.http) as Arc<dyn Door>,
            config::Door::NatsMonitor => Arc::clone(&self.nats_monitor) as Arc<dyn Door>,
            config::Door::Stomp | config::Door::StompTls | config::Door::StompWebsocket => {
                Arc::clone(&self.stomp) as Arc<dyn Door>
            }
            config::Door::Coap | config::Door::CoapWebsocket => {
                Arc::clone(&self.coap) as Arc<dyn Door>
            }
            config::Door::Grpc => Arc::clone(&self.grpc) as Arc<dyn Door>,
        }
    }
}

/// What the broker does about itself.
pub(crate) fn observe_options(config: &Config) -> ObserveOptions {
    let config::Observe { watch, events_topic, trace, ref remedies, .. } = config.observe;
    // What is none was refused when the configuration was read.
    let remedies = remedies.parse().unwrap_or_default();
    ObserveOptions { watch, events_topic, trace, remedies }
}

/// The collector that is told of messages that are followed, if there is one.
pub(crate) fn otlp_target(config: &Config) -> Option<Target> {
    let config::Observe { otlp_endpoint, otlp_headers, .. } = &config.observe;
    let headers = otlp_headers.as_ref().map_or("", |headers| headers.0.as_str());
    // Checked when the configuration was read.
    Target::parse(otlp_endpoint, headers).ok().filter(|_| !otlp_endpoint.is_empty())
}

fn http_options(config: &Config) -> HttpDoorOptions {
    let http = &config.http;
    HttpDoorOptions { body_bytes_max: http.max_body_bytes, open_metrics: http.open_metrics }
}

fn amqp_options(amqp: &config::Amqp) -> AmqpDoorOptions {
    AmqpDoorOptions {
        frame_bytes_max: u32::try_from(amqp.max_frame_bytes).unwrap_or(u32::MAX),
        message_bytes_max: amqp.max_message_bytes,
        channels_max: amqp.max_channels.max(1),
        heartbeat_seconds: amqp.heartbeat_seconds,
        consumer_timeout: Duration::from_millis(amqp.consumer_timeout_ms),
        virtual_hosts: amqp.virtual_hosts.clone(),
        ..AmqpDoorOptions::default()
    }
}

fn stomp_options(config: &Config) -> StompDoorOptions {
    StompDoorOptions {
        message_bytes_max: config.stomp.max_message_bytes,
        virtual_hosts: config.amqp.virtual_hosts.clone(),
        any_host: config.stomp.any_host,
    }
}

fn grpc_options(grpc: &config::Grpc) -> GrpcDoorOptions {
    GrpcDoorOptions {
        message_bytes_max: grpc.max_message_bytes,
        calls_max: u32::try_from(grpc.max_calls).unwrap_or(u32::MAX),
        keep_alive_interval: Duration::from_millis(grpc.keep_alive_interval_ms),
        keep_alive_timeout: Duration::from_millis(grpc.keep_alive_timeout_ms),
        web_origins: grpc.web_origins.clone(),
    }
}

fn coap_options(coap: &config::Coap) -> CoapDoorOptions {
    CoapDoorOptions {
        collection: coap.collection.clone(),
        pubsub_format: coap.pubsub_format,
        body_bytes_max: coap.max_body_bytes,
        request_timeout: Duration::from_millis(coap.request_timeout_ms),
        echo: coap.echo,
        publish_rate: u32::try_from(coap.publish_rate).ok().and_then(std::num::NonZeroU32::new),
    }
}

fn mqtt_options(mqtt: &config::Mqtt) -> MqttDoorOptions {
    MqttDoorOptions {
        packet_bytes_max: mqtt.max_packet_bytes,
        receive_max: mqtt.receive_max.max(1),
        topic_alias_max: mqtt.topic_alias_max,
        sys_interval: match mqtt.sys_interval {
            0 => None,
            seconds => Some(Duration::from_secs(seconds)),
        },
    }
}
