//! Topics.

use std::collections::BTreeMap;

use broker::access::{Operation, ResourceKind};
use broker::observe::state::NodeKind;
use broker::observing::GroupLag;
use broker::{NewTopic, OpenTopic, TopicError};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::groups::lines;
use super::state;
use crate::ask::Ask;
use crate::problem::Problem;
use crate::{Outcome, done, fields, told};

/// `GET /api/v1/topics`.
pub(crate) async fn list(ask: &Ask) -> Outcome {
    state::list(ask, NodeKind::Topic, |name| ask.actor.may_topic(Operation::Describe, name))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    partitions: Option<i32>,
    #[serde(default, deserialize_with = "fields::or_default")]
    config: BTreeMap<String, String>,
}

/// `POST /api/v1/topics`.
pub(crate) async fn create(ask: &Ask) -> Outcome {
    let New { name, partitions, config } = ask.body()?;
    let may = ask.actor.may_cluster(Operation::Create)
        || ask.actor.may(Operation::Create, ResourceKind::Topic, &name);
    if !may {
        return Err(Problem::forbidden(format!("that takes a right to make topic '{name}'")));
    }
    ask.broker().create_topic(NewTopic { name: name.clone(), partitions, config }).await?;
    let open = ask.broker().topic(&name);
    Ok(told(&show(&*open.ok_or_else(|| Problem::unavailable("the topic was deleted at once"))?)))
}

/// `GET /api/v1/topics/{topic}`.
pub(crate) async fn get(ask: &Ask) -> Outcome {
    Ok(told(&show(&*ask.topic(Operation::Describe)?)))
}

/// `GET /api/v1/topics/{topic}/groups`.
pub(crate) async fn groups(ask: &Ask) -> Outcome {
    let topic = ask.topic(Operation::Describe)?;
    let name = topic.topic.name.as_str();
    let lags = ask.broker().group_lags();
    let own = lags.iter().filter(|lag| *lag.topic == *name);
    let known = own.filter(|lag| ask.actor.may_group(Operation::Describe, &lag.group));
    let show = |lag: &GroupLag| {
        let mut shown = json!({
            "group": &*lag.group, "messages": lag.messages, "partitions": lines(lag),
        });
        if let (Some(shown), Some(behind)) = (shown.as_object_mut(), lag.behind_ms) {
            shown.insert("behind_ms".to_owned(), behind.into());
        }
        shown
    };
    Ok(told(&json!({ "topic": name, "groups": known.map(show).collect::<Vec<_>>() })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    partitions: Option<i32>,
    /// Null: as the broker has it.
    #[serde(default, deserialize_with = "fields::or_default")]
    config: BTreeMap<String, Option<String>>,
}

/// `PATCH /api/v1/topics/{topic}`.
pub(crate) async fn alter(ask: &Ask) -> Outcome {
    let Change { partitions, config } = ask.body()?;
    let topic = ask.topic(Operation::Describe)?;
    let (broker, name) = (ask.broker(), &topic.topic.name);
    if !config.is_empty() {
        ask.check_topic(Operation::AlterConfigs, name)?;
    }
    if let Some(total) = partitions {
        ask.check_topic(Operation::Alter, name)?;
        let more = broker.check_more_partitions(name, total);
        more.map_err(|error| match error {
            TopicError::Partitions(why) => Problem::conflict(why),
            error => error.into(),
        })?;
    }
    if topic.topic.internal {
        return Err(Problem::forbidden(format!("topic '{name}' is internal")));
    }
    if !config.is_empty() {
        let change = |known: &mut BTreeMap<String, String>| {
            for (key, value) in &config {
                match value {
                    Some(value) => known.insert(key.clone(), value.clone()),
                    None => known.remove(key),
                };
            }
        };
        broker.set_topic_config(name, change).await?;
    }
    if let Some(total) = partitions {
        broker.create_partitions(name, total).await?;
    }
    get(ask).await
}

/// `DELETE /api/v1/topics/{topic}`.
pub(crate) async fn delete(ask: &Ask) -> Outcome {
    let topic = ask.topic(Operation::Delete)?;
    ask.broker().delete_topic(&topic.topic.name, Some(topic.topic.id)).await?;
    Ok(done())
}

fn show(open: &OpenTopic) -> Json {
    let partition = |number: i32| {
        let status = open.log(number)?.status();
        Some(json!({
            "partition": number, "start": status.start, "end": status.end,
            "bytes": status.bytes, "segments": status.segments,
        }))
    };
    json!({
        "name": open.topic.name,
        "id": open.topic.id.to_string(),
        "internal": open.topic.internal,
        "created_at": open.topic.created_at,
        "partitions": (0..).map_while(partition).collect::<Vec<_>>(),
        "config": open.topic.config,
    })
}
