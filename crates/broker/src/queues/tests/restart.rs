//! What a restart leaves of queues.

use super::*;
use crate::tests::batches;

#[tokio::test]
async fn a_restart_keeps_what_is_not_accepted_in_order_and_counted() {
    let fixture = Fixture::start().await;
    let queue = fixture.queue("q", &durable()).await;
    fixture.queue("gone", &QueueSpec::default()).await;
    fixture.fill("q", &["a", "b", "c", "d", "e"]).await;
    let holder = fixture.broker.new_holder(0);
    let (sink, four) = (Arc::new(Sink::default()), 4);
    let consumer = queue.consume(&holder, ConsumeOptions { prefetch: four, ..options(&sink) });
    let got = sink.take(4).await;
    accept(&holder, &got[1..3]);
    drop(consumer);
    holder.settled().await.unwrap();
    drop((holder, queue));
    let fixture = fixture.restart().await;
    assert!(fixture.broker.queue(&queue_name("gone")).is_none(), "it was in memory");
    let queue = fixture.broker.queue(&queue_name("q")).expect("it is durable");
    let holder = fixture.broker.new_holder(0);
    let mut all = get_all(&queue, &holder).await;
    let e = all.pop().unwrap();
    assert_eq!(counts(&all), [("a".into(), 1), ("d".into(), 1)]);
    assert_eq!(values(&[e]), ["e"]);
}

#[tokio::test]
async fn a_crash_loses_nothing_confirmed_and_repeats_nothing_settled_durably() {
    let fixture = Fixture::start().await;
    let queue = fixture.queue("q", &durable()).await;
    let mut settled = Vec::new();
    for round in 0..5 {
        for n in 0..20 {
            fixture.send("", "q", message(&format!("{round}.{n:02}"))).await.unwrap();
        }
        let holder = fixture.broker.new_holder(0);
        let all = get_all(&queue, &holder).await;
        let done: Vec<_> = all.iter().step_by(3).cloned().collect();
        accept(&holder, &done);
        settled.extend(counts(&done).into_iter().map(|(value, _)| value));
        holder.settled().await.unwrap();
        let crashed = fixture.crashed().await;
        let copy = crashed.broker.queue(&queue_name("q")).unwrap();
        let other = crashed.broker.new_holder(0);
        let left = get_all(&copy, &other).await;
        let mut together = values_sorted(&left);
        assert!(settled.iter().all(|value| !together.contains(value)), "settled, and comes again");
        together.extend(settled.clone());
        together.sort_unstable();
        let all: Vec<_> =
            (0..=round).flat_map(|r| (0..20).map(move |n| format!("{r}.{n:02}"))).collect();
        assert_eq!(together, all, "confirmed, and not there");
        assert!(left.iter().all(|one| one.deliveries > 0), "each was delivered before");
        assert_eq!(values(&left), values_sorted(&left), "in order");
    }
}

fn values_sorted(of: &[Delivered]) -> Vec<String> {
    let mut values = values(of);
    values.sort_unstable();
    values
}

#[tokio::test]
async fn a_message_s_time_is_over_after_a_restart_though_nobody_asks_for_it() {
    let fixture = Fixture::start().await;
    fixture.queue("q", &durable()).await;
    let expires_at = Some(fixture.broker.now() + 1);
    let properties = Properties { expires_at, ..Properties::default() };
    let topic = fixture.broker.topic("q").unwrap();
    let messages = [Message { properties, ..message("a") }, message("b")];
    fixture.broker.publish(&topic, &messages).await.unwrap();
    drop(topic);
    let fixture = fixture.restart().await;
    let queue = fixture.broker.queue(&queue_name("q")).unwrap();
    until("it is over", || queue.counts().ready == 1).await;
}

#[tokio::test]
async fn state_that_is_written_anew_is_the_same_state() {
    let fixture = Fixture::start().await;
    let queue = fixture.queue("q", &durable()).await;
    fixture.fill("q", &["a", "b", "c", "d", "e"]).await;
    let holder = fixture.broker.new_holder(0);
    let all = get_all(&queue, &holder).await;
    accept(&holder, &[all[1].clone(), all[3].clone()]);
    drop(holder);
    let journal = Arc::clone(&fixture.broker.inner.queues.journal);
    let written = journal.write(&fixture.broker.inner.queues, true).await.unwrap();
    assert!(written > 0);
    assert_eq!(journal.batches(), 1, "what was before is gone");
    drop((queue, journal));
    let fixture = fixture.restart().await;
    let queue = fixture.broker.queue(&queue_name("q")).unwrap();
    let holder = fixture.broker.new_holder(0);
    assert_eq!(values(&get_all(&queue, &holder).await), ["a", "c", "e"]);
}

#[tokio::test]
async fn a_topic_that_is_there_is_a_queue_too_and_stays_when_the_queue_goes() {
    let fixture = Fixture::start().await;
    let topic = fixture.topic("orders", 1, &[]).await;
    fixture.broker.publish(&topic, &[message("from elsewhere")]).await.unwrap();
    let queue = fixture.queue("orders", &durable()).await;
    let holder = fixture.broker.new_holder(0);
    let all = get_all(&queue, &holder).await;
    assert_eq!(values(&all), ["from elsewhere"]);
    fixture.broker.publish(&topic, &[message("more")]).await.unwrap();
    let all = get_all(&queue, &holder).await;
    assert_eq!(values(&all), ["more"]);
    accept(&holder, &all);
    let journal = Arc::clone(&fixture.broker.inner.queues.journal);
    assert_eq!(journal.ledgers(), 1);
    fixture.broker.delete_queue(queue.name(), DeleteOnly::default(), ME).await.unwrap();
    assert_eq!(journal.ledgers(), 0, "another one of this name begins anew, come what may");
    drop(journal);
    assert_eq!(batches(&topic, 0).len(), 2, "whose topic it is keeps it");
    drop(queue);
    // A queue that is made anew begins anew, after a restart too.
    let queue = fixture.queue("orders", &durable()).await;
    assert_eq!(queue.counts().ready, 2);
    drop((queue, topic, holder));
    let fixture = fixture.restart().await;
    assert_eq!(fixture.broker.queue(&queue_name("orders")).unwrap().counts().ready, 2);
}

#[tokio::test]
async fn partitions_that_are_added_to_a_topic_are_the_queue_s_too() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1, &[("entrepot.partitioner", "list:a=1")]).await;
    let queue = fixture.queue("t", &durable()).await;
    let (holder, sink) = (fixture.broker.new_holder(0), Arc::new(Sink::default()));
    let consumer = queue.consume(&holder, options(&sink)).unwrap();
    fixture.broker.create_partitions("t", 2).await.unwrap();
    let topic = fixture.broker.topic("t").unwrap();
    let keyed = Message { key: Some(bytes("a")), ..message("there") };
    let places = fixture.broker.publish(&topic, &[keyed]).await.unwrap();
    assert_eq!(places[0].partition, 1);
    let got = sink.take(1).await;
    assert_eq!(values(&got), ["there"]);
    accept(&holder, &got);
    holder.settled().await.unwrap();
    drop((consumer, holder, queue, topic));
    let fixture = fixture.restart().await;
    assert_eq!(fixture.broker.queue(&queue_name("t")).unwrap().counts().ready, 0);
}

#[tokio::test]
async fn what_is_done_with_is_given_back_in_steps() {
    let fixture = Fixture::start().await;
    let queue = fixture.queue("q", &durable()).await;
    let many: Vec<_> = (0..5_000).map(|n| message(&n.to_string())).collect();
    let topic = fixture.broker.topic("q").unwrap();
    fixture.broker.publish(&topic, &many).await.unwrap();
    let (holder, sink) = (fixture.broker.new_holder(0), Arc::new(Sink::default()));
    let _consumer = queue.consume(&holder, options(&sink)).unwrap();
    let got = sink.take(5_000).await;
    accept(&holder, &got[..4_500]);
    let log = topic.log(0).unwrap();
    let given_back = || log.range().start == 4_500;
    until("the storage of what is done is given back", given_back).await;
    drop((_consumer, holder));
    assert_eq!(queue.counts().ready, 500);
}

#[tokio::test]
async fn a_topic_that_is_deleted_takes_its_queue_with_it() {
    let fixture = Fixture::start().await;
    let queue = fixture.queue("q", &durable()).await;
    let (holder, sink) = (fixture.broker.new_holder(0), Arc::new(Sink::default()));
    let _consumer = queue.consume(&holder, options(&sink)).unwrap();
    fixture.broker.delete_topic("q", None).await.unwrap();
    until("the queue is gone", || fixture.broker.queue(&queue_name("q")).is_none()).await;
    until("its consumer knows", || sink.is_cancelled.load(Ordering::SeqCst)).await;
}

#[tokio::test]
async fn names_that_no_topic_can_have_and_namespaces_are_queues_of_their_own() {
    let fixture = Fixture::start().await;
    let names = ["a b", "a/b", "a_b", "é", "_q._.x"].map(queue_name);
    let other = QueueName { space: bytes("v"), name: bytes("a b") };
    let all: Vec<_> = names.into_iter().chain([other]).collect();
    for (number, name) in all.iter().enumerate() {
        let (queue, _) = fixture.broker.declare_queue(name, &durable(), ME).await.unwrap();
        let topic = fixture.broker.topic(&queue.stored_in().unwrap()).unwrap();
        fixture.broker.publish(&topic, &[message(&number.to_string())]).await.unwrap();
    }
    let fixture = fixture.restart().await;
    for (number, name) in all.iter().enumerate() {
        let queue = fixture.broker.queue(name).expect("as it was declared");
        let holder = fixture.broker.new_holder(0);
        assert_eq!(values(&get_all(&queue, &holder).await), [number.to_string()]);
    }
}
