//! A JSON object that came with a request. Tools write numbers and truth as texts, too, and are understood.

use serde_json::{Map, Value as Json};

use super::json;
use super::refusal::Refusal;
use crate::wire::table::TableBuf;

/// The object.
#[derive(Debug, Clone, Default)]
pub(super) struct Body(Map<String, Json>);

impl Body {
    /// Reads it; nothing at all is an object without anything in it. More than `values_max` values are refused before
    /// any is made: a small one may take a hundred times as much in memory as in a body.
    pub(super) fn parse(bytes: &[u8], values_max: usize) -> Result<Self, Refusal> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        if values(bytes) > values_max {
            return Err(Refusal::bad(format!("more than {values_max} values")));
        }
        let json = serde_json::from_slice(bytes);
        Self::of(json.map_err(|error| Refusal::bad(format!("not_json: {error}")))?)
    }

    /// A value that must be an object.
    pub(super) fn of(json: Json) -> Result<Self, Refusal> {
        match json {
            Json::Object(map) => Ok(Self(map)),
            Json::Null => Ok(Self::default()),
            other => Err(Refusal::bad(format!("not an object: {}", kind(&other)))),
        }
    }

    fn get(&self, name: &str) -> Option<&Json> {
        self.0.get(name).filter(|json| !json.is_null())
    }

    /// True or false; false if it is not said.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.get(name) {
            None => Ok(false),
            Some(Json::Bool(is)) => Ok(*is),
            Some(Json::String(text)) if text == "true" => Ok(true),
            Some(Json::String(text)) if text == "false" => Ok(false),
            Some(other) => Err(wrong(name, "true or false", other)),
        }
    }

    /// Whatever it is.
    pub(super) fn json(&self, name: &str) -> Option<&Json> {
        self.get(name)
    }

    /// Whether a name is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(name, "a text", other)),
        }
    }

    /// A text that must be there.
    pub(super) fn needed(&self, name: &str) -> Result<&str, Refusal> {
        self.text(name)?.ok_or_else(|| Refusal::bad(format!("key_missing: {name}")))
    }

    /// A number from zero up.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let number = match self.get(name) {
            None => return Ok(None),
            Some(Json::Number(number)) => number.as_u64(),
            Some(Json::String(text)) => text.parse().ok(),
            Some(_) => None,
        };
        let wanted = || Refusal::bad(format!("{name} is no whole number from 0 up"));
        number.map(Some).ok_or_else(wanted)
    }

    /// A table of arguments; an empty one if it is not said.
    pub(super) fn table(&self, name: &str) -> Result<TableBuf, Refusal> {
        match self.get(name) {
            None => Ok(TableBuf::default()),
            Some(Json::Object(map)) => json::to_table(map).map_err(Refusal::bad),
            // What some languages make of an empty table.
            Some(Json::Array(items)) if items.is_empty() => Ok(TableBuf::default()),
            Some(other) => Err(wrong(name, "an object", other)),
        }
    }

    /// An object; an empty one if it is not said.
    pub(super) fn object(&self, name: &str) -> Result<Self, Refusal> {
        match self.get(name) {
            Some(Json::Array(items)) if items.is_empty() => Ok(Self::default()),
            Some(json) => Self::of(json.clone()),
            None => Ok(Self::default()),
        }
    }

    /// A list of objects, which is taken out; an empty one if it is not said.
    pub(super) fn take_list(&mut self, name: &str) -> Result<Vec<Self>, Refusal> {
        match self.0.remove(name) {
            None | Some(Json::Null) => Ok(Vec::new()),
            Some(Json::Array(items)) => items.into_iter().map(Self::of).collect(),
            Some(other) => Err(wrong(name, "a list", &other)),
        }
    }

    /// What tags a user has: `"a,b"`, or `["a", "b"]`.
    pub(super) fn tags(&self) -> Result<Vec<String>, Refusal> {
        match self.get("tags") {
            None => Ok(Vec::new()),
            Some(Json::String(text)) => {
                let tags = text.split(',').map(str::trim).filter(|tag| !tag.is_empty());
                Ok(tags.map(str::to_owned).collect())
            }
            Some(Json::Array(items)) => {
                let tag = |json: &Json| json.as_str().map(str::to_owned);
                let tags: Option<Vec<_>> = items.iter().map(tag).collect();
                tags.ok_or_else(|| Refusal::bad("tags is no list of texts"))
            }
            Some(other) => Err(wrong("tags", "a text or a list", other)),
        }
    }
}

/// As many values as JSON may have at most, if it is JSON: each but the first stands behind what opens a list or an
/// object, or behind a comma.
fn values(json: &[u8]) -> usize {
    let (mut count, mut is_text, mut is_escaped) = (1, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            b'[' | b'{' | b',' if !is_text => count += 1,
            _ => {}
        }
    }
    count
}

fn wrong(name: &str, wanted: &str, is: &Json) -> Refusal {
    Refusal::bad(format!("{name} is to be {wanted}, not {}", kind(is)))
}

fn kind(json: &Json) -> &'static str {
    match json {
        Json::Null => "nothing",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}
