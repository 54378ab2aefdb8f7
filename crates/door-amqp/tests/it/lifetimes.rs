//! Queues that go by themselves, and when.

use std::sync::Arc;

use base::ManualClock;
use broker::queues::QueueName;
use door_amqp::AmqpDoorOptions;
use door_amqp::wire::frame::put_method;
use door_amqp::wire::method::*;
use door_amqp::wire::reader::Short;
use door_amqp::wire::table::{TableBuf, Value};

use crate::support::{Fixture, HANG};

#[tokio::test]
async fn a_queue_that_is_declared_again_or_asked_for_expires_later() {
    let clock = ManualClock::at(1_700_000_000_000);
    let options = AmqpDoorOptions::default();
    let fixture = Fixture::with(options, |broker| broker.clock = Arc::new(clock.clone())).await;
    let mut client = fixture.channel().await;
    let expires = TableBuf::default().with(b"x-expires", Value::I32(1000));
    let declare = |queue: &'static str, passive| QueueDeclare {
        queue: Short(queue.as_bytes()),
        durable: true,
        passive,
        arguments: expires.table(),
        ..Default::default()
    };
    for queue in ["active", "passive", "left"] {
        client.say(1, &declare(queue, false)).await;
        assert_eq!(client.next().await, "1 queue.declare_ok 0");
    }
    clock.advance(750);
    for (queue, passive) in [("active", false), ("passive", true)] {
        client.say(1, &declare(queue, passive)).await;
        assert_eq!(client.next().await, "1 queue.declare_ok 0");
    }
    clock.advance(750);
    // What comes has them look at the time.
    for queue in ["active", "passive", "left"] {
        client.publish(queue, b"x", false).await;
    }
    let left = QueueName { space: Default::default(), name: (&b"left"[..]).into() };
    let gone = async {
        // poll: until the one that nobody asked for is gone, bounded by the timeout below
        while fixture.broker.queue(&left).is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HANG, gone).await.expect("it goes");
    for queue in ["active", "passive"] {
        client.say(1, &declare(queue, true)).await;
        assert_eq!(client.next().await, "1 queue.declare_ok 1");
    }
}

#[tokio::test]
async fn a_queue_that_goes_with_its_last_consumer_is_gone_when_that_hears_of_its_end() {
    let fixture = Fixture::start().await;
    let mut client = fixture.channel().await;
    for durable in [true, false] {
        let queue = Short(b"auto");
        client
            .say(1, &QueueDeclare { queue, durable, auto_delete: true, ..Default::default() })
            .await;
        assert_eq!(client.next().await, "1 queue.declare_ok 0");
        let consumer_tag = Short(b"c");
        client.say(1, &BasicConsume { queue, consumer_tag, ..Default::default() }).await;
        assert_eq!(client.next().await, "1 basic.consume_ok");
        let mut both = Vec::new();
        put_method(1, &BasicCancel { consumer_tag, nowait: false }, &mut both);
        put_method(1, &QueueDeclare { queue, passive: true, ..Default::default() }, &mut both);
        client.write(&both).await;
        assert_eq!(client.next().await, "1 basic.cancel_ok");
        let text = "1 channel.close 404 NOT_FOUND - no queue 'auto' in vhost '/'";
        assert_eq!(client.next().await, text);
        client.say(1, &ChannelCloseOk {}).await;
        client.say(1, &ChannelOpen::default()).await;
        assert_eq!(client.next().await, "1 channel.open_ok");
    }
}
