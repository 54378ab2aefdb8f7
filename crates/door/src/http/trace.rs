//! The trace that a request is part of, in the words of W3C Trace Context: messages that are published by it are part of it, too.

use bytes::Bytes;
use hyper::header::HeaderMap;
use observe::trace::Context;

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

/// Longest state that is carried on; more than tools must (W3C Trace Context §3.3.1.5: 512 characters).
const STATE_BYTES_MAX: usize = 4096;

/// What a request's fields say of its trace, as headers of a message; none, if it is part of none, or not in a way that can be read.
pub fn trace_headers(fields: &HeaderMap) -> Vec<(Bytes, Option<Bytes>)> {
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
    use hyper::header::HeaderValue;

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
    fn a_state_is_carried_with_its_parent() {
        let text = |bytes: &'static str| Bytes::from_static(bytes.as_bytes());
        let told = trace_headers(&fields(&[(PARENT, GOOD), (STATE, "a=1"), (STATE, "b=2")]));
        let expected = [(text(PARENT), Some(text(GOOD))), (text(STATE), Some(text("a=1,b=2")))];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_cannot_be_read_is_not_carried() {
        let zeros = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        for bad in ["", zeros] {
            assert_eq!(trace_headers(&fields(&[(PARENT, bad), (STATE, "a=1")])), [], "{bad}");
        }
        assert_eq!(trace_headers(&fields(&[(PARENT, GOOD), (PARENT, GOOD)])), []);
        assert_eq!(trace_headers(&fields(&[(STATE, "a=1")])), []);
    }
}
