//! Asking, and waiting for answers.

use std::sync::Arc;
use std::time::Duration;

use broker::Message;
use broker::live::Batch;
use broker::observe::trace::carried;
use bytes::Bytes;
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use super::publish::push_to_subject;
use super::{Answers, Api, serve};
use crate::client::Caller;
use crate::inbox::{Expected, Inbox};
use crate::limits::{ANSWERS_MAX, REQUEST_TIMEOUT};
use crate::map::{self, To};
use crate::pb;
use crate::pb::requests_server::Requests;

/// An answer with this header is an error: the number of a status, as gRPC has it in its trailers.
pub(super) const STATUS: &str = "grpc-status";
/// Its text.
pub(super) const TEXT: &str = "grpc-message";
/// Others follow this one.
pub(super) const MORE: &str = "entrepot-more";

#[tonic::async_trait]
impl Requests for Api {
    async fn request(
        &self,
        request: Request<pb::RequestRequest>,
    ) -> Result<Response<pb::RequestResponse>, Status> {
        let caller = Caller::of(&request)?;
        let asked = ask(&caller, request.into_inner().message, 1);
        let mut expected = asked.await?;
        let until = until(&caller);
        let answer = match timeout_at(until, expected.answers.recv()).await {
            Ok(Some(answer)) => answer,
            Ok(None) => return Err(Status::internal("the answer was lost")),
            Err(_elapsed) => return Err(too_late()),
        };
        check(&answer)?;
        Ok(Response::new(pb::RequestResponse { message: Some(answer) }))
    }

    type RequestManyStream = Answers<pb::RequestResponse>;

    async fn request_many(
        &self,
        request: Request<pb::RequestManyRequest>,
    ) -> Result<Response<Self::RequestManyStream>, Status> {
        let caller = Caller::of(&request)?;
        let pb::RequestManyRequest { message, answers_max, idle_ms } = request.into_inner();
        let expected = ask(&caller, message, ANSWERS_MAX).await?;
        let end = End {
            until: until(&caller),
            answers_max: (answers_max > 0).then_some(answers_max),
            idle: (idle_ms > 0).then(|| Duration::from_millis(idle_ms.into())),
        };
        let (answers, told) = channel(1);
        tokio::spawn(carried(async move {
            if let Err(status) = tell(&caller, expected, end, &answers).await {
                // Who is gone need not be told.
                let _gone = answers.send(Err(status)).await.is_err();
            }
        }));
        Ok(Response::new(Box::pin(ReceiverStream::new(told))))
    }

    type ServeStream = Answers<pb::ServeResponse>;

    async fn serve(
        &self,
        request: Request<Streaming<pb::ServeRequest>>,
    ) -> Result<Response<Self::ServeStream>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(Box::pin(serve::begin(caller, request.into_inner()))))
    }
}

fn until(caller: &Caller) -> Instant {
    caller.deadline.unwrap_or_else(|| Instant::now() + REQUEST_TIMEOUT)
}

fn too_late() -> Status {
    map::refusal(Code::DeadlineExceeded, "NO_ANSWER", "no answer came in time")
}

/// Publishes a request, to be answered at the connection's inbox.
async fn ask(
    caller: &Caller,
    message: Option<pb::Message>,
    answers_max: usize,
) -> Result<Expected, Status> {
    let (to, message) = map::take(message, caller.client.publisher)?;
    let To::Subject(name) = to else {
        return Err(map::invalid("message.subject", "a request goes to a subject"));
    };
    if message.properties.reply_to.is_some() {
        return Err(map::invalid("message.reply_to", "the broker says where answers go"));
    }
    let expected = inbox(caller)?.expect(answers_max)?;
    let mut message = message;
    message.join_trace(&caller.trace);
    message.properties.reply_to = Some(expected.subject.clone());
    let mut batch = Batch::default();
    let routed = {
        let mut routes = caller.client.routes.lock();
        push_to_subject(caller, &mut routes, &name, &message, &mut batch)?
    };
    drop(batch.flush());
    if routed.is_lost() {
        let text = format!("nobody is there who answers requests to '{name}'");
        return Err(map::refusal(Code::Unavailable, "NO_RESPONDERS", text));
    }
    if !batch.is_empty() {
        let outcomes = caller.broker().store(batch).await.done().await;
        if let Some(error) = outcomes.into_iter().find_map(Result::err) {
            return Err(map::produce_error(&error));
        }
    }
    Ok(expected)
}

fn inbox(caller: &Caller) -> Result<Arc<Inbox>, Status> {
    let mut inbox = caller.client.inbox.lock();
    if let Some(inbox) = &*inbox {
        return Ok(Arc::clone(inbox));
    }
    let made = Inbox::new(caller.broker())?;
    *inbox = Some(Arc::clone(&made));
    Ok(made)
}

fn header<'a>(message: &'a pb::Message, name: &str) -> Option<&'a Bytes> {
    let header = message.headers.iter().find(|header| header.name == name)?;
    header.value.as_ref()
}

/// An answer that is an error is the call's.
fn check(answer: &pb::Message) -> Result<(), Status> {
    let text = |name| header(answer, name).and_then(|value| std::str::from_utf8(value).ok());
    let Some(code) = text(STATUS).and_then(|code| code.parse().ok()) else { return Ok(()) };
    match Code::from_i32(code) {
        Code::Ok => Ok(()),
        code => Err(Status::new(code, text(TEXT).unwrap_or_default())),
    }
}

/// When a stream of answers ends.
struct End {
    until: Instant,
    answers_max: Option<u32>,
    idle: Option<Duration>,
}

/// Passes answers on until they end.
async fn tell(
    caller: &Caller,
    mut expected: Expected,
    mut end: End,
    to: &Sender<Result<pb::RequestResponse, Status>>,
) -> Result<(), Status> {
    let by_responder = end.answers_max.is_none() && end.idle.is_none();
    loop {
        let idle_until = end.idle.map_or(end.until, |idle| Instant::now() + idle);
        let answer = tokio::select! {
            answer = expected.answers.recv() => answer,
            () = sleep_until(end.until.min(idle_until)) => {
                return if end.until <= idle_until { Err(too_late()) } else { Ok(()) };
            }
            () = to.closed() => return Ok(()),
            stopped = caller.stopped() => return Err(stopped),
        };
        let Some(answer) = answer else {
            return Err(Status::resource_exhausted("answers came faster than they were read"));
        };
        check(&answer)?;
        let is_last = header(&answer, MORE).is_none();
        if to.send(Ok(pb::RequestResponse { message: Some(answer) })).await.is_err() {
            return Ok(());
        }
        if let Some(left) = &mut end.answers_max {
            *left -= 1;
            if *left == 0 {
                return Ok(());
            }
        }
        if by_responder && is_last {
            return Ok(());
        }
    }
}

/// An answer's headers that say what it is besides.
pub(super) fn mark(message: &mut Message, name: &'static str, value: String) {
    message.headers.push((Bytes::from_static(name.as_bytes()), Some(Bytes::from(value))));
}
