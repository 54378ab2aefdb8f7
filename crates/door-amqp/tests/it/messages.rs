//! Messages by raw frames: what is answered, and in which order.

use door_amqp::wire::method::*;
use door_amqp::wire::reader::Short;

use crate::support::{Client, Fixture};

async fn declare(client: &mut Client, queue: &str) {
    let declare =
        QueueDeclare { queue: Short(queue.as_bytes()), durable: true, ..Default::default() };
    client.say(1, &declare).await;
    assert_eq!(client.next().await, "1 queue.declare_ok 0");
}

async fn deliver(client: &mut Client, wanted: &str, payload: &str) {
    assert_eq!(client.next().await, format!("1 basic.deliver {wanted}"));
    assert!(client.next().await.starts_with("1 Header "));
    assert_eq!(client.next().await, format!("1 Body {payload}"));
}

#[tokio::test]
async fn a_message_that_goes_nowhere_is_returned_before_it_is_confirmed() {
    let fixture = Fixture::start().await;
    let mut client = fixture.channel().await;
    client.say(1, &ConfirmSelect::default()).await;
    assert_eq!(client.next().await, "1 confirm.select_ok");
    client.publish("nowhere", b"lost", true).await;
    assert_eq!(client.next().await, "1 basic.return 312");
    assert!(client.next().await.starts_with("1 Header "));
    assert_eq!(client.next().await, "1 Body lost");
    assert_eq!(client.next().await, "1 basic.ack 1 false");
    declare(&mut client, "here").await;
    client.publish("here", b"kept", true).await;
    assert_eq!(client.next().await, "1 basic.ack 2 false");
}

#[tokio::test]
async fn a_consumer_has_as_many_as_it_may_and_what_it_leaves_comes_again() {
    let fixture = Fixture::start().await;
    let mut client = fixture.channel().await;
    declare(&mut client, "q").await;
    for number in 0..4_u8 {
        client.publish("q", &[b'a' + number], false).await;
    }
    client.say(1, &BasicQos { prefetch_count: 2, ..Default::default() }).await;
    assert_eq!(client.next().await, "1 basic.qos_ok");
    let consume =
        BasicConsume { queue: Short(b"q"), consumer_tag: Short(b"c"), ..Default::default() };
    client.say(1, &consume).await;
    assert_eq!(client.next().await, "1 basic.consume_ok");
    deliver(&mut client, "1 false", "a").await;
    deliver(&mut client, "2 false", "b").await;
    client.say(1, &BasicAck { delivery_tag: 1, multiple: false }).await;
    deliver(&mut client, "3 false", "c").await;
    client.say(1, &BasicReject { delivery_tag: 2, requeue: true }).await;
    deliver(&mut client, "4 true", "b").await;
    client.say(1, &ChannelClose::default()).await;
    assert_eq!(client.next().await, "1 channel.close_ok");
    client.say(1, &ChannelOpen::default()).await;
    assert_eq!(client.next().await, "1 channel.open_ok");
    client.say(1, &consume).await;
    assert_eq!(client.next().await, "1 basic.consume_ok");
    for (wanted, payload) in [("1 true", "b"), ("2 true", "c"), ("3 false", "d")] {
        deliver(&mut client, wanted, payload).await;
    }
}
