//! From the keys about addresses to the list of listeners that the server opens.

use std::collections::BTreeMap;

use super::model::{Config, Door, Listener};
use super::origin::{ConfigError, Notice};
use super::security::{self, uses_login, uses_tls};

/// `NAME://host:port`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// The listener's name, in capitals: names are compared without regard to case.
    pub(crate) name: String,
    /// The host, without the brackets of an IPv6 address; may be empty.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
}

const ADDRESS: &str = "NAME://host:port, such as PLAINTEXT://127.0.0.1:9092";
const ANY_HOST: &str = "0.0.0.0";
const PROTOCOLS: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];

impl Address {
    /// Takes `NAME://host:port` apart; `None` if it is not of that form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once("://")?;
        let (host, port) = split_port(rest)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || !name.chars().all(plain) {
            return None;
        }
        Some(Self { name: name.to_ascii_uppercase(), host, port: port? })
    }
}

/// Splits `host:port`, where an IPv6 address may stand in brackets. The port is `None` if there is
/// none; the whole is `None` if it is not an address.
pub(crate) fn split_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
    } else {
        match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '%' | '.' | '_' | ':');
    if !host.chars().all(allowed) {
        return None;
    }
    let port = match port {
        // Digits only: Rust's parser would take a plus sign.
        Some(port) if port.chars().all(|c| c.is_ascii_digit()) => Some(port.parse().ok()?),
        Some(_) => return None,
        None => None,
    };
    Some((host.to_owned(), port))
}

/// What resolving finds besides the listeners themselves.
pub(crate) struct Found<'a> {
    pub(crate) errors: &'a mut Vec<ConfigError>,
    pub(crate) notices: &'a mut Vec<Notice>,
}

/// Fills `config.listeners`. `machine` is this machine's name.
pub(crate) fn resolve(config: &mut Config, machine: &str, found: &mut Found<'_>) {
    let mut listeners = kafka_listeners(config, found);
    advertise(config, machine, &mut listeners, found);
    if opens_zookeeper(config) {
        listeners.push(zookeeper_listener(config, machine));
    }
    listeners.extend(amqp_listeners(config, machine));
    listeners.extend(http_listener(config, machine));
    listeners.extend(mqtt_listeners(config, machine));
    listeners.extend(nats_listeners(config, machine));
    listeners.extend(stomp_listeners(config, machine));
    listeners.extend(coap_listeners(config, machine));
    listeners.extend(grpc_listener(config, machine));
    security::resolve(config, &mut listeners, found);
    if config.net.secure {
        demand_protection(config, &mut listeners, found);
    }
    check_ports(config, &listeners, found);
    warn_if_open(config, &listeners, found);
    config.listeners = listeners;
}

fn kafka_listeners(config: &Config, found: &mut Found<'_>) -> Vec<Listener> {
    let key = "kafka.listeners";
    let rank = config.origin(key).rank();
    let protocol = if config.net.secure { "SASL_SSL" } else { "PLAINTEXT" };
    let default = [format!("{protocol}://{}:{}", bracketed(&config.net.bind), config.kafka.port)];
    let written = &config.kafka.listeners;
    let texts = if written.is_empty() { &default[..] } else { &written[..] };
    let security = security_map(config, found);
    let mut listeners: Vec<Listener> = Vec::new();
    for text in texts {
        let Some(mut address) = Address::parse(text) else {
            found.errors.push(bad(config, key, text, ADDRESS));
            continue;
        };
        if config.origin("net.bind").rank() > rank {
            address.host.clone_from(&config.net.bind);
        }
        if listeners.is_empty() && config.origin("kafka.port").rank() > rank {
            address.port = config.kafka.port;
        }
        if listeners.iter().any(|other| other.name == address.name) {
            found.errors.push(conflict(
                config,
                key,
                format!("has the name {} twice", address.name),
            ));
        }
        let protocol = security.get(&address.name).unwrap_or(&address.name).clone();
        match &protocol[..] {
            known if PROTOCOLS.contains(&known) => {
                listeners.push(kafka_listener(address, protocol));
            }
            _ => found.errors.push(conflict(
                config,
                key,
                format!(
                    "has a listener {} without a security protocol; say {}:PLAINTEXT in \
                     kafka.listener_security (listener.security.protocol.map)",
                    address.name, address.name
                ),
            )),
        }
    }
    listeners
}

fn kafka_listener(address: Address, security: String) -> Listener {
    let host = if address.host.is_empty() { ANY_HOST.to_owned() } else { address.host };
    Listener {
        name: address.name,
        door: Door::Kafka,
        security,
        tls: None,
        login: None,
        advertised_host: String::new(),
        advertised_port: address.port,
        port: address.port,
        host,
    }
}

fn security_map(config: &Config, found: &mut Found<'_>) -> BTreeMap<String, String> {
    let key = "kafka.listener_security";
    let mut map = BTreeMap::new();
    for pair in &config.kafka.listener_security {
        match pair.split_once(':') {
            Some((name, protocol))
                if PROTOCOLS.contains(&protocol.trim().to_ascii_uppercase().as_str()) =>
            {
                map.insert(name.trim().to_ascii_uppercase(), protocol.trim().to_ascii_uppercase());
            }
            _ => found.errors.push(bad(
                config,
                key,
                pair,
                "NAME:PROTOCOL, where PROTOCOL is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
            )),
        }
    }
    map
}

fn advertise(config: &Config, machine: &str, listeners: &mut [Listener], found: &mut Found<'_>) {
    for listener in listeners.iter_mut() {
        listener.advertised_host = advertised_host(listener, machine);
    }
    let key = "kafka.advertised_listeners";
    for text in &config.kafka.advertised_listeners {
        let Some(address) = Address::parse(text) else {
            found.errors.push(bad(config, key, text, ADDRESS));
            continue;
        };
        if address.host.is_empty() || is_any(&address.host) {
            let allowed = "a host that clients can connect to, not all addresses";
            found.errors.push(bad(config, key, text, allowed));
        }
        match listeners.iter_mut().find(|listener| listener.name == address.name) {
            Some(listener) => {
                listener.advertised_host = address.host;
                listener.advertised_port = address.port;
            }
            None => {
                let why = format!("names {}, which is not among the listeners", address.name);
                found.errors.push(conflict(config, key, why));
            }
        }
    }
}

fn advertised_host(listener: &Listener, machine: &str) -> String {
    if listener.is_loopback() {
        "localhost".to_owned()
    } else if is_any(&listener.host) {
        machine.to_owned()
    } else {
        listener.host.clone()
    }
}

fn is_any(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_unspecified())
}

/// A broker that registers in a ZooKeeper elsewhere need not be one, and that one may have the
/// port: then the door is open only if somebody says so.
fn opens_zookeeper(config: &Config) -> bool {
    let is_said = |key: &str| config.origin(key).rank() > 0;
    let elsewhere = !config.registration.zookeeper.is_empty();
    config.zookeeper.enabled
        && (!elsewhere || is_said("zookeeper.enabled") || is_said("zookeeper.port"))
}

fn zookeeper_listener(config: &Config, machine: &str) -> Listener {
    let (security, port) = (config.zookeeper.security.clone(), config.zookeeper.port);
    door_listener(config, machine, Door::Zookeeper, "ZOOKEEPER", security, port)
}

fn nats_listeners(config: &Config, machine: &str) -> Vec<Listener> {
    let nats = &config.nats;
    let is_said = config.origin("nats.security").rank() > 0;
    let security = match config.net.secure && !is_said {
        true => "SASL_SSL".to_owned(),
        false => nats.security.clone(),
    };
    let plain = || "PLAINTEXT".to_owned();
    let all = [
        (Door::Nats, "NATS", security.clone(), Some(nats.port)),
        (Door::NatsWebsocket, "NATS_WEBSOCKET", security, nats.websocket_port),
        (Door::NatsMonitor, "NATS_MONITOR", plain(), nats.monitor_port),
    ];
    let wanted = all.into_iter().filter(|_| nats.enabled);
    let open = wanted.filter_map(|(door, name, security, port)| {
        Some(door_listener(config, machine, door, name, security, port?))
    });
    open.collect()
}

fn grpc_listener(config: &Config, machine: &str) -> Option<Listener> {
    let grpc = &config.grpc;
    let security = match config.net.secure && config.origin("grpc.security").rank() == 0 {
        true => "SASL_SSL".to_owned(),
        false => grpc.security.clone(),
    };
    let listener = || door_listener(config, machine, Door::Grpc, "GRPC", security, grpc.port);
    grpc.enabled.then(listener)
}

fn coap_listeners(config: &Config, machine: &str) -> Vec<Listener> {
    let coap = &config.coap;
    let all = [
        (Door::Coap, "COAP", Some(coap.port)),
        (Door::CoapWebsocket, "COAP_WEBSOCKET", coap.websocket_port),
    ];
    let wanted = all.into_iter().filter(|_| coap.enabled);
    let open = wanted.filter_map(|(door, name, port)| {
        Some(door_listener(config, machine, door, name, coap.security.clone(), port?))
    });
    open.collect()
}

/// A listener of which only the port is configured.
fn door_listener(
    config: &Config,
    machine: &str,
    door: Door,
    name: &str,
    security: String,
    port: u16,
) -> Listener {
    let mut listener = Listener {
        name: name.to_owned(),
        door,
        security,
        tls: None,
        login: None,
        host: config.net.bind.clone(),
        port,
        advertised_host: String::new(),
        advertised_port: port,
    };
    listener.advertised_host = advertised_host(&listener, machine);
    listener
}

fn amqp_listeners(config: &Config, machine: &str) -> Vec<Listener> {
    let amqp = &config.amqp;
    let security = match config.net.secure && config.origin("amqp.security").rank() == 0 {
        true => "SASL_SSL".to_owned(),
        false => amqp.security.clone(),
    };
    let over_tls = if uses_login(&security) { "SASL_SSL" } else { "SSL" };
    let all = [
        (Door::Amqp, "AMQP", security.clone(), Some(amqp.port)),
        (Door::AmqpTls, "AMQP_TLS", over_tls.to_owned(), amqp.tls_port),
        (Door::AmqpManagement, "AMQP_MANAGEMENT", security, amqp.management_port),
    ];
    let wanted = all.into_iter().filter(|_| amqp.enabled);
    let open = wanted.filter_map(|(door, name, security, port)| {
        Some(door_listener(config, machine, door, name, security, port?))
    });
    open.collect()
}

fn http_listener(config: &Config, machine: &str) -> Option<Listener> {
    let security = match config.net.secure && config.origin("http.security").rank() == 0 {
        true => "SASL_SSL".to_owned(),
        false => config.http.security.clone(),
    };
    let port = config.http.port?;
    Some(door_listener(config, machine, Door::Http, "HTTP", security, port))
}

fn mqtt_listeners(config: &Config, machine: &str) -> Vec<Listener> {
    let mqtt = &config.mqtt;
    let security = match config.net.secure && config.origin("mqtt.security").rank() == 0 {
        true => "SASL_SSL".to_owned(),
        false => mqtt.security.clone(),
    };
    let all = [
        (Door::Mqtt, "MQTT", Some(mqtt.port)),
        (Door::MqttWebsocket, "MQTT_WEBSOCKET", mqtt.websocket_port),
    ];
    let wanted = all.into_iter().filter(|_| mqtt.enabled);
    let open = wanted.filter_map(|(door, name, port)| {
        Some(door_listener(config, machine, door, name, security.clone(), port?))
    });
    open.collect()
}

fn stomp_listeners(config: &Config, machine: &str) -> Vec<Listener> {
    let stomp = &config.stomp;
    let security = match config.net.secure && config.origin("stomp.security").rank() == 0 {
        true => "SASL_SSL".to_owned(),
        false => stomp.security.clone(),
    };
    let over_tls = if uses_login(&security) { "SASL_SSL" } else { "SSL" };
    let all = [
        (Door::Stomp, "STOMP", security.clone(), Some(stomp.port)),
        (Door::StompTls, "STOMP_TLS", over_tls.to_owned(), stomp.tls_port),
        (Door::StompWebsocket, "STOMP_WEBSOCKET", security, stomp.websocket_port),
    ];
    let wanted = all.into_iter().filter(|_| stomp.enabled);
    let open = wanted.filter_map(|(door, name, security, port)| {
        Some(door_listener(config, machine, door, name, security, port?))
    });
    open.collect()
}

/// With `net.secure`, nobody gets in without saying who it is, and nobody else reads along.
fn demand_protection(config: &Config, listeners: &mut Vec<Listener>, found: &mut Found<'_>) {
    let is_protected = |listener: &Listener| {
        let shows = listener.tls.as_ref().is_some_and(|tls| tls.client_auth == "required");
        listener.tls.is_some() && (listener.login.is_some() || shows)
    };
    listeners.retain(|listener| {
        if is_protected(listener) {
            return true;
        }
        let stays_shut = match listener.door {
            Door::Zookeeper => {
                "the ZooKeeper door stays shut, for it knows no logins; zookeeper.security = SSL and \
                 listener.zookeeper.tls.client_auth = required open it"
            }
            Door::NatsMonitor => {
                "the monitoring endpoints of the NATS door stay shut, for they know no logins"
            }
            Door::Coap | Door::CoapWebsocket => {
                "the CoAP door stays shut, for it knows no logins; coap.security = SSL and \
                 listener.coap.tls.client_auth = required open it"
            }
            Door::Kafka
            | Door::Amqp
            | Door::AmqpTls
            | Door::AmqpManagement
            | Door::Http
            | Door::Mqtt
            | Door::MqttWebsocket
            | Door::Nats
            | Door::NatsWebsocket
            | Door::Stomp
            | Door::StompTls
            | Door::StompWebsocket
            | Door::Grpc => "",
        };
        if !stays_shut.is_empty() {
            found.notices.push(Notice {
                key: "net.secure".to_owned(),
                origin: config.origin("net.secure").clone(),
                text: stays_shut.to_owned(),
            });
            return false;
        }
        let why = format!(
            "has a listener {} that speaks {}, but net.secure demands SASL_SSL, or SSL with \
             tls.client_auth = required",
            listener.name, listener.security
        );
        let key = match listener.door {
            Door::Nats | Door::NatsWebsocket => "nats.security",
            Door::Amqp | Door::AmqpTls | Door::AmqpManagement => "amqp.security",
            Door::Http => "http.security",
            Door::Mqtt | Door::MqttWebsocket => "mqtt.security",
            Door::Stomp | Door::StompTls | Door::StompWebsocket => "stomp.security",
            Door::Grpc => "grpc.security",
            _ => "kafka.listeners",
        };
        found.errors.push(conflict(config, key, why));
        true
    });
}

fn check_ports(config: &Config, listeners: &[Listener], found: &mut Found<'_>) {
    for (index, listener) in listeners.iter().enumerate() {
        let clash = listeners[..index].iter().find(|other| {
            let same_host =
                other.host == listener.host || is_any(&other.host) || is_any(&listener.host);
            listener.port != 0 && other.port == listener.port && same_host
        });
        if let Some(other) = clash {
            // Of Kafka's there may be several.
            let is_kafka = listener.door == Door::Kafka;
            let key = if is_kafka { "kafka.listeners" } else { listener.door.port_key() };
            let why = format!(
                "is port {} for listener {}, which listener {} has already",
                listener.port, listener.name, other.name
            );
            found.errors.push(conflict(config, key, why));
        }
    }
}

fn warn_if_open(config: &Config, listeners: &[Listener], found: &mut Found<'_>) {
    let proves_nothing = |listener: &&Listener| {
        let shows = listener.tls.as_ref().is_some_and(|tls| tls.client_auth == "required");
        !uses_login(&listener.security) && !shows
    };
    let reachable = listeners.iter().filter(|listener| !listener.is_loopback());
    for listener in reachable.filter(proves_nothing) {
        let key = match listener.door {
            Door::Kafka if config.origin("kafka.listeners").rank() > 0 => "kafka.listeners",
            _ => "net.bind",
        };
        found.notices.push(Notice {
            key: key.to_owned(),
            origin: config.origin(key).clone(),
            text: format!(
                "{} listens on {}:{} without {}; whoever reaches it may read and write everything",
                listener.name,
                bracketed(&listener.host),
                listener.port,
                if uses_tls(&listener.security) { "login" } else { "login or encryption" }
            ),
        });
    }
}

/// An address as it stands before `:port`.
pub(crate) fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn bad(config: &Config, key: &str, value: &str, allowed: &str) -> ConfigError {
    ConfigError::BadValue {
        key: key.to_owned(),
        value: value.to_owned(),
        allowed: allowed.to_owned(),
        origin: config.origin(key).clone(),
    }
}

fn conflict(config: &Config, key: &str, why: String) -> ConfigError {
    ConfigError::Conflict { key: key.to_owned(), why, origin: config.origin(key).clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(name: &str, host: &str, port: u16) -> Option<Address> {
        Some(Address { name: name.to_owned(), host: host.to_owned(), port })
    }

    #[test]
    fn an_address_is_taken_apart() {
        assert_eq!(Address::parse("PLAINTEXT://a-b.c:9092"), address("PLAINTEXT", "a-b.c", 9092));
        assert_eq!(Address::parse("plain://:0"), address("PLAIN", "", 0));
        assert_eq!(Address::parse("A://[::1]:9092"), address("A", "::1", 9092));
        assert_eq!(Address::parse("A://[fe80::1%eth0]:1"), address("A", "fe80::1%eth0", 1));
        for text in [
            "",
            "A",
            "A://",
            "A://h",
            "://h:1",
            "A://h:x",
            "A://h:-1",
            "A://h:65536",
            "A://h:",
            "A B://h:1",
            "A://[::1:9092",
            "A://h h:1",
            "A://h/x:1",
            "A://[::1]9092",
            "A://h:+1",
        ] {
            assert_eq!(Address::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_port_is_optional_where_a_host_may_stand_alone() {
        assert_eq!(split_port("localhost"), Some(("localhost".to_owned(), None)));
        assert_eq!(split_port("[::1]"), Some(("::1".to_owned(), None)));
        assert_eq!(split_port("localhost:"), None, "a colon announces a port");
    }
}
