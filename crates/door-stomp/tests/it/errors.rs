//! What is refused, and in which words.

use broker::exchanges::Spaces;
use bytes::Bytes;
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
    assert_eq!(detail, "You must log in using CONNECT first");
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
        ("SEND\ndestination:q/r", "Unknown destination"),
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
        ("WHAT\nid:1", "Bad command"),
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
async fn what_transactions_hold_is_bounded_as_it_lies_in_memory() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    client.do_this("BEGIN\ntransaction:t", "").await;
    // A kilobyte on the way, and many times that in a list.
    let lines = format!("SEND\ndestination:/queue/q\ntransaction:t{}", "\na:b".repeat(250));
    let frame = format!("{lines}\n\n\0");
    client.write(&frame.repeat(1000)).await;
    client.do_this("BEGIN\ntransaction:other", "").await;
    // Of 64 MiB, each takes more than 40 kB.
    client.write(&frame.repeat(1000)).await;
    let told = client.next().await;
    assert_eq!((&told.command[..], told.get("message")), ("ERROR", "resource_error"));
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
async fn a_host_is_a_virtual_host_unless_any_name_will_do() {
    let hello = |host: &str| HELLO.replace("host:/\n", host);
    let virtual_hosts = vec!["other".to_owned()];
    let options = StompDoorOptions { virtual_hosts, ..StompDoorOptions::default() };
    let fixture = Fixture::with(options.clone()).await;
    for (host, denied) in [("host:localhost\n", "localhost"), ("host:\n", "")] {
        let mut client = fixture.connect().await;
        client.write(&hello(host)).await;
        let (message, detail) = client.error().await;
        assert_eq!(message, "Bad CONNECT");
        assert_eq!(detail, format!("Virtual host '{denied}' access denied"));
    }
    let any = Fixture::with(StompDoorOptions { any_host: true, ..options }).await;
    // As somebody does who manages the broker.
    let spaces = Spaces::new(fixture.broker.clone(), &[]);
    spaces.make(&Bytes::from_static(b"made")).await.unwrap();
    for (fixture, host) in [
        (&fixture, ""),
        (&fixture, "host:other\n"),
        (&fixture, "host:made\n"),
        (&any, "host:localhost\n"),
    ] {
        let mut client = fixture.connect().await;
        client.write(&hello(host)).await;
        assert_eq!(client.next().await.command, "CONNECTED", "{host:?}");
    }
}

#[tokio::test]
async fn the_particulars_are_rabbitmqs() {
    let fixture = Fixture::start().await;
    for (lines, detail) in [
        ("SEND", "'SEND' must include a 'destination' header\n"),
        ("SEND\ndestination:/queue/a/b", "'/a/b' is not a valid queue destination\n"),
        ("SEND\ndestination:q\nmessage-id:1", "'message-id' is not allowed on 'SEND'.\n"),
        ("WHAT\nid:1", "Could not interpret command \"WHAT\"\n"),
        (
            "SUBSCRIBE\ndestination:/topic/t\ndurable:True",
            "Header 'id' is required for durable subscriptions",
        ),
    ] {
        assert_eq!(refused(&fixture, lines).await.1, detail, "{lines:?}");
    }
    let mut client = fixture.client().await;
    let lines = "SUBSCRIBE\nid:1\ndestination:/queue/q";
    client.do_this(lines, "").await;
    client.say(lines, "").await;
    let told = client.error().await;
    let detail = "A subscription identified by 'T_1' already exists.";
    assert_eq!(told, ("Duplicated subscription identifier".into(), detail.into()));
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
