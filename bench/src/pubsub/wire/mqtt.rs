//! MQTT 3.1.1: packets whose length is in their header.

use super::Template;
use crate::pubsub::flow::Tally;

pub(super) const CONNACK: &[u8] = &[0x20, 2, 0, 0];
pub(super) const CONNACK_AGAIN: &[u8] = &[0x20, 2, 1, 0];
pub(super) const PINGREQ: &[u8] = &[0xc0, 0];
pub(super) const DISCONNECT: &[u8] = &[0xe0, 0];

const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const PUBREC: u8 = 5;
const PUBREL: u8 = 6;
const PUBCOMP: u8 = 7;
const PINGRESP: u8 = 13;

/// A packet with this first byte: its length, and what it says.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    length(body.len(), &mut packet);
    packet.extend_from_slice(body);
    packet
}

/// Seven bits a byte, the lowest first.
fn length(mut left: usize, out: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(left & 0x7f).unwrap_or(0);
        left >>= 7;
        out.push(if left > 0 { low | 0x80 } else { low });
        if left == 0 {
            break;
        }
    }
}

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("a short text");
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

/// A clean session, and no keep-alive.
pub(super) fn hello(client: usize) -> Vec<u8> {
    connect(client, 2)
}

/// A session that outlives the connection.
pub(super) fn hello_again(client: usize) -> Vec<u8> {
    connect(client, 0)
}

fn connect(client: usize, flags: u8) -> Vec<u8> {
    let name = text(&format!("bench-{client}"));
    packet(0x10, &[&text("MQTT")[..], &[4, flags, 0, 0], &name].concat())
}

pub(super) fn subscribe(topic: &str, qos: u8) -> Vec<u8> {
    packet(0x82, &[&[0, 1][..], &text(topic), &[qos]].concat())
}

pub(super) fn suback(qos: u8) -> Vec<u8> {
    vec![0x90, 3, 0, 1, qos]
}

/// The same to a broker and from it.
pub(super) fn publish(topic: &str, qos: u8, size: usize) -> Template {
    let mut body = text(topic);
    let id = (qos > 0).then_some(body.len());
    if qos > 0 {
        body.extend_from_slice(&[0, 0]);
    }
    let mut head = vec![PUBLISH << 4 | qos << 1];
    length(body.len() + size, &mut head);
    let id_at = id.map(|at| head.len() + at);
    head.extend_from_slice(&body);
    Template::new(head, id_at, size, &[])
}

pub(super) fn hear(
    expected: &Template,
    input: &[u8],
    out: &mut Vec<u8>,
    tally: &mut Tally,
) -> usize {
    let whole = expected.bytes.len();
    let mut at = 0;
    loop {
        let rest = &input[at..];
        let Some(size) = size(rest).filter(|size| *size <= rest.len()) else { return at };
        let packet = &rest[..size];
        let id = |at: usize| packet.get(at..at + 2).expect("a packet identifier");
        match packet[0] >> 4 {
            PUBLISH => {
                assert_eq!(size, whole, "a message of another size");
                tally.message(expected.number(packet));
                if let Some(at) = expected.id_at {
                    let answer = if packet[0] >> 1 & 3 == 1 { PUBACK } else { PUBREC };
                    out.extend_from_slice(&[answer << 4, 2]);
                    out.extend_from_slice(id(at));
                }
            }
            PUBREL => {
                out.extend_from_slice(&[PUBCOMP << 4, 2]);
                out.extend_from_slice(id(2));
            }
            PUBREC => {
                out.extend_from_slice(&[PUBREL << 4 | 2, 2]);
                out.extend_from_slice(id(2));
            }
            PUBACK | PUBCOMP => tally.acknowledged += 1,
            PINGRESP => tally.pongs += 1,
            other => panic!("not expected: a packet of kind {other}"),
        }
        at += size;
    }
}

/// Bytes of the packet that begins here, once its length is there.
fn size(input: &[u8]) -> Option<usize> {
    let mut length = 0;
    for (index, byte) in input.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(2 + index + length);
        }
    }
    None
}
