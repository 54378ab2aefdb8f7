//! The core's facade: one handle, [`Broker`], one file per verb. It names no protocol; doors map
//! theirs onto these verbs.

pub mod access;
mod broker;
pub mod client_metrics;
pub mod discovery;
pub mod exchanges;
mod followed;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
pub mod group_config;
pub mod groups;
pub mod live;
pub mod loggers;
mod message;
pub mod metadata;
pub mod observing;
mod options;
mod partitioner;
pub mod policies;
pub mod queues;
pub mod quotas;
pub mod registry;
pub mod remedies;
pub mod retained;
pub mod sessions;
pub mod settings;
pub mod topic_config;
mod topics;
mod verbs;

pub use broker::{Broker, StartError};
pub use groups::{AddOffsetsError, Groups};
pub use message::{
    Death, DeathReason, Message, Original, PlainMessage, Properties, PublisherId, Via,
};
pub use options::BrokerOptions;
pub use partitioner::{Partitioner, hash_partition};
pub use topics::OpenTopic;
pub use verbs::alter_group::GroupConfigError;
pub use verbs::alter_user::UserError;
pub use verbs::browse::{BrowseLimits, Browsed, Found};
pub use verbs::change_quotas::QuotaError;
pub use verbs::change_rules::RuleError;
pub use verbs::create_topic::{NewTopic, TopicError};
pub use verbs::fetch::{Fetch, FetchError, FetchLimits, Fetched};
pub use verbs::find_offset::{FoundOffset, Position};
pub use verbs::produce::{Produce, ProduceError, Produced, Producing, Refusal, RefusedRecord};
pub use verbs::publish::Published;
pub use verbs::read::Reader;
pub use verbs::take::{Settle, SharedPartition, TakeError, TakeLimits, Taken};
pub use verbs::trim::TrimError;
pub use verbs::write_markers::{MarkerError, WriteMarker};

// What doors need of the layers below, so that they depend on this crate alone.
pub use cluster::MetaError;
pub use observe;
pub use queue;
pub use store;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
