//! The groups' journal as a topic.

use queue::record::{Key, OffsetValue, Record};

use super::*;
use crate::groups::GroupsTopic;

const NAME: &str = "__groups";

/// Offsets as text.
#[derive(Debug)]
struct Plain;

impl GroupsTopic for Plain {
    fn name(&self) -> &'static str {
        NAME
    }

    fn show(&self, key: &Key, value: Option<&[u8]>) -> Option<Record> {
        let Key::Offset(key) = key else { return None };
        let key = format!("{}/{}/{}", key.group, key.topic, key.partition).into();
        let offset = |value| OffsetValue::decode(value).unwrap().offset.to_string().into();
        Some(Record { key, value: value.map(offset) })
    }
}

fn shown(options: &mut BrokerOptions) {
    options.groups_topic = Some(Arc::new(Plain));
}

/// So many records from this offset on, once they are there.
async fn read(fixture: &Fixture, from: Offset, count: usize) -> Vec<String> {
    let topic = fixture.broker.topic(NAME).unwrap();
    let limits = FetchLimits {
        min_bytes: 1,
        max_wait: Duration::from_secs(60),
        max_bytes: 1 << 20,
        committed: false,
    };
    let mut records = Vec::new();
    while records.len() < count {
        let offset = from + Offset::try_from(records.len()).unwrap();
        let entry = Fetch { topic: Arc::clone(&topic), partition: 0, offset, max_bytes: 1 << 20 };
        let fetched = fixture.broker.fetch(&[entry], limits).await.pop().unwrap().unwrap();
        assert!(!fetched.read.is_empty(), "only {records:?}");
        for batch in fetched.read.batches() {
            for record in batch.unwrap().records().unwrap() {
                let record = record.unwrap();
                // A batch is read from its beginning.
                if record.offset >= offset {
                    records.push(format!("{} = {}", text(record.key), text(record.value)));
                }
            }
        }
    }
    records
}

fn text(bytes: Option<Bytes>) -> String {
    bytes.map_or("nothing".to_owned(), |bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn it_has_what_was_committed_before_somebody_asked_for_it_and_after() {
    let fixture = Fixture::with(shown).await;
    fixture.topic("t", 2, &[]).await;
    fixture.commit("t", 2, 5, "").await;
    assert!(fixture.broker.groups_topic("t").await.unwrap().is_none(), "another topic");
    assert!(fixture.broker.topic(NAME).is_none(), "nobody asked");
    let topic = fixture.broker.groups_topic(NAME).await.unwrap().unwrap();
    assert!(topic.topic.internal);
    assert_eq!(read(&fixture, 0, 2).await, ["g/t/0 = 5", "g/t/1 = 5"]);
    // From now on it is there when the commit is answered.
    fixture.commit("t", 1, 6, "").await;
    assert_eq!(topic.log(0).unwrap().range().end, 3);
    assert_eq!(read(&fixture, 2, 1).await, ["g/t/0 = 6"]);
    // A group that is deleted is deleted there.
    fixture.broker.groups().delete(&"g".into()).await.unwrap();
    let mut gone = read(&fixture, 3, 2).await;
    gone.sort();
    assert_eq!(gone, ["g/t/0 = nothing", "g/t/1 = nothing"]);
    // Nobody deletes it.
    assert!(fixture.broker.delete_topic(NAME, None).await.is_err());
}

#[tokio::test]
async fn it_goes_on_after_a_restart_and_says_nothing_twice() {
    let fixture = Fixture::with(shown).await;
    fixture.topic("t", 1, &[]).await;
    fixture.commit("t", 1, 5, "").await;
    fixture.broker.groups_topic(NAME).await.unwrap().unwrap();
    assert_eq!(read(&fixture, 0, 1).await, ["g/t/0 = 5"]);
    let fixture = fixture.restart_with(shown).await;
    fixture.commit("t", 1, 6, "").await;
    assert_eq!(read(&fixture, 0, 2).await, ["g/t/0 = 5", "g/t/0 = 6"]);
}

#[tokio::test]
async fn a_crash_just_after_it_was_made_loses_nothing_of_it() {
    let fixture = Fixture::with(shown).await;
    fixture.topic("t", 1, &[]).await;
    fixture.commit("t", 1, 5, "").await;
    let new = NewTopic { name: NAME.to_owned(), partitions: Some(1), ..NewTopic::default() };
    fixture.broker.create_internal_topic(new).await.unwrap();
    let fixture = fixture.restart_with(shown).await;
    assert_eq!(read(&fixture, 0, 1).await, ["g/t/0 = 5"]);
}

#[tokio::test]
async fn a_topic_of_that_name_that_a_client_made_is_left_alone() {
    let fixture = Fixture::with(shown).await;
    fixture.topic("t", 1, &[]).await;
    let topic = fixture.topic(NAME, 1, &[]).await;
    fixture.broker.groups_topic(NAME).await.unwrap().unwrap();
    fixture.commit("t", 1, 5, "").await;
    assert_eq!(topic.log(0).unwrap().range().end, 0);
}
