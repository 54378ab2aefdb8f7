//! What all messages have in common.

use super::{ApiKey, Reader, WireError, Writer};

/// A message of the protocol: a request, a response, or data inside one.
pub trait Message: Default {
    /// Its name in the protocol's definition.
    const NAME: &'static str;
    /// Lowest version that can be read and written.
    const MIN_VERSION: i16;
    /// Highest version that can be read and written.
    const MAX_VERSION: i16;
    /// First version with varint lengths and tagged fields (KIP-482).
    const FLEXIBLE_FROM: Option<i16>;

    /// Reads one as `version` lays it out.
    ///
    /// # Errors
    /// When the version is not known or the bytes do not fit it.
    fn decode(r: &mut Reader, version: i16) -> Result<Self, WireError>;

    /// Writes it as `version` lays it out. Fields that this version lacks are left out.
    ///
    /// # Errors
    /// When the version is not known, a value is too long, or null has no place in this version.
    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), WireError>;

    /// Says for how long the client is throttled, where a response can say that.
    fn set_throttle_time_ms(&mut self, _: i32) {}
}

/// A request, which knows its key and its response.
pub trait RequestMessage: Message {
    /// The key that names it in the request header.
    const API: ApiKey;
    /// What a broker answers with.
    type Response: Message;
}

/// Refuses a version that `M` does not have.
pub(super) fn check_version<M: Message>(version: i16) -> Result<(), WireError> {
    if (M::MIN_VERSION..=M::MAX_VERSION).contains(&version) {
        return Ok(());
    }
    Err(WireError::UnknownVersion { name: M::NAME, version })
}

/// The value of a field that cannot be null in the version being written.
pub(super) fn required<'a, T>(
    value: Option<&'a T>,
    name: &'static str,
) -> Result<&'a T, WireError> {
    value.ok_or(WireError::MissingField(name))
}
