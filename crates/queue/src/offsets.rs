//! Committed offsets: how far each group has read each partition.
//!
//! A value counts once it is durable. What is on its way there is kept beside it, so that a
//! deletion also reaches it and completions may come in any order.

mod store;
mod types;

pub use types::{CommitRequest, Committed, DeleteOffsetsRequest, OffsetCommit, PartitionOffset};

pub(crate) use store::{Offsets, Resume};
