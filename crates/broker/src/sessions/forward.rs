//! What topics keep waits for sessions, too, whatever way it came there: what was not published with a list of them is
//! put into their queue when it is committed. How far that has come is written down together with it, so that
//! a crash makes nothing come twice, or not at all.

use std::sync::Arc;

use base::{Offset, TopicId};
use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Inside, Sessions};
use crate::broker::Inner;

/// How far a partition's records were forwarded.
pub(crate) type ForwardedTo = ((TopicId, i32), Offset);

const LETTER: u8 = b't';

/// The record that says so.
pub(crate) fn encode(((topic, partition), offset): ForwardedTo) -> (Bytes, Option<Bytes>) {
    let mut key = BytesMut::with_capacity(21);
    key.put_u8(LETTER);
    key.put_u128(topic.0);
    key.put_i32(partition);
    (key.freeze(), Some(Bytes::copy_from_slice(&offset.to_be_bytes())))
}

pub(super) fn decode(key: &Bytes, value: &Bytes) -> Option<ForwardedTo> {
    let mut key = key.clone();
    if key.len() != 21 || key.get_u8() != LETTER {
        return None;
    }
    let place = (TopicId(key.get_u128()), key.get_i32());
    Some((place, Offset::from_be_bytes(value.as_ref().try_into().ok()?)))
}

impl Sessions {
    /// Where the forwarding of a partition goes on that sessions from before the start want something of. `None`: it was
    /// not there when they subscribed.
    pub(crate) fn forwarded_to(&self, topic: TopicId, partition: i32) -> Option<Offset> {
        self.forwarded.lock().get(&(topic, partition)).copied()
    }

    /// Has topics forwarded that sessions from before the start want something of.
    pub(crate) fn begin(&self, inner: &Arc<Inner>) {
        let all: Vec<Arc<Inside>> = self.all.lock().by_id.values().cloned().collect();
        for inside in all {
            let waiting: Vec<_> = {
                let body = inside.body.lock();
                let waiting = body.filters.iter().filter(|(_, held)| held.interest.waits);
                waiting.map(|(wanted, _)| wanted.clone()).collect()
            };
            for wanted in waiting {
                let tails = inner.tails_again(&wanted.filter);
                if let Some(held) = inside.body.lock().filters.get_mut(&wanted) {
                    held.tails = tails;
                }
            }
        }
        self.forwarded.lock().clear();
    }
}
