//! Policies as clients write them: the keys of a definition, what each can be, and for which kinds of queues it is.

use broker::policies::{
    DeliveryLimit, Governing, Pattern, Policy, PolicyLayer, PolicyName, PolicySettings,
};
use broker::queues::{QueueKind, StreamSettings};
use bytes::Bytes;
use serde_json::{Map, Value as Json, json};

use crate::arguments;

#[cfg(test)]
mod tests;

const CLASSIC: &[QueueKind] = &[QueueKind::Classic];
const QUORUM: &[QueueKind] = &[QueueKind::Quorum];
const STREAMS: &[QueueKind] = &[QueueKind::Stream];
/// Those of which messages are taken.
const TAKEN: &[QueueKind] = &[QueueKind::Classic, QueueKind::Quorum];
const ALL: &[QueueKind] = &[QueueKind::Classic, QueueKind::Quorum, QueueKind::Stream];

/// What a policy may be for, by the names that clients give that: kinds of queues, and whether it is exchanges.
const APPLY_TO: [(&str, &[QueueKind], bool); 6] = [
    ("all", ALL, true),
    ("queues", ALL, false),
    ("classic_queues", CLASSIC, false),
    ("quorum_queues", QUORUM, false),
    ("streams", STREAMS, false),
    ("exchanges", &[], true),
];

/// A key of a definition.
struct Key {
    name: &'static str,
    /// A policy that has it is for no other kinds of queues.
    kinds: &'static [QueueKind],
    /// Operators may bound it.
    is_bound: bool,
    /// What a value that it cannot have is not.
    noun: &'static str,
}

const fn key(name: &'static str, kinds: &'static [QueueKind], noun: &'static str) -> Key {
    Key { name, kinds, is_bound: false, noun }
}

const fn bound(name: &'static str, kinds: &'static [QueueKind], noun: &'static str) -> Key {
    Key { name, kinds, is_bound: true, noun }
}

/// Every key. Some only say where and how a queue is kept, which is decided here: they only have to be what they can be.
const KEYS: [Key; 25] = [
    key("alternate-exchange", ALL, "alternate exchange name"),
    key("consumer-timeout", ALL, "consumer timeout"),
    key("dead-letter-exchange", TAKEN, "dead letter exchange name"),
    key("dead-letter-routing-key", TAKEN, "dead letter routing key"),
    key("dead-letter-strategy", QUORUM, "dead letter strategy"),
    key("delayed-retry-max", QUORUM, "delayed retry max"),
    key("delayed-retry-min", QUORUM, "delayed retry min"),
    key("delayed-retry-type", QUORUM, "delayed retry type"),
    bound("delivery-limit", QUORUM, "delivery limit"),
    bound("expires", TAKEN, "queue expiry"),
    key("initial-cluster-size", STREAMS, "cluster size"),
    key("max-age", STREAMS, "max age"),
    bound("max-in-memory-bytes", QUORUM, "maximum memory in bytes"),
    bound("max-in-memory-length", QUORUM, "maximum memory in bytes"),
    bound("max-length", TAKEN, "maximum length"),
    bound("max-length-bytes", ALL, "maximum length in bytes"),
    bound("message-ttl", TAKEN, "message TTL"),
    key("overflow", TAKEN, "overflow value"),
    key("queue-leader-locator", ALL, "queue leader locator value"),
    key("queue-master-locator", CLASSIC, "queue master locator value"),
    key("queue-mode", CLASSIC, "queue-mode value"),
    key("queue-version", CLASSIC, "queue-version value"),
    key("stream-filter-size-bytes", STREAMS, "filter size. Valid range is 16-255"),
    key("stream-max-segment-size-bytes", STREAMS, "segment size"),
    key("target-group-size", QUORUM, "target group size"),
];

/// A policy as it is written.
pub(crate) struct Said<'a> {
    pub(crate) pattern: &'a str,
    pub(crate) definition: &'a Json,
    /// Nothing: 0.
    pub(crate) priority: Option<&'a Json>,
    /// Nothing: `all`.
    pub(crate) apply_to: Option<&'a Json>,
}

/// Understands a policy.
///
/// # Errors
/// All that it cannot be, a line each, in RabbitMQ's words.
pub(crate) fn read(name: PolicyName, said: &Said<'_>) -> Result<Policy, String> {
    let mut wrong = Vec::new();
    let mut note = |error: String| wrong.push(error);
    let definition = definition(said.definition, name.layer);
    let (settings, kinds) = definition.map_err(&mut note).unwrap_or_default();
    let to = said.apply_to.cloned().unwrap_or_else(|| json!("all"));
    let found = APPLY_TO.iter().find(|(known, ..)| to == *known);
    let unknown = || {
        let to = to.as_str().map_or_else(|| term(&to), str::to_owned);
        format!(
            "apply-to '{to}' unrecognised; should be one of: 'queues', 'classic_queues',  'quorum_queues', 'streams', \
             'exchanges', or 'all'"
        )
    };
    let found = found.ok_or_else(unknown).map_err(&mut note);
    let (_, queues, exchanges) = found.copied().unwrap_or_default();
    let pattern = Pattern::new(said.pattern);
    let invalid = |error| format!("pattern should be regular expression but is invalid: {error}");
    let pattern = pattern.map_err(|error| note(invalid(error))).ok();
    let priority = said.priority.map_or(Some(0), Json::as_i64);
    if priority.is_none() {
        let is = said.priority.map(term).unwrap_or_default();
        note(format!("priority should be a number, actually was {is}"));
    }
    let (true, Some(pattern), Some(priority)) = (wrong.is_empty(), pattern, priority) else {
        return Err(format!("Validation failed\n\n{}\n", wrong.join("\n")));
    };
    let arguments = json!({ "apply-to": to, "definition": said.definition });
    Ok(Policy {
        name,
        pattern,
        queues: queues.iter().filter(|kind| kinds.contains(kind)).copied().collect(),
        exchanges,
        priority,
        settings,
        arguments: arguments.to_string().into(),
    })
}

/// What a definition sets, and for which kinds of queues it can be.
fn definition(said: &Json, layer: PolicyLayer) -> Result<(PolicySettings, Vec<QueueKind>), String> {
    let Json::Object(said) = said else {
        return Err(format!("definition must be a dictionary: {}", term(said)));
    };
    if said.is_empty() {
        return Err("no policy provided".to_owned());
    }
    let (mut settings, mut kinds) = (PolicySettings::default(), ALL.to_vec());
    let mut unknown = Map::new();
    for (name, value) in said {
        let known = KEYS.iter().find(|key| key.name == name);
        let Some(key) = known.filter(|key| key.is_bound || layer == PolicyLayer::User) else {
            unknown.insert(name.clone(), value.clone());
            continue;
        };
        kinds.retain(|kind| key.kinds.contains(kind));
        let invalid = || format!("{} is not a valid {}", term(value), key.noun);
        set(key.name, value, &mut settings).ok_or_else(invalid)?;
    }
    if unknown.is_empty() {
        return Ok((settings, kinds));
    }
    Err(format!("{} are not recognised policy settings", term(&Json::Object(unknown))))
}

/// Sets what a key says. `None`: it cannot have that value.
fn set(name: &str, value: &Json, to: &mut PolicySettings) -> Option<()> {
    let number = |min: i64| value.as_i64().filter(|number| *number >= min);
    let count = || number(0).map(i64::unsigned_abs);
    let text = || value.as_str().map(|text| Bytes::copy_from_slice(text.as_bytes()));
    let one_of = |known: &[&str]| value.as_str().filter(|text| known.contains(text)).map(drop);
    match name {
        "alternate-exchange" => to.alternate = Some(text()?),
        "consumer-timeout" => to.consumer_timeout = Some(number(0)?),
        "dead-letter-exchange" => to.dead_letter_exchange = Some(text()?),
        "dead-letter-routing-key" => to.dead_letter_key = Some(text()?),
        "delayed-retry-max" => to.retry_max = Some(number(0)?),
        "delayed-retry-min" => to.retry_min = Some(number(0)?),
        "delayed-retry-type" => to.retry_when = Some(arguments::retry_when(&text()?)?),
        "delivery-limit" => {
            let limit = u32::try_from(value.as_i64()?);
            to.deliveries_max = Some(limit.map_or(DeliveryLimit::Any, DeliveryLimit::Most));
        }
        "expires" => to.expires = Some(number(1)?),
        "max-age" => to.age_max = Some(StreamSettings::age(&text()?)?),
        "max-length" => to.length_max = Some(count()?),
        "max-length-bytes" => to.bytes_max = Some(count()?),
        "message-ttl" => to.message_ttl = Some(number(0)?),
        "overflow" => to.overflow = Some(arguments::overflow(&text()?)?),
        "stream-max-segment-size-bytes" => {
            to.segment_bytes = Some(StreamSettings::segment_bytes(number(0)?));
        }
        // What follows only has to be what it can be.
        "dead-letter-strategy" => one_of(&["at-most-once", "at-least-once"])?,
        "queue-leader-locator" => {
            one_of(&["client-local", "balanced", "random", "least-leaders"])?;
        }
        "queue-master-locator" => one_of(&["client-local", "min-masters", "random"])?,
        "queue-mode" => one_of(&["default", "lazy"])?,
        "queue-version" => drop(number(1).filter(|version| *version <= 2)?),
        "stream-filter-size-bytes" => drop(number(16).filter(|bytes| *bytes <= 255)?),
        _ => drop(number(0)?),
    }
    Some(())
}

/// What a policy is for, and its definition, as they were written; and what the broker has set by itself, as it would be
/// ([`broker::remedies`]).
pub(crate) fn written(policy: &Policy) -> (Json, Json) {
    let said: Json = serde_json::from_slice(&policy.arguments).unwrap_or_default();
    let apply_to = said.get("apply-to").cloned().unwrap_or_else(|| "queues".into());
    let mut definition = said["definition"].as_object().cloned().unwrap_or_default();
    let settings = &policy.settings;
    let own = [
        ("delayed-retry-type", settings.retry_when.map(|when| arguments::retry_word(when).into())),
        ("delayed-retry-min", settings.retry_min.map(Json::from)),
        ("delayed-retry-max", settings.retry_max.map(Json::from)),
    ];
    for (key, value) in own {
        if let Some(value) = value {
            definition.entry(key).or_insert(value);
        }
    }
    (apply_to, definition.into())
}

/// What holds of the policies that something is under, by its keys.
pub(crate) fn effective(governing: &Governing) -> Json {
    let mut all = Map::new();
    for policy in [&governing.user, &governing.operator].into_iter().flatten() {
        let (_, Json::Object(definition)) = written(policy) else { continue };
        for (name, value) in definition {
            let value = match all.get(&name) {
                Some(other) => smaller(other, &value),
                None => value,
            };
            all.insert(name, value);
        }
    }
    Json::Object(all)
}

/// The one that bounds more; what is negative does not.
fn smaller(a: &Json, b: &Json) -> Json {
    let rank = |json: &Json| json.as_i64().and_then(|number| u64::try_from(number).ok());
    match (rank(a), rank(b)) {
        (Some(one), Some(other)) if one <= other => a.clone(),
        (Some(_), None) => a.clone(),
        _ => b.clone(),
    }
}

/// As Erlang writes terms.
fn term(json: &Json) -> String {
    let list = |items: Vec<String>| format!("[{}]", items.join(","));
    let text = |text: &str| format!("<<{}>>", Json::from(text));
    match json {
        Json::String(value) => text(value),
        Json::Array(items) => list(items.iter().map(term).collect()),
        Json::Object(fields) => {
            let field =
                |(name, value): (&String, &Json)| format!("{{{},{}}}", text(name), term(value));
            list(fields.iter().map(field).collect())
        }
        other => other.to_string(),
    }
}
