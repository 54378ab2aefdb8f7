//! Every decoder of this door, for fuzzing. Only there with the cargo feature `fuzzing`.

use broker::Message;
use bytes::Bytes;

use crate::map;
use crate::wire::connect::ConnectOptions;
use crate::wire::encode::Outbound;
use crate::wire::nkey;
use crate::wire::parse::{Bounds, Op, Parsed, parse};
use crate::wire::subject;

/// Smaller than real ones, so that inputs reach them.
const BOUNDS: Bounds = Bounds { control_line_bytes_max: 256, payload_bytes_max: 4096 };

/// Reads bytes as what a client sends: operations, the options of a `CONNECT`, headers, subjects.
/// What can be read is delivered, too.
///
/// # Panics
/// When what is asked for is there already, or a header block does not come back as it was.
pub fn stream(bytes: &[u8]) {
    let mut rest = bytes;
    loop {
        match parse(rest, &BOUNDS) {
            Ok(Parsed::Op(op, used)) => {
                operation(&op);
                rest = &rest[used..];
            }
            Ok(Parsed::More(wanted)) => {
                assert!(wanted > rest.len(), "{wanted} bytes are there");
                return;
            }
            Err(_) => return,
        }
    }
}

fn operation(op: &Op<'_>) {
    match op {
        Op::Connect(json) => {
            if let Some(said) = ConnectOptions::decode(json) {
                let _ = nkey::decode_user(&said.nkey);
            }
        }
        Op::Publish(publish) => {
            let mut message = Message::default();
            if let Some(block) = publish.headers {
                map::take_headers(&Bytes::copy_from_slice(block), &mut message);
                let mut made = Vec::new();
                assert_eq!(map::header_block(&message, &mut made), Some(block));
                // For readers who have only what crosses.
                message.original = None;
                let _ = map::header_block(&message, &mut made);
            }
            let _ = map::correlated(publish.subject);
            let subject = map::NAMES.subject(publish.subject);
            if let Ok(subject) = &subject {
                let name = map::reply_name(subject, &message);
                assert!(subject::is_literal(&name), "{} is no subject", name.escape_ascii());
            }
            let outbound = Outbound {
                subject: publish.subject,
                reply: publish.reply,
                headers: publish.headers,
                payload: publish.payload,
            };
            let mut out = Vec::new();
            outbound.encode(b"1", &mut out);
            assert!(out.len() <= outbound.bytes_max(b"1"), "{} bytes", out.len());
        }
        Op::Subscribe { subject, .. } => {
            let _ = (subject::is_filter(subject), map::NAMES.filter(subject));
        }
        _ => {}
    }
}
