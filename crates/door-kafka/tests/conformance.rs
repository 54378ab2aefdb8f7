//! The suite that every door must pass, on a real broker. In a binary of its own, because memory
//! is a property of the process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    dead_code,
    unreachable_pub,
    reason = "a test stops at the first surprise; not every binary uses all of the support"
)]

mod support;

use std::sync::Arc;

use door::Door;
use door::conformance::{self, Target};
use door_kafka::wire::encode_request;
use door_kafka::wire::messages::{ApiVersionsRequest, MetadataRequest};
use support::Fixture;

fn is_answer(bytes: &[u8]) -> bool {
    bytes.first_chunk::<4>().is_some_and(|length| {
        bytes.len() == 4 + usize::try_from(u32::from_be_bytes(*length)).unwrap()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_door_conforms() {
    let fixture = Fixture::start().await;
    let hello = encode_request(&ApiVersionsRequest::default(), 0, 1, Some("test")).unwrap();
    let flood = encode_request(&MetadataRequest::default(), 1, 2, Some("test")).unwrap();
    let target = Target {
        door: Arc::clone(&fixture.door) as Arc<dyn Door>,
        hello: hello.to_vec(),
        is_answer,
        oversize: Some(0x7fff_ffff_u32.to_be_bytes().to_vec()),
        flood: Some(flood.to_vec()),
    };
    conformance::run_all(&target).await.unwrap();
}
