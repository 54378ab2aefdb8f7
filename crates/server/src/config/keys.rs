//! Our own keys, one a row: the only list of them. Files, environment, flags, `config show`,
//! `config default` and the documentation are all made from it.

use std::path::PathBuf;

use base::limits;
use broker::Partitioner;
use broker::remedies::RemedyMode;
use broker::topic_config::{ConfigKey, Kind};
use store::Durability;

use super::model::{Config, DURABILITIES, durability_word};
use super::security::{self, Checking, HIDDEN, Secret};
use crate::otlp::Target;

/// What a port that may be none allows.
const PORT: &str = "a port from 0 to 65535, or -1 for none";

/// One key.
pub(crate) struct Key {
    /// `section.name`.
    pub(crate) name: &'static str,
    /// The default, as it would be written.
    pub(crate) default: &'static str,
    /// The field that it sets, and what it allows.
    pub(crate) field: Field,
    /// What it means, in a sentence or two.
    pub(crate) doc: &'static str,
}

type Access<T> = fn(&mut Config) -> &mut T;

/// A field of [`Config`] and the values that it takes.
pub(crate) enum Field {
    Bool(Access<bool>),
    U16(Access<u16>),
    /// A port; -1 means none.
    MaybePort(Access<Option<u16>>),
    I32(Access<i32>, i32, i32),
    U64(Access<u64>, u64, u64),
    Usize(Access<usize>, usize, usize),
    /// -1 means none.
    MaybeU64(Access<Option<u64>>),
    /// -1 means none.
    MaybeUsize(Access<Option<usize>>),
    Text(Access<String>),
    /// Empty means none.
    MaybeText(Access<Option<String>>),
    Path(Access<PathBuf>),
    Partitioner(Access<String>),
    /// Separated by commas.
    List(Access<Vec<String>>),
    /// Principals, separated by semicolons: their names may have commas.
    Principals(Access<Vec<String>>),
    /// `ADDRESS:COUNT`, separated by commas.
    Counts(Access<Vec<String>>),
    Durability(Access<Durability>),
    /// As the topic's key of this name takes it.
    Topic(Access<String>, &'static str),
    /// A text that a function checks.
    Checked(Access<String>, Checking),
    /// The same for each item of a list.
    CheckedList(Access<Vec<String>>, Checking),
    /// A text that is never shown. Empty means none.
    Secret(Access<Option<Secret>>, Checking),
}

impl Key {
    /// Sets the field from text. The error says what is allowed.
    pub(crate) fn set(&self, config: &mut Config, text: &str) -> Result<(), String> {
        let text = text.trim();
        match self.field {
            Field::Bool(at) => *at(config) = boolean(text)?,
            Field::U16(at) => *at(config) = number(text, 0, u16::MAX)?,
            Field::MaybePort(at) => *at(config) = port(text)?,
            Field::I32(at, min, max) => *at(config) = number(text, min, max)?,
            Field::U64(at, min, max) => *at(config) = number(text, min, max)?,
            Field::Usize(at, min, max) => *at(config) = number(text, min, max)?,
            Field::MaybeU64(at) => *at(config) = limit(text)?,
            Field::MaybeUsize(at) => *at(config) = limit(text)?,
            Field::Text(at) => *at(config) = some_text(text)?,
            Field::MaybeText(at) => *at(config) = Some(text.to_owned()).filter(|t| !t.is_empty()),
            Field::Path(at) => *at(config) = PathBuf::from(some_text(text)?),
            Field::Partitioner(at) => *at(config) = partitioner(text)?,
            Field::List(at) => *at(config) = list(text),
            Field::Principals(at) => *at(config) = principals(text)?,
            Field::Counts(at) => *at(config) = counts(text)?,
            Field::Durability(at) => *at(config) = durability(text)?,
            Field::Topic(at, name) => *at(config) = topic_value(name, text)?,
            Field::Checked(at, check) => {
                check(text)?;
                text.clone_into(at(config));
            }
            Field::CheckedList(at, check) => {
                let items = list(text);
                items.iter().try_for_each(|item| check(item))?;
                *at(config) = items;
            }
            Field::Secret(at, check) => {
                check(text)?;
                *at(config) =
                    Some(text).filter(|text| !text.is_empty()).map(|t| Secret(t.to_owned()));
            }
        }
        Ok(())
    }

    /// The field's value as it would be written. Needs its own copy of the configuration, because
    /// one accessor serves reading and writing.
    pub(crate) fn get(&self, config: &mut Config) -> String {
        match self.field {
            Field::Bool(at) => at(config).to_string(),
            Field::U16(at) => at(config).to_string(),
            Field::MaybePort(at) => at(config).map_or("-1".to_owned(), |n| n.to_string()),
            Field::I32(at, ..) => at(config).to_string(),
            Field::U64(at, ..) => at(config).to_string(),
            Field::Usize(at, ..) => at(config).to_string(),
            Field::MaybeU64(at) => at(config).map_or("-1".to_owned(), |n| n.to_string()),
            Field::MaybeUsize(at) => at(config).map_or("-1".to_owned(), |n| n.to_string()),
            Field::Text(at) | Field::Partitioner(at) | Field::Topic(at, _) => at(config).clone(),
            Field::MaybeText(at) => at(config).clone().unwrap_or_default(),
            Field::Path(at) => at(config).display().to_string(),
            Field::List(at) | Field::Counts(at) => at(config).join(","),
            Field::Principals(at) => at(config).join(";"),
            Field::Durability(at) => durability_word(*at(config)).to_owned(),
            Field::Checked(at, _) => at(config).clone(),
            Field::CheckedList(at, _) => at(config).join(","),
            Field::Secret(at, _) => {
                at(config).as_ref().map_or(String::new(), |_| HIDDEN.to_owned())
            }
        }
    }

    /// What the key allows, for the documentation and for errors.
    pub(crate) fn allowed(&self) -> String {
        match self.field {
            Field::Bool(_) => "true or false".to_owned(),
            Field::U16(_) => range(0, u16::MAX),
            Field::MaybePort(_) => PORT.to_owned(),
            Field::I32(_, min, max) => range(min, max),
            Field::U64(_, min, max) => range(min, max),
            Field::Usize(_, min, max) => size_range(min, max),
            Field::MaybeU64(_) | Field::MaybeUsize(_) => LIMIT.to_owned(),
            Field::Text(_) => "text".to_owned(),
            Field::MaybeText(_) => "text, or empty for none".to_owned(),
            Field::Path(_) => "a folder".to_owned(),
            Field::Partitioner(_) => PARTITIONER.to_owned(),
            Field::List(_) => "a list".to_owned(),
            Field::Principals(_) => PRINCIPALS.to_owned(),
            Field::Counts(_) => COUNTS.to_owned(),
            Field::Durability(_) => DURABILITY.to_owned(),
            Field::Topic(_, name) => topic_kind(name).map(Kind::allowed).unwrap_or_default(),
            // What nobody would write is refused with what is allowed.
            Field::Checked(_, check) => check("\u{1}").err().unwrap_or_else(|| "text".to_owned()),
            Field::CheckedList(_, check) => match check("\u{1}") {
                Err(allowed) => format!("a list of: {allowed}"),
                Ok(()) => "a list".to_owned(),
            },
            Field::Secret(_, check) => {
                check("\u{1}").err().unwrap_or_else(|| "text, or empty for none".to_owned())
            }
        }
    }

    /// Whether TOML writes the value without quotes.
    pub(crate) fn is_bare_in_toml(&self) -> bool {
        match self.field {
            Field::Text(_)
            | Field::MaybeText(_)
            | Field::Path(_)
            | Field::Partitioner(_)
            | Field::List(_)
            | Field::Principals(_)
            | Field::Counts(_)
            | Field::Durability(_)
            | Field::Checked(..)
            | Field::CheckedList(..)
            | Field::Secret(..) => false,
            Field::Topic(_, name) => {
                let words = |kind| matches!(kind, Kind::Word(_) | Kind::Words(_));
                !topic_kind(name).is_some_and(words)
            }
            _ => true,
        }
    }

    /// Whether the value is a list.
    pub(crate) fn is_list(&self) -> bool {
        match self.field {
            Field::List(_) | Field::CheckedList(..) | Field::Counts(_) => true,
            Field::Topic(_, name) => matches!(topic_kind(name), Some(Kind::Words(_))),
            _ => false,
        }
    }

    /// Whether its value must not be shown.
    pub(crate) fn is_secret(&self) -> bool {
        matches!(self.field, Field::Secret(..))
    }

    /// What stands between items, where the value is a list of some kind.
    pub(crate) fn separator(&self) -> &'static str {
        if matches!(self.field, Field::Principals(_)) { ";" } else { "," }
    }
}

const LIMIT: &str = "a whole number from 1 up, or -1 for no limit";

/// Stands for "no upper bound" in the ranges below.
const ANY: u64 = i64::MAX as u64;
const DAY_MS: i32 = 24 * 60 * 60 * 1000;

fn range(min: impl Into<i128>, max: impl Into<i128>) -> String {
    let (min, max) = (min.into(), max.into());
    if max >= i128::from(i64::MAX) {
        format!("a whole number from {min} up")
    } else {
        format!("a whole number from {min} to {max}")
    }
}

fn size_range(min: usize, max: usize) -> String {
    range(min as u64, max as u64)
}

fn number<T>(text: &str, min: T, max: T) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + TryInto<i128> + Copy,
{
    let wide = |n: T| n.try_into().unwrap_or(i128::MAX);
    text.parse().ok().filter(|n| (min..=max).contains(n)).ok_or_else(|| range(wide(min), wide(max)))
}

fn limit<T: std::str::FromStr + PartialOrd + From<u8>>(text: &str) -> Result<Option<T>, String> {
    if text == "-1" {
        return Ok(None);
    }
    match text.parse() {
        Ok(n) if n >= T::from(1) => Ok(Some(n)),
        _ => Err(LIMIT.to_owned()),
    }
}

fn zookeeper_servers(text: &str) -> Result<(), String> {
    if text.is_empty() { Ok(()) } else { door_zookeeper::Servers::parse(text).map(drop) }
}

fn otlp_endpoint(text: &str) -> Result<(), String> {
    if text.is_empty() { Ok(()) } else { Target::parse(text, "").map(drop) }
}

fn otlp_headers(text: &str) -> Result<(), String> {
    Target::parse("http://localhost", text).map(drop)
}

fn user_and_password(text: &str) -> Result<(), String> {
    let is_user = text.split_once(':').is_some_and(|(user, _)| !user.is_empty());
    if text.is_empty() || is_user { Ok(()) } else { Err("user:password, or empty for none".into()) }
}

fn port(text: &str) -> Result<Option<u16>, String> {
    match text {
        "-1" => Ok(None),
        text => number(text, 0, u16::MAX).map(Some).map_err(|_| PORT.to_owned()),
    }
}

fn coap_keys(text: &str) -> Result<(), String> {
    door_coap::PskKeys::parse(text).map(|_| ())
}

fn nats_key(text: &str) -> Result<(), String> {
    door_nats::Keys::parse([text]).map(|_| ())
}

fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("true or false".to_owned()),
    }
}

fn some_text(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// Splits a comma-separated list, as Kafka does: blanks around items and empty items are dropped.
pub(crate) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

const PRINCIPALS: &str = "`User:NAME`, several separated by semicolons, or empty for none";

fn principals(text: &str) -> Result<Vec<String>, String> {
    let items = text.split(';').map(str::trim).filter(|item| !item.is_empty());
    let check = |item: &str| match base::Principal::parse(item) {
        Some(_) => Ok(item.to_owned()),
        None => Err(PRINCIPALS.to_owned()),
    };
    items.map(check).collect()
}

const COUNTS: &str = "`ADDRESS:COUNT`, several separated by commas, or empty for none";

fn counts(text: &str) -> Result<Vec<String>, String> {
    broker::topic_config::counts(text).map(|_| list(text)).ok_or_else(|| COUNTS.to_owned())
}

const PARTITIONER: &str =
    "hash, round-robin, range:BOUND,BOUND or list:KEY=PARTITION,KEY=PARTITION";

fn partitioner(text: &str) -> Result<String, String> {
    match Partitioner::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(PARTITIONER.to_owned()),
    }
}

fn topic_kind(name: &str) -> Option<Kind> {
    ConfigKey::find(name).map(|key| key.kind)
}

fn topic_value(name: &str, text: &str) -> Result<String, String> {
    let kind = topic_kind(name).filter(|kind| kind.takes(text));
    kind.map(|_| text.to_owned())
        .ok_or_else(|| topic_kind(name).map(Kind::allowed).unwrap_or_default())
}

const DURABILITY: &str = "one of fsync | os | memory";

fn durability(text: &str) -> Result<Durability, String> {
    let found = DURABILITIES.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    found.map(|(_, value)| *value).ok_or_else(|| DURABILITY.to_owned())
}

/// The key of this name.
pub(crate) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

const fn key(name: &'static str, default: &'static str, field: Field, doc: &'static str) -> Key {
    Key { name, default, field, doc }
}

/// Every key.
#[rustfmt::skip]
pub(crate) const KEYS: &[Key] = &[
    key("broker.id", "0", Field::I32(|c| &mut c.broker.id, 0, i32::MAX),
        "This broker's number in the cluster."),
    key("broker.rack", "", Field::MaybeText(|c| &mut c.broker.rack),
        "Where this broker stands, told to clients."),

    key("net.bind", "127.0.0.1", Field::Text(|c| &mut c.net.bind),
        "Address on which the doors listen. The default can be reached from this machine only; `0.0.0.0` means all of its addresses. Without `net.secure`, or listeners that ask for logins, whoever reaches a port may read and write."),
    key("net.secure", "false", Field::Bool(|c| &mut c.net.secure),
        "Whether every listener asks for logins over TLS (`entrepot serve --secure`). A certificate is made where none is given, and a first user where there is none; see docs/security.md. The ZooKeeper door, which knows no logins, is open only with `zookeeper.security = SSL` and clients' certificates required."),

    key("kafka.port", "9092", Field::U16(|c| &mut c.kafka.port),
        "Port of the Kafka door. 0 takes any free port."),
    key("kafka.listeners", "", Field::List(|c| &mut c.kafka.listeners),
        "Listeners as `NAME://host:port`, when one on `net.bind` and `kafka.port` is not enough. An empty host means all addresses, as in Kafka. `net.bind` replaces the hosts and `kafka.port` the first port if they come from a source of higher rank."),
    key("kafka.advertised_listeners", "", Field::List(|c| &mut c.kafka.advertised_listeners),
        "What clients are told to connect to, as `NAME://host:port`, for listeners that they reach by another address. Otherwise: `localhost` for a loopback listener, this machine's name for one on all addresses, else the listener's own host."),
    key("kafka.listener_security", "", Field::List(|c| &mut c.kafka.listener_security),
        "`NAME:PROTOCOL` for each listener whose name is not itself a security protocol. Protocols: `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT`, `SASL_SSL`."),
    key("kafka.fetch_max_bytes", "57671680", Field::Usize(|c| &mut c.kafka.fetch_max_bytes, 1024, i32::MAX as usize),
        "Most bytes of records in one fetch response."),
    key("kafka.fetch_sessions", "1000", Field::Usize(|c| &mut c.kafka.fetch_sessions, 0, 100_000),
        "Fetch sessions kept, in which a consumer is told only what changed (KIP-227). 0 for none."),
    key("kafka.telemetry_max_bytes", "1048576", Field::Usize(|c| &mut c.kafka.telemetry_max_bytes, 1, 16 * 1024 * 1024),
        "Most bytes of its own metrics that a client may push at once (KIP-714)."),

    key("zookeeper.enabled", "true", Field::Bool(|c| &mut c.zookeeper.enabled),
        "Whether the ZooKeeper door is open."),
    key("zookeeper.port", "2181", Field::U16(|c| &mut c.zookeeper.port),
        "Port of the ZooKeeper door, on `net.bind`. 0 takes any free port."),
    key("zookeeper.security", "PLAINTEXT", Field::Checked(|c| &mut c.zookeeper.security, security::without_logins),
        "`SSL` makes the ZooKeeper door speak TLS, as `[tls]` says or `listener.zookeeper.tls` says for it alone."),
    key("zookeeper.session_timeout_min_ms", "4000", Field::I32(|c| &mut c.zookeeper.session_timeout_min_ms, 100, DAY_MS),
        "Shortest session time-out granted, in milliseconds. Lowered to the longest one if that is set below it."),
    key("zookeeper.session_timeout_max_ms", "40000", Field::I32(|c| &mut c.zookeeper.session_timeout_max_ms, 100, DAY_MS),
        "Longest session time-out granted, in milliseconds."),

    key("mqtt.enabled", "true", Field::Bool(|c| &mut c.mqtt.enabled),
        "Whether the MQTT door is open."),
    key("mqtt.port", "1883", Field::U16(|c| &mut c.mqtt.port),
        "Port of the MQTT door, on `net.bind`. 0 takes any free port."),
    key("mqtt.security", "PLAINTEXT", Field::Checked(|c| &mut c.mqtt.security, security::protocol),
        "How clients of the MQTT door are protected: `SSL` speaks TLS, `SASL_SSL` asks for logins too, `SASL_PLAINTEXT` for logins without TLS. `[tls]` and `[login]` say how, or `listener.mqtt.tls` and `listener.mqtt.login` for it alone. With `net.secure` it is `SASL_SSL` unless set."),
    key("mqtt.max_packet_bytes", "1179648", Field::Usize(|c| &mut c.mqtt.max_packet_bytes, 20, 268_435_460),
        "Largest packet that an MQTT client may send. Clients of 5.0 are told, unless it is the largest that there can be (268435460)."),
    key("mqtt.receive_max", "1024", Field::U16(|c| &mut c.mqtt.receive_max),
        "Messages of QoS 1 and 2 that a client of MQTT 5.0 may send before they are acknowledged. 0 counts as 1."),
    key("mqtt.topic_alias_max", "64", Field::U16(|c| &mut c.mqtt.topic_alias_max),
        "Aliases of topics that a client of MQTT 5.0 may use. 0 for none."),
    key("mqtt.sys_interval", "10", Field::U64(|c| &mut c.mqtt.sys_interval, 0, 86_400),
        "Every so many seconds the MQTT door says under `$SYS` how it is doing. 0 for never."),
    key("mqtt.websocket_port", "-1", Field::MaybePort(|c| &mut c.mqtt.websocket_port),
        "Port on which MQTT clients connect over WebSocket. -1 opens none, 0 any free one."),
    key("mqtt.websocket_origins", "", Field::List(|c| &mut c.mqtt.websocket_origins),
        "Origins of the web pages that may connect there, such as `https://example.com`. Empty means all."),

    key("amqp.enabled", "true", Field::Bool(|c| &mut c.amqp.enabled),
        "Whether the AMQP door is open; see docs/doors/amqp.md."),
    key("amqp.port", "5672", Field::U16(|c| &mut c.amqp.port),
        "Port of the AMQP door, on `net.bind`. 0 takes any free port."),
    key("amqp.tls_port", "-1", Field::MaybePort(|c| &mut c.amqp.tls_port),
        "Port of the AMQP door for clients that begin with TLS (5671 by custom), as `[tls]` says or `listener.amqp_tls.tls` says for it alone. -1 opens none, 0 any free one."),
    key("amqp.security", "PLAINTEXT", Field::Checked(|c| &mut c.amqp.security, security::protocol),
        "How clients on `amqp.port` are protected: `SSL` speaks TLS, `SASL_SSL` asks for logins too, `SASL_PLAINTEXT` for logins without TLS, as `[tls]` and `[login]` say. With `net.secure`, `SASL_SSL` unless this says otherwise. Whether `amqp.tls_port` asks for logins is said here, too."),
    key("amqp.max_frame_bytes", "131072", Field::Usize(|c| &mut c.amqp.max_frame_bytes, 8192, 16 * 1024 * 1024),
        "Largest frame that AMQP clients are offered (`frame_max`), in bytes."),
    key("amqp.max_message_bytes", "16777216", Field::Usize(|c| &mut c.amqp.max_message_bytes, 1, 512 * 1024 * 1024),
        "Largest payload of a message that an AMQP client may publish (`max_message_size`), in bytes. What a queue is to keep must fit into a batch of its topic, too (`max.message.bytes`)."),
    key("amqp.max_channels", "2047", Field::U16(|c| &mut c.amqp.max_channels),
        "Channels that one AMQP connection may have (`channel_max`)."),
    key("amqp.heartbeat_seconds", "60", Field::U16(|c| &mut c.amqp.heartbeat_seconds),
        "How often AMQP clients are asked to say something, in seconds. 0 for never."),
    key("amqp.consumer_timeout_ms", "1800000", Field::U64(|c| &mut c.amqp.consumer_timeout_ms, 0, 4_294_967_295),
        "How long an AMQP client may have a delivery without acknowledging it (`consumer_timeout`), in milliseconds, where the queue says nothing else (`x-consumer-timeout`): then its channel ends, and what it has goes back. 0 for any time."),
    key("amqp.virtual_hosts", "", Field::List(|c| &mut c.amqp.virtual_hosts),
        "Virtual hosts that AMQP and STOMP clients may open, beside `/`. They stay once they were made, until they are deleted through the management API."),
    key("amqp.management_port", "15672", Field::MaybePort(|c| &mut c.amqp.management_port),
        "Port of RabbitMQ's management API over HTTP, protected as `amqp.security` says, or `listener.amqp_management` for it alone. -1 opens none, 0 any free one."),

    key("stomp.enabled", "true", Field::Bool(|c| &mut c.stomp.enabled),
        "Whether the STOMP door is open; see docs/doors/stomp.md."),
    key("stomp.port", "61613", Field::U16(|c| &mut c.stomp.port),
        "Port of the STOMP door, on `net.bind`. 0 takes any free port."),
    key("stomp.tls_port", "-1", Field::MaybePort(|c| &mut c.stomp.tls_port),
        "Port of the STOMP door for clients that begin with TLS (61614 by custom), as `[tls]` says or `listener.stomp_tls.tls` says for it alone. -1 opens none, 0 any free one."),
    key("stomp.security", "PLAINTEXT", Field::Checked(|c| &mut c.stomp.security, security::protocol),
        "How clients on `stomp.port` and `stomp.websocket_port` are protected: `SSL` speaks TLS, `SASL_SSL` asks for logins too, `SASL_PLAINTEXT` for logins without TLS, as `[tls]` and `[login]` say. With `net.secure`, `SASL_SSL` unless this says otherwise. Whether `stomp.tls_port` asks for logins is said here, too."),
    key("stomp.max_message_bytes", "4194304", Field::Usize(|c| &mut c.stomp.max_message_bytes, 1, 512 * 1024 * 1024),
        "Largest body of a frame that a STOMP client may send, in bytes. What a queue is to keep must fit into a batch of its topic, too (`max.message.bytes`)."),
    key("stomp.any_host", "false", Field::Bool(|c| &mut c.stomp.any_host),
        "Whether a `host` that is no virtual host means `/`: `false` refuses it, as RabbitMQ does; `true` is for clients of ActiveMQ, which say the machine's name there."),
    key("stomp.websocket_port", "-1", Field::MaybePort(|c| &mut c.stomp.websocket_port),
        "Port on which STOMP clients connect over WebSocket (15674 by custom). -1 opens none, 0 any free one."),
    key("stomp.websocket_origins", "", Field::List(|c| &mut c.stomp.websocket_origins),
        "Origins of the web pages that may connect there, such as `https://example.com`. Empty means all."),

    key("http.port", "8080", Field::MaybePort(|c| &mut c.http.port),
        "Port of the HTTP door: metrics, health, state, administration, publishing and consuming; see docs/doors/http.md. -1 opens none, 0 any free one."),
    key("http.security", "PLAINTEXT", Field::Checked(|c| &mut c.http.security, security::protocol),
        "`SSL` makes the HTTP door speak TLS, as `[tls]` says or `listener.http.tls` says for it alone; `SASL_` in front demands names and passwords, as `[login]` says. With `net.secure`, `SASL_SSL` unless this says otherwise."),
    key("http.max_body_bytes", "16777216", Field::Usize(|c| &mut c.http.max_body_bytes, 1024, 512 * 1024 * 1024),
        "Largest body of a request to the HTTP door, in bytes."),
    key("http.open_metrics", "false", Field::Bool(|c| &mut c.http.open_metrics),
        "Whether `/metrics` is shown without a login where the HTTP door asks for logins. Without details: no name of a topic or group is in it."),

    key("observe.watch", "true", Field::Bool(|c| &mut c.observe.watch),
        "Whether the broker looks at itself once a second, and remembers an hour of it: for charts, lag in time, and diagnosis. It takes no more than a hundredth of a core."),
    key("observe.events_topic", "true", Field::Bool(|c| &mut c.observe.events_topic),
        "Whether events (logins that failed, topics that changed, a disk that is full) are kept in the topic `_events`, for a week or 64 MiB."),
    key("observe.trace", "true", Field::Bool(|c| &mut c.observe.trace),
        "Whether messages are followed, hop by hop, whose `traceparent` says that their trace is sampled (`entrepot trace`); see docs/tracing.md."),
    key("observe.remedies", "observe", Field::Checked(|c| &mut c.observe.remedies, |text| text.parse::<RemedyMode>().map(drop)),
        "Whether the broker does something about what is wrong: `observe` says what is, `suggest` says what could be done and does it when it is told to (`entrepot remedy`), `auto` does it by itself. Nothing that is done deletes data, and all of it can be undone; see docs/diagnosis.md."),
    key("observe.otlp_endpoint", "", Field::Checked(|c| &mut c.observe.otlp_endpoint, otlp_endpoint),
        "A collector of OpenTelemetry that is told of them, such as `http://localhost:4318` (OTLP over HTTP, with Protocol Buffers): `/v1/traces` is added. Empty means none."),
    key("observe.otlp_headers", "", Field::Secret(|c| &mut c.observe.otlp_headers, otlp_headers),
        "Fields of HTTP for that collector, as `name=value,name=value`, such as a key that it asks for."),

    key("registration.zookeeper", "", Field::Checked(|c| &mut c.registration.zookeeper, zookeeper_servers),
        "A ZooKeeper elsewhere in which this broker registers, as Kafka's brokers do: `host:port,host:port/path`; see docs/doors/zookeeper.md. The ZooKeeper door then stays shut unless `zookeeper.enabled` or `zookeeper.port` is set."),
    key("registration.if_port_taken", "false", Field::Bool(|c| &mut c.registration.if_port_taken),
        "What to do when `zookeeper.port` is taken at start: `true` takes what is there for a ZooKeeper and registers in it, `false` does not start."),
    key("registration.session_timeout_ms", "18000", Field::I32(|c| &mut c.registration.session_timeout_ms, 100, DAY_MS),
        "What is registered goes when ZooKeeper has not heard of this broker for so long, in milliseconds. ZooKeeper has bounds of its own."),
    key("registration.connect_timeout_ms", "18000", Field::I32(|c| &mut c.registration.connect_timeout_ms, 100, DAY_MS),
        "How long one attempt to reach that ZooKeeper may take, all its servers together, in milliseconds. Attempts go on for ever."),
    key("registration.digest", "", Field::Secret(|c| &mut c.registration.digest, user_and_password),
        "`user:password` that this broker shows to that ZooKeeper (its scheme `digest`)."),
    key("registration.set_acl", "false", Field::Bool(|c| &mut c.registration.set_acl),
        "Whether only that user may change what is registered. Needs `registration.digest`."),
    key("registration.tls", "false", Field::Bool(|c| &mut c.registration.tls),
        "Whether to speak TLS with that ZooKeeper (its `secureClientPort`)."),
    key("registration.tls_ca", "", Field::MaybeText(|c| &mut c.registration.tls_ca),
        "Authorities to trust there: a PEM file, or PEM itself. Empty: the system's."),
    key("registration.tls_certificate", "", Field::MaybeText(|c| &mut c.registration.tls_certificate),
        "The certificate that this broker shows there: a PEM file, or PEM itself."),
    key("registration.tls_key", "", Field::Secret(|c| &mut c.registration.tls_key, security::any),
        "Its private key: a PEM file, or PEM itself; not encrypted. Not needed if it stands in the certificate's file."),
    key("registration.tls_verify_name", "true", Field::Bool(|c| &mut c.registration.tls_verify_name),
        "Whether that ZooKeeper's certificate must be for the name, or address, that is connected to."),

    // The keys of these two sections may be set for one listener alone: listener.NAME.tls.key.
    key("nats.enabled", "true", Field::Bool(|c| &mut c.nats.enabled),
        "Whether the NATS door is open; see docs/doors/nats.md."),
    key("nats.port", "4222", Field::U16(|c| &mut c.nats.port),
        "Port of the NATS door. 0 takes any free port."),
    key("nats.security", "PLAINTEXT", Field::Checked(|c| &mut c.nats.security, security::protocol),
        "`SSL` makes the NATS door speak TLS, as `[tls]` says or `listener.nats.tls` says for it alone; `SASL_` in front demands logins by name and password or by token, as `[login]` says. With `net.secure`, `SASL_SSL` unless this says otherwise."),
    key("nats.tls_first", "false", Field::Bool(|c| &mut c.nats.tls_first),
        "Whether TLS begins at once (`handshake_first`), and not after the server's `INFO`, as most clients expect."),
    key("nats.max_payload_bytes", "1048576", Field::Usize(|c| &mut c.nats.max_payload_bytes, 1, 64 * 1024 * 1024),
        "Largest payload with its headers, in bytes (`max_payload`)."),
    key("nats.max_pending_bytes", "67108864", Field::Usize(|c| &mut c.nats.max_pending_bytes, 64 * 1024, 1 << 32),
        "What may wait for one client, in bytes (`max_pending`). Past it, the client is cut off as a slow consumer."),
    key("nats.ping_interval_ms", "120000", Field::U64(|c| &mut c.nats.ping_interval_ms, 10, DAY_MS as u64),
        "A client that sends nothing for so many milliseconds is asked for a sign of life (`ping_interval`)."),
    key("nats.ping_max", "2", Field::Usize(|c| &mut c.nats.ping_max, 1, 1_000),
        "So many of them may go unanswered before the client is taken for gone (`ping_max`)."),
    key("nats.token", "", Field::Secret(|c| &mut c.nats.token, security::any),
        "A token that lets clients in (`authorization.token`)."),
    key("nats.token_user", "nats", Field::Text(|c| &mut c.nats.token_user),
        "The user that clients with this token are."),
    key("nats.keys", "", Field::CheckedList(|c| &mut c.nats.keys, nats_key),
        "Users who prove themselves with a key: `KEY` or `KEY=user`, each key a user's public nkey (`U...`)."),
    key("nats.websocket_port", "-1", Field::MaybePort(|c| &mut c.nats.websocket_port),
        "Port on which NATS clients connect over WebSocket. -1 opens none, 0 any free one."),
    key("nats.websocket_origins", "", Field::List(|c| &mut c.nats.websocket_origins),
        "Origins of the web pages that may connect there (`allowed_origins`), such as `https://example.com`. Empty means all."),
    key("nats.monitor_port", "-1", Field::MaybePort(|c| &mut c.nats.monitor_port),
        "Port of the monitoring endpoints `/varz`, `/connz`, `/subsz` and `/healthz` (`http_port`), which ask for no login. -1 opens none, 0 any free one."),

    key("coap.enabled", "true", Field::Bool(|c| &mut c.coap.enabled),
        "Whether the CoAP door is open; see docs/doors/coap.md."),
    key("coap.port", "5683", Field::U16(|c| &mut c.coap.port),
        "Port of the CoAP door, over TCP and UDP. 0 takes any free port."),
    key("coap.security", "PLAINTEXT", Field::Checked(|c| &mut c.coap.security, security::without_logins),
        "`SSL` makes the CoAP door speak TLS over TCP and WebSocket, as `[tls]` says or `listener.coap.tls` says for it alone; then it is not open over UDP. The protocol knows no logins."),
    key("coap.multicast", "true", Field::Bool(|c| &mut c.coap.multicast),
        "Whether discovery also reaches it by the groups of all CoAP nodes (224.0.1.187, ff02::fd), where others than this machine can reach it."),
    key("coap.websocket_port", "-1", Field::MaybePort(|c| &mut c.coap.websocket_port),
        "Port on which CoAP clients connect over WebSocket. -1 opens none, 0 any free one."),
    key("coap.websocket_origins", "", Field::List(|c| &mut c.coap.websocket_origins),
        "Origins of the web pages that may connect there, such as `https://example.com`. Empty means all."),
    key("coap.max_body_bytes", "1048576", Field::Usize(|c| &mut c.coap.max_body_bytes, 1024, 1024 * 1024),
        "Largest body of a request, in bytes, in however many pieces it comes."),
    key("coap.request_timeout_ms", "30000", Field::U64(|c| &mut c.coap.request_timeout_ms, 1, DAY_MS as u64),
        "How long a responder may take to answer a request, in milliseconds; then its client is told 5.04."),
    key("coap.publish_rate", "0", Field::Usize(|c| &mut c.coap.publish_rate, 0, 1_000_000),
        "Messages a second that one address may publish over UDP, and as many at once; more are refused with 4.29. 0 means any number."),
    key("coap.echo", "false", Field::Bool(|c| &mut c.coap.echo),
        "Whether a client that may be elsewhere shows with the Echo option (RFC 9175) that it is not, and not by answering a ping, as every client does."),
    key("coap.dtls_port", "-1", Field::MaybePort(|c| &mut c.coap.dtls_port),
        "Port of the CoAP door over DTLS, for clients who have one of the keys in `coap.psk`. -1 opens none, 0 any free one; 5684 is the usual one."),
    key("coap.psk", "", Field::Secret(|c| &mut c.coap.psk, coap_keys),
        "Keys of clients over DTLS: `NAME=KEY`, separated by commas, each key in hexadecimal, of 16 bytes at least. Who has a key is the user of its name."),
    key("coap.collection", "ps", Field::Text(|c| &mut c.coap.collection),
        "The path of the collection of topics, one segment; the topics' own paths begin with it."),
    key("coap.pubsub_format", "606", Field::U16(|c| &mut c.coap.pubsub_format),
        "The number of the format `application/core-pubsub+cbor`, which is not registered yet."),

    key("grpc.enabled", "true", Field::Bool(|c| &mut c.grpc.enabled),
        "Whether the gRPC door is open; see docs/doors/grpc.md."),
    key("grpc.port", "50051", Field::U16(|c| &mut c.grpc.port),
        "Port of the gRPC door, for gRPC-Web too. 0 takes any free port."),
    key("grpc.security", "PLAINTEXT", Field::Checked(|c| &mut c.grpc.security, security::protocol),
        "`SSL` makes the gRPC door speak TLS, as `[tls]` says or `listener.grpc.tls` says for it alone; `SASL_` in front demands logins in the metadata `authorization`: `Basic` with name and password, or `Bearer` with a token, as `[login]` says. With `net.secure`, `SASL_SSL` unless this says otherwise."),
    key("grpc.max_message_bytes", "4194304", Field::Usize(|c| &mut c.grpc.max_message_bytes, 1024, 64 * 1024 * 1024),
        "Largest message of the protocol, in bytes, after it is unpacked: a published message with all that is around it, or a request with many. What topics take is another limit (`max.message.bytes`)."),
    key("grpc.max_calls", "1024", Field::Usize(|c| &mut c.grpc.max_calls, 1, 1_000_000),
        "Calls of one connection at a time; further ones wait at the client."),
    key("grpc.keep_alive_interval_ms", "60000", Field::U64(|c| &mut c.grpc.keep_alive_interval_ms, 10, DAY_MS as u64),
        "How often a client is asked for a sign of life, in milliseconds."),
    key("grpc.keep_alive_timeout_ms", "20000", Field::U64(|c| &mut c.grpc.keep_alive_timeout_ms, 10, DAY_MS as u64),
        "A client that gives none for so long is gone, in milliseconds."),
    key("grpc.web_origins", "", Field::List(|c| &mut c.grpc.web_origins),
        "Origins of the web pages that may call by gRPC-Web, such as `https://example.com`. Empty means all."),

    key("tls.certificate", "", Field::MaybeText(|c| &mut c.tls.certificate),
        "The broker's certificate and those between it and an authority: a PEM file, or PEM itself. Read again when it changes, and on SIGHUP."),
    key("tls.key", "", Field::Secret(|c| &mut c.tls.key, security::any),
        "Its private key: a PEM file, or PEM itself; not encrypted. Not needed if it stands in the certificate's file."),
    key("tls.client_ca", "", Field::MaybeText(|c| &mut c.tls.client_ca),
        "Authorities whose certificates clients may show: a PEM file, or PEM itself."),
    key("tls.client_auth", "none", Field::Checked(|c| &mut c.tls.client_auth, security::client_auth),
        "Whether clients show certificates. Who shows one, and does not log in, is the user that its subject names. Where clients log in, only `listener.NAME.tls.client_auth` counts, as in Kafka."),
    key("tls.versions", "TLSv1.2,TLSv1.3", Field::CheckedList(|c| &mut c.tls.versions, security::tls_version),
        "Versions of TLS that are spoken."),
    key("tls.cipher_suites", "", Field::List(|c| &mut c.tls.cipher_suites),
        "Cipher suites that are allowed, by their IANA names, best first. Empty means all that are safe."),
    key("tls.principal_rules", "DEFAULT", Field::Checked(|c| &mut c.tls.principal_rules, security::principal_rules),
        "From a certificate's subject to a user's name; the first rule that matches counts."),
    key("tls.self_signed", "false", Field::Bool(|c| &mut c.tls.self_signed),
        "Whether an authority and a certificate are made in the data folder where no certificate is given. With `net.secure`, they always are."),

    key("login.mechanisms", "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN", Field::CheckedList(|c| &mut c.login.mechanisms, security::mechanism),
        "The ways to log in that are offered."),
    key("login.plain_users", "", Field::Secret(|c| &mut c.login.plain_users, security::users_line),
        "Users of `PLAIN` besides those of `entrepot user`, which `PLAIN` knows too."),
    key("login.session_max_ms", "-1", Field::MaybeU64(|c| &mut c.login.session_max_ms),
        "Clients must log in again after so many milliseconds (KIP-368). -1 means never."),
    key("login.failure_delay_ms", "100", Field::U64(|c| &mut c.login.failure_delay_ms, 0, 60_000),
        "How long a refused login is held back, in milliseconds, to slow guessing down."),
    key("login.request_max_bytes", "524288", Field::Usize(|c| &mut c.login.request_max_bytes, 1024, i32::MAX as usize),
        "Largest request in bytes from a client that has not logged in."),
    key("login.token_keys", "", Field::MaybeText(|c| &mut c.login.token_keys),
        "File with the public keys (JWKS) of the issuer of tokens, for `OAUTHBEARER`. Read again when it changes, and on SIGHUP."),
    key("login.token_issuer", "", Field::MaybeText(|c| &mut c.login.token_issuer),
        "The issuer (`iss`) that a token must name."),
    key("login.token_audiences", "", Field::List(|c| &mut c.login.token_audiences),
        "Audiences (`aud`) of which a token must name one."),
    key("login.token_clock_skew_seconds", "30", Field::U64(|c| &mut c.login.token_clock_skew_seconds, 0, 86_400),
        "By how many seconds the issuer's clock may differ from ours."),
    key("login.token_subject_claim", "sub", Field::Text(|c| &mut c.login.token_subject_claim),
        "The claim of a token that has the user's name."),
    key("login.token_unsecured", "false", Field::Bool(|c| &mut c.login.token_unsecured),
        "Whether tokens without a signature are believed. For development only."),
    key("login.admin_user", "admin", Field::Text(|c| &mut c.login.admin_user),
        "The first user, made by `net.secure` where there is no user."),
    key("login.admin_password", "", Field::Secret(|c| &mut c.login.admin_password, security::any),
        "The first user's password. If there is none, one is made and printed, once."),

    key("network.worker_threads", "0", Field::Usize(|c| &mut c.network.worker_threads, 0, 1024),
        "Threads that serve connections. 0 means one for each processor."),
    key("network.request_max_bytes", "104857600", Field::Usize(|c| &mut c.network.request_max_bytes, 1, i32::MAX as usize),
        "Largest request in bytes; a larger one closes its connection."),
    key("network.queued_request_bytes", "268435456", Field::MaybeUsize(|c| &mut c.network.queued_request_bytes),
        "Memory for requests that are on their way in or wait for the disk, of all connections together, in bytes; 16 KiB of each are not counted. Never less than network.request_max_bytes. -1: no limit."),
    key("network.send_buffer_bytes", "-1", Field::MaybeUsize(|c| &mut c.network.send_buffer_bytes),
        "Send buffer of a socket in bytes (`SO_SNDBUF`). -1 leaves it to the operating system, which adapts it."),
    key("network.receive_buffer_bytes", "-1", Field::MaybeUsize(|c| &mut c.network.receive_buffer_bytes),
        "Receive buffer of a socket in bytes (`SO_RCVBUF`). -1 leaves it to the operating system, which adapts it."),
    key("network.listen_backlog", "1024", Field::I32(|c| &mut c.network.listen_backlog, 1, 65_535),
        "Connections that may wait to be accepted, for each listener."),
    key("network.max_connections", "20000", Field::Usize(|c| &mut c.network.max_connections, 1, i32::MAX as usize),
        "Connections of all doors together; more are closed as they arrive."),
    key("network.max_connections_per_ip", "2147483647", Field::Usize(|c| &mut c.network.max_connections_per_ip, 0, i32::MAX as usize),
        "Connections that one address may have at a time, of all doors together."),
    key("network.max_connections_per_ip_overrides", "", Field::Counts(|c| &mut c.network.max_connections_per_ip_overrides),
        "Addresses, or host names, that may have another number of connections. A host name means the addresses that it has when the broker starts."),
    key("network.max_connection_rate", "2147483647", Field::Usize(|c| &mut c.network.max_connection_rate, 1, i32::MAX as usize),
        "Connections accepted in a second, of all doors together, as a mean over `quota.windows`; more wait until they are accepted."),
    key("network.connections_max_idle_ms", "600000", Field::MaybeU64(|c| &mut c.network.connections_max_idle_ms),
        "A connection on which nothing happens for so many milliseconds is closed. -1 means never."),

    key("storage.dir", "", Field::Path(|c| &mut c.storage.dir),
        "The data folder; made if it does not exist. Default: `$XDG_DATA_HOME/entrepot`, else `~/.local/share/entrepot`, else `/var/lib/entrepot`."),
    key("storage.retention_check_interval_ms", "300000", Field::U64(|c| &mut c.storage.retention_check_interval_ms, 1, ANY),
        "How often segments past their retention are looked for, in milliseconds."),

    key("storage.cleaner_enable", "true", Field::Bool(|c| &mut c.storage.cleaner_enable),
        "Whether topics whose `cleanup.policy` says so are compacted."),
    key("storage.cleaner_backoff_ms", "15000", Field::U64(|c| &mut c.storage.cleaner_backoff_ms, 1, ANY),
        "How long the cleaner rests when no partition is due for compaction, in milliseconds."),
    key("storage.cleaner_dedupe_bytes", "134217728", Field::Usize(|c| &mut c.storage.cleaner_dedupe_bytes, 1024, i32::MAX as usize),
        "Most bytes of memory for the table of a partition's keys while it is compacted, 24 for each; taken only as far as they are needed, and given back. A partition with more new keys takes several rounds."),
    key("storage.cleaner_io_bytes_per_second", "-1", Field::MaybeU64(|c| &mut c.storage.cleaner_io_bytes_per_second),
        "Most bytes that the cleaner reads and writes a second. -1 means no limit."),
    key("storage.session_queue_bytes", "17179869184", Field::U64(|c| &mut c.storage.session_queue_bytes, 8 << 20, ANY),
        "Most bytes of disk for what waits for sessions of clients that are away, of all together; each message is there once, whoever it is for. Beyond it the oldest are deleted, an eighth or 64 MiB at a time, whichever is less."),

    key("topic.partitions", "1", Field::I32(|c| &mut c.topic.partitions, 1, limits::TOPIC_PARTITIONS_MAX),
        "Partitions of a topic that is created without a number of them."),
    key("topic.auto_create", "true", Field::Bool(|c| &mut c.topic.auto_create),
        "Whether a topic is created when a client first names it."),
    key("topic.delete_enable", "true", Field::Bool(|c| &mut c.topic.delete_enable),
        "Whether clients may delete topics."),
    key("topic.retention_ms", "604800000", Field::MaybeU64(|c| &mut c.topic.retention_ms),
        "How long records are kept, in milliseconds. -1 means for ever."),
    key("topic.retention_bytes", "-1", Field::MaybeU64(|c| &mut c.topic.retention_bytes),
        "How many bytes of a partition are kept. -1 means all."),
    key("topic.segment_bytes", "1073741824", Field::U64(|c| &mut c.topic.segment_bytes, 64 * 1024, i32::MAX as u64),
        "A segment is closed when it has so many bytes; retention works on closed segments."),
    key("topic.segment_ms", "604800000", Field::U64(|c| &mut c.topic.segment_ms, 1, ANY),
        "A segment is closed when it is so old, in milliseconds."),
    key("topic.max_message_bytes", "1048588", Field::Usize(|c| &mut c.topic.max_message_bytes, 0, 64 * 1024 * 1024),
        "Largest record batch in bytes, compressed as it arrives."),
    key("topic.max_decompressed_message_bytes", "2147483639", Field::Topic(|c| &mut c.topic.max_decompressed_message_bytes, "max.decompressed.message.bytes"),
        "Largest record in a compressed batch, in bytes, unpacked. Where it is set, such batches are opened when they are produced."),
    key("topic.partitioner", "hash", Field::Partitioner(|c| &mut c.topic.partitioner),
        "Partition of messages whose producer chose none: by the key's hash as Kafka's clients do it, in turn, by ranges of keys, or by a list of keys."),
    key("topic.durability", "fsync", Field::Durability(|c| &mut c.topic.durability),
        "When an append is acknowledged: `fsync` once it is on stable storage, `os` once the operating system has it (a power cut may lose it), `memory` at once (the end of the process loses it)."),

    key("topic.cleanup_policy", "delete", Field::Topic(|c| &mut c.topic.cleanup_policy, "cleanup.policy"),
        "What happens to old records: `delete` by age and size, `compact` by key, both, or none."),
    key("topic.delete_retention_ms", "86400000", Field::Topic(|c| &mut c.topic.delete_retention_ms, "delete.retention.ms"),
        "How long a compacted topic keeps a deletion mark after it was first compacted, in milliseconds."),
    key("topic.min_cleanable_dirty_ratio", "0.5", Field::Topic(|c| &mut c.topic.min_cleanable_dirty_ratio, "min.cleanable.dirty.ratio"),
        "A partition is compacted when more than this part of it was added since the last time."),
    key("topic.min_compaction_lag_ms", "0", Field::Topic(|c| &mut c.topic.min_compaction_lag_ms, "min.compaction.lag.ms"),
        "A record is not compacted before it is so old, in milliseconds."),
    key("topic.max_compaction_lag_ms", "9223372036854775807", Field::Topic(|c| &mut c.topic.max_compaction_lag_ms, "max.compaction.lag.ms"),
        "A partition with a record so old that was not compacted is compacted, in milliseconds."),
    key("topic.message_timestamp_type", "CreateTime", Field::Topic(|c| &mut c.topic.message_timestamp_type, "message.timestamp.type"),
        "Which time records have: their producer's (`CreateTime`), or when the broker appended them (`LogAppendTime`)."),
    key("topic.message_timestamp_before_max_ms", "9223372036854775807", Field::Topic(|c| &mut c.topic.message_timestamp_before_max_ms, "message.timestamp.before.max.ms"),
        "How far a producer's time may be behind the broker's clock, in milliseconds."),
    key("topic.message_timestamp_after_max_ms", "3600000", Field::Topic(|c| &mut c.topic.message_timestamp_after_max_ms, "message.timestamp.after.max.ms"),
        "How far a producer's time may be ahead of the broker's clock, in milliseconds."),
    key("topic.compression_type", "producer", Field::Topic(|c| &mut c.topic.compression_type, "compression.type"),
        "`producer` keeps batches as they come; a codec packs them anew with it."),
    key("topic.compression_gzip_level", "-1", Field::Topic(|c| &mut c.topic.compression_gzip_level, "compression.gzip.level"),
        "How hard to compress where `compression_type` is `gzip`. -1 leaves it to the codec."),
    key("topic.compression_zstd_level", "3", Field::Topic(|c| &mut c.topic.compression_zstd_level, "compression.zstd.level"),
        "How hard to compress where `compression_type` is `zstd`."),

    key("group.initial_rebalance_delay_ms", "0", Field::U64(|c| &mut c.group.initial_rebalance_delay_ms, 0, ANY),
        "How long the first member of an empty group waits for others, in milliseconds. Kafka's own default is 3000, and its stock server.properties says 0."),
    key("group.min_session_timeout_ms", "6000", Field::I32(|c| &mut c.group.min_session_timeout_ms, 1, i32::MAX),
        "Shortest session time-out that a member may ask for, in milliseconds."),
    key("group.max_session_timeout_ms", "1800000", Field::I32(|c| &mut c.group.max_session_timeout_ms, 1, i32::MAX),
        "Longest session time-out that a member may ask for, in milliseconds."),
    key("group.consumer_session_timeout_ms", "45000", Field::U64(|c| &mut c.group.consumer_session_timeout_ms, 1, i32::MAX as u64),
        "How long a member of a consumer group (KIP-848) may be silent, in milliseconds."),
    key("group.consumer_heartbeat_interval_ms", "5000", Field::U64(|c| &mut c.group.consumer_heartbeat_interval_ms, 1, i32::MAX as u64),
        "How often members of consumer groups (KIP-848) are told to send heartbeats, in milliseconds."),
    key("group.max_size", "10000", Field::Usize(|c| &mut c.group.max_size, 1, limits::GROUP_MEMBERS_MAX),
        "Most members of one group."),
    key("group.share_session_timeout_ms", "45000", Field::U64(|c| &mut c.group.share_session_timeout_ms, 1, 3_600_000),
        "How long a member of a share group (KIP-932) may be silent, in milliseconds, unless the group says otherwise."),
    key("group.share_heartbeat_interval_ms", "5000", Field::U64(|c| &mut c.group.share_heartbeat_interval_ms, 1, 3_600_000),
        "How often members of share groups are told to send heartbeats, in milliseconds, unless the group says otherwise."),
    key("group.share_record_lock_duration_ms", "30000", Field::U64(|c| &mut c.group.share_record_lock_duration_ms, 1_000, 3_600_000),
        "How long a consumer of a share group may keep a record before others get it, in milliseconds, unless the group says otherwise."),
    key("group.share_delivery_count_limit", "5", Field::U64(|c| &mut c.group.share_delivery_count_limit, 1, 1_000),
        "How often a share group delivers a record at most, unless the group says otherwise."),
    key("group.share_partition_max_record_locks", "2000", Field::U64(|c| &mut c.group.share_partition_max_record_locks, 100, 10_000),
        "Most records of a partition between the first that a share group is not done with and the last that it delivered, unless the group says otherwise."),
    key("group.consumer_session_timeout_min_ms", "1", Field::U64(|c| &mut c.group.bounds.consumer_session.0, 1, 3_600_000),
        "The least that a group may set as its `consumer.session.timeout.ms`. What was set before is raised to it."),
    key("group.consumer_session_timeout_max_ms", "3600000", Field::U64(|c| &mut c.group.bounds.consumer_session.1, 1, 3_600_000),
        "The most that a group may set as its `consumer.session.timeout.ms`. What was set before is lowered to it."),
    key("group.consumer_heartbeat_interval_min_ms", "1", Field::U64(|c| &mut c.group.bounds.consumer_heartbeat.0, 1, 3_600_000),
        "The least that a group may set as its `consumer.heartbeat.interval.ms`. What was set before is raised to it."),
    key("group.consumer_heartbeat_interval_max_ms", "3600000", Field::U64(|c| &mut c.group.bounds.consumer_heartbeat.1, 1, 3_600_000),
        "The most that a group may set as its `consumer.heartbeat.interval.ms`. What was set before is lowered to it."),
    key("group.share_session_timeout_min_ms", "1", Field::U64(|c| &mut c.group.bounds.share_session.0, 1, 3_600_000),
        "The least that a group may set as its `share.session.timeout.ms`. What was set before is raised to it."),
    key("group.share_session_timeout_max_ms", "3600000", Field::U64(|c| &mut c.group.bounds.share_session.1, 1, 3_600_000),
        "The most that a group may set as its `share.session.timeout.ms`. What was set before is lowered to it."),
    key("group.share_heartbeat_interval_min_ms", "1", Field::U64(|c| &mut c.group.bounds.share_heartbeat.0, 1, 3_600_000),
        "The least that a group may set as its `share.heartbeat.interval.ms`. What was set before is raised to it."),
    key("group.share_heartbeat_interval_max_ms", "3600000", Field::U64(|c| &mut c.group.bounds.share_heartbeat.1, 1, 3_600_000),
        "The most that a group may set as its `share.heartbeat.interval.ms`. What was set before is lowered to it."),
    key("group.share_record_lock_duration_min_ms", "1000", Field::U64(|c| &mut c.group.bounds.share_lock.0, 1_000, 3_600_000),
        "The least that a group may set as its `share.record.lock.duration.ms`. What was set before is raised to it."),
    key("group.share_record_lock_duration_max_ms", "3600000", Field::U64(|c| &mut c.group.bounds.share_lock.1, 1_000, 3_600_000),
        "The most that a group may set as its `share.record.lock.duration.ms`. What was set before is lowered to it."),
    key("group.share_delivery_count_limit_min", "1", Field::U64(|c| &mut c.group.bounds.share_deliveries.0, 1, 1_000),
        "The least that a group may set as its `share.delivery.count.limit`. What was set before is raised to it."),
    key("group.share_delivery_count_limit_max", "1000", Field::U64(|c| &mut c.group.bounds.share_deliveries.1, 1, 1_000),
        "The most that a group may set as its `share.delivery.count.limit`. What was set before is lowered to it."),
    key("group.share_partition_max_record_locks_min", "100", Field::U64(|c| &mut c.group.bounds.share_window.0, 100, 10_000),
        "The least that a group may set as its `share.partition.max.record.locks`. What was set before is raised to it."),
    key("group.share_partition_max_record_locks_max", "10000", Field::U64(|c| &mut c.group.bounds.share_window.1, 100, 10_000),
        "The most that a group may set as its `share.partition.max.record.locks`. What was set before is lowered to it."),
    key("group.share_max_size", "200", Field::Usize(|c| &mut c.group.share_max_size, 1, 1_000),
        "Most members of one share group."),
    key("group.share_max_sessions", "2000", Field::Usize(|c| &mut c.group.share_max_sessions, 1, 1_000_000),
        "Most members of all share groups that take records from this broker at a time."),
    key("group.dead_letter_topic_prefix", "dlq.", Field::Text(|c| &mut c.group.dead_letter_topic_prefix),
        "What the name of a topic must begin with for share groups to send dead letters there (KIP-1191)."),
    key("group.dead_letter_auto_create", "false", Field::Bool(|c| &mut c.group.dead_letter_auto_create),
        "Whether a topic for dead letters is made when a share group needs it."),
    key("group.offsets_retention_minutes", "10080", Field::U64(|c| &mut c.group.offsets_retention_minutes, 1, i32::MAX as u64),
        "How long the offsets of a group without members are kept, in minutes."),

    key("transaction.max_timeout_ms", "900000", Field::U64(|c| &mut c.transaction.max_timeout_ms, 1, i32::MAX as u64),
        "Longest time-out that a transactional producer may ask for, in milliseconds."),
    key("transaction.id_expiration_ms", "604800000", Field::U64(|c| &mut c.transaction.id_expiration_ms, 1, ANY),
        "A transactional id that is not used for so many milliseconds is forgotten."),
    key("transaction.producer_expiration_ms", "86400000", Field::U64(|c| &mut c.transaction.producer_expiration_ms, 1, ANY),
        "An idempotent producer that is not heard of for so many milliseconds is forgotten: its next batch is taken for a new producer's first."),

    key("quota.windows", "11", Field::U64(|c| &mut c.quota.windows, 2, 10_000),
        "Rates are means over so many windows: the more, the longer a burst may be."),
    key("quota.window_seconds", "1", Field::U64(|c| &mut c.quota.window_seconds, 1, 86_400),
        "Length of such a window in seconds."),
    key("quota.mutation_windows", "11", Field::U64(|c| &mut c.quota.mutation_windows, 1, 10_000),
        "Who made no changes for so many windows may create and delete as many partitions at once as their quota allows in them."),
    key("quota.mutation_window_seconds", "1", Field::U64(|c| &mut c.quota.mutation_window_seconds, 1, 86_400),
        "Length of such a window in seconds."),

    key("security.authorize", "false", Field::Bool(|c| &mut c.security.authorize),
        "Whether access rules are enforced. If so, nobody may do anything that no rule allows, except `security.super_users`. With `net.secure`, they are unless this says otherwise."),
    key("security.super_users", "", Field::Principals(|c| &mut c.security.super_users),
        "Who may do everything, whatever the rules say: `User:admin;User:CN=broker,OU=it`. With `net.secure`, `login.admin_user` unless this says otherwise."),
    key("security.allow_if_no_rule", "false", Field::Bool(|c| &mut c.security.allow_if_no_rule),
        "Whether everybody may do everything with resources that no rule names."),

    key("log.level", "info", Field::Text(|c| &mut c.log.level),
        "`error`, `warn`, `info`, `debug` or `trace`, or filter directives such as `info,store=debug`."),
];

#[cfg(test)]
mod tests;
