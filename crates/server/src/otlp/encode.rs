//! Spans as Protocol Buffers, as `opentelemetry/proto/collector/trace/v1/trace_service.proto` and what that imports
//! (version 1) number their fields. Few enough fields to be written by hand.

use broker::observe::trace::{Span, Step};

/// `SpanKind`, `StatusCode` and `SpanFlags` of `trace.proto`.
const INTERNAL: u64 = 1;
const PRODUCER: u64 = 4;
const CONSUMER: u64 = 5;
const ERROR: u64 = 2;
/// Sampled; whether the parent is another process's is known.
const LOCAL_PARENT: u32 = 0x101;
/// And it is.
const REMOTE_PARENT: u32 = 0x301;

/// Who sends.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    /// The program's version.
    pub(super) version: &'static str,
    /// Tells this broker from others: `service.instance.id`.
    pub(super) instance: String,
}

impl Sender {
    /// `ExportTraceServiceRequest`.
    pub(super) fn request(&self, spans: &[Span]) -> Vec<u8> {
        let mut request = Proto::default();
        request.message(1, |resource_spans| {
            resource_spans.message(1, |resource| {
                resource.attribute(1, "service.name", "entrepot");
                resource.attribute(1, "service.version", self.version);
                resource.attribute(1, "service.instance.id", &self.instance);
            });
            resource_spans.message(2, |scope_spans| {
                scope_spans.message(1, |scope| {
                    scope.bytes(1, b"entrepot");
                    scope.bytes(2, self.version.as_bytes());
                });
                spans.iter().for_each(|one| scope_spans.message(2, |to| put(one, to)));
            });
        });
        request.0
    }
}

/// `Span`.
fn put(span: &Span, to: &mut Proto) {
    to.bytes(1, &span.trace_id.to_be_bytes());
    to.bytes(2, &span.span_id.to_be_bytes());
    to.bytes(4, &span.parent_id.to_be_bytes());
    to.bytes(5, format!("{} {}", span.step.name(), span.destination).as_bytes());
    to.number(
        6,
        match span.step {
            Step::Receive => CONSUMER,
            Step::Deliver => PRODUCER,
            Step::Store | Step::Bury => INTERNAL,
        },
    );
    to.fixed64(7, span.start);
    let taken = span.taken.unwrap_or_default().as_nanos();
    to.fixed64(8, span.start.saturating_add(u64::try_from(taken).unwrap_or(u64::MAX)));
    attributes(span, to);
    if span.parent_id != span.message_id {
        // The span in which the message was sent.
        to.message(13, |link| {
            link.bytes(1, &span.trace_id.to_be_bytes());
            link.bytes(2, &span.message_id.to_be_bytes());
        });
    }
    if let Some(error) = &span.error {
        to.message(15, |status| {
            status.bytes(2, error.as_bytes());
            status.number(3, ERROR);
        });
    }
    let is_remote = span.parent_id == span.message_id;
    to.fixed32(16, if is_remote { REMOTE_PARENT } else { LOCAL_PARENT });
}

/// Named as OpenTelemetry's conventions for messaging and networks have it, where these have a name.
fn attributes(span: &Span, to: &mut Proto) {
    to.attribute(9, "messaging.system", "entrepot");
    to.attribute(9, "messaging.operation.name", span.step.name());
    to.attribute(9, "messaging.destination.name", &span.destination);
    if let Some(stored) = span.stored {
        let partition = stored.partition.to_string();
        to.attribute(9, "messaging.destination.partition.id", &partition);
        if let Some(offset) = stored.offset {
            to.attribute(9, "messaging.message.id", &format!("{partition}-{offset}"));
            to.integer_attribute(9, "entrepot.offset", offset);
        }
    }
    if let Some(who) = &span.who {
        to.attribute(9, "network.protocol.name", who.door);
        to.attribute(9, "entrepot.listener", &who.listener);
        if let Some(peer) = who.peer {
            to.attribute(9, "network.peer.address", &peer.ip().to_string());
            to.integer_attribute(9, "network.peer.port", peer.port().into());
        }
        if let Some(name) = who.name() {
            to.attribute(9, "messaging.client.id", name);
        }
    }
    for (name, value) in &span.facts {
        to.attribute(9, &format!("entrepot.{name}"), value);
    }
    if span.error.is_some() {
        to.attribute(9, "error.type", "_OTHER");
    }
}

/// How many of the spans a collector says that it did not take (`ExportTraceServiceResponse`, with its `partial_success`).
pub(super) fn rejected(answer: &[u8]) -> u64 {
    let Some(Found::Bytes(partial)) = field(answer, 1) else { return 0 };
    let Some(Found::Number(count)) = field(partial, 1) else { return 0 };
    count
}

enum Found<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The first field of this number; nothing where the bytes are no message.
fn field(mut from: &[u8], wanted: u64) -> Option<Found<'_>> {
    while !from.is_empty() {
        let key = varint(&mut from)?;
        let found = match key & 7 {
            0 => Found::Number(varint(&mut from)?),
            2 => {
                let length = usize::try_from(varint(&mut from)?).ok()?;
                let (bytes, rest) = from.split_at_checked(length)?;
                from = rest;
                Found::Bytes(bytes)
            }
            kind => {
                from = from.get(if kind == 1 { 8 } else { 4 }..)?;
                continue;
            }
        };
        if key >> 3 == wanted {
            return Some(found);
        }
    }
    None
}

fn varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A message that is being written.
#[derive(Default)]
struct Proto(Vec<u8>);

impl Proto {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    fn number(&mut self, field: u64, value: u64) {
        self.varint(field << 3);
        self.varint(value);
    }

    fn fixed64(&mut self, field: u64, value: u64) {
        self.varint((field << 3) | 1);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn fixed32(&mut self, field: u64, value: u32) {
        self.varint((field << 3) | 5);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.varint((field << 3) | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    fn message(&mut self, field: u64, write: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        write(&mut inner);
        self.bytes(field, &inner.0);
    }

    /// `KeyValue` with an `AnyValue` that is text.
    fn attribute(&mut self, field: u64, key: &str, value: &str) {
        self.message(field, |pair| {
            pair.bytes(1, key.as_bytes());
            pair.message(2, |any| any.bytes(1, value.as_bytes()));
        });
    }

    fn integer_attribute(&mut self, field: u64, key: &str, value: i64) {
        self.message(field, |pair| {
            pair.bytes(1, key.as_bytes());
            pair.message(2, |any| any.number(3, value.cast_unsigned()));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_protocol_buffers_have_them() {
        let mut proto = Proto::default();
        // The example of their documentation.
        proto.number(1, 150);
        assert_eq!(proto.0, [0x08, 0x96, 0x01]);
        for value in [0, 1, 127, 128, u64::MAX] {
            let mut proto = Proto::default();
            proto.varint(value);
            assert_eq!(varint(&mut &proto.0[..]), Some(value));
        }
    }

    #[test]
    fn a_collector_says_how_many_it_did_not_take() {
        let mut answer = Proto::default();
        answer.fixed32(9, 1);
        answer.message(1, |partial| {
            partial.bytes(2, b"no room");
            partial.number(1, 3);
        });
        assert_eq!(rejected(&answer.0), 3);
        for other in [&b""[..], b"\x0a\xff", b"<html>", &[0x80; 12]] {
            assert_eq!(rejected(other), 0);
        }
    }
}
