//! How messages are read: as prost does it, once it is known that they do not take too much memory.
//!
//! Two bytes may say that there is one more message in a list, which is hundreds of bytes in memory: a few megabytes on
//! the wire would be a gigabyte. So whatever is large enough for that is looked through first, by what the `.proto` files
//! say of its fields, and refused if it would take too much.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::LazyLock;

use bytes::Buf;
use prost::encoding::{WireType, decode_key, decode_varint};
use prost::{Message, Name};
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::ProstEncoder;

use crate::limits::{LOOKED_THROUGH_BYTES, UNPACKED_BYTES_MAX};
use crate::pb::DESCRIPTORS;

/// What one message takes in memory, besides what is in it: no fewer bytes than the largest of them.
pub(crate) const MESSAGE_BYTES: usize = 512;
/// What a text, or bytes, take besides.
const BYTES_BYTES: usize = 48;
/// What a number in a list takes.
const NUMBER_BYTES: usize = 8;
/// Messages are in messages only so deep.
const DEPTH_MAX: usize = 8;

/// Reads and writes the messages of the generated services.
#[derive(Debug)]
pub struct BoundedCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for BoundedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Received + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder(PhantomData)
    }
}

/// Reads messages of one type.
#[derive(Debug)]
pub struct BoundedDecoder<U>(PhantomData<U>);

impl<U: Received> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        U::receive(source).map(Some)
    }
}

/// What is received.
pub trait Received: Sized {
    /// Reads what came: all of it is one message.
    ///
    /// # Errors
    /// It is none, or would take too much memory.
    fn receive(source: &mut DecodeBuf<'_>) -> Result<Self, Status>;
}

impl<U: Message + Name + Default> Received for U {
    fn receive(source: &mut DecodeBuf<'_>) -> Result<Self, Status> {
        if source.remaining() > LOOKED_THROUGH_BYTES {
            check(&U::full_name(), source.chunk(), source.remaining())?;
        }
        U::decode(source).map_err(|error| Status::internal(error.to_string()))
    }
}

/// Refuses what would take too much memory. `all`: how long it is, of which `bytes` must be all.
pub(crate) fn check(name: &str, bytes: &[u8], all: usize) -> Result<(), Status> {
    let too_much = || {
        let text = "the message would take too much memory: it has too many parts";
        Status::resource_exhausted(text)
    };
    let shape = SHAPES.by_name.get(name).copied();
    let shape = shape.filter(|_| bytes.len() == all).ok_or_else(too_much)?;
    let mut left = UNPACKED_BYTES_MAX;
    match SHAPES.take(shape, bytes, &mut left, 0) {
        Ok(()) => Ok(()),
        Err(Not::Small) => Err(too_much()),
        // prost says what is wrong.
        Err(Not::Valid) => Ok(()),
    }
}

/// Why something was not looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Not {
    Small,
    Valid,
}

/// What the messages have in them.
struct Shapes {
    by_name: HashMap<String, usize>,
    shapes: Vec<HashMap<u32, Field>>,
}

/// What a field of variable length is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Message(usize),
    Bytes,
    /// Numbers, packed.
    Numbers,
}

static SHAPES: LazyLock<Shapes> = LazyLock::new(|| Shapes::of(DESCRIPTORS));

impl Shapes {
    fn of(descriptors: &[u8]) -> Self {
        let described = FileDescriptorSet::decode(descriptors).unwrap_or_default();
        let mut all = Vec::new();
        for file in &described.file {
            let package = file.package();
            file.message_type.iter().for_each(|message| collect(package, message, &mut all));
        }
        let names = all.iter().enumerate();
        let by_name = names.map(|(at, (name, _))| (name.clone(), at)).collect();
        let mut shapes = Self { by_name, shapes: Vec::with_capacity(all.len()) };
        for (_, message) in &all {
            let fields = message.field.iter().map(|field| {
                let kind = match field.r#type() {
                    Type::Message | Type::Group => {
                        let name = field.type_name().trim_start_matches('.');
                        shapes.by_name.get(name).map_or(Field::Bytes, |at| Field::Message(*at))
                    }
                    Type::String | Type::Bytes => Field::Bytes,
                    _ => Field::Numbers,
                };
                (u32::try_from(field.number()).unwrap_or(0), kind)
            });
            let fields = fields.collect();
            shapes.shapes.push(fields);
        }
        shapes
    }

    /// Takes what a message needs from what is left.
    fn take(
        &self,
        shape: usize,
        mut bytes: &[u8],
        left: &mut usize,
        depth: usize,
    ) -> Result<(), Not> {
        spend(left, MESSAGE_BYTES)?;
        if depth > DEPTH_MAX {
            return Err(Not::Small);
        }
        let fields = self.shapes.get(shape).ok_or(Not::Valid)?;
        while bytes.has_remaining() {
            let (number, kind) = decode_key(&mut bytes).map_err(|_| Not::Valid)?;
            let length = match kind {
                WireType::Varint => {
                    decode_varint(&mut bytes).map_err(|_| Not::Valid)?;
                    spend(left, NUMBER_BYTES)?;
                    continue;
                }
                WireType::ThirtyTwoBit => 4,
                WireType::SixtyFourBit => 8,
                WireType::LengthDelimited => {
                    let length = decode_varint(&mut bytes).map_err(|_| Not::Valid)?;
                    usize::try_from(length).map_err(|_| Not::Valid)?
                }
                WireType::StartGroup | WireType::EndGroup => return Err(Not::Valid),
            };
            let (part, rest) = bytes.split_at_checked(length).ok_or(Not::Valid)?;
            bytes = rest;
            match fields.get(&number) {
                _ if kind != WireType::LengthDelimited => spend(left, NUMBER_BYTES)?,
                Some(Field::Message(inner)) => self.take(*inner, part, left, depth + 1)?,
                // A number takes a byte at least.
                Some(Field::Numbers) => spend(left, part.len().saturating_mul(NUMBER_BYTES))?,
                // One that nobody knows is passed over.
                Some(Field::Bytes) | None => spend(left, BYTES_BYTES)?,
            }
        }
        Ok(())
    }
}

fn collect<'m>(
    scope: &str,
    message: &'m DescriptorProto,
    all: &mut Vec<(String, &'m DescriptorProto)>,
) {
    let name = format!("{scope}.{}", message.name());
    message.nested_type.iter().for_each(|inner| collect(&name, inner, all));
    all.push((name, message));
}

fn spend(left: &mut usize, bytes: usize) -> Result<(), Not> {
    *left = left.checked_sub(bytes).ok_or(Not::Small)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb;

    fn outcome<M: Message + Name>(message: &M) -> Result<(), Not> {
        let bytes = message.encode_to_vec();
        let mut left = UNPACKED_BYTES_MAX;
        SHAPES.take(SHAPES.by_name[&M::full_name()], &bytes, &mut left, 0)
    }

    #[test]
    fn what_people_publish_is_taken_and_a_bomb_is_not() {
        let message = |headers| pb::Message {
            subject: "a.b".to_owned(),
            payload: Some(vec![8; 1000].into()),
            headers: vec![pb::Header::default(); headers],
            ..pb::Message::default()
        };
        let request = |messages, headers| pb::PublishStreamRequest {
            messages: vec![message(headers); messages],
            mandatory: false,
        };
        assert_eq!(outcome(&request(4000, 1)), Ok(()));
        let empty = vec![pb::Message::default(); 2_000_000];
        let bomb = pb::PublishStreamRequest { messages: empty, mandatory: false };
        assert!(bomb.encoded_len() <= 4_000_000);
        assert_eq!(outcome(&bomb), Err(Not::Small));
        assert_eq!(outcome(&request(1, 1_000_000)), Err(Not::Small));
        let ids = pb::Settlement { ids: vec![1; 100_000], ..Default::default() };
        assert_eq!(outcome(&pb::Settle { settlements: vec![ids], confirm: 1 }), Ok(()));
    }

    #[test]
    fn what_is_in_memory_is_no_more_than_is_counted() {
        let sizes = [
            size_of::<pb::Message>(),
            size_of::<pb::SubscribeRequest>(),
            size_of::<pb::ServeRequest>(),
            size_of::<pb::RegisterRequest>(),
            size_of::<pb::DeclareQueueRequest>(),
        ];
        assert!(sizes.iter().all(|size| *size <= MESSAGE_BYTES), "{sizes:?}");
        assert!(size_of::<String>() + 24 <= BYTES_BYTES);
    }

    #[test]
    fn what_is_no_message_is_left_to_who_says_so() {
        let name = pb::PublishStreamRequest::full_name();
        for bytes in
            [&b"\x0a"[..], b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x0b", b"\x00"]
        {
            assert!(check(&name, bytes, bytes.len()).is_ok(), "{}", bytes.escape_ascii());
        }
        assert!(check("none", b"", 0).is_err());
    }
}
