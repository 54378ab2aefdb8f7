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
//! # Where other queues will hook in
//! - *A negative acknowledgement with a delay*: [`Disposition::Release`] makes a record available at
//!   once. A variant of it that carries a time needs a state beside `State::Available` that
//!   [`Subscriptions::tick`] turns into it, as it does with leases.
//! - *Priorities and dispatch policies*: [`Subscriptions::begin_read`] decides what is taken next,
//!   and the caller decides who asks first. A policy replaces the order of the one, or the other.
//! - *A single active consumer*: refuse [`Subscriptions::begin_read`] to all holders but one.

mod outputs;
mod partition;
mod runs;
mod store;
mod subscriptions;
mod types;

#[cfg(test)]
mod tests;

pub use outputs::{DeadLetter, SharedOutput, SharedResponse};
pub use subscriptions::Subscriptions;
pub use types::{
    Acknowledgement, Acquired, Disposition, PartitionKey, Position, Region, SharedConfig,
    SharedError, Span, Take, Terms, Why,
};
