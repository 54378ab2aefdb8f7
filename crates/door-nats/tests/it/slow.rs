//! Subscribers that do not read.

use door_nats::NatsDoorOptions;
use tokio::io::AsyncReadExt;

use crate::support::{Client, Fixture, HANG};

#[tokio::test]
async fn one_that_does_not_read_is_cut_off_and_the_others_get_everything() {
    let options = NatsDoorOptions { pending_bytes_max: 4 << 20, ..NatsDoorOptions::default() };
    let fixture = Fixture::with(options, |_| {}).await;
    let mut stuck = fixture.usual().await;
    stuck.say("SUB a 1\r\n").await;
    stuck.expect_nothing().await;
    let mut reader = fixture.usual().await;
    reader.say("SUB a 1\r\n").await;
    reader.expect_nothing().await;
    let mut writer = fixture.usual().await;
    let payload = "x".repeat(64 * 1024);
    let count = 400;
    let writing = tokio::spawn(async move {
        for _ in 0..count {
            writer.say(&format!("PUB a {}\r\n{payload}\r\n", payload.len())).await;
        }
        writer.expect_nothing().await;
    });
    for _ in 0..count {
        assert_eq!(reader.line().await, "MSG a 1 65536");
        reader.line().await;
    }
    writing.await.unwrap();
    reader.expect_nothing().await;
    // What it gets in the end is cut short.
    let got = drain(&mut stuck).await;
    assert!(got < count * 64 * 1024, "{got} bytes: it was not cut off");
    let (mut next, _) = fixture.connect().await;
    next.say("CONNECT {\"verbose\":false}\r\n").await;
    next.expect_nothing().await;
}

/// Reads to the end; how much that is.
async fn drain(client: &mut Client) -> usize {
    let mut scratch = vec![0; 1 << 16];
    let mut all = 0;
    loop {
        let read = tokio::time::timeout(HANG, client.stream.read(&mut scratch)).await;
        match read.expect("the end comes") {
            Ok(0) | Err(_) => return all,
            Ok(count) => all += count,
        }
    }
}
