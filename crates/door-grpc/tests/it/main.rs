//! The door from outside, by generated clients.

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

mod calls;
mod discover;
mod logins;
mod publish;
mod requests;
mod subscribe;
mod topics;
