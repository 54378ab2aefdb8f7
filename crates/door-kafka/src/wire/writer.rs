//! Writes the protocol's primitive types.

use bytes::Bytes;

use super::WireError;

/// A growing frame. `flexible` is as in [`Reader`](super::Reader).
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// An empty writer with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { out: Vec::with_capacity(capacity) }
    }

    /// Bytes written.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// What was written.
    pub fn finish(self) -> Bytes {
        Bytes::from(self.out)
    }

    /// Writes the length of all that follows the first four bytes, and `more`, over these four.
    pub(super) fn set_frame_length(&mut self, more: usize) -> Result<(), WireError> {
        let length = (self.out.len() + more).saturating_sub(4);
        let value = i32::try_from(length).map_err(|_| WireError::TooLong(length))?;
        if let Some(prefix) = self.out.first_chunk_mut() {
            *prefix = value.to_be_bytes();
        }
        Ok(())
    }

    /// Bytes as they are, without a length.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// One byte: 0 or 1.
    pub fn bool(&mut self, value: bool) {
        self.out.push(u8::from(value));
    }

    /// A signed byte.
    pub fn i8(&mut self, value: i8) {
        self.raw(&value.to_be_bytes());
    }

    /// A 16-bit integer.
    pub fn i16(&mut self, value: i16) {
        self.raw(&value.to_be_bytes());
    }

    /// A 32-bit integer.
    pub fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    /// A 64-bit integer.
    pub fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    /// An unsigned 16-bit integer.
    pub fn u16(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    /// An unsigned 32-bit integer.
    pub fn u32(&mut self, value: u32) {
        self.raw(&value.to_be_bytes());
    }

    /// A double.
    pub fn f64(&mut self, value: f64) {
        self.raw(&value.to_be_bytes());
    }

    /// A UUID; all zero means none.
    pub fn uuid(&mut self, value: &[u8; 16]) {
        self.raw(value);
    }

    /// An unsigned varint.
    pub fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    /// A length in the flexible form: 0 is null, anything else one too many.
    fn flexible_length(&mut self, length: Option<usize>) -> Result<(), WireError> {
        let raised = match length {
            None => 0,
            // A reader holds lengths in 31 bits.
            Some(length) => {
                i32::try_from(length).map_err(|_| WireError::TooLong(length))?.unsigned_abs() + 1
            }
        };
        self.varint(raised);
        Ok(())
    }

    fn string_length(&mut self, length: Option<usize>, flexible: bool) -> Result<(), WireError> {
        let short = match length {
            None => -1,
            Some(length) => i16::try_from(length).map_err(|_| WireError::LongString(length))?,
        };
        if flexible {
            return self.flexible_length(length);
        }
        self.i16(short);
        Ok(())
    }

    /// The length of bytes or of an array; `None` is null.
    pub fn long_length(&mut self, length: Option<usize>, flexible: bool) -> Result<(), WireError> {
        if flexible {
            return self.flexible_length(length);
        }
        let value = match length {
            None => -1,
            Some(length) => i32::try_from(length).map_err(|_| WireError::TooLong(length))?,
        };
        self.i32(value);
        Ok(())
    }

    /// A string or null.
    pub fn nullable_string(&mut self, text: Option<&str>, flexible: bool) -> Result<(), WireError> {
        self.string_length(text.map(str::len), flexible)?;
        self.raw(text.unwrap_or_default().as_bytes());
        Ok(())
    }

    /// A string.
    pub fn string(&mut self, text: &str, flexible: bool) -> Result<(), WireError> {
        self.nullable_string(Some(text), flexible)
    }

    /// Bytes or null.
    pub fn nullable_bytes(
        &mut self,
        bytes: Option<&Bytes>,
        flexible: bool,
    ) -> Result<(), WireError> {
        self.long_length(bytes.map(Bytes::len), flexible)?;
        self.raw(bytes.map(Bytes::as_ref).unwrap_or_default());
        Ok(())
    }

    /// Bytes.
    pub fn bytes(&mut self, bytes: &Bytes, flexible: bool) -> Result<(), WireError> {
        self.nullable_bytes(Some(bytes), flexible)
    }

    /// An array or null. `write` writes one element.
    pub fn nullable_array<T>(
        &mut self,
        items: Option<&[T]>,
        flexible: bool,
        mut write: impl FnMut(&mut Self, &T) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        self.long_length(items.map(<[T]>::len), flexible)?;
        items.unwrap_or_default().iter().try_for_each(|item| write(self, item))
    }

    /// An array. `write` writes one element.
    pub fn array<T>(
        &mut self,
        items: &[T],
        flexible: bool,
        write: impl FnMut(&mut Self, &T) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        self.nullable_array(Some(items), flexible, write)
    }

    /// A struct or null: 1 or -1 goes before it.
    pub fn nullable_struct<T>(
        &mut self,
        value: Option<&T>,
        write: impl FnOnce(&mut Self, &T) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let Some(value) = value else {
            self.i8(-1);
            return Ok(());
        };
        self.i8(1);
        write(self, value)
    }

    /// Tagged fields that were gathered before, as their count needs.
    pub fn tagged_fields(&mut self, fields: &TaggedFields) {
        self.varint(fields.count);
        self.raw(&fields.body.out);
    }

    /// The end of a struct of a flexible version that sets no tagged field.
    pub fn no_tagged_fields(&mut self) {
        self.varint(0);
    }
}

/// The tagged fields of one struct (KIP-482). Add them by ascending tag.
#[derive(Debug, Default)]
pub struct TaggedFields {
    count: u32,
    body: Writer,
}

impl TaggedFields {
    /// Adds a field; `write` writes its value.
    pub fn add(
        &mut self,
        tag: u32,
        write: impl FnOnce(&mut Writer) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let mut value = Writer::default();
        write(&mut value)?;
        let size = i32::try_from(value.len()).map_err(|_| WireError::TooLong(value.len()))?;
        self.body.varint(tag);
        self.body.varint(size.unsigned_abs());
        self.body.raw(&value.out);
        self.count += 1;
        Ok(())
    }
}
