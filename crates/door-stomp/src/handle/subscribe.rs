//! `SUBSCRIBE`: messages from now on.

use std::sync::Arc;

use broker::queues::{ConsumeOptions, Queue, StreamStart};
use bytes::Bytes;

use crate::deliveries::{AckMode, Deliveries, To};
use crate::destination::{Destination, TEMP_QUEUE};
use crate::fault::{Fault, named, quoted};
use crate::limits::{NAME_BYTES_MAX, SUBSCRIPTIONS_MAX};
use crate::session::{Session, Subscription, receipt};
use crate::wire::parse::Headers;
use crate::{arguments, queues, receipts};

/// How to consume.
#[derive(Debug, Default)]
pub(crate) struct How {
    /// Messages that are delivered and not acknowledged; 0: any number.
    pub(crate) prefetch: u32,
    /// Who has the highest gets messages while it can take them.
    pub(crate) priority: i32,
    /// Where to begin, in a stream.
    pub(crate) start: Option<StreamStart>,
    /// The queue, if it is there for this subscription.
    pub(crate) own_queue: Option<Bytes>,
    /// The receipt that the client waits for.
    pub(crate) receipt: Option<Bytes>,
}

/// Begins one, and says so to who asked for a receipt.
pub(crate) async fn handle(session: &mut Session<'_>, headers: Headers<'_>) -> Result<(), Fault> {
    let from = headers.get("destination").ok_or_else(|| Fault::no_destination("SUBSCRIBE"))?;
    let (tag, id) = tag("SUBSCRIBE", headers)?;
    if session.subscriptions.contains_key(&tag) {
        let detail = format!("A subscription identified by '{}' already exists.", quoted(&tag));
        return Err(Fault::new("Duplicated subscription identifier", detail));
    }
    if headers.get("selector").is_some() {
        let detail = "This broker does not know the header 'selector' of SUBSCRIBE";
        return Err(Fault::new("Unsupported header", detail));
    }
    let from = Destination::parse(&from)?;
    let mode = mode(headers)?;
    let prefetch = number(headers, "prefetch-count")?.unwrap_or(0);
    let priority = number(headers, "x-priority")?.unwrap_or(0);
    let (queue, name) = queues::for_subscription(session, &from, id.as_ref(), headers).await?;
    let start = match queue.spec().settings.stream {
        Some(_) => Some(stream_start(session, headers, &name, (mode, prefetch))?),
        None => None,
    };
    let is_own = matches!(from, Destination::Topic(_) | Destination::Exchange(..));
    let own_queue = is_own.then(|| name.clone());
    let how = How { prefetch, priority, start, own_queue, receipt: receipt(headers) };
    consume(session, &queue, To { tag, id, queue: name, mode }, how)
}

/// Where a stream is read from, and whether that can be as it is asked for.
fn stream_start(
    session: &Session<'_>,
    headers: Headers<'_>,
    name: &[u8],
    (mode, prefetch): (AckMode, u32),
) -> Result<StreamStart, Fault> {
    let of = named("queue", name, &session.agreed.virtual_host);
    if prefetch == 0 {
        let text = format!("consumer prefetch count is not set for stream {of}");
        return Err(Fault::precondition(text));
    }
    if mode == AckMode::Auto {
        let text = format!("automatic acknowledgement not supported by stream {of}");
        return Err(Fault::new("not_implemented", text));
    }
    let wrong = || format!("failed consuming from stream {of}: invalid_offset_arg");
    arguments::stream_start(headers).ok_or_else(|| Fault::precondition(wrong()))
}

/// The tag of a subscription, which begins the ids of its messages, and what the client calls it. Without an `id` it is
/// known by its destination, as in 1.0.
pub(crate) fn tag(command: &str, headers: Headers<'_>) -> Result<(Bytes, Option<Bytes>), Fault> {
    let Some(id) = headers.get("id") else {
        let destination = headers.get("destination").ok_or_else(|| {
            let detail = format!("{command} must include a 'destination' or 'id' header");
            Fault::new("Missing destination or id", detail)
        })?;
        return Ok(([&b"Q_"[..], &destination[..]].concat().into(), None));
    };
    if id.starts_with(TEMP_QUEUE.as_bytes()) {
        let detail = format!("{command} 'id' may not start with {TEMP_QUEUE}\n");
        return Err(Fault::new("Invalid id", detail));
    }
    if id.len() > NAME_BYTES_MAX {
        let detail = format!("{command} 'id' may not be longer than {NAME_BYTES_MAX} bytes\n");
        return Err(Fault::new("Invalid id", detail));
    }
    let tag = [&b"T_"[..], &id[..]].concat();
    Ok((tag.into(), Some(Bytes::from(id.into_owned()))))
}

fn mode(headers: Headers<'_>) -> Result<AckMode, Fault> {
    match headers.get("ack").as_deref() {
        None | Some(b"auto") => Ok(AckMode::Auto),
        Some(b"client") => Ok(AckMode::Client),
        Some(b"client-individual") => Ok(AckMode::Individual),
        Some(_) => Err(Fault::invalid("SUBSCRIBE", "ack")),
    }
}

fn number<N: std::str::FromStr>(headers: Headers<'_>, name: &str) -> Result<Option<N>, Fault> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let number = std::str::from_utf8(&value).ok().and_then(|text| text.trim().parse().ok());
    number.map(Some).ok_or_else(|| Fault::invalid("SUBSCRIBE", name))
}

/// Has a queue deliver.
pub(crate) fn consume(
    session: &mut Session<'_>,
    queue: &Arc<Queue>,
    to: To,
    how: How,
) -> Result<(), Fault> {
    if session.subscriptions.len() >= SUBSCRIPTIONS_MAX {
        return Err(Fault::resource(format!("more than {SUBSCRIPTIONS_MAX} subscriptions")));
    }
    let number = session.next_subscription;
    let options = ConsumeOptions {
        tag: number,
        priority: how.priority,
        exclusive: false,
        automatic: to.mode == AckMode::Auto,
        prefetch: how.prefetch,
        sink: Arc::<Deliveries>::clone(&session.deliveries),
    };
    let (tag, name) = (to.tag.clone(), to.queue.clone());
    let deliveries = Arc::clone(&session.deliveries);
    // Nothing is delivered before the lock is free.
    let mut state = deliveries.lock();
    let consumer = match how.start {
        Some(start) => queue.read_stream(&session.holder, options, start),
        None => queue.consume(&session.holder, options),
    };
    let consumer =
        consumer.map_err(|error| Fault::queue(&error, &name, &session.agreed.virtual_host))?;
    state.add(number, to);
    // Before the first message: clients take the one for the beginning of the others.
    if let Some(receipt) = &how.receipt {
        deliveries.outgoing.push(|out| receipts::encode(receipt, session.agreed.version, out));
    }
    drop(state);
    let own_queue = how.own_queue;
    session.subscriptions.insert(tag, Subscription { number, consumer, own_queue });
    session.next_subscription += 1;
    Ok(())
}
