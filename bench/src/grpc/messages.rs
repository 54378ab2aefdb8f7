//! The messages of `entrepot.v1` that the load needs: written once and numbered, and found again in what comes back without taking
//! all of it apart.

use door_grpc::pb;
use prost::Message;

use super::http2::{PREFIX, framed};

/// Bytes of a message's number, at the beginning of its payload.
pub(super) const NUMBER: usize = 8;

/// A request that publishes, framed.
pub(super) struct Template {
    bytes: Vec<u8>,
    /// Bytes of a message in it, and of that message's payload, which is at its end.
    stride: usize,
    size: usize,
    /// Messages in it.
    pub(super) count: u64,
}

impl Template {
    /// So many messages like this one, with payloads of so many bytes.
    pub(super) fn new(message: pb::Message, size: usize, count: usize) -> Self {
        assert!(size >= NUMBER, "a payload has room for its number");
        let message = pb::Message { payload: Some(vec![b'x'; size].into()), ..message };
        let request = pb::PublishStreamRequest { messages: vec![message; count], mandatory: false };
        let bytes = framed(&request.encode_to_vec());
        let stride = (bytes.len() - PREFIX) / count;
        Self { bytes, stride, size, count: count as u64 }
    }

    /// Appends the request whose first message has this number.
    pub(super) fn stamp(&self, first: u64, out: &mut Vec<u8>) {
        let from = out.len() + PREFIX;
        out.extend_from_slice(&self.bytes);
        let messages = out[from..].chunks_exact_mut(self.stride);
        for (number, message) in (first..).zip(messages) {
            let at = self.stride - self.size;
            message[at..at + NUMBER].copy_from_slice(&number.to_be_bytes());
        }
    }
}

/// A message to a subject.
pub(super) fn to_subject(name: &str) -> pb::Message {
    pb::Message { subject: name.to_owned(), ..pb::Message::default() }
}

/// A message to a topic.
pub(super) fn to_topic(name: &str) -> pb::Message {
    pb::Message { topic: name.to_owned(), ..pb::Message::default() }
}

/// What a subscriber says first, framed.
pub(super) fn open(from: pb::open::From) -> Vec<u8> {
    let open = pb::Open { from: Some(from), credit: u32::MAX };
    let request = pb::subscribe_request::Request::Open(open);
    framed(&pb::SubscribeRequest { request: Some(request) }.encode_to_vec())
}

/// Up to which message all is decided, by the answer to a publisher.
pub(super) fn decided(answer: &[u8]) -> u64 {
    let mut decided = 0;
    for (field, value) in fields(answer) {
        match value {
            Value::Number(number) if field == 1 => decided = number,
            _ => panic!("a message is refused: {answer:?}"),
        }
    }
    decided
}

/// The payloads of what a subscriber is told. None: it is told that the subscription is there.
pub(super) fn payloads(answer: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let (kind, told) = fields(answer).next().expect("it says something");
    match (kind, told) {
        (1, _) => None,
        (2, Value::Bytes(deliveries)) => {
            // Deliveries.deliveries, Delivery.message, Message.payload.
            let all = fields(deliveries).filter_map(|(_, delivery)| delivery.bytes());
            Some(all.map(|one| part(part(one, 1).expect("a message"), 4).unwrap_or_default()))
        }
        other => panic!("not expected: {other:?}"),
    }
}

/// The number in a payload.
pub(super) fn number(payload: &[u8]) -> u64 {
    u64::from_be_bytes(*payload.first_chunk().expect("eight bytes"))
}

/// The payload of an answer to a request.
pub(super) fn answered(answer: &[u8]) -> &[u8] {
    part(part(answer, 1).expect("a message"), 4).unwrap_or_default()
}

/// What a responder is asked: the question's own number, and its payload. None: it is told that it is one.
pub(super) fn asked(told: &[u8]) -> Option<(u64, &[u8])> {
    let asked = part(told, 2)?;
    let id = fields(asked).find_map(|(field, value)| match value {
        Value::Number(number) if field == 1 => Some(number),
        _ => None,
    });
    Some((id.unwrap_or_default(), part(part(asked, 2).expect("a message"), 4).unwrap_or_default()))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Number(_) => None,
        }
    }
}

fn part(message: &[u8], field: u64) -> Option<&[u8]> {
    fields(message).find_map(|(number, value)| value.bytes().filter(|_| number == field))
}

/// The fields of a message: their numbers, and what is in them.
fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    std::iter::from_fn(move || {
        if message.is_empty() {
            return None;
        }
        let key = varint(&mut message);
        let number = varint(&mut message);
        let value = match key & 7 {
            0 => Value::Number(number),
            2 => {
                let (bytes, rest) = message.split_at(number as usize);
                message = rest;
                Value::Bytes(bytes)
            }
            other => panic!("no field here is of kind {other}"),
        };
        Some((key >> 3, value))
    })
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first().expect("a whole number");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}

#[cfg(test)]
mod tests_of_messages {
    use super::*;

    #[test]
    fn requests_are_numbered_where_their_payloads_are() {
        for (size, count) in [(8, 1), (200, 3)] {
            let template = Template::new(to_topic("load"), size, count);
            let mut out = b"before".to_vec();
            template.stamp(7, &mut out);
            let request = pb::PublishStreamRequest::decode(&out[6 + PREFIX..]).unwrap();
            let numbers: Vec<_> = request
                .messages
                .iter()
                .map(|message| {
                    assert_eq!(message.topic, "load");
                    let payload = message.payload.as_ref().unwrap();
                    assert_eq!(payload.len(), size);
                    number(payload)
                })
                .collect();
            assert_eq!(numbers, (7..7 + count as u64).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_told_is_found() {
        let message = |payload: &'static [u8]| {
            Some(pb::Message { payload: Some(payload.into()), ..to_subject("a.b") })
        };
        let place = Some(pb::Place { topic: "t".to_owned(), partition: 1, offset: 300 });
        let delivery = |payload| pb::Delivery {
            message: message(payload),
            place: place.clone(),
            ..Default::default()
        };
        let deliveries = pb::Deliveries { deliveries: vec![delivery(b"1"), delivery(b"22")] };
        let told = |response| pb::SubscribeResponse { response: Some(response) }.encode_to_vec();
        let told_deliveries = told(pb::subscribe_response::Response::Deliveries(deliveries));
        let found: Vec<_> = payloads(&told_deliveries).unwrap().collect();
        assert_eq!(found, [&b"1"[..], b"22"]);
        let opened = told(pb::subscribe_response::Response::Opened(pb::Opened {}));
        assert!(payloads(&opened).is_none());
        let question = pb::ServeAsked { id: 300, message: message(b"3") };
        let question = pb::serve_response::Response::Asked(question);
        let question = pb::ServeResponse { response: Some(question) }.encode_to_vec();
        assert_eq!(asked(&question), Some((300, &b"3"[..])));
        let answer = pb::RequestResponse { message: message(b"4") }.encode_to_vec();
        assert_eq!(answered(&answer), b"4");
        let all = pb::PublishStreamResponse { decided: 1000, failures: Vec::new() };
        assert_eq!(decided(&all.encode_to_vec()), 1000);
    }
}
