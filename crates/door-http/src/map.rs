//! Messages as JSON.
//!
//! Keys, payloads and headers are bytes. What is UTF-8 is said as text; what is not, in base64 under a name that says
//! so. Both can be published.

use std::fmt::{self, Formatter};

use base::subject::TEXT;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use broker::{Found, Message, Properties};
use bytes::Bytes;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::fields::{self, Object};
use crate::problem::Problem;

/// Messages that are published together.
const MESSAGES_MAX: usize = 10_000;

/// A message as it is published.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMessage {
    key: Option<String>,
    key_base64: Option<String>,
    value: Option<String>,
    value_base64: Option<String>,
    /// As it stands there, to the byte.
    value_json: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "fields::objects")]
    headers: Vec<Header>,
    content_type: Option<String>,
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    timestamp: Option<i64>,
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    priority: Option<u8>,
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    expires_at: Option<i64>,
    correlation_id: Option<String>,
    correlation_id_base64: Option<String>,
    /// A subject, as text.
    reply_to: Option<String>,
}

/// Messages that are published together, [`MESSAGES_MAX`] at most. More are not even read: `{}` takes three bytes of a
/// request, and a hundred times that as a message.
#[derive(Debug)]
pub(crate) struct NewMessages(Vec<NewMessage>);

impl<'de> Deserialize<'de> for NewMessages {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(Bounded).map(Self)
    }
}

/// Reads a list of messages, as far as it may be long.
struct Bounded;

impl<'de> Visitor<'de> for Bounded {
    type Value = Vec<NewMessage>;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a list of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut messages = Vec::new();
        while let Some(Object(message)) = list.next_element()? {
            if messages.len() >= MESSAGES_MAX {
                let why = format!("at most {MESSAGES_MAX} messages are published together");
                return Err(A::Error::custom(why));
            }
            messages.push(message);
        }
        Ok(messages)
    }
}

impl NewMessages {
    /// As the core has them.
    pub(crate) fn into_messages(self) -> Result<Vec<Message>, Problem> {
        self.0.into_iter().map(NewMessage::into_message).collect()
    }
}

/// A header.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

/// Text or base64, of which there is one at most.
fn bytes(
    name: &str,
    text: Option<String>,
    coded: Option<String>,
) -> Result<Option<Bytes>, Problem> {
    match (text, coded) {
        (Some(_), Some(_)) => {
            Err(Problem::invalid(format!("there is {name} or {name}_base64, not both")))
        }
        (Some(text), None) => Ok(Some(text.into())),
        (None, Some(coded)) => match BASE64_STANDARD.decode(coded) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) => Err(Problem::invalid(format!("{name}_base64: {error}"))),
        },
        (None, None) => Ok(None),
    }
}

impl NewMessage {
    /// As the core has it.
    pub(crate) fn into_message(self) -> Result<Message, Problem> {
        for (name, time) in [("timestamp", self.timestamp), ("expires_at", self.expires_at)] {
            if time.is_some_and(|time| time < 0) {
                return Err(Problem::invalid(format!("{name} must not be negative")));
            }
        }
        let key = bytes("key", self.key, self.key_base64)?;
        let plain = bytes("value", self.value, self.value_base64)?;
        let (value, is_json) = match (plain, self.value_json) {
            (Some(_), Some(_)) => {
                return Err(Problem::invalid("there is one of value, value_base64 and value_json"));
            }
            (plain, None) => (plain, false),
            (None, Some(json)) => (Some(Bytes::from(String::from(Box::<str>::from(json)))), true),
        };
        let json = is_json.then(|| "application/json".to_owned());
        let mut headers = Vec::with_capacity(self.headers.len());
        for Header { name, value, value_base64 } in self.headers {
            headers.push((Bytes::from(name), bytes("value", value, value_base64)?));
        }
        let reply_to = match self.reply_to {
            Some(name) => Some(
                TEXT.subject(name.as_bytes())
                    .map_err(|error| Problem::invalid(format!("reply_to: '{name}': {error}")))?,
            ),
            None => None,
        };
        let correlation_id =
            bytes("correlation_id", self.correlation_id, self.correlation_id_base64)?;
        Ok(Message {
            key,
            value,
            headers,
            timestamp: self.timestamp,
            properties: Properties {
                content_type: self.content_type.or(json).map(Bytes::from),
                priority: self.priority,
                expires_at: self.expires_at,
                correlation_id,
                reply_to,
                ..Properties::default()
            },
            ..Message::default()
        })
    }
}

/// A message as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    partition: i32,
    offset: i64,
    timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    /// Null is a deletion mark.
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headers: Vec<Header>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<String>,
}

/// As text, or in base64.
fn said(bytes: Option<&Bytes>) -> (Option<String>, Option<String>) {
    let Some(bytes) = bytes else { return (None, None) };
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(BASE64_STANDARD.encode(bytes))),
    }
}

fn lossy(bytes: Option<&Bytes>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

impl Shown {
    pub(crate) fn new(partition: i32, found: &Found) -> Self {
        let message = &found.message;
        let (key, key_base64) = said(message.key.as_ref());
        let (value, value_base64) = said(message.value.as_ref());
        let header = |(name, value): &(Bytes, Option<Bytes>)| {
            let (value, value_base64) = said(value.as_ref());
            Header { name: String::from_utf8_lossy(name).into_owned(), value, value_base64 }
        };
        let properties = &message.properties;
        let (correlation_id, correlation_id_base64) = said(properties.correlation_id.as_ref());
        let reply_to = properties.reply_to.as_ref().map(|subject| TEXT.name(subject));
        Self {
            partition,
            offset: found.offset,
            timestamp: found.timestamp,
            key,
            key_base64,
            value,
            value_base64,
            headers: message.headers.iter().map(header).collect(),
            content_type: lossy(properties.content_type.as_ref()),
            priority: properties.priority,
            expires_at: properties.expires_at,
            correlation_id,
            correlation_id_base64,
            reply_to: lossy(reply_to.as_ref()),
        }
    }

    /// Bytes of the payload, for who counts.
    pub(crate) fn bytes(found: &Found) -> usize {
        found.message.value.as_ref().map_or(0, Bytes::len)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn message(json: &Json) -> Result<Message, Problem> {
        serde_json::from_str::<NewMessage>(&json.to_string()).unwrap().into_message()
    }

    fn shown(message: Message) -> Json {
        serde_json::to_value(Shown::new(2, &Found { offset: 7, timestamp: 9, message })).unwrap()
    }

    #[test]
    fn text_stays_text_and_bytes_stay_bytes() {
        let text = message(
            &json!({ "key": "k", "value": "v", "headers": [{ "name": "a", "value": "b" }] }),
        );
        let expected = json!({
            "partition": 2, "offset": 7, "timestamp": 9, "key": "k", "value": "v",
            "headers": [{ "name": "a", "value": "b" }],
        });
        assert_eq!(shown(text.unwrap()), expected);
        let bytes = message(&json!({ "key_base64": "/w==", "value_base64": "AP8=" })).unwrap();
        assert_eq!(bytes.value.as_deref(), Some(&[0, 255][..]));
        let expected = json!({
            "partition": 2, "offset": 7, "timestamp": 9, "key_base64": "/w==", "value": null,
            "value_base64": "AP8=",
        });
        assert_eq!(shown(bytes), expected);
        let asked = json!({ "correlation_id_base64": "/w==", "reply_to": "answers.to//me.1" });
        let asked = message(&asked).unwrap();
        assert_eq!(asked.properties.correlation_id.as_deref(), Some(&[255][..]));
        let asked = shown(asked);
        assert_eq!(
            (&asked["correlation_id_base64"], &asked["reply_to"]),
            (&json!("/w=="), &json!("answers.to//me.1"))
        );
        let none = message(&json!({})).unwrap();
        assert_eq!((none.key, none.value), (None, None), "a deletion mark");
    }

    #[test]
    fn json_is_published_to_the_byte_and_says_what_it_is() {
        let sent: NewMessage =
            serde_json::from_str("{\"value_json\": {\"b\" :1,\"a\":2.50}}").unwrap();
        let message = sent.into_message().unwrap();
        assert_eq!(message.value.as_deref(), Some(&b"{\"b\" :1,\"a\":2.50}"[..]));
        assert_eq!(message.properties.content_type.as_deref(), Some(&b"application/json"[..]));
    }

    #[test]
    fn more_than_may_be_published_together_is_not_read() {
        let list = |count: usize, end: &str| {
            let text = format!("[{}{end}", vec!["{}"; count].join(","));
            serde_json::from_str::<NewMessages>(&text).map(|NewMessages(all)| all.len())
        };
        assert_eq!(list(MESSAGES_MAX, "]").unwrap(), MESSAGES_MAX);
        // What stands behind is not looked at.
        let why = list(MESSAGES_MAX + 1, ", no JSON").unwrap_err().to_string();
        assert!(why.starts_with("at most 10000 messages are published together"), "{why}");
    }

    #[test]
    fn what_is_said_twice_or_cannot_be_read_is_refused() {
        for wrong in [
            json!({ "key": "a", "key_base64": "YQ==" }),
            json!({ "value": "a", "value_json": 1 }),
            json!({ "value_base64": "?" }),
            json!({ "correlation_id": "a", "correlation_id_base64": "YQ==" }),
            json!({ "reply_to": "" }),
            json!({ "reply_to": "a.*" }),
        ] {
            assert!(message(&wrong).is_err(), "{wrong}");
        }
        assert!(serde_json::from_str::<NewMessage>("{\"vlaue\": \"a\"}").is_err());
    }
}
