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
use door_amqp::wire::PROTOCOL_HEADER;
use door_amqp::wire::frame::put_method;
use door_amqp::wire::method::ConnectionUpdateSecret;
use support::{Fixture, hello};

#[tokio::test]
async fn the_door_and_its_management_api_conform() {
    let fixture = Fixture::start().await;
    let mut flood = Vec::new();
    put_method(0, &ConnectionUpdateSecret::default(), &mut flood);
    let target = Target {
        door: Arc::clone(&fixture.door) as _,
        hello: hello(0),
        is_answer: |bytes| bytes.ends_with(b"\x01\0\0\0\0\0\x05\0\x0a\0\x29\0\xce"),
        oversize: Some([&PROTOCOL_HEADER[..], b"\x01\0\0\x7f\xff\xff\xff"].concat()),
        flood: Some(flood),
    };
    conformance::run_all(&target).await.unwrap();
    // Not at the same time: memory is the process's.
    let whoami = b"GET /api/whoami HTTP/1.1\r\nHost: h\r\n\r\n".to_vec();
    let target = Target {
        door: Arc::new(fixture.door.management()),
        hello: whoami.clone(),
        is_answer: |bytes| bytes.ends_with(b"}") && bytes.windows(4).any(|four| four == b"tags"),
        oversize: Some(
            b"PUT /api/queues/%2F/q HTTP/1.1\r\nHost: h\r\nContent-Length: 999999999\r\n\r\n"
                .to_vec(),
        ),
        flood: Some(whoami),
    };
    conformance::run_all(&target).await.unwrap();
}
