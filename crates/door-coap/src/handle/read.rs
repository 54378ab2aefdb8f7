//! GET of a subject: its last value.

use std::sync::Arc;

use base::Subject;
use broker::Message;
use broker::access::Operation;
use bytes::Bytes;

use super::{Answer, Caller};
use crate::Shared;
use crate::map;
use crate::request::{Head, Request};
use crate::response::{Etag, Response};
use crate::wire::code::Code;

pub(super) async fn handle(
    shared: &Shared,
    caller: &Caller,
    request: &Request,
    subject: &Subject,
) -> Answer {
    caller.check(Operation::Read, subject)?;
    let Some(message) = last(shared, subject).await? else {
        // What other protocols say is there when it comes, and to be had by who observes; but a topic is not there before its
        // first value is (draft-ietf-core-coap-pubsub-20 §4.1).
        let may_wait = request.fields.observe == Some(0) && shared.topics.find(subject).is_none();
        return match may_wait {
            true => Ok(Response::new(Code::CONTENT)),
            false => Err(Box::new(Response::new(Code::NOT_FOUND))),
        };
    };
    let answer = content(shared, request.head(), &message)?;
    if answer.code == Code::CONTENT {
        shared.figures.delivered(1, answer.payload.len());
    }
    Ok(answer)
}

/// The same, if the value is at hand. `None`: it is not, or there is none. It is not counted: it may turn out to be too large.
pub(super) fn at_once(
    shared: &Shared,
    caller: &Caller,
    head: Head<'_>,
    subject: &Subject,
) -> Option<Answer> {
    let message = shared.broker.last_at_hand(subject)?;
    let checked = caller.check(Operation::Read, subject);
    Some(checked.and_then(|()| content(shared, head, &message)))
}

/// A value as a representation.
fn content(shared: &Shared, head: Head<'_>, message: &Message) -> Answer {
    let format = map::format(message);
    if head.fields.accept.is_some() && head.fields.accept != format {
        return Err(Box::new(Response::new(Code::NOT_ACCEPTABLE)));
    }
    let max_age = map::max_age(message, shared.broker.now());
    let content = Response::content(format, message.value.clone().unwrap_or_default());
    // The client has this one already (RFC 7252 §5.10.6.2).
    let response = match content.etag {
        Some(etag) if head.has_etag(&etag) => {
            Response { etag: Some(etag), ..Response::new(Code::VALID) }
        }
        _ => content,
    };
    Ok(Response { max_age, ..response })
}

/// The last value of a subject.
pub(super) async fn last(
    shared: &Shared,
    subject: &Subject,
) -> Result<Option<Arc<Message>>, Box<Response>> {
    shared.broker.last(subject).await.map_err(|error| map::unreadable(&error))
}

/// What names the representation of a message.
pub(super) fn etag(message: &Message) -> Etag {
    let value = message.value.as_ref().map_or(&b""[..], Bytes::as_ref);
    Etag::of(map::format(message), value)
}
