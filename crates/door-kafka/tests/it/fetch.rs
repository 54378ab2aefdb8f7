//! Fetch: waiting, limits, errors.

use broker::store::batch::Compression;
use door_kafka::wire::ErrorCode;
use door_kafka::wire::messages::FetchRequest;

use crate::records::{batch, fetch, fetch_request, plain, produce, produce_to, values};
use crate::support::{Fixture, eventually};

/// Longer than a test may take.
const LONG: i32 = 300_000;

#[tokio::test]
async fn a_waiting_fetch_is_woken_by_a_produce() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 2).await;
    let (mut reader, mut writer) = (fixture.client().await, fixture.client().await);
    let request = FetchRequest { max_wait_ms: LONG, ..fetch_request("t", &[(0, 0), (1, 0)]) };
    reader.send(&request, 12).await;
    produce_to(&mut writer, "t", 1, plain(&["a"])).await;
    let (_, response) = reader.receive::<FetchRequest>(12).await.unwrap();
    let [empty, full] = &response.responses[0].partitions[..] else { panic!("two partitions") };
    assert_eq!((empty.error_code, values(empty).len()), (0, 0));
    assert_eq!(values(full), [(0, "a".to_owned())]);
    assert_eq!((full.high_watermark, full.last_stable_offset, full.log_start_offset), (1, 1, 0));
}

#[tokio::test]
async fn a_fetch_waits_for_its_least_bytes_but_no_longer_than_it_says() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let (mut reader, mut writer) = (fixture.client().await, fixture.client().await);
    let size = i32::try_from(plain(&["a"]).len()).unwrap();
    let request =
        FetchRequest { max_wait_ms: LONG, min_bytes: 2 * size, ..fetch_request("t", &[(0, 0)]) };
    reader.send(&request, 12).await;
    produce(&mut writer, "t", plain(&["a"])).await;
    produce(&mut writer, "t", plain(&["b"])).await;
    let (_, response) = reader.receive::<FetchRequest>(12).await.unwrap();
    assert_eq!(values(&response.responses[0].partitions[0]).len(), 2, "not with the first alone");

    let request = FetchRequest { max_wait_ms: 20, min_bytes: 1 << 20, ..request };
    let response = reader.call(&request, 12).await;
    assert_eq!(values(&response.responses[0].partitions[0]).len(), 2, "what there is in time");
    // Asked for more than it may have: that much is enough.
    let request = FetchRequest { max_wait_ms: LONG, max_bytes: size, ..request };
    let response = reader.call(&request, 12).await;
    assert_eq!(values(&response.responses[0].partitions[0]).len(), 1);
}

#[tokio::test]
async fn a_fetch_of_nothing_is_answered_at_once() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let request = FetchRequest { max_wait_ms: LONG, ..fetch_request("t", &[]) };
    assert_eq!(client.call(&request, 12).await.error_code, 0);
    let request = FetchRequest { topics: vec![], ..request };
    assert_eq!(client.call(&request, 12).await.error_code, 0);
}

#[tokio::test]
async fn errors_are_told_at_once() {
    let fixture = Fixture::start().await;
    let id = fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    produce(&mut client, "t", plain(&["a", "b"])).await;
    for offset in [3, -1, i64::MAX] {
        let failed = fetch(&mut client, "t", offset).await;
        assert_eq!(failed.error_code, ErrorCode::OffsetOutOfRange.number());
        assert_eq!((failed.high_watermark, failed.records.unwrap_or_default().len()), (-1, 0));
    }
    assert_eq!(fetch(&mut client, "t", 2).await.error_code, 0, "the end is no error");
    let unknown = ErrorCode::UnknownTopicOrPartition.number();
    let request = FetchRequest { max_wait_ms: LONG, ..fetch_request("t", &[(0, 2), (5, 0)]) };
    let response = client.call(&request, 12).await;
    let codes: Vec<_> = response.responses[0].partitions.iter().map(|p| p.error_code).collect();
    assert_eq!(codes, [0, unknown]);
    assert_eq!(fetch(&mut client, "none", 0).await.error_code, unknown);
    for (epoch, code) in [(1, ErrorCode::UnknownLeaderEpoch), (-5, ErrorCode::FencedLeaderEpoch)] {
        let mut request = fetch_request("t", &[(0, 0)]);
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        let response = client.call(&request, 12).await;
        assert_eq!(response.responses[0].partitions[0].error_code, code.number());
    }
    let by_id = |id| {
        let mut request = fetch_request("", &[(0, 0)]);
        request.topics[0].topic_id = id;
        request
    };
    let mut response = client.call(&by_id(id), 13).await;
    assert_eq!(values(&response.responses.remove(0).partitions[0]).len(), 2);
    let response = client.call(&by_id([9; 16]), 13).await;
    let code = response.responses[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::UnknownTopicId.number());
}

#[tokio::test]
async fn a_waiting_fetch_is_told_that_its_topic_was_deleted() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let request = FetchRequest { max_wait_ms: LONG, ..fetch_request("t", &[(0, 0)]) };
    client.send(&request, 12).await;
    eventually(|| fixture.connections() == 1).await;
    fixture.broker.delete_topic("t", None).await.unwrap();
    let (_, response) = client.receive::<FetchRequest>(12).await.unwrap();
    let code = response.responses[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::UnknownTopicOrPartition.number());
    let late = produce(&mut client, "t", plain(&["a"])).await;
    assert_eq!(late.error_code, ErrorCode::UnknownTopicOrPartition.number());
}

#[tokio::test]
async fn limits_let_one_batch_through_and_are_shared() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 3).await;
    let mut client = fixture.client().await;
    let large = plain(&[&"x".repeat(10_000)]);
    for partition in 0..3 {
        for _ in 0..2 {
            produce_to(&mut client, "t", partition, large.clone()).await;
        }
    }
    let counts = |response: &door_kafka::wire::messages::FetchResponse| -> Vec<usize> {
        response.responses[0].partitions.iter().map(|p| values(p).len()).collect()
    };
    for max_bytes in [0, 1, -1, 5_000] {
        let request = FetchRequest { max_bytes, ..fetch_request("t", &[(0, 0), (1, 0), (2, 0)]) };
        let response = client.call(&request, 12).await;
        assert_eq!(counts(&response), [1, 0, 0], "{max_bytes}: one batch, though it is larger");
        let others = &response.responses[0].partitions[1];
        assert_eq!((others.error_code, others.high_watermark), (0, 2), "the state is told");
    }
    let request =
        FetchRequest { max_bytes: 31_000, ..fetch_request("t", &[(0, 0), (1, 0), (2, 0)]) };
    assert_eq!(counts(&client.call(&request, 12).await), [2, 1, 0]);
    let mut request = fetch_request("t", &[(0, 0), (1, 0)]);
    for partition in &mut request.topics[0].partitions {
        partition.partition_max_bytes = 1;
    }
    assert_eq!(counts(&client.call(&request, 12).await), [1, 0]);
}

#[tokio::test]
async fn a_fetch_from_within_a_batch_gets_the_whole_batch() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    produce(&mut client, "t", batch(Compression::Gzip, &["a", "b", "c"])).await;
    assert_eq!(values(&fetch(&mut client, "t", 2).await).len(), 3);
}

#[tokio::test]
async fn only_what_is_committed_has_a_list_of_what_is_not() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    produce(&mut client, "t", plain(&["a"])).await;
    for (isolation_level, aborted) in [(0, None), (1, Some(Vec::new()))] {
        let request = FetchRequest { isolation_level, ..fetch_request("t", &[(0, 0)]) };
        let response = client.call(&request, 12).await;
        let partition = &response.responses[0].partitions[0];
        assert_eq!(partition.aborted_transactions, aborted);
        assert_eq!(partition.last_stable_offset, 1);
    }
}

#[tokio::test]
async fn naming_a_partition_very_often_costs_little() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let partitions = vec![(0, 0); 100_000];
    let request = FetchRequest { max_wait_ms: 1, ..fetch_request("t", &partitions) };
    let response = client.call(&request, 12).await;
    assert_eq!(response.responses[0].partitions.len(), partitions.len());
}
