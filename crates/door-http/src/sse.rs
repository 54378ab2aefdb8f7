//! Server-sent events (the HTML standard, section 9.2): what comes, as it comes.

use std::time::Duration;

use bytes::Bytes;
use door::http::{Answer, HeaderValue, Pieces, Reply, StatusCode, header};
use serde::Serialize;

/// Something is sent at least so often, so that everybody in between sees that the connection lives.
pub(crate) const BEAT: Duration = Duration::from_secs(15);

/// How what comes is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As server-sent events.
    Events,
    /// As JSON, each on its own.
    Json,
}

impl Form {
    /// Something that is called so, with a number.
    pub(crate) fn piece(self, name: &str, id: &str, data: &impl Serialize) -> Bytes {
        match self {
            Self::Events => event(name, id, data),
            Self::Json => serde_json::json!({ name: data }).to_string().into(),
        }
    }

    /// Nothing, where something must be sent so that the connection is seen to live.
    pub(crate) fn beat(self) -> Option<Bytes> {
        (self == Self::Events).then(beat)
    }
}

/// An event of this name and number, with JSON.
pub(crate) fn event(name: &str, id: &str, data: &impl Serialize) -> Bytes {
    // What is sent is always JSON, which has no ends of lines.
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {name}\nid: {id}\ndata: {data}\n\n").into()
}

/// Nothing, so that something is sent.
pub(crate) fn beat() -> Bytes {
    Bytes::from_static(b": \n\n")
}

/// The answer whose rest comes from here.
pub(crate) fn reply(pieces: Pieces) -> Reply {
    let kind = HeaderValue::from_static("text/event-stream");
    let fresh = HeaderValue::from_static("no-cache");
    let answer = Answer::empty(StatusCode::OK)
        .with(header::CONTENT_TYPE, kind)
        .with(header::CACHE_CONTROL, fresh);
    Reply::Stream(answer, pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_lines_and_an_empty_one() {
        let sent = event("message", "0:7", &serde_json::json!({ "text": "a\nb" }));
        assert_eq!(sent, "event: message\nid: 0:7\ndata: {\"text\":\"a\\nb\"}\n\n");
        assert!(beat().starts_with(b":"), "a comment");
    }
}
