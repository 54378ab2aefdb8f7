//! Black-box tests: real clients, each in a process of its own, against the real binary.
//!
//! `cargo xtask test` builds the binary, installs the clients and runs everything. The parts here:
//! [`Serve`] and [`Broker`] start, stop, kill and restart a broker; [`Script`] runs a Python
//! client and reads the events it prints, and [`Java`] compiles clients that do the same;
//! [`Process`] is what all are made of: output is read as it comes and waited for with a deadline,
//! so no test needs to sleep.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "test support: to fail is to panic, with what was seen"
)]

mod broker;
mod faults;
mod figures;
mod java;
mod powercut;
mod process;
mod script;
mod suite;
mod tools;
mod turns;
mod zookeeper;

pub use broker::{Broker, Serve, entrepot};
pub use faults::{Faults, Misbehave};
pub use figures::{median, record_figure};
pub use java::Java;
pub use powercut::{PowerCut, Struck};
pub use process::{Exit, Process};
pub use script::{Python, Script};
pub use suite::{Outcome, Suite};
pub use tools::{binary, flights_table, kcat, node, root, scratch, tool};
pub use turns::{default_ports, free_port, quiet_machine, shared_machine};
pub use zookeeper::ZooKeeper;

use std::time::Duration;

/// How long anything may take that is not itself measured: long enough for a busy machine, short
/// enough that a hang is a failure and not a time-out of the whole run.
pub const PATIENCE: Duration = Duration::from_secs(60);
