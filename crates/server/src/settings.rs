//! What the broker was started with, under the names that Kafka's tools know, for them to show.

use std::collections::HashMap;

use broker::metadata::Endpoint;
use broker::settings::Setting;
use broker::topic_config::{ConfigKey, Kind};

use crate::build::Bound;
use crate::config::kafka_keys::{Convert, KAFKA_KEYS, Meaning};
use crate::config::keys::{self, Field, Key};
use crate::config::{Config, Door, Origin};

/// "No limit" where a rate has a fraction.
const NO_RATE: &str = "1.7976931348623157E308";

/// What is so whatever the configuration says.
#[rustfmt::skip]
const FIXED: &[(&str, Kind, &str, &str)] = &[
    ("default.replication.factor", Kind::Int(1, 1), "1", "Copies of a topic made on its first use: one."),
    ("group.coordinator.rebalance.protocols", Kind::List, "classic,consumer,share", "The protocols of groups that are spoken."),
    ("log.cleaner.threads", Kind::Int(1, 1), "1", "Threads that compact: one."),
    ("log.message.downconversion.enable", Kind::Boolean, "true", "Whether messages are converted for clients older than record batches."),
    ("min.insync.replicas", Kind::Int(1, 1), "1", "Copies that acks=all waits for: the one there is."),
    ("offset.metadata.max.bytes", Kind::Int(4096, 4096), "4096", "Longest note stored with an offset, in bytes."),
    ("process.roles", Kind::List, "broker,controller", "This process is broker and controller in one."),
    ("transaction.partition.verification.enable", Kind::Boolean, "true", "Whether it is checked that a transaction has the partition which is written to."),
];

/// Every key that says something here, with what it says.
pub(crate) fn settings(config: &Config, bound: &[Bound], endpoints: &[Endpoint]) -> Vec<Setting> {
    let mut copy = config.clone();
    let mut all: Vec<Setting> = KAFKA_KEYS
        .iter()
        .filter(|row| !row.name.ends_with('.'))
        .filter_map(|row| {
            let Meaning::Sets(ours, convert) = &row.meaning else { return None };
            let key = keys::find(ours)?;
            let value = key.get(&mut copy);
            let secret = key.is_secret() || matches!(convert, Convert::Users);
            let shown = if secret { None } else { Some(convert.back(&value)?) };
            Some(Setting {
                name: row.name,
                kind: kind(key),
                value: shown,
                is_set: *config.origin(ours) != Origin::Default,
                default: convert.back(key.default).filter(|_| !secret),
                doc: key.doc,
            })
        })
        .collect();
    all.extend(FIXED.iter().map(|(name, kind, value, doc)| Setting {
        name,
        kind: *kind,
        value: Some((*value).to_owned()),
        is_set: false,
        default: Some((*value).to_owned()),
        doc,
    }));
    all.extend(addresses(config, bound, endpoints));
    all
}

/// Who the broker is, and where.
fn addresses(config: &Config, bound: &[Bound], endpoints: &[Endpoint]) -> Vec<Setting> {
    let kafka = bound.iter().filter(|bound| bound.config.door == Door::Kafka);
    let listener = |bound: &Bound| {
        let host = crate::config::bracketed(&bound.config.host);
        format!("{}://{host}:{}", bound.config.name, bound.listener.local_address().port())
    };
    let listeners: Vec<_> = kafka.map(listener).collect();
    let advertised = |endpoint: &Endpoint| {
        let host = crate::config::bracketed(&endpoint.host);
        format!("{}://{host}:{}", endpoint.listener, endpoint.port)
    };
    let advertised: Vec<_> = endpoints.iter().map(advertised).collect();
    let protocols = endpoints.iter().map(|e| format!("{}:{}", e.listener, e.security));
    let protocols: Vec<_> = protocols.collect();
    let id = config.broker.id.to_string();
    let set = |name, key, kind, value: String| {
        let doc = keys::find(key).map_or("", |key| key.doc);
        // No default says where a broker is, so each has it set, as in Kafka.
        Setting { name, kind, value: Some(value), is_set: true, default: None, doc }
    };
    let text = Kind::Text(usize::MAX);
    let number = Kind::Int(0, i32::MAX.into());
    let mut all = vec![
        set("advertised.listeners", "kafka.advertised_listeners", Kind::List, advertised.join(",")),
        set("broker.id", "broker.id", number, id.clone()),
        set("listener.security.protocol.map", "kafka.listener_security", text, protocols.join(",")),
        set("listeners", "kafka.listeners", Kind::List, listeners.join(",")),
        set("log.dirs", "storage.dir", Kind::List, config.storage.dir.display().to_string()),
        set("node.id", "broker.id", number, id),
    ];
    let elsewhere = config.registration.zookeeper.clone();
    if !elsewhere.is_empty() {
        all.push(set("zookeeper.connect", "registration.zookeeper", text, elsewhere));
    }
    all
}

/// What our key's values look like to Kafka's tools.
fn kind(key: &Key) -> Kind {
    let any_int = Kind::Int(i32::MIN.into(), i32::MAX.into());
    match key.field {
        Field::Bool(_) => Kind::Boolean,
        Field::U16(_) | Field::I32(..) | Field::Usize(..) | Field::MaybeUsize(_) => any_int,
        Field::U64(..) | Field::MaybeU64(_) => Kind::Long(i64::MIN, i64::MAX),
        Field::List(_) | Field::CheckedList(..) => Kind::List,
        Field::Topic(_, name) => ConfigKey::find(name).map_or(Kind::List, |key| key.kind),
        _ => Kind::Text(usize::MAX),
    }
}

impl Convert {
    /// The value that Kafka's key would have for ours; `None` where no value says it.
    fn back(&self, ours: &str) -> Option<String> {
        match self {
            Self::Same | Self::AtMost(_) => Some(ours.to_owned()),
            Self::Times(factor) => {
                let number: i64 = ours.parse().ok()?;
                let fits = number % factor == 0;
                if number < 0 {
                    Some("-1".to_owned())
                } else {
                    fits.then(|| (number / factor).to_string())
                }
            }
            Self::Rate => Some(if ours == "-1" { NO_RATE } else { ours }.to_owned()),
            Self::ZeroIsNone => Some(if ours == "-1" { "0" } else { ours }.to_owned()),
            Self::FileUrl if ours.is_empty() => Some(String::new()),
            Self::FileUrl => Some(format!("file:{ours}")),
            Self::Users => None,
            Self::Words(words) => {
                // Of several that mean the same, the first is shown.
                let named: HashMap<_, _> =
                    words.iter().rev().map(|(word, ours)| (*ours, *word)).collect();
                named.get(ours).map(|word| (*word).to_owned())
            }
        }
    }
}
