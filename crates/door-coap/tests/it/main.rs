//! The door on real sockets, with messages that another library reads and writes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    dead_code,
    unreachable_pub,
    reason = "tests fail by panicking"
)]

mod access;
mod blocks;
mod calls;
mod discovery;
mod hostile;
mod messages;
mod observe;
mod secure;
mod stream;
#[path = "../support/mod.rs"]
mod support;
mod topics;
