//! Streams: what is delivered from where, and what is refused.

use crate::support::{Client, Fixture, Seen};

const STREAM: &str = "x-queue-type:stream";

async fn subscribe(client: &mut Client, id: &str, more: &str) {
    let lines = format!("SUBSCRIBE\nid:{id}\ndestination:/queue/s\nack:client-individual\n{more}");
    client.do_this(&lines, "").await;
}

/// The next message of a stream, which has this body and this offset.
async fn message(client: &mut Client, body: &str, offset: &str) -> Seen {
    let seen = client.next().await;
    assert_eq!((&seen.command[..], &seen.body[..]), ("MESSAGE", body), "{seen:?}");
    assert_eq!(seen.get("x-stream-offset"), offset, "{seen:?}");
    seen
}

#[tokio::test]
async fn a_stream_is_read_by_offsets_as_far_as_there_is_credit() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    for body in ["a", "b", "c"] {
        client.do_this(&format!("SEND\ndestination:/queue/s\n{STREAM}\nx-max-age:1h"), body).await;
    }
    let topic = fixture.broker.topic("s").unwrap().log(0).unwrap().options();
    assert_eq!(topic.retention_ms, Some(3_600_000));
    subscribe(&mut client, "1", "prefetch-count:2\nx-stream-offset:first").await;
    let first = message(&mut client, "a", "0").await;
    let second = message(&mut client, "b", "1").await;
    client.do_this("SEND\ndestination:/queue/other", "no third before there is room").await;
    client.say(&format!("ACK\nid:{}", first.get("ack")), "").await;
    message(&mut client, "c", "2").await;
    // What is not wanted does not come again: it makes room as any other.
    client.do_this(&format!("NACK\nid:{}", second.get("ack")), "").await;
    client.say("SEND\ndestination:/queue/s", "d").await;
    message(&mut client, "d", "3").await;
    client.do_this("UNSUBSCRIBE\nid:1", "").await;
    // All that was read is still there.
    for (id, from, body, offset) in [
        ("2", "x-stream-offset:offset=1", "b", "1"),
        ("3", "x-stream-offset:timestamp=0", "a", "0"),
        ("4", "x-stream-offset:last", "d", "3"),
    ] {
        subscribe(&mut client, id, &format!("prefetch-count:1\n{from}")).await;
        message(&mut client, body, offset).await;
        client.do_this(&format!("UNSUBSCRIBE\nid:{id}"), "").await;
    }
    // What comes from now on, if nothing is said.
    subscribe(&mut client, "5", "prefetch-count:1").await;
    client.say("SEND\ndestination:/queue/s", "e").await;
    message(&mut client, "e", "4").await;
}

#[tokio::test]
async fn a_topic_can_be_kept_in_a_stream() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let lines = format!(
        "SUBSCRIBE\nid:1\ndestination:/topic/news.#\nx-queue-name:news\ndurable:true\nauto-delete:false\n\
         {STREAM}\nack:client\nprefetch-count:10"
    );
    client.do_this(&lines, "").await;
    client.say("SEND\ndestination:/topic/news.a", "1").await;
    assert_eq!(message(&mut client, "1", "0").await.get("destination"), "/topic/news.a");
    client.say("SEND\ndestination:/topic/news.b", "2").await;
    let last = message(&mut client, "2", "1").await;
    client.do_this(&format!("ACK\nid:{}", last.get("ack")), "").await;
    client.do_this("DISCONNECT", "").await;
    let mut again = fixture.client().await;
    again.do_this(&format!("{lines}\nx-stream-offset:first"), "").await;
    message(&mut again, "1", "0").await;
}

#[tokio::test]
async fn a_stream_that_cannot_be_is_refused_in_rabbitmq_s_words() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    client.do_this(&format!("SEND\ndestination:/queue/s\n{STREAM}"), "a").await;
    let of = "queue 's' in vhost '/'";
    let wants = "SUBSCRIBE\nid:0\ndestination:/queue/s";
    let cases = [
        (
            format!("{wants}\nack:client"),
            "precondition_failed",
            format!("consumer prefetch count is not set for stream {of}"),
        ),
        (
            format!("{wants}\nprefetch-count:1"),
            "not_implemented",
            format!("automatic acknowledgement not supported by stream {of}"),
        ),
        (
            format!("{wants}\nack:client\nprefetch-count:1\nx-stream-offset:40"),
            "precondition_failed",
            format!("failed consuming from stream {of}: invalid_offset_arg"),
        ),
        (
            format!("SEND\ndestination:/queue/n\n{STREAM}\nauto-delete:true"),
            "precondition_failed",
            "invalid property 'auto-delete' for queue 'n' in vhost '/'".to_owned(),
        ),
        (
            format!("SEND\ndestination:/queue/n\n{STREAM}\nx-expires:1"),
            "precondition_failed",
            "invalid arg 'x-expires' for queue 'n' in vhost '/' of queue type rabbit_stream_queue"
                .to_owned(),
        ),
    ];
    for (lines, message, detail) in cases {
        let mut client = fixture.client().await;
        client.say(&lines, "").await;
        assert_eq!(client.error().await, (message.to_owned(), detail), "{lines}");
    }
}
