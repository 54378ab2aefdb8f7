//! The state machine: changes of the metadata store in, pictures of the cluster out. The same
//! changes always give the same picture, on every broker.

use std::sync::Arc;

use base::BrokerId;
use cluster::{Change, KeyValue, RangeResponse, WatchBatch};

use crate::{access, quotas};

use super::keys::{BrokerValue, Key, SetValue, TopicValue, UserValue};
use super::model::{Metadata, Topic};

/// A topic that a change created, changed or deleted.
#[derive(Debug, Clone)]
pub(crate) enum TopicChange {
    Put(Arc<Topic>),
    Deleted(Arc<Topic>),
}

impl TopicChange {
    pub(crate) fn topic(&self) -> &Topic {
        match self {
            Self::Put(topic) | Self::Deleted(topic) => topic,
        }
    }
}

impl Metadata {
    /// The picture at one revision. `own` answers for the cluster where no other broker does.
    pub(crate) fn load(range: &RangeResponse, own: BrokerId) -> Self {
        let mut metadata = Self {
            revision: range.revision,
            cluster_id: String::new(),
            controller: own,
            brokers: std::collections::BTreeMap::new(),
            topics: std::collections::BTreeMap::new(),
            topic_names: std::collections::HashMap::new(),
            users: Arc::default(),
            groups: std::collections::BTreeMap::new(),
            settings: Arc::default(),
            access: Arc::default(),
            quotas: Arc::default(),
            client_metrics: Arc::default(),
        };
        for kv in &range.kvs {
            metadata.put(kv);
        }
        metadata.elect(own);
        metadata
    }

    /// Applies the changes of one revision; returns what happened to topics.
    pub(crate) fn apply(&mut self, batch: &WatchBatch, own: BrokerId) -> Vec<TopicChange> {
        self.revision = batch.revision;
        let changes = batch.changes.iter().filter_map(|change| match change {
            Change::Put(kv) => self.put(kv),
            Change::Delete { key } => self.delete(key),
        });
        let changes = changes.collect();
        self.elect(own);
        changes
    }

    fn put(&mut self, kv: &KeyValue) -> Option<TopicChange> {
        match Key::parse(&kv.key) {
            Key::ClusterId => self.cluster_id = String::from_utf8_lossy(&kv.value).into_owned(),
            Key::Broker(id) => {
                let value: BrokerValue = decode(kv)?;
                self.brokers.insert(id, value.into_broker(id));
            }
            Key::Topic(name) => {
                let value: TopicValue = decode(kv)?;
                let topic = Arc::new(value.into_topic(name)?);
                self.topic_names.insert(topic.id, name.to_owned());
                self.topics.insert(name.to_owned(), Arc::clone(&topic));
                return Some(TopicChange::Put(topic));
            }
            Key::User(name) => {
                let value: UserValue = decode(kv)?;
                let user = Arc::new(value.into_user()?);
                Arc::make_mut(&mut self.users).insert(name.to_owned(), user);
            }
            Key::Group(name) => {
                let value: SetValue = decode(kv)?;
                self.groups.insert(name.to_owned(), Arc::new(value.config));
            }
            Key::Settings(whose) => {
                let value: SetValue = decode(kv)?;
                Arc::make_mut(&mut self.settings).insert(whose, Arc::new(value.config));
            }
            Key::Access(rest) => {
                access::stored::put(Arc::make_mut(&mut self.access), rest, &kv.value);
            }
            Key::Quota(rest) => {
                quotas::stored::put(Arc::make_mut(&mut self.quotas), rest, &kv.value);
            }
            Key::ClientMetrics(name) => {
                let config = Arc::new(decode(kv)?);
                Arc::make_mut(&mut self.client_metrics).insert(name.to_owned(), config);
            }
            Key::Other => {}
        }
        None
    }

    fn delete(&mut self, key: &[u8]) -> Option<TopicChange> {
        match Key::parse(key) {
            Key::Broker(id) => {
                self.brokers.remove(&id);
                None
            }
            Key::Topic(name) => {
                let topic = self.topics.remove(name)?;
                self.topic_names.remove(&topic.id);
                Some(TopicChange::Deleted(topic))
            }
            Key::User(name) => {
                Arc::make_mut(&mut self.users).remove(name);
                None
            }
            Key::Group(name) => {
                self.groups.remove(name);
                None
            }
            Key::Settings(whose) => {
                Arc::make_mut(&mut self.settings).remove(&whose);
                None
            }
            Key::Access(rest) => {
                access::stored::delete(Arc::make_mut(&mut self.access), rest);
                None
            }
            Key::Quota(rest) => {
                quotas::stored::delete(Arc::make_mut(&mut self.quotas), rest);
                None
            }
            Key::ClientMetrics(name) => {
                Arc::make_mut(&mut self.client_metrics).remove(name);
                None
            }
            Key::ClusterId | Key::Other => None,
        }
    }

    /// The broker that answers for the cluster's administration is the one with the lowest number:
    /// every broker can, so all that matters is that clients are told the same one.
    fn elect(&mut self, own: BrokerId) {
        self.controller = self.brokers.keys().next().copied().unwrap_or(own);
    }
}

/// A value that cannot be read was written by a newer version: it is left alone, and said.
fn decode<T: serde::de::DeserializeOwned>(kv: &KeyValue) -> Option<T> {
    serde_json::from_slice(&kv.value)
        .inspect_err(|error| {
            let key = String::from_utf8_lossy(&kv.key);
            tracing::error!(%key, %error, "cannot read a value of the metadata store");
        })
        .ok()
}
