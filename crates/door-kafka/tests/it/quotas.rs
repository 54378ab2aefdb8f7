//! Quotas by raw requests: set, found, and held to.

use std::time::Instant;

use broker::store::batch::Compression;
use door_kafka::wire::ErrorCode;
use door_kafka::wire::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use door_kafka::wire::messages::create_topics_request::CreatableTopic;
use door_kafka::wire::messages::delete_topics_request::DeleteTopicState;
use door_kafka::wire::messages::describe_client_quotas_request::ComponentData;
use door_kafka::wire::messages::*;

use crate::records::{batch, fetch_request, plain, produce_request, values};
use crate::support::{Client, Fixture};

fn entity(parts: &[(&str, Option<&str>)]) -> Vec<EntityData> {
    let part = |(kind, name): &(&str, Option<&str>)| EntityData {
        entity_type: (*kind).to_owned(),
        entity_name: name.map(ToOwned::to_owned),
    };
    parts.iter().map(part).collect()
}

fn set(key: &str, value: f64) -> OpData {
    OpData { key: key.to_owned(), value, remove: false }
}

async fn alter(client: &mut Client, entity: Vec<EntityData>, ops: Vec<OpData>) -> i16 {
    let request =
        AlterClientQuotasRequest { entries: vec![EntryData { entity, ops }], validate_only: false };
    client.call(&request, 1).await.entries.remove(0).error_code
}

/// A quota for every client that has none of its own.
async fn bound(client: &mut Client, key: &str, limit: f64) {
    let everybody = entity(&[("client-id", None)]);
    assert_eq!(alter(client, everybody, vec![set(key, limit)]).await, 0);
}

/// Waits out a rest that a response asked for; the connection must take it, whatever it sends.
/// `asked` is from before the request, as the rest begins before its response is read.
async fn rests(client: &mut Client, asked: Instant, throttle_time_ms: i32) {
    client.call(&MetadataRequest { topics: Some(Vec::new()), ..Default::default() }, 9).await;
    let rest = i32::try_from(asked.elapsed().as_millis()).unwrap();
    // Only that it is not shorter: a busy machine takes longer for anything.
    assert!(rest + 50 >= throttle_time_ms, "rested {rest} ms of {throttle_time_ms}");
}

#[tokio::test]
async fn a_producer_over_its_quota_is_told_and_rests() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let large = plain(&["x".repeat(11_000).as_str()]);
    let request = produce_request("t", 0, -1, large);
    assert_eq!(client.call(&request, 9).await.throttle_time_ms, 0, "no quota, no rest");
    bound(&mut client, "producer_byte_rate", 1000.0).await;
    let asked = Instant::now();
    let response = client.call(&request, 9).await;
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0, "stored all the same");
    // 11,000 bytes and something in ten windows of a second.
    let told = response.throttle_time_ms;
    assert!((900..3000).contains(&told), "{told}");
    rests(&mut client, asked, told).await;
    // Reading is another thing.
    assert_eq!(client.call(&fetch_request("t", &[(0, 0)]), 12).await.throttle_time_ms, 0);
    // A client that goes away does not wait.
    let response = client.call(&request, 9).await;
    assert!(response.throttle_time_ms > 5000, "{}", response.throttle_time_ms);
    drop(client);
    crate::support::eventually(|| fixture.connections() == 0).await;
}

#[tokio::test]
async fn a_consumer_gets_no_more_at_once_than_its_quota_allows_and_rests() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    for _ in 0..3 {
        let large = batch(Compression::None, &["x".repeat(9000).as_str()]);
        client.call(&produce_request("t", 0, -1, large), 9).await;
    }
    bound(&mut client, "consumer_byte_rate", 1000.0).await;
    let request = fetch_request("t", &[(0, 0)]);
    let response = client.call(&request, 12).await;
    let read = values(&response.responses[0].partitions[0]);
    assert_eq!((read.len(), response.throttle_time_ms), (1, 0), "10,000 bytes in ten windows");
    let response = client.call(&request, 12).await;
    assert_eq!(values(&response.responses[0].partitions[0]).len(), 1);
    assert!(response.throttle_time_ms > 5000, "{}", response.throttle_time_ms);
}

#[tokio::test]
async fn the_time_that_requests_take_is_bounded() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 100).await;
    let mut client = fixture.client().await;
    bound(&mut client, "request_percentage", 0.000_001).await;
    let request = MetadataRequest { topics: None, ..Default::default() };
    let asked = Instant::now();
    let told = client.call(&request, 9).await.throttle_time_ms;
    assert_eq!(told, 1000, "a window at most, so that heartbeats come through");
    rests(&mut client, asked, told).await;
    let told = client.call(&produce_request("t", 0, -1, plain(&["a"])), 9).await.throttle_time_ms;
    assert_eq!(told, 1000);
    let told = client.call(&fetch_request("t", &[(0, 0)]), 12).await.throttle_time_ms;
    assert_eq!(told, 1000);
}

async fn create(client: &mut Client, name: &str, partitions: i32, version: i16) -> (i16, i32) {
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    let mut response = client.call(&request, version).await;
    (response.topics.remove(0).error_code, response.throttle_time_ms)
}

#[tokio::test]
async fn who_changes_too_much_is_refused_or_in_old_versions_slowed_down() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    bound(&mut client, "controller_mutation_rate", 4.0).await;
    // 44 at once; what is more is a debt, here of ten seconds.
    assert_eq!(create(&mut client, "first", 84, 7).await, (0, 0));
    let exceeded = ErrorCode::ThrottlingQuotaExceeded.number();
    let asked = Instant::now();
    let (code, told) = create(&mut client, "late", 12, 7).await;
    assert_eq!(code, exceeded);
    assert!(told > 0 && fixture.broker.topic("late").is_none());
    rests(&mut client, asked, told).await;
    // The debt is paid; old versions are not refused, but make one.
    let (code, told) = create(&mut client, "old", 40, 4).await;
    assert_eq!(code, 0);
    assert!(told > 0 && fixture.broker.topic("old").is_some());
    let topic = DeleteTopicState { name: Some("old".into()), ..Default::default() };
    let request = DeleteTopicsRequest { topics: vec![topic], ..Default::default() };
    client.call(&request, 6).await;
    // What only tries costs nothing.
    let topic = CreatableTopic {
        name: "dry".into(),
        num_partitions: 1000,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![topic], validate_only: true, ..Default::default() };
    assert_eq!(client.call(&request, 7).await.topics[0].error_code, 0);
}

type Found = Vec<(Vec<(String, Option<String>)>, Vec<(String, f64)>)>;

async fn find(client: &mut Client, filter: &[(&str, i8, Option<&str>)], strict: bool) -> Found {
    let component = |(kind, match_type, name): &(&str, i8, Option<&str>)| ComponentData {
        entity_type: (*kind).to_owned(),
        match_type: *match_type,
        match_: name.map(ToOwned::to_owned),
    };
    let request =
        DescribeClientQuotasRequest { components: filter.iter().map(component).collect(), strict };
    let response = client.call(&request, 1).await;
    assert_eq!(response.error_code, 0, "{:?}", response.error_message);
    let entries = response.entries.unwrap().into_iter().map(|entry| {
        let entity = entry.entity.into_iter().map(|part| (part.entity_type, part.entity_name));
        let values = entry.values.into_iter().map(|value| (value.key, value.value));
        (entity.collect(), values.collect())
    });
    entries.collect()
}

#[tokio::test]
async fn quotas_are_set_found_and_removed_by_clients() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let alice = [("user", Some("alice"))];
    let both = [("user", Some("alice")), ("client-id", None)];
    let rate = || vec![set("producer_byte_rate", 1e6), set("request_percentage", 12.5)];
    assert_eq!(alter(&mut client, entity(&alice), rate()).await, 0);
    assert_eq!(alter(&mut client, entity(&both), rate()).await, 0);
    let connections = vec![set("connection_creation_rate", 5.0)];
    let ip = [("ip", Some("0:0:0:0:0:0:0:1"))];
    assert_eq!(alter(&mut client, entity(&ip), connections.clone()).await, 0);

    assert_eq!(find(&mut client, &[], false).await.len(), 3);
    assert_eq!(find(&mut client, &[("user", 0, Some("alice"))], false).await.len(), 2);
    let found = find(&mut client, &[("user", 0, Some("alice"))], true).await;
    let values = vec![("producer_byte_rate".to_owned(), 1e6), ("request_percentage".into(), 12.5)];
    assert_eq!(found, [(vec![("user".to_owned(), Some("alice".to_owned()))], values)]);
    assert_eq!(find(&mut client, &[("client-id", 1, None)], false).await.len(), 1);
    assert_eq!(
        find(&mut client, &[("user", 2, None), ("client-id", 2, None)], true).await.len(),
        1
    );
    assert_eq!(find(&mut client, &[("user", 1, None)], false).await.len(), 0);
    let found = find(&mut client, &[("ip", 2, None)], true).await;
    assert_eq!(found[0].0, [("ip".to_owned(), Some("::1".to_owned()))]);

    let bad = ErrorCode::InvalidRequest.number();
    for (what, parts, ops) in [
        ("nobody", vec![], rate()),
        ("twice", entity(&[("user", None), ("user", Some("a"))]), rate()),
        ("unknown kind", entity(&[("tenant", None)]), rate()),
        ("empty", entity(&[("user", Some(""))]), rate()),
        ("unknown key", entity(&alice), vec![set("bytes", 1.0)]),
        ("key twice", entity(&alice), [rate(), rate()].concat()),
        ("zero", entity(&alice), vec![set("consumer_byte_rate", 0.0)]),
        ("fraction", entity(&alice), vec![set("consumer_byte_rate", 0.5)]),
        ("not of users", entity(&alice), connections),
        (
            "not an address",
            entity(&[("ip", Some("here"))]),
            vec![set("connection_creation_rate", 1.0)],
        ),
    ] {
        assert_eq!(alter(&mut client, parts, ops).await, bad, "{what}");
    }
    for filter in [
        vec![("user", 0, None)],
        vec![("user", 1, Some("a"))],
        vec![("user", 3, None)],
        vec![("user", 2, None), ("user", 2, None)],
        vec![("user", 2, None), ("ip", 2, None)],
    ] {
        let components = filter.into_iter().map(|(kind, match_type, name)| ComponentData {
            entity_type: kind.to_owned(),
            match_type,
            match_: name.map(ToOwned::to_owned),
        });
        let request =
            DescribeClientQuotasRequest { components: components.collect(), strict: false };
        assert_eq!(client.call(&request, 1).await.error_code, bad);
    }
    let remove = |key: &str| OpData { key: key.to_owned(), value: 0.0, remove: true };
    let both_keys = vec![remove("producer_byte_rate"), remove("request_percentage")];
    assert_eq!(alter(&mut client, entity(&alice), both_keys).await, 0);
    assert_eq!(find(&mut client, &[("user", 0, Some("alice"))], true).await.len(), 0);
    let only_tried = AlterClientQuotasRequest {
        entries: vec![EntryData { entity: entity(&alice), ops: rate() }],
        validate_only: true,
    };
    assert_eq!(client.call(&only_tried, 1).await.entries[0].error_code, 0);
    assert_eq!(find(&mut client, &[("user", 0, Some("alice"))], true).await.len(), 0);
}
