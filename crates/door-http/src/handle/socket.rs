//! WebSocket: messages of a topic both ways, as JSON in text messages.
//!
//! The client sends what it would send to publish, with a number of its own if it likes (`id`), and is answered with offsets or a
//! problem under that number. With `follow=true` it is also sent what comes.

use std::sync::Arc;

use broker::Published;
use broker::access::{Actor, Operation};
use bytes::Bytes;
use door::BoxFuture;
use door::http::{Reply, Socket, Takeover, accept_websocket, pieces};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::sync::watch;

use super::messages::{From, follow};
use crate::ask::Ask;
use crate::fields::Object;
use crate::map::NewMessages;
use crate::problem::Problem;
use crate::sse::Form;
use crate::{Outcome, Shared};

/// Largest message of a client. Smaller than a request's body: what waits here has no room among requests' bodies.
const BYTES_MAX: usize = 1024 * 1024;

/// `GET /api/v1/topics/{topic}/socket`.
pub(crate) async fn open(ask: &Ask) -> Outcome {
    // Browsers let any page open one.
    if ask.request.is_cross_site() {
        return Err(Problem::forbidden("a page of another site sent this"));
    }
    let answer = accept_websocket(&ask.request).map_err(Problem::upgrade)?;
    let topic = ask.topic(Operation::Describe)?;
    let (sender, receiver) = pieces();
    if ask.is("follow")? {
        ask.check_topic(Operation::Read, &topic.topic.name)?;
        let partition = ask.number("partition", 0..=i32::MAX)?;
        let from = From::of(ask)?.unwrap_or(From::Latest);
        let rate = ask.number("rate", 1..=10_000)?.unwrap_or(100);
        follow(ask, (&topic, partition), (from, rate), (&sender, Form::Json)).await?;
    }
    let talk = Talk {
        shared: Arc::clone(&ask.shared),
        actor: ask.actor.clone(),
        topic: topic.topic.name.clone(),
        come: receiver,
        stopping: ask.stopping.clone(),
    };
    // Held, so that what comes never ends where nothing is followed.
    let run = move |socket: Socket| -> BoxFuture<()> { Box::pin(talk.run(socket, sender)) };
    Ok(Reply::Upgrade(answer, Takeover::new(ask.shared.options.body_bytes_max.min(BYTES_MAX), run)))
}

/// Waits until the broker stops.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ended = stopping.wait_for(|stop| *stop).await;
}

/// What a client sends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    /// Said back with the answer.
    id: Option<Json>,
    messages: NewMessages,
}

struct Talk {
    shared: Arc<Shared>,
    actor: Actor,
    topic: String,
    /// What is followed.
    come: Receiver<Bytes>,
    stopping: watch::Receiver<bool>,
}

impl Talk {
    async fn run(mut self, mut socket: Socket, _sender: Sender<Bytes>) {
        loop {
            let sent = tokio::select! {
                () = stopped(&mut self.stopping) => {
                    let _told = socket.close().await;
                    return;
                }
                Some(piece) = self.come.recv() => {
                    socket.queue(&String::from_utf8_lossy(&piece));
                    match socket.flush().await {
                        Ok(()) => continue,
                        Err(_gone) => return,
                    }
                }
                sent = socket.next() => sent,
            };
            let Ok(Some(text)) = sent else { return };
            let answer = self.answer(&text).await;
            socket.queue(&answer.to_string());
            if socket.flush().await.is_err() {
                return;
            }
        }
    }

    async fn answer(&self, text: &[u8]) -> Json {
        let (id, outcome) = match serde_json::from_slice::<Object<Sent>>(text) {
            Ok(Object(Sent { id, messages })) => (id, self.publish(messages).await),
            Err(error) => (None, Err(Problem::invalid(format!("the message: {error}")))),
        };
        let mut answer = match outcome {
            Ok(places) => json!({ "offsets": places }),
            Err(problem) => json!({ "problem": problem.json() }),
        };
        if let (Some(answer), Some(id)) = (answer.as_object_mut(), id) {
            answer.insert("id".to_owned(), id);
        }
        answer
    }

    async fn publish(&self, messages: NewMessages) -> Result<Vec<Json>, Problem> {
        let name = &self.topic;
        // Each time: rules change, and topics do.
        if !self.actor.may_topic(Operation::Write, name) {
            return Err(Problem::forbidden(format!("that takes a right on topic '{name}'")));
        }
        let topic = self.shared.broker.topic(name);
        let topic =
            topic.ok_or_else(|| Problem::not_found(format!("there is no topic '{name}'")))?;
        let messages = messages.into_messages()?;
        let published = super::messages::store(&self.shared, &topic, &messages).await?;
        let place = |one: &Published| json!({ "partition": one.partition, "offset": one.offset });
        Ok(published.iter().map(place).collect())
    }
}
