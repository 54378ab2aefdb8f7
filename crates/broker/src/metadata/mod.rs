//! The cluster's metadata: a deterministic state machine over the metadata store.

mod model;

pub use model::{BrokerInfo, Endpoint, Metadata, Partition, Topic};
