//! What ends a channel or a connection, and what the client is told.

use door_amqp::wire::PROTOCOL_HEADER;
use door_amqp::wire::frame::put_method;
use door_amqp::wire::method::*;
use door_amqp::wire::reader::{Long, Short};

use crate::support::{FRAME_MAX, Fixture, hello};

/// A frame of any kind.
fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[kind][..], &channel.to_be_bytes(), &length, payload, &[0xce]].concat()
}

fn method<M: Arguments>(channel: u16, method: &M) -> Vec<u8> {
    let mut out = Vec::new();
    put_method(channel, method, &mut out);
    out
}

#[tokio::test]
async fn who_begins_otherwise_is_told_what_is_spoken_here() {
    let fixture = Fixture::start().await;
    for header in [&b"AMQP\0\x01\0\0"[..], b"AMQP\x03\x01\0\0", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut client = fixture.connect().await;
        client.write(header).await;
        assert_eq!(client.rest().await, PROTOCOL_HEADER);
    }
}

#[tokio::test]
async fn what_breaks_the_protocol_ends_the_connection_with_its_code() {
    let fixture = Fixture::start().await;
    let publish = method(1, &BasicPublish::default());
    let header =
        |bytes: u64| frame(2, 1, &[&[0, 60, 0, 0][..], &bytes.to_be_bytes(), &[0, 0]].concat());
    let cases = [
        (frame(7, 1, b"x"), "501 FRAME_ERROR"),
        (vec![1, 0, 1, 0, 0, 0, 1, b'x', 0], "501 FRAME_ERROR"),
        (vec![3, 0, 1, 0, 0x02, 0, 0], "501 FRAME_ERROR"),
        (frame(1, 1, &[0, 60, 0, 80]), "501 FRAME_ERROR"),
        (frame(1, 1, &[0, 60, 0, 81]), "503 COMMAND_INVALID"),
        (method(0, &QueueDeclare::default()), "503 COMMAND_INVALID"),
        (method(2, &QueueDeclare::default()), "504 CHANNEL_ERROR - expected 'channel.open'"),
        (method(1, &ChannelOpen::default()), "504 CHANNEL_ERROR - second 'channel.open' seen"),
        (method(3000, &ChannelOpen::default()), "504 CHANNEL_ERROR"),
        (header(0), "505 UNEXPECTED_FRAME"),
        (frame(3, 1, b"x"), "505 UNEXPECTED_FRAME"),
        (frame(8, 1, b""), "505 UNEXPECTED_FRAME"),
        ([&publish[..], &publish].concat(), "505 UNEXPECTED_FRAME"),
        ([&publish[..], &frame(3, 1, b"x")].concat(), "505 UNEXPECTED_FRAME"),
        ([&publish[..], &header(1), &frame(3, 1, b"xy")].concat(), "505 UNEXPECTED_FRAME"),
        (method(1, &ChannelFlow { active: false }), "540 NOT_IMPLEMENTED - active=false"),
        (method(1, &BasicRecover { requeue: false }), "540 NOT_IMPLEMENTED"),
        (
            method(
                1,
                &ExchangeDeclare {
                    exchange: Short(b"x"),
                    kind: Short(b"odd"),
                    ..Default::default()
                },
            ),
            "503 COMMAND_INVALID - unknown exchange type 'odd'",
        ),
    ];
    for (bytes, wanted) in cases {
        let mut client = fixture.channel().await;
        client.write(&bytes).await;
        let told = client.next().await;
        assert!(told.starts_with(&format!("0 connection.close {wanted}")), "{bytes:?}: {told}");
        client.say(0, &ConnectionCloseOk {}).await;
        assert_eq!(client.rest().await, b"");
    }
}

#[tokio::test]
async fn what_is_asked_for_wrongly_ends_the_channel_only() {
    let fixture = Fixture::start().await;
    let mut client = fixture.channel().await;
    let missing = QueueDeclare { queue: Short(b"none"), passive: true, ..Default::default() };
    client.say(1, &missing).await;
    let text = "1 channel.close 404 NOT_FOUND - no queue 'none' in vhost '/'";
    assert_eq!(client.next().await, text);
    // Nothing counts there now, and others go on.
    client.say(1, &missing).await;
    client.say(2, &ChannelOpen::default()).await;
    assert_eq!(client.next().await, "2 channel.open_ok");
    client.say(1, &ChannelCloseOk {}).await;
    client.say(1, &ChannelOpen::default()).await;
    assert_eq!(client.next().await, "1 channel.open_ok");
    client.say(1, &BasicAck { delivery_tag: 5, multiple: false }).await;
    let text = "1 channel.close 406 PRECONDITION_FAILED - unknown delivery tag 5";
    assert_eq!(client.next().await, text);
    client.say(0, &ConnectionClose::default()).await;
    assert_eq!(client.next().await, "0 connection.close_ok");
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn limits_that_nobody_may_have_are_refused() {
    let fixture = Fixture::start().await;
    for (frame_max, channel_max) in
        [(4096, 10), (0, 10), (FRAME_MAX + 1, 10), (FRAME_MAX, 0), (FRAME_MAX, 3000)]
    {
        let mut client = fixture.connect().await;
        client.write(&PROTOCOL_HEADER).await;
        assert_eq!(client.next().await, "0 connection.start");
        let start_ok = ConnectionStartOk {
            mechanism: Short(b"PLAIN"),
            response: Long(b"\0guest\0guest"),
            ..Default::default()
        };
        client.say(0, &start_ok).await;
        assert_eq!(client.next().await, "0 connection.tune");
        client.say(0, &ConnectionTuneOk { channel_max, frame_max, heartbeat: 0 }).await;
        let told = client.next().await;
        assert!(told.starts_with("0 connection.close 530 NOT_ALLOWED - negotiated "), "{told}");
    }
}

#[tokio::test]
async fn a_silent_client_hears_heartbeats_and_is_let_go() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect().await;
    client.write(&hello(1)).await;
    for wanted in ["connection.start", "connection.tune", "connection.open_ok"] {
        assert_eq!(client.next().await, format!("0 {wanted}"));
    }
    assert_eq!(client.next().await, "0 Heartbeat ");
    // The end comes without a word: nobody is there to hear it.
    let rest = client.rest().await;
    let heartbeat = b"\x08\0\0\0\0\0\0\xce";
    assert!(!rest.is_empty() && rest.chunks(8).all(|frame| frame == heartbeat), "{rest:?}");
}

#[tokio::test]
async fn what_rules_do_not_allow_is_refused() {
    let enforce = |options: &mut broker::BrokerOptions| options.access.enforce = true;
    let fixture = Fixture::with(Default::default(), enforce).await;
    let mut client = fixture.channel().await;
    client.say(1, &QueueDeclare { queue: Short(b"q"), ..Default::default() }).await;
    let text = "1 channel.close 403 ACCESS_REFUSED - configure access to queue 'q' in vhost '/' refused for user \
                'ANONYMOUS'";
    assert_eq!(client.next().await, text);
    client.say(1, &ChannelCloseOk {}).await;
    client.say(1, &ChannelOpen::default()).await;
    assert_eq!(client.next().await, "1 channel.open_ok");
    client.publish("q", b"x", false).await;
    let told = client.next().await;
    assert!(told.starts_with("1 channel.close 403 ACCESS_REFUSED - write access"), "{told}");
    client.say(1, &ChannelCloseOk {}).await;
    client.say(1, &ChannelOpen::default()).await;
    assert_eq!(client.next().await, "1 channel.open_ok");
    let topic = Short(b"amq.topic");
    let publish =
        BasicPublish { exchange: topic, routing_key: Short(b"a.*"), ..Default::default() };
    client.write(&method(1, &publish)).await;
    client.write(&frame(2, 1, &[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])).await;
    let told = client.next().await;
    assert!(told.contains("write access to subject 'a./*' in vhost '/' refused"), "{told}");
}
