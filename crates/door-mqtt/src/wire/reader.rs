//! The fields that packets are made of.

use super::WireError;
use super::header::{to_usize, varint};

const SHORT: WireError = WireError::Malformed("it ends too early");

/// What is left of a packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, WireError> {
        let (&byte, rest) = self.rest.split_first().ok_or(SHORT)?;
        self.rest = rest;
        Ok(byte)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, WireError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(SHORT)?;
        self.rest = rest;
        Ok(u16::from_be_bytes(*bytes))
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, WireError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(SHORT)?;
        self.rest = rest;
        Ok(u32::from_be_bytes(*bytes))
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u32, WireError> {
        let (value, size) = varint(self.rest)?.ok_or(SHORT)?;
        self.take(size)?;
        Ok(value)
    }

    /// Bytes after their length in two (5.0 §1.5.6).
    #[inline]
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// Text (5.0 §1.5.4): UTF-8 without the character zero.
    #[inline]
    pub(crate) fn text(&mut self) -> Result<&'a str, WireError> {
        let bytes = self.binary()?;
        let text = std::str::from_utf8(bytes).map_err(|_| WireError::Malformed("no UTF-8"))?;
        if bytes.contains(&0) {
            return Err(WireError::Malformed("the character zero in a text"));
        }
        Ok(text)
    }

    /// A packet's number, which is never zero (5.0 §2.2.1).
    #[inline]
    pub(crate) fn packet_id(&mut self) -> Result<u16, WireError> {
        match self.u16()? {
            0 => Err(WireError::Malformed("zero as the number of a packet")),
            id => Ok(id),
        }
    }

    /// What stands between here and a length that comes first.
    #[inline]
    pub(crate) fn block(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.varint()?;
        self.take(to_usize(length))
    }

    /// Nothing may follow.
    pub(crate) fn end(&self) -> Result<(), WireError> {
        if self.rest.is_empty() { Ok(()) } else { Err(WireError::Malformed("bytes after its end")) }
    }
}
