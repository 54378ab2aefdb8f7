//! What is refused, and in which words.

use door_stomp::StompDoorOptions;

use crate::support::{Fixture, HELLO};

/// What a client is told that says this, after it is in.
async fn refused(fixture: &Fixture, lines: &str) -> (String, String) {
    let mut client = fixture.client().await;
    client.say(lines, "").await;
    client.error().await
}

#[tokio::test]
async fn who_does_not_begin_with_connect_is_told_so() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    client.say("SEND\ndestination:/queue/q", "").await;
    let (message, detail) = client.error().await;
    assert_eq!(message, "Illegal command");
    assert_eq!(detail, "You must log in using CONNECT first\n");
    let mut client = fixture.connect().await;
    client.write("GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(client.error().await.0, "Bad command");
}

#[tokio::test]
async fn versions_are_agreed_on_or_not() {
    let fixture = Fixture::start().await;
    for (said, version) in [("", "1.0"), ("accept-version:1.1\n", "1.1")] {
        let mut client = fixture.connect().await;
        client.write(&format!("CONNECT\n{said}\n\0")).await;
        assert_eq!(client.next().await.get("version"), version);
    }
    let mut client = fixture.connect().await;
    client.write("STOMP\naccept-version:2.0\n\n\0").await;
    let told = client.next().await;
    assert_eq!((told.get("message"), told.get("version")), ("Version mismatch", "1.0,1.1,1.2"));
}

#[tokio::test]
async fn each_mistake_has_its_words() {
    let fixture = Fixture::start().await;
    for (lines, message) in [
        ("SEND", "Missing destination"),
        ("SEND\ndestination:q", "Unknown destination"),
        ("SEND\ndestination:/queue/a/b", "Invalid destination"),
        ("SEND\ndestination:/queue/q\nmessage-id:1", "Invalid header"),
        ("SEND\ndestination:/exchange/none/k", "not_found"),
        ("SEND\ndestination:/queue/q\ntransaction:t", "Bad transaction"),
        ("SEND\ndestination:/queue/q\nexpiration:soon", "precondition_failed"),
        ("SEND\ndestination:/queue/amq.q", "access_refused"),
        ("SUBSCRIBE\nid:0", "Missing destination"),
        ("SUBSCRIBE\nid:0\ndestination:/queue/q\nack:never", "Invalid header"),
        ("SUBSCRIBE\nid:0\ndestination:/queue/q\nselector:a = 1", "Unsupported header"),
        ("SUBSCRIBE\nid:/temp-queue/a\ndestination:/queue/q", "Invalid id"),
        ("SUBSCRIBE\nid:0\ndestination:/amq/queue/none", "not_found"),
        ("SUBSCRIBE\ndestination:/topic/t\ndurable:true", "Missing Header"),
        ("UNSUBSCRIBE", "Missing destination or id"),
        ("UNSUBSCRIBE\nid:0", "No subscription found"),
        ("ACK", "Missing header"),
        ("ACK\nid:1", "Invalid header"),
        ("BEGIN", "Missing transaction"),
        ("COMMIT\ntransaction:t", "Bad transaction"),
        ("CONNECT", "Unexpected CONNECT"),
    ] {
        assert_eq!(refused(&fixture, lines).await.0, message, "{lines:?}");
    }
}

#[tokio::test]
async fn an_error_names_the_frame_that_asked_for_a_receipt() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    client.say("ABORT\ntransaction:t\nreceipt:a:b", "").await;
    // 1.2 escapes the colon.
    assert_eq!(client.next().await.get("receipt-id"), "a\\cb");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_waited_for() {
    let options = StompDoorOptions { message_bytes_max: 100, ..StompDoorOptions::default() };
    let fixture = Fixture::with(options).await;
    let mut client = fixture.client().await;
    client.write("SEND\ndestination:/queue/q\ncontent-length:101\n\n").await;
    assert_eq!(client.error().await.0, "Invalid frame");
}

#[tokio::test]
async fn a_name_of_a_host_counts_only_where_there_are_some() {
    let fixture = Fixture::start().await;
    let hello = HELLO.replace("host:/", "host:localhost");
    let mut client = fixture.connect().await;
    client.write(&hello).await;
    assert_eq!(client.next().await.command, "CONNECTED");
    let virtual_hosts = vec!["other".to_owned()];
    let options = StompDoorOptions { virtual_hosts, ..StompDoorOptions::default() };
    let fixture = Fixture::with(options).await;
    let mut client = fixture.connect().await;
    client.write(&hello).await;
    assert_eq!(client.error().await.1, "Virtual host 'localhost' access denied\n");
    let mut client = fixture.connect().await;
    client.write(&HELLO.replace("host:/", "host:other")).await;
    assert_eq!(client.next().await.command, "CONNECTED");
}

#[tokio::test]
async fn who_promised_heart_beats_and_sends_none_is_cut_off() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    client.write("CONNECT\naccept-version:1.2\nheart-beat:100,100\n\n\0").await;
    assert_eq!(client.next().await.get("heart-beat"), "100,100");
    let beats = client.rest().await;
    // One line end is that of the frame before.
    assert!(beats.len() > 1, "the broker keeps its own promise");
    assert!(beats.iter().all(|byte| *byte == b'\n'), "{}", beats.escape_ascii());
}
