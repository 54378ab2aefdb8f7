//! Shared subscriptions on a broker: what was settled stays so over a restart, who waits is woken,
//! dead letters are told of.

use queue::Name;
use queue::shared::{Acknowledgement, Acquired, Disposition, SharedError, Take};
use store::Append;
use store::batch::{BatchBuilder, Marker};

use super::*;
use crate::verbs::take::{Settle, SharedPartition, TakeLimits, Taken};

const S: &str = "s";

impl Fixture {
    async fn configure(&self, config: &[(&str, &str)]) {
        let set = |all: &mut BTreeMap<String, String>| {
            all.extend(config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        };
        self.broker.set_group_config(S, set).await.unwrap();
    }

    async fn shared(&self, config: &[(&str, &str)]) -> Arc<OpenTopic> {
        self.configure(&[("share.auto.offset.reset", "earliest")]).await;
        self.configure(config).await;
        self.topic("t", 1, &[]).await
    }

    async fn take(&self, holder: &str, records_max: usize, wait: Duration) -> Taken {
        let topic = self.broker.topic("t").unwrap();
        let partition = SharedPartition { topic, partition: 0 };
        let limits = TakeLimits {
            min_bytes: 0,
            max_wait: wait,
            max_bytes: 1 << 20,
            take: Take { records_max, strict: true },
            piece: usize::MAX,
        };
        let (s, holder) = (Name::from(S), Name::from(holder));
        self.broker.take(&s, &holder, &[partition], limits).await.remove(0).unwrap()
    }

    async fn settle(
        &self,
        holder: &str,
        first: Offset,
        last: Offset,
        disposition: Disposition,
    ) -> Result<(), SharedError> {
        let topic = self.broker.topic("t").unwrap().topic.id;
        let acknowledgements = vec![Acknowledgement { first, last, disposition }];
        let of = vec![Settle { topic, partition: 0, acknowledgements }];
        self.broker.settle(&S.into(), &holder.into(), of).await.remove(0)
    }

    async fn publish(&self, topic: &Arc<OpenTopic>, count: usize) {
        let messages: Vec<_> =
            (0..count).map(|n| message(Some("key"), &format!("value {n}"))).collect();
        self.broker.publish(topic, &messages).await.unwrap();
    }
}

fn got(first: Offset, last: Offset, deliveries: u16) -> Acquired {
    Acquired { first, last, deliveries }
}

#[tokio::test]
async fn what_was_settled_stays_so_over_a_restart() {
    let fixture = Fixture::start().await;
    let topic = fixture.shared(&[]).await;
    fixture.publish(&topic, 10).await;
    drop(topic);
    let taken = fixture.take("a", 10, Duration::ZERO).await;
    assert_eq!((taken.acquired, taken.batches.len()), (vec![got(0, 9, 1)], 1));
    fixture.settle("a", 0, 2, Disposition::Accept).await.unwrap();
    fixture.settle("a", 5, 5, Disposition::Reject).await.unwrap();
    fixture.settle("a", 7, 7, Disposition::Release).await.unwrap();
    let fixture = fixture.restart().await;
    assert_eq!(fixture.settle("a", 3, 3, Disposition::Accept).await, Err(SharedError::NotHeld));
    let taken = fixture.take("b", 100, Duration::ZERO).await;
    assert_eq!(taken.acquired, [got(3, 4, 2), got(6, 9, 2)]);
}

#[tokio::test]
async fn a_subscription_begins_where_it_is_told_to_even_if_nothing_was_taken() {
    let fixture = Fixture::start().await;
    let topic = fixture.shared(&[("share.auto.offset.reset", "latest")]).await;
    fixture.publish(&topic, 3).await;
    assert!(fixture.take("a", 10, Duration::ZERO).await.acquired.is_empty());
    fixture.publish(&topic, 2).await;
    drop(topic);
    let fixture = fixture.restart().await;
    assert_eq!(fixture.take("a", 10, Duration::ZERO).await.acquired, [got(3, 4, 1)]);
}

#[tokio::test]
async fn who_waits_is_woken_by_new_records_and_by_those_that_come_back() {
    let fixture = Arc::new(Fixture::start().await);
    let topic = fixture.shared(&[]).await;
    let wait = |holder: &'static str| {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(
            async move { fixture.take(holder, 10, Duration::from_secs(60)).await.acquired },
        )
    };
    let waiting = wait("a");
    fixture.publish(&topic, 2).await;
    assert_eq!(waiting.await.unwrap(), [got(0, 1, 1)]);
    let waiting = wait("b");
    fixture.settle("a", 1, 1, Disposition::Release).await.unwrap();
    assert_eq!(waiting.await.unwrap(), [got(1, 1, 2)]);
    let waiting = wait("c");
    fixture.broker.groups().give_back(&S.into(), &"a".into(), true);
    assert_eq!(waiting.await.unwrap(), [got(0, 0, 2)]);
}

/// Clients say of offsets that they got without a record that they are done with them: what is not in order looks so.
#[tokio::test]
async fn what_is_taken_is_in_order_though_others_give_back_meanwhile() {
    let fixture = Fixture::start().await;
    let topic = fixture.shared(&[]).await;
    for _ in 0..20 {
        fixture.publish(&topic, 1).await;
    }
    drop(topic);
    // Then it is read from disk, and others go on meanwhile.
    let fixture = fixture.restart().await;
    for _ in 0..20 {
        assert_eq!(fixture.take("a", 5, Duration::ZERO).await.acquired.len(), 1);
        let give_back = |holder: &str| {
            fixture.broker.groups().give_back(&S.into(), &holder.into(), false);
        };
        let (taken, ()) =
            tokio::join!(fixture.take("b", 100, Duration::ZERO), async { give_back("a") });
        assert!(taken.acquired.is_sorted_by(|a, b| a.last < b.first), "{:?}", taken.acquired);
        assert!(taken.batches.is_sorted_by(|a, b| a[..8] < b[..8]), "{:?}", taken.acquired);
        assert_eq!(taken.acquired.last().map(|run| run.last), Some(19));
        give_back("b");
    }
}

#[tokio::test]
async fn markers_are_for_nobody() {
    let fixture = Fixture::start().await;
    let topic = fixture.shared(&[]).await;
    let log = topic.log(0).unwrap();
    let marker = || BatchBuilder::marker(1, 0, Marker::Commit, 0).unwrap();
    let append = async |batches| {
        let entry = Append { log: Arc::clone(log), batches, epoch: 0 };
        fixture.store.append(vec![entry]).await.unwrap().await.pop().unwrap().unwrap();
    };
    append(vec![marker()]).await;
    fixture.publish(&topic, 1).await;
    append(vec![marker(), marker()]).await;
    fixture.publish(&topic, 1).await;
    let taken = fixture.take("a", 10, Duration::ZERO).await;
    assert_eq!(taken.acquired, [got(1, 1, 1), got(4, 4, 1)]);
    assert_eq!(taken.batches.len(), 2);
    fixture.settle("a", 1, 1, Disposition::Accept).await.unwrap();
    fixture.settle("a", 4, 4, Disposition::Accept).await.unwrap();
    assert_eq!(fixture.broker.groups().positions(S)[0].1.start, 5);
}

#[tokio::test]
async fn dead_letters_say_where_they_are_from_and_why() {
    let fixture = Fixture::start().await;
    let config = [
        ("errors.deadletterqueue.topic.name", "dlq.t"),
        ("errors.deadletterqueue.copy.record.enable", "true"),
        ("share.delivery.count.limit", "1"),
    ];
    let topic = fixture.shared(&config).await;
    let letters = fixture.topic("dlq.t", 2, &[("errors.deadletterqueue.group.enable", "true")]);
    let letters = letters.await;
    fixture.publish(&topic, 3).await;
    fixture.take("a", 10, Duration::ZERO).await;
    fixture.settle("a", 1, 1, Disposition::Reject).await.unwrap();
    fixture.settle("a", 2, 2, Disposition::Release).await.unwrap();
    let log = letters.log(0).unwrap();
    let both = tokio::time::timeout(Duration::from_secs(30), async {
        // poll: until the dead letters are there, bounded by the timeout above
        while log.range().end < 2 {
            tokio::task::yield_now().await;
        }
        // poll: until the subscription knows that they are, bounded by the timeout above
        while fixture.broker.groups().positions(S)[0].1.done < 2 {
            tokio::task::yield_now().await;
        }
    });
    both.await.expect("both are buried");
    let records: Vec<_> = batches(&letters, 0)
        .iter()
        .flat_map(|batch| batch.records().unwrap().map(Result::unwrap).collect::<Vec<_>>())
        .collect();
    let headers = |at: usize| {
        let of = records[at].headers.iter();
        of.map(|header| String::from_utf8(header.value.unwrap().to_vec()).unwrap())
            .collect::<Vec<_>>()
            .join("|")
    };
    assert_eq!(headers(0), "t|0|1|s|1|Offset rejected by client.");
    assert_eq!(headers(1), "t|0|2|s|1|Offset delivery count exceeded the threshold.");
    assert_eq!(records[0].headers.iter().next().unwrap().key.as_ref(), b"__dlq.errors.topic");
    assert_eq!(records[1].value.as_deref(), Some(b"value 2".as_slice()));
    fixture.settle("a", 0, 0, Disposition::Accept).await.unwrap();
    assert_eq!(fixture.broker.groups().positions(S)[0].1.start, 3);
}

#[tokio::test]
async fn a_topic_that_does_not_allow_dead_letters_gets_none() {
    let fixture = Fixture::start().await;
    let config = [("errors.deadletterqueue.topic.name", "dlq.t")];
    let topic = fixture.shared(&config).await;
    let letters = fixture.topic("dlq.t", 1, &[]).await;
    fixture.publish(&topic, 1).await;
    fixture.take("a", 10, Duration::ZERO).await;
    fixture.settle("a", 0, 0, Disposition::Reject).await.unwrap();
    let done = tokio::time::timeout(Duration::from_secs(30), async {
        // poll: until the record is given up, bounded by the timeout above
        while fixture.broker.groups().positions(S)[0].1.start < 1 {
            tokio::task::yield_now().await;
        }
    });
    done.await.expect("it does not hold up the subscription");
    assert_eq!(letters.log(0).unwrap().range(), 0..0);
}

#[tokio::test]
async fn a_topic_s_deletion_ends_what_subscriptions_know_of_it() {
    let fixture = Fixture::start().await;
    let topic = fixture.shared(&[]).await;
    fixture.publish(&topic, 1).await;
    fixture.take("a", 10, Duration::ZERO).await;
    assert_eq!(fixture.broker.groups().positions(S).len(), 1);
    fixture.broker.delete_topic("t", None).await.unwrap();
    assert_eq!(fixture.broker.groups().positions(S), []);
}
