//! CONNECT (3.1.1 §3.1, 5.0 §3.1): the first packet of a connection.

use super::property::{self, Properties, Set, Value, flag, not_zero};
use super::publish::MessageProperties;
use super::reader::Reader;
use super::{Version, WireError, name};

/// An old bridge of mosquitto's and its kind sets this bit of the version.
const BRIDGE: u8 = 0x80;

const PROPERTIES: Set = Set::of(&[
    property::SESSION_EXPIRY,
    property::RECEIVE_MAX,
    property::PACKET_BYTES_MAX,
    property::TOPIC_ALIAS_MAX,
    property::REQUEST_RESPONSE,
    property::REQUEST_PROBLEM,
    property::USER_PROPERTY,
    property::AUTH_METHOD,
    property::AUTH_DATA,
]);

const WILL_PROPERTIES: Set = Set::of(&[
    property::WILL_DELAY,
    property::PAYLOAD_FORMAT,
    property::MESSAGE_EXPIRY,
    property::CONTENT_TYPE,
    property::RESPONSE_TOPIC,
    property::CORRELATION_DATA,
    property::USER_PROPERTY,
]);

/// The protocol that a client wants to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Protocol {
    pub(crate) version: Version,
    /// The client is a bridge: what it sent does not come back to it, and what it gets keeps its
    /// retain flag. (5.0 says both with options of a subscription.)
    pub(crate) is_bridge: bool,
}

/// Why a client's protocol is not spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProtocolError {
    /// It is not MQTT.
    Wire(WireError),
    /// It is, of a version that is not known.
    Version,
}

impl From<WireError> for ProtocolError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl Protocol {
    /// Reads the protocol's name and version, with which a CONNECT begins.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ProtocolError> {
        let name = reader.binary()?;
        let level = reader.u8()?;
        let version = match (name, level & !BRIDGE) {
            (b"MQIsdp", 3) => Version::V3,
            (b"MQTT", 4) => Version::V4,
            (b"MQTT", 5) if level & BRIDGE == 0 => Version::V5,
            (b"MQIsdp" | b"MQTT", _) => return Err(ProtocolError::Version),
            _ => return Err(WireError::Protocol("not MQTT").into()),
        };
        Ok(Self { version, is_bridge: level & BRIDGE != 0 })
    }
}

/// What a client says when it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Connect<'a> {
    pub(crate) clean_start: bool,
    /// In seconds; zero for none.
    pub(crate) keep_alive: u16,
    pub(crate) client_id: &'a str,
    pub(crate) will: Option<Will<'a>>,
    pub(crate) user: Option<&'a str>,
    pub(crate) password: Option<&'a [u8]>,
    pub(crate) properties: ConnectProperties<'a>,
}

/// The properties of a CONNECT; what is absent has its default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ConnectProperties<'a> {
    /// In seconds.
    pub(crate) session_expiry: Option<u32>,
    pub(crate) receive_max: Option<u16>,
    pub(crate) packet_bytes_max: Option<u32>,
    pub(crate) topic_alias_max: u16,
    pub(crate) wants_response_info: bool,
    /// The client wants no reason strings and user properties but on messages.
    pub(crate) no_problem_info: bool,
    pub(crate) auth_method: Option<&'a str>,
    pub(crate) auth_data: Option<&'a [u8]>,
}

/// What is published for a client that goes without a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Will<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    /// In seconds.
    pub(crate) delay: u32,
    pub(crate) properties: MessageProperties<'a>,
}

/// The flags of a CONNECT.
#[derive(Clone, Copy)]
struct Flags(u8);

impl Flags {
    fn has(self, bit: u8) -> bool {
        self.0 & (1 << bit) != 0
    }

    fn will_qos(self) -> u8 {
        self.0 >> 3 & 3
    }

    fn check(self, version: Version) -> Result<(), WireError> {
        if self.has(0) && version > Version::V3 {
            return Err(WireError::Malformed("a reserved flag is set"));
        }
        if self.has(2) {
            if self.will_qos() > 2 {
                return Err(WireError::Malformed("a will of QoS 3"));
            }
        } else if self.will_qos() != 0 || self.has(5) {
            return Err(WireError::Malformed("flags of a will without a will"));
        }
        if self.has(6) && !self.has(7) && version < Version::V5 {
            return Err(WireError::Protocol("a password without a user"));
        }
        Ok(())
    }
}

impl<'a> Connect<'a> {
    /// Reads what follows the protocol's version.
    pub(crate) fn decode(version: Version, reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let flags = Flags(reader.u8()?);
        flags.check(version)?;
        let keep_alive = reader.u16()?;
        let is_new = version == Version::V5;
        let properties = match is_new {
            true => ConnectProperties::decode(reader.block()?)?,
            false => ConnectProperties::default(),
        };
        let client_id = reader.text()?;
        let will = match flags.has(2) {
            true => Some(Will::decode(version, flags, reader)?),
            false => None,
        };
        let user = if flags.has(7) { Some(reader.text()?) } else { None };
        let password = if flags.has(6) { Some(reader.binary()?) } else { None };
        reader.end()?;
        let clean_start = flags.has(1);
        Ok(Self { clean_start, keep_alive, client_id, will, user, password, properties })
    }
}

impl<'a> ConnectProperties<'a> {
    fn decode(block: &'a [u8]) -> Result<Self, WireError> {
        let mut found = Self::default();
        let mut properties = Properties::new(block, PROPERTIES);
        while let Some((id, value)) = properties.next()? {
            found.set(id, value)?;
        }
        if found.auth_data.is_some() && found.auth_method.is_none() {
            return Err(WireError::Protocol("authentication data without a method"));
        }
        Ok(found)
    }

    fn set(&mut self, id: u8, value: Value<'a>) -> Result<(), WireError> {
        match id {
            property::SESSION_EXPIRY => self.session_expiry = Some(value.number()),
            property::RECEIVE_MAX => {
                self.receive_max = Some(u16::try_from(not_zero(value)?).unwrap_or(u16::MAX));
            }
            property::PACKET_BYTES_MAX => self.packet_bytes_max = Some(not_zero(value)?),
            property::TOPIC_ALIAS_MAX => {
                self.topic_alias_max = u16::try_from(value.number()).unwrap_or(u16::MAX);
            }
            property::REQUEST_RESPONSE => self.wants_response_info = flag(value)?,
            property::REQUEST_PROBLEM => self.no_problem_info = !flag(value)?,
            property::AUTH_METHOD => self.auth_method = Some(value.text()),
            property::AUTH_DATA => self.auth_data = Some(value.binary()),
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Will<'a> {
    /// Reads a will that stands alone: properties, topic and payload as in a CONNECT of 5.0.
    pub(crate) fn alone(qos: u8, retain: bool, reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let flags = Flags((qos & 3) << 3 | u8::from(retain) << 5);
        Self::decode(Version::V5, flags, reader)
    }

    fn decode(version: Version, flags: Flags, reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let (mut delay, mut properties) = (0, MessageProperties::default());
        if version == Version::V5 {
            let block = reader.block()?;
            let mut all = Properties::new(block, WILL_PROPERTIES);
            loop {
                let before = all.left();
                let Some((id, value)) = all.next()? else { break };
                match id {
                    property::WILL_DELAY => {
                        delay = value.number();
                        properties.skip(block, before, all.left());
                    }
                    _ => properties.set(id, value, block, (before, all.left()))?,
                }
            }
            properties.finish(block);
        }
        let topic = reader.text()?;
        if topic.is_empty() {
            return Err(WireError::Malformed("a will without a topic"));
        }
        name::check_topic(topic)?;
        let payload = reader.binary()?;
        let (qos, retain) = (flags.will_qos(), flags.has(5));
        Ok(Self { topic, payload, qos, retain, delay, properties })
    }
}
