//! The suite that every door must pass, on a real broker. In a binary of its own, because memory is a property of
//! the process.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking, helpers of tests too")]

use std::sync::Arc;

use door::Door;
use door::conformance::{self, Target};
use door_mqtt::{MqttDoor, MqttDoorOptions};
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_door_conforms() {
    let dir = TempDir::new().unwrap();
    let (broker, _) = broker::testing::start(dir.path(), |_| {}).await;
    let target = Target {
        door: Arc::new(MqttDoor::new(broker, MqttDoorOptions::default())) as Arc<dyn Door>,
        // A client of 3.1.1 without a name, and with a clean session.
        hello: b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00".to_vec(),
        is_answer: |bytes| bytes.len() == 4,
        oversize: Some(b"\x10\xff\xff\xff\x7f".to_vec()),
        // SUBSCRIBE to `a` again and again: an answer each.
        flood: Some(b"\x82\x06\x00\x01\x00\x01a\x00".to_vec()),
    };
    conformance::run_all(&target).await.unwrap();
}
