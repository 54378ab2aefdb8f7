//! Getting messages: live, by offsets, shared, or from a queue.

mod live;
mod offsets;
mod queue;
mod shared;

use std::sync::Arc;

use base::Filter;
use broker::access::Operation;
use broker::observe::trace::carried;
use broker::{Broker, OpenTopic};
use bytes::Bytes;
use door::DoorFigures;
use tokio::time::timeout;
use tonic::{Request, Response, Status, Streaming};

use super::Api;
use crate::client::Caller;
use crate::limits::{FILTERS_MAX, OPEN_TIMEOUT, SETTLED_MAX};
use crate::map;
use crate::outbox::{Feed, Outbox};
use crate::pb;
use crate::pb::subscribe_request::Request as Said;
use crate::pb::subscribe_response::Response as Told;
use crate::pb::subscriber_server::Subscriber;

type Deliveries = Outbox<pb::Delivery, pb::SubscribeResponse>;

/// What a client says after `open`; `None`: it never says anything.
type Words = Option<Streaming<pb::SubscribeRequest>>;

#[tonic::async_trait]
impl Subscriber for Api {
    type SubscribeStream = Feed<pb::Delivery, pb::SubscribeResponse>;

    async fn subscribe(
        &self,
        request: Request<Streaming<pb::SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let caller = Caller::of(&request)?;
        let words = request.into_inner();
        let figures = Arc::clone(&caller.client.shared.figures);
        Ok(Response::new(fill(&figures, |outbox| async move {
            let (open, words) = opened(words).await?;
            outbox.add_credit(open.credit);
            match open.from.ok_or_else(|| map::invalid("open.from", "there is none"))? {
                pb::open::From::Live(live) => live::run(&caller, live, Some(words), outbox).await,
                pb::open::From::Offsets(offsets) => {
                    offsets::run(&caller, offsets, Some(words), outbox).await
                }
                pb::open::From::Shared(shared) => shared::run(&caller, shared, words, outbox).await,
                pb::open::From::Queue(queue) => queue::run(&caller, queue, words, outbox).await,
            }
        })))
    }

    type ListenStream = Feed<pb::Delivery, pb::SubscribeResponse>;

    async fn listen(
        &self,
        request: Request<pb::ListenRequest>,
    ) -> Result<Response<Self::ListenStream>, Status> {
        let caller = Caller::of(&request)?;
        let from = request.into_inner().from;
        let from = from.ok_or_else(|| map::invalid("from", "there is none"))?;
        let figures = Arc::clone(&caller.client.shared.figures);
        Ok(Response::new(fill(&figures, |outbox| async move {
            // What is read is what there is room for.
            outbox.add_endless_credit();
            match from {
                pb::listen_request::From::Live(live) => {
                    live::run(&caller, live, None, outbox).await
                }
                pb::listen_request::From::Offsets(offsets) => {
                    if !offsets.subscription.is_empty() {
                        let why = "nothing can be committed here";
                        return Err(map::invalid("offsets.subscription", why));
                    }
                    offsets::run(&caller, offsets, None, outbox).await
                }
            }
        })))
    }
}

fn pack(deliveries: Vec<pb::Delivery>) -> pb::SubscribeResponse {
    told(Told::Deliveries(pb::Deliveries { deliveries }))
}

fn missed(count: u64) -> pb::SubscribeResponse {
    told(Told::Missed(count))
}

fn told(response: Told) -> pb::SubscribeResponse {
    pb::SubscribeResponse { response: Some(response) }
}

/// A stream that a task fills until it is done.
fn fill<F>(
    figures: &Arc<DoorFigures>,
    run: impl FnOnce(Arc<Deliveries>) -> F,
) -> Feed<pb::Delivery, pb::SubscribeResponse>
where
    F: Future<Output = Result<(), Status>> + Send + 'static,
{
    let outbox = Outbox::new(pack, usize::MAX, figures);
    let running = run(Arc::clone(&outbox));
    let to = Arc::clone(&outbox);
    let filling = tokio::spawn(carried(async move {
        let ended = running.await;
        to.finish(ended);
    }));
    Feed::new(outbox, missed, filling.abort_handle())
}

async fn opened(
    mut words: Streaming<pb::SubscribeRequest>,
) -> Result<(pb::Open, Streaming<pb::SubscribeRequest>), Status> {
    let first = timeout(OPEN_TIMEOUT, words.message()).await;
    let first = first.map_err(|_| Status::deadline_exceeded("nothing was opened"))??;
    match first {
        Some(pb::SubscribeRequest { request: Some(Said::Open(open)) }) => Ok((open, words)),
        _ => Err(map::invalid("request", "the first is 'open'")),
    }
}

/// Says that the subscription is there.
fn say_opened(outbox: &Deliveries) {
    outbox.control(told(Told::Opened(pb::Opened {})));
}

/// Listens to a client. What it says besides giving credit is for `hear`. Returns when it said something wrong, or the
/// broker stops: a client that has said all still gets messages.
async fn hear<F>(
    caller: &Caller,
    words: Words,
    outbox: &Deliveries,
    mut hear: impl FnMut(Said) -> F,
) -> Result<(), Status>
where
    F: Future<Output = Result<(), Status>>,
{
    let Some(mut words) = words else { return Err(caller.stopped().await) };
    loop {
        outbox.until_read().await;
        let said = tokio::select! {
            said = words.message() => said?,
            stopped = caller.stopped() => return Err(stopped),
        };
        match said.map(|said| said.request) {
            None => return Err(caller.stopped().await),
            Some(Some(Said::Credit(more))) => outbox.add_credit(more),
            Some(Some(Said::Open(_))) => {
                return Err(map::invalid("open", "the subscription is open already"));
            }
            Some(Some(said)) => {
                bounded(&said)?;
                hear(said).await?;
            }
            Some(None) => return Err(map::invalid("request", "there is none")),
        }
    }
}

/// Refuses what is said of too much at once.
fn bounded(said: &Said) -> Result<(), Status> {
    let count = match said {
        Said::Settle(settle) => settle.settlements.iter().map(|one| 1 + one.ids.len()).sum(),
        Said::Commit(commit) => commit.positions.len(),
        Said::Open(_) | Said::Credit(_) => 0,
    };
    match count > SETTLED_MAX {
        true => Err(map::invalid("request", &format!("is about {SETTLED_MAX} at most"))),
        false => Ok(()),
    }
}

/// The filters that somebody may subscribe to.
pub(super) fn check_filters(
    caller: &Caller,
    field: &str,
    names: &[String],
) -> Result<Vec<Filter>, Status> {
    if names.is_empty() || names.len() > FILTERS_MAX {
        let why = format!("there is at least one, and {FILTERS_MAX} at most");
        return Err(map::invalid(field, &why));
    }
    let checked = |name: &String| {
        let filter = map::filter(field, name)?;
        match caller.actor.may_read(&filter) {
            true => Ok(filter),
            false => Err(map::denied(Operation::Read, name)),
        }
    };
    names.iter().map(checked).collect()
}

/// The topics that somebody may read.
fn check_topics(
    caller: &Caller,
    field: &str,
    names: &[String],
) -> Result<Vec<Arc<OpenTopic>>, Status> {
    if names.is_empty() || names.len() > FILTERS_MAX {
        let why = format!("there is at least one, and {FILTERS_MAX} at most");
        return Err(map::invalid(field, &why));
    }
    let checked = |name: &String| {
        caller.check_topic(Operation::Read, name)?;
        topic(caller.broker(), name)
    };
    let mut topics: Vec<_> = names.iter().map(checked).collect::<Result<_, _>>()?;
    topics.sort_by(|a, b| a.topic.name.cmp(&b.topic.name));
    topics.dedup_by(|a, b| a.topic.name == b.topic.name);
    Ok(topics)
}

fn topic(broker: &Broker, name: &str) -> Result<Arc<OpenTopic>, Status> {
    broker.topic(name).ok_or_else(|| map::not_found("topic", name))
}

/// About how many bytes a message takes.
pub(super) fn size(message: &pb::Message) -> usize {
    let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
    let header = |header: &pb::Header| header.name.len() + length(&header.value) + 64;
    let headers: usize = message.headers.iter().map(header).sum();
    256 + message.subject.len() + length(&message.payload) + length(&message.key) + headers
}
