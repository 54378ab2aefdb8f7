//! Numbers, text and bytes, read with a bound and written.

use base::Millis;
use bytes::{BufMut, Bytes, BytesMut};

use super::RecordError;
use crate::Name;

const ABSENT: u32 = u32::MAX;

pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts reading, and checks the version.
    pub(crate) fn new(bytes: &'a [u8], version: u8) -> Result<Self, RecordError> {
        let mut reader = Self { rest: bytes };
        match reader.u8()? {
            found if found == version => Ok(reader),
            found => Err(RecordError::UnknownVersion(found)),
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], RecordError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, RecordError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, RecordError> {
        self.array().map(i16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, RecordError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, RecordError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, RecordError> {
        self.array().map(i64::from_be_bytes)
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes, RecordError> {
        let len = self.u32()?;
        self.take(len as usize).map(Bytes::copy_from_slice)
    }

    pub(crate) fn text(&mut self) -> Result<Name, RecordError> {
        self.optional_text()?.ok_or(RecordError::Truncated)
    }

    pub(crate) fn optional_text(&mut self) -> Result<Option<Name>, RecordError> {
        let len = self.u32()?;
        if len == ABSENT {
            return Ok(None);
        }
        let text = str::from_utf8(self.take(len as usize)?).map_err(|_| RecordError::NotText)?;
        Ok(Some(text.into()))
    }

    pub(crate) fn optional_time(&mut self) -> Result<Option<Millis>, RecordError> {
        Ok(Some(self.i64()?).filter(|&time| time != Millis::MIN))
    }

    pub(crate) fn end(self) -> Result<(), RecordError> {
        if self.rest.is_empty() { Ok(()) } else { Err(RecordError::Trailing) }
    }
}

/// Lengths are checked against the limits long before they are written, so the cast cannot cut.
#[allow(clippy::cast_possible_truncation, reason = "no part of a record is near 4 GiB")]
pub(crate) fn put_len(out: &mut BytesMut, len: usize) {
    debug_assert!(len < ABSENT as usize, "a part of a record is too long");
    out.put_u32(len as u32);
}

pub(crate) fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    put_len(out, bytes.len());
    out.put_slice(bytes);
}

pub(crate) fn put_text(out: &mut BytesMut, text: &str) {
    put_bytes(out, text.as_bytes());
}

pub(crate) fn put_optional_text(out: &mut BytesMut, text: Option<&str>) {
    match text {
        Some(text) => put_text(out, text),
        None => out.put_u32(ABSENT),
    }
}

pub(crate) fn put_optional_time(out: &mut BytesMut, time: Option<Millis>) {
    out.put_i64(time.unwrap_or(Millis::MIN));
}
