//! Streams: what is read of them stays.

use super::*;

fn stream() -> QueueSpec {
    stream_with(StreamSettings::default())
}

fn stream_with(stream: StreamSettings) -> QueueSpec {
    with(QueueSettings { stream: Some(stream), ..QueueSettings::default() })
}

fn taking(sink: &Arc<Sink>, prefetch: u32) -> ConsumeOptions {
    ConsumeOptions { prefetch, ..options(sink) }
}

fn offsets(delivered: &[Delivered]) -> Vec<i64> {
    delivered.iter().map(|one| one.offset.unwrap()).collect()
}

#[tokio::test]
async fn what_is_read_of_a_stream_stays_for_others_and_after_a_restart() {
    let fixture = Fixture::start().await;
    let queue = fixture.queue("s", &stream()).await;
    fixture.fill("s", &["a", "b", "c"]).await;
    for round in 0..2 {
        let (holder, sink) = (fixture.broker.new_holder(0), Arc::new(Sink::default()));
        let reader = queue.read_stream(&holder, taking(&sink, 10), StreamStart::First).unwrap();
        let got = sink.take(3).await;
        assert_eq!(
            (values(&got), offsets(&got)),
            (vec!["a".into(), "b".into(), "c".into()], vec![0, 1, 2])
        );
        assert!(got.iter().all(|one| one.deliveries == 0), "round {round}");
        assert_eq!(queue.counts(), tally(3, 3, 1));
        // Whatever is said of them.
        holder.settle(&[(got[0].id, Settlement::Accept), (got[1].id, BACK)]);
        holder.settle(&[(got[2].id, Settlement::Reject)]);
        assert_eq!(queue.counts(), tally(3, 0, 1));
        drop(reader);
        assert_eq!(queue.counts(), tally(3, 0, 0));
    }
    assert_eq!(values(&queue.peek(2).await.unwrap()), ["a", "b"]);
    drop(queue);
    let fixture = fixture.restart().await;
    let queue = fixture.broker.queue(&queue_name("s")).unwrap();
    assert_eq!(queue.spec(), &stream());
    let (holder, sink) = (fixture.broker.new_holder(0), Arc::new(Sink::default()));
    let _reader = queue.read_stream(&holder, taking(&sink, 10), StreamStart::Offset(1)).unwrap();
    assert_eq!(values(&sink.take(2).await), ["b", "c"]);
    // What others write to the topic is in it.
    let topic = fixture.broker.topic("s").unwrap();
    fixture.broker.publish(&topic, &[message("d")]).await.unwrap();
    let got = sink.take(1).await;
    assert_eq!((values(&got), offsets(&got)), (vec!["d".into()], vec![3]));
}

#[tokio::test]
async fn a_stream_is_read_from_where_it_is_asked_for() {
    let fixture = Fixture::start().await;
    let queue = fixture.queue("s", &stream()).await;
    let topic = fixture.broker.topic("s").unwrap();
    let at = |time, value: &str| Message { timestamp: Some(time), ..message(value) };
    fixture.broker.publish(&topic, &[at(1_000, "a"), at(2_000, "b")]).await.unwrap();
    fixture.broker.publish(&topic, &[at(3_000, "c"), at(4_000, "d")]).await.unwrap();
    let cases = [
        (StreamStart::First, 0),
        (StreamStart::Last, 2),
        (StreamStart::Next, 4),
        (StreamStart::Offset(3), 3),
        (StreamStart::Offset(99), 4),
        (StreamStart::Time(2_500), 2),
        (StreamStart::Time(0), 0),
        (StreamStart::Time(9_000), 4),
    ];
    let mut readers = Vec::new();
    let holder = fixture.broker.new_holder(0);
    for (start, from) in cases {
        let sink = Arc::new(Sink::default());
        let reader = queue.read_stream(&holder, taking(&sink, 10), start).unwrap();
        readers.push((start, from, sink, reader));
    }
    fixture.fill("s", &["e"]).await;
    for (start, from, sink, _reader) in readers {
        let got = sink.take(5 - from).await;
        let wanted: Vec<_> = (i64::try_from(from).unwrap()..5).collect();
        assert_eq!(offsets(&got), wanted, "{start:?}");
    }
}

#[tokio::test]
async fn what_a_reader_has_not_settled_is_bounded_by_its_credit_and_its_room() {
    let fixture = Fixture::start().await;
    let queue = fixture.queue("s", &stream()).await;
    fixture.fill("s", &["a", "b", "c", "d", "e"]).await;
    let (holder, sink) = (fixture.broker.new_holder(0), Arc::new(Sink::default()));
    let no_credit = queue.read_stream(&holder, taking(&sink, 0), StreamStart::First);
    assert!(matches!(no_credit, Err(QueueError::NotAllowed(_))));
    let reader = queue.read_stream(&holder, taking(&sink, 2), StreamStart::First).unwrap();
    let got = sink.take(2).await;
    // poll: until the reader has had its turns, bounded by their number
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(sink.got.lock().is_empty());
    accept(&holder, &got[..1]);
    accept(&holder, &got[..1]);
    assert_eq!(values(&sink.take(1).await), ["c"], "settled once, it counts once");
    assert_eq!(queue.counts().held, 2);
    *sink.room.lock() = Some(0);
    accept(&holder, &got[1..]);
    until("it was refused", || queue.counts().held == 1).await;
    *sink.room.lock() = None;
    reader.ready();
    assert_eq!(values(&sink.take(1).await), ["d"]);
    fixture.broker.pause_queue(queue.name(), true, ME).await.unwrap();
    accept(&holder, &got);
    drop(reader);
    // What was out counts for the holder no more.
    let one = fixture.broker.new_holder(1);
    let reader = queue.read_stream(&one, taking(&sink, 5), StreamStart::First).unwrap();
    fixture.broker.pause_queue(queue.name(), false, ME).await.unwrap();
    assert_eq!(values(&sink.take(1).await), ["a"]);
    drop(reader);
    let _reader = queue.read_stream(&one, taking(&sink, 5), StreamStart::Offset(1)).unwrap();
    assert_eq!(values(&sink.take(1).await), ["b"]);
}

#[tokio::test]
async fn a_stream_s_limits_are_those_of_its_topic_and_it_goes_with_it() {
    let fixture = Fixture::start().await;
    let settings = StreamSettings {
        age_max: Some(60_000),
        bytes_max: Some(1 << 20),
        segment_bytes: Some(1 << 16),
    };
    let queue = fixture.queue("s", &stream_with(settings)).await;
    let topic = fixture.broker.topic("s").unwrap();
    let log = topic.log(0).unwrap().options();
    assert_eq!((log.retention_ms, log.segment_bytes), (Some(60_000), 1 << 16));
    assert_eq!(log.retention_bytes, Some(1 << 20));
    let (holder, sink) = (fixture.broker.new_holder(0), Arc::new(Sink::default()));
    let _reader = queue.read_stream(&holder, taking(&sink, 1), StreamStart::First).unwrap();
    fixture.broker.delete_topic("s", None).await.unwrap();
    until("its reader knows", || sink.is_cancelled.load(Ordering::SeqCst)).await;
    until("it is gone", || fixture.broker.queue(&queue_name("s")).is_none()).await;
}

#[tokio::test]
async fn what_a_stream_is_not_is_refused() {
    let fixture = Fixture::start().await;
    let queue = fixture.queue("s", &stream()).await;
    let holder = fixture.broker.new_holder(0);
    let is_refused = |error: Option<QueueError>| matches!(error, Some(QueueError::NotAllowed(_)));
    assert!(is_refused(queue.get(&holder, false).await.err()));
    assert!(is_refused(queue.purge().await.err()));
    let plain = fixture.queue("q", &durable()).await;
    let sink = Arc::new(Sink::default());
    assert!(is_refused(plain.read_stream(&holder, taking(&sink, 1), StreamStart::Next).err()));
    fixture.topic("wide", 2, &[]).await;
    let not = [
        ("t", QueueSpec { durable: false, ..stream() }),
        ("x", QueueSpec { exclusive: true, ..stream() }),
        ("a", QueueSpec { auto_delete: true, ..stream() }),
        ("wide", stream()),
    ];
    for (name, spec) in not {
        let refused = fixture.broker.declare_queue(&queue_name(name), &spec, ME).await;
        assert!(is_refused(refused.err()), "{name}");
    }
    let other = fixture.broker.declare_queue(&queue_name("q"), &stream(), ME).await;
    assert_eq!(other.err(), Some(QueueError::NotEquivalent { what: "stream" }));
}
