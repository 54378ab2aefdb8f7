//! Subjects: messages for whoever listens, at any door, and for the topics that keep them.

use base::subject::TEXT;
use broker::access::Operation;
use broker::live::{Batch, Routed};
use broker::store::AppendError;
use broker::{Message, ProduceError};
use bytes::Bytes;
use serde_json::{Value as Json, json};

use super::messages::New;
use crate::ask::Ask;
use crate::problem::Problem;
use crate::{Outcome, told};

/// `POST /api/v1/subjects/{subject}/messages`: each message goes its way, or not, by itself.
pub(crate) async fn publish(ask: &Ask) -> Outcome {
    let name = ask.part("subject");
    let subject = TEXT.subject(name.as_bytes());
    let subject = subject.map_err(|error| Problem::invalid(format!("'{name}': {error}")))?;
    if !ask.actor.may_topic(Operation::Write, &subject.to_string()) {
        return Err(Problem::forbidden(format!("that takes a right on subject '{name}'")));
    }
    let New { messages } = ask.body()?;
    let mut messages = messages.into_messages()?;
    ask.join_trace(&mut messages);
    let bytes = messages.iter().filter_map(|message| message.value.as_ref()).map(Bytes::len).sum();
    ask.shared.figures.received(messages.len() as u64, bytes);
    let (broker, publisher) = (ask.broker(), ask.broker().new_publisher());
    let (route, mut batch) = (broker.find_route(subject), Batch::default());
    let send = |message: Message| {
        // Stored, where it is to be, before it is answered.
        let message = Message { publisher, guaranteed: true, ..message };
        broker.route(&route, &message, &mut batch)
    };
    let routed: Vec<Result<Routed, ProduceError>> = messages.into_iter().map(send).collect();
    let _slow = batch.flush();
    let stored = broker.store(batch).await.done().await;
    let outcome = |routed: Result<Routed, ProduceError>| match routed {
        Ok(Routed { receivers, stored: None, .. }) => {
            json!({ "receivers": receivers, "stored": false })
        }
        Ok(Routed { receivers, stored: Some(number), .. }) => match stored.get(number) {
            Some(Ok(())) => json!({ "receivers": receivers, "stored": true }),
            Some(Err(error)) => refused(error.clone()),
            None => refused(ProduceError::Append(AppendError::Closed)),
        },
        Err(error) => refused(error),
    };
    let outcomes: Vec<_> = routed.into_iter().map(outcome).collect();
    Ok(told(&json!({ "messages": outcomes })))
}

fn refused(error: ProduceError) -> Json {
    json!({ "problem": Problem::from(error).json() })
}
