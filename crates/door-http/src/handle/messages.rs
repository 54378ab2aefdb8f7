//! Messages of topics: read and published.

use std::sync::Arc;
use std::time::Duration;

use base::Offset;
use broker::access::Operation;
use broker::observe::trace::carried;
use broker::{Broker, BrowseLimits, FetchError, Found, Message, OpenTopic, Position, Published};
use bytes::Bytes;
use door::DoorFigures;
use door::http::pieces;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;

use super::search::Search;
use super::tail::Tail;
use crate::ask::Ask;
use crate::map::{NewMessages, Shown};
use crate::problem::Problem;
use crate::sse::Form;
use crate::{Outcome, Shared, sse, told};

/// Bytes that are read for an answer.
pub(super) const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Partitions that are followed at once.
const FOLLOWED_MAX: usize = 256;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct New {
    pub(super) messages: NewMessages,
}

/// `POST /api/v1/topics/{topic}/messages`.
pub(crate) async fn publish(ask: &Ask) -> Outcome {
    let topic = ask.topic(Operation::Write)?;
    let New { messages } = ask.body()?;
    let mut messages = messages.into_messages()?;
    ask.join_trace(&mut messages);
    let published = store(&ask.shared, &topic, &messages).await?;
    let place = |one: &Published| json!({ "partition": one.partition, "offset": one.offset });
    Ok(told(&json!({ "offsets": published.iter().map(place).collect::<Vec<_>>() })))
}

/// Publishes messages, in order.
pub(super) async fn store(
    shared: &Shared,
    topic: &Arc<OpenTopic>,
    messages: &[Message],
) -> Result<Vec<Published>, Problem> {
    let since = Instant::now();
    let bytes = messages.iter().filter_map(|message| message.value.as_ref()).map(Bytes::len).sum();
    shared.figures.received(messages.len() as u64, bytes);
    let published = shared.broker.publish(topic, messages).await?;
    shared.figures.publish_time.record_time(since.elapsed());
    Ok(published)
}

/// `GET /api/v1/topics/{topic}/messages`.
pub(crate) async fn read(ask: &Ask) -> Outcome {
    let topic = ask.topic(Operation::Read)?;
    let partition = ask.number("partition", 0..=i32::MAX)?;
    if let Some(partition) = partition.filter(|partition| topic.log(*partition).is_none()) {
        return Err(Problem::not_found(format!("there is no partition {partition}")));
    }
    let from = From::of(ask)?;
    if ask.wants_stream() {
        let rate = ask.number("rate", 1..=10_000)?.unwrap_or(100);
        let (sender, receiver) = pieces();
        let from = from.unwrap_or(From::Latest);
        follow(ask, (&topic, partition), (from, rate), (&sender, Form::Events)).await?;
        return Ok(sse::reply(receiver));
    }
    let partition = partition.unwrap_or(0);
    let offset = from.unwrap_or(From::Earliest).find(ask.broker(), &topic, partition).await?;
    let limits = BrowseLimits {
        messages: ask.number("limit", 1..=10_000)?.unwrap_or(100),
        bytes: BYTES_MAX,
        wait: Duration::from_millis(ask.number("wait_ms", 0..=60_000)?.unwrap_or(0)),
    };
    let mut stopping = ask.stopping.clone();
    let search = Search::of(ask);
    let looking = search.run(ask.broker(), (&topic, partition), offset, limits);
    let (browsed, scanned) = tokio::select! {
        found = looking => found?,
        // Who waits for messages does not hold up the broker's end.
        _ = stopping.wait_for(|stop| *stop) => return Err(Problem::unavailable("the broker stops")),
    };
    count(&ask.shared.figures, &browsed.found);
    let shown = browsed.found.iter().map(|found| Shown::new(partition, found));
    Ok(told(&json!({
        "messages": shown.collect::<Vec<_>>(),
        "next": browsed.next,
        "start": browsed.start,
        "end": browsed.end,
        "scanned": scanned,
    })))
}

/// Counts what a client gets.
pub(super) fn count(figures: &DoorFigures, found: &[Found]) {
    figures.delivered(found.len() as u64, found.iter().map(Shown::bytes).sum());
}

/// Where reading begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum From {
    Offset(Offset),
    Time(i64),
    Earliest,
    Latest,
}

impl From {
    pub(super) fn of(ask: &Ask) -> Result<Option<Self>, Problem> {
        if let Some(offset) = ask.number("offset", 0..=i64::MAX)? {
            return Ok(Some(Self::Offset(offset)));
        }
        if let Some(time) = ask.number("time", 0..=i64::MAX)? {
            return Ok(Some(Self::Time(time)));
        }
        match ask.query("from") {
            None => Ok(None),
            Some("earliest") => Ok(Some(Self::Earliest)),
            Some("latest") => Ok(Some(Self::Latest)),
            Some(_) => Err(Problem::invalid("from must be earliest or latest")),
        }
    }

    async fn find(
        self,
        broker: &Broker,
        topic: &OpenTopic,
        partition: i32,
    ) -> Result<Offset, FetchError> {
        let log = topic.log(partition).ok_or(FetchError::NoPartition)?;
        let position = match self {
            Self::Offset(offset) => return Ok(offset),
            Self::Earliest => Position::Earliest,
            Self::Latest => Position::Stable,
            Self::Time(time) => Position::Time(time),
        };
        let found = broker.find_offset(topic, partition, position).await?;
        // Nothing is as late as that: what comes next is.
        Ok(found.map_or_else(|| log.stable_end(), |(offset, _)| offset))
    }
}

/// Sends messages as they come: of one partition, or of all.
pub(super) async fn follow(
    ask: &Ask,
    (topic, partition): (&Arc<OpenTopic>, Option<i32>),
    (from, rate): (From, u64),
    (to, form): (&Sender<Bytes>, Form),
) -> Result<(), Problem> {
    let partitions: Vec<i32> = match partition {
        Some(partition) => vec![partition],
        None => (0..).take_while(|number| topic.log(*number).is_some()).collect(),
    };
    if partitions.len() > FOLLOWED_MAX {
        let why = format!("at most {FOLLOWED_MAX} partitions are followed at once: name one");
        return Err(Problem::invalid(why));
    }
    for partition in partitions {
        let offset = from.find(ask.broker(), topic, partition).await?;
        let (shared, topic) = (Arc::clone(&ask.shared), Arc::clone(topic));
        let tail = Tail { shared, topic, partition, offset, rate, form };
        tokio::spawn(carried(tail.run(to.clone(), ask.stopping.clone())));
    }
    Ok(())
}
