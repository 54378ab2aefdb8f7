//! The suite that every door must pass. In a binary of its own, because memory is a property of the
//! process.

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
use support::{Fixture, HELLO};

#[tokio::test]
async fn the_door_conforms() {
    let fixture = Fixture::start().await;
    let oversize = format!("{HELLO}SEND\ndestination:/queue/q\ncontent-length:99999999\n\n");
    let target = Target {
        door: Arc::clone(&fixture.door) as _,
        hello: HELLO.into(),
        is_answer: |bytes| bytes.starts_with(b"CONNECTED\n") && bytes.ends_with(b"\n\n\0\n"),
        oversize: Some(oversize.into()),
        flood: Some(
            b"BEGIN\ntransaction:t\nreceipt:1\n\n\0ABORT\ntransaction:t\nreceipt:2\n\n\0".into(),
        ),
    };
    conformance::run_all(&target).await.unwrap();
}
