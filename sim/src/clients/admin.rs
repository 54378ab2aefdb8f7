//! Makes the topics, makes and deletes others, and looks whether they are there.

use std::collections::BTreeMap;

use broker::{Broker, NewTopic, TopicError};

use super::{Client, DELIVERIES_MAX, GROUP, KEPT, KEYED, LEASE_MS, PLAIN, QUEUE, TXN};

/// A topic's name, its partitions, and its configuration.
type Topic = (&'static str, i32, &'static [(&'static str, &'static str)]);

const TOPICS: [Topic; 5] = [
    (PLAIN, 2, &[("segment.ms", "3000")]),
    (TXN, 2, &[("segment.ms", "3000")]),
    (QUEUE, 1, &[]),
    (
        KEYED,
        1,
        &[
            ("cleanup.policy", "compact"),
            ("segment.ms", "700"),
            ("min.cleanable.dirty.ratio", "0.01"),
            ("delete.retention.ms", "1000"),
        ],
    ),
    (KEPT, 1, &[("segment.ms", "1500"), ("retention.bytes", "20000")]),
];

/// Makes what every run needs.
pub(crate) async fn set_up(broker: &Broker) -> Result<(), String> {
    for (name, partitions, config) in TOPICS {
        let config = config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let new = NewTopic { name: name.to_owned(), partitions: Some(partitions), config };
        match broker.create_topic(new).await {
            Ok(_) | Err(TopicError::Exists(_)) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    let set = |all: &mut BTreeMap<String, String>| {
        all.insert("share.auto.offset.reset".to_owned(), "earliest".to_owned());
        all.insert("share.record.lock.duration.ms".to_owned(), LEASE_MS.to_string());
        all.insert("share.delivery.count.limit".to_owned(), DELIVERIES_MAX.to_string());
    };
    broker.set_group_config(GROUP, set).await.map_err(|error| error.to_string())
}

/// Whether a topic is there, as far as this client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    There,
    Gone,
    Unknown,
}

pub(super) async fn run(client: Client) {
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    let mut unknown = 0;
    while !client.world.is_over() {
        client.rest(1_500).await;
        let name = format!("extra-{}", unknown + client.dice.below(3));
        let is = known.get(&name).copied().unwrap_or(Known::Gone);
        let looked = name.clone();
        let answer = client
            .call(move |broker| async move {
                // What the metadata store says, not what this broker has seen so far.
                broker.check_new_topic(&NewTopic { name: looked, ..NewTopic::default() })
            })
            .await;
        if let Ok((found, _)) = answer {
            let there = matches!(found, Err(TopicError::Exists(_)));
            if (is == Known::There && !there) || (is == Known::Gone && there) {
                client.wrong(format_args!("{name} was {is:?}, but is there: {there}"));
            }
        }
        let made = change(&client, name.clone()).await;
        client.note(format_args!("{name} is {made:?}"));
        if made == Known::Unknown {
            // What is on its way may come at any time: never about these again.
            unknown += 3;
        }
        known.insert(name, made);
    }
}

/// Makes or deletes a topic. What is known of it then.
async fn change(client: &Client, name: String) -> Known {
    if client.dice.one_in(2) {
        let new = NewTopic { name, ..NewTopic::default() };
        let answer = client.call(|broker| async move { broker.create_topic(new).await }).await;
        return match answer {
            Ok((Ok(_) | Err(TopicError::Exists(_)), _)) => Known::There,
            _ => Known::Unknown,
        };
    }
    let answer = client.call(|broker| async move { broker.delete_topic(&name, None).await }).await;
    match answer {
        Ok((Ok(()) | Err(TopicError::NotFound(_)), _)) => Known::Gone,
        _ => Known::Unknown,
    }
}
