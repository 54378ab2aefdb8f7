//! The HTTP door on a broker of its own, asked with bytes of HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    dead_code,
    unreachable_pub,
    reason = "tests fail by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod administration;
mod console;
mod messages;
mod socket;
mod watching;
