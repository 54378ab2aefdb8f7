//! What the cluster agrees on, as plain immutable data.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base::{BrokerId, Credential, LogId, Millis, PasswordHash, TopicId};

use crate::access::Rules;
use crate::quotas::Quotas;
use crate::settings::Values;

/// Everything the cluster agrees on, at one revision. Never changed in place: each change makes a
/// new value, so a reader holds one consistent picture for as long as it likes.
#[derive(Debug, Clone)]
pub struct Metadata {
    /// Revision of the metadata store that this picture shows; grows with every change.
    pub revision: u64,
    /// The cluster's identity: 22 characters of URL-safe base64.
    pub cluster_id: String,
    /// The broker that answers for the cluster's administration.
    pub controller: BrokerId,
    /// Brokers alive now.
    pub brokers: BTreeMap<BrokerId, BrokerInfo>,
    /// Topics by name.
    pub topics: BTreeMap<String, Arc<Topic>>,
    /// Names by identity.
    pub topic_names: HashMap<TopicId, String>,
    /// Users who log in with a password, by name.
    pub users: Arc<BTreeMap<String, Arc<User>>>,
    /// What is set on groups, by their names.
    pub groups: BTreeMap<String, Arc<BTreeMap<String, String>>>,
    /// What is set for single brokers while they run, and under `None` for all of them (see
    /// [`crate::settings`]). The same value for as long as nothing of it changes.
    pub settings: Arc<BTreeMap<Option<BrokerId>, Arc<Values>>>,
    /// Who may do what. The same value for as long as no rule changes.
    pub access: Arc<Rules>,
    /// How much of the broker somebody may use. The same value for as long as no quota changes.
    pub quotas: Arc<Quotas>,
    /// Subscriptions to clients' metrics, by name: what is set on each (see
    /// [`crate::client_metrics`]).
    pub client_metrics: Arc<BTreeMap<String, Arc<BTreeMap<String, String>>>>,
}

impl Metadata {
    /// The topics that whoever asks for all is told of, by name. What the broker keeps for itself is told to who names
    /// it: no client that counts topics, or reads all of them, comes upon it by chance.
    pub fn listed(&self) -> impl Iterator<Item = (&String, &Arc<Topic>)> {
        self.topics.iter().filter(|(_, topic)| !topic.internal)
    }
}

/// Somebody who logs in with a password.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    /// What is kept of the password, for each hash that the user may log in with. Never empty.
    pub credentials: BTreeMap<PasswordHash, Credential>,
}

/// One broker, as clients need to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerInfo {
    /// Its number.
    pub id: BrokerId,
    /// Where clients reach it, one for each advertised listener.
    pub endpoints: Vec<Endpoint>,
    /// Where it stands (`broker.rack`), if configured.
    pub rack: Option<String>,
    /// When it registered.
    pub registered_at: Millis,
}

/// One advertised address of a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The listener's name, such as `PLAINTEXT`.
    pub listener: String,
    /// The security protocol that it speaks: `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.
    pub security: String,
    /// Host name or address, as advertised.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// A named, durable, partitioned log with configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its identity; a topic deleted and created again has another.
    pub id: TopicId,
    /// Its partitions, by number.
    pub partitions: Vec<Partition>,
    /// Only what was set on this topic; everything else has the broker's default.
    pub config: BTreeMap<String, String>,
    /// When it was created.
    pub created_at: Millis,
    /// Made by the broker for its own use; clients may read it but not write to it.
    pub internal: bool,
}

/// One partition of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// The log that holds its records.
    pub log: LogId,
    /// The broker that owns it.
    pub leader: BrokerId,
    /// Grows each time that ownership moves; stamped into every batch.
    pub leader_epoch: i32,
}

impl Metadata {
    /// The topic with this identity, if it exists.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.topic_names.get(&id).and_then(|name| self.topics.get(name))
    }
}
