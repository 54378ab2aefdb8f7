//! A string that shares the memory of the frame it came in.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

use super::WireError;

/// UTF-8 text backed by [`Bytes`]: cloning or reading one off a frame allocates nothing.
///
/// It keeps the whole frame alive; make it a `String` to keep it longer than the request.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Str(Bytes);

impl Str {
    /// The text as a string slice.
    pub fn as_str(&self) -> &str {
        // Checked on construction. Checking again costs little on names and spares `unsafe`.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl TryFrom<Bytes> for Str {
    type Error = WireError;

    fn try_from(bytes: Bytes) -> Result<Self, WireError> {
        match std::str::from_utf8(&bytes) {
            Ok(_) => Ok(Self(bytes)),
            Err(_) => Err(WireError::NotUtf8),
        }
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

impl Deref for Str {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for Str {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Str {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
