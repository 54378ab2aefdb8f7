//! What a broker needs to know to start.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{BrokerId, Clock, Random};

use crate::access::AccessOptions;
use crate::groups::GroupsTopic;
use crate::loggers::Loggers;
use crate::metadata::Endpoint;
use crate::quotas::QuotaOptions;
use crate::settings::Setting;

/// A broker's settings.
#[derive(Debug, Clone)]
pub struct BrokerOptions {
    /// Its number in the cluster.
    pub id: BrokerId,
    /// Where clients reach it.
    pub endpoints: Vec<Endpoint>,
    /// Where it stands, if configured.
    pub rack: Option<String>,
    /// Folder of the data, for tools to show.
    pub data_dir: String,
    /// Most bytes of all that waits for sessions, in the log; beyond it the oldest are deleted, whoever wants them.
    pub session_queue_bytes_max: u64,
    /// Topics are made when a client first names them.
    pub auto_create_topics: bool,
    /// Clients may delete topics.
    pub delete_topics: bool,
    /// Partitions of a topic whose creator did not say.
    pub default_partitions: i32,
    /// The broker's defaults for topics, by the topic's configuration key; what is not here has
    /// the default of [`crate::topic_config::TOPIC_KEYS`].
    pub topic_defaults: BTreeMap<String, String>,
    /// The broker's defaults for groups, by the group's configuration key; what is not here has
    /// the default of [`crate::group_config::GROUP_KEYS`].
    pub group_defaults: BTreeMap<String, String>,
    /// What groups may set, where that is less than the keys take.
    pub group_bounds: crate::group_config::Bounds,
    /// Most members of one share group.
    pub share_members_max: usize,
    /// What the name of a topic must begin with to be one for dead letters.
    pub dead_letter_prefix: String,
    /// A topic for dead letters is made when a record needs it.
    pub auto_create_dead_letter_topics: bool,
    /// Settings of consumer groups.
    pub groups: queue::Config,
    /// The topic in which a protocol shows what groups have committed, if one does.
    pub groups_topic: Option<Arc<dyn GroupsTopic>>,
    /// Settings of transactions.
    pub transactions: queue::transactions::TxnConfig,
    /// Who may do what.
    pub access: AccessOptions,
    /// How usage is measured against quotas.
    pub quotas: QuotaOptions,
    /// What the broker was started with, for tools to show; of keys that can be changed
    /// ([`crate::settings::BROKER_KEYS`]), what they were before.
    pub settings: Vec<Setting>,
    /// How much is told in the log.
    pub loggers: Arc<dyn Loggers>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
}
