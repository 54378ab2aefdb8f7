//! What queues and exchanges count.

use super::*;
use crate::exchanges::{ExchangeFlow, SpaceFlow};

async fn counted(queue: &Arc<Queue>, wanted: QueueFlow) {
    until(&format!("{wanted:?}"), || queue.flow() == wanted).await;
}

#[tokio::test]
async fn a_queue_counts_what_comes_and_what_becomes_of_it() {
    let fixture = Fixture::start().await;
    for (name, spec) in ["d", "t"].into_iter().zip(both(&QueueSettings::default())) {
        let queue = fixture.queue(name, &spec).await;
        fixture.fill(name, &["a", "b", "c"]).await;
        let (holder, sink) = (fixture.broker.new_holder(0), Arc::new(Sink::default()));
        let consumer = queue.consume(&holder, options(&sink)).unwrap();
        let got = sink.take(3).await;
        holder.settle(&[(got[0].id, Settlement::Accept), (got[1].id, BACK)]);
        let again = sink.take(1).await;
        holder.settle(&[(again[0].id, Settlement::Reject), (got[2].id, Settlement::Accept)]);
        let wanted =
            QueueFlow { came: 3, delivered: 4, accepted: 2, again: 1, ..Default::default() };
        counted(&queue, wanted).await;
        drop(consumer);
        fixture.fill(name, &["d", "e"]).await;
        assert!(queue.get(&holder, true).await.unwrap().is_some());
        assert!(queue.get(&holder, false).await.unwrap().is_some());
        assert!(queue.get(&holder, false).await.unwrap().is_none());
        let wanted = QueueFlow { came: 5, got: 1, got_automatic: 1, got_none: 1, ..wanted };
        counted(&queue, wanted).await;
        let (holder, sink) = (fixture.broker.new_holder(0), Arc::new(Sink::default()));
        let automatic = ConsumeOptions { automatic: true, ..options(&sink) };
        let _consumer = queue.consume(&holder, automatic).unwrap();
        fixture.fill(name, &["f"]).await;
        sink.take(1).await;
        counted(&queue, QueueFlow { came: 6, delivered_automatic: 1, ..wanted }).await;
    }
}

#[tokio::test]
async fn a_stream_counts_what_its_readers_get() {
    let fixture = Fixture::start().await;
    let settings = QueueSettings { stream: Some(Default::default()), ..Default::default() };
    let queue = fixture.queue("s", &with(settings)).await;
    fixture.fill("s", &["a", "b"]).await;
    let (holder, sink) = (fixture.broker.new_holder(0), Arc::new(Sink::default()));
    let taking = ConsumeOptions { prefetch: 9, ..options(&sink) };
    let _consumer = queue.read_stream(&holder, taking, StreamStart::First).unwrap();
    let got = sink.take(2).await;
    accept(&holder, &got);
    counted(&queue, QueueFlow { came: 2, delivered: 2, accepted: 2, ..Default::default() }).await;
}

#[tokio::test]
async fn an_exchange_counts_what_is_published_to_it_and_where_that_goes() {
    let fixture = Fixture::start().await;
    let name = ExchangeName { space: Bytes::new(), name: bytes("x") };
    let spec = ExchangeSpec {
        kind: ExchangeKind::Fanout,
        durable: true,
        auto_delete: false,
        internal: false,
        alternate: None,
        arguments: Bytes::new(),
    };
    fixture.broker.declare_exchange(&name, &spec).await.unwrap();
    for (queue, spec) in ["a", "b"].into_iter().zip(both(&QueueSettings::default())) {
        fixture.queue(queue, &spec).await;
        let to = BindTo::Queue(queue_name(queue));
        fixture.broker.bind(&name, &to, Binding::default()).await.unwrap();
    }
    for value in ["1", "2"] {
        fixture.send("x", "k", message(value)).await.unwrap();
    }
    fixture.send("", "a", message("3")).await.unwrap();
    fixture.send("", "nowhere", message("4")).await.unwrap();
    let flow = |name| fixture.broker.exchange(name).unwrap().flow();
    assert_eq!(flow(&name), ExchangeFlow { came: 2, went: 4 });
    assert_eq!(fixture.broker.unnamed_flow(&Bytes::new()), ExchangeFlow { came: 2, went: 1 });
    // What is gone counts on, but not what is in it.
    let before = fixture.broker.space_flows().all;
    assert_eq!((before.exchanges.came, before.queues.came, before.ready), (4, 5, 5));
    fixture.broker.delete_exchange(&name, false).await.unwrap();
    fixture.broker.delete_queue(&queue_name("a"), DeleteOnly::default(), ME).await.unwrap();
    let after = fixture.broker.space_flows();
    assert_eq!(after.all, SpaceFlow { ready: 2, ..before });
    assert_eq!(after.by_space[&Bytes::new()], after.all);
    fixture.broker.forget_space_flow(&Bytes::new());
    assert_eq!(fixture.broker.space_flows().all.exchanges.came, 0);
}

#[tokio::test]
async fn a_dead_letter_comes_into_a_queue_and_nobody_has_published_it() {
    let fixture = Fixture::start().await;
    let graves = fixture.queue("graves", &durable()).await;
    let to = DeadLetterTo { exchange: Bytes::new(), key: Some(bytes("graves")) };
    let settings = QueueSettings { dead_letter: Some(to), ..Default::default() };
    let queue = fixture.queue("q", &with(settings)).await;
    fixture.fill("q", &["a"]).await;
    let holder = fixture.broker.new_holder(0);
    let (got, _) = queue.get(&holder, false).await.unwrap().unwrap();
    holder.settle(&[(got.id, Settlement::Reject)]);
    counted(&graves, QueueFlow { came: 1, ..Default::default() }).await;
    assert_eq!(fixture.broker.unnamed_flow(&Bytes::new()), ExchangeFlow { came: 1, went: 1 });
    counted(&queue, QueueFlow { came: 1, got: 1, dead: 1, ..Default::default() }).await;
    // One that waited too long dies as whoever made it wants it.
    let mut short = message("b");
    short.properties.expires_at = Some(fixture.broker.now());
    fixture.send("", "q", short).await.unwrap();
    counted(&graves, QueueFlow { came: 2, ..Default::default() }).await;
    counted(&queue, QueueFlow { came: 2, got: 1, dead: 1, ..Default::default() }).await;
}
