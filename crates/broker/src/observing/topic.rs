//! Events as records of a topic, so that any consumer can read them, and so that they outlive the broker's process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use observe::Event;

use crate::verbs::create_topic::{NewTopic, TopicError};
use crate::{Broker, Message, OpenTopic, Properties};

/// The topic's name. Its records have the kind of event as their key, and JSON as their value.
pub const EVENTS_TOPIC: &str = "_events";

const JSON: Bytes = Bytes::from_static(b"application/json");

/// Events that are written together at most.
const BATCH: usize = 256;

/// Pause after they could not be written.
const RETRY: Duration = Duration::from_secs(5);

/// Runs until the broker stops. Events that come while they cannot be written are written later, as far as they are kept
/// in memory.
pub(super) async fn run(broker: Broker) {
    let events = &broker.observe().events;
    let mut newest = events.watch();
    let mut next = 1;
    loop {
        let page = events.since(next, BATCH);
        if page.missed > 0 {
            tracing::warn!(
                missed = page.missed,
                "events came too fast to be written to their topic"
            );
        }
        if page.events.is_empty() {
            next = page.next;
            if newest.wait_for(|newest| *newest >= next).await.is_err() {
                return;
            }
            continue;
        }
        match write(&broker, &page.events).await {
            Ok(()) => next = page.next,
            Err(error) => {
                tracing::debug!(%error, "events are written later");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn write(broker: &Broker, events: &[Arc<Event>]) -> Result<(), String> {
    let topic = open(broker).await.map_err(|error| error.to_string())?;
    let messages: Vec<_> = events.iter().map(|event| message(event)).collect();
    broker.publish_to(&topic, 0, &messages).await.map_err(|error| error.to_string())
}

/// An event as a message.
pub(super) fn message(event: &Event) -> Message {
    // An event is always JSON.
    let value = serde_json::to_vec(event).unwrap_or_default();
    Message {
        key: Some(Bytes::from_static(event.kind.name.as_bytes())),
        value: Some(value.into()),
        timestamp: Some(event.at),
        properties: Properties { content_type: Some(JSON), ..Properties::default() },
        ..Message::default()
    }
}

/// The topic, made if there is none.
async fn open(broker: &Broker) -> Result<Arc<OpenTopic>, TopicError> {
    let missing = || TopicError::NotFound(EVENTS_TOPIC.to_owned());
    if let Some(open) = broker.topic(EVENTS_TOPIC) {
        // One that a client made before is not ours to fill.
        return if open.topic.internal { Ok(open) } else { Err(missing()) };
    }
    let config = [
        ("retention.ms", "604800000"),
        ("retention.bytes", "67108864"),
        ("segment.bytes", "16777216"),
        // What is told of a broker that lost its power is not worth a sync each time.
        ("entrepot.durability", "os"),
    ];
    let config = config.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let new = NewTopic {
        name: EVENTS_TOPIC.to_owned(),
        partitions: Some(1),
        config: BTreeMap::from(config),
    };
    match broker.create_internal_topic(new).await {
        Ok(_) | Err(TopicError::Exists(_)) => broker.topic(EVENTS_TOPIC).ok_or_else(missing),
        Err(error) => Err(error),
    }
}
