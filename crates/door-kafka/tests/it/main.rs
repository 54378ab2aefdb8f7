//! The Kafka door over real sockets, on a real broker, by raw requests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "a test stops at the first surprise; not every binary uses all of the support"
)]

mod access;
mod admin;
mod broker_configs;
mod configs;
mod fetch;
mod fetch_sessions;
mod groups;
mod list_offsets;
mod logins;
mod metadata;
mod newest;
mod old_formats;
mod produce;
mod quotas;
mod records;
mod sessions;
mod shares;
mod single;
#[path = "../support/mod.rs"]
mod support;
mod telemetry;
mod transactions;
mod versions;
