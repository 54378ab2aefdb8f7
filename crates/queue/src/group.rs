//! Classic groups: members join, a leader among them assigns the work, heartbeats keep it.
//!
//! The state machine is that of the consumer groups that clients have spoken for a decade, with
//! the member id given before the first join counts (KIP-394), static members (KIP-345), a limit on
//! the size (KIP-389), reasons (KIP-800) and the skipped assignment of a restarted static leader
//! (KIP-814). Cooperative rebalancing (KIP-429) is a matter between the members: to us a member
//! keeps its assignment until the next one.

#[cfg(test)]
mod check;
mod describe;
mod heartbeat;
mod join;
mod leave;
mod member;
mod membership;
mod rebalance;
mod restore;
mod state;
mod static_member;
mod sync;
mod timers;
mod types;

pub use describe::{Description, Filter, Listing, MemberDescription, Rebalance};
pub use types::{
    GroupKind, GroupState, JoinRefused, JoinRequest, Joined, JoinedMember, LeaveRequest, Leaver,
    Protocol, SyncRequest, Synced,
};

pub(crate) use describe::Idle;
pub(crate) use heartbeat::Caller;
pub(crate) use member::shorten;
pub(crate) use membership::{Membership, check_name};
pub(crate) use restore::{TIMEOUTS, check as check_restored};
pub(crate) use state::Usage;
pub(crate) use timers::{Timer, Timers};
