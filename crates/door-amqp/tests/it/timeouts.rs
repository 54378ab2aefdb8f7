//! Clients that have deliveries for too long.

use std::sync::Arc;
use std::time::Duration;

use base::ManualClock;
use door_amqp::AmqpDoorOptions;
use door_amqp::wire::method::*;
use door_amqp::wire::reader::Short;
use door_amqp::wire::table::{TableBuf, Value};

use crate::support::{Client, Fixture};

async fn fixture(clock: &ManualClock) -> Fixture {
    let consumer_timeout = Duration::from_millis(400);
    let options = AmqpDoorOptions { consumer_timeout, ..AmqpDoorOptions::default() };
    Fixture::with(options, |broker| broker.clock = Arc::new(clock.clone())).await
}

fn timed_out(channel: u16, timeout: u32) -> String {
    format!(
        "{channel} channel.close 406 PRECONDITION_FAILED - delivery acknowledgement on channel {channel} timed out. \
         Timeout value used: {timeout} ms. This timeout value can be configured, see consumers doc guide to learn more"
    )
}

async fn declare(client: &mut Client, channel: u16, queue: &str, arguments: &TableBuf) {
    let queue = Short(queue.as_bytes());
    let arguments = arguments.table();
    let declare = QueueDeclare { queue, durable: true, arguments, ..Default::default() };
    client.say(channel, &declare).await;
    assert!(client.next().await.starts_with(&format!("{channel} queue.declare_ok")));
}

async fn consume(client: &mut Client, channel: u16, queue: &str) {
    let queue = Short(queue.as_bytes());
    client.say(channel, &BasicConsume { queue, ..Default::default() }).await;
    assert_eq!(client.next().await, format!("{channel} basic.consume_ok"));
}

async fn delivered(client: &mut Client, wanted: &str) {
    assert_eq!(client.next().await, wanted);
    assert!(client.next().await.contains(" Header "));
    assert!(client.next().await.contains(" Body "));
}

/// Waits until all that was said before was handled.
async fn settle(client: &mut Client, channel: u16) {
    client.say(channel, &BasicQos::default()).await;
    assert_eq!(client.next().await, format!("{channel} basic.qos_ok"));
}

#[tokio::test]
async fn a_delivery_that_is_not_acknowledged_in_time_ends_the_channel_and_comes_again() {
    let clock = ManualClock::at(1_700_000_000_000);
    let fixture = fixture(&clock).await;
    let mut client = fixture.channel().await;
    declare(&mut client, 1, "q", &TableBuf::default()).await;
    client.publish("q", b"a", false).await;
    client.publish("q", b"b", false).await;
    consume(&mut client, 1, "q").await;
    delivered(&mut client, "1 basic.deliver 1 false").await;
    delivered(&mut client, "1 basic.deliver 2 false").await;
    clock.advance(300);
    client.say(1, &BasicAck { delivery_tag: 1, multiple: false }).await;
    client.publish("q", b"c", false).await;
    delivered(&mut client, "1 basic.deliver 3 false").await;
    clock.advance(100);
    assert_eq!(client.next().await, timed_out(1, 400));
    client.say(1, &ChannelCloseOk {}).await;
    client.say(1, &ChannelOpen::default()).await;
    assert_eq!(client.next().await, "1 channel.open_ok");
    consume(&mut client, 1, "q").await;
    delivered(&mut client, "1 basic.deliver 1 true").await;
    delivered(&mut client, "1 basic.deliver 2 true").await;
    // What was acknowledged is no reason.
    client.say(1, &BasicAck { delivery_tag: 0, multiple: true }).await;
    settle(&mut client, 1).await;
    clock.advance(1_000_000);
    client.publish("q", b"d", false).await;
    delivered(&mut client, "1 basic.deliver 3 false").await;
    clock.advance(400);
    assert_eq!(client.next().await, timed_out(1, 400));
}

#[tokio::test]
async fn a_queue_says_how_long_its_deliveries_may_be_out() {
    let clock = ManualClock::at(1_700_000_000_000);
    let fixture = fixture(&clock).await;
    let mut client = fixture.channel().await;
    for channel in [2, 3] {
        client.say(channel, &ChannelOpen::default()).await;
        assert_eq!(client.next().await, format!("{channel} channel.open_ok"));
    }
    let timeout = |ms| TableBuf::default().with(b"x-consumer-timeout", Value::I32(ms));
    declare(&mut client, 1, "short", &TableBuf::default()).await;
    declare(&mut client, 2, "long", &timeout(1000)).await;
    declare(&mut client, 3, "endless", &timeout(0)).await;
    for (channel, queue) in [(1, "short"), (2, "long"), (3, "endless")] {
        client.publish(queue, b"x", false).await;
        client.say(1, &BasicQos::default()).await;
        assert_eq!(client.next().await, "1 basic.qos_ok");
        let get = BasicGet { queue: Short(queue.as_bytes()), ..Default::default() };
        client.say(channel, &get).await;
        delivered(&mut client, &format!("{channel} basic.get_ok")).await;
    }
    clock.advance(400);
    assert_eq!(client.next().await, timed_out(1, 400));
    settle(&mut client, 2).await;
    clock.advance(600);
    assert_eq!(client.next().await, timed_out(2, 1000));
    settle(&mut client, 3).await;
}
