//! Direct reply-to: answers that go straight from who answers to who asked, without a queue.
//!
//! Who consumes from [`REPLY_TO`] may give that name as `reply-to`; what they publish then says an address instead that
//! only they can have, and whatever is published to that address is delivered to them.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use base::Random;
use bytes::Bytes;
use parking_lot::Mutex;

use crate::channel::{Channel, ChannelOut, Content};

/// The name of the queue that is none.
pub(crate) const REPLY_TO: &[u8] = b"amq.rabbitmq.reply-to";

/// Who waits for answers, by address.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    known: Mutex<HashMap<Bytes, Asker>>,
}

#[derive(Debug)]
struct Asker {
    channel: Weak<ChannelOut>,
    /// The number of its consumer.
    consumer: u64,
}

/// An address, for as long as somebody waits there.
#[derive(Debug)]
pub(crate) struct Address {
    replies: Arc<Replies>,
    name: Bytes,
}

impl Drop for Address {
    fn drop(&mut self) {
        self.replies.known.lock().remove(&self.name);
    }
}

impl Replies {
    /// A new address for a channel's consumer.
    pub(crate) fn join(
        self: &Arc<Self>,
        random: &dyn Random,
        channel: &Arc<ChannelOut>,
        consumer: u64,
    ) -> Address {
        // Nobody guesses it.
        let name = [REPLY_TO, format!(".{:032x}", random.next_u128()).as_bytes()].concat();
        let name = Bytes::from(name);
        let asker = Asker { channel: Arc::downgrade(channel), consumer };
        self.known.lock().insert(name.clone(), asker);
        Address { replies: Arc::clone(self), name }
    }

    /// Whether somebody waits for answers there.
    pub(crate) fn is_known(&self, name: &[u8]) -> bool {
        self.known.lock().contains_key(name)
    }

    /// Delivers an answer; whether somebody takes it.
    pub(crate) fn answer(&self, content: &Content) -> bool {
        let found = {
            let known = self.known.lock();
            let asker = known.get(&content.routing_key);
            asker.and_then(|asker| Some((asker.channel.upgrade()?, asker.consumer)))
        };
        found.is_some_and(|(channel, consumer)| {
            channel.answer(consumer, &content.routing_key, content)
        })
    }
}

/// The address of a channel that waits for answers.
pub(crate) fn address(channel: &Channel) -> Option<Bytes> {
    channel.consumers.values().find_map(|known| Some(known.address.as_ref()?.name.clone()))
}
