//! The cluster's metadata: a deterministic state machine over the metadata store.

pub(crate) mod follow;
pub(crate) mod keys;
mod machine;
mod model;

pub(crate) use machine::TopicChange;
pub use model::{BrokerInfo, Endpoint, Metadata, Partition, Topic, User};

#[cfg(test)]
mod tests;
