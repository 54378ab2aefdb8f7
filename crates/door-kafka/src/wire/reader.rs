//! Reads the protocol's primitive types off a frame.

use base::limits::REQUEST_ELEMENTS_MAX;
use bytes::Bytes;

use super::{Str, WireError};

/// Most tagged fields of one struct, as in Kafka 4.4.
const TAGS_MAX: u32 = 10_000;

/// Longest string in bytes, in flexible versions too.
const STRING_BYTES_MAX: usize = i16::MAX as usize;

/// A position in a frame, and how many array elements may still be read off it.
///
/// A method that fails leaves the reader somewhere inside the frame: the frame is lost.
/// `flexible` says whether a length is a varint of itself plus one (KIP-482) or has fixed width.
#[derive(Debug)]
pub struct Reader {
    frame: Bytes,
    at: usize,
    /// Where reading stops: the end of the frame, or of the tagged field being read.
    end: usize,
    elements_left: usize,
}

impl Reader {
    /// A reader of a request, whose arrays may have `REQUEST_ELEMENTS_MAX` elements in total.
    pub fn new(frame: Bytes) -> Self {
        Self::with_elements(frame, REQUEST_ELEMENTS_MAX)
    }

    /// A reader that allows `elements` array elements in total. A client whose frames are bounded
    /// may pass the frame's length, since an element takes at least a byte.
    pub fn with_elements(frame: Bytes, elements: usize) -> Self {
        let end = frame.len();
        Self { frame, at: 0, end, elements_left: elements }
    }

    /// Bytes not yet read.
    pub fn remaining(&self) -> usize {
        self.end.saturating_sub(self.at)
    }

    /// Moves over `length` bytes and says where they started and stopped.
    #[inline]
    fn advance(&mut self, length: usize) -> Result<(usize, usize), WireError> {
        let left = self.remaining();
        if length > left {
            return Err(WireError::Truncated { needed: length, left });
        }
        let start = self.at;
        self.at = start + length;
        Ok((start, self.at))
    }

    #[inline]
    fn slice(&mut self, length: usize) -> Result<&[u8], WireError> {
        let (start, stop) = self.advance(length)?;
        self.frame.get(start..stop).ok_or(WireError::Truncated { needed: length, left: 0 })
    }

    #[inline]
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let slice = self.slice(N)?;
        slice.first_chunk().copied().ok_or(WireError::Truncated { needed: N, left: 0 })
    }

    /// The next `length` bytes, sharing the frame's memory.
    pub fn split(&mut self, length: usize) -> Result<Bytes, WireError> {
        let (start, stop) = self.advance(length)?;
        Ok(self.frame.slice(start..stop))
    }

    /// A byte that is not 0.
    pub fn bool(&mut self) -> Result<bool, WireError> {
        Ok(self.i8()? != 0)
    }

    /// A signed byte.
    pub fn i8(&mut self) -> Result<i8, WireError> {
        Ok(i8::from_be_bytes(self.fixed()?))
    }

    /// A 16-bit integer.
    pub fn i16(&mut self) -> Result<i16, WireError> {
        Ok(i16::from_be_bytes(self.fixed()?))
    }

    /// A 32-bit integer.
    pub fn i32(&mut self) -> Result<i32, WireError> {
        Ok(i32::from_be_bytes(self.fixed()?))
    }

    /// A 64-bit integer.
    pub fn i64(&mut self) -> Result<i64, WireError> {
        Ok(i64::from_be_bytes(self.fixed()?))
    }

    /// An unsigned 16-bit integer.
    pub fn u16(&mut self) -> Result<u16, WireError> {
        Ok(u16::from_be_bytes(self.fixed()?))
    }

    /// An unsigned 32-bit integer.
    pub fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.fixed()?))
    }

    /// A double.
    pub fn f64(&mut self) -> Result<f64, WireError> {
        Ok(f64::from_be_bytes(self.fixed()?))
    }

    /// A UUID; all zero means none.
    pub fn uuid(&mut self) -> Result<[u8; 16], WireError> {
        self.fixed()
    }

    /// An unsigned varint of at most 32 bits.
    pub fn varint(&mut self) -> Result<u32, WireError> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.fixed()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0x0f {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::LongVarint)
    }

    /// A length in the flexible form, where 0 is null and anything else one too many.
    fn flexible_length(&mut self) -> Result<Option<usize>, WireError> {
        let raised = self.varint()?;
        Ok(raised.checked_sub(1).map(|length| length as usize))
    }

    /// A length in one of the fixed forms, where -1 is null.
    fn fixed_length(length: i32) -> Result<Option<usize>, WireError> {
        if length == -1 {
            return Ok(None);
        }
        usize::try_from(length).map(Some).map_err(|_| WireError::BadLength(length))
    }

    fn string_length(&mut self, flexible: bool) -> Result<Option<usize>, WireError> {
        let length = if flexible {
            self.flexible_length()?
        } else {
            Self::fixed_length(i32::from(self.i16()?))?
        };
        match length {
            Some(length) if length > STRING_BYTES_MAX => Err(WireError::LongString(length)),
            _ => Ok(length),
        }
    }

    fn long_length(&mut self, flexible: bool) -> Result<Option<usize>, WireError> {
        if flexible { self.flexible_length() } else { Self::fixed_length(self.i32()?) }
    }

    /// A string or null, copied.
    pub fn nullable_string(&mut self, flexible: bool) -> Result<Option<String>, WireError> {
        let Some(length) = self.string_length(flexible)? else { return Ok(None) };
        let text = std::str::from_utf8(self.slice(length)?).map_err(|_| WireError::NotUtf8)?;
        Ok(Some(text.to_owned()))
    }

    /// A string, copied.
    pub fn string(&mut self, flexible: bool) -> Result<String, WireError> {
        self.nullable_string(flexible)?.ok_or(WireError::UnexpectedNull)
    }

    /// A string or null, sharing the frame's memory.
    pub fn nullable_str(&mut self, flexible: bool) -> Result<Option<Str>, WireError> {
        let Some(length) = self.string_length(flexible)? else { return Ok(None) };
        self.split(length)?.try_into().map(Some)
    }

    /// A string, sharing the frame's memory.
    pub fn str(&mut self, flexible: bool) -> Result<Str, WireError> {
        self.nullable_str(flexible)?.ok_or(WireError::UnexpectedNull)
    }

    /// Bytes or null, sharing the frame's memory.
    pub fn nullable_bytes(&mut self, flexible: bool) -> Result<Option<Bytes>, WireError> {
        let Some(length) = self.long_length(flexible)? else { return Ok(None) };
        self.split(length).map(Some)
    }

    /// Bytes, sharing the frame's memory.
    pub fn bytes(&mut self, flexible: bool) -> Result<Bytes, WireError> {
        self.nullable_bytes(flexible)?.ok_or(WireError::UnexpectedNull)
    }

    /// An array or null. `read` reads one element.
    pub fn nullable_array<T>(
        &mut self,
        flexible: bool,
        mut read: impl FnMut(&mut Self) -> Result<T, WireError>,
    ) -> Result<Option<Vec<T>>, WireError> {
        let Some(count) = self.long_length(flexible)? else { return Ok(None) };
        // An element takes a byte at least, so the count says too much if it exceeds the bytes.
        let left = self.remaining();
        if count > left {
            return Err(WireError::Truncated { needed: count, left });
        }
        let rest = self.elements_left.checked_sub(count);
        self.elements_left = rest.ok_or(WireError::TooManyElements(count))?;
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(read(self)?);
        }
        Ok(Some(items))
    }

    /// An array. `read` reads one element.
    pub fn array<T>(
        &mut self,
        flexible: bool,
        read: impl FnMut(&mut Self) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        self.nullable_array(flexible, read)?.ok_or(WireError::UnexpectedNull)
    }

    /// A struct or null: a byte says which, negative for null.
    pub fn nullable_struct<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, WireError>,
    ) -> Result<Option<T>, WireError> {
        if self.i8()? < 0 { Ok(None) } else { read(self).map(Some) }
    }

    /// The tagged fields that end a struct of a flexible version (KIP-482). `read` gets each tag,
    /// reads the value, and returns whether it knew the tag; the value is skipped if not.
    pub fn tagged_fields(
        &mut self,
        mut read: impl FnMut(&mut Self, u32) -> Result<bool, WireError>,
    ) -> Result<(), WireError> {
        let count = self.varint()?;
        if count > TAGS_MAX {
            return Err(WireError::TooManyTags(count));
        }
        for _ in 0..count {
            let tag = self.varint()?;
            let size = self.varint()? as usize;
            let left = self.remaining();
            if size > left {
                return Err(WireError::Truncated { needed: size, left });
            }
            let outer_end = self.end;
            self.end = self.at + size;
            if !read(self, tag)? {
                self.at = self.end;
            }
            if self.at != self.end {
                return Err(WireError::TagSize(tag));
            }
            self.end = outer_end;
        }
        Ok(())
    }

    /// Tagged fields of a struct that has none of its own.
    #[inline]
    pub fn skip_tagged_fields(&mut self) -> Result<(), WireError> {
        self.tagged_fields(|_, _| Ok(false))
    }
}
