//! An instance of a service, and how it is written in the registry: as JSON, in the form that Curator's service discovery
//! has, so that its clients find these, and these them.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Millis;
use serde_json::{Map, Value, json};

use super::DiscoveryError;
use crate::registry::Entry;

/// Longest name of a service, and longest id, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// Longest address, in bytes.
const ADDRESS_BYTES_MAX: usize = 255;
/// Most words of metadata, …
const METADATA_MAX: usize = 64;
/// … and most bytes of all.
const METADATA_BYTES_MAX: usize = 16 * 1024;

/// The port of an instance that has none.
pub const PORT_NONE: u16 = 0;

/// An instance to be registered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewInstance {
    /// The name of its service.
    pub service: String,
    /// Its own; empty: one is made up.
    pub id: String,
    /// A host, or whatever its users understand.
    pub address: String,
    /// Its port, or [`PORT_NONE`].
    pub port: u16,
    /// How much it takes, compared with others. 0 counts as 1.
    pub weight: u32,
    /// What its users want to know besides.
    pub metadata: BTreeMap<String, String>,
}

/// An instance that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The name of its service.
    pub service: Arc<str>,
    /// Its own.
    pub id: Arc<str>,
    /// A host, or whatever its users understand.
    pub address: String,
    /// Its port, or [`PORT_NONE`].
    pub port: u16,
    /// How much it takes, compared with others.
    pub weight: u32,
    /// What it says besides.
    pub metadata: BTreeMap<String, String>,
    /// When it was registered.
    pub registered_at: Millis,
    /// It stays until it is taken out, whether or not it lives.
    pub is_static: bool,
}

impl NewInstance {
    /// Checks names and sizes.
    pub(super) fn check(&self) -> Result<(), DiscoveryError> {
        let wrong = |text: String| Err(DiscoveryError::Invalid(text));
        check_name("the name of a service", &self.service)?;
        check_name("the id of an instance", &self.id)?;
        if self.address.len() > ADDRESS_BYTES_MAX {
            return wrong(format!("an address has {ADDRESS_BYTES_MAX} bytes at most"));
        }
        let bytes: usize = self.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
        if self.metadata.len() > METADATA_MAX || bytes > METADATA_BYTES_MAX {
            return wrong(format!(
                "metadata has {METADATA_MAX} words and {METADATA_BYTES_MAX} bytes at most"
            ));
        }
        Ok(())
    }

    /// As it is written.
    pub(super) fn encode(&self, now: Millis, is_static: bool) -> Vec<u8> {
        let kind = if is_static { "STATIC" } else { "DYNAMIC" };
        let port = (self.port != PORT_NONE).then_some(self.port);
        let value = json!({
            "name": self.service,
            "id": self.id,
            "address": self.address,
            "port": port,
            "payload": self.metadata,
            "weight": self.weight.max(1),
            "registrationTimeUTC": now,
            "serviceType": kind,
        });
        value.to_string().into_bytes()
    }
}

/// Checks a part of a path.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), DiscoveryError> {
    let is_bad =
        |c: char| c == '/' || c.is_control() || matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..);
    let is_wrong = name.is_empty() || name == "." || name == ".." || name.contains(is_bad);
    if is_wrong || name.len() > NAME_BYTES_MAX {
        let text = format!(
            "{what} has 1 to {NAME_BYTES_MAX} bytes, without slashes and control characters"
        );
        return Err(DiscoveryError::Invalid(text));
    }
    Ok(())
}

impl Instance {
    /// From what is written in an entry: this module's JSON, or Curator's; else `host:port`, as data or as the entry's name.
    /// `None`: it says nowhere where the instance is.
    pub(super) fn of(service: &str, id: &str, entry: &Entry) -> Option<Self> {
        let data = entry.data.as_deref().unwrap_or_default();
        let object = serde_json::from_slice(data).ok();
        let instance = Self {
            service: service.into(),
            id: id.into(),
            address: String::new(),
            port: PORT_NONE,
            weight: 1,
            metadata: BTreeMap::new(),
            registered_at: entry.created_at,
            is_static: entry.owner == 0,
        };
        match object {
            Some(Value::Object(object)) => instance.with_object(&object),
            _ => {
                let text = std::str::from_utf8(data).unwrap_or_default().trim();
                let (address, port) = host_and_port(text).or_else(|| host_and_port(id))?;
                Some(Self { address, port, ..instance })
            }
        }
    }

    fn with_object(mut self, object: &Map<String, Value>) -> Option<Self> {
        self.address = object.get("address")?.as_str()?.to_owned();
        let port = ["port", "sslPort"].iter().find_map(|name| number(object.get(*name)?));
        self.port = port.and_then(|port| u16::try_from(port).ok()).unwrap_or(PORT_NONE);
        let weight = object.get("weight").and_then(number);
        let weight = weight.and_then(|weight| u32::try_from(weight).ok());
        self.weight = weight.unwrap_or(1).max(1);
        if let Some(Value::Object(words)) = object.get("payload") {
            let words = words.iter().take(METADATA_MAX);
            self.metadata = words.map(|(name, value)| (name.clone(), text(value))).collect();
        }
        Some(self)
    }
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `host:port`; the host of IPv6 stands in brackets.
fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let is_host = !host.is_empty() && !host.contains(char::is_whitespace);
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some((host.to_owned(), port.parse().ok()?)).filter(|_| is_host)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn read(id: &str, data: &[u8]) -> Option<Instance> {
        let entry =
            Entry { data: Some(Bytes::copy_from_slice(data)), owner: 1, ..Entry::default() };
        Instance::of("s", id, &entry)
    }

    #[test]
    fn what_is_written_is_read() {
        let new = NewInstance {
            service: "s".to_owned(),
            id: "i".to_owned(),
            address: "10.0.0.1".to_owned(),
            port: 80,
            weight: 3,
            metadata: [("zone".to_owned(), "a".to_owned())].into(),
        };
        let seen = read("i", &new.encode(7, false)).unwrap();
        assert_eq!((&seen.address[..], seen.port, seen.weight), ("10.0.0.1", 80, 3));
        assert_eq!((seen.metadata, seen.is_static), (new.metadata, false));
    }

    #[test]
    fn what_others_write_is_read_as_far_as_it_says_where_the_instance_is() {
        let curator = br#"{"name":"s","id":"i","address":"h","port":9,"sslPort":null,"payload":{"@class":"X","n":1},
            "registrationTimeUTC":1,"serviceType":"DYNAMIC","uriSpec":null}"#;
        let seen = read("i", curator).unwrap();
        assert_eq!((&seen.address[..], seen.port, &seen.metadata["n"][..]), ("h", 9, "1"));
        let by_text = |id, data| read(id, data).map(|seen| (seen.address, seen.port));
        assert_eq!(by_text("x", b"h:1\n"), Some(("h".to_owned(), 1)));
        assert_eq!(by_text("h:2", b""), Some(("h".to_owned(), 2)));
        assert_eq!(by_text("[::1]:3", b"\xff"), Some(("::1".to_owned(), 3)));
        for (id, data) in [("x", &b""[..]), ("x", b"{}"), ("x", b"h:70000"), ("x:", b":1")] {
            assert_eq!(by_text(id, data), None, "{id} {}", data.escape_ascii());
        }
    }

    #[test]
    fn a_name_is_one_part_of_a_path() {
        for name in ["a", "a.b", "ü", &"x".repeat(NAME_BYTES_MAX)] {
            assert!(check_name("it", name).is_ok(), "{name}");
        }
        for name in ["", ".", "..", "a/b", "a\0", "\n", &"x".repeat(NAME_BYTES_MAX + 1)] {
            assert!(check_name("it", name).is_err(), "{name}");
        }
    }
}
