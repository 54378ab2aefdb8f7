//! Shared subscriptions: many consumers take records from one partition, each record goes to one of
//! them at a time, and each is acknowledged for itself (KIP-932). The engine under every queue.
//!
//! A deterministic state machine without I/O, driven as the group
//! [`Coordinator`](crate::Coordinator) is: inputs with a time, outputs to carry out in order,
//! [`Subscriptions::persisted`] when what was to be written is written. It never sees a record, only
//! offsets; whoever calls it reads the log.
//!
//! # A record's life
//! ```text
//!              acquire                      accept, gap
//!   (not yet) ---------> Acquired ------------------------------> Done
//!                        ^   |  |                                  ^
//!                acquire |   |  | reject, or released once too     | buried: its copy is in the
//!                        |   |  | often                            | dead letter topic, or is not
//!                        |   |  +----------------------> Dead ------+ wanted
//!                        |   | release, lease over, holder gone
//!                        +- Available
//! ```
//! A lease ends by itself; its holder may renew it. What has come back is delivered before what is
//! new. The partition's window runs from its *start offset*, the first record that is not done, to
//! its *end*, the first that was never acquired. It is bounded, so a record that is stuck stops new
//! ones some thousand records later, not the memory. State is kept as runs of records that share
//! it: a subscription whose consumers keep up costs a handful of them.
//!
//! # Durability
//! What changed is written as a delta: the start offset, and the runs that are new. An
//! acknowledgement is answered when it is durable, so what was confirmed is never delivered again.
//! An acquisition is written along with the next delta, a second later at most; it waits for
//! nothing. So a crash costs records that were acquired at most a count of one delivery, and
//! restores them as available. If a write fails, nobody is told that it worked, and the next one
//! writes the whole partition.
//!
//! # Queues
//! A [`Ledger`] is one partition by itself, driven by the one who owns it: a queue knows its consumers, its
//! credit and its order, and asks only what is available, and says what became of it. There are no holders and no leases
//! in it; what was acquired comes back with a restart, counted. Its window has no bound, since its runs are bounded by
//! what is held. What is to be written is taken when it is to be written, by whoever writes it.

mod ledger;
mod outputs;
mod partition;
mod runs;
mod store;
mod subscriptions;
mod types;

#[cfg(test)]
mod tests;

pub use ledger::{Ledger, Ledgers, Returned};
pub use outputs::{DeadLetter, SharedOutput, SharedResponse};
pub use subscriptions::Subscriptions;
pub use types::{
    Acknowledgement, Acquired, Disposition, PartitionKey, Position, Region, SharedConfig,
    SharedError, Span, Take, Terms, Why,
};
