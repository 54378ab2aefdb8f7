//! A topic (draft-ietf-core-coap-pubsub-20 §3.5): what it is, all or some of it, changed, or gone with its data.

use broker::PublisherId;
use broker::access::Operation;

use super::collection::properties;
use super::{Answer, Caller, publish};
use crate::Shared;
use crate::map::New;
use crate::request::Request;
use crate::response::Response;
use crate::topics::Topic;
use crate::topics::properties::Properties;
use crate::wire::code::Code;
use crate::wire::format::CBOR;

pub(super) async fn handle(
    shared: &Shared,
    caller: &Caller,
    request: &Request,
    id: &str,
) -> Answer {
    let topic = shared.topics.get(id).ok_or_else(|| Box::new(Response::new(Code::NOT_FOUND)))?;
    let operation = match request.method {
        Code::GET | Code::FETCH => Operation::Describe,
        Code::POST | Code::IPATCH => Operation::Alter,
        Code::DELETE => Operation::Delete,
        _ => return Err(Box::new(Response::new(Code::METHOD_NOT_ALLOWED))),
    };
    caller.check(operation, &topic.subject)?;
    match request.method {
        Code::GET => content(shared, request, topic.properties().encode()),
        Code::FETCH => fetch(shared, request, &topic),
        Code::DELETE => delete(shared, caller, &topic).await,
        _ => update(shared, request, &topic).await,
    }
}

fn content(shared: &Shared, request: &Request, payload: Vec<u8>) -> Answer {
    let format = Some(shared.options.pubsub_format);
    if request.fields.accept.is_some() && request.fields.accept != format {
        return Err(Box::new(Response::new(Code::NOT_ACCEPTABLE)));
    }
    let content = Response::content(format, payload.into());
    match content.etag {
        Some(etag) if request.head().has_etag(&etag) => {
            Ok(Response { etag: Some(etag), ..Response::new(Code::VALID) })
        }
        _ => Ok(content),
    }
}

/// Some of its properties (§3.5.2).
fn fetch(shared: &Shared, request: &Request, topic: &Topic) -> Answer {
    let format = request.fields.content_format;
    let known = [shared.options.pubsub_format, CBOR];
    if format.is_some_and(|format| !known.contains(&format)) {
        return Err(Box::new(Response::new(Code::UNSUPPORTED_FORMAT)));
    }
    let keys = Properties::decode_filter(&request.payload)
        .map_err(|_| Response::refusal(Code::BAD_REQUEST, "not a list of properties".into()))?;
    content(shared, request, topic.properties().encode_some(|key| keys.contains(&key)))
}

/// Other properties: all of them (§3.5.3), or some (§3.5.4). What is to stay as it is may be said again.
async fn update(shared: &Shared, request: &Request, topic: &Topic) -> Answer {
    let said = properties(shared, request)?;
    let is_whole = request.method == Code::POST;
    let new = shared.topics.update(&shared.broker, topic, |old| {
        if !old.keeps(&said) {
            let why = "topic-name, topic-data and resource-type stay as they are".into();
            return Err(Response::refusal(Code::BAD_REQUEST, why));
        }
        let kept = Properties {
            name: old.name.clone(),
            data: old.data.clone(),
            resource_type: old.resource_type.clone(),
            ..said
        };
        Ok(if is_whole { kept } else { over(kept, old.clone()) })
    });
    let payload = new.await?.encode().into();
    let format = Some(shared.options.pubsub_format);
    Ok(Response { format, payload, ..Response::new(Code::CHANGED) })
}

/// The new properties, and the old ones where nothing new was said.
fn over(new: Properties, old: Properties) -> Properties {
    Properties {
        name: new.name,
        data: new.data,
        resource_type: new.resource_type,
        content_format: new.content_format.or(old.content_format),
        topic_type: new.topic_type.or(old.topic_type),
        expiration: new.expiration.or(old.expiration),
        max_subscribers: new.max_subscribers.or(old.max_subscribers),
        observer_check: new.observer_check.or(old.observer_check),
        initialize: new.initialize.or(old.initialize),
    }
}

async fn delete(shared: &Shared, caller: &Caller, topic: &Topic) -> Answer {
    match end(shared, caller.publisher, topic).await? {
        true => Ok(Response::new(Code::DELETED)),
        false => Err(Box::new(Response::new(Code::NOT_FOUND))),
    }
}

/// The end of a topic and of its data (§3.5.5): whoever observes that is told so. Whether there was one.
pub(super) async fn end(
    shared: &Shared,
    publisher: PublisherId,
    topic: &Topic,
) -> Result<bool, Box<Response>> {
    if !shared.topics.remove(&shared.broker, topic).await? {
        return Ok(false);
    }
    let subject = topic.subject.clone();
    publish::publish(shared, publisher, subject, false, |_| Ok(New::default())).await?;
    Ok(true)
}
