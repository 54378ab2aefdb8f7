//! Our reading of packets beside that of another library, `mqtt-protocol-core`: packets of 3.1.1 and 5.0, sound and
//! damaged. What both read they read the same; where only one reads a packet, [`LENIENT`] or [`STRICT`] says why.
//! And what we write, they read as it was meant.

use mqtt_protocol_core::mqtt::Arc;
use mqtt_protocol_core::mqtt::packet::{Property, v3_1_1, v5_0};
use proptest::prelude::*;

use super::ack::Ack;
use super::close::{Auth, Disconnect, encode_disconnect};
use super::connect::{Connect, Protocol, ProtocolError, Will};
use super::header::{Header, Kind};
use super::publish::{MessageProperties, Outgoing, OutgoingProperties, Publish, user_properties};
use super::reader::Reader;
use super::reason::Reason;
use super::subscribe::{RetainHandling, Subscribe, Unsubscribe, encode_suback, encode_unsuback};
use super::{Version, WireError, property};

/// What we refuse and they let pass: our error, and why.
const LENIENT: &[(&str, &str)] = &[
    ("the character zero in a text", "5.0 §1.5.4: there must be none"),
    ("zero as the number of a packet", "5.0 §2.2.1: it is not zero"),
    ("bytes after its end", "3.1.1 §3.4: that is all there is to it"),
    ("it ends too early", "5.0 §2.2.2.1: without properties their length is still there"),
    ("a property twice", "5.0 §3.8.2.1.2: one identifier"),
    ("a property that does not belong there", "5.0 §3.3.4: clients send no identifiers"),
    ("not the name of a topic", "5.0 §3.3.2.1: no wildcards, and nothing only with an alias"),
    ("too many levels", "a limit of ours"),
    ("a filter without levels", "5.0 §4.7.3: at least one character"),
    ("the options of a subscription", "3.1.1 §3.8.3: the other bits are reserved"),
    ("a shared subscription with no-local", "5.0 §3.8.3.1"),
    ("a duplicate of QoS 0", "5.0 §3.3.1.1"),
    ("a reserved flag is set", "5.0 §3.1.2.3"),
    ("flags of a will without a will", "5.0 §3.1.2.6"),
    ("a will of QoS 3", "5.0 §3.1.2.6"),
    ("a will without a topic", "5.0 §4.7.3: at least one character"),
    ("authentication data without a method", "5.0 §3.1.2.11.10"),
    ("a client that names a server", "5.0 §3.14.2.2.5: servers do"),
];

/// Whether a packet that they refuse and we read has something that we may read, and why.
type Allowed = (Kind, fn(&Said) -> bool, &'static str);

/// What they refuse and we let pass.
const STRICT: &[Allowed] = &[
    (Kind::Connect, has_password_alone, "5.0 §3.1.2.9: a password needs no user"),
    (Kind::Publish, has_alias_zero, "answered by the session, with the reason for it (0x94)"),
    (
        Kind::Puback,
        has_other_reason,
        "a code that nobody knows is a failure, or none, as its first bit says",
    ),
    (Kind::Pubrec, has_other_reason, "as above"),
    (Kind::Pubrel, has_other_reason, "as above"),
    (Kind::Pubcomp, has_other_reason, "as above"),
    (Kind::Disconnect, has_other_reason, "as above: the client goes in any case"),
    (Kind::Subscribe, has_shared_filter, "5.0 §3.9.3: one that is none is answered for itself"),
    (Kind::Unsubscribe, has_shared_filter, "5.0 §3.11.3: as above"),
    (Kind::Auth, has_no_login, "what an AUTH must say is known to the login that it is part of"),
];

fn field<'a>(said: &'a Said, name: &str) -> &'a str {
    said.iter().find(|(own, _)| *own == name).map_or("", |(_, value)| value)
}

fn has_password_alone(said: &Said) -> bool {
    field(said, "user") == "None" && field(said, "password") != "None"
}

fn has_alias_zero(said: &Said) -> bool {
    field(said, "alias") == "Some(0)"
}

/// Zero is known for every packet.
fn has_other_reason(said: &Said) -> bool {
    field(said, "reason") != "0"
}

fn has_shared_filter(said: &Said) -> bool {
    said.iter().any(|(name, value)| *name == "filter" && value.contains("$share/"))
}

fn has_no_login(said: &Said) -> bool {
    has_other_reason(said) || field(said, "login").starts_with("(None")
}

/// A field of a packet, as text: the two libraries have types of their own.
type Said = Vec<(&'static str, String)>;

/// A packet without its header's length.
#[derive(Debug, Clone)]
struct Packet {
    version: Version,
    kind: Kind,
    flags: u8,
    body: Vec<u8>,
}

fn ours(packet: &Packet) -> Result<Said, String> {
    let Packet { version, kind, flags, body } = packet;
    read(*version, *kind, *flags, body).map_err(|error| error.to_string())
}

fn read(version: Version, kind: Kind, flags: u8, body: &[u8]) -> Result<Said, WireError> {
    let mut said = Said::new();
    let mut say = |name, value: &dyn std::fmt::Debug| said.push((name, format!("{value:?}")));
    match kind {
        Kind::Connect => return read_connect(version, body),
        Kind::Publish => {
            let publish = Publish::decode(version, flags, body)?;
            say("flags", &(publish.dup, publish.qos, publish.retain));
            say("topic", &publish.topic);
            say("number", &publish.packet_id);
            say("alias", &publish.alias);
            say("payload", &publish.payload);
            message(&publish.properties, &mut said);
        }
        Kind::Puback | Kind::Pubrec | Kind::Pubrel | Kind::Pubcomp => {
            let ack = Ack::decode(version, body)?;
            say("number", &ack.packet_id);
            say("reason", &ack.reason.0);
        }
        Kind::Subscribe => {
            let subscribe = Subscribe::decode(version, body)?;
            say("number", &subscribe.packet_id);
            say("identifier", &subscribe.subscription_id);
            for (text, _, options) in subscribe.filters() {
                let handling = match options.retain_handling {
                    RetainHandling::Send => 0,
                    RetainHandling::SendIfNew => 1,
                    RetainHandling::DoNotSend => 2,
                };
                let more = (options.no_local, options.retain_as_published, handling);
                say("filter", &(text, options.qos, more));
            }
        }
        Kind::Unsubscribe => {
            let unsubscribe = Unsubscribe::decode(version, body)?;
            say("number", &unsubscribe.packet_id);
            unsubscribe.filters().for_each(|filter| say("filter", &filter));
        }
        Kind::Disconnect => {
            let disconnect = Disconnect::decode(version, body)?;
            say("reason", &disconnect.reason.0);
            say("session expiry", &disconnect.session_expiry);
        }
        Kind::Auth => {
            let auth = Auth::decode(body)?;
            say("reason", &auth.reason.0);
            say("login", &(auth.method, auth.data));
        }
        _ => return Err(WireError::Protocol("not a client's")),
    }
    Ok(said)
}

fn read_connect(version: Version, body: &[u8]) -> Result<Said, WireError> {
    let mut said = Said::new();
    let mut say = |name, value: &dyn std::fmt::Debug| said.push((name, format!("{value:?}")));
    let mut reader = Reader::new(body);
    let protocol = Protocol::decode(&mut reader).map_err(|error| match error {
        ProtocolError::Wire(error) => error,
        ProtocolError::Version => WireError::Protocol("another version"),
    })?;
    if protocol.version != version || protocol.is_bridge {
        return Err(WireError::Protocol("another version"));
    }
    let connect = Connect::decode(version, &mut reader)?;
    say("clean", &connect.clean_start);
    say("keep alive", &connect.keep_alive);
    say("client", &connect.client_id);
    say("user", &connect.user);
    say("password", &connect.password);
    say("session expiry", &connect.properties.session_expiry);
    say("receive maximum", &connect.properties.receive_max);
    say("packet maximum", &connect.properties.packet_bytes_max);
    say("aliases", &connect.properties.topic_alias_max);
    say("login", &(connect.properties.auth_method, connect.properties.auth_data));
    if let Some(Will { topic, payload, qos, retain, delay, properties }) = &connect.will {
        say("will", &(topic, payload, qos, retain, delay));
        message(properties, &mut said);
    }
    Ok(said)
}

fn message(properties: &MessageProperties<'_>, said: &mut Said) {
    let mut say = |name, value: &dyn std::fmt::Debug| said.push((name, format!("{value:?}")));
    say("is text", &properties.is_text);
    say("expiry", &properties.expiry);
    say("content type", &properties.content_type);
    say("response topic", &properties.response_topic);
    say("correlation", &properties.correlation);
    let kept = properties.kept().concat();
    user_properties(&kept).for_each(|pair| say("user property", &pair));
}

fn theirs(packet: &Packet) -> Result<Said, String> {
    let Packet { version, kind, flags, body } = packet;
    let said = match version {
        Version::V5 => theirs_of_5(*kind, *flags, body),
        _ => theirs_of_4(*kind, *flags, body),
    };
    let (said, used) = said.map_err(|error| format!("{error:?}"))?;
    // They leave it to the caller to look for more.
    if used == body.len() { Ok(said) } else { Err("bytes after its end".to_owned()) }
}

type Theirs = Result<(Said, usize), mqtt_protocol_core::mqtt::result_code::MqttError>;

fn theirs_of_5(kind: Kind, flags: u8, body: &[u8]) -> Theirs {
    let mut said = Said::new();
    let mut say = |name, value: &dyn std::fmt::Debug| said.push((name, format!("{value:?}")));
    let used = match kind {
        Kind::Connect => return theirs_connect_5(body),
        Kind::Publish => {
            let (publish, used) = v5_0::Publish::parse(flags, Arc::from(body))?;
            say("flags", &(publish.dup(), publish.qos() as u8, publish.retain()));
            say("topic", &publish.topic_name());
            say("number", &publish.packet_id().unwrap_or(0));
            let find = Found::of(&publish.props);
            say("alias", &find.number(property::TOPIC_ALIAS));
            say("payload", &publish.payload().as_slice());
            find.message(&mut said);
            used
        }
        Kind::Puback | Kind::Pubrec | Kind::Pubrel | Kind::Pubcomp => {
            return theirs_ack_5(kind, body);
        }
        Kind::Subscribe => {
            let (subscribe, used) = v5_0::Subscribe::parse(body)?;
            say("number", &subscribe.packet_id());
            let find = Found::of(&subscribe.props);
            say("identifier", &find.number(property::SUBSCRIPTION_ID));
            for entry in subscribe.entries() {
                let options = entry.sub_opts();
                let more = (options.nl(), options.rap(), options.rh() as i32);
                say("filter", &(entry.topic_filter(), options.qos() as u8, more));
            }
            used
        }
        Kind::Unsubscribe => {
            let (unsubscribe, used) = v5_0::Unsubscribe::parse(body)?;
            say("number", &unsubscribe.packet_id());
            unsubscribe.entries().iter().for_each(|filter| say("filter", &filter.as_str()));
            used
        }
        Kind::Disconnect => {
            let (disconnect, used) = v5_0::Disconnect::parse(body)?;
            say("reason", &disconnect.reason_code().map_or(0, |code| code as u8));
            let props = disconnect.props.unwrap_or_default();
            say("session expiry", &Found::of(&props).number(property::SESSION_EXPIRY));
            used
        }
        _ => {
            let (auth, used) = v5_0::Auth::parse(body)?;
            say("reason", &auth.reason_code().map_or(0, |code| code as u8));
            let props = auth.props.unwrap_or_default();
            let find = Found::of(&props);
            say("login", &(find.text(property::AUTH_METHOD), find.bytes(property::AUTH_DATA)));
            used
        }
    };
    Ok((said, used))
}

fn theirs_of_4(kind: Kind, flags: u8, body: &[u8]) -> Theirs {
    let mut said = Said::new();
    let mut say = |name, value: &dyn std::fmt::Debug| said.push((name, format!("{value:?}")));
    let none: Found<'_> = Found(&[]);
    let used = match kind {
        Kind::Connect => return theirs_connect_4(body),
        Kind::Publish => {
            let (publish, used) = v3_1_1::Publish::parse(flags, Arc::from(body))?;
            say("flags", &(publish.dup(), publish.qos() as u8, publish.retain()));
            say("topic", &publish.topic_name());
            say("number", &publish.packet_id().unwrap_or(0));
            say("alias", &None::<u16>);
            say("payload", &publish.payload().as_slice());
            none.message(&mut said);
            used
        }
        Kind::Puback | Kind::Pubrec | Kind::Pubrel | Kind::Pubcomp => {
            let (number, used) = match kind {
                Kind::Puback => {
                    v3_1_1::Puback::parse(body).map(|(ack, used)| (ack.packet_id(), used))?
                }
                Kind::Pubrec => {
                    v3_1_1::Pubrec::parse(body).map(|(ack, used)| (ack.packet_id(), used))?
                }
                Kind::Pubrel => {
                    v3_1_1::Pubrel::parse(body).map(|(ack, used)| (ack.packet_id(), used))?
                }
                _ => v3_1_1::Pubcomp::parse(body).map(|(ack, used)| (ack.packet_id(), used))?,
            };
            say("number", &number);
            say("reason", &0);
            used
        }
        Kind::Subscribe => {
            let (subscribe, used) = v3_1_1::Subscribe::parse(body)?;
            say("number", &subscribe.packet_id());
            say("identifier", &None::<u32>);
            for entry in subscribe.entries() {
                let options = entry.sub_opts();
                let more = (options.nl(), options.rap(), options.rh() as i32);
                say("filter", &(entry.topic_filter(), options.qos() as u8, more));
            }
            used
        }
        Kind::Unsubscribe => {
            let (unsubscribe, used) = v3_1_1::Unsubscribe::parse(body)?;
            say("number", &unsubscribe.packet_id());
            unsubscribe.entries().iter().for_each(|filter| say("filter", &filter.as_str()));
            used
        }
        _ => {
            let (_, used) = v3_1_1::Disconnect::parse(body)?;
            say("reason", &0);
            say("session expiry", &None::<u32>);
            used
        }
    };
    Ok((said, used))
}

fn theirs_connect_5(body: &[u8]) -> Theirs {
    let mut said = Said::new();
    let mut say = |name, value: &dyn std::fmt::Debug| said.push((name, format!("{value:?}")));
    let (connect, used) = v5_0::Connect::parse(body)?;
    say("clean", &connect.clean_start());
    say("keep alive", &connect.keep_alive());
    say("client", &connect.client_id());
    say("user", &connect.user_name());
    say("password", &connect.password());
    let find = Found::of(connect.props());
    say("session expiry", &find.number(property::SESSION_EXPIRY));
    say("receive maximum", &find.number(property::RECEIVE_MAX));
    say("packet maximum", &find.number(property::PACKET_BYTES_MAX));
    say("aliases", &find.number(property::TOPIC_ALIAS_MAX).unwrap_or(0));
    say("login", &(find.text(property::AUTH_METHOD), find.bytes(property::AUTH_DATA)));
    if connect.will_flag() {
        let find = Found::of(connect.will_props());
        let delay = find.number(property::WILL_DELAY).unwrap_or(0);
        let topic = connect.will_topic().unwrap_or_default();
        let payload = connect.will_payload().unwrap_or_default();
        let flags = (connect.will_qos() as u8, connect.will_retain());
        say("will", &(topic, payload, flags.0, flags.1, delay));
        find.message(&mut said);
    }
    Ok((said, used))
}

fn theirs_ack_5(kind: Kind, body: &[u8]) -> Theirs {
    macro_rules! ack {
        ($packet:ident) => {{
            let (ack, used) = v5_0::$packet::parse(body)?;
            (ack.packet_id(), ack.reason_code().map_or(0, |code| code as u8), used)
        }};
    }
    let (number, reason, used) = match kind {
        Kind::Puback => ack!(Puback),
        Kind::Pubrec => ack!(Pubrec),
        Kind::Pubrel => ack!(Pubrel),
        _ => ack!(Pubcomp),
    };
    Ok((vec![("number", number.to_string()), ("reason", reason.to_string())], used))
}

fn theirs_connect_4(body: &[u8]) -> Theirs {
    let mut said = Said::new();
    let mut say = |name, value: &dyn std::fmt::Debug| said.push((name, format!("{value:?}")));
    let none: Found<'_> = Found(&[]);
    let (connect, used) = v3_1_1::Connect::parse(body)?;
    say("clean", &connect.clean_session());
    say("keep alive", &connect.keep_alive());
    say("client", &connect.client_id());
    say("user", &connect.user_name());
    say("password", &connect.password());
    for name in ["session expiry", "receive maximum", "packet maximum"] {
        say(name, &None::<u32>);
    }
    say("aliases", &0);
    say("login", &(None::<&str>, None::<&[u8]>));
    if connect.will_flag() {
        let topic = connect.will_topic().unwrap_or_default();
        let payload = connect.will_payload().unwrap_or_default();
        let flags = (connect.will_qos() as u8, connect.will_retain());
        say("will", &(topic, payload, flags.0, flags.1, 0));
        none.message(&mut said);
    }
    Ok((said, used))
}

/// Their properties of one packet.
struct Found<'a>(&'a [Property]);

impl<'a> Found<'a> {
    fn of(properties: &'a [Property]) -> Self {
        Self(properties)
    }

    fn find(&self, id: u8) -> Option<&'a Property> {
        self.0.iter().find(|property| property.id() as u8 == id)
    }

    fn number(&self, id: u8) -> Option<u32> {
        Some(match self.find(id)? {
            Property::MessageExpiryInterval(p) => p.val(),
            Property::SessionExpiryInterval(p) => p.val(),
            Property::MaximumPacketSize(p) => p.val(),
            Property::WillDelayInterval(p) => p.val(),
            Property::SubscriptionIdentifier(p) => p.val(),
            Property::ReceiveMaximum(p) => p.val().into(),
            Property::TopicAliasMaximum(p) => p.val().into(),
            Property::TopicAlias(p) => p.val().into(),
            Property::PayloadFormatIndicator(p) => p.val().into(),
            other => panic!("{other:?} is no number"),
        })
    }

    fn text(&self, id: u8) -> Option<&'a str> {
        Some(match self.find(id)? {
            Property::ContentType(p) => p.val(),
            Property::ResponseTopic(p) => p.val(),
            Property::AuthenticationMethod(p) => p.val(),
            other => panic!("{other:?} is no text"),
        })
    }

    fn bytes(&self, id: u8) -> Option<&'a [u8]> {
        Some(match self.find(id)? {
            Property::CorrelationData(p) => p.val(),
            Property::AuthenticationData(p) => p.val(),
            other => panic!("{other:?} is no bytes"),
        })
    }

    fn message(&self, said: &mut Said) {
        let mut say = |name, value: &dyn std::fmt::Debug| said.push((name, format!("{value:?}")));
        say("is text", &(self.number(property::PAYLOAD_FORMAT) == Some(1)));
        say("expiry", &self.number(property::MESSAGE_EXPIRY));
        say("content type", &self.text(property::CONTENT_TYPE));
        say("response topic", &self.text(property::RESPONSE_TOPIC));
        say("correlation", &self.bytes(property::CORRELATION_DATA));
        for property in self.0 {
            if let Property::UserProperty(p) = property {
                say("user property", &(p.key(), p.val()));
            }
        }
    }
}

/// Whether the two read a packet the same, or differ where they may.
fn compare(packet: &Packet) -> Result<(), String> {
    match (ours(packet), theirs(packet)) {
        (Ok(ours), Ok(theirs)) if ours == theirs => Ok(()),
        (Ok(ours), Ok(theirs)) => {
            Err(format!("read differently:\n  ours   {ours:?}\n  theirs {theirs:?}"))
        }
        (Err(_), Err(_)) => Ok(()),
        (Err(error), Ok(_)) if LENIENT.iter().any(|(known, _)| error.contains(known)) => Ok(()),
        (Err(error), Ok(theirs)) => {
            Err(format!("we alone refuse it: {error}\n  theirs {theirs:?}"))
        }
        (Ok(ours), Err(error)) => {
            let mut known = STRICT.iter().filter(|(kind, ..)| *kind == packet.kind);
            match known.any(|(_, has, _)| has(&ours)) {
                true => Ok(()),
                false => Err(format!("they alone refuse it: {error}\n  ours {ours:?}")),
            }
        }
    }
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    const TEXTS: &[&str] = &[
        "a",
        "a/b",
        "ü/€",
        "",
        "+",
        "#",
        "a/+/#",
        "a#",
        "$share/g/a/+",
        "$share//a",
        "$SYS/x",
        "a\u{1}",
        "a\0b",
        "/",
        "//",
    ];
    prop_oneof![
        8 => prop::sample::select(TEXTS).prop_map(|text| measured(text.as_bytes())),
        1 => prop::collection::vec(any::<u8>(), 0..8).prop_map(|bytes| measured(&bytes)),
    ]
}

fn binary() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..8).prop_map(|bytes| measured(&bytes))
}

fn measured(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).expect("short").to_be_bytes()[..], bytes].concat()
}

/// A property of any packet.
fn property() -> impl Strategy<Value = Vec<u8>> {
    use property::*;
    let with = |ids: &'static [u8], value: BoxedStrategy<Vec<u8>>| {
        (prop::sample::select(ids), value).prop_map(|(id, value)| [&[id][..], &value].concat())
    };
    let small = prop_oneof![4 => 0_u8..2, 1 => any::<u8>()].prop_map(|byte| vec![byte]).boxed();
    let two = prop_oneof![1 => Just(0_u16), 4 => any::<u16>()];
    let four = prop_oneof![1 => Just(0_u32), 4 => any::<u32>()];
    let varint = prop_oneof![1 => Just(vec![0]), 4 => (1_u8..128).prop_map(|byte| vec![byte]), 1 => Just(vec![0x80, 1])];
    prop_oneof![
        with(&[PAYLOAD_FORMAT, REQUEST_PROBLEM, REQUEST_RESPONSE], small),
        with(
            &[RECEIVE_MAX, TOPIC_ALIAS_MAX, TOPIC_ALIAS],
            two.prop_map(|n| n.to_be_bytes().to_vec()).boxed()
        ),
        with(
            &[MESSAGE_EXPIRY, SESSION_EXPIRY, WILL_DELAY, PACKET_BYTES_MAX],
            four.prop_map(|n| n.to_be_bytes().to_vec()).boxed()
        ),
        with(&[SUBSCRIPTION_ID], varint.boxed()),
        with(
            &[CONTENT_TYPE, RESPONSE_TOPIC, AUTH_METHOD, REASON_STRING, SERVER_REFERENCE],
            text().boxed()
        ),
        with(&[CORRELATION_DATA, AUTH_DATA], binary().boxed()),
        with(
            &[USER_PROPERTY],
            (text(), text()).prop_map(|(name, value)| [name, value].concat()).boxed()
        ),
    ]
}

/// Properties with their length; nothing before 5.0.
fn properties(version: Version) -> BoxedStrategy<Vec<u8>> {
    if version != Version::V5 {
        return Just(Vec::new()).boxed();
    }
    let block = prop::collection::vec(property(), 0..4).prop_map(|all| all.concat());
    block.prop_map(|block| [&[u8::try_from(block.len()).unwrap_or(0)][..], &block].concat()).boxed()
}

fn number() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![8 => 1_u16..1000, 1 => Just(0)].prop_map(|id| id.to_be_bytes().to_vec())
}

fn connect(version: Version) -> BoxedStrategy<Vec<u8>> {
    let level = if version == Version::V5 { 5 } else { 4 };
    let flags = prop_oneof![Just(2_u8), Just(0xc2), Just(0x0e), Just(0xf6), any::<u8>()];
    let rest = flags.prop_flat_map(move |flags| {
        let will = (properties(version), text(), binary()).prop_map(|(a, b, c)| [a, b, c].concat());
        let part = |has: bool, part: BoxedStrategy<Vec<u8>>| {
            if has { part } else { Just(Vec::new()).boxed() }
        };
        (
            Just(vec![flags, 0, 60]),
            properties(version),
            text(),
            part(flags & 4 != 0, will.boxed()),
            part(flags & 0x80 != 0, text().boxed()),
            part(flags & 0x40 != 0, binary().boxed()),
        )
    });
    rest.prop_map(move |(flags, properties, client, will, user, password)| {
        [b"\0\x04MQTT".to_vec(), vec![level], flags, properties, client, will, user, password]
            .concat()
    })
    .boxed()
}

fn body(version: Version, kind: Kind, flags: u8) -> BoxedStrategy<Vec<u8>> {
    let payload = prop::collection::vec(any::<u8>(), 0..6);
    let reason = prop_oneof![4 => Just(0_u8), 1 => any::<u8>()];
    let reason = reason.prop_map(|reason| vec![reason]);
    match kind {
        Kind::Connect => connect(version),
        Kind::Publish => {
            let id = if flags & 6 == 0 { Just(Vec::new()).boxed() } else { number().boxed() };
            (text(), id, properties(version), payload)
                .prop_map(|(a, b, c, d)| [a, b, c, d].concat())
                .boxed()
        }
        Kind::Subscribe => {
            let options = prop_oneof![8 => 0_u8..3, 4 => 0_u8..48, 1 => any::<u8>()];
            let filter =
                (text(), options).prop_map(|(text, options)| [text, vec![options]].concat());
            let filters = prop::collection::vec(filter, 0..4).prop_map(|all| all.concat());
            (number(), properties(version), filters)
                .prop_map(|(a, b, c)| [a, b, c].concat())
                .boxed()
        }
        Kind::Unsubscribe => {
            let filters = prop::collection::vec(text(), 0..4).prop_map(|all| all.concat());
            (number(), properties(version), filters)
                .prop_map(|(a, b, c)| [a, b, c].concat())
                .boxed()
        }
        Kind::Disconnect if version != Version::V5 => Just(Vec::new()).boxed(),
        Kind::Disconnect | Kind::Auth => {
            let whole = (reason, properties(version)).prop_map(|(a, b)| [a, b].concat());
            prop_oneof![Just(Vec::new()), Just(vec![0]), whole].boxed()
        }
        _ if version != Version::V5 => number().boxed(),
        _ => {
            let whole =
                (number(), reason, properties(version)).prop_map(|(a, b, c)| [a, b, c].concat());
            prop_oneof![number(), whole].boxed()
        }
    }
}

/// A packet that a client may send, damaged in places more often than not.
fn packet() -> impl Strategy<Value = Packet> {
    use Kind::*;
    let kinds = vec![
        Connect,
        Publish,
        Publish,
        Puback,
        Pubrec,
        Pubrel,
        Pubcomp,
        Subscribe,
        Unsubscribe,
        Disconnect,
        Auth,
    ];
    let damage = prop::option::of((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4));
    (any::<bool>(), prop::sample::select(kinds), 0_u8..16, damage).prop_flat_map(
        |(is_new, kind, flags, damage)| {
            let version = if is_new || kind == Auth { Version::V5 } else { Version::V4 };
            let flags = if kind == Publish { flags } else { 0 };
            body(version, kind, flags).prop_map(move |mut body| {
                if let Some((index, byte, how)) = damage.filter(|_| !body.is_empty()) {
                    let at = index.index(body.len());
                    match how {
                        0 => body[at] = byte,
                        1 => body.truncate(at),
                        2 => body.insert(at, byte),
                        _ => drop(body.remove(at)),
                    }
                }
                Packet { version, kind, flags, body }
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_client_is_understood_as_another_library_understands_it(packet in packet()) {
        let compared = compare(&packet);
        prop_assert!(compared.is_ok(), "{}", compared.unwrap_err());
    }

    #[test]
    fn what_we_write_another_library_reads(
        is_new in any::<bool>(),
        qos in 0_u8..3,
        flags in any::<(bool, bool)>(),
        number in 1_u16..,
        reason in prop::sample::select(vec![0_u8, 0x10, 0x80, 0x83, 0x87, 0x97]),
        payload in prop::collection::vec(any::<u8>(), 0..40),
        pairs in prop::collection::vec(("[a-ü]{0,4}", "[a-ü]{0,4}"), 0..3),
        expiry in prop::option::of(any::<u32>()),
        alias in prop::option::of(1_u16..),
    ) {
        let version = if is_new { Version::V5 } else { Version::V4 };
        let kept: Vec<u8> = pairs.iter().flat_map(|(name, value)| {
            [&[property::USER_PROPERTY][..], &measured(name.as_bytes()), &measured(value.as_bytes())].concat()
        }).collect();
        let outgoing = Outgoing {
            qos, dup: flags.0 && qos > 0, retain: flags.1, topic: b"a/b", payload: &payload,
            packet_id: if qos > 0 { number } else { 0 },
            properties: OutgoingProperties { alias, expiry, subscription_ids: &[7, 200], kept: &kept },
        };
        let mut out = Vec::new();
        outgoing.encode(version, &mut out);
        let read = written(version, Kind::Publish, &out);
        prop_assert_eq!(field(&read, "topic"), format!("{:?}", "a/b"));
        prop_assert_eq!(field(&read, "payload"), format!("{payload:?}"));
        prop_assert_eq!(field(&read, "number"), outgoing.packet_id.to_string());
        prop_assert_eq!(field(&read, "flags"), format!("{:?}", (outgoing.dup, qos, flags.1)));
        if is_new {
            prop_assert_eq!(field(&read, "expiry"), format!("{expiry:?}"));
            prop_assert_eq!(field(&read, "alias"), format!("{alias:?}"));
            let users: Vec<_> = read.iter().filter(|(name, _)| *name == "user property").collect();
            prop_assert_eq!(users.len(), pairs.len());
        }
        for kind in [Kind::Puback, Kind::Pubrec] {
            let mut out = Vec::new();
            Ack { packet_id: number, reason: Reason(reason) }.encode(kind, version, &mut out);
            let wanted = if is_new { reason } else { 0 };
            let said = vec![("number", number.to_string()), ("reason", wanted.to_string())];
            prop_assert_eq!(written(version, kind, &out), said);
        }
        for kind in [Kind::Pubrel, Kind::Pubcomp] {
            let mut out = Vec::new();
            Ack { packet_id: number, reason: Reason::SUCCESS }.encode(kind, version, &mut out);
            prop_assert_eq!(written(version, kind, &out)[0].1.clone(), number.to_string());
        }
    }
}

/// What they read in a packet of ours.
fn written(version: Version, kind: Kind, out: &[u8]) -> Said {
    let header = Header::decode(out, usize::MAX).expect("a header").expect("all of it");
    assert_eq!((header.kind, header.total()), (kind, out.len()));
    let packet = Packet { version, kind, flags: header.flags, body: out[header.size..].to_vec() };
    theirs(&packet).unwrap_or_else(|error| panic!("they do not read {out:?}: {error}"))
}

#[test]
fn answers_of_the_broker_are_read_by_another_library() {
    let reasons = [Reason::SUCCESS, Reason(1), Reason(2), Reason::UNSPECIFIED];
    let mut out = Vec::new();
    encode_suback(Version::V5, 7, &reasons, &mut out);
    let (suback, _) = v5_0::Suback::parse(&out[2..]).expect("they read it");
    let codes: Vec<u8> = suback.reason_codes().iter().map(|code| *code as u8).collect();
    assert_eq!((suback.packet_id(), codes), (7, vec![0, 1, 2, 0x80]));
    out.clear();
    encode_suback(Version::V4, 7, &reasons, &mut out);
    let (suback, _) = v3_1_1::Suback::parse(&out[2..]).expect("they read it");
    let codes: Vec<u8> = suback.return_codes().iter().map(|code| *code as u8).collect();
    assert_eq!((suback.packet_id(), codes), (7, vec![0, 1, 2, 0x80]));
    out.clear();
    encode_unsuback(Version::V5, 8, &[Reason::SUCCESS, Reason(0x11)], &mut out);
    let (unsuback, _) = v5_0::Unsuback::parse(&out[2..]).expect("they read it");
    let codes: Vec<u8> = unsuback.reason_codes().iter().map(|code| *code as u8).collect();
    assert_eq!((unsuback.packet_id(), codes), (8, vec![0, 0x11]));
    out.clear();
    encode_unsuback(Version::V4, 8, &[Reason::SUCCESS], &mut out);
    assert_eq!(v3_1_1::Unsuback::parse(&out[2..]).expect("they read it").0.packet_id(), 8);
    out.clear();
    encode_disconnect(Reason(0x8e), Some("taken over"), &mut out);
    assert_eq!(written(Version::V5, Kind::Disconnect, &out)[0].1, "142");
    out.clear();
    Auth { reason: Reason(0x18), method: Some("SCRAM"), data: Some(b"x") }.encode(&mut out);
    let said = written(Version::V5, Kind::Auth, &out);
    assert_eq!(said[1].1, format!("{:?}", (Some("SCRAM"), Some(&b"x"[..]))));
}
