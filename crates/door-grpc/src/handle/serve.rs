//! Answering requests.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use base::Subject;
use broker::Message;
use broker::live::{
    Accepted, Batch, Delivery, Group, InFlight, Pressure, SubscribeOptions, Subscriber,
};
use broker::observe::trace::carried;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::timeout;
use tonic::{Status, Streaming};

use super::request::{MORE, STATUS, TEXT, mark};
use super::subscribe::{check_filters, size};
use crate::client::Caller;
use crate::limits::{OPEN_TIMEOUT, UNSETTLED_MAX};
use crate::map;
use crate::outbox::{Feed, Outbox, Put};
use crate::pb;
use crate::pb::serve_request::Request as Asked;
use crate::pb::serve_response::Response as Told;

type Requests = Outbox<pb::ServeAsked, pb::ServeResponse>;

/// Answers with one request each: a responder that takes several has credit for them.
fn pack(mut requests: Vec<pb::ServeAsked>) -> pb::ServeResponse {
    pb::ServeResponse { response: requests.pop().map(Told::Asked) }
}

/// Requests that find no room are somebody else's, or nobody's: nothing is said of them.
fn missed(_: u64) -> pb::ServeResponse {
    pb::ServeResponse::default()
}

/// Begins a responder.
pub(super) fn begin(
    caller: Caller,
    requests: Streaming<pb::ServeRequest>,
) -> Feed<pb::ServeAsked, pb::ServeResponse> {
    let outbox = Outbox::new(pack, 1, &caller.client.shared.figures);
    let (filled, to) = (Arc::clone(&outbox), Arc::clone(&outbox));
    let filling = tokio::spawn(carried(async move {
        let ended = run(&caller, requests, &to).await;
        to.finish(ended);
    }));
    Feed::new(filled, missed, filling.abort_handle())
}

/// Where requests go.
#[derive(Debug)]
struct Responder {
    outbox: Arc<Requests>,
    unanswered: Mutex<Unanswered>,
}

#[derive(Default)]
struct Unanswered {
    last: u64,
    requests: HashMap<u64, Waiting>,
}

impl std::fmt::Debug for Unanswered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unanswered").field("last", &self.last).finish_non_exhaustive()
    }
}

/// Who waits for an answer.
struct Waiting {
    reply_to: Subject,
    correlation_id: Option<Bytes>,
    /// Of a group whose members are picked by what they have.
    in_flight: Option<InFlight>,
}

impl Subscriber for Responder {
    fn deliver(&self, _: &[u64], delivery: &Delivery<'_>) -> Accepted {
        let message = delivery.message;
        let mut unanswered = self.unanswered.lock();
        let most = usize::try_from(UNSETTLED_MAX).unwrap_or(usize::MAX);
        if unanswered.requests.len() >= most {
            return Accepted::No;
        }
        let id = unanswered.last + 1;
        let told = map::tell(message, Some(delivery.name(&map::NAMES)));
        let bytes = size(&told);
        let put = self.outbox.push(pb::ServeAsked { id, message: Some(told) }, bytes);
        let accepted = match put {
            Put::Yes => Accepted::Yes,
            Put::First => Accepted::First,
            Put::Slow => Accepted::Slow,
            Put::Full | Put::Closed => return Accepted::No,
        };
        unanswered.last = id;
        if let Some(reply_to) = &message.properties.reply_to {
            let waiting = Waiting {
                reply_to: reply_to.clone(),
                correlation_id: message.properties.correlation_id.clone(),
                in_flight: delivery.in_flight(),
            };
            unanswered.requests.insert(id, waiting);
        }
        accepted
    }

    fn flush(&self, _company: usize) -> Pressure {
        self.outbox.wake();
        Pressure::Low
    }

    fn waiting(&self) -> u32 {
        u32::try_from(self.outbox.waiting()).unwrap_or(u32::MAX)
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.outbox.poll_little(cx)
    }
}

async fn run(
    caller: &Caller,
    mut requests: Streaming<pb::ServeRequest>,
    outbox: &Arc<Requests>,
) -> Result<(), Status> {
    let first = timeout(OPEN_TIMEOUT, requests.message()).await;
    let first = first.map_err(|_| Status::deadline_exceeded("nothing was opened"))??;
    let Some(pb::ServeRequest { request: Some(Asked::Open(open)) }) = first else {
        return Err(map::invalid("request", "the first is 'open'"));
    };
    let unanswered = Mutex::default();
    let responder = Arc::new(Responder { outbox: Arc::clone(outbox), unanswered });
    let publisher = caller.broker().new_publisher();
    let mut subscriptions = Vec::new();
    for filter in check_filters(caller, "open.filters", &open.filters)? {
        let options = SubscribeOptions {
            publisher,
            group: group(&open.group, open.weight),
            ..SubscribeOptions::default()
        };
        let subscriber = Arc::clone(&responder) as Arc<dyn Subscriber>;
        let subscribed = caller.broker().subscribe(filter, subscriber, 0, options);
        subscriptions
            .push(subscribed.map_err(|error| map::invalid("open.filters", &error.to_string()))?);
    }
    outbox.control(pb::ServeResponse { response: Some(Told::Opened(pb::ServeOpened {})) });
    outbox.add_credit(open.credit);
    loop {
        let request = tokio::select! {
            request = requests.message() => request?,
            stopped = caller.stopped() => return Err(stopped),
        };
        match request.map(|request| request.request) {
            // It answers nothing more.
            None => return Ok(()),
            Some(Some(Asked::Credit(more))) => outbox.add_credit(more),
            Some(Some(Asked::Answer(answer))) => reply(caller, &responder, answer).await?,
            Some(Some(Asked::Open(_))) => {
                return Err(map::invalid("open", "the responder is open already"));
            }
            Some(None) => return Err(map::invalid("request", "there is none")),
        }
    }
}

/// A group of live subscribers, if a name says that there is one.
pub(super) fn group(name: &str, weight: u32) -> Option<Group> {
    (!name.is_empty()).then(|| Group {
        name: Bytes::copy_from_slice(name.as_bytes()),
        merges: true,
        member: Bytes::new(),
        weight: weight.max(1),
    })
}

/// Publishes an answer to whoever asked. Who was answered, or does not wait, is passed over.
async fn reply(caller: &Caller, responder: &Responder, answer: pb::Answer) -> Result<(), Status> {
    let waiting = {
        let mut unanswered = responder.unanswered.lock();
        match answer.more {
            true => unanswered.requests.get(&answer.id).map(|waiting| Waiting {
                reply_to: waiting.reply_to.clone(),
                correlation_id: waiting.correlation_id.clone(),
                in_flight: None,
            }),
            false => unanswered.requests.remove(&answer.id),
        }
    };
    let Some(Waiting { reply_to, correlation_id, in_flight }) = waiting else { return Ok(()) };
    let mut message = match answer.answer {
        Some(pb::answer::Answer::Message(message)) => {
            map::take_rest(message, caller.client.publisher)?
        }
        Some(pb::answer::Answer::Error(error)) => {
            let mut message = Message { value: Some(Bytes::new()), ..Message::default() };
            mark(&mut message, STATUS, error.code.to_string());
            mark(&mut message, TEXT, error.message);
            message
        }
        None => return Err(map::invalid("answer", "there is none")),
    };
    if answer.more {
        mark(&mut message, MORE, "true".to_owned());
    }
    let properties = &mut message.properties;
    properties.correlation_id = properties.correlation_id.take().or(correlation_id);
    let broker = caller.broker();
    let route = broker.find_route(reply_to);
    let mut batch = Batch::default();
    let routed = broker.route(&route, &message, &mut batch);
    routed.map_err(|error| map::produce_error(&error))?;
    drop(batch.flush());
    if let Some(in_flight) = in_flight {
        in_flight.done();
    }
    if !batch.is_empty() {
        let outcomes = broker.store(batch).await.done().await;
        if let Some(error) = outcomes.into_iter().find_map(Result::err) {
            return Err(map::produce_error(&error));
        }
    }
    Ok(())
}
