//! The door from outside, by frames that no client would send and by those that all do.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    unreachable_pub,
    dead_code,
    reason = "tests fail by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod errors;
mod messages;
mod streams;
