//! Transactions: batches in several partitions, and committed offsets, that become visible
//! together or not at all.
//!
//! A deterministic state machine without I/O, driven as the group [`Coordinator`](crate::Coordinator)
//! is. It differs in one thing: ending a transaction puts out *one* [`TxnOutput::Persist`] that holds
//! the transaction's new state, a marker for each of its partitions, and its offsets. The caller
//! appends all of that as one atomic write, so a transaction ends in one step, and there is no state
//! between "ongoing" and "ended" that a crash could leave behind.
//!
//! ```text
//!            init                add                 end, time-out
//!  (nothing) ----> Empty / Ended ---> Ongoing ------------------> Ended (committed or aborted)
//! ```
//!
//! Requests for one transaction are carried out one after the other: while a step of it is on its
//! way to the disk, the next ones wait.

mod machine;
mod record;
mod types;

#[cfg(test)]
mod tests;

pub use machine::Transactions;
pub use types::{
    EndTxn, Ended, InitTxn, Marker, TxnConfig, TxnDescription, TxnError, TxnOutput, TxnPartition,
    TxnProducer, TxnResponse, TxnState,
};
