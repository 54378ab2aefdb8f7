//! Jute's primitives: big-endian numbers, and byte strings with a four-byte length in front.

use bytes::{BufMut, BytesMut};

/// The bytes are not the record that they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Takes primitives from the front of a request. What it returns borrows from the request, so
/// nothing is allocated for a length that a peer made up.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn int(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn long(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    /// Any byte but zero is true, as it is for `DataInput.readBoolean`.
    pub(crate) fn boolean(&mut self) -> Result<bool, Malformed> {
        self.array::<1>().map(|[byte]| byte != 0)
    }

    /// A byte string; none where the length is -1, "null".
    pub(crate) fn buffer(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        match self.int()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| Malformed)?;
                let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
                self.rest = rest;
                Ok(Some(taken))
            }
        }
    }

    /// A text; none where it is null.
    pub(crate) fn string(&mut self) -> Result<Option<&'a str>, Malformed> {
        self.buffer()?.map(std::str::from_utf8).transpose().map_err(|_| Malformed)
    }

    /// A text that must not be null, such as a path.
    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        self.string()?.ok_or(Malformed)
    }

    /// The number of a vector's elements, of which each takes at least `element_bytes_min` bytes.
    pub(crate) fn count(&mut self, element_bytes_min: usize) -> Result<usize, Malformed> {
        let count = usize::try_from(self.int()?).map_err(|_| Malformed)?;
        match count.checked_mul(element_bytes_min) {
            Some(bytes) if bytes <= self.rest.len() => Ok(count),
            _ => Err(Malformed),
        }
    }

    /// A vector of texts.
    pub(crate) fn texts(&mut self) -> Result<Vec<&'a str>, Malformed> {
        (0..self.count(4)?).map(|_| self.text()).collect()
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*taken)
    }
}

/// Appends primitives to a buffer.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: BytesMut,
}

impl Writer {
    pub(crate) fn int(&mut self, value: i32) {
        self.bytes.put_i32(value);
    }

    pub(crate) fn long(&mut self, value: i64) {
        self.bytes.put_i64(value);
    }

    pub(crate) fn boolean(&mut self, value: bool) {
        self.bytes.put_u8(value.into());
    }

    /// A byte string, or null.
    pub(crate) fn buffer(&mut self, value: Option<&[u8]>) {
        match value {
            None => self.int(-1),
            Some(bytes) => {
                self.count(bytes.len());
                self.bytes.put_slice(bytes);
            }
        }
    }

    pub(crate) fn text(&mut self, value: &str) {
        self.buffer(Some(value.as_bytes()));
    }

    /// A length or number of elements. What we write is far below the two gigabytes of an `int`.
    pub(crate) fn count(&mut self, count: usize) {
        self.int(i32::try_from(count).unwrap_or(i32::MAX));
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.put_slice(bytes);
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    #[cfg(test)]
    pub(crate) fn into_vec(self) -> Vec<u8> {
        self.bytes.to_vec()
    }
}
