//! NATS: lines of text, and payloads of a length that is said before.

use super::Template;
use crate::pubsub::flow::Tally;

pub(super) const PING: &[u8] = b"PING\r\n";
pub(super) const PONG: &[u8] = b"PONG\r\n";
const END: &[u8] = b"\r\n";

pub(super) fn hello() -> Vec<u8> {
    let said = b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n";
    [&said[..], PING].concat()
}

pub(super) fn subscribe(topic: &str) -> Vec<u8> {
    format!("SUB {topic} 1\r\nPING\r\n").into_bytes()
}

pub(super) fn publish(topic: &str, reply: Option<&str>, size: usize) -> Template {
    let reply = reply.map(|reply| format!("{reply} ")).unwrap_or_default();
    Template::new(format!("PUB {topic} {reply}{size}\r\n").into_bytes(), None, size, END)
}

pub(super) fn delivery(topic: &str, reply: Option<&str>, size: usize) -> Template {
    let reply = reply.map(|reply| format!("{reply} ")).unwrap_or_default();
    Template::new(format!("MSG {topic} 1 {reply}{size}\r\n").into_bytes(), None, size, END)
}

pub(super) fn hear(
    expected: &Template,
    input: &[u8],
    out: &mut Vec<u8>,
    tally: &mut Tally,
) -> usize {
    let (head, whole) = (&expected.bytes[..expected.payload_at], expected.bytes.len());
    let mut at = 0;
    loop {
        let rest = &input[at..];
        if rest.starts_with(head) {
            let Some(packet) = rest.get(..whole) else { return at };
            tally.message(expected.number(packet));
            at += whole;
            continue;
        }
        if head.starts_with(rest) {
            return at;
        }
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return at };
        match &rest[..=end] {
            PONG => tally.pongs += 1,
            PING => out.extend_from_slice(PONG),
            other => panic!("not expected: {}", String::from_utf8_lossy(other)),
        }
        at += end + 1;
    }
}
