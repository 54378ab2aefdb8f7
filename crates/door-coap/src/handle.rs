//! Requests: one file for each kind of resource and what is done with it.

mod call;
mod collection;
mod discover;
mod patch;
pub(crate) mod publish;
mod read;
mod topic;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use base::Subject;
use broker::PublisherId;
use broker::access::{Actor, Operation};

use crate::Shared;
use crate::map;
use crate::remote::Remote;
use crate::request::{Head, Request};
use crate::response::Response;
use crate::topics::Topic;
use crate::wire::code::Code;

/// What becomes of a request: a response, one way or the other.
type Answer = Result<Response, Box<Response>>;

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) peer: Remote,
    pub(crate) actor: Actor,
    pub(crate) publisher: PublisherId,
}

impl Caller {
    /// Whether they may do this with a subject.
    pub(crate) fn may(&self, operation: Operation, subject: &Subject) -> bool {
        self.actor.may_subject(operation, subject)
    }

    /// The same as a refusal.
    fn check(&self, operation: Operation, subject: &Subject) -> Result<(), Box<Response>> {
        match self.may(operation, subject) {
            true => Ok(()),
            false => Err(Response::refusal(Code::FORBIDDEN, format!("no {operation} here"))),
        }
    }
}

/// Answers a request, of which all is there.
pub(crate) async fn answer(shared: &Shared, caller: &Caller, request: &Request) -> Response {
    let answer = find(shared, caller, request).await;
    answer.unwrap_or_else(|refusal| *refusal)
}

/// Answers a GET of which nothing is to be remembered, if all that it takes is at hand.
pub(crate) fn answer_at_once(shared: &Shared, caller: &Caller, head: Head<'_>) -> Option<Response> {
    if !head.fields.is_plain() || !shared.topics.are_loaded() {
        return None;
    }
    let subject = subject(shared, head.path())?;
    let answer = read::at_once(shared, caller, head, &subject)?;
    Some(answer.unwrap_or_else(|refusal| *refusal))
}

async fn find(shared: &Shared, caller: &Caller, request: &Request) -> Answer {
    shared.topics.load(&shared.broker).await?;
    let path: Vec<_> = request.path().collect();
    match &path[..] {
        [".well-known", "core"] => discover::handle(shared, caller, request).await,
        [] | [".well-known", ..] => Err(Box::new(Response::new(Code::NOT_FOUND))),
        [first, rest @ ..] if *first == shared.options.collection => match rest {
            [] => collection::handle(shared, caller, request).await,
            [id] => topic::handle(shared, caller, request, id).await,
            _ => Err(Box::new(Response::new(Code::NOT_FOUND))),
        },
        _ => resource(shared, caller, request).await,
    }
}

/// A resource that is a subject.
async fn resource(shared: &Shared, caller: &Caller, request: &Request) -> Answer {
    let subject = subject(shared, request.path()).ok_or_else(|| {
        Response::refusal(Code::BAD_REQUEST, "the path is too long, or none".into())
    })?;
    match request.method {
        Code::GET => read::handle(shared, caller, request, &subject).await,
        Code::PUT => publish::put(shared, caller, request, subject).await,
        Code::POST => match call::is_wanted(shared, request, &subject) {
            true => call::handle(shared, caller, request, subject).await,
            false => publish::put(shared, caller, request, subject).await,
        },
        Code::FETCH if call::is_wanted(shared, request, &subject) => {
            call::handle(shared, caller, request, subject).await
        }
        Code::DELETE => publish::delete(shared, caller, request, subject).await,
        Code::PATCH | Code::IPATCH => patch::handle(shared, caller, request, subject).await,
        _ => Err(Box::new(Response::new(Code::METHOD_NOT_ALLOWED))),
    }
}

/// The subject of a request's path. The broker's own are nobody's.
fn subject<'a>(shared: &Shared, path: impl Iterator<Item = &'a str>) -> Option<Subject> {
    let mut path = path.peekable();
    let first = path.peek()?;
    if *first == shared.options.collection || *first == ".well-known" {
        return None;
    }
    map::subject(path).filter(|subject| !subject.is_hidden())
}

/// What a request asks to observe, if that can be observed, and its topic.
pub(crate) fn observable(
    shared: &Shared,
    caller: &Caller,
    request: &Request,
) -> Option<(Subject, Option<Arc<Topic>>)> {
    if request.method != Code::GET {
        return None;
    }
    let subject = subject(shared, request.path())?;
    let topic = shared.topics.find(&subject);
    caller.may(Operation::Read, &subject).then_some((subject, topic))
}

/// Whether a request is not to be worked on before it is known that its client is where it says it is: more than an answer
/// comes of it, or what it does is not to be done again when its client asks again to show that.
pub(crate) fn needs_proof(shared: &Shared, request: &Request) -> bool {
    match request.method {
        Code::GET => request.fields.observe == Some(0),
        Code::POST => {
            let is_topic = request.path().next() == Some(shared.options.collection.as_str());
            is_topic
                || subject(shared, request.path())
                    .is_some_and(|subject| call::is_wanted(shared, request, &subject))
        }
        _ => false,
    }
}

/// Ends a topic whose time is over, and its data.
pub(crate) async fn end(shared: &Shared, topic: &Topic) -> Result<(), Box<Response>> {
    topic::end(shared, shared.broker.new_publisher(), topic).await.map(|_| ())
}

/// Whether a future is ready by itself. If not, it is to be polled again. `None`: it failed, and is not.
pub(crate) fn poll_once<T>(future: Pin<&mut (dyn Future<Output = T> + Send)>) -> Option<Poll<T>> {
    let poll = move || future.poll(&mut Context::from_waker(Waker::noop()));
    // Whoever polls has others to answer, too.
    catch_unwind(AssertUnwindSafe(poll)).ok()
}
