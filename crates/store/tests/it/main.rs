//! The store as the broker sees it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    reason = "a test stops at the first surprise"
)]

mod append_read;
mod bits;
mod compaction;
mod compaction_model;
mod crash;
mod damage;
mod faults;
mod formats;
mod golden;
mod keeping;
mod many;
mod model;
mod producers;
mod support;
