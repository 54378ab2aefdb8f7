//! Publishing: one message, or a stream of them.

use std::sync::Arc;

use base::Millis;
use broker::access::Operation;
use broker::exchanges::{ExchangeError, ExchangeRoutes};
use broker::live::{Batch, RouteCache, Routed, Storing};
use broker::observe::trace::carried;
use broker::{Message, OpenTopic};
use bytes::Bytes;
use door::DoorFigures;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use super::{Answers, Api};
use crate::client::Caller;
use crate::limits::{BATCH_BYTES_MAX, COMMITS_MAX, MESSAGES_MAX};
use crate::map::{self, To};
use crate::packed::{Packed, Plain};
use crate::pb;
use crate::pb::publisher_server::Publisher;

#[tonic::async_trait]
impl Publisher for Api {
    async fn publish(
        &self,
        request: Request<pb::PublishRequest>,
    ) -> Result<Response<pb::PublishResponse>, Status> {
        let caller = Caller::of(&request)?;
        let pb::PublishRequest { message, mandatory } = request.into_inner();
        let (to, mut message) = map::take(message, caller.client.publisher)?;
        message.join_trace(&caller.trace);
        let figures = &caller.client.shared.figures;
        figures.received(1, message.value.as_ref().map_or(0, Bytes::len));
        let begun = Instant::now();
        if let To::Topic(name) = &to {
            let published = publish_to_topic(&caller, name, message).await?;
            figures.publish_time.record_time(begun.elapsed());
            return Ok(Response::new(published));
        }
        let mut batch = Batch::default();
        let routed = push_once(&caller, &to, &message, &mut batch)?;
        if routed.is_lost() && mandatory {
            return Err(nobody());
        }
        drop(batch.flush());
        if !batch.is_empty() {
            let outcomes = caller.broker().store(batch).await.done().await;
            let failed = outcomes.into_iter().find_map(Result::err);
            failed.map_or(Ok(()), |error| Err(map::produce_error(&error)))?;
            figures.publish_time.record_time(begun.elapsed());
        }
        Ok(Response::new(pb::PublishResponse {
            receivers: u32::try_from(routed.receivers).unwrap_or(u32::MAX),
            stored: routed.stored.is_some(),
            place: None,
        }))
    }

    type PublishStreamStream = Answers<pb::PublishStreamResponse>;

    async fn publish_stream(
        &self,
        request: Request<Streaming<Packed>>,
    ) -> Result<Response<Self::PublishStreamStream>, Status> {
        let caller = Caller::of(&request)?;
        let (commits, committed) = channel(COMMITS_MAX);
        let (answers, answered) = channel(1);
        let figures = Arc::clone(&caller.client.shared.figures);
        let publishing = Publishing::new(caller);
        tokio::spawn(carried(async move {
            // Both end when the client ends its stream or goes away, for then what they wait for is gone.
            let publishing = publishing.run(request.into_inner(), commits);
            let telling = tell(committed, figures, answers.clone());
            let (ended, ()) = tokio::join!(publishing, telling);
            if let Err(status) = ended {
                // Who is gone need not be told.
                let _gone = answers.send(Err(status)).await.is_err();
            }
        }));
        Ok(Response::new(Box::pin(ReceiverStream::new(answered))))
    }
}

fn nobody() -> Status {
    map::refusal(Code::NotFound, "NOBODY", "nobody listens, and nothing keeps it")
}

async fn publish_to_topic(
    caller: &Caller,
    name: &str,
    message: Message,
) -> Result<pb::PublishResponse, Status> {
    let topic = topic(caller, name)?;
    let published = caller.broker().publish(&topic, std::slice::from_ref(&message)).await;
    let published = published.map_err(|error| map::produce_error(&error))?;
    let place = published.first().map(|place| pb::Place {
        topic: name.to_owned(),
        partition: place.partition,
        offset: place.offset,
    });
    Ok(pb::PublishResponse { receivers: 0, stored: true, place })
}

fn topic(caller: &Caller, name: &str) -> Result<Arc<OpenTopic>, Status> {
    caller.check_topic(Operation::Write, name)?;
    caller.broker().topic(name).ok_or_else(|| map::not_found("topic", name))
}

/// Hands one message to the core, by what the connection remembers.
fn push_once(
    caller: &Caller,
    to: &To,
    message: &Message,
    batch: &mut Batch,
) -> Result<Routed, Status> {
    match to {
        To::Subject(name) => {
            let mut routes = caller.client.routes.lock();
            push_to_subject(caller, &mut routes, name, message, batch)
        }
        To::Queue(name) => {
            let mut queues = caller.broker().new_exchange_routes(Bytes::new());
            push_to_queue(caller, &mut queues, name, message, batch)
        }
        To::Topic(name) => push_to_topic(caller, &topic(caller, name)?, message, batch),
    }
}

pub(super) fn push_to_subject(
    caller: &Caller,
    routes: &mut RouteCache,
    name: &str,
    message: &Message,
    batch: &mut Batch,
) -> Result<Routed, Status> {
    let broker = caller.broker();
    // What may be done is remembered with the route, which is somebody's; a connection may have several.
    let found = routes.find(broker, name.as_bytes(), |_| true);
    let route = found.map_err(|error| map::invalid("message.subject", &error.to_string()))?;
    if !caller.actor.may_subject(Operation::Write, route.subject()) {
        return Err(map::denied(Operation::Write, name));
    }
    broker.route(route, message, batch).map_err(|error| map::produce_error(&error))
}

fn push_to_queue(
    caller: &Caller,
    queues: &mut ExchangeRoutes,
    name: &str,
    message: &Message,
    batch: &mut Batch,
) -> Result<Routed, Status> {
    caller.check_topic(Operation::Write, name)?;
    let broker = caller.broker();
    let found = queues.find(broker, b"", name.as_bytes(), &[], Default::default);
    let route = match found {
        Ok(route) if !route.queues().is_empty() => route,
        Ok(_) | Err(ExchangeError::NotFound) => return Err(map::not_found("queue", name)),
        Err(error) => return Err(map::invalid("message.queue", &error.to_string())),
    };
    let routed = broker.route_to_queues(&route, message, batch);
    routed.map_err(|error| map::produce_error(&error))
}

fn push_to_topic(
    caller: &Caller,
    topic: &Arc<OpenTopic>,
    message: &Message,
    batch: &mut Batch,
) -> Result<Routed, Status> {
    let number = batch.push_to(caller.broker(), topic, message);
    let number = number.map_err(|error| map::produce_error(&error))?;
    Ok(Routed { receivers: 0, stored: Some(number), is_refused: false })
}

/// A stream of messages.
struct Publishing {
    caller: Caller,
    routes: RouteCache,
    queues: ExchangeRoutes,
    /// The topic of the message before, of the same batch.
    topic: Option<(String, Arc<OpenTopic>)>,
    batch: Batch,
    stored: Stored,
    failures: Vec<pb::PublishFailure>,
    /// Messages that came.
    count: u64,
    /// How many of them, and bytes of their payloads, are of this batch.
    taken: (u64, usize),
}

/// Messages of a batch that are to be stored: runs that are numbered alike in the stream and in the batch.
#[derive(Debug, Default)]
struct Stored(Vec<Run>);

#[derive(Debug)]
struct Run {
    /// The number of the first in the stream, and in the batch.
    number: u64,
    at: usize,
    /// How many there are.
    count: usize,
}

impl Stored {
    fn push(&mut self, number: u64, at: usize) {
        match self.0.last_mut() {
            Some(run) if (run.number + run.count as u64, run.at + run.count) == (number, at) => {
                run.count += 1;
            }
            _ => self.0.push(Run { number, at, count: 1 }),
        }
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|run| run.count as u64).sum()
    }

    /// The number in the stream of one that has this number in the batch.
    fn number(&self, at: usize) -> Option<u64> {
        let run = self.0.get(self.0.partition_point(|run| run.at <= at).checked_sub(1)?)?;
        let behind = at - run.at;
        (behind < run.count).then_some(run.number + behind as u64)
    }
}

/// What is on its way to the disk.
struct Commit {
    storing: Storing,
    stored: Stored,
    failures: Vec<pb::PublishFailure>,
    /// All messages up to this are decided then.
    count: u64,
    /// When they were there.
    since: Instant,
}

impl Publishing {
    fn new(caller: Caller) -> Self {
        let broker = caller.broker();
        Self {
            routes: broker.new_route_cache(&map::NAMES),
            queues: broker.new_exchange_routes(Bytes::new()),
            topic: None,
            batch: Batch::default(),
            stored: Stored::default(),
            failures: Vec::new(),
            count: 0,
            taken: (0, 0),
            caller,
        }
    }

    async fn run(
        mut self,
        mut requests: Streaming<Packed>,
        commits: Sender<Commit>,
    ) -> Result<(), Status> {
        let caller = self.caller.clone();
        loop {
            let first = tokio::select! {
                first = requests.message() => first?,
                stopped = caller.stopped() => return Err(stopped),
                () = commits.closed() => return Ok(()),
            };
            let Some(first) = first else { return Ok(()) };
            // It may be gone, or be another's, since the last batch.
            self.topic = None;
            let now = caller.broker().now();
            self.take(&first, now)?;
            // What is there already goes along.
            let mut is_over = false;
            while self.taken.1 < BATCH_BYTES_MAX {
                let more = tokio::select! {
                    biased;
                    more = requests.message() => more?,
                    () = std::future::ready(()) => break,
                };
                match more {
                    Some(more) => self.take(&more, now)?,
                    None => {
                        is_over = true;
                        break;
                    }
                }
            }
            let commit = self.commit().await;
            if commits.send(commit).await.is_err() || is_over {
                return Ok(());
            }
        }
    }

    /// Takes the messages of a request. `now`: when they came.
    fn take(&mut self, request: &Packed, now: Millis) -> Result<(), Status> {
        let head = request.head()?;
        if head.count > MESSAGES_MAX {
            return Err(map::invalid("messages", &format!("there are {MESSAGES_MAX} at most")));
        }
        for message in request.messages() {
            self.count += 1;
            self.taken.0 += 1;
            let pushed = match Plain::of(message) {
                Some(plain) => self.push_plain(&plain, now),
                None => self.push(request.whole(message)?),
            };
            match pushed {
                Ok(routed) if routed.is_lost() && head.mandatory => self.fail(&nobody()),
                Ok(Routed { stored: Some(at), .. }) => self.stored.push(self.count, at),
                Ok(_) => {}
                Err(status) => self.fail(&status),
            }
        }
        Ok(())
    }

    fn fail(&mut self, status: &Status) {
        self.failures.push(failure(self.count, status));
    }

    fn push_plain(&mut self, plain: &Plain<'_>, now: Millis) -> Result<Routed, Status> {
        self.taken.1 += plain.payload.map_or(0, <[u8]>::len);
        let broker = self.caller.broker();
        let topic = known_topic(&self.caller, &mut self.topic, plain.topic)?;
        let number = self.batch.push_plain(broker, topic, &plain.message(now));
        let number = number.map_err(|error| map::produce_error(&error))?;
        Ok(Routed { receivers: 0, stored: Some(number), is_refused: false })
    }

    fn push(&mut self, message: pb::Message) -> Result<Routed, Status> {
        self.taken.1 += message.payload.as_ref().map_or(0, Bytes::len);
        let (to, message) = map::take(Some(message), self.caller.client.publisher)?;
        let (caller, batch) = (&self.caller, &mut self.batch);
        match &to {
            To::Subject(name) => push_to_subject(caller, &mut self.routes, name, &message, batch),
            To::Queue(name) => push_to_queue(caller, &mut self.queues, name, &message, batch),
            To::Topic(name) => {
                let topic = known_topic(caller, &mut self.topic, name)?;
                push_to_topic(caller, topic, &message, batch)
            }
        }
    }

    async fn commit(&mut self) -> Commit {
        let since = Instant::now();
        let (count, bytes) = std::mem::take(&mut self.taken);
        self.caller.client.shared.figures.received(count, bytes);
        let mut batch = std::mem::take(&mut self.batch);
        drop(batch.flush());
        Commit {
            storing: self.caller.broker().store(batch).await,
            stored: std::mem::take(&mut self.stored),
            failures: std::mem::take(&mut self.failures),
            count: self.count,
            since,
        }
    }
}

/// A topic, which most often is that of the message before.
fn known_topic<'k>(
    caller: &Caller,
    known: &'k mut Option<(String, Arc<OpenTopic>)>,
    name: &str,
) -> Result<&'k Arc<OpenTopic>, Status> {
    if known.as_ref().is_none_or(|(last, _)| last != name) {
        *known = Some((name.to_owned(), topic(caller, name)?));
    }
    known.as_ref().map(|(_, topic)| topic).ok_or_else(|| map::not_found("topic", name))
}

fn failure(number: u64, status: &Status) -> pb::PublishFailure {
    let (code, message) = (status.code().into(), status.message().to_owned());
    pb::PublishFailure { number, code, message }
}

/// Tells what became of messages, in their order: of many at once where they are decided at once.
async fn tell(
    mut commits: Receiver<Commit>,
    figures: Arc<DoorFigures>,
    answers: Sender<Result<pb::PublishStreamResponse, Status>>,
) {
    while let Some(Commit { storing, stored, mut failures, count, since }) = commits.recv().await {
        let lost = storing.failures().await;
        let messages = stored.count();
        if messages > 0 {
            let took = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
            figures.publish_time.record_times(took, messages);
        }
        for (at, error) in lost {
            let number = stored.number(at);
            failures.extend(number.map(|one| failure(one, &map::produce_error(&error))));
        }
        failures.sort_unstable_by_key(|failure| failure.number);
        let answer = pb::PublishStreamResponse { decided: count, failures };
        if answers.send(Ok(answer)).await.is_err() {
            return;
        }
    }
}
