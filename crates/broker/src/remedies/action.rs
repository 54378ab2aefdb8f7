//! What can be done, on one page: for each rule at most one thing. It changes a setting that could be changed by hand, only if
//! that is still what it was, and deletes nothing.

use bytes::Bytes;
use observe::Key;
use observe::diagnosis::Incident;
use observe::state::NodeId;

use crate::Broker;
use crate::broker::Inner;
use crate::observing::name_in_space;
use crate::policies::{Pattern, Policy, PolicyError, PolicyLayer, PolicyName, PolicySettings};
use crate::queues::RetryWhen;

/// Hundredths of the disk that are free even when a topic has twice as much, where it may.
const FREE_PERCENT: i128 = 10;
/// A message that comes back waits so many milliseconds before it is delivered again, and so many more each time …
const WAITS_MS: i64 = 1000;
/// … up to so many.
const WAITS_MS_MAX: i64 = 30_000;

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// A topic's configuration is changed; `None`: nothing was set.
    Configure { topic: String, key: String, before: Option<String>, after: String },
    /// A policy of operators is set, for this queue.
    Govern { about: NodeId, policy: Box<Policy> },
}

impl Action {
    /// What can be done about it, and that in words.
    pub(super) fn of(inner: &Inner, incident: &Incident) -> Option<(Self, String)> {
        match incident.rule {
            "E408" => keep_longer(inner, &incident.about.name),
            "W410" => deliver_later(inner, &incident.about),
            _ => None,
        }
    }

    pub(super) async fn apply(&self, broker: &Broker) -> Result<(), String> {
        match self {
            Self::Configure { topic, key, before, after } => {
                configure(broker, (topic, key), before.as_deref(), Some(after)).await
            }
            Self::Govern { about, policy } => {
                // Operators may have changed what it goes by since it was suggested.
                if deliver_later(&broker.inner, about).is_none_or(|(now, _)| now != *self) {
                    return Err(format!("the policies of {about} were changed since"));
                }
                let set = broker.set_policy(Policy::clone(policy)).await;
                set.map(drop).map_err(|error| error.to_string())
            }
        }
    }

    pub(super) async fn undo(&self, broker: &Broker) -> Result<(), String> {
        match self {
            Self::Configure { topic, key, before, after } => {
                configure(broker, (topic, key), Some(after), before.as_deref()).await
            }
            Self::Govern { about, policy } => {
                let now = broker.policy(&policy.name);
                if now.is_some_and(|now| *now != **policy) {
                    return Err(format!("the policies of {about} were changed since"));
                }
                match broker.delete_policy(&policy.name).await {
                    // Somebody was faster.
                    Ok(()) | Err(PolicyError::NotFound) => Ok(()),
                    Err(error) => Err(error.to_string()),
                }
            }
        }
    }
}

/// Sets a value in the place of this one, and of no other.
async fn configure(
    broker: &Broker,
    (topic, key): (&str, &str),
    from: Option<&str>,
    to: Option<&str>,
) -> Result<(), String> {
    let change = |config: &mut std::collections::BTreeMap<String, String>| {
        if config.get(key).map(String::as_str) != from {
            return;
        }
        match to {
            Some(to) => drop(config.insert(key.to_owned(), to.to_owned())),
            None => drop(config.remove(key)),
        }
    };
    broker.set_topic_config(topic, change).await.map_err(|error| error.to_string())?;
    let open = broker.topic(topic).ok_or_else(|| format!("topic {topic} is gone"))?;
    match open.topic.config.get(key).map(String::as_str) == to {
        true => Ok(()),
        false => Err(format!("{key} of topic {topic} was changed since")),
    }
}

/// Whether the disk has room for so many bytes more.
fn has_room(inner: &Inner, bytes: i128) -> bool {
    let last = |family| inner.observe.history.last(&Key::new(family, [])).map(i128::from);
    let (free, size) = (last("entrepot_disk_free_bytes"), last("entrepot_disk_size_bytes"));
    free.zip(size).is_some_and(|(free, size)| (free - bytes) * 100 >= size * FREE_PERCENT)
}

/// Of a group that is nearly as far behind as a topic keeps messages: that topic keeps them twice as long, if there is room.
fn keep_longer(inner: &Inner, group: &str) -> Option<(Action, String)> {
    let lags = inner.lags.get();
    let lags = lags.iter().filter(|lag| *lag.group == *group);
    let lag = lags.max_by_key(|lag| lag.kept_percent)?;
    let open = inner.topics.get(&lag.topic)?;
    let bytes = open.logs.iter().map(|log| i128::from(log.status().bytes)).sum();
    if open.topic.internal || open.config.is_queue || !has_room(inner, bytes) {
        return None;
    }
    let options = &open.config.log;
    let by_time = options.retention_ms.filter(|keeps| lag.behind_ms.unwrap_or(0) > keeps / 2);
    let by_size = || i64::try_from(options.retention_bytes?).ok();
    let (key, keeps) = match by_time {
        Some(keeps) => ("retention.ms", keeps),
        None => ("retention.bytes", by_size()?),
    };
    let after = keeps.checked_mul(2)?.to_string();
    let text = format!("{key} of topic {} from {keeps} to {after}", lag.topic);
    let (topic, before) = (open.topic.name.clone(), open.topic.config.get(key).cloned());
    Some((Action::Configure { topic, key: key.to_owned(), before, after }, text))
}

/// Of a queue whose messages come back at once: they wait a little before they are delivered again.
fn deliver_later(inner: &Inner, about: &NodeId) -> Option<(Action, String)> {
    let is_it = |space: &Bytes, name: &Bytes| *name_in_space(space, name) == *about.name;
    let mut queues = inner.queues.all().into_iter();
    let queue = queues.find(|queue| is_it(&queue.name().space, &queue.name().name))?;
    if queue.settings().retry_delay.is_some() || queue.spec().settings.stream.is_some() {
        return None;
    }
    // What its operators want holds on: one policy of theirs counts, and that is to be this one.
    let operator = inner.policies.of_queue(queue.name(), queue.spec()).operator;
    let (settings, arguments, priority) = match operator {
        Some(other) => {
            (other.settings.clone(), other.arguments.clone(), other.priority.checked_add(1)?)
        }
        None => (PolicySettings::default(), Bytes::new(), 0),
    };
    let name = std::str::from_utf8(&queue.name().name).ok()?;
    let own = PolicyName {
        space: queue.name().space.clone(),
        layer: PolicyLayer::Operator,
        name: format!("entrepot.remedy.{name}").into(),
    };
    let text = format!(
        "messages of queue {} that come back wait {WAITS_MS} ms, and as much more each time up to \
         {WAITS_MS_MAX} (operator policy entrepot.remedy.{name})",
        about.name
    );
    let policy = Policy {
        name: own,
        pattern: Pattern::new(&format!("^{}$", regex::escape(name))).ok()?,
        queues: vec![queue.spec().kind],
        exchanges: false,
        priority,
        settings: PolicySettings {
            retry_when: Some(RetryWhen::All),
            retry_min: Some(WAITS_MS),
            retry_max: Some(WAITS_MS_MAX),
            ..settings
        },
        arguments,
    };
    Some((Action::Govern { about: about.clone(), policy: Box::new(policy) }, text))
}
