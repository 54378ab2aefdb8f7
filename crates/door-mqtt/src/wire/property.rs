//! Properties (5.0 §2.2.2): what may follow the fixed fields of a packet.

use super::WireError;
use super::reader::Reader;

pub(crate) const PAYLOAD_FORMAT: u8 = 0x01;
pub(crate) const MESSAGE_EXPIRY: u8 = 0x02;
pub(crate) const CONTENT_TYPE: u8 = 0x03;
pub(crate) const RESPONSE_TOPIC: u8 = 0x08;
pub(crate) const CORRELATION_DATA: u8 = 0x09;
pub(crate) const SUBSCRIPTION_ID: u8 = 0x0b;
pub(crate) const SESSION_EXPIRY: u8 = 0x11;
pub(crate) const ASSIGNED_CLIENT_ID: u8 = 0x12;
pub(crate) const SERVER_KEEP_ALIVE: u8 = 0x13;
pub(crate) const AUTH_METHOD: u8 = 0x15;
pub(crate) const AUTH_DATA: u8 = 0x16;
pub(crate) const REQUEST_PROBLEM: u8 = 0x17;
pub(crate) const WILL_DELAY: u8 = 0x18;
pub(crate) const REQUEST_RESPONSE: u8 = 0x19;
pub(crate) const RESPONSE_INFO: u8 = 0x1a;
pub(crate) const SERVER_REFERENCE: u8 = 0x1c;
pub(crate) const REASON_STRING: u8 = 0x1f;
pub(crate) const RECEIVE_MAX: u8 = 0x21;
pub(crate) const TOPIC_ALIAS_MAX: u8 = 0x22;
pub(crate) const TOPIC_ALIAS: u8 = 0x23;
pub(crate) const MAXIMUM_QOS: u8 = 0x24;
pub(crate) const RETAIN_AVAILABLE: u8 = 0x25;
pub(crate) const USER_PROPERTY: u8 = 0x26;
pub(crate) const PACKET_BYTES_MAX: u8 = 0x27;
pub(crate) const WILDCARDS_AVAILABLE: u8 = 0x28;
pub(crate) const SUBSCRIPTION_IDS_AVAILABLE: u8 = 0x29;
pub(crate) const SHARED_AVAILABLE: u8 = 0x2a;

/// A property's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// A byte, a number of two or four bytes, or one of one to four.
    Number(u32),
    Text(&'a str),
    Binary(&'a [u8]),
    Pair(&'a str, &'a str),
}

impl<'a> Value<'a> {
    #[inline]
    fn decode(id: u8, reader: &mut Reader<'a>) -> Result<Self, WireError> {
        Ok(match id {
            PAYLOAD_FORMAT
            | REQUEST_PROBLEM
            | REQUEST_RESPONSE
            | MAXIMUM_QOS
            | RETAIN_AVAILABLE
            | WILDCARDS_AVAILABLE
            | SUBSCRIPTION_IDS_AVAILABLE
            | SHARED_AVAILABLE => Self::Number(reader.u8()?.into()),
            SERVER_KEEP_ALIVE | RECEIVE_MAX | TOPIC_ALIAS_MAX | TOPIC_ALIAS => {
                Self::Number(reader.u16()?.into())
            }
            MESSAGE_EXPIRY | SESSION_EXPIRY | WILL_DELAY | PACKET_BYTES_MAX => {
                Self::Number(reader.u32()?)
            }
            SUBSCRIPTION_ID => Self::Number(reader.varint()?),
            CONTENT_TYPE | RESPONSE_TOPIC | ASSIGNED_CLIENT_ID | AUTH_METHOD | RESPONSE_INFO
            | SERVER_REFERENCE | REASON_STRING => Self::Text(reader.text()?),
            CORRELATION_DATA | AUTH_DATA => Self::Binary(reader.binary()?),
            USER_PROPERTY => Self::Pair(reader.text()?, reader.text()?),
            _ => return Err(WireError::Malformed("an unknown property")),
        })
    }

    /// The number, for a property whose value is one.
    pub(crate) fn number(self) -> u32 {
        if let Self::Number(number) = self { number } else { 0 }
    }

    /// The text, for a property whose value is one.
    pub(crate) fn text(self) -> &'a str {
        if let Self::Text(text) = self { text } else { "" }
    }

    /// The bytes, for a property whose value they are.
    pub(crate) fn binary(self) -> &'a [u8] {
        if let Self::Binary(bytes) = self { bytes } else { &[] }
    }
}

/// A set of properties, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Set(u64);

impl Set {
    pub(crate) const fn of(ids: &[u8]) -> Self {
        let (mut bits, mut index) = (0, 0);
        while index < ids.len() {
            bits |= 1 << ids[index];
            index += 1;
        }
        Self(bits)
    }

    fn has(self, id: u8) -> bool {
        self.0 & (1 << (id & 63)) != 0
    }
}

/// The properties of one packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Properties<'a> {
    reader: Reader<'a>,
    allowed: Set,
    seen: Set,
}

impl<'a> Properties<'a> {
    /// Reads `block`, where properties in `allowed` may stand, each once; user properties often.
    pub(crate) fn new(block: &'a [u8], allowed: Set) -> Self {
        Self { reader: Reader::new(block), allowed, seen: Set(0) }
    }

    /// The next property, with the bytes that it begins with still in `rest`.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<(u8, Value<'a>)>, WireError> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        let id = self.reader.u8()?;
        let value = Value::decode(id, &mut self.reader)?;
        if !self.allowed.has(id) {
            return Err(WireError::Malformed("a property that does not belong there"));
        }
        if id != USER_PROPERTY {
            if self.seen.has(id) {
                return Err(WireError::Protocol("a property twice"));
            }
            self.seen.0 |= 1 << id;
        }
        Ok(Some((id, value)))
    }

    /// Bytes that were not read yet.
    pub(crate) fn left(&self) -> usize {
        self.reader.rest().len()
    }

    /// Reads to the end, for the check alone.
    pub(crate) fn check(mut self) -> Result<(), WireError> {
        while self.next()?.is_some() {}
        Ok(())
    }
}

/// A number that can only be zero or one.
pub(crate) fn flag(value: Value<'_>) -> Result<bool, WireError> {
    match value.number() {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(WireError::Protocol("neither zero nor one")),
    }
}

/// A number that may not be zero.
pub(crate) fn not_zero(value: Value<'_>) -> Result<u32, WireError> {
    match value.number() {
        0 => Err(WireError::Protocol("zero where there must be a number")),
        number => Ok(number),
    }
}
