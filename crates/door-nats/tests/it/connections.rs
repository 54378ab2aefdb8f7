//! How connections begin, live and end.

use std::time::Duration;

use door_nats::NatsDoorOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::support::{Client, Fixture, HANG};

#[tokio::test]
async fn a_client_is_told_what_libraries_look_at() {
    let fixture = Fixture::start().await;
    let (_client, info) = fixture.connect().await;
    assert_eq!(info["proto"], 1);
    assert_eq!(info["headers"], true);
    assert_eq!(info["max_payload"], 1_048_576);
    assert_eq!(info["client_id"], 1);
    assert_eq!(info["client_ip"], "127.0.0.1");
    assert_eq!(info["port"], fixture.listener.local_address().port());
    assert_eq!(info["server_id"].as_str().map(str::len), Some(56));
    let version = info["version"].as_str().expect("a version");
    assert!(version.split('.').all(|part| part.parse::<u32>().is_ok()), "{version}");
    assert_eq!(info.get("auth_required"), None);
}

#[tokio::test]
async fn a_verbose_client_is_answered_each_time() {
    let fixture = Fixture::start().await;
    let (mut client, _) = fixture.connect().await;
    client.say("CONNECT {}\r\nSUB a 1\r\nPUB b 0\r\n\r\nUNSUB 1\r\nPING\r\n").await;
    client.expect("+OK\r\n+OK\r\n+OK\r\n+OK\r\nPONG\r\n").await;
    // And one that says nothing about it is not.
    let (mut client, _) = fixture.connect().await;
    client.say("SUB a 1\r\nPUB a 1\r\nx\r\nPING\r\n").await;
    client.expect("MSG a 1 1\r\nx\r\nPONG\r\n").await;
}

#[tokio::test]
async fn names_that_are_none_are_refused_and_the_connection_goes_on() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client(r#"{"verbose":false,"pedantic":true}"#).await;
    for bad in ["a..b", ".a", "a.", "a.>.b"] {
        client.say(&format!("SUB {bad} 1\r\n")).await;
        client.expect("-ERR 'Invalid Subject'\r\n").await;
    }
    client.say("PUB a.* 0\r\n\r\nPUB a..b 0\r\n\r\n").await;
    client.expect("-ERR 'Invalid Publish Subject'\r\n-ERR 'Invalid Publish Subject'\r\n").await;
    client.expect_nothing().await;
    let mut lenient = fixture.usual().await;
    lenient.say("SUB > 1\r\nPUB a..b 0\r\n\r\n").await;
    lenient.expect_nothing().await;
}

#[tokio::test]
async fn what_is_no_operation_ends_the_connection_with_the_text_for_it() {
    let fixture = Fixture::start().await;
    let long = format!("SUB {} 1\r\n", "a".repeat(5000));
    let cases = [
        ("HELLO\r\n", "-ERR 'Unknown Protocol Operation'\r\n"),
        ("PUB a x\r\n", "-ERR 'Unknown Protocol Operation'\r\n"),
        ("PUB a 2\r\nabc\r\n", "-ERR 'Unknown Protocol Operation'\r\n"),
        ("CONNECT {\r\n", "-ERR 'Unknown Protocol Operation'\r\n"),
        ("CONNECT {\"protocol\":7}\r\n", "-ERR 'invalid client protocol'\r\n"),
        (
            "CONNECT {\"no_responders\":true}\r\n",
            "-ERR 'no responders requires headers support'\r\n",
        ),
        ("PUB a 1048577\r\n", "-ERR 'Maximum Payload Violation'\r\n"),
        (&long, "-ERR 'maximum control line exceeded'\r\n"),
    ];
    for (said, told) in cases {
        let (mut client, _) = fixture.connect().await;
        client.say(said).await;
        client.expect_end(told).await;
    }
    let mut fine = fixture.usual().await;
    fine.expect_nothing().await;
}

/// A socket that is closed with something unread takes back what was written to it.
#[tokio::test]
async fn why_it_is_the_end_arrives_though_the_client_goes_on_sending() {
    let fixture = Fixture::start().await;
    for (bad, told) in [
        (&b"HELLO\r\n"[..], "-ERR 'Unknown Protocol Operation'\r\n"),
        (b"PUB a 1048577\r\n", "-ERR 'Maximum Payload Violation'\r\n"),
    ] {
        let (client, _) = fixture.connect().await;
        let (mut read, mut write) = client.stream.into_split();
        let much = [bad, &vec![b'x'; 8 << 20]].concat();
        let sending = tokio::spawn(async move { write.write_all(&much).await });
        let mut seen = Vec::new();
        let ended = timeout(HANG, read.read_to_end(&mut seen)).await.expect("an end");
        ended.expect("an orderly one");
        assert_eq!(String::from_utf8_lossy(&seen), told);
        sending.await.unwrap().expect("nothing is refused meanwhile");
    }
}

#[tokio::test]
async fn a_silent_client_is_asked_and_then_taken_for_gone() {
    let options = NatsDoorOptions {
        ping_interval: Duration::from_millis(50),
        pings_out_max: 2,
        ..NatsDoorOptions::default()
    };
    let fixture = Fixture::with(options, |_| {}).await;
    let mut client = fixture.usual().await;
    client.expect_end("PING\r\nPING\r\n-ERR 'Stale Connection'\r\n").await;
    // One that answers stays.
    let mut client = fixture.usual().await;
    for _ in 0..6 {
        client.expect("PING\r\n").await;
        client.say("PONG\r\n").await;
    }
}

#[tokio::test]
async fn when_the_broker_stops_clients_are_told_first() {
    let fixture = Fixture::start().await;
    let mut client = fixture.usual().await;
    let address = fixture.listener.local_address();
    let (mut mute, _) = Client::connect(address).await;
    let stopping = tokio::spawn(fixture.listener.stop(HANG));
    let line = client.line().await;
    assert!(line.starts_with("INFO {") && line.contains("\"ldm\":true"), "{line}");
    // An error would have clients stay away for good.
    client.expect_end("").await;
    mute.expect_end("").await;
    assert_eq!(stopping.await.unwrap().aborted, 0);
}

#[tokio::test]
async fn what_was_sent_before_the_end_of_the_stream_still_counts() {
    let fixture = Fixture::start().await;
    let (mut reader, mut writer) = (fixture.usual().await, fixture.usual().await);
    reader.say("SUB a 1\r\n").await;
    reader.expect_nothing().await;
    writer.say("PUB a 4\r\nlast\r\n").await;
    writer.stream.shutdown().await.unwrap();
    reader.expect("MSG a 1 4\r\nlast\r\n").await;
    writer.expect_end("").await;
}
