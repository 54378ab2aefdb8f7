//! Exchanges and bindings in the metadata store.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::types::{
    BindTo, Binding, ExchangeKind, ExchangeName, ExchangeSpec, HeaderMatch, HeaderValue,
};
use crate::metadata::keys::{self, escape, unescape};
use crate::queues::QueueName;

/// Begins the keys of exchanges: namespace and name follow.
pub(crate) const EXCHANGES: &str = "exchange/";
/// Begins the keys of bindings: 32 hexadecimal digits by chance follow.
pub(crate) const BINDINGS: &str = "binding/";

/// The key of an exchange.
pub(super) fn exchange_key(name: &ExchangeName) -> String {
    format!("{EXCHANGES}{}/{}", escape(&name.space), escape(&name.name))
}

/// The key of a new binding.
pub(super) fn binding_key(chance: u128) -> String {
    format!("{BINDINGS}{chance:032x}")
}

#[derive(Debug, Serialize, Deserialize)]
struct ExchangeValue {
    kind: Kind,
    #[serde(default)]
    auto_delete: bool,
    #[serde(default)]
    internal: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alternate: Option<String>,
    #[serde(default)]
    arguments: String,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Direct,
    Fanout,
    Topic,
    Headers,
    Subjects,
}

/// An exchange's value.
pub(super) fn encode_exchange(spec: &ExchangeSpec) -> Vec<u8> {
    let kind = match spec.kind {
        ExchangeKind::Direct => Kind::Direct,
        ExchangeKind::Fanout => Kind::Fanout,
        ExchangeKind::Topic => Kind::Topic,
        ExchangeKind::Headers => Kind::Headers,
        ExchangeKind::Subjects => Kind::Subjects,
    };
    keys::encode(&ExchangeValue {
        kind,
        auto_delete: spec.auto_delete,
        internal: spec.internal,
        alternate: spec.alternate.as_ref().map(|name| escape(name)),
        arguments: escape(&spec.arguments),
    })
}

/// An exchange from its key and value. `None`: it cannot be read, which is said.
pub(crate) fn exchange(key: &[u8], value: &[u8]) -> Option<(ExchangeName, ExchangeSpec)> {
    let read = || {
        let rest = std::str::from_utf8(key).ok()?.strip_prefix(EXCHANGES)?;
        let (space, name) = rest.split_once('/')?;
        let name = ExchangeName { space: unescape(space)?, name: unescape(name)? };
        let value: ExchangeValue = serde_json::from_slice(value).ok()?;
        let kind = match value.kind {
            Kind::Direct => ExchangeKind::Direct,
            Kind::Fanout => ExchangeKind::Fanout,
            Kind::Topic => ExchangeKind::Topic,
            Kind::Headers => ExchangeKind::Headers,
            Kind::Subjects => ExchangeKind::Subjects,
        };
        let alternate = match value.alternate {
            None => None,
            Some(name) => Some(unescape(&name)?),
        };
        let spec = ExchangeSpec {
            kind,
            durable: true,
            auto_delete: value.auto_delete,
            internal: value.internal,
            alternate,
            arguments: unescape(&value.arguments)?,
        };
        Some((name, spec))
    };
    said(key, read())
}

#[derive(Debug, Serialize, Deserialize)]
struct BindingValue {
    space: String,
    source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exchange: Option<String>,
    key: String,
    #[serde(default)]
    arguments: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    matching: Option<MatchValue>,
}

#[derive(Debug, Serialize, Deserialize)]
struct MatchValue {
    all: bool,
    /// Without a value: it is there, whatever it is.
    headers: Vec<(String, Option<String>)>,
}

/// A binding's value.
pub(super) fn encode_binding(source: &ExchangeName, to: &BindTo, binding: &Binding) -> Vec<u8> {
    let (queue, exchange) = match to {
        BindTo::Queue(name) => (Some(escape(&name.name)), None),
        BindTo::Exchange(name) => (None, Some(escape(&name.name))),
    };
    let header = |(name, value): &(Bytes, HeaderValue)| {
        let value = match value {
            HeaderValue::Any => None,
            HeaderValue::Is(value) => Some(escape(value)),
        };
        (escape(name), value)
    };
    let matching = binding.matching.as_ref().map(|asked| MatchValue {
        all: asked.all,
        headers: asked.headers.iter().map(header).collect(),
    });
    keys::encode(&BindingValue {
        space: escape(&source.space),
        source: escape(&source.name),
        queue,
        exchange,
        key: escape(&binding.key),
        arguments: escape(&binding.arguments),
        matching,
    })
}

/// A binding from its value. `None`: it cannot be read, which is said.
pub(crate) fn binding(key: &[u8], value: &[u8]) -> Option<(ExchangeName, BindTo, Binding)> {
    let read = || {
        let value: BindingValue = serde_json::from_slice(value).ok()?;
        let space = unescape(&value.space)?;
        let source = ExchangeName { space: space.clone(), name: unescape(&value.source)? };
        let to = match (value.queue, value.exchange) {
            (Some(name), None) => BindTo::Queue(QueueName { space, name: unescape(&name)? }),
            (None, Some(name)) => BindTo::Exchange(ExchangeName { space, name: unescape(&name)? }),
            _ => return None,
        };
        let header = |(name, value): (String, Option<String>)| {
            let value = match value {
                None => HeaderValue::Any,
                Some(value) => HeaderValue::Is(unescape(&value)?),
            };
            Some((unescape(&name)?, value))
        };
        let matching = match value.matching {
            None => None,
            Some(MatchValue { all, headers }) => {
                let headers = headers.into_iter().map(header).collect::<Option<Vec<_>>>()?;
                Some(HeaderMatch { all, headers })
            }
        };
        let (key, arguments) = (unescape(&value.key)?, unescape(&value.arguments)?);
        Some((source, to, Binding { key, matching, arguments }))
    };
    said(key, read())
}

fn said<T>(key: &[u8], read: Option<T>) -> Option<T> {
    if read.is_none() {
        let key = String::from_utf8_lossy(key);
        tracing::error!(%key, "cannot read a value of the metadata store");
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exchanges_and_bindings_come_back_from_the_metadata_store_as_they_were() {
        let bytes = Bytes::from_static;
        let name = |text| ExchangeName { space: bytes(b"v/"), name: bytes(text) };
        let spec = ExchangeSpec {
            kind: ExchangeKind::Headers,
            durable: true,
            auto_delete: true,
            internal: true,
            alternate: Some(bytes(b"other/\xff")),
            arguments: bytes(b"\x00"),
        };
        let source = name(b"a/b%");
        let encoded = encode_exchange(&spec);
        let decoded = exchange(exchange_key(&source).as_bytes(), &encoded);
        assert_eq!(decoded, Some((source.clone(), spec)));
        let headers =
            vec![(bytes(b"h"), HeaderValue::Any), (bytes(b"i"), HeaderValue::Is(bytes(b"\x01/")))];
        let matching = Some(HeaderMatch { all: false, headers });
        let full = Binding { key: bytes(b"k.*"), matching, arguments: bytes(b"x") };
        let queue = BindTo::Queue(QueueName { space: bytes(b"v/"), name: bytes(b"q q") });
        for to in [queue, BindTo::Exchange(name(b"e"))] {
            for one in [full.clone(), Binding::default()] {
                let encoded = encode_binding(&source, &to, &one);
                let decoded = binding(binding_key(7).as_bytes(), &encoded);
                assert_eq!(decoded, Some((source.clone(), to.clone(), one)));
            }
        }
    }
}
