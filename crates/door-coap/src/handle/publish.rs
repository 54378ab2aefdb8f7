//! PUT and POST of a subject: its new value, stored and passed on. DELETE: none any more.

use base::Subject;
use broker::access::Operation;
use broker::live::Batch;
use broker::{Message, PublisherId};
use bytes::Bytes;

use super::{Answer, Caller, read};
use crate::Shared;
use crate::map::{self, New};
use crate::request::Request;
use crate::response::Response;
use crate::wire::code::Code;

pub(super) async fn put(
    shared: &Shared,
    caller: &Caller,
    request: &Request,
    subject: Subject,
) -> Answer {
    caller.check(Operation::Write, &subject)?;
    let topic = shared.topics.find(&subject);
    let format = request.fields.content_format;
    if topic.and_then(|topic| topic.format()).is_some_and(|wanted| format != Some(wanted)) {
        return Err(Box::new(Response::new(Code::UNSUPPORTED_FORMAT)));
    }
    let max_age = request.fields.max_age;
    let new = New { value: Some(request.payload.clone()), format, max_age };
    let existed = publish(shared, caller.publisher, subject, request.is_conditional(), |current| {
        check(request, current)?;
        Ok(new)
    });
    let code = if existed.await? { Code::CHANGED } else { Code::CREATED };
    Ok(Response::new(code))
}

pub(super) async fn delete(
    shared: &Shared,
    caller: &Caller,
    request: &Request,
    subject: Subject,
) -> Answer {
    caller.check(Operation::Write, &subject)?;
    publish(shared, caller.publisher, subject, request.is_conditional(), |current| {
        check(request, current)?;
        Ok(New::default())
    })
    .await?;
    Ok(Response::new(Code::DELETED))
}

/// Whether the request's conditions are met (RFC 7252 §5.10.8).
pub(super) fn check(request: &Request, current: Option<&Message>) -> Result<(), Box<Response>> {
    let etag = current.filter(|_| request.is_conditional()).map(read::etag);
    match request.allows(etag.as_ref()) {
        true => Ok(()),
        false => Err(Box::new(Response::new(Code::PRECONDITION_FAILED))),
    }
}

/// Publishes what `decide` makes of what is there; whether there was something. When this returns it is stored, and those
/// who listen have it. `alone`: nobody changes what is there between the two; only then is it shown.
pub(crate) async fn publish(
    shared: &Shared,
    publisher: PublisherId,
    subject: Subject,
    alone: bool,
    decide: impl FnOnce(Option<&Message>) -> Result<New, Box<Response>>,
) -> Result<bool, Box<Response>> {
    let mut turn = shared.order.enter(&subject).await;
    let (current, existed) = if alone {
        turn.alone().await;
        let current = read::last(shared, &subject).await?;
        let existed = current.is_some();
        (current, existed)
    } else {
        let exists = shared.broker.has_last(&subject).await;
        let exists = exists.map_err(|error| map::unreadable(&error))?;
        (None, turn.foreseen(&subject).unwrap_or(exists))
    };
    let new = decide(current.as_deref())?;
    if new.value.is_none() && !existed {
        return Ok(false);
    }
    shared.figures.received(1, new.value.as_ref().map_or(0, Bytes::len));
    let broker = &shared.broker;
    let route = broker.find_route(subject);
    let message = map::message(&new, publisher, broker.now());
    let mut batch = Batch::default();
    // What topics keep is delivered when it is stored; else we see to that.
    let is_kept = !route.topics().is_empty();
    if is_kept {
        broker.route(&route, &message, &mut batch).map_err(refused)?;
    }
    broker.retain(&route, &message, &mut batch).map_err(refused)?;
    if alone {
        store(shared, batch).await?;
        deliver(shared, &route, &message, is_kept).await?;
        drop(turn);
    } else {
        let storing = broker.store(batch).await;
        let mut passed = turn.pass(route.subject(), message.value.is_some());
        let stored = storing.done().await;
        passed.turn().await;
        stored.into_iter().collect::<Result<(), _>>().map_err(refused)?;
        deliver(shared, &route, &message, is_kept).await?;
    }
    Ok(existed)
}

async fn deliver(
    shared: &Shared,
    route: &broker::live::Route,
    message: &Message,
    is_kept: bool,
) -> Result<(), Box<Response>> {
    if is_kept {
        return Ok(());
    }
    let mut batch = Batch::default();
    shared.broker.route(route, message, &mut batch).map_err(refused)?;
    let slow = batch.flush();
    if !batch.is_empty() {
        store(shared, batch).await?;
    }
    if let Some(slow) = slow {
        let _elapsed = tokio::time::timeout(crate::limits::SLOWED_TIMEOUT, slow.ready()).await;
    }
    Ok(())
}

async fn store(shared: &Shared, batch: Batch) -> Result<(), Box<Response>> {
    let stored = shared.broker.store(batch).await.done().await;
    stored.into_iter().collect::<Result<(), _>>().map_err(refused)
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(error: broker::ProduceError) -> Box<Response> {
    map::refusal(&error)
}
