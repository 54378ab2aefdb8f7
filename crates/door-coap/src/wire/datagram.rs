//! A message in a datagram (RFC 7252 §3): four bytes of header, then token, options and payload.

use super::code::Code;
use super::{Message, Token, WireError};

/// What a message asks of its receiver (RFC 7252 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// An acknowledgement.
    Con,
    /// Nothing.
    Non,
    /// It acknowledges.
    Ack,
    /// It rejects.
    Rst,
}

impl Kind {
    fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Con,
            1 => Self::Non,
            2 => Self::Ack,
            _ => Self::Rst,
        }
    }

    fn bits(self) -> u8 {
        match self {
            Self::Con => 0,
            Self::Non => 1,
            Self::Ack => 2,
            Self::Rst => 3,
        }
    }
}

/// The version of the protocol.
const VERSION: u8 = 1;
/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 4;

/// A datagram that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Datagram<'a> {
    pub(crate) kind: Kind,
    pub(crate) id: u16,
    pub(crate) message: Message<'a>,
}

impl<'a> Datagram<'a> {
    /// Reads a datagram.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, WireError> {
        let (&[first, code, high, low], rest) =
            bytes.split_first_chunk::<HEADER_BYTES>().ok_or(WireError::Short)?;
        if first >> 6 != VERSION {
            return Err(WireError::Version(first >> 6));
        }
        let (kind, id) = (Kind::from_bits(first >> 4), u16::from_be_bytes([high, low]));
        let code = Code(code);
        // Nothing but a header (RFC 7252 §4.1).
        if code == Code::EMPTY && (first & 15 != 0 || !rest.is_empty()) {
            return Err(WireError::NotEmpty);
        }
        Ok(Self { kind, id, message: Message::decode(code, first & 15, rest)? })
    }

    /// Kind and number of something that cannot be read, so that it can be rejected. `None`: not even that can be read.
    pub(crate) fn peek(bytes: &[u8]) -> Option<(Kind, u16)> {
        let [first, _, high, low] = *bytes.first_chunk::<HEADER_BYTES>()?;
        let is_ours = first >> 6 == VERSION;
        is_ours.then(|| (Kind::from_bits(first >> 4), u16::from_be_bytes([high, low])))
    }
}

/// Appends a header and a token; options and payload come behind it.
pub(crate) fn put_header(kind: Kind, code: Code, id: u16, token: Token, out: &mut Vec<u8>) {
    let [high, low] = id.to_be_bytes();
    out.extend([VERSION << 6 | kind.bits() << 4 | token.length, code.0, high, low]);
    out.extend_from_slice(token.as_bytes());
}

/// A message with nothing in it: an acknowledgement, a rejection, a ping.
pub(crate) fn empty(kind: Kind, id: u16) -> [u8; HEADER_BYTES] {
    let [high, low] = id.to_be_bytes();
    [VERSION << 6 | kind.bits() << 4, 0, high, low]
}
