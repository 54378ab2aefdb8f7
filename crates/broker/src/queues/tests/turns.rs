//! Consumers that share the room of their holder.

use super::*;

/// Queues with these names and messages, of each of which the holder consumes.
struct Shared {
    holder: Holder,
    queues: Vec<Arc<Queue>>,
    sinks: Vec<Arc<Sink>>,
    consumers: Vec<Consumer>,
}

impl Shared {
    async fn start(fixture: &Fixture, specs: &[QueueSpec], messages: &[&str]) -> Self {
        let holder = fixture.broker.new_holder(1);
        let (mut queues, mut sinks, mut consumers) = (Vec::new(), Vec::new(), Vec::new());
        for (number, spec) in specs.iter().enumerate() {
            let name = format!("q{number}");
            let queue = fixture.queue(&name, spec).await;
            fixture.fill(&name, messages).await;
            let sink = Arc::new(Sink::default());
            consumers.push(queue.consume(&holder, options(&sink)).unwrap());
            queues.push(queue);
            sinks.push(sink);
        }
        until("all wait for room", || holder.inner.waiting() == specs.len()).await;
        Self { holder, queues, sinks, consumers }
    }

    /// The consumer that has the only message that may be out, which is accepted.
    async fn next(&self) -> usize {
        let has_some = |sink: &Arc<Sink>| !sink.got.lock().is_empty();
        until("a message", || self.sinks.iter().any(has_some)).await;
        let found: Vec<_> = (0..self.sinks.len()).filter(|at| has_some(&self.sinks[*at])).collect();
        let [at] = found[..] else { panic!("more than one: {found:?}") };
        let got = std::mem::take(&mut *self.sinks[at].got.lock());
        assert_eq!(got.len(), 1);
        accept(&self.holder, &got);
        at
    }
}

#[tokio::test]
async fn consumers_that_share_room_for_one_have_it_in_turn() {
    let fixture = Fixture::start().await;
    let queue = fixture.queue("q", &durable()).await;
    let holder = fixture.broker.new_holder(1);
    let sinks: Vec<_> = (0..2).map(|_| Arc::new(Sink::default())).collect();
    let _consumers: Vec<_> =
        sinks.iter().map(|sink| queue.consume(&holder, options(sink)).unwrap()).collect();
    fixture.fill("q", &["a", "b", "c", "d", "e", "f"]).await;
    let mut counts = [0, 0];
    while counts[0] + counts[1] < 6 {
        until("a message", || sinks.iter().any(|sink| !sink.got.lock().is_empty())).await;
        for (sink, count) in sinks.iter().zip(&mut counts) {
            let got = std::mem::take(&mut *sink.got.lock());
            *count += got.len();
            accept(&holder, &got);
        }
    }
    assert_eq!(counts, [3, 3]);
}

#[tokio::test]
async fn queues_whose_consumers_share_room_have_it_in_turn() {
    let fixture = Fixture::start().await;
    let specs = [durable(), QueueSpec::default(), durable()];
    let shared = Shared::start(&fixture, &specs, &["a", "b", "c", "d", "e", "f"]).await;
    let mut counts = [0; 3];
    for _ in 0..12 {
        counts[shared.next().await] += 1;
    }
    assert!(counts.iter().all(|count| *count >= 3), "{counts:?}");
}

#[tokio::test]
async fn whoever_wants_no_room_any_more_keeps_nobody_waiting() {
    let fixture = Fixture::start().await;
    let broker = &fixture.broker;
    let name = |number: usize| queue_name(&format!("q{number}"));
    for how in 0..4 {
        let specs = [durable(), QueueSpec::default(), durable()];
        let mut shared = Shared::start(&fixture, &specs, &["a", "b"]).await;
        let first = (0..3).find(|at| !shared.sinks[*at].got.lock().is_empty()).unwrap();
        let other = (first + 1) % 3;
        match how {
            0 => drop(shared.consumers.remove(other)),
            1 => assert_eq!(shared.queues[other].purge().await, Ok(2)),
            2 => broker.pause_queue(&name(other), true, ME).await.unwrap(),
            _ => {
                let deleted = broker.delete_queue(&name(other), DeleteOnly::default(), ME).await;
                assert_eq!(deleted, Ok(2));
            }
        }
        let mut counts = [0; 3];
        for _ in 0..4 {
            counts[shared.next().await] += 1;
        }
        let mut wanted = [2; 3];
        wanted[other] = 0;
        assert_eq!(counts, wanted, "{how}");
        drop(shared);
        for number in 0..3 {
            let _gone = broker.delete_queue(&name(number), DeleteOnly::default(), ME).await;
        }
    }
}

#[tokio::test]
async fn what_need_not_be_accepted_takes_no_room_but_there_must_be_some() {
    let fixture = Fixture::start().await;
    let (held, free) =
        (fixture.queue("held", &durable()).await, fixture.queue("free", &durable()).await);
    let holder = fixture.broker.new_holder(1);
    let sinks = [Arc::new(Sink::default()), Arc::new(Sink::default())];
    let _held = held.consume(&holder, options(&sinks[0])).unwrap();
    let automatic = ConsumeOptions { automatic: true, ..options(&sinks[1]) };
    let _free = free.consume(&holder, automatic).unwrap();
    fixture.fill("free", &["a", "b"]).await;
    assert_eq!(values(&sinks[1].take(2).await), ["a", "b"]);
    fixture.fill("held", &["c"]).await;
    let got = sinks[0].take(1).await;
    fixture.fill("free", &["d"]).await;
    until("it waits for room", || holder.inner.waiting() == 1).await;
    assert_eq!((free.counts().ready, sinks[1].got.lock().len()), (1, 0));
    accept(&holder, &got);
    assert_eq!(values(&sinks[1].take(1).await), ["d"]);
    fixture.fill("held", &["e"]).await;
    assert_eq!(values(&sinks[0].take(1).await), ["e"]);
}

#[tokio::test]
async fn readers_of_streams_have_a_holder_s_room_in_turn_too() {
    let fixture = Fixture::start().await;
    let settings =
        QueueSettings { stream: Some(StreamSettings::default()), ..QueueSettings::default() };
    let stream = fixture.queue("stream", &with(settings)).await;
    let queue = fixture.queue("queue", &durable()).await;
    let holder = fixture.broker.new_holder(1);
    let sinks = [Arc::new(Sink::default()), Arc::new(Sink::default())];
    let some = ConsumeOptions { prefetch: 10, ..options(&sinks[0]) };
    let _reader = stream.read_stream(&holder, some, StreamStart::First).unwrap();
    let _consumer = queue.consume(&holder, options(&sinks[1])).unwrap();
    for name in ["stream", "queue"] {
        fixture.fill(name, &["a", "b", "c", "d"]).await;
    }
    until("both wait", || holder.inner.waiting() == 2).await;
    let mut counts = [0, 0];
    for _ in 0..6 {
        until("a message", || sinks.iter().any(|sink| !sink.got.lock().is_empty())).await;
        for (sink, count) in sinks.iter().zip(&mut counts) {
            let got = std::mem::take(&mut *sink.got.lock());
            *count += got.len();
            accept(&holder, &got);
        }
    }
    assert!(counts.iter().all(|count| *count >= 2), "{counts:?}");
}

/// A consumer that counts what it has when it is first told that this is all for now.
#[derive(Debug, Default)]
struct AtFirst {
    count: std::sync::atomic::AtomicUsize,
    first: std::sync::OnceLock<usize>,
}

impl QueueSink for AtFirst {
    fn deliver(&self, _: u64, _: Delivered) -> bool {
        self.count.fetch_add(1, Ordering::SeqCst);
        true
    }

    fn flush(&self) {
        self.first.get_or_init(|| self.count.load(Ordering::SeqCst));
    }

    fn cancelled(&self, _: u64) {}
}

/// A consumer may leave as soon as it has something: kombu's tests do.
#[tokio::test]
async fn a_new_consumer_gets_what_is_there_at_once_whatever_its_priority() {
    let fixture = Fixture::start().await;
    let settings = QueueSettings { priorities: 9, ..QueueSettings::default() };
    for (name, spec) in ["d", "t"].into_iter().zip(both(&settings)) {
        let queue = fixture.queue(name, &spec).await;
        for priority in [3, 6, 3, 9] {
            let properties = Properties { priority: Some(priority), ..Properties::default() };
            let message = Message { properties, ..message("m") };
            fixture.send("", name, message).await.unwrap();
        }
        let (holder, sink) = (fixture.broker.new_holder(0), Arc::new(AtFirst::default()));
        let sink_of_it: Arc<dyn QueueSink> = Arc::clone(&sink) as Arc<dyn QueueSink>;
        let asked = ConsumeOptions { sink: sink_of_it, ..options(&Arc::default()) };
        let _consumer = queue.consume(&holder, asked).unwrap();
        until("something", || sink.first.get().is_some()).await;
        assert_eq!(sink.first.get(), Some(&4), "{name}");
    }
}
