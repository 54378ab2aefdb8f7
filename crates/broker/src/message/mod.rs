//! A message, as a door without batches receives it.

mod death;
mod record;

use base::subject::Escape;
use base::{Millis, Subject};
use bytes::Bytes;
use observe::trace::Context;

pub use death::{Death, DeathReason};
pub use record::PlainMessage;
pub(crate) use record::{DEADLINE, GROUP, NOTE, NewMessage, PUBLISHER, SESSIONS, is_copy};

/// A message. What it is about is its [`Subject`], which goes beside it: most publishers say the same one again and
/// again.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// Decides the partition; absent is not the same as empty. Where a subject decides that, it is the key.
    pub key: Option<Bytes>,
    /// The payload; absent is a deletion mark.
    pub value: Option<Bytes>,
    /// What the publisher added, in order, duplicates included.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
    /// When it was made, if its publisher said; else now.
    pub timestamp: Option<Millis>,
    /// What more than one protocol has a word for.
    pub properties: Properties,
    /// The publisher's own properties, for readers who speak the same protocol.
    pub original: Option<Original>,
    /// Its publisher wants to be sure: it waits for those who are not there but want it, and is stored before the publisher
    /// is told. Those who listen live, for whom it waits as well, leave it.
    pub guaranteed: bool,
    /// Who publishes it: subscriptions of the same may ask not to get it.
    pub publisher: PublisherId,
    /// The exchange through which it came into its queue; the broker says so. `None`: not through one, or straight.
    pub via: Option<Via>,
    /// Routing keys that it was published with besides: exchanges that it comes to when it dies consider them, too.
    pub further_keys: Vec<Bytes>,
    /// The queues in which it died, the last one first; the broker says so.
    pub deaths: Vec<Death>,
}

impl Message {
    /// Makes it part of the trace that these headers name (W3C Trace Context), unless it names one itself.
    pub fn join_trace(&mut self, trace: &[(Bytes, Option<Bytes>)]) {
        if !self.headers.iter().any(|(name, _)| Context::is_name(name)) {
            self.headers.extend_from_slice(trace);
        }
    }
}

/// How a message came into a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// The exchange.
    pub exchange: Bytes,
    /// The routing key.
    pub key: Bytes,
}

/// What crosses from protocol to protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    /// What the payload is: a media type.
    pub content_type: Option<Bytes>,
    /// Where an answer is wanted.
    pub reply_to: Option<Subject>,
    /// What an answer repeats.
    pub correlation_id: Option<Bytes>,
    /// Not wanted any more from then on, in milliseconds since the epoch.
    pub expires_at: Option<Millis>,
    /// Higher is more urgent.
    pub priority: Option<u8>,
    /// Who published it, if they said so. Who logged in can say nobody else.
    pub user: Option<Bytes>,
}

/// The properties of a message exactly as its publisher's protocol has them: order, duplicates, types, and what is
/// absent rather than empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Original {
    /// The syntax of the door that wrote it, see [`base::subject::Rules::slot`]; nobody else reads it.
    pub door: u8,
    /// Whatever that door makes of them.
    pub bytes: Bytes,
}

impl Original {
    /// The bytes, for the door that speaks this syntax.
    pub fn of(&self, escape: &Escape) -> Option<&Bytes> {
        (usize::from(self.door) == escape.rules().slot).then_some(&self.bytes)
    }
}

/// A connection, or whatever else publishes and subscribes, for as long as the broker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct PublisherId(pub u64);

#[cfg(test)]
mod tests;
