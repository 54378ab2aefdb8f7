//! Requests of a stream of messages, as they came: taken apart message by message. Of a message that goes to a topic and
//! has a payload, a key and a time at most, which most are, nothing is copied or allocated before it is in its record.

use broker::PlainMessage;
use bytes::{Buf, Bytes};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost::{Message, Name};
use tonic::Status;
use tonic::codec::DecodeBuf;

use crate::codec::{Received, check};
use crate::limits::LOOKED_THROUGH_BYTES;
use crate::pb;

/// A `PublishStreamRequest` (`proto/entrepot/v1/publish.proto`).
#[derive(Debug, Default)]
pub struct Packed(Bytes);

impl Received for Packed {
    fn receive(source: &mut DecodeBuf<'_>) -> Result<Self, Status> {
        Ok(Self(source.copy_to_bytes(source.remaining())))
    }
}

/// What a request says besides its messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// How many messages it has.
    pub(crate) count: usize,
    pub(crate) mandatory: bool,
}

impl Packed {
    /// These bytes, whatever they are.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn of(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// Looks through the request.
    ///
    /// # Errors
    /// INTERNAL: it is none.
    pub(crate) fn head(&self) -> Result<Head, Status> {
        let (mut rest, mut head) = (&self.0[..], Head::default());
        while !rest.is_empty() {
            match field(&mut rest).ok_or_else(malformed)? {
                Field::Message(_) => head.count += 1,
                Field::Mandatory(mandatory) => head.mandatory = mandatory,
                Field::Other => {}
            }
        }
        Ok(head)
    }

    /// The messages of a request that was looked through.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            while !rest.is_empty() {
                if let Field::Message(message) = field(&mut rest)? {
                    return Some(message);
                }
            }
            None
        })
    }

    /// One of its messages, whatever there is in it. Payloads stay slices of the request.
    ///
    /// # Errors
    /// INTERNAL: it is none. RESOURCE_EXHAUSTED: it would take too much memory.
    pub(crate) fn whole(&self, message: &[u8]) -> Result<pb::Message, Status> {
        if message.len() > LOOKED_THROUGH_BYTES {
            check(&pb::Message::full_name(), message, message.len())?;
        }
        pb::Message::decode(self.0.slice_ref(message)).map_err(|_| malformed())
    }
}

/// What tonic says of such, too.
fn malformed() -> Status {
    Status::internal("the request is no PublishStreamRequest")
}

/// A field of a request.
enum Field<'a> {
    Message(&'a [u8]),
    Mandatory(bool),
    Other,
}

fn field<'a>(from: &mut &'a [u8]) -> Option<Field<'a>> {
    Some(match decode_key(from).ok()? {
        (1, WireType::LengthDelimited) => Field::Message(part(from)?),
        (2, WireType::Varint) => Field::Mandatory(decode_varint(from).ok()? != 0),
        (1 | 2, _) => return None,
        (number, kind) => {
            skip_field(kind, number, from, DecodeContext::default()).ok()?;
            Field::Other
        }
    })
}

/// What follows its length.
fn part<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(decode_varint(from).ok()?).ok()?;
    let (part, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(part)
}

/// A message that goes to a topic, and has no more than there is here.
#[derive(Debug, Default)]
pub(crate) struct Plain<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload: Option<&'a [u8]>,
    key: Option<&'a [u8]>,
    timestamp: Option<i64>,
}

impl<'a> Plain<'a> {
    /// Such a message. `None`: it is another, or none.
    pub(crate) fn of(mut message: &'a [u8]) -> Option<Self> {
        let mut plain = Self::default();
        while !message.is_empty() {
            match decode_key(&mut message).ok()? {
                (2, WireType::LengthDelimited) => {
                    plain.topic = std::str::from_utf8(part(&mut message)?).ok()?;
                }
                (4, WireType::LengthDelimited) => plain.payload = Some(part(&mut message)?),
                (5, WireType::LengthDelimited) => plain.key = Some(part(&mut message)?),
                (10, WireType::Varint) => {
                    plain.timestamp = Some(decode_varint(&mut message).ok()?.cast_signed());
                }
                _ => return None,
            }
        }
        (!plain.topic.is_empty()).then_some(plain)
    }

    /// As the core has it. `now`: when it came.
    pub(crate) fn message(&self, now: i64) -> PlainMessage<'a> {
        let timestamp = self.timestamp.unwrap_or(now);
        PlainMessage { key: self.key, value: self.payload, timestamp }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> pb::PublishStreamRequest {
        let plain = pb::Message {
            topic: "t".to_owned(),
            payload: Some("1".into()),
            key: Some("k".into()),
            timestamp_ms: Some(-7),
            ..pb::Message::default()
        };
        let headers = vec![pb::Header { name: "a".to_owned(), value: None }];
        let messages = vec![
            plain.clone(),
            pb::Message { headers, ..plain.clone() },
            pb::Message { subject: "s".to_owned(), topic: String::new(), ..plain.clone() },
            pb::Message { topic: "t".to_owned(), ..pb::Message::default() },
            pb::Message { payload: Some(Bytes::new()), timestamp_ms: None, ..plain },
            pb::Message::default(),
        ];
        pb::PublishStreamRequest { messages, mandatory: true }
    }

    #[test]
    fn a_request_is_what_prost_makes_of_it() {
        let request = request();
        let packed = Packed::of(request.encode_to_vec().into());
        let count = request.messages.len();
        assert_eq!(packed.head().unwrap(), Head { count, mandatory: true });
        let whole = packed.messages().map(|message| packed.whole(message).unwrap());
        assert_eq!(whole.collect::<Vec<_>>(), request.messages);
        assert_eq!(Packed::default().head().unwrap(), Head::default());
    }

    #[test]
    fn what_is_plain_is_read_as_prost_reads_it_and_nothing_else_is() {
        let request = request();
        let packed = Packed::of(request.encode_to_vec().into());
        let mut plain = Vec::new();
        for (at, (bytes, message)) in packed.messages().zip(&request.messages).enumerate() {
            let Some(found) = Plain::of(bytes) else { continue };
            plain.push(at);
            assert_eq!(found.topic, message.topic);
            let given = found.message(5);
            assert_eq!(given.key, message.key.as_deref());
            assert_eq!(given.value, message.payload.as_deref());
            assert_eq!(given.timestamp, message.timestamp_ms.unwrap_or(5));
        }
        assert_eq!(plain, [0, 3, 4]);
    }

    #[test]
    fn a_message_of_too_many_parts_is_refused_before_it_is_read() {
        let headers = vec![pb::Header::default(); 1_000_000];
        let messages = vec![pb::Message { headers, ..pb::Message::default() }];
        let request = pb::PublishStreamRequest { messages, mandatory: false };
        let packed = Packed::of(request.encode_to_vec().into());
        assert_eq!(packed.head().unwrap().count, 1);
        let refused = packed.whole(packed.messages().next().unwrap()).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        // Cut short, of another kind, the end of a group that did not begin, and no field at all.
        for bytes in [&b"\x0a"[..], b"\x0a\x05abc", b"\x08\x01", b"\x12\x00", b"\x0c", b"\x00"] {
            let packed = Packed::of(Bytes::copy_from_slice(bytes));
            assert!(pb::PublishStreamRequest::decode(bytes).is_err());
            assert!(packed.head().is_err(), "{}", bytes.escape_ascii());
            assert!(packed.messages().count() <= 1);
        }
        // What nobody knows is passed over.
        let packed = Packed::of(Bytes::from_static(b"\x9a\x01\x02ab\x0a\x01x"));
        assert_eq!(packed.head().unwrap().count, 1);
        assert!(packed.whole(packed.messages().next().unwrap()).is_err());
    }
}
