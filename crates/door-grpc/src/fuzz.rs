//! Everything here that reads bytes itself, for fuzzing. Only there with the cargo feature `fuzzing`.

use broker::PublisherId;
use bytes::Bytes;
use prost::{Message, Name};

use crate::body::Lengths;
use crate::packed::{Packed, Plain};
use crate::{codec, map, pb, timeout};

/// Reads bytes as what a client says. The first says as what: a message of some kind (what is looked through may take no
/// more than was counted), the pieces of a call's body, or how long it waits.
///
/// # Panics
/// When something does not hold that must.
pub fn call(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 11 {
        0 => drop(timeout::parse(bytes)),
        1 => pieces(bytes),
        2 => drop(message::<pb::CreateTopicRequest>(bytes)),
        3 => drop(message::<pb::DeclareQueueRequest>(bytes)),
        4 => drop(message::<pb::SeekSubscriptionRequest>(bytes)),
        5 => drop(message::<pb::ServeRequest>(bytes)),
        6 => drop(message::<pb::SubscribeRequest>(bytes)),
        7 => drop(message::<pb::RegisterRequest>(bytes)),
        8 => drop(message::<pb::ChooseRequest>(bytes)),
        9 => {
            if let Some(read) = message::<pb::PublishRequest>(bytes) {
                take(read.message);
            }
        }
        _ => {
            let read = message::<pb::PublishStreamRequest>(bytes);
            packed(bytes, read.as_ref());
            read.into_iter().flat_map(|read| read.messages).for_each(|one| take(Some(one)));
        }
    }
}

/// Reads a message, if it is one. What can be read is written, and read again.
fn message<M: Message + Name + Default + PartialEq>(bytes: &[u8]) -> Option<M> {
    let may_be_large = codec::check(&M::full_name(), bytes, bytes.len()).is_ok();
    let read = M::decode(bytes).ok()?;
    assert!(may_be_large, "so few bytes are never too much");
    let written = read.encode_to_vec();
    assert!(M::decode(&written[..]).is_ok_and(|again| again == read), "it does not come back");
    Some(read)
}

/// What is taken apart message by message is what prost makes of it.
fn packed(bytes: &[u8], read: Option<&pb::PublishStreamRequest>) {
    let packed = Packed::of(Bytes::copy_from_slice(bytes));
    let head = packed.head();
    let whole: Result<Vec<_>, _> = packed.messages().map(|one| packed.whole(one)).collect();
    let Some(read) = read else { return };
    assert!(head.is_ok() && whole.is_ok(), "prost reads it: {read:?}");
    let (Ok(head), Ok(whole)) = (head, whole) else { return };
    assert_eq!((head.count, head.mandatory), (whole.len(), read.mandatory));
    assert_eq!(whole, read.messages);
    for (one, message) in packed.messages().zip(&whole) {
        let Some(plain) = Plain::of(one) else { continue };
        let given = plain.message(message.timestamp_ms.unwrap_or(0));
        let rest = pb::Message {
            topic: plain.topic.to_owned(),
            payload: given.value.map(Bytes::copy_from_slice),
            key: given.key.map(Bytes::copy_from_slice),
            timestamp_ms: message.timestamp_ms.map(|_| given.timestamp),
            ..pb::Message::default()
        };
        assert_eq!(*message, rest, "what is plain is no more than that");
    }
}

/// A message that is told again is the same.
fn take(message: Option<pb::Message>) {
    let Ok((_, message)) = map::take(message, PublisherId::default()) else { return };
    let told = map::tell(&message, None);
    let is_same = map::take_rest(told, PublisherId::default()).is_ok_and(|again| {
        (again.value, again.headers) == (message.value, message.headers)
            && again.properties == message.properties
    });
    assert!(is_same, "what is told is not what was published");
}

/// However the body of a call is cut, its messages end where they end.
fn pieces(bytes: &[u8]) {
    let Some((cut, body)) = bytes.split_first() else { return };
    let mut whole = Lengths::default();
    let _most = whole.take(body);
    let mut cut_up = Lengths::default();
    for piece in body.chunks(usize::from(*cut) + 1) {
        let most = cut_up.take(piece);
        assert!(most <= body.len(), "{most} bytes are there");
    }
    assert_eq!(cut_up, whole);
}
