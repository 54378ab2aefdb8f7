//! Connections: order, clients that go away, the broker's end.

use door_kafka::wire::messages::join_group_request::JoinGroupRequestProtocol;
use door_kafka::wire::messages::{
    ApiVersionsRequest, FetchRequest, JoinGroupRequest, MetadataRequest, ProduceRequest,
};

use crate::records::{fetch_request, plain, produce_request};
use crate::support::{Fixture, eventually};

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let mut sent = Vec::new();
    for number in 0..100 {
        let request = produce_request("t", 0, -1, plain(&["a", "b"]));
        sent.push((true, client.send(&request, 9).await));
        if number % 10 == 9 {
            sent.push((false, client.send(&MetadataRequest::default(), 1).await));
        }
    }
    let mut next = 0;
    for (is_produce, expected) in sent {
        if is_produce {
            let (correlation, response) = client.receive::<ProduceRequest>(9).await.unwrap();
            let partition = &response.responses[0].partition_responses[0];
            assert_eq!((correlation, partition.error_code), (expected, 0));
            assert_eq!(partition.base_offset, next, "the order of requests is that of offsets");
            next += 2;
        } else {
            let (correlation, _) = client.receive::<MetadataRequest>(1).await.unwrap();
            assert_eq!(correlation, expected);
        }
    }
}

fn long_fetch() -> FetchRequest {
    FetchRequest { max_wait_ms: 300_000, ..fetch_request("t", &[(0, 0)]) }
}

#[tokio::test]
async fn a_client_that_goes_away_while_its_fetch_waits_is_noticed() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    client.send(&long_fetch(), 12).await;
    // Requests behind it are read ahead, and do not hide that the client is gone.
    client.send(&ApiVersionsRequest::default(), 0).await;
    client.send(&ApiVersionsRequest::default(), 0).await;
    eventually(|| fixture.connections() == 1).await;
    drop(client);
    eventually(|| fixture.connections() == 0).await;
}

#[tokio::test]
async fn a_client_that_goes_away_while_it_joins_is_noticed() {
    let fixture = Fixture::with(|options| options.groups.initial_rebalance_delay = 600_000).await;
    let mut client = fixture.client().await;
    let join = JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 600_000,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".into(), ..Default::default() }],
        ..JoinGroupRequest::default()
    };
    client.send(&join, 2).await;
    eventually(|| fixture.broker.groups().describe("g").is_ok()).await;
    drop(client);
    eventually(|| fixture.connections() == 0).await;
}

#[tokio::test]
async fn a_client_that_only_listens_still_gets_its_answer() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let fetch = FetchRequest { max_wait_ms: 50, ..fetch_request("t", &[(0, 0)]) };
    client.send(&produce_request("t", 0, -1, plain(&["a"])), 9).await;
    client.send(&FetchRequest { max_wait_ms: 50, ..fetch_request("t", &[(0, 1)]) }, 12).await;
    client.send(&fetch, 12).await;
    client.shutdown().await;
    assert!(client.receive::<ProduceRequest>(9).await.is_some());
    assert!(client.receive::<FetchRequest>(12).await.is_some());
    assert!(client.receive::<FetchRequest>(12).await.is_some(), "read ahead, and not forgotten");
    assert_eq!(client.frame().await, None);
}

#[tokio::test]
async fn requests_behind_a_waiting_fetch_are_answered_after_it() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let (mut reader, mut writer) = (fixture.client().await, fixture.client().await);
    reader.send(&long_fetch(), 12).await;
    let last = reader.send(&ApiVersionsRequest::default(), 0).await;
    writer.call(&produce_request("t", 0, -1, plain(&["a"])), 9).await;
    assert!(reader.receive::<FetchRequest>(12).await.is_some());
    assert_eq!(reader.receive::<ApiVersionsRequest>(0).await.unwrap().0, last);
}

#[tokio::test]
async fn a_waiting_fetch_does_not_hold_up_the_end() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    client.send(&long_fetch(), 12).await;
    eventually(|| fixture.connections() == 1).await;
    // Panics if it hangs: stopping waits as long as a hang.
    tokio::time::timeout(crate::support::HANG / 2, fixture.restart()).await.unwrap();
    assert_eq!(client.frame().await, None);
}
