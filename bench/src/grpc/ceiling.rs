//! What gRPC alone costs: a plain service on tonic's own server, with the messages of `entrepot.v1` and tonic's codec for them. It
//! counts what is published and says so, passes it on to the last who subscribed, makes up what is read, and keeps nothing.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use door_grpc::pb;
use parking_lot::Mutex;
use pb::subscribe_request::Request as Said;
use pb::subscribe_response::Response as Told;
use tokio::sync::mpsc::{Sender, channel};
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::Grpc;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use super::flow::{Read, SUBJECT};
use super::messages::NUMBER;

/// Deliveries in an answer of what is read, as the door packs them.
const PACK: u64 = 512;
/// Messages that share an answer at most, if they are there at once.
const SHARE: u64 = 20_000;
/// Answers that may wait.
const WAITING: usize = 16;

type Answers<T> = ReceiverStream<Result<T, Status>>;

/// Serves until the process is ended.
pub(crate) fn serve(address: &str) {
    let address = address.parse().expect("an address");
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let serving = Server::builder().serve(address, Ceiling::default());
    runtime.block_on(serving).expect("it serves");
}

/// Where a subscription's answers go.
type Listener = Sender<Result<pb::SubscribeResponse, Status>>;

#[derive(Clone, Default)]
struct Ceiling {
    /// The last who subscribed to what is live.
    listener: Arc<Mutex<Option<Listener>>>,
}

impl Service<http::Request<Body>> for Ceiling {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let own = self.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/entrepot.v1.Publisher/PublishStream" => {
                    Grpc::new(ProstCodec::default()).streaming(Publish(own), request).await
                }
                "/entrepot.v1.Subscriber/Subscribe" => {
                    Grpc::new(ProstCodec::default()).streaming(Subscribe(own), request).await
                }
                other => Status::unimplemented(other).into_http(),
            })
        })
    }
}

struct Publish(Ceiling);

impl Service<Request<Streaming<pb::PublishStreamRequest>>> for Publish {
    type Response = Response<Answers<pb::PublishStreamResponse>>;
    type Error = Status;
    type Future = BoxFuture<Self::Response, Status>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Streaming<pb::PublishStreamRequest>>) -> Self::Future {
        let own = self.0.clone();
        Box::pin(async move {
            let (answers, answered) = channel(WAITING);
            tokio::spawn(own.publish(request.into_inner(), answers));
            Ok(Response::new(ReceiverStream::new(answered)))
        })
    }
}

struct Subscribe(Ceiling);

impl Service<Request<Streaming<pb::SubscribeRequest>>> for Subscribe {
    type Response = Response<Answers<pb::SubscribeResponse>>;
    type Error = Status;
    type Future = BoxFuture<Self::Response, Status>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Streaming<pb::SubscribeRequest>>) -> Self::Future {
        let own = self.0.clone();
        Box::pin(async move {
            let first = request.into_inner().message().await?.and_then(|first| first.request);
            let Some(Said::Open(pb::Open { from: Some(from), .. })) = first else {
                return Err(Status::invalid_argument("the first is 'open'"));
            };
            let (answers, answered) = channel(WAITING);
            // There is room for the first.
            answers.try_send(told(Told::Opened(pb::Opened {}))).map_err(|_| gone())?;
            match from {
                pb::open::From::Offsets(offsets) => {
                    let read = offsets.topics.first().and_then(|name| Read::named(name));
                    let read = read.ok_or_else(|| Status::not_found("no such topic"))?;
                    tokio::spawn(make_up(read, answers));
                }
                _ => *own.listener.lock() = Some(answers),
            }
            Ok(Response::new(ReceiverStream::new(answered)))
        })
    }
}

fn gone() -> Status {
    Status::cancelled("the client is gone")
}

fn told(response: Told) -> Result<pb::SubscribeResponse, Status> {
    Ok(pb::SubscribeResponse { response: Some(response) })
}

impl Ceiling {
    /// Counts. What is there at once shares an answer.
    async fn publish(
        self,
        mut requests: Streaming<pb::PublishStreamRequest>,
        answers: Sender<Result<pb::PublishStreamResponse, Status>>,
    ) {
        let mut decided = 0;
        while let Ok(Some(first)) = requests.message().await {
            let mut count = self.take(first).await;
            while count < SHARE {
                let more = tokio::select! {
                    biased;
                    more = requests.message() => more,
                    () = std::future::ready(()) => break,
                };
                let Ok(Some(more)) = more else { break };
                count += self.take(more).await;
            }
            decided += count;
            let answer = pb::PublishStreamResponse { decided, failures: Vec::new() };
            if answers.send(Ok(answer)).await.is_err() {
                return;
            }
        }
    }

    /// Passes messages of a subject on, a request's in one answer; how many there are.
    async fn take(&self, request: pb::PublishStreamRequest) -> u64 {
        let count = request.messages.len() as u64;
        if request.messages.first().is_some_and(|message| message.subject == SUBJECT) {
            let listener = self.listener.lock().clone();
            let delivery = |message| pb::Delivery { message: Some(message), ..Default::default() };
            let deliveries = request.messages.into_iter().map(delivery).collect();
            if let Some(listener) = listener {
                // Who is gone was of a run before.
                let _gone =
                    listener.send(told(Told::Deliveries(pb::Deliveries { deliveries }))).await;
            }
        }
        count
    }
}

/// Delivers as many messages as there would be in a topic.
async fn make_up(read: Read, answers: Sender<Result<pb::SubscribeResponse, Status>>) {
    let topic = read.topic();
    let mut next = 0;
    while next < read.count {
        let pack = PACK.min(read.count - next);
        let mut bytes = BytesMut::zeroed(pack as usize * read.size);
        let deliveries = (next..next + pack).map(|number| {
            let mut payload = bytes.split_to(read.size);
            payload[..NUMBER].copy_from_slice(&number.to_be_bytes());
            let message = pb::Message { payload: Some(payload.freeze()), ..Default::default() };
            let offset = number.cast_signed();
            let place = pb::Place { topic: topic.clone(), partition: 0, offset };
            pb::Delivery { message: Some(message), place: Some(place), ..Default::default() }
        });
        let deliveries = deliveries.collect();
        if answers.send(told(Told::Deliveries(pb::Deliveries { deliveries }))).await.is_err() {
            return;
        }
        next += pack;
    }
    // The stream ends with the client.
    answers.closed().await;
}
