//! Every decoder of this door, for fuzzing. Only there with the cargo feature `fuzzing`.

use bytes::Bytes;

use super::datagram::{Datagram, put_header};
use super::frame::{self, Header};
use super::link::{self, Filter};
use super::option::Writer;
use super::{Message, format};
use crate::request::Request;
use crate::topics::properties::Properties;

/// Most bytes of a message here.
const MESSAGE_MAX: usize = 1 << 16;

/// Reads bytes as a datagram, as a stream of frames, and as a WebSocket's message; and what is read as a request.
///
/// # Panics
/// When a message that was read and written is not read as the same.
pub fn messages(bytes: &[u8]) {
    if let Ok(datagram) = Datagram::decode(bytes) {
        let message = datagram.message;
        let mut out = Vec::new();
        put_header(datagram.kind, message.code, datagram.id, message.token, &mut out);
        let mut writer = Writer::new(&mut out);
        message.options.iter().for_each(|(number, value)| writer.option(number, value));
        writer.payload(message.payload);
        assert_eq!(Datagram::decode(&out).ok(), Some(datagram), "read as another message");
        request(&message);
    }
    let mut rest = bytes;
    while let Ok(Some(header)) = Header::decode(rest, MESSAGE_MAX) {
        let Some((one, after)) = rest.split_at_checked(header.total()) else { break };
        let Ok(message) = header.message(one) else { break };
        request(&message);
        rest = after;
    }
    if let Ok(message) = frame::decode_web(bytes) {
        request(&message);
    }
    if let Ok(properties) = Properties::decode(bytes) {
        let again = Properties::decode(&properties.encode());
        assert!(again.is_ok_and(|again| again == properties), "properties read as others");
    }
    let _ = format::number(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Filter::parse(text);
        let _ = link::segments(text);
    }
}

fn request(message: &Message<'_>) {
    let payload = Bytes::copy_from_slice(message.payload);
    let options = Bytes::copy_from_slice(message.options.as_bytes());
    if let Ok(request) = Request::new(message.code, options, payload) {
        let _ = (request.path().count(), request.queries().count(), request.digest());
    }
}
