//! The fixed header.

use super::{Version, WireError};

/// Longest packet that the format can say, in bytes, without its header.
pub(crate) const REMAINING_MAX: usize = 268_435_455;

/// Kinds of packets, by their numbers (5.0 §2.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Connect = 1,
    Connack = 2,
    Publish = 3,
    Puback = 4,
    Pubrec = 5,
    Pubrel = 6,
    Pubcomp = 7,
    Subscribe = 8,
    Suback = 9,
    Unsubscribe = 10,
    Unsuback = 11,
    Pingreq = 12,
    Pingresp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl Kind {
    fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Connect,
            2 => Self::Connack,
            3 => Self::Publish,
            4 => Self::Puback,
            5 => Self::Pubrec,
            6 => Self::Pubrel,
            7 => Self::Pubcomp,
            8 => Self::Subscribe,
            9 => Self::Suback,
            10 => Self::Unsubscribe,
            11 => Self::Unsuback,
            12 => Self::Pingreq,
            13 => Self::Pingresp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The flags that a packet of this kind must have; those of PUBLISH say something.
    fn flags(self) -> Option<u8> {
        match self {
            Self::Publish => None,
            Self::Pubrel | Self::Subscribe | Self::Unsubscribe => Some(0b0010),
            _ => Some(0),
        }
    }
}

/// The beginning of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    /// Bytes of the header itself.
    pub(crate) size: usize,
    /// Bytes that follow it.
    pub(crate) remaining: usize,
}

impl Header {
    /// Reads a header; none while more bytes are needed. `max` bounds the whole packet.
    ///
    /// # Errors
    /// The bytes begin no packet, or one that is too long.
    #[inline]
    pub(crate) fn decode(bytes: &[u8], max: usize) -> Result<Option<Self>, WireError> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        let Some(kind) = Kind::from_number(first >> 4) else {
            return Err(WireError::Malformed("a packet of kind 0"));
        };
        let flags = first & 0x0f;
        let Some((remaining, length_bytes)) = varint(rest)? else { return Ok(None) };
        let (size, remaining) = (1 + length_bytes, to_usize(remaining));
        if size + remaining > max {
            return Err(WireError::TooLarge(size + remaining));
        }
        Ok(Some(Self { kind, flags, size, remaining }))
    }

    /// Whether the flags are those that a packet of its kind has. In 3.1 some may say that they are sent
    /// again.
    ///
    /// # Errors
    /// They are not.
    #[inline]
    pub(crate) fn check(&self, version: Version) -> Result<(), WireError> {
        let dup = if version == Version::V3 { 0b1000 } else { 0 };
        match self.kind.flags() {
            Some(expected) if expected != self.flags & !dup => {
                Err(WireError::Malformed("the header's flags"))
            }
            _ => Ok(()),
        }
    }

    /// Bytes of the whole packet.
    pub(crate) fn total(&self) -> usize {
        self.size + self.remaining
    }
}

/// Reads a number of one to four bytes, seven bits in each (5.0 §1.5.5), and how many they were;
/// none while more are needed.
#[inline]
pub(crate) fn varint(bytes: &[u8]) -> Result<Option<(u32, usize)>, WireError> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() >= 4 {
        Err(WireError::Malformed("a length of more than four bytes"))
    } else {
        Ok(None)
    }
}

pub(crate) fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
