//! Whole frames: four bytes of length, a header, a message.

use bytes::Bytes;

use super::header::encode_response_header;
use super::{ApiKey, Message, Reader, RequestHeader, RequestMessage, Str, WireError, Writer};

/// Room to start a frame with; most are smaller.
const FRAME_CAPACITY: usize = 512;

/// A response frame, length included. `body` writes the response in `version`.
///
/// # Errors
/// When `body` fails, or the frame is longer than a length can say.
pub fn encode_response(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    body: impl FnOnce(&mut Writer) -> Result<(), WireError>,
) -> Result<Bytes, WireError> {
    let mut w = Writer::with_capacity(FRAME_CAPACITY);
    w.i32(0);
    encode_response_header(&mut w, api, version, correlation_id);
    body(&mut w)?;
    w.set_frame_length(0)?;
    Ok(w.finish())
}

/// A request frame, length included, as a client sends it.
///
/// # Errors
/// When the request cannot be written in `version`.
pub fn encode_request<R: RequestMessage>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) -> Result<Bytes, WireError> {
    let mut w = Writer::with_capacity(FRAME_CAPACITY);
    w.i32(0);
    let client_id = client_id.map(Str::from);
    RequestHeader { api: R::API, version, correlation_id, client_id }.encode(&mut w)?;
    request.encode(&mut w, version)?;
    w.set_frame_length(0)?;
    Ok(w.finish())
}

/// The correlation id and the response to an `R` of `version`. `frame` comes without its length,
/// which the caller has bounded: a client trusts its broker with arrays as long as the frame.
///
/// # Errors
/// When the bytes do not fit.
pub fn decode_response<R: RequestMessage>(
    frame: Bytes,
    version: i16,
) -> Result<(i32, R::Response), WireError> {
    let elements = frame.len();
    let mut r = Reader::with_elements(frame, elements);
    let correlation_id = r.i32()?;
    if R::API.response_header_version(version) >= 1 {
        r.skip_tagged_fields()?;
    }
    Ok((correlation_id, R::Response::decode(&mut r, version)?))
}

/// Data that carries its own version in front: the subscriptions and assignments that consumers
/// hand each other through the group's coordinator.
///
/// # Errors
/// When it cannot be written in `version`.
pub fn encode_versioned<M: Message>(data: &M, version: i16) -> Result<Bytes, WireError> {
    let mut w = Writer::default();
    w.i16(version);
    data.encode(&mut w, version)?;
    Ok(w.finish())
}

/// Reads what [`encode_versioned`] writes, and its version. A version newer than ours is read as
/// our newest: later versions only append fields.
///
/// # Errors
/// When the bytes do not fit.
pub fn decode_versioned<M: Message>(data: Bytes) -> Result<(i16, M), WireError> {
    let mut r = Reader::new(data);
    let version = r.i16()?;
    Ok((version, M::decode(&mut r, version.min(M::MAX_VERSION))?))
}
