//! The collection of topics (draft-ietf-core-coap-pubsub-20 §3.4): which there are, those of some kind, and a new one.

use broker::access::Operation;
use bytes::Bytes;

use super::discover::{Found, check_accept, data_link, topic_link};
use super::{Answer, Caller, publish};
use crate::Shared;
use crate::map::New;
use crate::request::Request;
use crate::response::Response;
use crate::topics::Topics;
use crate::topics::properties::Properties;
use crate::wire::code::Code;
use crate::wire::link::Filter;

pub(super) async fn handle(shared: &Shared, caller: &Caller, request: &Request) -> Answer {
    match request.method {
        Code::GET => list(shared, caller, request),
        Code::FETCH => fetch(shared, caller, request),
        Code::POST => create(shared, caller, request).await,
        _ => Err(Box::new(Response::new(Code::METHOD_NOT_ALLOWED))),
    }
}

/// Links to topics, or to their data where that is asked for.
fn list(shared: &Shared, caller: &Caller, request: &Request) -> Answer {
    check_accept(request)?;
    let filters: Vec<_> = request.queries().filter_map(Filter::parse).collect();
    let mut found = Found::new(&filters);
    for topic in shared.topics.all() {
        if caller.may(Operation::Describe, &topic.subject) {
            found.take(&topic_link(shared, &topic));
            // Nobody asks for those without saying so.
            if !filters.is_empty() {
                data_link(&topic).iter().for_each(|link| found.take(link));
            }
        }
    }
    Ok(found.response())
}

/// Links to topics that have the properties that are asked for (§3.4.2).
fn fetch(shared: &Shared, caller: &Caller, request: &Request) -> Answer {
    let wanted = properties(shared, request)?;
    let mut found = Found::new(&[]);
    for topic in shared.topics.all() {
        let may = caller.may(Operation::Describe, &topic.subject);
        if may && topic.properties().matches(&wanted) {
            found.take(&topic_link(shared, &topic));
        }
    }
    Ok(found.response())
}

/// A new topic (§3.4.3).
async fn create(shared: &Shared, caller: &Caller, request: &Request) -> Answer {
    let wanted = properties(shared, request)?;
    let collection = &shared.options.collection;
    let (wanted, subject) = Topics::propose(wanted, collection, shared.broker.now())?;
    caller.check(Operation::Create, &subject)?;
    let initial = wanted.initialize.clone().map(Bytes::from);
    let topic = shared.topics.create(&shared.broker, wanted, subject.clone()).await?;
    let properties = topic.properties();
    if let Some(value) = initial {
        let new = New { value: Some(value), format: properties.content_format, max_age: None };
        publish::publish(shared, caller.publisher, subject, false, |_| Ok(new)).await?;
    }
    Ok(Response {
        location: vec![collection.clone(), topic.id.clone()],
        format: Some(shared.options.pubsub_format),
        payload: properties.encode().into(),
        ..Response::new(Code::CREATED)
    })
}

/// The properties that a request has.
pub(super) fn properties(shared: &Shared, request: &Request) -> Result<Properties, Box<Response>> {
    let format = request.fields.content_format;
    if format.is_some_and(|format| format != shared.options.pubsub_format) {
        return Err(Box::new(Response::new(Code::UNSUPPORTED_FORMAT)));
    }
    Properties::decode(&request.payload)
        .map_err(|_| Response::refusal(Code::BAD_REQUEST, "not the properties of a topic".into()))
}
