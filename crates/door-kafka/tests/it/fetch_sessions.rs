//! Fetch sessions (KIP-227): only what changed is said and told.

use std::collections::BTreeSet;

use broker::access::{Effect, Operation, Pattern, ResourceKind, Rule, RuleFilter};
use door_kafka::wire::ErrorCode;
use door_kafka::wire::messages::fetch_request::ForgottenTopic;
use door_kafka::wire::messages::{FetchRequest, FetchResponse};

use crate::records::{fetch_request, plain, produce_to, values};
use crate::support::{Client, Fixture, eventually};
use crate::transactions::{NEW, end, init, write};

/// Longer than a test may take.
const LONG: i32 = 300_000;

fn number(code: ErrorCode) -> i16 {
    code.number()
}

/// A request of a session that wants these partitions otherwise than before.
fn request(session: (i32, i32), topic: &str, partitions: &[(i32, i64)]) -> FetchRequest {
    let (session_id, session_epoch) = session;
    let mut request =
        FetchRequest { session_id, session_epoch, ..fetch_request(topic, partitions) };
    if partitions.is_empty() {
        request.topics.clear();
    }
    request
}

/// Partitions, high watermarks and how many records came.
fn told(response: &FetchResponse) -> Vec<(i32, i64, usize)> {
    assert_eq!(response.error_code, 0);
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    let one = |p: &door_kafka::wire::messages::fetch_response::PartitionData| {
        assert_eq!(p.error_code, 0);
        (p.partition_index, p.high_watermark, values(p).len())
    };
    partitions.map(one).collect()
}

/// Opens a session on partitions 0 to `count` of a topic, all from offset 0.
async fn open(client: &mut Client, topic: &str, count: i32) -> i32 {
    let partitions: Vec<_> = (0..count).map(|index| (index, 0)).collect();
    let response = client.call(&request((0, 0), topic, &partitions), 12).await;
    assert_eq!(told(&response).len(), partitions.len(), "all are told at first");
    assert_ne!(response.session_id, 0);
    response.session_id
}

#[tokio::test]
async fn only_what_changed_is_told() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 3).await;
    let (mut client, mut writer) = (fixture.client().await, fixture.client().await);
    let id = open(&mut client, "t", 3).await;
    let response = client.call(&request((id, 1), "t", &[]), 12).await;
    assert_eq!((told(&response), response.session_id), (vec![], id));

    produce_to(&mut writer, "t", 1, plain(&["a"])).await;
    let response = client.call(&request((id, 2), "t", &[]), 12).await;
    assert_eq!(told(&response), [(1, 1, 1)]);
    // Until the client says that it goes on, it gets the same again.
    let response = client.call(&request((id, 3), "t", &[]), 12).await;
    assert_eq!(told(&response), [(1, 1, 1)]);
    let response = client.call(&request((id, 4), "t", &[(1, 1)]), 12).await;
    assert_eq!(told(&response), []);
    // The first offset of a partition that rests.
    produce_to(&mut writer, "t", 2, plain(&["a"])).await;
    let response = client.call(&request((id, 5), "t", &[(2, 1)]), 12).await;
    assert_eq!(told(&response), [(2, 1, 0)], "a new high watermark is news without records");
    let topic = fixture.broker.topic("t").unwrap();
    fixture.broker.trim(&topic, 2, Some(1)).await.unwrap();
    let response = client.call(&request((id, 6), "t", &[]), 12).await;
    let partition = &response.responses[0].partitions[0];
    assert_eq!((partition.partition_index, partition.log_start_offset), (2, 1));
}

#[tokio::test]
async fn a_session_waits_for_news_of_what_rests() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 3).await;
    let (mut client, mut writer) = (fixture.client().await, fixture.client().await);
    let id = open(&mut client, "t", 3).await;
    let mut ends = [0; 3];
    let mut read = vec![];
    for (epoch, partition) in (1..).zip([2, 0, 2]) {
        let waiting = FetchRequest { max_wait_ms: LONG, ..request((id, epoch), "t", &read) };
        client.send(&waiting, 12).await;
        produce_to(&mut writer, "t", partition, plain(&["a"])).await;
        let (_, response) = client.receive::<FetchRequest>(12).await.unwrap();
        let end = &mut ends[usize::try_from(partition).unwrap()];
        *end += 1;
        assert_eq!(told(&response), [(partition, *end, 1)]);
        read = vec![(partition, *end)];
    }
}

#[tokio::test]
async fn a_session_waits_for_its_least_bytes_of_all_partitions_together() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 2).await;
    let (mut client, mut writer) = (fixture.client().await, fixture.client().await);
    let id = open(&mut client, "t", 2).await;
    let size = i32::try_from(plain(&["a"]).len()).unwrap();
    let waiting =
        FetchRequest { max_wait_ms: LONG, min_bytes: 3 * size, ..request((id, 1), "t", &[]) };
    client.send(&waiting, 12).await;
    for partition in [0, 1, 0] {
        produce_to(&mut writer, "t", partition, plain(&["a"])).await;
    }
    let (_, response) = client.receive::<FetchRequest>(12).await.unwrap();
    assert_eq!(told(&response), [(0, 2, 2), (1, 1, 1)]);
    let in_time =
        FetchRequest { max_wait_ms: 20, min_bytes: 1 << 20, ..request((id, 2), "t", &[]) };
    assert_eq!(told(&client.call(&in_time, 12).await), [(0, 2, 2), (1, 1, 1)]);
}

#[tokio::test]
async fn partitions_come_and_go() {
    let fixture = Fixture::start().await;
    let ids = [fixture.topic("t", 2).await, fixture.topic("u", 1).await];
    let (mut client, mut writer) = (fixture.client().await, fixture.client().await);
    let id = open(&mut client, "t", 2).await;
    let response = client.call(&request((id, 1), "u", &[(0, 0)]), 12).await;
    assert_eq!(told(&response), [(0, 0, 0)], "a new one is told");
    assert_eq!(response.responses[0].topic, "u");
    let forgotten = |topic: &str, partitions: &[i32]| ForgottenTopic {
        topic: topic.to_owned(),
        partitions: partitions.to_vec(),
        ..ForgottenTopic::default()
    };
    for partition in [0, 1] {
        produce_to(&mut writer, "t", partition, plain(&["a"])).await;
    }
    let forgotten_topics_data = vec![forgotten("t", &[0, 7]), forgotten("none", &[0])];
    let less = FetchRequest { forgotten_topics_data, ..request((id, 2), "t", &[]) };
    assert_eq!(told(&client.call(&less, 12).await), [(1, 1, 1)]);
    let again = client.call(&request((id, 3), "t", &[(0, 0)]), 12).await;
    assert_eq!(told(&again).into_iter().collect::<BTreeSet<_>>(), [(0, 1, 1), (1, 1, 1)].into());
    // Without any left, there is nothing to wait for, and no session.
    let forgotten_topics_data = vec![forgotten("t", &[0, 1]), forgotten("u", &[0])];
    let all =
        FetchRequest { max_wait_ms: LONG, forgotten_topics_data, ..request((id, 4), "t", &[]) };
    let response = client.call(&all, 12).await;
    assert_eq!((told(&response), response.session_id), (vec![], 0));
    let gone = client.call(&request((id, 5), "t", &[]), 12).await;
    assert_eq!(gone.error_code, number(ErrorCode::FetchSessionIdNotFound));

    // The same by ids.
    let by_id = |session, topic_id, partitions: &[(i32, i64)]| {
        let mut request = request(session, "", partitions);
        request.topics.iter_mut().for_each(|topic| topic.topic_id = topic_id);
        request
    };
    let response = client.call(&by_id((0, 0), ids[0], &[(0, 1), (1, 1)]), 18).await;
    let id = response.session_id;
    produce_to(&mut writer, "t", 1, plain(&["b"])).await;
    let response = client.call(&by_id((id, 1), ids[1], &[(0, 0)]), 18).await;
    assert_eq!(told(&response).into_iter().collect::<BTreeSet<_>>(), [(0, 0, 0), (1, 2, 1)].into());
    let by_name = client.call(&request((id, 2), "t", &[]), 12).await;
    assert_eq!(by_name.error_code, number(ErrorCode::FetchSessionTopicIdError));
}

#[tokio::test]
async fn errors_are_told_each_time_until_they_are_gone() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let unknown = number(ErrorCode::UnknownTopicOrPartition);
    let response = client.call(&request((0, 0), "t", &[(0, 0), (3, 0)]), 12).await;
    let id = response.session_id;
    let codes = |response: &FetchResponse| -> Vec<(i32, i16)> {
        let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
        partitions.map(|p| (p.partition_index, p.error_code)).collect()
    };
    assert_eq!(codes(&response), [(0, 0), (3, unknown)]);
    for epoch in [1, 2] {
        let waiting = FetchRequest { max_wait_ms: LONG, ..request((id, epoch), "t", &[]) };
        assert_eq!(codes(&client.call(&waiting, 12).await), [(3, unknown)], "at once");
    }
    fixture.broker.create_partitions("t", 4).await.unwrap();
    let response = client.call(&request((id, 3), "t", &[]), 12).await;
    assert_eq!(codes(&response), [(3, 0)]);
    assert_eq!(codes(&client.call(&request((id, 4), "t", &[]), 12).await), []);

    let range = number(ErrorCode::OffsetOutOfRange);
    for (epoch, positions) in [(5, vec![(0, 9)]), (6, vec![])] {
        let response = client.call(&request((id, epoch), "t", &positions), 12).await;
        assert_eq!(codes(&response), [(0, range)]);
    }
    let response = client.call(&request((id, 7), "t", &[(0, 0)]), 12).await;
    assert_eq!(codes(&response), [(0, 0)], "that it is well again is news");
}

#[tokio::test]
async fn a_topic_that_is_deleted_and_made_again_is_found_again() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let (mut client, mut writer) = (fixture.client().await, fixture.client().await);
    let id = open(&mut client, "t", 1).await;
    assert_eq!(told(&client.call(&request((id, 1), "t", &[]), 12).await), []);
    let waiting = FetchRequest { max_wait_ms: LONG, ..request((id, 2), "t", &[]) };
    client.send(&waiting, 12).await;
    eventually(|| fixture.connections() == 2).await;
    fixture.broker.delete_topic("t", None).await.unwrap();
    let (_, response) = client.receive::<FetchRequest>(12).await.unwrap();
    let code = response.responses[0].partitions[0].error_code;
    assert_eq!(code, number(ErrorCode::UnknownTopicOrPartition));
    fixture.topic("t", 1).await;
    produce_to(&mut writer, "t", 0, plain(&["a"])).await;
    assert_eq!(told(&client.call(&request((id, 3), "t", &[]), 12).await), [(0, 1, 1)]);
}

#[tokio::test]
async fn no_partition_starves() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 4).await;
    let mut writer = fixture.client().await;
    for partition in 0..4 {
        for _ in 0..3 {
            produce_to(&mut writer, "t", partition, plain(&[&"x".repeat(1000)])).await;
        }
    }
    let mut client = fixture.client().await;
    let one = |session, positions: &[(i32, i64)]| FetchRequest {
        max_bytes: 1100,
        ..request(session, "t", positions)
    };
    let response = client.call(&one((0, 0), &[(0, 0), (1, 0), (2, 0), (3, 0)]), 12).await;
    let id = response.session_id;
    let mut positions = [0; 4];
    let mut served = Vec::new();
    let mut changed = Vec::new();
    for epoch in 1..=12 {
        let response = client.call(&one((id, epoch), &changed), 12).await;
        changed.clear();
        for (partition, _, records) in told(&response) {
            if records > 0 {
                served.push(partition);
                let position = &mut positions[usize::try_from(partition).unwrap()];
                *position += i64::try_from(records).unwrap();
                changed.push((partition, *position));
            }
        }
    }
    assert_eq!(served, [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]);
}

#[tokio::test]
async fn requests_that_say_all_work_with_or_without_a_session() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    produce_to(&mut client, "t", 0, plain(&["a"])).await;
    let id = open(&mut client, "t", 1).await;
    for (session, opens) in
        [((0, -1), false), ((0, 0), true), ((77, 0), true), ((77, -1), false), ((id, -1), false)]
    {
        let response = client.call(&request(session, "t", &[(0, 0)]), 12).await;
        assert_eq!(told(&response), [(0, 1, 1)], "{session:?}");
        assert_eq!(response.session_id != 0, opens, "{session:?}");
    }
    // The last one ended it.
    for session in [(id, 1), (77, 1), (0, 1)] {
        let response = client.call(&request(session, "t", &[(0, 0)]), 12).await;
        assert_eq!(response.error_code, number(ErrorCode::FetchSessionIdNotFound));
        assert_eq!((response.session_id, response.responses.len()), (0, 0));
    }
    let id = open(&mut client, "t", 1).await;
    let response = client.call(&request((id, 2), "t", &[]), 12).await;
    assert_eq!(response.error_code, number(ErrorCode::InvalidFetchSessionEpoch));
    // A new one in its place.
    let response = client.call(&request((id, 0), "t", &[(0, 0)]), 12).await;
    assert!(response.session_id != 0 && response.session_id != id);
    let response = client.call(&request((id, 1), "t", &[]), 12).await;
    assert_eq!(response.error_code, number(ErrorCode::FetchSessionIdNotFound));
}

#[tokio::test]
async fn readers_of_committed_records_are_told_when_a_transaction_ends() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let (mut client, mut producer) = (fixture.client().await, fixture.client().await);
    let committed = |session, positions: &[(i32, i64)]| FetchRequest {
        isolation_level: 1,
        ..request(session, "t", positions)
    };
    let id = client.call(&committed((0, 0), &[(0, 0)]), 12).await.session_id;
    let (pid, epoch) = init(&mut producer, "txn").await;
    assert_eq!(write(&mut producer, "txn", NEW, "a", (pid, epoch, 0)).await, 0);
    let response = client.call(&committed((id, 1), &[]), 12).await;
    assert_eq!(told(&response), [(0, 1, 0)], "its record is there, but nothing to read");
    let waiting = FetchRequest { max_wait_ms: LONG, ..committed((id, 2), &[]) };
    client.send(&waiting, 12).await;
    end(&mut producer, "txn", (pid, epoch), true, 5).await;
    let (_, response) = client.receive::<FetchRequest>(12).await.unwrap();
    let [partition] = &response.responses[0].partitions[..] else { panic!("one partition") };
    assert_eq!((partition.high_watermark, partition.last_stable_offset), (2, 2));
}

#[tokio::test]
async fn who_is_wrong_about_a_leader_is_told_who_it_is() {
    let fixture = Fixture::start().await;
    let topic_id = fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let mut old = fetch_request("", &[(0, 0)]);
    old.topics[0].topic_id = topic_id;
    old.topics[0].partitions[0].current_leader_epoch = -5;
    for (version, tells) in [(15, false), (16, true), (18, true)] {
        let response = client.call(&old, version).await;
        let partition = &response.responses[0].partitions[0];
        assert_eq!(partition.error_code, number(ErrorCode::FencedLeaderEpoch));
        let leader = (partition.current_leader.leader_id, partition.current_leader.leader_epoch);
        assert_eq!(leader, if tells { (0, 0) } else { (-1, -1) });
        let nodes: Vec<_> = response.node_endpoints.iter().map(|node| node.node_id).collect();
        assert_eq!(nodes, if tells { vec![0] } else { vec![] });
    }
}

#[tokio::test]
async fn a_rule_that_changes_holds_from_the_next_fetch_on() {
    let fixture = Fixture::with(|options| options.access.enforce = true).await;
    fixture.topic("t", 2).await;
    let rule = |effect| Rule {
        kind: ResourceKind::Topic,
        pattern: Pattern::Literal("t".into()),
        principal: base::Principal::anonymous(),
        host: None,
        operation: Operation::Everything,
        effect,
    };
    assert_eq!(fixture.broker.add_rules(vec![rule(Effect::Allow)]).await, [Ok(())]);
    let (mut client, mut writer) = (fixture.client().await, fixture.client().await);
    let id = open(&mut client, "t", 2).await;
    let response = client.call(&request((id, 1), "t", &[]), 12).await;
    assert_eq!(told(&response), [], "both are known to be readable by now");
    produce_to(&mut writer, "t", 1, plain(&["a"])).await;
    assert_eq!(fixture.broker.add_rules(vec![rule(Effect::Deny)]).await, [Ok(())]);
    let denied = number(ErrorCode::TopicAuthorizationFailed);
    for epoch in 2..4 {
        let response = client.call(&request((id, epoch), "t", &[]), 12).await;
        let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
        let told: Vec<_> = partitions.map(|p| (p.error_code, values(p).len())).collect();
        assert_eq!(told, [(denied, 0), (denied, 0)], "each time, and no record");
    }
    let filter = RuleFilter { effect: Some(Effect::Deny), ..RuleFilter::all() };
    fixture.broker.remove_rules(&filter).await.unwrap();
    let response = client.call(&request((id, 4), "t", &[]), 12).await;
    assert_eq!(told(&response), [(0, 0, 0), (1, 1, 1)], "all is told again");
}
