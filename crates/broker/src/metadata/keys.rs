//! Where things stand in the metadata store, and how their values are written (JSON).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base::{BrokerId, Credential, LogId, Millis, PasswordHash, TopicId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{access, quotas};

use super::model::{BrokerInfo, Endpoint, Partition, Topic, User};

/// The cluster's identity.
pub(crate) const CLUSTER_ID: &str = "cluster/id";
/// The first log identity that was never given out.
pub(crate) const NEXT_LOG: &str = "counter/log";
/// The first producer identity that was never given out.
pub(crate) const NEXT_PRODUCER: &str = "counter/producer";
/// 32 random bytes that stay the cluster's own.
pub(crate) const SECRET: &str = "cluster/secret";
const BROKERS: &str = "broker/";
const TOPICS: &str = "topic/";
const CLIENT_METRICS: &str = "client-metrics/";
/// Users, by name.
pub(crate) const USERS: &str = "user/";
const GROUPS: &str = "group/";
const SETTINGS: &str = "settings/";
/// Stands for all brokers, where a number stands for one.
const ALL_BROKERS: &str = "all";

/// What a key stands for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Key<'a> {
    ClusterId,
    Broker(BrokerId),
    Topic(&'a str),
    User(&'a str),
    /// What is set on a group.
    Group(&'a str),
    /// What is set for a broker, or for all.
    Settings(Option<BrokerId>),
    /// Rules of access; the rest of the key says about what.
    Access(&'a str),
    /// A quota; the rest of the key says of whom.
    Quota(&'a str),
    ClientMetrics(&'a str),
    /// A counter, or something that a later version keeps there.
    Other,
}

impl<'a> Key<'a> {
    pub(crate) fn parse(key: &'a [u8]) -> Self {
        let Ok(key) = std::str::from_utf8(key) else { return Self::Other };
        if key == CLUSTER_ID {
            return Self::ClusterId;
        }
        if let Some(id) = key.strip_prefix(BROKERS).and_then(|id| id.parse().ok()) {
            return Self::Broker(BrokerId(id));
        }
        if let Some(whose) = key.strip_prefix(SETTINGS) {
            let one = whose.parse().ok().map(BrokerId);
            let known = one.is_some() || whose == ALL_BROKERS;
            return if known { Self::Settings(one) } else { Self::Other };
        }
        let known = [
            (TOPICS, Self::Topic as fn(&'a str) -> Self),
            (USERS, Self::User),
            (GROUPS, Self::Group),
            (CLIENT_METRICS, Self::ClientMetrics),
            (access::stored::PREFIX, Self::Access),
            (quotas::stored::PREFIX, Self::Quota),
        ];
        let mut found = known.iter().filter_map(|(prefix, of)| Some(of(key.strip_prefix(prefix)?)));
        found.next().unwrap_or(Self::Other)
    }
}

pub(crate) fn broker(id: BrokerId) -> String {
    format!("{BROKERS}{}", id.0)
}

pub(crate) fn topic(name: &str) -> String {
    format!("{TOPICS}{name}")
}

pub(crate) fn user(name: &str) -> String {
    format!("{USERS}{name}")
}

pub(crate) fn group(name: &str) -> String {
    format!("{GROUPS}{name}")
}

pub(crate) fn settings(whose: Option<BrokerId>) -> String {
    match whose {
        Some(id) => format!("{SETTINGS}{}", id.0),
        None => format!("{SETTINGS}{ALL_BROKERS}"),
    }
}

pub(crate) fn client_metrics(name: &str) -> String {
    format!("{CLIENT_METRICS}{name}")
}

/// A part of a key: what is not a letter, digit or one of `._-` is `%XX`.
pub(crate) fn escape(name: &[u8]) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name {
        if byte.is_ascii_alphanumeric() || b"._-".contains(byte) {
            escaped.push(char::from(*byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// The reverse of [`escape`]; `None` if it is not that.
pub(crate) fn unescape(escaped: &str) -> Option<Bytes> {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((plain, coded)) = rest.split_once('%') {
        bytes.extend(plain.bytes());
        bytes.push(u8::from_str_radix(coded.get(..2)?, 16).ok()?);
        rest = coded.get(2..)?;
    }
    bytes.extend(rest.bytes());
    Some(bytes.into())
}

/// A value as it is stored. The types here always have a JSON form.
pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// A broker's value.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BrokerValue {
    endpoints: Vec<EndpointValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rack: Option<String>,
    registered_at: Millis,
}

#[derive(Debug, Serialize, Deserialize)]
struct EndpointValue {
    listener: String,
    security: String,
    host: String,
    port: u16,
}

impl BrokerValue {
    pub(crate) fn of(broker: &BrokerInfo) -> Self {
        let endpoint = |e: &Endpoint| EndpointValue {
            listener: e.listener.clone(),
            security: e.security.clone(),
            host: e.host.clone(),
            port: e.port,
        };
        Self {
            endpoints: broker.endpoints.iter().map(endpoint).collect(),
            rack: broker.rack.clone(),
            registered_at: broker.registered_at,
        }
    }

    pub(crate) fn into_broker(self, id: BrokerId) -> BrokerInfo {
        let endpoint = |e: EndpointValue| Endpoint {
            listener: e.listener,
            security: e.security,
            host: e.host,
            port: e.port,
        };
        BrokerInfo {
            id,
            endpoints: self.endpoints.into_iter().map(endpoint).collect(),
            rack: self.rack,
            registered_at: self.registered_at,
        }
    }
}

/// What is set on a group, or for brokers. Deleted when that is nothing.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SetValue {
    pub(crate) config: BTreeMap<String, String>,
}

/// A topic's value. Partitions are `[log, leader, leader epoch]`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TopicValue {
    id: String,
    created_at: Millis,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    internal: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    config: BTreeMap<String, String>,
    partitions: Vec<(u64, i32, i32)>,
}

impl TopicValue {
    pub(crate) fn of(topic: &Topic) -> Self {
        let partition = |p: &Partition| (p.log.0, p.leader.0, p.leader_epoch);
        Self {
            id: format!("{:032x}", topic.id.0),
            created_at: topic.created_at,
            internal: topic.internal,
            config: topic.config.clone(),
            partitions: topic.partitions.iter().map(partition).collect(),
        }
    }

    /// `None` if the identity is not one.
    pub(crate) fn into_topic(self, name: &str) -> Option<Topic> {
        let partition = |(log, leader, leader_epoch)| Partition {
            log: LogId(log),
            leader: BrokerId(leader),
            leader_epoch,
        };
        Some(Topic {
            name: name.to_owned(),
            id: TopicId(u128::from_str_radix(&self.id, 16).ok()?),
            partitions: self.partitions.into_iter().map(partition).collect(),
            config: self.config,
            created_at: self.created_at,
            internal: self.internal,
        })
    }
}

/// A user's value: credentials by the name of their hash, bytes in hexadecimal.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct UserValue(BTreeMap<String, CredentialValue>);

#[derive(Debug, Serialize, Deserialize)]
struct CredentialValue {
    iterations: u32,
    salt: String,
    stored_key: String,
    server_key: String,
}

impl UserValue {
    pub(crate) fn of(user: &User) -> Self {
        let credential = |(hash, c): (&PasswordHash, &Credential)| {
            let value = CredentialValue {
                iterations: c.iterations,
                salt: hex(&c.salt),
                stored_key: hex(&c.stored_key),
                server_key: hex(&c.server_key),
            };
            (hash_name(*hash).to_owned(), value)
        };
        Self(user.credentials.iter().map(credential).collect())
    }

    /// Without the hashes that this version does not know. `None` if a credential is not one.
    pub(crate) fn into_user(self) -> Option<User> {
        let mut user = User::default();
        for (name, value) in self.0 {
            let known = PasswordHash::ALL.into_iter().find(|hash| hash_name(*hash) == name);
            let Some(hash) = known else { continue };
            let key = |text: &str| unhex(text).filter(|key| key.len() == hash.bytes());
            let credential = Credential {
                iterations: value.iterations,
                salt: unhex(&value.salt)?.into(),
                stored_key: key(&value.stored_key)?.into(),
                server_key: key(&value.server_key)?.into(),
            };
            user.credentials.insert(hash, credential);
        }
        Some(user)
    }
}

fn hash_name(hash: PasswordHash) -> &'static str {
    match hash {
        PasswordHash::Sha256 => "sha-256",
        PasswordHash::Sha512 => "sha-512",
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;

    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    digits.len().is_multiple_of(2).then(|| digits.chunks_exact(2).map(byte).collect())?
}
