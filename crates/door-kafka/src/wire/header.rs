//! The headers before requests and responses.

use super::{ApiKey, Reader, Str, WireError, Writer};

/// What goes before every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    /// Which request follows.
    pub api: ApiKey,
    /// In which version. It may be one that we cannot read.
    pub version: i16,
    /// Goes back with the response.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<Str>,
}

impl RequestHeader {
    /// Reads the header; its own version follows from the API key and version in it.
    ///
    /// # Errors
    /// [`WireError::UnknownApi`] when the key is unknown, since the rest cannot be read then.
    pub fn decode(r: &mut Reader) -> Result<Self, WireError> {
        let key = r.i16()?;
        let version = r.i16()?;
        let correlation_id = r.i32()?;
        let api = ApiKey::from_number(key).ok_or(WireError::UnknownApi(key))?;
        // A string of fixed width in both header versions, so that a broker can read it off an
        // ApiVersions request that is newer than itself.
        let client_id = r.nullable_str(false)?;
        if api.request_header_version(version) >= 2 {
            r.skip_tagged_fields()?;
        }
        Ok(Self { api, version, correlation_id, client_id })
    }

    /// Writes the header.
    ///
    /// # Errors
    /// When the client id is too long.
    pub fn encode(&self, w: &mut Writer) -> Result<(), WireError> {
        w.i16(self.api.number());
        w.i16(self.version);
        w.i32(self.correlation_id);
        w.nullable_string(self.client_id.as_deref(), false)?;
        if self.api.request_header_version(self.version) >= 2 {
            w.no_tagged_fields();
        }
        Ok(())
    }
}

/// Writes what goes before the response to this version of this request.
pub(super) fn encode_response_header(
    w: &mut Writer,
    api: ApiKey,
    version: i16,
    correlation_id: i32,
) {
    w.i32(correlation_id);
    if api.response_header_version(version) >= 1 {
        w.no_tagged_fields();
    }
}
