//! POST and FETCH of a subject where somebody answers: the response is the first answer.

use base::Subject;
use broker::access::Operation;
use broker::live::Batch;
use broker::{Message, Properties};

use super::{Answer, Caller};
use crate::Shared;
use crate::map::{self, New};
use crate::request::Request;
use crate::response::Response;
use crate::wire::code::Code;

/// Whether a request is for a responder: for members of a group, of whom one gets it; or for whoever is there, if the client
/// says that it wants an answer by what it accepts.
pub(super) fn is_wanted(shared: &Shared, request: &Request, subject: &Subject) -> bool {
    let route = shared.broker.find_route(subject.clone());
    route.groups() > 0 || (request.fields.accept.is_some() && route.receivers() > 0)
}

pub(super) async fn handle(
    shared: &Shared,
    caller: &Caller,
    request: &Request,
    subject: Subject,
) -> Answer {
    caller.check(Operation::Write, &subject)?;
    let unavailable = || Response { max_age: Some(1), ..Response::new(Code::UNAVAILABLE) };
    let mut call = shared.calls.begin(&shared.broker).ok_or_else(unavailable)?;
    let format = request.fields.content_format;
    let new = New { value: Some(request.payload.clone()), format, max_age: None };
    let message = map::message(&new, caller.publisher, shared.broker.now());
    let reply_to = Some(call.reply_to.clone());
    let properties = Properties { reply_to, ..message.properties.clone() };
    let message = Message { properties, guaranteed: false, ..message };
    let route = shared.broker.find_route(subject);
    let mut batch = Batch::default();
    let routed = shared.broker.route(&route, &message, &mut batch).map_err(|e| map::refusal(&e))?;
    drop(batch.flush());
    if routed.receivers == 0 {
        return Err(Box::new(unavailable()));
    }
    if !batch.is_empty() {
        let stored = shared.broker.store(batch).await.done().await;
        let stored = stored.into_iter().collect::<Result<(), _>>();
        stored.map_err(|error| map::refusal(&error))?;
    }
    let answer = tokio::time::timeout(shared.options.request_timeout, call.answer()).await;
    let Ok(Some(answer)) = answer else {
        return Err(Box::new(Response::new(Code::GATEWAY_TIMEOUT)));
    };
    let format = map::format(&answer);
    if request.fields.accept.is_some() && request.fields.accept != format {
        return Err(Box::new(Response::new(Code::NOT_ACCEPTABLE)));
    }
    let code = if request.method == Code::FETCH { Code::CONTENT } else { Code::CHANGED };
    let payload = answer.value.unwrap_or_default();
    Ok(Response { format: format.filter(|_| !payload.is_empty()), payload, ..Response::new(code) })
}
