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
use support::Fixture;

#[tokio::test]
async fn the_door_conforms() {
    let fixture = Fixture::start().await;
    let target = Target {
        door: Arc::clone(&fixture.door) as _,
        hello: b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(),
        is_answer: |bytes| bytes.ends_with(b"{\"status\":\"ok\"}"),
        oversize: Some(
            b"POST /api/v1/topics HTTP/1.1\r\nHost: h\r\nContent-Length: 16777217\r\n\r\n".to_vec(),
        ),
        flood: Some(b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n".to_vec()),
    };
    conformance::run_all(&target).await.unwrap();
}
