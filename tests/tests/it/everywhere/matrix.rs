//! Every door publishes, every door reads, and a message says everything that one can: what arrives is what
//! `docs/messages.md` and the pages of the doors promise. [`WORDLESS`] is the table from which all pairs are made.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use door_amqp::wire::properties::Properties;
use door_amqp::wire::reader::Short;
use door_amqp::wire::table::{Table, TableBuf, Value};
use door_grpc::pb;
use door_grpc::pb::subscribe_response::Response as Told;
use serde_json::{Value as Json, json};
use tests::{Serve, root};

use super::kafka::{Kafka, Record};
use super::{Door, now_ms};
use crate::http::ask_at;
use crate::wires::amqp::{self, Amqp};
use crate::wires::coap::{self, Coap};
use crate::wires::grpc::Grpc;
use crate::wires::mqtt::{self, Mqtt, Property, Version};
use crate::wires::nats::{self, Nats};
use crate::wires::stomp::{self, Stomp};

/// What a message can say besides its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Headers,
    ContentType,
    ReplyTo,
    CorrelationId,
    Expiry,
    Priority,
    Time,
}

impl Word {
    /// As the page of messages calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Headers => "headers",
            Self::ContentType => "content type",
            Self::ReplyTo => "reply-to",
            Self::CorrelationId => "correlation id",
            Self::Expiry => "expiry",
            Self::Priority => "priority",
            Self::Time => "time",
        }
    }
}

/// All doors, as the page calls them.
const COLUMNS: [(Door, &str); 10] = [
    (Door::Kafka, "Kafka"),
    (Door::ZooKeeper, "Kafka, by ZooKeeper"),
    (Door::Mqtt5, "MQTT 5"),
    (Door::Mqtt311, "MQTT 3"),
    (Door::Nats, "NATS"),
    (Door::Amqp, "AMQP"),
    (Door::Stomp, "STOMP"),
    (Door::Grpc, "gRPC"),
    (Door::Coap, "CoAP"),
    (Door::Http, "HTTP"),
];

/// Those that are told what is published meanwhile.
const LISTENERS: [Door; 7] =
    [Door::Mqtt5, Door::Mqtt311, Door::Nats, Door::Amqp, Door::Stomp, Door::Grpc, Door::Coap];

/// Those that read what a topic keeps.
const READERS: [Door; 4] = [Door::Kafka, Door::ZooKeeper, Door::Grpc, Door::Http];

/// Who has no word for what: publishers can say everything else there, and readers are told. What is said at one door
/// arrives at each of the others; where there is no word it is left out.
const WORDLESS: [(Word, &[Door]); 7] = [
    (Word::Headers, &[Door::Mqtt311, Door::Coap]),
    (Word::ContentType, &[Door::Mqtt311]),
    (Word::ReplyTo, &[Door::Mqtt311, Door::Coap]),
    (Word::CorrelationId, &[Door::Mqtt311, Door::Coap]),
    (Word::Expiry, &[Door::Mqtt311]),
    (Word::Priority, &[Door::Mqtt5, Door::Mqtt311, Door::Coap]),
    (Word::Time, &[Door::Mqtt5, Door::Mqtt311, Door::Nats, Door::Coap]),
];

/// Where no payload is not the same as an empty one.
const ABSENT: [Door; 4] = READERS;

/// What is told there, and cannot be said.
const NOT_SAID: [(Word, Door); 1] = [(Word::ReplyTo, Door::Amqp)];

/// Headers that are properties in AMQP, and what STOMP calls them.
const PROPERTIES: [(&str, &str); 4] = [
    ("content-encoding", "content-encoding"),
    ("message-id", "amqp-message-id"),
    ("type", "type"),
    ("app-id", "app-id"),
];

/// How far apart two doors may have an expiry, in milliseconds: one of them counts in seconds from now.
const EXPIRY_SLACK_MS: i64 = 120_000;

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Said {
    /// Absent is not empty, where there are words for both.
    payload: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    content_type: Option<String>,
    /// As NATS writes it.
    reply_to: Option<String>,
    correlation_id: Option<Vec<u8>>,
    expires_at: Option<i64>,
    priority: Option<u8>,
    /// When it was made, if that is not now.
    time: Option<i64>,
}

impl Said {
    /// What of this can be said at a door.
    fn said_at(&self, door: Door) -> Self {
        self.at(door, &NOT_SAID)
    }

    /// What of this has a word at a door, but for some.
    fn at(&self, door: Door, but: &[(Word, Door)]) -> Self {
        let has = |word| {
            !WORDLESS.iter().any(|(own, doors)| *own == word && doors.contains(&door))
                && !but.contains(&(word, door))
        };
        let headers = self.headers.iter().filter(|_| has(Word::Headers));
        let headers = headers.filter_map(|(name, value)| {
            Some((name.clone(), header(door, name, value.as_deref())?))
        });
        let fits = |value: &&Vec<u8>| header(door, "x", Some(value)).is_some();
        Self {
            payload: match ABSENT.contains(&door) {
                true => self.payload.clone(),
                false => Some(self.payload.clone().unwrap_or_default()),
            },
            headers: headers.collect(),
            content_type: match (door, &self.content_type) {
                // Those that have a number.
                (Door::Coap, Some(text)) => FORMATS
                    .iter()
                    .find(|(_, full)| full.split(';').next() == text.split(';').next())
                    .map(|(_, full)| (*full).to_owned()),
                (_, text) => text.clone(),
            }
            .filter(|_| has(Word::ContentType)),
            reply_to: self.reply_to.clone().filter(|_| has(Word::ReplyTo)),
            correlation_id: match door {
                // There it is a field of any bytes, and not a header.
                Door::Mqtt5 | Door::Amqp | Door::Grpc | Door::Http => self.correlation_id.clone(),
                _ => self.correlation_id.as_ref().filter(fits).cloned(),
            }
            .filter(|_| has(Word::CorrelationId)),
            expires_at: self.expires_at.filter(|_| has(Word::Expiry)),
            priority: self.priority.filter(|_| has(Word::Priority)),
            time: match door {
                // Seconds there.
                Door::Amqp | Door::Stomp => self.time.map(|ms| ms / 1000 * 1000),
                _ => self.time,
            }
            .filter(|_| has(Word::Time)),
        }
    }

    /// What readers at a door are told of this, published at another.
    fn told(&self, publisher: Door, reader: Door) -> Self {
        let said = self.said_at(publisher);
        let mut told = said.at(reader, &[]);
        // Who answers by NATS repeats the subject only, so that holds the word that is wanted back.
        if (reader, publisher == reader) == (Door::Nats, false)
            && let Some(reply) = &mut told.reply_to
            && let Some(id) = said.correlation_id.filter(|id| !id.is_empty())
        {
            let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
            *reply = format!("_R_.{id}.{reply}");
        }
        told
    }
}

/// What becomes of a header at a door. None: it cannot be there.
fn header(door: Door, name: &str, value: Option<&[u8]>) -> Option<Option<Vec<u8>>> {
    let bytes = value.unwrap_or_default();
    let fits = match door {
        Door::Kafka | Door::ZooKeeper | Door::Amqp | Door::Grpc | Door::Http => {
            return Some(value.map(<[u8]>::to_vec));
        }
        Door::Mqtt311 | Door::Coap => false,
        // Text.
        Door::Mqtt5 => std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0),
        // Text, too, and what begins there has a name.
        Door::Stomp => {
            let is_text = std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0);
            is_text && !name.is_empty()
        }
        // A line `Name: value`.
        Door::Nats => {
            !name.is_empty()
                && !name.contains([' ', ':'])
                && bytes.trim_ascii().len() == bytes.len()
                && !bytes.contains(&b'\n')
        }
    };
    fits.then(|| Some(bytes.to_vec()))
}

/// What is said, a line each, and all of it.
fn messages(now: i64) -> Vec<(&'static str, Said)> {
    let plain = || Said { payload: Some(b"21.5".to_vec()), ..Said::default() };
    let headers = |pairs: &[(&str, Option<&[u8]>)]| {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), value.map(Vec::from)));
        Said { headers: pairs.collect(), ..plain() }
    };
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let expires_at = Some(now + 3_600_000);
    let reply_to = Some("answers.to//me.1".to_owned());
    vec![
        ("payload", plain()),
        ("every byte", Said { payload: Some((0..=255).collect()), ..Said::default() }),
        ("empty payload", Said { payload: Some(Vec::new()), ..Said::default() }),
        ("no payload", Said::default()),
        ("headers", headers(&[("b", Some(b"1")), ("a", Some(b"2")), ("b", Some(b"1"))])),
        ("headers of any case", headers(&[("Ab", Some(b"1")), ("aB", Some("ü".as_bytes()))])),
        ("an empty header", headers(&[("a", Some(b"")), ("b", Some(b"1"))])),
        ("a header without a value", headers(&[("a", None), ("b", Some(b"1"))])),
        ("a header that is no text", headers(&[("a", Some(b"\xff\x01")), ("b", Some(b"1"))])),
        ("a header of two lines", headers(&[("a", Some(b"1\r\n2")), ("b", Some(b"1"))])),
        ("a header with blanks", headers(&[("a", Some(b" 1 ")), ("b", Some(b"1"))])),
        ("a name with a blank", headers(&[("a b", Some(b"1")), ("b", Some(b"1"))])),
        (
            "a trace",
            headers(&[("traceparent", Some(trace.as_bytes())), ("tracestate", Some(b"a=1,b=2"))]),
        ),
        ("what programs say", headers(&PROPERTIES.map(|(name, _)| (name, Some(name.as_bytes()))))),
        ("content type", Said { content_type: Some("text/plain".to_owned()), ..plain() }),
        ("reply to", Said { reply_to: reply_to.clone(), ..plain() }),
        ("correlation id", Said { correlation_id: Some(b"\0no. 7\xff".to_vec()), ..plain() }),
        ("expiry", Said { expires_at, ..plain() }),
        ("priority", Said { priority: Some(9), ..plain() }),
        ("time", Said { time: Some(1_700_000_000_123), ..plain() }),
        (
            "a request",
            Said { reply_to: reply_to.clone(), correlation_id: Some(b"7".to_vec()), ..plain() },
        ),
        (
            "a request with a word of any bytes",
            Said {
                reply_to: reply_to.clone(),
                correlation_id: Some(b"\r\n\0\xff".to_vec()),
                ..plain()
            },
        ),
        (
            "empty words",
            Said {
                content_type: Some(String::new()),
                correlation_id: Some(Vec::new()),
                ..headers(&[("", Some(b"")), ("a", Some(b""))])
            },
        ),
        (
            "everything",
            Said {
                content_type: Some("application/json".to_owned()),
                reply_to,
                correlation_id: Some(b"7".to_vec()),
                expires_at,
                priority: Some(200),
                time: Some(1_700_000_000_123),
                ..headers(&[("b", Some(b"1")), ("traceparent", Some(trace.as_bytes()))])
            },
        ),
    ]
}

/// A client at each door, and readers of all that begins with `m`.
struct Clients {
    /// One that was told where the broker is, and one that asked ZooKeeper.
    kafka: Option<[Kafka; 2]>,
    mqtt5: [Mqtt; 2],
    mqtt311: [Mqtt; 2],
    nats: [Nats; 2],
    amqp: [Amqp; 2],
    stomp: [Stomp; 2],
    coap: [Coap; 2],
    grpc: [Grpc; 2],
    /// The ports of gRPC, for one more, and of HTTP.
    ports: [u16; 2],
    /// A time since then is when a message was stored, which its publisher did not say.
    begun: i64,
}

impl Clients {
    fn start(broker: &tests::Broker, kafka: Option<[Kafka; 2]>, begun: i64) -> Self {
        let mqtt = |version| [(); 2].map(|()| Mqtt::connect(broker.mqtt(), version));
        let nats = [(); 2].map(|()| Nats::connect(&broker.nats()));
        let (mqtt5, mqtt311) = (mqtt(Version::V5), mqtt(Version::V311));
        let amqp = [(); 2].map(|()| Amqp::connect(broker.amqp()));
        let stomp = [(); 2].map(|()| Stomp::connect(broker.stomp()).unwrap());
        let coap = [(); 2].map(|()| Coap::connect(broker.coap()));
        let grpc = [(); 2].map(|()| Grpc::connect(broker.grpc()));
        let ports = [broker.grpc(), broker.http()];
        let mut clients =
            Self { kafka, mqtt5, mqtt311, nats, amqp, stomp, coap, grpc, ports, begun };
        clients.mqtt5[1].subscribe("m/#");
        clients.mqtt311[1].subscribe("m/#");
        clients.nats[1].subscribe("m.>");
        clients.amqp[1].subscribe("m.#");
        let subscription: [(&str, &[u8]); 2] = [("id", b"0"), ("destination", b"/topic/m.#")];
        clients.stomp[1].do_this("SUBSCRIBE", &subscription, b"").unwrap();
        let live = pb::Live { filters: vec!["m.>".to_owned()], ..pb::Live::default() };
        clients.grpc[1].listen(pb::listen_request::From::Live(live)).unwrap();
        clients
    }

    fn publish(&mut self, door: Door, levels: [&str; 3], said: &Said) {
        let (payload, empty) = (said.payload.as_ref(), Vec::new());
        let bytes = payload.unwrap_or(&empty);
        // There are no wildcards.
        self.coap[1].observe(&levels);
        match door {
            Door::Kafka | Door::ZooKeeper => {
                let kafka = self.kafka.as_mut().expect("it publishes only where it is");
                let kafka = &mut kafka[usize::from(door == Door::ZooKeeper)];
                kafka.send(TOPIC, &to_kafka(&levels.join("."), said));
            }
            Door::Mqtt5 => self.mqtt5[0].publish(&levels.join("/"), &to_mqtt(said), bytes),
            Door::Mqtt311 => self.mqtt311[0].publish(&levels.join("/"), &[], bytes),
            Door::Nats => {
                let fields = to_nats(said);
                let block = (!fields.is_empty()).then(|| nats::block(&fields));
                let reply = said.reply_to.as_deref();
                self.nats[0].publish(&levels.join("."), reply, block.as_deref(), bytes);
            }
            Door::Amqp => to_amqp(said, |properties| {
                self.amqp[0].publish(&levels.join("."), properties, bytes);
            }),
            Door::Stomp => {
                let destination = format!("/topic/{}", levels.join(".")).into_bytes();
                let mut headers = to_stomp(said);
                headers.insert(0, ("destination".to_owned(), destination));
                let headers: Vec<_> =
                    headers.iter().map(|(name, value)| (name.as_str(), &value[..])).collect();
                self.stomp[0].do_this("SEND", &headers, bytes).unwrap();
            }
            Door::Coap => self.coap[0].put(&levels, &to_coap(said), bytes),
            Door::Grpc => {
                let message = to_grpc(&levels.join("."), said);
                self.grpc[0].publish(message).unwrap().unwrap();
            }
            Door::Http => {
                let path = format!("/api/v1/subjects/{}/messages", levels.join("."));
                let body = json!({ "messages": [to_http(said)] }).to_string();
                let (status, answer) = ask_at(self.ports[1], "POST", &path, &body);
                assert_eq!(status, 200, "{answer}");
            }
        }
    }

    /// The next message of a reader who listens: its levels, and what it says.
    fn read(&mut self, door: Door) -> (String, Said) {
        let (subject, mut said) = match door {
            Door::Kafka | Door::ZooKeeper | Door::Http => unreachable!("it reads in the end"),
            Door::Mqtt5 => of_mqtt(self.mqtt5[1].message()),
            Door::Mqtt311 => of_mqtt(self.mqtt311[1].message()),
            Door::Nats => of_nats(self.nats[1].message()),
            Door::Amqp => of_amqp(&self.amqp[1].message()),
            Door::Stomp => of_stomp(self.stomp[1].message().unwrap()),
            Door::Coap => of_coap(self.coap[1].message()),
            Door::Grpc => of_grpc(self.grpc[1].told().unwrap()),
        };
        // In seconds.
        said.time = said.time.filter(|time| *time + 1000 <= self.begun);
        (subject, said)
    }

    /// All that the topic keeps, so many messages, as a reader of topics is told.
    fn kept(&mut self, door: Door, count: usize) -> Vec<(String, Said)> {
        let mut kept = match door {
            Door::Kafka | Door::ZooKeeper => {
                let kafka = self.kafka.as_mut().expect("it is there");
                let records = kafka[usize::from(door == Door::ZooKeeper)].read(TOPIC);
                records.into_iter().map(of_kafka).collect()
            }
            Door::Grpc => grpc_kept(self.ports[0], count),
            Door::Http => http_kept(self.ports[1]),
            _ => unreachable!("it listens"),
        };
        for (_, said) in &mut kept {
            said.time = said.time.filter(|time| *time < self.begun);
        }
        kept
    }
}

/// What keeps all that is published, where something does.
const TOPIC: &str = "matrix";

fn to_kafka(subject: &str, said: &Said) -> Record {
    let mut headers = said.headers.clone();
    let mut add = |name: &str, value: Option<Vec<u8>>| {
        headers.extend(value.map(|value| (name.to_owned(), Some(value))));
    };
    add("content-type", said.content_type.clone().map(String::into_bytes));
    add("reply-to", said.reply_to.clone().map(String::into_bytes));
    add("correlation-id", said.correlation_id.clone());
    add("expires-at", said.expires_at.map(|at| at.to_string().into_bytes()));
    add("priority", said.priority.map(|priority| priority.to_string().into_bytes()));
    let key = Some(subject.as_bytes().to_vec());
    Record { key, value: said.payload.clone(), headers, timestamp: said.time }
}

fn of_kafka(record: Record) -> (String, Said) {
    let mut said = Said { payload: record.value, time: record.timestamp, ..Said::default() };
    for (name, value) in record.headers {
        let text = || String::from_utf8(value.clone().unwrap()).unwrap();
        match name.as_str() {
            "content-type" => said.content_type = Some(text()),
            "reply-to" => said.reply_to = Some(text()),
            "correlation-id" => said.correlation_id = value,
            "expires-at" => said.expires_at = Some(text().parse().unwrap()),
            "priority" => said.priority = Some(text().parse().unwrap()),
            name if name.starts_with("entrepot-") => {}
            _ => said.headers.push((name, value)),
        }
    }
    (String::from_utf8(record.key.unwrap()).unwrap(), said)
}

fn to_mqtt(said: &Said) -> Vec<Property> {
    let mut all = Vec::new();
    if let Some(text) = &said.content_type {
        all.push(Property::Bytes(mqtt::CONTENT_TYPE, text.clone().into_bytes()));
    }
    if let Some(reply) = &said.reply_to {
        all.push(Property::Bytes(mqtt::RESPONSE_TOPIC, in_mqtt(reply).into_bytes()));
    }
    if let Some(id) = &said.correlation_id {
        all.push(Property::Bytes(mqtt::CORRELATION_DATA, id.clone()));
    }
    if let Some(at) = said.expires_at {
        let seconds = u32::try_from((at - now_ms()) / 1000).unwrap();
        all.push(Property::Number(mqtt::MESSAGE_EXPIRY, seconds));
    }
    for (name, value) in &said.headers {
        let value = String::from_utf8(value.clone().unwrap()).unwrap();
        all.push(Property::User(name.clone(), value));
    }
    all
}

fn of_mqtt(message: mqtt::Publish) -> (String, Said) {
    let mut said = Said { payload: Some(message.payload), ..Said::default() };
    for property in message.properties {
        match property {
            Property::Number(_, seconds) => {
                said.expires_at = Some(now_ms() + 1000 * i64::from(seconds));
            }
            Property::Bytes(mqtt::CORRELATION_DATA, id) => said.correlation_id = Some(id),
            Property::Bytes(id, text) => {
                let text = String::from_utf8(text).unwrap();
                match id {
                    mqtt::CONTENT_TYPE => said.content_type = Some(text),
                    _ => said.reply_to = Some(in_text(&text)),
                }
            }
            Property::User(name, value) => said.headers.push((name, Some(value.into_bytes()))),
        }
    }
    (in_text(&message.topic), said)
}

/// A topic of MQTT, from a subject as NATS writes it: of what is different there only what is used here.
fn in_mqtt(subject: &str) -> String {
    subject.replace("//", "\0").replace('.', "/").replace('\0', ".")
}

fn in_text(topic: &str) -> String {
    topic.replace('.', "//").split('/').fold(String::new(), |text, level| match text.as_str() {
        "" => level.to_owned(),
        // Two in a row are a dot.
        _ if level.is_empty() => text + "/",
        _ if text.ends_with('/') => text + "/" + level,
        _ => text + "." + level,
    })
}

fn to_nats(said: &Said) -> Vec<(String, Vec<u8>)> {
    let headers = said.headers.iter();
    let headers = headers.map(|(name, value)| (name.clone(), value.clone().unwrap()));
    let mut fields: Vec<_> = headers.collect();
    let mut add = |name: &str, value: Option<Vec<u8>>| {
        fields.extend(value.map(|value| (name.to_owned(), value)));
    };
    add("Content-Type", said.content_type.clone().map(String::into_bytes));
    add("Correlation-Id", said.correlation_id.clone());
    add("Expires-At", said.expires_at.map(|at| at.to_string().into_bytes()));
    add("Priority", said.priority.map(|priority| priority.to_string().into_bytes()));
    fields
}

fn of_nats(message: nats::Msg) -> (String, Said) {
    let mut said =
        Said { payload: Some(message.payload), reply_to: message.reply, ..Said::default() };
    for (name, value) in message.headers.iter().flat_map(|block| nats::fields(block)) {
        let text = || String::from_utf8(value.clone()).unwrap();
        match name.as_str() {
            "Content-Type" => said.content_type = Some(text()),
            "Correlation-Id" => said.correlation_id = Some(value),
            "Expires-At" => said.expires_at = Some(text().parse().unwrap()),
            "Priority" => said.priority = Some(text().parse().unwrap()),
            _ => said.headers.push((name, Some(value))),
        }
    }
    (message.subject, said)
}

/// A routing key, from a subject as NATS writes it: of what is different there only what is used here.
fn in_key(subject: &str) -> String {
    subject.replace("//", "%2E")
}

fn of_key(key: &str) -> String {
    key.replace("%2E", "//")
}

/// How many milliseconds are left, in digits.
fn left(expires_at: Option<i64>) -> Option<String> {
    expires_at.map(|at| (at - now_ms()).to_string())
}

fn to_amqp(said: &Said, publish: impl FnOnce(&Properties<'_>)) {
    let mut table = TableBuf::default();
    let is_property = |name: &str| PROPERTIES.iter().any(|(own, _)| *own == name);
    for (name, value) in said.headers.iter().filter(|(name, _)| !is_property(name)) {
        table.push(name.as_bytes(), value.as_deref().map_or(Value::Void, Value::String));
    }
    let property = |name| {
        let found = said.headers.iter().find(|(known, _)| known == name);
        found.and_then(|(_, value)| value.as_deref()).map(Short)
    };
    let left = left(said.expires_at);
    publish(&Properties {
        content_type: said.content_type.as_ref().map(|kind| Short(kind.as_bytes())),
        headers: (!said.headers.is_empty()).then(|| table.table()),
        content_encoding: property("content-encoding"),
        message_id: property("message-id"),
        kind: property("type"),
        app_id: property("app-id"),
        priority: said.priority,
        correlation_id: said.correlation_id.as_ref().map(|id| Short(id)),
        expiration: left.as_ref().map(|left| Short(left.as_bytes())),
        timestamp: said.time.map(|ms| u64::try_from(ms / 1000).unwrap()),
        ..Properties::default()
    });
}

fn of_amqp(message: &amqp::Delivery) -> (String, Said) {
    let properties = Properties::decode(&message.properties).unwrap();
    let text = |short: Short<'_>| String::from_utf8(short.to_vec()).unwrap();
    let mut said = Said {
        payload: Some(message.payload.clone()),
        content_type: properties.content_type.map(text),
        correlation_id: properties.correlation_id.map(|id| id.to_vec()),
        expires_at: properties.expiration.map(|left| now_ms() + text(left).parse::<i64>().unwrap()),
        priority: properties.priority,
        time: properties.timestamp.map(|seconds| i64::try_from(seconds).unwrap() * 1000),
        ..Said::default()
    };
    for (name, value) in properties.headers.iter().flat_map(Table::entries) {
        let name = String::from_utf8(name.to_vec()).unwrap();
        match (name.as_str(), value.string()) {
            ("x-reply-to-topic", Some(key)) => {
                said.reply_to = Some(of_key(&String::from_utf8_lossy(key)));
            }
            (_, value) => said.headers.push((name, value.map(<[u8]>::to_vec))),
        }
    }
    let Properties { content_encoding, message_id, kind, app_id, .. } = properties;
    for ((name, _), value) in PROPERTIES.iter().zip([content_encoding, message_id, kind, app_id]) {
        said.headers.extend(value.map(|value| ((*name).to_owned(), Some(value.to_vec()))));
    }
    (message.key.clone(), said)
}

fn to_stomp(said: &Said) -> Vec<(String, Vec<u8>)> {
    let in_stomp = |name: &String| {
        let property = PROPERTIES.iter().find(|(own, _)| own == name);
        property.map_or_else(|| name.clone(), |(_, name)| (*name).to_owned())
    };
    let headers = said.headers.iter();
    let headers = headers.map(|(name, value)| (in_stomp(name), value.clone().unwrap()));
    let mut fields: Vec<_> = headers.collect();
    let mut add = |name: &str, value: Option<Vec<u8>>| {
        fields.extend(value.map(|value| (name.to_owned(), value)));
    };
    add("content-type", said.content_type.clone().map(String::into_bytes));
    let reply_to = said.reply_to.as_ref().map(|reply| format!("/topic/{}", in_key(reply)));
    add("reply-to", reply_to.map(String::into_bytes));
    add("correlation-id", said.correlation_id.clone());
    add("expiration", left(said.expires_at).map(String::into_bytes));
    add("priority", said.priority.map(|priority| priority.to_string().into_bytes()));
    add("timestamp", said.time.map(|ms| (ms / 1000).to_string().into_bytes()));
    fields
}

fn of_stomp(message: stomp::Frame) -> (String, Said) {
    let mut said = Said { payload: Some(message.body), ..Said::default() };
    let mut subject = String::new();
    for (name, value) in message.headers {
        let text = || String::from_utf8(value.clone()).unwrap();
        let key = || of_key(text().strip_prefix("/topic/").expect("a topic"));
        match name.as_str() {
            "destination" => subject = key(),
            "subscription" | "message-id" | "redelivered" | "content-length" | "persistent" => {}
            "content-type" => said.content_type = Some(text()),
            "reply-to" => said.reply_to = Some(key()),
            "correlation-id" => said.correlation_id = Some(value),
            "expiration" => said.expires_at = Some(now_ms() + text().parse::<i64>().unwrap()),
            "priority" => said.priority = Some(text().parse().unwrap()),
            "timestamp" => said.time = Some(text().parse::<i64>().unwrap() * 1000),
            _ => {
                let property = PROPERTIES.iter().find(|(_, stomp)| *stomp == name);
                let name = property.map_or(name, |(own, _)| (*own).to_owned());
                said.headers.push((name, Some(value)));
            }
        }
    }
    (subject, said)
}

/// Of the Content-Formats (RFC 7252 §12.3) those that are used here.
const FORMATS: [(u32, &str); 2] = [(0, "text/plain; charset=utf-8"), (50, "application/json")];

fn to_coap(said: &Said) -> Vec<(u16, Vec<u8>)> {
    let kind = said.content_type.as_deref();
    let format = FORMATS.iter().find(|(_, text)| kind == Some(*text)).map(|(number, _)| *number);
    let seconds = said.expires_at.map(|at| u32::try_from((at - now_ms()) / 1000).unwrap());
    let options = [(coap::CONTENT_FORMAT, format), (coap::MAX_AGE, seconds)];
    let options = options.into_iter();
    options.filter_map(|(option, value)| Some((option, coap::number(value?)))).collect()
}

fn of_coap((path, message): (Vec<String>, coap::Message)) -> (String, Said) {
    let text = |number| FORMATS.iter().find(|(own, _)| *own == number).expect("a known one").1;
    let said = Said {
        content_type: message.number(coap::CONTENT_FORMAT).map(|number| text(number).to_owned()),
        expires_at: message
            .number(coap::MAX_AGE)
            .map(|seconds| now_ms() + 1000 * i64::from(seconds)),
        payload: Some(message.payload),
        ..Said::default()
    };
    (path.join("."), said)
}

fn to_grpc(subject: &str, said: &Said) -> pb::Message {
    let header = |(name, value): &(String, Option<Vec<u8>>)| pb::Header {
        name: name.clone(),
        value: value.clone().map(Into::into),
    };
    pb::Message {
        subject: subject.to_owned(),
        payload: said.payload.clone().map(Into::into),
        headers: said.headers.iter().map(header).collect(),
        content_type: said.content_type.clone(),
        reply_to: said.reply_to.clone(),
        correlation_id: said.correlation_id.clone().map(Into::into),
        timestamp_ms: said.time,
        expires_at_ms: said.expires_at,
        priority: said.priority.map(u32::from),
        ..pb::Message::default()
    }
}

fn of_grpc(told: Told) -> (String, Said) {
    let mut messages = delivered(told);
    assert_eq!(messages.len(), 1, "they come one by one");
    messages.remove(0)
}

/// The messages of an answer.
fn delivered(told: Told) -> Vec<(String, Said)> {
    let Told::Deliveries(pb::Deliveries { deliveries }) = told else { panic!("{told:?}") };
    let messages = deliveries.into_iter().map(|delivery| delivery.message.expect("a message"));
    let header = |header: pb::Header| (header.name, header.value.map(|value| value.to_vec()));
    let said = |message: pb::Message| {
        let said = Said {
            payload: message.payload.map(|payload| payload.to_vec()),
            headers: message.headers.into_iter().map(header).collect(),
            content_type: message.content_type,
            reply_to: message.reply_to,
            correlation_id: message.correlation_id.map(|id| id.to_vec()),
            expires_at: message.expires_at_ms,
            priority: message.priority.map(|priority| u8::try_from(priority).unwrap()),
            time: message.timestamp_ms,
        };
        (message.subject, said)
    };
    messages.map(said).collect()
}

fn grpc_kept(port: u16, count: usize) -> Vec<(String, Said)> {
    let start = Some(pb::Start { at: Some(pb::start::At::Earliest(true)) });
    let offsets = pb::Offsets { topics: vec![TOPIC.to_owned()], start, ..pb::Offsets::default() };
    let mut reader = Grpc::connect(port);
    reader.listen(pb::listen_request::From::Offsets(offsets)).unwrap();
    let mut kept = Vec::new();
    while kept.len() < count {
        kept.extend(delivered(reader.told().unwrap()));
    }
    kept
}

/// Bytes as JSON: text where they are, else base64 under a name that says so.
fn put(json: &mut Json, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        None => {}
        Some((Ok(text), _)) => json[name] = text.into(),
        Some((Err(_), bytes)) => {
            json[format!("{name}_base64")] = BASE64_STANDARD.encode(bytes).into();
        }
    }
}

fn get(json: &Json, name: &str) -> Option<Vec<u8>> {
    if let Some(coded) = json[format!("{name}_base64")].as_str() {
        return Some(BASE64_STANDARD.decode(coded).expect("base64"));
    }
    json[name].as_str().map(|text| text.as_bytes().to_vec())
}

fn to_http(said: &Said) -> Json {
    let mut message = json!({});
    put(&mut message, "value", said.payload.as_deref());
    put(&mut message, "correlation_id", said.correlation_id.as_deref());
    let header = |(name, value): &(String, Option<Vec<u8>>)| {
        let mut header = json!({ "name": name });
        put(&mut header, "value", value.as_deref());
        header
    };
    message["headers"] = said.headers.iter().map(header).collect();
    // Absent is not null.
    let mut add = |name: &str, value: Option<Json>| {
        if let Some(value) = value {
            message[name] = value;
        }
    };
    add("content_type", said.content_type.clone().map(Json::from));
    add("reply_to", said.reply_to.clone().map(Json::from));
    add("expires_at", said.expires_at.map(Json::from));
    add("priority", said.priority.map(Json::from));
    add("timestamp", said.time.map(Json::from));
    message
}

fn of_http(message: &Json) -> (String, Said) {
    let text = |name: &str| message[name].as_str().map(str::to_owned);
    let headers = message["headers"].as_array().into_iter().flatten();
    let headers = headers
        .map(|header| (header["name"].as_str().expect("a name").to_owned(), get(header, "value")));
    let said = Said {
        payload: get(message, "value"),
        headers: headers.collect(),
        content_type: text("content_type"),
        reply_to: text("reply_to"),
        correlation_id: get(message, "correlation_id"),
        expires_at: message["expires_at"].as_i64(),
        priority: message["priority"].as_u64().map(|priority| u8::try_from(priority).unwrap()),
        time: message["timestamp"].as_i64(),
    };
    (text("key").expect("a subject"), said)
}

fn http_kept(port: u16) -> Vec<(String, Said)> {
    let (mut kept, mut offset) = (Vec::new(), 0);
    loop {
        let path =
            format!("/api/v1/topics/{TOPIC}/messages?partition=0&limit=1000&offset={offset}");
        let (status, answer) = ask_at(port, "GET", &path, "");
        assert_eq!(status, 200, "{answer}");
        let answer: Json = serde_json::from_str(&answer).expect("JSON");
        kept.extend(answer["messages"].as_array().expect("a list").iter().map(of_http));
        let (next, end) = (answer["next"].as_i64().unwrap(), answer["end"].as_i64().unwrap());
        if next >= end {
            return kept;
        }
        assert!(next > offset, "it goes on: {answer}");
        offset = next;
    }
}

/// What was not as it should be.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn check(
        &mut self,
        what: &str,
        pair: (Door, Door),
        seen: (String, Said),
        wanted: (&str, Said),
    ) {
        let ((subject, mut seen), (wanted_subject, wanted)) = (seen, wanted);
        // One of them counts from now.
        let counts = |door| matches!(door, Door::Mqtt5 | Door::Amqp | Door::Stomp | Door::Coap);
        if (counts(pair.0) || counts(pair.1))
            && let (Some(seen), Some(wanted)) = (&mut seen.expires_at, wanted.expires_at)
            && (*seen - wanted).abs() < EXPIRY_SLACK_MS
        {
            *seen = wanted;
        }
        if (subject.as_str(), &seen) != (wanted_subject, &wanted) {
            self.0.push(format!(
                "{what}, from {:?} to {:?}:\n  seen   {subject} {seen:?}\n  wanted {wanted_subject} {wanted:?}",
                pair.0, pair.1
            ));
        }
    }

    fn assert_none(self) {
        assert!(self.0.is_empty(), "{} findings:\n{}", self.0.len(), self.0.join("\n"));
    }
}

#[test]
fn what_a_topic_keeps_says_the_same_at_every_door() {
    let broker = Serve::new().start();
    let create = ["topic", "create", TOPIC, "--bind", "m.>", "--partitions", "1"];
    assert!(broker.entrepot(&create).status.success());
    let Some(kafka) = Kafka::confluent(&broker) else { return };
    let Some(found) = Kafka::found(&broker) else { return };
    let begun = now_ms();
    let mut clients = Clients::start(&broker, Some([kafka, found]), begun);
    let mut findings = Findings::default();
    let mut kept = Vec::new();
    for (number, (what, said)) in messages(begun).into_iter().enumerate() {
        for (publisher, _) in COLUMNS {
            let (number, name) = (number.to_string(), format!("{publisher:?}"));
            let subject = format!("m.{number}.{name}");
            clients.publish(publisher, ["m", &number, &name], &said.said_at(publisher));
            for reader in LISTENERS {
                let wanted = said.told(publisher, reader);
                findings.check(what, (publisher, reader), clients.read(reader), (&subject, wanted));
            }
            kept.push((what, publisher, subject, said.clone()));
        }
    }
    for reader in READERS {
        let seen = clients.kept(reader, kept.len());
        assert_eq!(seen.len(), kept.len(), "{reader:?} has each message once");
        for (seen, (what, publisher, subject, said)) in seen.into_iter().zip(&kept) {
            let wanted = said.told(*publisher, reader);
            findings.check(what, (*publisher, reader), seen, (subject, wanted));
        }
    }
    findings.assert_none();
}

#[test]
fn what_no_topic_keeps_says_the_same_to_all_who_listen() {
    let broker = Serve::new().start();
    let begun = now_ms();
    let mut clients = Clients::start(&broker, None, begun);
    let mut findings = Findings::default();
    for (number, (what, said)) in messages(begun).into_iter().enumerate() {
        for publisher in [&LISTENERS[..], &[Door::Http]].concat() {
            let (number, name) = (number.to_string(), format!("{publisher:?}"));
            let subject = format!("m.{number}.{name}");
            clients.publish(publisher, ["m", &number, &name], &said.said_at(publisher));
            for reader in LISTENERS {
                let wanted = said.told(publisher, reader);
                findings.check(what, (publisher, reader), clients.read(reader), (&subject, wanted));
            }
        }
    }
    findings.assert_none();
}

/// A record of Kafka is about its key only if that is a subject of its topic.
#[test]
fn a_record_whose_key_is_no_subject_of_its_topic_is_about_the_topic() {
    let broker = Serve::new().start();
    for args in [&["keys", "--bind", "m.>"][..], &["plain"]] {
        let create = [&["topic", "create"], args, &["--partitions", "1"]].concat();
        assert!(broker.entrepot(&create).status.success());
    }
    let Some(mut kafka) = Kafka::confluent(&broker) else { return };
    let mut reader = Nats::connect(&broker.nats());
    reader.subscribe(">");
    let keys: [Option<&str>; 6] =
        [Some("m.1"), Some("other.1"), Some("m"), Some(""), Some("m..1"), None];
    for topic in ["keys", "plain"] {
        for key in keys {
            let key = key.map(|key| key.as_bytes().to_vec());
            kafka.send(topic, &Record { key: key.clone(), ..Record::default() });
            let wanted =
                if (topic, &key) == ("keys", &Some(b"m.1".to_vec())) { "m.1" } else { topic };
            assert_eq!(reader.message().subject, wanted, "{topic} {key:?}");
        }
        let kept = kafka.read(topic).into_iter().map(|record| record.key);
        let sent = keys.map(|key| key.map(|key| key.as_bytes().to_vec()));
        assert_eq!(kept.collect::<Vec<_>>(), sent, "the record has its key whatever it is");
    }
}

/// The table of the page, made of what the tests above go by.
fn table() -> String {
    let row = |name: &str, cell: &dyn Fn(Door) -> &'static str| {
        let cells: Vec<_> = COLUMNS.iter().map(|(door, _)| cell(*door)).collect();
        format!("| {name} | {} |\n", cells.join(" | "))
    };
    let names: Vec<_> = COLUMNS.iter().map(|(_, name)| *name).collect();
    let mut table = format!("| | {} |\n|{}\n", names.join(" | "), "---|".repeat(COLUMNS.len() + 1));
    table += &row("publishes", &|_| "yes");
    let (reads, listens) = (|door| READERS.contains(&door), |door| LISTENERS.contains(&door));
    table += &row("reads", &|door| match (listens(door), reads(door)) {
        (true, true) => "live, topics",
        (true, false) => "live",
        _ => "topics",
    });
    table += &row("no payload", &|door| if ABSENT.contains(&door) { "yes" } else { "empty" });
    for (word, without) in WORDLESS {
        table += &row(word.name(), &|door| match (word, door) {
            at if NOT_SAID.contains(&at) => "told, not said",
            (Word::ReplyTo, Door::Stomp) => "a `/topic/`",
            (Word::ContentType, Door::Coap) => "if it has a number",
            (_, door) if without.contains(&door) => "-",
            _ => "yes",
        });
    }
    table
}

/// `ENTREPOT_GENERATE=1` writes it.
#[test]
fn the_page_of_messages_says_who_has_a_word_for_what() {
    const BEGIN: &str = "<!-- who has a word for what: begin, written by a test -->\n\n";
    const END: &str = "\n<!-- who has a word for what: end -->";
    let file = root().join("docs/messages.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has markers");
    let (written, after) = rest.split_once(END).expect("the page has markers");
    if std::env::var_os("ENTREPOT_GENERATE").is_some() {
        std::fs::write(&file, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
        return;
    }
    assert_eq!(written, table(), "run this test with ENTREPOT_GENERATE=1");
}

#[test]
fn names_are_written_both_ways_by_this_test() {
    for (text, topic) in
        [("a.b", "a/b"), ("a//b.c", "a.b/c"), ("answers.to//me.1", "answers/to.me/1")]
    {
        assert_eq!(in_text(topic), text);
        assert_eq!(in_mqtt(text), topic);
        assert_eq!(of_key(&in_key(text)), text);
    }
}
