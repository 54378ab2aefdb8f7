//! The path of messages that are followed, see [`broker::observe::trace`].

use std::time::Duration;

use broker::access::Operation;
use broker::observe::trace::{SPANS_MAX, Span};
use serde_json::{Map, Value as Json, json};
use tokio::time::timeout;

use crate::ask::Ask;
use crate::problem::Problem;
use crate::{Outcome, told};

/// `/api/v1/traces`.
pub(crate) async fn list(ask: &Ask) -> Outcome {
    ask.check_cluster(Operation::Describe)?;
    let after: u64 = ask.number("after", 0..=u64::MAX / 2)?.unwrap_or(0);
    let limit = ask.number("limit", 1..=100_000)?.unwrap_or(1000).min(SPANS_MAX);
    let wait: u64 = ask.number("wait_ms", 0..=60_000)?.unwrap_or(0);
    let destination = ask.query("destination");
    let traces = &ask.broker().observe().traces;
    let (mut changes, mut stopping) = (traces.watch(), ask.stopping.clone());
    let is_wanted = |span: &Span| destination.is_none_or(|wanted| span.destination == wanted);
    let look = async {
        let mut seen = after;
        loop {
            let page = traces.changed(after, limit, is_wanted);
            if !page.spans.is_empty() {
                return page;
            }
            seen = seen.max(page.last);
            // It lives as long as the broker.
            let _changed = changes.wait_for(|last| *last > seen).await;
        }
    };
    let found = tokio::select! {
        found = timeout(Duration::from_millis(wait), look) => found.ok(),
        _ = stopping.wait_for(|stop| *stop) => None,
    };
    let page = found.unwrap_or_else(|| traces.changed(after, limit, is_wanted));
    let spans: Vec<_> = page.spans.iter().map(shown).collect();
    Ok(told(&json!({ "spans": spans, "last": page.last })))
}

/// `/api/v1/traces/{trace}`.
pub(crate) async fn get(ask: &Ask) -> Outcome {
    ask.check_cluster(Operation::Describe)?;
    let text = ask.part("trace");
    let is_id = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = u128::from_str_radix(text, 16).ok().filter(|_| is_id);
    let id = id.ok_or_else(|| Problem::invalid("a trace is named by 32 hexadecimal digits"))?;
    let spans = ask.broker().observe().traces.trace(id);
    if spans.is_empty() {
        return Err(Problem::not_found("nothing is known (any more) of this trace"));
    }
    let spans: Vec<_> = spans.iter().map(shown).collect();
    Ok(told(&json!({ "trace_id": format!("{id:032x}"), "spans": spans })))
}

/// A span as JSON. Times are in microseconds: nanoseconds since 1970 are more than JavaScript's numbers can say.
fn shown(span: &Span) -> Json {
    let mut all = json!({
        "number": span.number,
        "trace_id": format!("{:032x}", span.trace_id),
        "span_id": format!("{:016x}", span.span_id),
        "parent_id": format!("{:016x}", span.parent_id),
        "message_id": format!("{:016x}", span.message_id),
        "step": span.step.name(),
        "destination": span.destination,
        "start_us": span.start / 1000,
    });
    let Some(fields) = all.as_object_mut() else { return all };
    let mut say = |name: &str, value: Option<Json>| {
        fields.extend(value.map(|value| (name.to_owned(), value)));
    };
    say("taken_us", span.taken.map(|taken| (taken.as_nanos() as f64 / 1000.0).into()));
    let who = span.who.as_ref();
    say("door", who.map(|who| who.door.into()));
    say("listener", who.map(|who| who.listener.as_ref().into()));
    say("peer", who.and_then(|who| who.peer).map(|peer| peer.to_string().into()));
    say("client", who.and_then(|who| who.name()).map(Json::from));
    say("partition", span.stored.map(|stored| stored.partition.into()));
    say("offset", span.stored.and_then(|stored| stored.offset).map(Json::from));
    say("error", span.error.as_deref().map(Json::from));
    let facts: Map<_, _> = span
        .facts
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
        .collect();
    say("facts", (!facts.is_empty()).then(|| facts.into()));
    all
}
