//! Queues that refuse what is too many, and who writes to their topics without knowing of them.

use store::batch::{BatchBuilder, Compression, NewRecord};

use super::*;
use crate::{Produce, Produced};

impl Fixture {
    /// As a producer of batches does it.
    pub(super) async fn produce(
        &self,
        topic: &str,
        values: &[&str],
    ) -> Result<Produced, ProduceError> {
        let mut batch = BatchBuilder::new(Compression::None);
        for value in values {
            let value = Some(value.as_bytes());
            batch.push(&NewRecord { timestamp: 1, key: None, value, headers: &[] });
        }
        let records = batch.build().unwrap().bytes().clone();
        let topic = self.broker.topic(topic).unwrap();
        let entry = Produce { topic, partition: 0, records };
        self.broker.produce(vec![entry]).await.done().await.remove(0)
    }
}

fn limited(settings: QueueSettings) -> QueueSpec {
    with(QueueSettings { overflow: Some(Overflow::Reject), ..settings })
}

#[tokio::test]
async fn a_full_queue_refuses_batches_for_its_topic_too() {
    let fixture = Fixture::start().await;
    let three = limited(QueueSettings { length_max: Some(3), ..QueueSettings::default() });
    let queue = fixture.queue("q", &three).await;
    fixture.produce("q", &["a", "b"]).await.unwrap();
    let refused = fixture.produce("q", &["c", "d"]).await;
    assert_eq!(refused, Err(ProduceError::Refused), "all of it or nothing");
    assert_eq!(queue.counts().ready, 2);
    fixture.produce("q", &["c"]).await.unwrap();
    assert_eq!(fixture.produce("q", &["d"]).await, Err(ProduceError::Refused));
    assert_eq!(queue.coming.load(Ordering::SeqCst), 0, "what is stored or refused is not coming");
    let holder = fixture.broker.new_holder(0);
    let all = get_all(&queue, &holder).await;
    assert_eq!(values(&all), ["a", "b", "c"]);
    fixture.produce("q", &["d"]).await.unwrap();
    // So it is after a restart, and as long as there is the queue.
    drop((queue, holder));
    let fixture = fixture.restart().await;
    assert_eq!(fixture.produce("q", &["e"]).await, Err(ProduceError::Refused));

    let bytes = limited(QueueSettings { bytes_max: Some(1_000), ..QueueSettings::default() });
    fixture.queue("b", &bytes).await;
    let large = "x".repeat(600);
    fixture.produce("b", &[&large]).await.unwrap();
    assert_eq!(fixture.produce("b", &[&large]).await, Err(ProduceError::Refused));

    // What is nobody's but the queue's subscription to it goes on when that is gone.
    fixture.topic("orders", 1, &[]).await;
    let one = limited(QueueSettings { length_max: Some(1), ..QueueSettings::default() });
    let queue = fixture.queue("orders", &one).await;
    fixture.produce("orders", &["a"]).await.unwrap();
    assert_eq!(fixture.produce("orders", &["b"]).await, Err(ProduceError::Refused));
    fixture.broker.delete_queue(queue.name(), DeleteOnly::default(), ME).await.unwrap();
    fixture.produce("orders", &["b"]).await.unwrap();
}

#[tokio::test]
async fn a_queue_that_drops_the_oldest_refuses_nobody() {
    let fixture = Fixture::start().await;
    let settings = QueueSettings { length_max: Some(1), ..QueueSettings::default() };
    let queue = fixture.queue("q", &with(settings)).await;
    fixture.produce("q", &["a", "b", "c"]).await.unwrap();
    until("the oldest are gone", || queue.counts().ready == 1).await;
    let holder = fixture.broker.new_holder(0);
    assert_eq!(values(&get_all(&queue, &holder).await), ["c"]);
}

#[tokio::test]
async fn a_full_queue_refuses_what_is_published_to_a_subject_and_others_have_it() {
    let fixture = Fixture::start().await;
    fixture.exchange("subjects", ExchangeKind::Subjects).await;
    for (overflow, is_buried) in [(Overflow::Reject, false), (Overflow::RejectDeadLetter, true)] {
        let name = if is_buried { "dead" } else { "gone" };
        let subject = format!("sensors.{name}");
        let dead = fixture.queue(&format!("{name}-letters"), &durable()).await;
        let dead_letter =
            DeadLetterTo { exchange: Bytes::new(), key: Some(dead.name().name.clone()) };
        let settings = QueueSettings {
            length_max: Some(2),
            overflow: Some(overflow),
            dead_letter: Some(dead_letter),
            ..QueueSettings::default()
        };
        let full = fixture.queue(name, &with(settings)).await;
        let other = fixture.queue(&format!("{name}-other"), &durable()).await;
        fixture.bind("subjects", name, &subject).await;
        fixture.bind("subjects", &format!("{name}-other"), &subject).await;
        let holder = fixture.broker.new_holder(0);
        for (value, is_taken) in [("a", true), ("b", true), ("c", false)] {
            let sent = fixture.send("subjects", &subject, message(value)).await;
            assert_eq!(
                sent.map(|_| ()),
                if is_taken { Ok(()) } else { Err(ProduceError::Refused) }
            );
        }
        assert_eq!(values(&get_all(&full, &holder).await), ["a", "b"]);
        assert_eq!(values(&get_all(&other, &holder).await), ["a", "b", "c"]);
        let buried = get_all(&dead, &holder).await;
        assert_eq!(values(&buried), if is_buried { vec!["c"] } else { vec![] });
        assert_eq!(full.coming.load(Ordering::SeqCst), 0, "what is stored is not coming");
    }
}

#[tokio::test]
async fn a_full_queue_refuses_messages_for_its_topic_one_by_one_too() {
    let fixture = Fixture::start().await;
    let two = limited(QueueSettings { length_max: Some(2), ..QueueSettings::default() });
    let queue = fixture.queue("q", &two).await;
    let (topic, mut batch) = (fixture.broker.topic("q").unwrap(), Batch::default());
    let plain = crate::PlainMessage { key: None, value: Some(b"b"), timestamp: 1 };
    batch.push_to(&fixture.broker, &topic, &message("a")).unwrap();
    batch.push_plain(&fixture.broker, &topic, &plain).unwrap();
    // What is on its way counts.
    let refused = [
        batch.push_to(&fixture.broker, &topic, &message("c")),
        batch.push_plain(&fixture.broker, &topic, &plain),
    ];
    assert_eq!(refused, [Err(ProduceError::Refused), Err(ProduceError::Refused)]);
    let stored = fixture.broker.store(batch).await.done().await;
    assert!(stored.iter().all(Result::is_ok), "{stored:?}");
    assert_eq!((queue.counts().ready, queue.coming.load(Ordering::SeqCst)), (2, 0));
}
