//! PATCH and iPATCH of a subject (RFC 8132): its value with some of it changed, as one step. The formats are those of
//! JSON: one that replaces members (RFC 7396), and a list of changes (RFC 6902), all of which are done, or none.

use base::Subject;
use broker::access::Operation;
use bytes::Bytes;
use serde_json::Value;

use super::{Answer, Caller, publish};
use crate::Shared;
use crate::map::{self, New};
use crate::request::Request;
use crate::response::Response;
use crate::wire::code::Code;
use crate::wire::format::{JSON, JSON_PATCH, MERGE_PATCH};

pub(super) async fn handle(
    shared: &Shared,
    caller: &Caller,
    request: &Request,
    subject: Subject,
) -> Answer {
    caller.check(Operation::Read, &subject)?;
    caller.check(Operation::Write, &subject)?;
    let unsupported = || Box::new(Response::new(Code::UNSUPPORTED_FORMAT));
    let wanted = request.fields.content_format;
    if !matches!(wanted, Some(JSON_PATCH | MERGE_PATCH)) {
        return Err(unsupported());
    }
    let patch: Value = serde_json::from_slice(&request.payload)
        .map_err(|error| Response::refusal(Code::BAD_REQUEST, error.to_string()))?;
    let existed = publish::publish(shared, caller.publisher, subject, true, |current| {
        publish::check(request, current)?;
        let mut value = match current {
            // A merge makes what is not there (RFC 7396 §2); a list changes what is.
            None if wanted == Some(MERGE_PATCH) => Value::Null,
            None => return Err(Box::new(Response::new(Code::NOT_FOUND))),
            Some(message) => {
                let is_json = map::format(message).is_none_or(|format| format == JSON);
                let value = message.value.as_deref().filter(|_| is_json);
                let value = value.and_then(|value| serde_json::from_slice(value).ok());
                // RFC 8132 §3.1: the patch does not fit what is there.
                value.ok_or_else(|| Box::new(Response::new(Code::CONFLICT)))?
            }
        };
        match wanted {
            Some(MERGE_PATCH) => merge(&mut value, patch),
            _ => apply(&mut value, &patch)?,
        }
        let payload = Bytes::from(value.to_string());
        Ok(New { value: Some(payload), format: Some(JSON), max_age: request.fields.max_age })
    });
    let code = if existed.await? { Code::CHANGED } else { Code::CREATED };
    Ok(Response::new(code))
}

/// RFC 7396 §2. As deep as the parser lets JSON be.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(members) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            members.remove(&name);
        } else {
            merge(members.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// RFC 6902 §4.
fn apply(target: &mut Value, patch: &Value) -> Result<(), Box<Response>> {
    let bad = || Response::refusal(Code::BAD_REQUEST, "not a list of changes".into());
    for change in patch.as_array().ok_or_else(bad)? {
        let text = |name: &str| change.get(name).and_then(Value::as_str).ok_or_else(bad);
        let value = || change.get("value").cloned().ok_or_else(bad);
        let (kind, path) = (text("op")?, text("path")?);
        let is_done = match kind {
            "add" => add(target, path, value()?),
            "remove" => remove(target, path).is_some(),
            "replace" => {
                let value = value()?;
                target.pointer_mut(path).map(|place| *place = value).is_some()
            }
            "move" => {
                let from = text("from")?;
                let is_inside = path.strip_prefix(from).is_some_and(|rest| rest.starts_with('/'));
                !is_inside && remove(target, from).is_some_and(|value| add(target, path, value))
            }
            "copy" => {
                let value = target.pointer(text("from")?).cloned();
                value.is_some_and(|value| add(target, path, value))
            }
            "test" => target.pointer(path) == Some(&value()?),
            _ => return Err(bad()),
        };
        if !is_done {
            return Err(Response::refusal(Code::CONFLICT, format!("{kind} {path:?} cannot be")));
        }
    }
    Ok(())
}

/// Where a path leads to: what it is in, and its name there.
fn parent<'a>(target: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (parent, name) = path.rsplit_once('/')?;
    let name = name.replace("~1", "/").replace("~0", "~");
    Some((target.pointer_mut(parent)?, name))
}

fn add(target: &mut Value, path: &str, value: Value) -> bool {
    if path.is_empty() {
        *target = value;
        return true;
    }
    match parent(target, path) {
        Some((Value::Object(members), name)) => {
            members.insert(name, value);
            true
        }
        Some((Value::Array(items), name)) => {
            let at = if name == "-" { Some(items.len()) } else { index(&name) };
            at.filter(|at| *at <= items.len()).map(|at| items.insert(at, value)).is_some()
        }
        _ => false,
    }
}

fn remove(target: &mut Value, path: &str) -> Option<Value> {
    if path.is_empty() {
        return Some(target.take());
    }
    match parent(target, path)? {
        (Value::Object(members), name) => members.remove(&name),
        (Value::Array(items), name) => {
            let at = index(&name).filter(|at| *at < items.len())?;
            Some(items.remove(at))
        }
        _ => None,
    }
}

/// A place in an array, without zeros in front (RFC 6901 §4).
fn index(name: &str) -> Option<usize> {
    let is_plain = name == "0" || !name.starts_with('0');
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    (is_plain && is_number).then(|| name.parse().ok())?
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Of appendix A of RFC 7396.
    #[test]
    fn the_examples_of_merging_come_out_right() {
        let cases = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ];
        for (mut target, patch, wanted) in cases {
            merge(&mut target, patch);
            assert_eq!(target, wanted);
        }
    }

    /// Of appendix A of RFC 6902.
    #[test]
    fn the_examples_of_changes_come_out_right() {
        let cases = [
            (
                json!({"foo": "bar"}),
                json!([{"op": "add", "path": "/baz", "value": "qux"}]),
                Some(json!({"baz": "qux", "foo": "bar"})),
            ),
            (
                json!({"foo": ["bar", "baz"]}),
                json!([{"op": "add", "path": "/foo/1", "value": "qux"}]),
                Some(json!({"foo": ["bar", "qux", "baz"]})),
            ),
            (
                json!({"foo": ["bar", "qux", "baz"]}),
                json!([{"op": "remove", "path": "/foo/1"}]),
                Some(json!({"foo": ["bar", "baz"]})),
            ),
            (
                json!({"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}}),
                json!([{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}]),
                Some(json!({"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}})),
            ),
            (json!({"baz": "qux"}), json!([{"op": "test", "path": "/baz", "value": "bar"}]), None),
            (
                json!({"foo": "bar"}),
                json!([{"op": "add", "path": "/baz/bat", "value": "qux"}]),
                None,
            ),
            (
                json!({"foo": ["bar"]}),
                json!([{"op": "add", "path": "/foo/-", "value": ["abc"]}]),
                Some(json!({"foo": ["bar", ["abc"]]})),
            ),
            (
                json!({"/": 9, "~1": 10}),
                json!([{"op": "test", "path": "/~01", "value": 10}]),
                Some(json!({"/": 9, "~1": 10})),
            ),
            (json!({"a": {"b": 1}}), json!([{"op": "move", "from": "/a", "path": "/a/c"}]), None),
            (json!([1]), json!([{"op": "remove", "path": "/01"}]), None),
            (json!([1]), json!([{"op": "jump", "path": ""}]), None),
        ];
        for (mut target, patch, wanted) in cases {
            let done = apply(&mut target, &patch);
            assert_eq!(done.ok().map(|()| target), wanted, "{patch}");
        }
    }
}
