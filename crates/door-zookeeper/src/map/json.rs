//! The nodes' data: JSON with the fields, and in the order, in which Kafka 3.x writes it.

use std::collections::BTreeMap;

use base::{BrokerId, Millis, TopicId};
use broker::access::Rule;
use broker::metadata::{BrokerInfo, Endpoint, Partition, Topic};
use bytes::Bytes;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::rules::{effect_name, operation_name};

/// `/cluster/id`; the version is a text.
pub(super) fn cluster(id: &str) -> Bytes {
    #[derive(serde::Serialize)]
    struct Cluster<'a> {
        version: &'static str,
        id: &'a str,
    }
    bytes(&Cluster { version: "1", id })
}

/// `/controller`, version 2 (since 3.4).
pub(super) fn controller(id: BrokerId, since: Millis) -> Bytes {
    #[derive(serde::Serialize)]
    struct Controller {
        version: i32,
        brokerid: i32,
        timestamp: String,
        #[serde(rename = "kraftControllerEpoch")]
        kraft_controller_epoch: i32,
    }
    bytes(&Controller {
        version: 2,
        brokerid: id.0,
        timestamp: since.to_string(),
        kraft_controller_epoch: -1,
    })
}

/// `/brokers/ids/N`, version 5. `host` and `port` are for clients of before 0.9: those of the
/// first listener without encryption and login, else null and -1.
pub(super) fn broker(broker: &BrokerInfo) -> Bytes {
    #[derive(serde::Serialize)]
    struct Broker<'a> {
        features: Empty,
        listener_security_protocol_map: Securities<'a>,
        endpoints: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        rack: Option<&'a str>,
        jmx_port: i32,
        port: i32,
        host: Option<&'a str>,
        version: i32,
        timestamp: String,
    }
    let plain = broker.endpoints.iter().find(|endpoint| endpoint.security == "PLAINTEXT");
    bytes(&Broker {
        features: Empty {},
        listener_security_protocol_map: Securities(&broker.endpoints),
        endpoints: broker.endpoints.iter().map(address).collect(),
        rack: broker.rack.as_deref(),
        jmx_port: -1,
        port: plain.map_or(-1, |endpoint| endpoint.port.into()),
        host: plain.map(|endpoint| endpoint.host.as_str()),
        version: 5,
        timestamp: broker.registered_at.to_string(),
    })
}

/// `LISTENER://host:port`, with brackets around an IPv6 address.
fn address(endpoint: &Endpoint) -> String {
    let Endpoint { listener, host, port, .. } = endpoint;
    if host.contains(':') && !host.starts_with('[') {
        format!("{listener}://[{host}]:{port}")
    } else {
        format!("{listener}://{host}:{port}")
    }
}

/// `/brokers/topics/T`, version 3 (since 2.8). A partition has one replica: its owner.
pub(super) fn topic(topic: &Topic) -> Bytes {
    #[derive(serde::Serialize)]
    struct Assignment<'a> {
        partitions: Replicas<'a>,
        topic_id: String,
        adding_replicas: Empty,
        removing_replicas: Empty,
        version: i32,
    }
    bytes(&Assignment {
        partitions: Replicas(&topic.partitions),
        topic_id: topic_id(topic.id),
        adding_replicas: Empty {},
        removing_replicas: Empty {},
        version: 3,
    })
}

/// `/brokers/topics/T/partitions/P/state`, version 1.
pub(super) fn partition(partition: &Partition) -> Bytes {
    #[derive(serde::Serialize)]
    struct State {
        controller_epoch: i32,
        leader: i32,
        version: i32,
        leader_epoch: i32,
        isr: [i32; 1],
    }
    bytes(&State {
        controller_epoch: 1,
        leader: partition.leader.0,
        version: 1,
        leader_epoch: partition.leader_epoch,
        isr: [partition.leader.0],
    })
}

/// `/config/topics/T`, version 1.
pub(super) fn config(config: &BTreeMap<String, String>) -> Bytes {
    #[derive(serde::Serialize)]
    struct Config<'a> {
        version: i32,
        config: &'a BTreeMap<String, String>,
    }
    bytes(&Config { version: 1, config })
}

/// The rules of one pattern, version 1. Kafka's order is that of a set.
pub(super) fn rules(rules: &[Rule]) -> Bytes {
    #[derive(serde::Serialize)]
    struct Entry<'a> {
        principal: String,
        #[serde(rename = "permissionType")]
        permission_type: &'static str,
        operation: &'static str,
        host: &'a str,
    }
    #[derive(serde::Serialize)]
    struct Entries<'a> {
        version: i32,
        acls: Vec<Entry<'a>>,
    }
    let entries = rules.iter().map(|rule| Entry {
        principal: rule.principal.to_string(),
        permission_type: effect_name(rule.effect),
        operation: operation_name(rule.operation),
        host: rule.host.as_deref().unwrap_or("*"),
    });
    bytes(&Entries { version: 1, acls: entries.collect() })
}

/// That the rules of a pattern changed which is not literal, version 1.
pub(super) fn change_of_rules(kind: &str, name: &str, pattern: &str) -> Bytes {
    #[derive(serde::Serialize)]
    struct Event<'a> {
        version: i32,
        #[serde(rename = "resourceType")]
        resource_type: &'a str,
        name: &'a str,
        #[serde(rename = "patternType")]
        pattern_type: &'a str,
    }
    bytes(&Event { version: 1, resource_type: kind, name, pattern_type: pattern })
}

/// A topic's identity as Kafka prints it: its 16 bytes in URL-safe base64 (RFC 4648 section 5)
/// without padding.
fn topic_id(id: TopicId) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // 128 bits are 21 digits of six bits and one of two, which stand at its top.
    let digit = |index: u32| match 122_u32.checked_sub(6 * index) {
        Some(shift) => id.0 >> shift,
        None => id.0 << 4,
    };
    (0..22).map(|index| char::from(ALPHABET[usize::from(digit(index) as u8 & 0x3f)])).collect()
}

/// `{}`.
#[derive(serde::Serialize)]
struct Empty {}

/// Listener names with their security protocols.
struct Securities<'a>(&'a [Endpoint]);

impl Serialize for Securities<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|end| (&end.listener, &end.security)))
    }
}

/// Partition numbers, as texts, with their replicas.
struct Replicas<'a>(&'a [Partition]);

impl Serialize for Replicas<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (number, partition) in self.0.iter().enumerate() {
            map.serialize_entry(&number, &[partition.leader.0])?;
        }
        map.end()
    }
}

/// Nothing here can fail to be serialized: there are only texts, numbers and text keys.
fn bytes(value: &impl Serialize) -> Bytes {
    let serialized = serde_json::to_vec(value);
    debug_assert!(serialized.is_ok(), "{serialized:?}");
    serialized.unwrap_or_default().into()
}
