//! The door over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    dead_code,
    unreachable_pub,
    reason = "tests fail by panicking, helpers of tests too"
)]

#[path = "../support/mod.rs"]
mod support;

mod closes;
mod lifetimes;
mod management;
mod messages;
mod streams;
mod timeouts;
