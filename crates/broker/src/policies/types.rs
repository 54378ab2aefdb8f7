//! What policies are.

use std::sync::Arc;

use base::{ErrorKind, Millis};
use bytes::Bytes;

use super::pattern::Pattern;
use crate::queues::{
    DeadLetterTo, Overflow, QueueKind, QueueSettings, RetryDelay, RetryWhen, StreamSettings,
};

/// Who a policy is for. A queue is under one of each at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyLayer {
    /// What whoever uses the broker wants.
    User,
    /// What whoever runs it bounds that by: of both, the smaller number counts.
    Operator,
}

/// Names a policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyName {
    /// The namespace, for whose queues and exchanges it is; empty: the default one.
    pub space: Bytes,
    /// Who it is for.
    pub layer: PolicyLayer,
    /// The name: any bytes, but not none.
    pub name: Bytes,
}

/// Settings for all queues and exchanges whose names match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: PolicyName,
    /// Whose names match.
    pub pattern: Pattern,
    /// For which kinds of queues it is, …
    pub queues: Vec<QueueKind>,
    /// … and whether it is for exchanges.
    pub exchanges: bool,
    /// Of those that match, the one with the highest counts, and of equals the first by name.
    pub priority: i64,
    /// What it sets.
    pub settings: PolicySettings,
    /// What the door was told, as it wants it told back; the broker does not look into it.
    pub arguments: Bytes,
}

/// How often a message may come back before it is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeliveryLimit {
    /// So often.
    Most(u32),
    /// As often as it does: more than any number.
    Any,
}

/// What a policy sets: whatever is `None` it says nothing of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicySettings {
    /// As [`QueueSettings::message_ttl`].
    pub message_ttl: Option<Millis>,
    /// As [`QueueSettings::expires`].
    pub expires: Option<Millis>,
    /// As [`QueueSettings::length_max`].
    pub length_max: Option<u64>,
    /// As [`QueueSettings::bytes_max`]; of a stream as [`StreamSettings::bytes_max`].
    pub bytes_max: Option<u64>,
    /// As [`QueueSettings::overflow`].
    pub overflow: Option<Overflow>,
    /// As [`DeadLetterTo::exchange`].
    pub dead_letter_exchange: Option<Bytes>,
    /// As [`DeadLetterTo::key`].
    pub dead_letter_key: Option<Bytes>,
    /// As [`QueueSettings::deliveries_max`].
    pub deliveries_max: Option<DeliveryLimit>,
    /// As [`QueueSettings::consumer_timeout`].
    pub consumer_timeout: Option<Millis>,
    /// As [`RetryDelay::when`], …
    pub retry_when: Option<RetryWhen>,
    /// … [`RetryDelay::min`] …
    pub retry_min: Option<Millis>,
    /// … and [`RetryDelay::max`].
    pub retry_max: Option<Millis>,
    /// As [`StreamSettings::age_max`].
    pub age_max: Option<Millis>,
    /// As [`StreamSettings::segment_bytes`].
    pub segment_bytes: Option<u64>,
    /// As [`ExchangeSpec::alternate`](crate::exchanges::ExchangeSpec::alternate).
    pub alternate: Option<Bytes>,
}

/// The smaller of two bounds, as far as there are any.
fn stricter<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    a.into_iter().chain(b).min()
}

impl PolicySettings {
    /// What holds of both, where an operator's bounds are `by`.
    #[must_use]
    pub fn bounded(&self, by: &Self) -> Self {
        let other = |a: &Option<Bytes>, b: &Option<Bytes>| a.clone().or_else(|| b.clone());
        Self {
            message_ttl: stricter(self.message_ttl, by.message_ttl),
            expires: stricter(self.expires, by.expires),
            length_max: stricter(self.length_max, by.length_max),
            bytes_max: stricter(self.bytes_max, by.bytes_max),
            overflow: self.overflow.or(by.overflow),
            dead_letter_exchange: other(&self.dead_letter_exchange, &by.dead_letter_exchange),
            dead_letter_key: other(&self.dead_letter_key, &by.dead_letter_key),
            deliveries_max: stricter(self.deliveries_max, by.deliveries_max),
            consumer_timeout: stricter(self.consumer_timeout, by.consumer_timeout),
            retry_when: self.retry_when.or(by.retry_when),
            retry_min: self.retry_min.or(by.retry_min),
            retry_max: self.retry_max.or(by.retry_max),
            age_max: stricter(self.age_max, by.age_max),
            segment_bytes: self.segment_bytes.or(by.segment_bytes),
            alternate: other(&self.alternate, &by.alternate),
        }
    }

    /// What holds of a queue that was declared so. Of numbers the smaller counts; of the rest what the queue was declared
    /// with, if it was.
    pub(crate) fn over(&self, own: &QueueSettings) -> QueueSettings {
        let consumer_timeout = stricter(own.consumer_timeout, self.consumer_timeout);
        if let Some(stream) = own.stream {
            let stream = StreamSettings {
                age_max: stricter(stream.age_max, self.age_max),
                bytes_max: stricter(stream.bytes_max, self.bytes_max),
                segment_bytes: stream.segment_bytes.or(self.segment_bytes),
            };
            return QueueSettings { stream: Some(stream), consumer_timeout, ..own.clone() };
        }
        let said = own.deliveries_max.map_or(DeliveryLimit::Any, DeliveryLimit::Most);
        let said = stricter(own.deliveries_said.then_some(said), self.deliveries_max);
        QueueSettings {
            message_ttl: stricter(own.message_ttl, self.message_ttl),
            expires: stricter(own.expires, self.expires),
            length_max: stricter(own.length_max, self.length_max),
            bytes_max: stricter(own.bytes_max, self.bytes_max),
            overflow: own.overflow.or(self.overflow),
            dead_letter: self.dead_letter(own.dead_letter.as_ref()),
            deliveries_max: match said {
                None => own.deliveries_max,
                Some(DeliveryLimit::Most(most)) => Some(most),
                Some(DeliveryLimit::Any) => None,
            },
            consumer_timeout,
            retry_delay: own.retry_delay.or_else(|| self.retry_delay()),
            ..own.clone()
        }
    }

    fn retry_delay(&self) -> Option<RetryDelay> {
        let when = self.retry_when?;
        Some(RetryDelay::new(when, self.retry_min, self.retry_max))
    }

    fn dead_letter(&self, own: Option<&DeadLetterTo>) -> Option<DeadLetterTo> {
        let exchange = own.map(|to| &to.exchange).or(self.dead_letter_exchange.as_ref())?;
        let key = own.and_then(|to| to.key.as_ref()).or(self.dead_letter_key.as_ref());
        Some(DeadLetterTo { exchange: exchange.clone(), key: key.cloned() })
    }
}

/// The policies that something is under.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Governing {
    /// What its users want.
    pub user: Option<Arc<Policy>>,
    /// By what operators bound that.
    pub operator: Option<Arc<Policy>>,
}

impl Governing {
    /// What both say.
    pub(crate) fn settings(&self) -> PolicySettings {
        let of = |policy: &Option<Arc<Policy>>| policy.as_ref().map(|one| one.settings.clone());
        let user = of(&self.user).unwrap_or_default();
        of(&self.operator).map_or_else(|| user.clone(), |operator| user.bounded(&operator))
    }
}

/// Why something of a policy is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// There is no such policy.
    #[error("there is no such policy")]
    NotFound,
    /// Not a policy that there can be.
    #[error("{0}")]
    NotAllowed(String),
    /// The broker has as many policies as it may have.
    #[error("the limit on policies of this broker is reached")]
    LimitReached,
    /// It could not be written.
    #[error("{0}")]
    Unavailable(String),
}

impl PolicyError {
    /// What the caller should do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::NotAllowed(_) => ErrorKind::Invalid,
            Self::LimitReached | Self::Unavailable(_) => ErrorKind::Unavailable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_number_counts_and_otherwise_what_the_queue_was_declared_with() {
        let to = |exchange, key: Option<&'static [u8]>| DeadLetterTo {
            exchange: Bytes::from_static(exchange),
            key: key.map(Bytes::from_static),
        };
        let own = QueueSettings {
            message_ttl: Some(10),
            length_max: Some(5),
            overflow: Some(Overflow::DropHead),
            dead_letter: Some(to(b"own", None)),
            deliveries_max: Some(20),
            ..QueueSettings::default()
        };
        let policy = PolicySettings {
            message_ttl: Some(20),
            length_max: Some(3),
            bytes_max: Some(7),
            overflow: Some(Overflow::Reject),
            dead_letter_exchange: Some(Bytes::from_static(b"other")),
            dead_letter_key: Some(Bytes::from_static(b"k")),
            deliveries_max: Some(DeliveryLimit::Any),
            retry_when: Some(RetryWhen::Failed),
            retry_min: Some(5),
            ..PolicySettings::default()
        };
        let both = policy.over(&own);
        assert_eq!(
            (both.message_ttl, both.length_max, both.bytes_max),
            (Some(10), Some(3), Some(7))
        );
        assert_eq!(both.overflow, Some(Overflow::DropHead));
        assert_eq!(both.dead_letter, Some(to(b"own", Some(b"k"))));
        assert_eq!(both.deliveries_max, None, "nobody had said 20");
        let delay = RetryDelay { when: RetryWhen::Failed, min: 5, max: 5 };
        assert_eq!(both.retry_delay, Some(delay));
        let never = Some(RetryDelay { when: RetryWhen::Never, ..delay });
        let own = QueueSettings { retry_delay: never, ..own };
        assert_eq!(policy.over(&own).retry_delay, never, "the queue's own, all of it");
        let said = QueueSettings { deliveries_said: true, ..own };
        assert_eq!(policy.over(&said).deliveries_max, Some(20));
        assert_eq!(PolicySettings::default().over(&said), said);
        let bounds = PolicySettings {
            length_max: Some(2),
            deliveries_max: Some(DeliveryLimit::Most(4)),
            ..PolicySettings::default()
        };
        let bounded = policy.bounded(&bounds);
        assert_eq!((bounded.length_max, bounded.bytes_max), (Some(2), Some(7)));
        assert_eq!(bounded.deliveries_max, Some(DeliveryLimit::Most(4)));
    }

    #[test]
    fn of_a_stream_a_policy_says_how_much_it_keeps() {
        let own = StreamSettings { age_max: Some(9), ..StreamSettings::default() };
        let own = QueueSettings { stream: Some(own), ..QueueSettings::default() };
        let policy = PolicySettings {
            age_max: Some(5),
            bytes_max: Some(6),
            segment_bytes: Some(7),
            ..PolicySettings::default()
        };
        let both = policy.over(&own);
        let stream =
            StreamSettings { age_max: Some(5), bytes_max: Some(6), segment_bytes: Some(7) };
        assert_eq!((both.stream, both.bytes_max), (Some(stream), None));
    }
}
