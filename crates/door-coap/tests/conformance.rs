//! The suite that every door must pass, on a real broker. In a binary of its own, because memory is a property of
//! the process.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    dead_code,
    unreachable_pub,
    reason = "tests fail by panicking"
)]

mod support;

use std::sync::Arc;

use door::conformance::{self, Target};
use support::Fixture;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_door_conforms() {
    let fixture = Fixture::start().await;
    let target = Target {
        door: Arc::clone(&fixture.door) as _,
        // A CSM, and a ping, whose pong ends the answer.
        hello: b"\x00\xe1\x00\xe2".to_vec(),
        is_answer: |bytes| bytes.ends_with(b"\x00\xe3"),
        oversize: Some(b"\xf0\x7f\xff\xff\xff\xe1".to_vec()),
        // What there is, again and again.
        flood: Some(b"\xd0\x04\x01\xbb.well-known\x04core".to_vec()),
    };
    conformance::run_all(&target).await.unwrap();
}
