//! Queues that go, and what keeps them from it.

use std::sync::atomic::{AtomicBool, AtomicUsize};

use base::ManualClock;
use cluster::{
    BoxFuture, Embedded, Lease, LeaseId, MetaError, MetaStore, RangeResponse, Revision, Txn,
    TxnResponse, Watch,
};

use super::*;

/// A metadata store that writes nothing while it is told so.
#[derive(Debug)]
struct Flaky {
    store: Arc<Embedded>,
    is_full: AtomicBool,
    refused: AtomicUsize,
}

impl Flaky {
    fn new(store: Arc<Embedded>) -> Arc<Self> {
        Arc::new(Self { store, is_full: AtomicBool::new(false), refused: AtomicUsize::new(0) })
    }
}

impl MetaStore for Flaky {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<KeyValue>, MetaError>> {
        self.store.get(key)
    }

    fn range<'a>(
        &'a self,
        prefix: &'a [u8],
        limit: usize,
        from: &'a [u8],
    ) -> BoxFuture<'a, Result<RangeResponse, MetaError>> {
        self.store.range(prefix, limit, from)
    }

    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<TxnResponse, MetaError>> {
        if self.is_full.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Box::pin(async { Err(MetaError::Full("for a test".to_owned())) });
        }
        self.store.txn(txn)
    }

    fn watch<'a>(
        &'a self,
        prefix: &'a [u8],
        from: Revision,
    ) -> BoxFuture<'a, Result<Box<dyn Watch>, MetaError>> {
        self.store.watch(prefix, from)
    }

    fn lease_grant(&self, ttl: Duration) -> BoxFuture<'_, Result<Lease, MetaError>> {
        self.store.lease_grant(ttl)
    }

    fn lease_keep_alive(&self, id: LeaseId) -> BoxFuture<'_, Result<Lease, MetaError>> {
        self.store.lease_keep_alive(id)
    }

    fn lease_revoke(&self, id: LeaseId) -> BoxFuture<'_, Result<(), MetaError>> {
        self.store.lease_revoke(id)
    }
}

#[tokio::test]
async fn a_queue_that_is_over_goes_though_the_metadata_store_fails_for_a_while() {
    let mut flaky = None;
    let clock = ManualClock::at(1_000_000);
    let wrap = |store| Arc::clone(flaky.insert(Flaky::new(store)));
    let fixture = Fixture::on_meta(wrap, |options| options.clock = Arc::new(clock.clone())).await;
    let (broker, flaky) = (&fixture.broker, flaky.unwrap());
    let kept = fixture.queue("kept", &durable()).await;
    let settings = QueueSettings { expires: Some(10), ..QueueSettings::default() };
    let over = fixture.queue("over", &with(settings)).await;
    fixture.fill("over", &["a"]).await;
    flaky.is_full.store(true, Ordering::SeqCst);
    clock.advance(10);
    until("it was tried again", || flaky.refused.load(Ordering::SeqCst) >= 2).await;
    assert!(broker.queue(over.name()).is_some() && broker.topic("over").is_some());
    // Nor does anything happen by halves to one that somebody deletes.
    let deleted = broker.delete_queue(kept.name(), DeleteOnly::default(), ME).await;
    assert!(matches!(deleted, Err(QueueError::Unavailable(_))), "{deleted:?}");
    fixture.fill("kept", &["b"]).await;
    assert_eq!(kept.counts().ready, 1);
    flaky.is_full.store(false, Ordering::SeqCst);
    until("it is gone", || broker.queue(over.name()).is_none()).await;
    until("and its topic", || broker.topic("over").is_none()).await;
    assert_eq!(broker.delete_queue(kept.name(), DeleteOnly::default(), ME).await, Ok(1));
}

#[tokio::test]
async fn a_queue_that_is_declared_again_expires_later() {
    let clock = ManualClock::at(1_000_000);
    let fixture = Fixture::with(|options| options.clock = Arc::new(clock.clone())).await;
    let broker = &fixture.broker;
    let settings = QueueSettings { expires: Some(1000), ..QueueSettings::default() };
    let (kept, left) = (
        fixture.queue("kept", &with(settings.clone())).await,
        fixture.queue("left", &with(settings.clone())).await,
    );
    clock.advance(750);
    assert!(!broker.declare_queue(kept.name(), &with(settings), ME).await.unwrap().1);
    clock.advance(750);
    // Both look at the time.
    kept.wake();
    left.wake();
    until("the other one is gone", || broker.queue(left.name()).is_none()).await;
    assert!(broker.queue(kept.name()).is_some() && !kept.is_unwanted());
    kept.used();
    clock.advance(999);
    assert!(!kept.is_unwanted(), "who asks whether it is there uses it, too");
    clock.advance(1);
    kept.wake();
    until("it is over", || broker.queue(kept.name()).is_none()).await;
}

#[tokio::test]
async fn a_queue_that_cannot_go_with_its_last_consumer_goes_later() {
    let mut flaky = None;
    let wrap = |store| Arc::clone(flaky.insert(Flaky::new(store)));
    let fixture = Fixture::on_meta(wrap, |_| {}).await;
    let (broker, flaky) = (&fixture.broker, flaky.unwrap());
    let auto = fixture.queue("auto", &QueueSpec { auto_delete: true, ..durable() }).await;
    let (holder, sink) = (broker.new_holder(0), Arc::new(Sink::default()));
    let consumer = auto.consume(&holder, options(&sink)).unwrap();
    flaky.is_full.store(true, Ordering::SeqCst);
    consumer.end().await;
    assert!(broker.queue(auto.name()).is_some());
    until("it was tried again", || flaky.refused.load(Ordering::SeqCst) >= 2).await;
    flaky.is_full.store(false, Ordering::SeqCst);
    until("it is gone", || broker.queue(auto.name()).is_none()).await;
}
