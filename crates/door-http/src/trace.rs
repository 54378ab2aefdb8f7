//! The trace that a request is part of, in the words of W3C Trace Context: messages that are published by it are part of it, too.

use broker::Message;
use broker::observe::trace::Context;
use bytes::Bytes;
use door::http::HeaderMap;

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

/// Longest state that is carried on; more than tools must (W3C Trace Context §3.3.1.5: 512 characters).
const STATE_BYTES_MAX: usize = 4096;

/// Says so in each message that does not say itself what it is part of.
pub(crate) fn carry(fields: &HeaderMap, messages: &mut [Message]) {
    let trace = headers(fields);
    if trace.is_empty() {
        return;
    }
    let names_one =
        |message: &Message| message.headers.iter().any(|(name, _)| Context::is_name(name));
    for message in messages.iter_mut().filter(|message| !names_one(message)) {
        message.headers.extend(trace.iter().cloned());
    }
}

/// As headers of a message; none, if the request is part of no trace, or not in a way that can be read.
fn headers(fields: &HeaderMap) -> Vec<(Bytes, Option<Bytes>)> {
    let mut parents = fields.get_all(PARENT).iter();
    let (Some(parent), None) = (parents.next(), parents.next()) else { return Vec::new() };
    if Context::parse(parent.as_bytes()).is_none() {
        return Vec::new();
    }
    let copy = |name: &'static str, bytes: &[u8]| {
        (Bytes::from_static(name.as_bytes()), Some(Bytes::copy_from_slice(bytes)))
    };
    let mut headers = vec![copy(PARENT, parent.as_bytes())];
    // Several are one list (RFC 9110 §5.3).
    let states = fields.get_all(STATE).iter().map(|state| state.as_bytes());
    let state = states.collect::<Vec<_>>().join(&b","[..]);
    if !state.is_empty() && state.len() <= STATE_BYTES_MAX {
        headers.push(copy(STATE, &state));
    }
    headers
}

#[cfg(test)]
mod tests {
    use door::http::HeaderValue;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn fields(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in all {
            fields.append(*name, HeaderValue::from_static(value));
        }
        fields
    }

    #[test]
    fn messages_of_a_request_are_of_its_trace_unless_they_say_otherwise() {
        let own = (Bytes::from_static(b"Traceparent"), Some(Bytes::from_static(b"mine")));
        let mut messages =
            [Message::default(), Message { headers: vec![own.clone()], ..Message::default() }];
        let request = fields(&[(PARENT, GOOD), (STATE, "a=1"), (STATE, "b=2")]);
        carry(&request, &mut messages);
        let text = |bytes: &'static [u8]| Bytes::from_static(bytes);
        let expected = [
            (text(b"traceparent"), Some(Bytes::from_static(GOOD.as_bytes()))),
            (text(b"tracestate"), Some(text(b"a=1,b=2"))),
        ];
        assert_eq!(messages[0].headers, expected);
        assert_eq!(messages[1].headers, [own]);
    }

    #[test]
    fn what_cannot_be_read_is_not_carried() {
        let zeros = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        for bad in ["", zeros] {
            assert_eq!(headers(&fields(&[(PARENT, bad), (STATE, "a=1")])), [], "{bad}");
        }
        assert_eq!(headers(&fields(&[(PARENT, GOOD), (PARENT, GOOD)])), []);
        assert_eq!(headers(&fields(&[(STATE, "a=1")])), []);
    }
}
