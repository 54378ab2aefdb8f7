//! What happened.

use std::sync::Arc;

use broker::access::Operation;
use broker::observe::{Observe, Page};
use bytes::Bytes;
use door::http::{HeaderName, pieces};
use serde_json::json;
use tokio::sync::mpsc::Sender;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::ask::Ask;
use crate::{Outcome, sse, told};

/// Events that are sent together at most.
const BATCH: usize = 256;

/// Events of an answer: all that are kept.
const LIMIT_MAX: usize = 4096;

/// `/api/v1/events`.
pub(crate) async fn show(ask: &Ask) -> Outcome {
    ask.check_cluster(Operation::Describe)?;
    let from: u64 = ask.number("from", 0..=u64::MAX / 2)?.unwrap_or(0);
    let limit = ask.number("limit", 1..=100_000)?.unwrap_or(1000).min(LIMIT_MAX);
    let observe = Arc::clone(ask.broker().observe());
    if ask.wants_stream() {
        // A browser that connects again says what it had last.
        let last = ask.field(HeaderName::from_static("last-event-id")).parse::<u64>().ok();
        let newest = *observe.events.watch().borrow();
        let begin = if from > 0 { from } else { newest + 1 };
        let next = last.map_or(begin, |last| last.saturating_add(1));
        let (sender, receiver) = pieces();
        tokio::spawn(follow(observe, next, sender, ask.stopping.clone()));
        return Ok(sse::reply(receiver));
    }
    let page = match from {
        0 => {
            let events = observe.events.newest(limit);
            let next = events.last().map_or(1, |event| event.number + 1);
            Page { events, missed: 0, next }
        }
        from => observe.events.since(from, limit),
    };
    Ok(told(&json!({
        "events": page.events.iter().map(AsRef::as_ref).collect::<Vec<_>>(),
        "missed": page.missed,
        "next": page.next,
    })))
}

/// Sends events until the client is gone or the broker stops.
async fn follow(
    observe: Arc<Observe>,
    mut next: u64,
    to: Sender<Bytes>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut newest = observe.events.watch();
    loop {
        let page = observe.events.since(next, BATCH);
        next = page.next;
        let mut pieces = Vec::with_capacity(page.events.len() + 1);
        if page.missed > 0 {
            let missed = json!({ "missed": page.missed });
            pieces.push(sse::event("missed", &next.saturating_sub(1).to_string(), &missed));
        }
        let one = |event: &Arc<broker::observe::Event>| {
            sse::event("event", &event.number.to_string(), event.as_ref())
        };
        pieces.extend(page.events.iter().map(one));
        let is_more = !pieces.is_empty();
        for piece in pieces {
            if to.send(piece).await.is_err() {
                return;
            }
        }
        if is_more {
            continue;
        }
        let come = timeout(sse::BEAT, newest.wait_for(|newest| *newest >= next));
        let is_quiet = tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = to.closed() => return,
            come = come => match come {
                Ok(Ok(_)) => false,
                Ok(Err(_)) => return,
                Err(_elapsed) => true,
            },
        };
        if is_quiet && to.send(sse::beat()).await.is_err() {
            return;
        }
    }
}
