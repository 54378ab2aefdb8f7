//! Queues that are looked at, and queues that are paused.

use super::*;
use crate::queues::peek::MESSAGES_MAX;

#[tokio::test]
async fn messages_are_looked_at_and_stay_as_they_are() {
    let fixture = Fixture::start().await;
    for (name, spec) in ["d", "t"].into_iter().zip(both(&QueueSettings::default())) {
        let queue = fixture.queue(name, &spec).await;
        assert!(queue.peek(10).await.unwrap().is_empty());
        fixture.fill(name, &["a", "b", "c", "d"]).await;
        let holder = fixture.broker.new_holder(0);
        let (first, _) = queue.get(&holder, false).await.unwrap().unwrap();
        let (second, _) = queue.get(&holder, false).await.unwrap().unwrap();
        holder.settle(&[(second.id, BACK)]);
        for _ in 0..2 {
            let seen = queue.peek(2).await.unwrap();
            assert_eq!(counts(&seen), [("b".into(), 1), ("c".into(), 0)]);
            // Nobody has them, so nobody says what becomes of them.
            accept(&holder, &seen);
            assert_eq!(queue.counts(), tally(3, 1, 0));
        }
        assert_eq!(values(&queue.peek(usize::MAX).await.unwrap()), ["b", "c", "d"]);
        accept(&holder, &[first]);
        let all = get_all(&queue, &holder).await;
        assert_eq!(counts(&all), [("b".into(), 1), ("c".into(), 0), ("d".into(), 0)]);
    }
}

#[tokio::test]
async fn what_is_looked_at_comes_in_the_order_of_delivery() {
    let fixture = Fixture::start().await;
    let settings = QueueSettings { priorities: 2, ..QueueSettings::default() };
    for (name, spec) in ["d", "t"].into_iter().zip(both(&settings)) {
        let queue = fixture.queue(name, &spec).await;
        for (value, priority) in [("a", 0), ("b", 2), ("c", 1), ("d", 2)] {
            let properties = Properties { priority: Some(priority), ..Properties::default() };
            fixture.send("", name, Message { properties, ..message(value) }).await.unwrap();
        }
        assert_eq!(values(&queue.peek(3).await.unwrap()), ["b", "d", "c"]);
        let holder = fixture.broker.new_holder(0);
        assert_eq!(values(&get_all(&queue, &holder).await), ["b", "d", "c", "a"]);
    }
    // Of a topic with several partitions, one of each in turn.
    let topic = fixture.topic("p", 3, &[("entrepot.partitioner", "list:0=0,1=1,2=2")]).await;
    let queue = fixture.queue("p", &durable()).await;
    let keyed =
        |n: usize| Message { key: Some(bytes(&(n % 3).to_string())), ..message(&n.to_string()) };
    let all: Vec<_> = (0..7).map(keyed).collect();
    fixture.broker.publish(&topic, &all).await.unwrap();
    let seen = values(&queue.peek(10).await.unwrap());
    let holder = fixture.broker.new_holder(0);
    assert_eq!(seen, values(&get_all(&queue, &holder).await));
    assert_eq!(seen.len(), 7);
}

#[tokio::test]
async fn looking_is_bounded() {
    let fixture = Fixture::start().await;
    let queue = fixture.queue("q", &durable()).await;
    let topic = fixture.broker.topic("q").unwrap();
    let many: Vec<_> = (0..MESSAGES_MAX + 5).map(|n| message(&n.to_string())).collect();
    fixture.broker.publish(&topic, &many).await.unwrap();
    assert_eq!(queue.peek(usize::MAX).await.unwrap().len(), MESSAGES_MAX);
    assert_eq!(queue.counts(), tally(MESSAGES_MAX as u64 + 5, 0, 0));
    let queue = fixture.queue("large", &durable()).await;
    let large = Bytes::from(vec![0; 3 << 20]);
    for _ in 0..3 {
        let large = Message { value: Some(large.clone()), ..message("") };
        fixture.send("", "large", large).await.unwrap();
    }
    assert_eq!(queue.peek(3).await.unwrap().len(), 2, "six megabytes");
}

#[tokio::test]
async fn a_queue_that_is_paused_gives_nothing_away_after_a_restart_too() {
    let fixture = Fixture::start().await;
    for (name, spec) in ["d", "t"].into_iter().zip(both(&QueueSettings::default())) {
        let queue = fixture.queue(name, &spec).await;
        let (holder, sink) = (fixture.broker.new_holder(0), Arc::new(Sink::default()));
        let _consumer = queue.consume(&holder, options(&sink)).unwrap();
        fixture.fill(name, &["a"]).await;
        let first = sink.take(1).await;
        fixture.broker.pause_queue(queue.name(), true, ME).await.unwrap();
        fixture.fill(name, &["b"]).await;
        holder.settle(&[(first[0].id, BACK)]);
        assert_eq!(queue.counts(), QueueCounts { is_paused: true, ..tally(2, 0, 1) });
        assert!(queue.get(&holder, false).await.unwrap().is_none());
        assert_eq!(values(&queue.peek(5).await.unwrap()), ["a", "b"]);
        // poll: until the queue's task has had its turns, bounded by their number
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(sink.got.lock().is_empty(), "it is paused");
        fixture.broker.pause_queue(queue.name(), false, ME).await.unwrap();
        assert_eq!(counts(&sink.take(2).await), [("a".into(), 1), ("b".into(), 0)]);
        fixture.broker.pause_queue(queue.name(), true, ME).await.unwrap();
    }
    let missing = fixture.broker.pause_queue(&queue_name("none"), true, ME).await;
    assert_eq!(missing, Err(QueueError::NotFound));
    let fixture = fixture.restart().await;
    let queue = fixture.broker.queue(&queue_name("d")).unwrap();
    let (holder, sink) = (fixture.broker.new_holder(0), Arc::new(Sink::default()));
    let _consumer = queue.consume(&holder, options(&sink)).unwrap();
    assert!(queue.counts().is_paused && queue.get(&holder, false).await.unwrap().is_none());
    fixture.broker.pause_queue(queue.name(), false, ME).await.unwrap();
    assert_eq!(sink.take(2).await.len(), 2);
}
