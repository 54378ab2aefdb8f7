//! What goes into queues, and what comes out.

use std::fmt::Debug;
use std::sync::Arc;

use base::{ErrorKind, Millis, Offset, Subject};
use bytes::Bytes;
use queue::dispatch::Policy;

use crate::message::Message;
use crate::verbs::create_topic::TopicError;

/// Names a queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueName {
    /// The namespace; empty: the default one.
    pub space: Bytes,
    /// The name in it: any bytes, but not none.
    pub name: Bytes,
}

/// How a queue is declared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueSpec {
    /// It and its messages outlive the broker's process.
    pub durable: bool,
    /// Only who declared it may use it, and it goes with them. Such a queue is kept in memory alone.
    pub exclusive: bool,
    /// It goes when its last consumer goes, if it ever had one.
    pub auto_delete: bool,
    /// What clients take it for.
    pub kind: QueueKind,
    /// What the broker does with it.
    pub settings: QueueSettings,
    /// What the door was told, as it wants it told back; the broker does not look into it.
    pub arguments: Bytes,
}

impl QueueSpec {
    /// Whether its messages are stored.
    pub fn is_stored(&self) -> bool {
        self.durable && !self.exclusive
    }
}

/// What clients take a queue for. To the broker it is only a name: it says which policies are for the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueueKind {
    /// One as any.
    #[default]
    Classic,
    /// One of which they expect more.
    Quorum,
    /// One that has [`QueueSettings::stream`].
    Stream,
}

/// What the broker does with a queue's messages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueSettings {
    /// A message is dead when it has waited so long.
    pub message_ttl: Option<Millis>,
    /// The queue goes when nobody has used it for so long.
    pub expires: Option<Millis>,
    /// Most messages that are ready.
    pub length_max: Option<u64>,
    /// Most bytes of their payloads, about.
    pub bytes_max: Option<u64>,
    /// What happens when there are more; as with [`Overflow::DropHead`], if nobody says so.
    pub overflow: Option<Overflow>,
    /// Where dead messages go.
    pub dead_letter: Option<DeadLetterTo>,
    /// The highest priority; 0: none. Each priority costs a partition.
    pub priorities: u8,
    /// Of all consumers one gets messages, until it is gone.
    pub single_active: bool,
    /// Of all messages of one key one is out at a time, the oldest, and what comes back of it goes before the others: its
    /// consumers handle a key in its order, and different keys at the same time. The key is the record's, or the routing
    /// key, or the subject; what has none is in no order. Such a queue has no priorities.
    pub order_by_key: bool,
    /// A message that came back more often than this is dead.
    pub deliveries_max: Option<u32>,
    /// Whoever declared it has said how often that is, and did not leave it to the door.
    pub deliveries_said: bool,
    /// What a consumer has is to be settled within this time, if the queue has one of its own; 0: within any. Doors see to
    /// that.
    pub consumer_timeout: Option<Millis>,
    /// What comes back waits before it is delivered again.
    pub retry_delay: Option<RetryDelay>,
    /// Which consumer is next.
    pub dispatch: Policy,
    /// It keeps what is read of it; then only what is said here of it has any meaning.
    pub stream: Option<StreamSettings>,
}

impl QueueSettings {
    /// Whether there is a limit, past which new messages are refused.
    pub(crate) fn refuses(&self) -> bool {
        let is_limited = self.length_max.is_some() || self.bytes_max.is_some();
        is_limited && !self.drops_head()
    }

    /// Whether the oldest messages go where there are too many.
    pub(crate) fn drops_head(&self) -> bool {
        self.overflow.unwrap_or_default() == Overflow::DropHead
    }
}

/// How long a stream keeps messages: until either is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamSettings {
    /// Oldest message, in milliseconds.
    pub age_max: Option<Millis>,
    /// Most bytes.
    pub bytes_max: Option<u64>,
    /// What is dropped at once is a segment of about so many bytes, if that is not to be as it is for all topics.
    pub segment_bytes: Option<u64>,
}

impl StreamSettings {
    /// Segments of topics are no smaller and no larger than this, in bytes.
    const SEGMENT_BYTES: (i64, i64) = (64 * 1024, i32::MAX as i64);

    /// Bytes of a segment: as many as was asked for, or as near to that as there are.
    pub fn segment_bytes(asked: i64) -> u64 {
        let (min, max) = Self::SEGMENT_BYTES;
        asked.clamp(min, max).unsigned_abs()
    }

    /// An age as clients write it: a number and `Y`, `M`, `D`, `h`, `m` or `s`. `None`: it is none.
    pub fn age(text: &[u8]) -> Option<Millis> {
        let (unit, number) = text.split_last()?;
        let seconds: Millis = match unit {
            b'Y' => 365 * 24 * 3600,
            b'M' => 30 * 24 * 3600,
            b'D' => 24 * 3600,
            b'h' => 3600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        let is_number = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(number).ok().filter(|_| is_number)?;
        number.parse::<Millis>().ok()?.checked_mul(seconds * 1000)
    }
}

/// Where somebody begins to read a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamStart {
    /// With the first message that is there.
    First,
    /// With the last that were stored together.
    Last,
    /// With what comes from now on.
    Next,
    /// With this one, or the nearest that is there.
    Offset(Offset),
    /// With the first that is not older than this.
    Time(Millis),
}

/// What happens to a queue that is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// The oldest message is dead.
    #[default]
    DropHead,
    /// The new one is refused.
    Reject,
    /// The new one is refused, and a dead letter.
    RejectDeadLetter,
}

/// Where dead messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterTo {
    /// The exchange, of the queue's namespace; empty: the default one.
    pub exchange: Bytes,
    /// The routing key, if it is not to be the one that the message came with.
    pub key: Option<Bytes>,
}

/// Which messages that come back wait before they are delivered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetryWhen {
    /// None.
    Never,
    /// All.
    #[default]
    All,
    /// Those that failed: whoever had them said so, or went away.
    Failed,
    /// Those that were given back, without anybody saying that they failed.
    Returned,
}

/// How long a message waits before it is delivered again: `min`, and so much more each time that it came back, up to
/// `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryDelay {
    /// Which ones.
    pub when: RetryWhen,
    /// The first time.
    pub min: Millis,
    /// At most.
    pub max: Millis,
}

impl RetryDelay {
    /// With a second from the first time on, if nobody says how long, and always as long as the first time, if nobody says
    /// up to how long.
    pub fn new(when: RetryWhen, min: Option<Millis>, max: Option<Millis>) -> Self {
        let min = min.unwrap_or(1000);
        Self { when, min, max: max.unwrap_or(min).max(min) }
    }

    /// Whether a message waits that failed, or did not.
    pub(crate) fn is_for(self, failed: bool) -> bool {
        match self.when {
            RetryWhen::Never => false,
            RetryWhen::All => true,
            RetryWhen::Failed => failed,
            RetryWhen::Returned => !failed,
        }
    }

    /// After so many deliveries.
    pub(crate) fn after(self, deliveries: u32) -> Millis {
        self.min.saturating_mul(Millis::from(deliveries.max(1))).min(self.max)
    }
}

/// Deletes a queue only if it is …
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeleteOnly {
    /// … without consumers.
    pub unused: bool,
    /// … without messages that are ready.
    pub empty: bool,
}

/// How many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueCounts {
    /// Messages that wait for a consumer.
    pub ready: u64,
    /// Messages that consumers have.
    pub held: u64,
    /// Consumers.
    pub consumers: u32,
    /// Nobody gets anything at present, see [`crate::Broker::pause_queue`].
    pub is_paused: bool,
}

/// How to consume.
#[derive(Debug, Clone)]
pub struct ConsumeOptions {
    /// Its owner's mark, which comes with each message.
    pub tag: u64,
    /// Who has the highest gets messages while it can take them.
    pub priority: i32,
    /// Nobody else may consume.
    pub exclusive: bool,
    /// What is delivered is done with.
    pub automatic: bool,
    /// Most messages that it has at a time; 0: any number.
    pub prefetch: u32,
    /// Where they go.
    pub sink: Arc<dyn QueueSink>,
}

/// Names a message that was delivered, for as long as it is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DeliveryId {
    /// The queue, for as long as the broker runs.
    pub(crate) queue: u64,
    pub(crate) lane: u16,
    pub(crate) at: Offset,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// It is done.
    Accept,
    /// It goes back to its place.
    Return {
        /// That it was delivered counts.
        counted: bool,
        /// Whoever had it says that they could not do it.
        failed: bool,
        /// It is not delivered again before so many milliseconds.
        after: Millis,
    },
    /// Nobody will do it: it is a dead letter, or gone.
    Reject,
}

/// A message for a consumer.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// To settle it by.
    pub id: DeliveryId,
    /// How it came into the queue.
    pub origin: Origin,
    /// The message.
    pub message: Arc<Message>,
    /// How often it was delivered before this.
    pub deliveries: u32,
    /// When it was, about.
    pub at: Millis,
    /// Where it is in a stream; none of other queues.
    pub offset: Option<Offset>,
}

/// How a message came into a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Straight, by the queue's name.
    Queue,
    /// Through an exchange, with this routing key.
    Exchange {
        /// Its name, in the queue's namespace.
        exchange: Bytes,
        /// The routing key.
        key: Bytes,
    },
    /// It was published to a subject that the queue is bound to.
    Subject(Subject),
}

/// Where a door takes a consumer's messages.
///
/// The queue's task calls it, one call at a time for a queue; it must not block. It may take locks that are held while
/// something of the queue is called.
pub trait QueueSink: Send + Sync + Debug {
    /// Takes a message. `false`: there is no room, or the connection is gone; it stays in the queue, and nothing comes
    /// before [`super::Consumer::ready`] was called.
    fn deliver(&self, tag: u64, delivered: Delivered) -> bool;

    /// Sends what was written: called after a number of deliveries.
    fn flush(&self);

    /// The queue is gone, and this consumer with it.
    fn cancelled(&self, tag: u64);
}

/// Why something of a queue is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// There is no such queue (any more).
    #[error("there is no such queue")]
    NotFound,
    /// There is one of this name that was declared otherwise.
    #[error("the queue was declared with another {what}")]
    NotEquivalent {
        /// What differs.
        what: &'static str,
    },
    /// Another connection has it for itself.
    #[error("another connection has the queue for itself")]
    Locked,
    /// Another consumer is, or wants to be, the only one.
    #[error("the queue has a consumer that is the only one")]
    InExclusiveUse,
    /// It has consumers.
    #[error("the queue has consumers")]
    InUse,
    /// It has messages.
    #[error("the queue has messages")]
    NotEmpty,
    /// Not a queue that there can be.
    #[error("{0}")]
    NotAllowed(String),
    /// The broker has as many queues as it may have.
    #[error("the limit on queues of this broker is reached")]
    LimitReached,
    /// It could not be written, or read.
    #[error("{0}")]
    Unavailable(String),
}

impl QueueError {
    /// What the caller should do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::NotEquivalent { .. }
            | Self::Locked
            | Self::InExclusiveUse
            | Self::InUse
            | Self::NotEmpty => ErrorKind::Conflict,
            Self::NotAllowed(_) => ErrorKind::Invalid,
            Self::LimitReached | Self::Unavailable(_) => ErrorKind::Unavailable,
        }
    }
}

impl From<TopicError> for QueueError {
    fn from(error: TopicError) -> Self {
        match error {
            TopicError::Meta(error) => Self::Unavailable(error.to_string()),
            TopicError::Partitions(_) => Self::LimitReached,
            error => Self::NotAllowed(error.to_string()),
        }
    }
}
