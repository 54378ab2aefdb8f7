//! What bodies and answers look like: JSON Schema, by name.

use base::limits::TOPIC_PARTITIONS_MAX;
use serde_json::{Map, Value as Json, json};

/// Where a schema is.
pub(crate) fn reference(name: &str) -> Json {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// All of them.
pub(crate) fn all() -> Json {
    let mut all = Map::new();
    for part in [seen(), of_topics(), of_groups()] {
        all.extend(part.as_object().cloned().unwrap_or_default());
    }
    Json::Object(all)
}

fn list(of: &str) -> Json {
    json!({ "type": "array", "items": reference(of) })
}

/// Any text.
pub(crate) fn text() -> Json {
    json!({ "type": "string" })
}

fn number() -> Json {
    json!({ "type": "integer", "format": "int64" })
}

fn natural() -> Json {
    json!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": i64::MAX })
}

fn partitions() -> Json {
    json!({ "type": "integer", "minimum": 1, "maximum": TOPIC_PARTITIONS_MAX })
}

fn flag() -> Json {
    json!({ "type": "boolean" })
}

fn texts() -> Json {
    json!({ "type": "object", "additionalProperties": { "type": "string" } })
}

fn object(required: &[&str], properties: Json) -> Json {
    let mut object = json!({ "type": "object", "required": required });
    object["properties"] = properties;
    object
}

/// An object in which nothing else is taken. What need not be there may be null as well.
fn closed(required: &[&str], mut properties: Json) -> Json {
    for (name, schema) in properties.as_object_mut().into_iter().flatten() {
        if !required.contains(&name.as_str()) {
            *schema = json!({ "anyOf": [schema, { "type": "null" }] });
        }
    }
    let mut object = object(required, properties);
    object["additionalProperties"] = false.into();
    object
}

/// The same, where of each of these lists only one is said.
fn closed_with_one_of(required: &[&str], lists: &[&[&str]], properties: Json) -> Json {
    let mut object = closed(required, properties);
    let pairs = lists.iter().flat_map(|names| {
        (0..names.len())
            .flat_map(move |last| names[..last].iter().map(move |one| [*one, names[last]]))
    });
    let both = |[one, other]: [&str; 2]| {
        let said = json!({ one: is_said(), other: is_said() });
        json!({ "not": { "required": [one, other], "properties": said } })
    };
    object["allOf"] = pairs.map(both).collect();
    object
}

fn is_said() -> Json {
    json!({ "not": { "type": "null" } })
}

/// A name in the path.
pub(crate) fn in_path(name: &str) -> Json {
    match name {
        "trace" => json!({ "type": "string", "pattern": "^[0-9A-Fa-f]{32}$" }),
        "remedy" => json!({ "type": "integer", "minimum": 1 }),
        _ => json!({ "type": "string", "minLength": 1 }),
    }
}

/// Bytes in base64 (RFC 4648, section 4).
fn base64() -> Json {
    let ends = "([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?";
    json!({
        "type": "string", "contentEncoding": "base64",
        "pattern": format!("^([A-Za-z0-9+/]{{4}})*{ends}$"),
    })
}

/// What is looked at.
fn seen() -> Json {
    json!({
        "Any": { "type": "object" },
        "Problem": object(&["title", "status", "detail"], json!({
            "type": text(), "title": text(), "status": number(), "detail": text(),
        })),
        "Health": object(&["status"], json!({ "status": text(), "reason": text() })),
        "Node": object(&["id", "facts"], json!({ "id": text(), "facts": { "type": "object" } })),
        "Edge": object(&["from", "does", "to"], json!({
            "from": text(), "does": text(), "to": text(),
        })),
        "State": object(&["nodes", "edges", "totals"], json!({
            "nodes": list("Node"), "edges": list("Edge"),
            "totals": { "type": "object", "additionalProperties": number() },
        })),
        "Series": object(&["labels", "points"], json!({
            "labels": { "type": "array", "items": text() },
            "points": { "type": "array", "items": { "type": "array", "items": number() } },
        })),
        "History": object(&["now", "family", "unit", "series"], json!({
            "now": number(), "family": text(), "unit": text(), "series": list("Series"),
            "label_names": { "type": "array", "items": text() },
        })),
        "Event": object(&["number", "at", "kind", "severity", "text"], json!({
            "number": number(), "at": number(), "kind": text(), "severity": text(),
            "about": text(), "text": text(), "fields": texts(), "withheld": number(),
        })),
        "Events": object(&["events", "missed", "next"], json!({
            "events": list("Event"), "missed": number(), "next": number(),
        })),
        "Span": object(
            &[
                "number", "trace_id", "span_id", "parent_id", "message_id", "step",
                "destination", "start_us",
            ],
            json!({
                "number": number(), "trace_id": text(), "span_id": text(), "parent_id": text(),
                "message_id": text(), "step": { "enum": ["receive", "store", "deliver", "bury"] },
                "destination": text(), "start_us": number(), "taken_us": { "type": "number" },
                "door": text(), "listener": text(), "peer": text(), "client": text(),
                "partition": number(), "offset": number(), "error": text(), "facts": texts(),
            }),
        ),
        "Spans": object(&["spans", "last"], json!({ "spans": list("Span"), "last": number() })),
        "Trace": object(&["trace_id", "spans"], json!({
            "trace_id": text(), "spans": list("Span"),
        })),
        "Incident": object(&["rule", "severity", "title", "about", "evidence", "remedy"], json!({
            "rule": text(), "severity": text(), "title": text(), "about": text(), "cause": text(),
            "evidence": { "type": "array", "items": text() }, "remedy": text(),
            "because_of": { "type": "array", "items": text() }, "since": number(),
        })),
        "Diagnosis": object(&["incidents"], json!({ "incidents": list("Incident") })),
        "Remedy": object(&["number", "rule", "about", "text", "state", "at"], json!({
            "number": number(), "rule": text(), "about": text(), "text": text(),
            "state": { "enum": ["suggested", "applied", "undone", "failed", "withdrawn"] },
            "at": number(), "by": text(), "why": text(),
        })),
        "Nothing": closed(&[], json!({})),
        "Remedies": object(&["mode", "remedies"], json!({
            "mode": { "enum": ["observe", "suggest", "auto"] }, "remedies": list("Remedy"),
        })),
    })
}

/// Topics, and what is in them.
fn of_topics() -> Json {
    json!({
        "NewTopic": closed(&["name"], json!({
            "name": { "type": "string", "pattern": "^[A-Za-z0-9._-]{1,249}$" },
            "partitions": partitions(),
            "config": texts(),
        })),
        "TopicChange": closed(&[], json!({
            "partitions": partitions(),
            "config": {
                "type": "object", "additionalProperties": { "type": ["string", "null"] },
            },
        })),
        "Partition": object(&["partition", "start", "end", "bytes", "segments"], json!({
            "partition": number(), "start": number(), "end": number(), "bytes": number(),
            "segments": number(),
        })),
        "Topic": object(&["name", "id", "internal", "created_at", "partitions", "config"], json!({
            "name": text(), "id": text(), "internal": flag(), "created_at": number(),
            "partitions": list("Partition"), "config": texts(),
        })),
        "Header": closed_with_one_of(&["name"], &[&["value", "value_base64"]], json!({
            "name": text(), "value": text(), "value_base64": base64(),
        })),
        "NewMessage": closed_with_one_of(
            &[],
            &[
                &["key", "key_base64"],
                &["value", "value_base64", "value_json"],
                &["correlation_id", "correlation_id_base64"],
            ],
            json!({
                "key": text(), "key_base64": base64(), "value": text(), "value_base64": base64(),
                "value_json": {}, "headers": list("Header"), "content_type": text(),
                "timestamp": natural(), "expires_at": natural(), "correlation_id": text(),
                "correlation_id_base64": base64(), "reply_to": text(),
                "priority": { "type": "integer", "minimum": 0, "maximum": 255 },
            }),
        ),
        "NewMessages": closed(&["messages"], json!({
            "messages": { "type": "array", "maxItems": 10_000, "items": reference("NewMessage") },
        })),
        "Place": object(&["partition", "offset"], json!({
            "partition": number(), "offset": number(),
        })),
        "Published": object(&["offsets"], json!({ "offsets": list("Place") })),
        "Message": object(&["partition", "offset", "timestamp", "value"], json!({
            "partition": number(), "offset": number(), "timestamp": number(), "key": text(),
            "key_base64": text(), "value": { "type": ["string", "null"] },
            "value_base64": text(), "headers": list("Header"), "content_type": text(),
            "priority": number(), "expires_at": number(), "correlation_id": text(),
            "correlation_id_base64": text(), "reply_to": text(),
        })),
        "Messages": object(&["messages", "next", "start", "end"], json!({
            "messages": list("Message"), "next": number(), "start": number(), "end": number(),
            "scanned": number(),
        })),
        "RoutedOne": object(&[], json!({
            "receivers": number(), "stored": flag(), "problem": reference("Problem"),
        })),
        "Routed": object(&["messages"], json!({ "messages": list("RoutedOne") })),
        "Purged": object(&["messages"], json!({ "messages": number() })),
    })
}

/// Where a group goes on: one of the three must be said.
fn new_offset() -> Json {
    let places = ["offset", "to", "time"];
    let mut place = closed_with_one_of(
        &["topic", "partition"],
        &[&places],
        json!({
            "topic": text(),
            "partition": { "type": "integer", "minimum": 0, "maximum": 2_147_483_647 },
            "offset": natural(), "to": { "enum": ["earliest", "latest"] }, "time": natural(),
        }),
    );
    let said = |name: &str| json!({ "required": [name], "properties": { name: is_said() } });
    place["anyOf"] = places.into_iter().map(said).collect();
    place
}

/// Consumer groups.
fn of_groups() -> Json {
    json!({
        "Lag": object(&["topic", "partition", "committed", "start", "end", "messages"], json!({
            "topic": text(), "partition": number(), "committed": number(), "start": number(),
            "end": number(), "messages": number(), "behind_ms": number(), "is_exact": flag(),
        })),
        "GroupOfTopic": object(&["group", "messages", "partitions"], json!({
            "group": text(), "messages": number(), "behind_ms": number(),
            "partitions": list("Lag"),
        })),
        "GroupsOfTopic": object(&["topic", "groups"], json!({
            "topic": text(), "groups": list("GroupOfTopic"),
        })),
        "Member": object(&["id", "client_id", "host"], json!({
            "id": text(), "client_id": text(), "host": text(),
        })),
        "Group": object(&["group", "state", "kind", "members", "lags"], json!({
            "group": text(), "state": text(), "kind": text(), "members": list("Member"),
            "lags": list("Lag"),
        })),
        "NewOffset": new_offset(),
        "NewOffsets": closed(&["offsets"], json!({
            "offsets": {
                "type": "array", "minItems": 1, "maxItems": 10_000, "items": reference("NewOffset"),
            },
        })),
        "Offset": object(&["topic", "partition", "offset"], json!({
            "topic": text(), "partition": number(), "offset": number(),
        })),
        "Offsets": object(&["group", "dry_run", "offsets"], json!({
            "group": text(), "dry_run": flag(), "offsets": list("Offset"),
        })),
    })
}
