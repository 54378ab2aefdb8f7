//! Groups of consumers and the offsets that they commit.
//!
//! A sans-I/O, deterministic state machine: no clock, no task, no lock, no log. Time comes in as
//! an argument; what has to happen outside comes out as a list of [`Output`]s. The caller's loop
//! is therefore short:
//!
//! 1. call an input of the [`Coordinator`] ([`Coordinator::join`], [`Coordinator::tick`], …),
//! 2. run [`Coordinator::take_outputs`] in order: answer a [`Output::Reply`], hand the records of
//!    a [`Output::Persist`] to the journal,
//! 3. when those records are durable, or have failed, call [`Coordinator::persisted`], and run
//!    what that puts out.
//!
//! Two orders matter. Records must reach the journal in the order in which they were put out (hand
//! them over before letting go of the lock around the coordinator); whether completions are
//! reported in that order does not matter.
//!
//! # A classic group's life
//! ```text
//!             first join                 all joined, or deadline
//!   Empty ----------------> Preparing --------------------------> Completing
//!     ^                      ^  |                                     |
//!     | last member gone     |  | nobody left        leader's         |
//!     +----------------------|--+                    assignment       |
//!     |                      |                       is durable       v
//!     | deleted              +---------------------------------->  Stable
//!     v                        join, leave, expiry
//!   Dead
//! ```
//!
//! Consumer groups live differently: see [`consumer_group`]. So do share groups: see [`share_group`],
//! and [`shared`] for what they consume.
//!
//! # Cost
//! A heartbeat is one hash look-up of the group and one tree look-up of the member; it moves no
//! timer (a timer that fires too early is set again). Joining, leaving and expiring cost
//! O(log timers) and, when they end a phase of a rebalance, O(members of that group). Nothing but
//! listing, the snapshot and a topic's deletion looks at all groups; the sweep for expired offsets
//! examines a bounded number per tick.

mod config;
pub mod consumer_group;
mod coordinator;
pub mod dispatch;
mod error;
pub mod group;
pub mod offsets;
mod output;
pub mod record;
pub mod share_group;
pub mod shared;
pub mod transactions;

pub use config::Config;
pub use coordinator::{Coordinator, Counts};
pub use error::GroupError;
pub use output::{Output, Persisted, Response, Ticket};

/// A name shared by reference: of a group, a member, a topic.
pub type Name = std::sync::Arc<str>;
