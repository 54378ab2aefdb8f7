//! What queues and exchanges are declared with.

use base::Millis;
use broker::queues::{
    DeadLetterTo, Overflow, Queue, QueueKind, QueueSettings, RetryDelay, RetryWhen, StreamSettings,
    StreamStart,
};
use bytes::Bytes;

use crate::fault::{Fault, named, quoted};
use crate::map;
use crate::wire::reply::Reply;
use crate::wire::table::{Table, Value};

#[cfg(test)]
mod tests;

/// Most messages that come back to a quorum queue before they are dead, unless somebody says otherwise.
const QUORUM_DELIVERIES_MAX: u32 = 20;
/// Highest priority that a queue can have.
const PRIORITY_MAX: i64 = 255;
/// What a queue keeps the order of: `key`, of the messages of each routing key; no other broker knows this.
const ORDER: &str = "x-entrepot-order";
const MAX_AGE: &str = "x-max-age";
/// What is said of a stream and means nothing to it.
const NOT_OF_STREAMS: [&str; 15] = [
    "x-message-ttl",
    "x-expires",
    "x-max-length",
    "x-overflow",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-priority",
    "x-single-active-consumer",
    "x-delivery-limit",
    "x-delayed-retry-type",
    "x-delayed-retry-min",
    "x-delayed-retry-max",
    "x-queue-mode",
    ORDER,
];
/// Longest time, in milliseconds: as much as RabbitMQ takes.
const TIME_MAX: i64 = 0xffff_ffff;

/// The arguments of a queue, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueueArguments {
    pub(crate) kind: QueueKind,
    pub(crate) settings: QueueSettings,
}

/// Names the queue for texts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Of<'a> {
    pub(crate) queue: &'a [u8],
    pub(crate) virtual_host: &'a [u8],
}

impl Of<'_> {
    fn invalid(self, name: &str, why: &str) -> Fault {
        Fault::precondition(format!(
            "invalid arg '{name}' for queue '{}' in vhost '{}': {why}",
            quoted(self.queue),
            quoted(self.virtual_host)
        ))
    }
}

/// Reads arguments, for the names that it is asked for.
struct Arguments<'a> {
    table: Table<'a>,
    of: Of<'a>,
}

impl<'a> Arguments<'a> {
    fn integer(&self, name: &str, min: i64, max: i64) -> Result<Option<i64>, Fault> {
        let Some(value) = self.table.get(name.as_bytes()) else { return Ok(None) };
        let number = value.integer();
        let number = number.ok_or_else(|| self.of.invalid(name, "{unacceptable_type,...}"))?;
        match number {
            number if number < min && number < 0 => {
                Err(self.of.invalid(name, &format!("{{value_negative,{number}}}")))
            }
            number if number < min => {
                Err(self.of.invalid(name, &format!("{{value_zero,{number}}}")))
            }
            number if number > max => {
                Err(self.of.invalid(name, &format!("{{value_too_big,{number}}}")))
            }
            number => Ok(Some(number)),
        }
    }

    fn text(&self, name: &str) -> Result<Option<&'a [u8]>, Fault> {
        match self.table.get(name.as_bytes()) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.of.invalid(name, "{unacceptable_type,...}")),
        }
    }

    fn boolean(&self, name: &str) -> Result<bool, Fault> {
        match self.table.get(name.as_bytes()) {
            None => Ok(false),
            Some(Value::Bool(is)) => Ok(is),
            Some(_) => Err(self.of.invalid(name, "{unacceptable_type,...}")),
        }
    }

    fn time(&self, name: &str, min: i64) -> Result<Option<Millis>, Fault> {
        self.integer(name, min, TIME_MAX)
    }

    fn kind(&self) -> Result<QueueKind, Fault> {
        match self.text("x-queue-type")? {
            None | Some(b"classic" | b"default") => Ok(QueueKind::Classic),
            Some(b"quorum") => Ok(QueueKind::Quorum),
            Some(b"stream") => Ok(QueueKind::Stream),
            Some(other) => {
                let why = format!("unsupported queue type '{}'", quoted(other));
                Err(self.of.invalid("x-queue-type", &why))
            }
        }
    }

    fn overflow(&self) -> Result<Option<Overflow>, Fault> {
        let Some(text) = self.text("x-overflow")? else { return Ok(None) };
        let known = overflow(text).ok_or_else(|| self.of.invalid("x-overflow", "invalid_overflow"));
        known.map(Some)
    }

    fn stream(&self) -> Result<StreamSettings, Fault> {
        for name in NOT_OF_STREAMS {
            if self.table.get(name.as_bytes()).is_some() {
                let of = named("queue", self.of.queue, self.of.virtual_host);
                return Err(Fault::precondition(format!(
                    "invalid arg '{name}' for {of} of queue type rabbit_stream_queue"
                )));
            }
        }
        let age_max = match self.text(MAX_AGE)? {
            None => None,
            Some(text) => {
                let age = StreamSettings::age(text);
                let age = age.ok_or_else(|| self.of.invalid(MAX_AGE, "invalid_max_age"))?;
                Some(age)
            }
        };
        let segment = self.integer("x-stream-max-segment-size-bytes", 0, i64::MAX)?;
        Ok(StreamSettings {
            age_max,
            bytes_max: count(self.integer("x-max-length-bytes", 0, i64::MAX)?),
            segment_bytes: segment.map(StreamSettings::segment_bytes),
        })
    }

    fn order_by_key(&self) -> Result<bool, Fault> {
        match self.text(ORDER)? {
            None | Some(b"none") => Ok(false),
            Some(b"key") => Ok(true),
            Some(_) => Err(self.of.invalid(ORDER, "invalid_order")),
        }
    }

    fn dead_letter(&self) -> Result<Option<DeadLetterTo>, Fault> {
        let exchange = self.text("x-dead-letter-exchange")?.map(Bytes::copy_from_slice);
        let key = self.text("x-dead-letter-routing-key")?.map(Bytes::copy_from_slice);
        match (exchange, key) {
            (Some(exchange), key) => Ok(Some(DeadLetterTo { exchange, key })),
            (None, None) => Ok(None),
            (None, Some(_)) => {
                let name = "x-dead-letter-routing-key";
                Err(self.of.invalid(name, "routing_key_but_no_dlx_defined"))
            }
        }
    }

    /// How often a message may come back, and whether that was said.
    fn deliveries_max(&self, kind: QueueKind) -> Result<(Option<u32>, bool), Fault> {
        let limit = self.integer("x-delivery-limit", -1, u32::MAX.into())?;
        Ok(match limit {
            Some(limit) => (u32::try_from(limit).ok(), true),
            None => ((kind == QueueKind::Quorum).then_some(QUORUM_DELIVERIES_MAX), false),
        })
    }

    fn retry_delay(&self) -> Result<Option<RetryDelay>, Fault> {
        const TYPE: &str = "x-delayed-retry-type";
        let min = self.time("x-delayed-retry-min", 0)?;
        let max = self.time("x-delayed-retry-max", 0)?;
        let Some(text) = self.text(TYPE)? else { return Ok(None) };
        let when = retry_when(text).ok_or_else(|| self.of.invalid(TYPE, "invalid_type"))?;
        Ok(Some(RetryDelay::new(when, min, max)))
    }

    /// Arguments that say where and how a queue is kept, which is decided here: they only have to be what they can be.
    fn check_the_rest(&self) -> Result<(), Fault> {
        for name in [
            "x-quorum-initial-group-size",
            "x-quorum-target-group-size",
            "x-consumer-disconnected-timeout",
            "x-max-in-memory-length",
            "x-max-in-memory-bytes",
            "x-stream-max-segment-size-bytes",
            "x-stream-filter-size-bytes",
            "x-initial-cluster-size",
        ] {
            self.integer(name, 0, i64::MAX)?;
        }
        for name in [
            "x-queue-leader-locator",
            "x-queue-master-locator",
            "x-queue-mode",
            "x-dead-letter-strategy",
            "x-max-age",
        ] {
            self.text(name)?;
        }
        Ok(())
    }
}

fn count(number: Option<i64>) -> Option<u64> {
    number.and_then(|number| u64::try_from(number).ok())
}

/// What happens to a queue that is full, by the names that clients give that.
pub(crate) fn overflow(text: &[u8]) -> Option<Overflow> {
    match text {
        b"drop-head" => Some(Overflow::DropHead),
        b"reject-publish" => Some(Overflow::Reject),
        b"reject-publish-dlx" => Some(Overflow::RejectDeadLetter),
        _ => None,
    }
}

/// Which messages that come back wait, by the names that clients give that.
pub(crate) fn retry_when(text: &[u8]) -> Option<RetryWhen> {
    match text {
        b"disabled" => Some(RetryWhen::Never),
        b"all" => Some(RetryWhen::All),
        b"failed" => Some(RetryWhen::Failed),
        b"returned" => Some(RetryWhen::Returned),
        _ => None,
    }
}

/// The word for it.
pub(crate) fn retry_word(when: RetryWhen) -> &'static str {
    match when {
        RetryWhen::Never => "disabled",
        RetryWhen::All => "all",
        RetryWhen::Failed => "failed",
        RetryWhen::Returned => "returned",
    }
}

/// Where to begin to read a stream (`x-stream-offset`).
///
/// # Errors
/// There is no such place.
pub(crate) fn stream_start(
    arguments: &Table<'_>,
    of: Of<'_>,
    now: Millis,
) -> Result<StreamStart, Fault> {
    let wrong = |why: &str| {
        let of = named("queue", of.queue, of.virtual_host);
        Fault::new(Reply::PreconditionFailed, format!("failed consuming from stream {of}: {why}"))
    };
    match arguments.get(b"x-stream-offset") {
        None | Some(Value::String(b"next")) => Ok(StreamStart::Next),
        Some(Value::String(b"first")) => Ok(StreamStart::First),
        Some(Value::String(b"last")) => Ok(StreamStart::Last),
        Some(Value::String(text)) => {
            let age = StreamSettings::age(text).ok_or_else(|| wrong("invalid_max_age"))?;
            Ok(StreamStart::Time(now.saturating_sub(age)))
        }
        Some(Value::Timestamp(seconds)) => {
            let time = Millis::try_from(seconds.saturating_mul(1000)).unwrap_or(Millis::MAX);
            Ok(StreamStart::Time(time))
        }
        Some(other) => {
            let offset = other.integer().filter(|offset| *offset >= 0);
            offset.map(StreamStart::Offset).ok_or_else(|| wrong("invalid_offset_arg"))
        }
    }
}

/// Understands the arguments of a queue.
///
/// # Errors
/// One is not what it can be.
pub(crate) fn of_queue(table: Table<'_>, of: Of<'_>) -> Result<QueueArguments, Fault> {
    let arguments = Arguments { table, of };
    let kind = arguments.kind()?;
    let consumer_timeout = arguments.time("x-consumer-timeout", 0)?;
    if kind == QueueKind::Stream {
        let stream = Some(arguments.stream()?);
        arguments.check_the_rest()?;
        return Ok(QueueArguments {
            kind,
            settings: QueueSettings { stream, consumer_timeout, ..Default::default() },
        });
    }
    let (deliveries_max, deliveries_said) = arguments.deliveries_max(kind)?;
    let priorities = arguments.integer("x-max-priority", 0, PRIORITY_MAX)?;
    let settings = QueueSettings {
        message_ttl: arguments.time("x-message-ttl", 0)?,
        expires: arguments.time("x-expires", 1)?,
        length_max: count(arguments.integer("x-max-length", 0, i64::MAX)?),
        bytes_max: count(arguments.integer("x-max-length-bytes", 0, i64::MAX)?),
        overflow: arguments.overflow()?,
        dead_letter: arguments.dead_letter()?,
        priorities: priorities.and_then(|highest| u8::try_from(highest).ok()).unwrap_or(0),
        single_active: arguments.boolean("x-single-active-consumer")?,
        order_by_key: arguments.order_by_key()?,
        deliveries_max,
        deliveries_said,
        consumer_timeout,
        retry_delay: arguments.retry_delay()?,
        ..QueueSettings::default()
    };
    arguments.check_the_rest()?;
    Ok(QueueArguments { kind, settings })
}

/// What differs between two tables of arguments: the name, and how both have it. What has no meaning counts as well.
pub(crate) fn difference(asked: Table<'_>, known: Table<'_>) -> Option<(String, String, String)> {
    let names = asked.entries().chain(known.entries()).map(|(name, _)| name);
    for name in names {
        let (asked, known) = (asked.get(name), known.get(name));
        if name.starts_with(b"x-") && !map::same_argument(asked.as_ref(), known.as_ref()) {
            let shown = |value: Option<Value<'_>>| {
                value.map_or("none".to_owned(), |value| {
                    format!("the value '{}'", map::shown(&value))
                })
            };
            return Some((quoted(name), shown(asked), shown(known)));
        }
    }
    None
}

/// The priority of a consumer (`x-priority`).
///
/// # Errors
/// It is no number.
pub(crate) fn priority(arguments: &Table<'_>) -> Result<i32, Fault> {
    let Some(value) = arguments.get(b"x-priority") else { return Ok(0) };
    let number = value.integer().and_then(|number| i32::try_from(number).ok());
    number.ok_or_else(|| Fault::precondition("invalid arg 'x-priority': it is no integer"))
}

/// Whether deliveries of a queue say how often there were some before: of a quorum queue.
pub(crate) fn counts_deliveries(queue: &Queue) -> bool {
    queue.spec().kind == QueueKind::Quorum
}
