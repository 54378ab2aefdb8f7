//! Groups of consumers that take from shared subscriptions (KIP-932): who is there, and which
//! partitions each is to look at. A partition may be looked at by many; which record goes to whom
//! is decided by the engine in [`crate::shared`].
//!
//! There is nothing to hand over, so there is no reconciliation: a member uses what it was told
//! last. The *group epoch* grows with every change of members, subscriptions and topics; the next
//! heartbeat of each member brings it the assignment of that epoch.
//!
//! Members are kept in memory alone. After a restart of the broker they are told that they are
//! unknown, and join again at once; nothing but that round trip depends on it. That a group exists
//! is journalled.

mod assignor;
mod groups;
mod store;

#[cfg(test)]
mod tests;

pub use assignor::ASSIGNOR;
pub use groups::{
    ShareDescription, ShareGroups, ShareHeartbeat, ShareHeartbeatRequest, ShareMemberDescription,
};
