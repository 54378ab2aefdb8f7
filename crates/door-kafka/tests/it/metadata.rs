//! Metadata and DescribeCluster.

use door_kafka::wire::ErrorCode;
use door_kafka::wire::messages::metadata_request::MetadataRequestTopic;
use door_kafka::wire::messages::{
    DescribeClusterRequest, FindCoordinatorRequest, MetadataRequest, MetadataResponse,
};

use crate::support::Fixture;

fn ask(names: &[&str], create: bool) -> MetadataRequest {
    let topic =
        |name: &&str| MetadataRequestTopic { name: Some((*name).to_owned()), ..Default::default() };
    MetadataRequest {
        topics: Some(names.iter().map(topic).collect()),
        allow_auto_topic_creation: create,
        ..MetadataRequest::default()
    }
}

fn names(response: &MetadataResponse) -> Vec<&str> {
    response.topics.iter().map(|topic| topic.name.as_deref().unwrap_or("")).collect()
}

#[tokio::test]
async fn all_topics_are_asked_for_differently_in_version_0() {
    let fixture = Fixture::start().await;
    fixture.topic("a", 1).await;
    fixture.topic("b", 2).await;
    let mut client = fixture.client().await;
    let none = MetadataRequest { topics: Some(vec![]), ..MetadataRequest::default() };
    let all = MetadataRequest { topics: None, ..MetadataRequest::default() };
    assert_eq!(names(&client.call(&none, 0).await), ["a", "b"]);
    assert!(names(&client.call(&none, 1).await).is_empty());
    for version in [1, 5, 9, 13] {
        let response = client.call(&all, version).await;
        assert_eq!(names(&response), ["a", "b"]);
        assert_eq!(response.topics[1].partitions.len(), 2);
        assert_eq!((response.brokers.len(), response.controller_id), (1, 0));
    }
}

#[tokio::test]
async fn topics_are_made_when_client_and_broker_want_that() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let unknown = ErrorCode::UnknownTopicOrPartition.number();
    let refused = client.call(&ask(&["t"], false), 4).await;
    assert_eq!(refused.topics[0].error_code, unknown);
    for bad in ["", ".", "..", "a b", "ä", &"x".repeat(250)] {
        for create in [true, false] {
            let refused = client.call(&ask(&[bad], create), 4).await;
            assert_eq!(refused.topics[0].error_code, ErrorCode::InvalidTopicException.number());
        }
    }
    let made = client.call(&ask(&["t"], true), 4).await;
    assert_eq!((made.topics[0].error_code, made.topics[0].partitions.len()), (0, 1));
    // Versions that cannot say so want it.
    assert_eq!(client.call(&ask(&["u"], false), 1).await.topics[0].error_code, 0);
    let twice = client.call(&ask(&["t", "t", "t"], true), 4).await;
    assert_eq!(names(&twice), ["t"], "once each");

    let fixture = Fixture::with(|options| options.auto_create_topics = false).await;
    let mut client = fixture.client().await;
    assert_eq!(client.call(&ask(&["t"], true), 4).await.topics[0].error_code, unknown);
}

#[tokio::test]
async fn a_topic_that_many_want_is_made_once_and_all_can_use_it() {
    let fixture = Fixture::start().await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = fixture.client().await;
        client.send(&ask(&["t"], true), 12).await;
        clients.push(client);
    }
    let mut ids = Vec::new();
    for client in &mut clients {
        let (_, response) = client.receive::<MetadataRequest>(12).await.unwrap();
        assert_eq!(response.topics[0].error_code, 0);
        ids.push(response.topics[0].topic_id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn topics_are_found_by_id() {
    let fixture = Fixture::start().await;
    let id = fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let by_id = |topic_id| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { topic_id, name: None }]),
        ..MetadataRequest::default()
    };
    assert_eq!(names(&client.call(&by_id(id), 12).await), ["t"]);
    // Java's clients say an empty name instead of none.
    let mut request = by_id(id);
    request.topics.iter_mut().flatten().for_each(|topic| topic.name = Some(String::new()));
    assert_eq!(names(&client.call(&request, 12).await), ["t"]);
    let unknown = client.call(&by_id([3; 16]), 12).await;
    assert_eq!(unknown.topics[0].error_code, ErrorCode::UnknownTopicId.number());
    assert_eq!(unknown.topics[0].name, None);
}

#[tokio::test]
async fn the_cluster_is_described() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let cluster = client.call(&DescribeClusterRequest::default(), 1).await;
    assert_eq!((cluster.error_code, cluster.brokers.len(), cluster.controller_id), (0, 1, 0));
    assert_eq!(cluster.cluster_id.len(), 22);
    let controllers = DescribeClusterRequest { endpoint_type: 2, ..Default::default() };
    let refused = client.call(&controllers, 1).await;
    assert_eq!(refused.error_code, ErrorCode::MismatchedEndpointType.number());

    let groups = FindCoordinatorRequest {
        coordinator_keys: vec!["g".into(), String::new()],
        ..FindCoordinatorRequest::default()
    };
    let found = client.call(&groups, 4).await;
    let codes: Vec<_> = found.coordinators.iter().map(|c| c.error_code).collect();
    assert_eq!(codes, [0, ErrorCode::InvalidGroupId.number()]);
    let transactions = FindCoordinatorRequest { key_type: 1, key: "t".into(), ..groups.clone() };
    assert_eq!(client.call(&transactions, 3).await.error_code, 0);
    let shares = FindCoordinatorRequest { key_type: 2, key: "g:t:0".into(), ..groups.clone() };
    assert_eq!(client.call(&shares, 6).await.error_code, 0);
    let others = FindCoordinatorRequest { key_type: 3, key: "t".into(), ..groups };
    let refused = client.call(&others, 3).await;
    assert_eq!(refused.error_code, ErrorCode::InvalidRequest.number());
}
