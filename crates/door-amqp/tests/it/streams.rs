//! Streams by raw frames: what is delivered, and what is refused.

use door_amqp::wire::method::*;
use door_amqp::wire::reader::Short;
use door_amqp::wire::table::{TableBuf, Value};

use crate::support::{Client, Fixture};

fn stream() -> TableBuf {
    TableBuf::default().with(b"x-queue-type", Value::String(b"stream"))
}

async fn declare(client: &mut Client, arguments: &TableBuf) {
    let arguments = arguments.table();
    let declare =
        QueueDeclare { queue: Short(b"s"), durable: true, arguments, ..Default::default() };
    client.say(1, &declare).await;
    assert!(client.next().await.starts_with("1 queue.declare_ok"));
}

async fn consume(client: &mut Client, tag: &str, from: Value<'_>, prefetch_count: u16) {
    client.say(1, &BasicQos { prefetch_count, ..Default::default() }).await;
    assert_eq!(client.next().await, "1 basic.qos_ok");
    let arguments = TableBuf::default().with(b"x-stream-offset", from);
    let consume = BasicConsume {
        queue: Short(b"s"),
        consumer_tag: Short(tag.as_bytes()),
        arguments: arguments.table(),
        ..Default::default()
    };
    client.say(1, &consume).await;
    assert_eq!(client.next().await, "1 basic.consume_ok");
}

async fn delivered(client: &mut Client, tag: u64, offset: u8, payload: &str) {
    assert_eq!(client.next().await, format!("1 basic.deliver {tag} false"));
    let header = client.next().await;
    let told = format!("x-stream-offsetl{}", [0, 0, 0, 0, 0, 0, 0, offset].escape_ascii());
    assert!(header.contains(&told), "{header}");
    assert_eq!(client.next().await, format!("1 Body {payload}"));
}

/// Waits until all that was said before was handled.
async fn settle(client: &mut Client) {
    let passive = QueueDeclare { queue: Short(b"s"), passive: true, ..Default::default() };
    client.say(1, &passive).await;
    assert!(client.next().await.starts_with("1 queue.declare_ok"));
}

#[tokio::test]
async fn a_stream_is_read_by_offsets_as_far_as_there_is_credit() {
    let fixture = Fixture::start().await;
    let mut client = fixture.channel().await;
    let limited = stream()
        .with(b"x-max-age", Value::String(b"1h"))
        .with(b"x-max-length-bytes", Value::I64(1 << 30));
    declare(&mut client, &limited).await;
    let topic = fixture.broker.topic("s").unwrap().log(0).unwrap().options();
    assert_eq!((topic.retention_ms, topic.retention_bytes), (Some(3_600_000), Some(1 << 30)));
    for payload in ["a", "b", "c"] {
        client.publish("s", payload.as_bytes(), false).await;
    }
    settle(&mut client).await;
    consume(&mut client, "one", Value::String(b"first"), 2).await;
    delivered(&mut client, 1, 0, "a").await;
    delivered(&mut client, 2, 1, "b").await;
    settle(&mut client).await;
    // What goes back does not come again: it is credit as any other.
    client.say(1, &BasicReject { delivery_tag: 1, requeue: true }).await;
    delivered(&mut client, 3, 2, "c").await;
    client.say(1, &BasicCancel { consumer_tag: Short(b"one"), nowait: false }).await;
    assert_eq!(client.next().await, "1 basic.cancel_ok");
    consume(&mut client, "two", Value::I32(1), 10).await;
    delivered(&mut client, 4, 1, "b").await;
    delivered(&mut client, 5, 2, "c").await;
    client.say(1, &BasicCancel { consumer_tag: Short(b"two"), nowait: false }).await;
    assert_eq!(client.next().await, "1 basic.cancel_ok");
    consume(&mut client, "three", Value::String(b"1h"), 1).await;
    delivered(&mut client, 6, 0, "a").await;
    client.say(1, &BasicCancel { consumer_tag: Short(b"three"), nowait: false }).await;
    assert_eq!(client.next().await, "1 basic.cancel_ok");
    consume(&mut client, "four", Value::Timestamp(4_000_000_000), 1).await;
    client.publish("s", b"d", false).await;
    delivered(&mut client, 7, 3, "d").await;
}

#[tokio::test]
async fn a_stream_that_cannot_be_is_refused_in_rabbitmq_s_words() {
    let fixture = Fixture::start().await;
    let mut client = fixture.channel().await;
    let with_ttl = stream().with(b"x-message-ttl", Value::I32(1));
    let with_age = stream().with(b"x-max-age", Value::String(b"1x"));
    let of = "queue 'n' in vhost '/'";
    let plain = stream();
    let declare = QueueDeclare {
        queue: Short(b"n"),
        durable: true,
        arguments: plain.table(),
        ..Default::default()
    };
    let cases = [
        (
            QueueDeclare { durable: false, ..declare },
            format!("invalid property 'non-durable' for {of}"),
        ),
        (
            QueueDeclare { exclusive: true, ..declare },
            format!("invalid property 'exclusive-owner' for {of}"),
        ),
        (
            QueueDeclare { auto_delete: true, ..declare },
            format!("invalid property 'auto-delete' for {of}"),
        ),
        (
            QueueDeclare { arguments: with_ttl.table(), ..declare },
            format!("invalid arg 'x-message-ttl' for {of} of queue type rabbit_stream_queue"),
        ),
        (
            QueueDeclare { arguments: with_age.table(), ..declare },
            format!("invalid arg 'x-max-age' for {of}: invalid_max_age"),
        ),
    ];
    for (declare, wanted) in cases {
        client.say(1, &declare).await;
        assert_eq!(
            client.next().await,
            format!("1 channel.close 406 PRECONDITION_FAILED - {wanted}")
        );
        reopen(&mut client).await;
    }
}

#[tokio::test]
async fn who_reads_a_stream_says_from_where_and_how_much() {
    let fixture = Fixture::start().await;
    let mut client = fixture.channel().await;
    declare(&mut client, &stream()).await;
    let offset = |value| TableBuf::default().with(b"x-stream-offset", value);
    let (odd, negative) = (offset(Value::String(b"soon")), offset(Value::I32(-1)));
    client.say(1, &BasicConsume { queue: Short(b"s"), ..Default::default() }).await;
    let text = "consumer prefetch count is not set for stream queue 's' in vhost '/'";
    assert_eq!(client.next().await, format!("1 channel.close 406 PRECONDITION_FAILED - {text}"));
    reopen(&mut client).await;
    for (arguments, why) in [(&odd, "invalid_max_age"), (&negative, "invalid_offset_arg")] {
        client.say(1, &BasicQos { prefetch_count: 1, ..Default::default() }).await;
        assert_eq!(client.next().await, "1 basic.qos_ok");
        let arguments = arguments.table();
        client.say(1, &BasicConsume { queue: Short(b"s"), arguments, ..Default::default() }).await;
        let text = format!("failed consuming from stream queue 's' in vhost '/': {why}");
        assert_eq!(
            client.next().await,
            format!("1 channel.close 406 PRECONDITION_FAILED - {text}")
        );
        reopen(&mut client).await;
    }
}

async fn reopen(client: &mut Client) {
    client.say(1, &ChannelCloseOk {}).await;
    client.say(1, &ChannelOpen::default()).await;
    assert_eq!(client.next().await, "1 channel.open_ok");
}

#[tokio::test]
async fn what_no_server_does_for_streams_ends_the_connection() {
    let fixture = Fixture::start().await;
    let of = "queue 's' in vhost '/'";
    for (what, wanted) in [
        ("get", format!("basic.get not supported by stream queues {of}")),
        ("purge", format!("queue.purge not supported by stream queues {of}")),
        ("no-ack", format!("automatic acknowledgement not supported by stream {of}")),
        ("global", format!("{of} does not support global qos")),
    ] {
        let mut client = fixture.channel().await;
        declare(&mut client, &stream()).await;
        for global in [false, true] {
            if !global || what == "global" {
                client.say(1, &BasicQos { prefetch_count: 1, global, ..Default::default() }).await;
                assert_eq!(client.next().await, "1 basic.qos_ok");
            }
        }
        let queue = Short(b"s");
        match what {
            "get" => client.say(1, &BasicGet { queue, ..Default::default() }).await,
            "purge" => client.say(1, &QueuePurge { queue, ..Default::default() }).await,
            no_ack => {
                let no_ack = no_ack == "no-ack";
                client.say(1, &BasicConsume { queue, no_ack, ..Default::default() }).await;
            }
        }
        assert_eq!(
            client.next().await,
            format!("0 connection.close 540 NOT_IMPLEMENTED - {wanted}")
        );
    }
}
