//! Every decoder of this door, for fuzzing. Only there with the cargo feature `fuzzing`.

use broker::PublisherId;
use bytes::Bytes;

use crate::arguments;
use crate::beat::Beats;
use crate::destination::Destination;
use crate::map;
use crate::wire::Version;
use crate::wire::encode::{Writer, put_line};
use crate::wire::parse::{Bounds, Frame, Headers, Looked, Parsed, parse};

/// Smaller than real ones, so that inputs reach them.
const BOUNDS: Bounds = Bounds { headers_max: 20, head_bytes_max: 1024, body_bytes_max: 4096 };

/// Reads bytes as frames of each version, with all that is in them. What can be read is written and read again.
///
/// # Panics
/// When what is asked for is there already, or something written is not read as the same.
pub fn frames(bytes: &[u8]) {
    for version in Version::ALL {
        let (mut rest, mut looked) = (bytes, Looked::default());
        loop {
            match parse(rest, version, &BOUNDS, &mut looked) {
                Ok(Parsed::Frame(frame, used)) => {
                    read(&frame);
                    rest = &rest[used..];
                }
                Ok(Parsed::Beats(count)) => {
                    assert!((1..=rest.len()).contains(&count), "{count} line ends");
                    rest = &rest[count..];
                }
                Ok(Parsed::More(wanted)) => {
                    assert!(wanted > rest.len(), "{wanted} bytes are there");
                    let again = parse(rest, version, &BOUNDS, &mut looked);
                    assert!(matches!(again, Ok(Parsed::More(_))), "it is remembered");
                    break;
                }
                Err(error) => {
                    let _ = error.to_string();
                    break;
                }
            }
        }
    }
}

fn read(frame: &Frame<'_>) {
    let headers = frame.headers;
    for name in ["destination", "reply-to", "heart-beat"] {
        let Some(value) = headers.get(name) else { continue };
        let _ = (Destination::parse(&value).is_ok(), Beats::agreed(&value));
    }
    let _ = arguments::of_queue(headers, b"q", b"/").is_ok();
    let body = Bytes::copy_from_slice(frame.body);
    let _ = map::message(headers, body, (PublisherId(1), None), || 0).is_ok();
    let mut kept = Vec::new();
    for (name, value) in headers.iter() {
        put_line(&name, &value, &mut kept);
    }
    let same = Headers::kept(&kept).iter().eq(headers.iter());
    assert!(same, "what is kept is what was sent: {}", kept.escape_ascii());
    let mut out = Vec::new();
    Writer::begin("SEND", Version::V1_2, &mut out).body(frame.body);
    let again = parse(&out, Version::V1_2, &BOUNDS, &mut Looked::default());
    let is_same = matches!(again, Ok(Parsed::Frame(again, _)) if again.body == frame.body);
    assert!(is_same, "what was written is not read again");
}
