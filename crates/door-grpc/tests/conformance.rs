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

/// The preface of HTTP/2, and settings that say nothing (RFC 9113, sections 3.4 and 6.5).
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A frame of 16 MiB, for a call that has not begun.
const OVERSIZE: &[u8] = b"\xff\xff\xff\0\0\0\0\0\x01";

/// A ping (section 6.7), which must be answered.
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0entrepot";

/// Settings frames begin so, behind their length.
const SETTINGS: u8 = 4;

#[tokio::test]
async fn the_door_conforms() {
    let fixture = Fixture::start().await;
    let target = Target {
        door: Arc::clone(&fixture.door) as _,
        hello: HELLO.into(),
        is_answer: |bytes| bytes.len() >= 9 && bytes[3] == SETTINGS,
        oversize: Some([HELLO, OVERSIZE].concat()),
        flood: Some(PING.into()),
    };
    conformance::run_all(&target).await.unwrap();
}
