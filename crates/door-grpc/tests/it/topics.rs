//! Topics, queues and subscriptions.

use door_grpc::pb;
use door_grpc::pb::subscriptions_client::SubscriptionsClient;
use door_grpc::pb::topics_client::TopicsClient;
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::{Fixture, queue, topic};

#[tokio::test]
async fn topics_are_made_listed_and_deleted() {
    let fixture = Fixture::start().await;
    let mut client = TopicsClient::new(fixture.connect().await);
    for n in 0..5 {
        fixture.topic(&format!("t{n}"), 2, &[("retention.ms", "1000")]).await;
    }
    fixture.publish([topic("t0", "x")]).await;
    let request = pb::GetTopicRequest { name: "t0".to_owned() };
    let told = client.get_topic(request).await.unwrap().into_inner();
    assert_eq!((&told.name[..], told.id.len(), told.partitions.len()), ("t0", 16, 2));
    assert_eq!(told.partitions.iter().map(|one| one.end - one.start).sum::<i64>(), 1);
    assert_eq!(told.config["retention.ms"], "1000");
    let mut names = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListTopicsRequest { prefix: "t".to_owned(), page_size: 2, page_token };
        let told = client.list_topics(request).await.unwrap().into_inner();
        names.extend(told.topics.into_iter().map(|topic| topic.name));
        page_token = told.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["t0", "t1", "t2", "t3", "t4"]);
    let delete = || pb::DeleteTopicRequest { name: "t1".to_owned() };
    client.delete_topic(delete()).await.unwrap();
    assert_eq!(client.delete_topic(delete()).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_topic_that_cannot_be_is_refused() {
    let fixture = Fixture::start().await;
    let mut client = TopicsClient::new(fixture.connect().await);
    fixture.topic("t", 1, &[]).await;
    let make = |name: &str, partitions: i32, config: &[(&str, &str)]| pb::CreateTopicRequest {
        name: name.to_owned(),
        partitions,
        config: config.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
    };
    let wrong = [
        (make("t", 1, &[]), Code::AlreadyExists),
        (make("a/b", 1, &[]), Code::InvalidArgument),
        (make("u", -1, &[]), Code::InvalidArgument),
        (make("u", 1, &[("none", "1")]), Code::InvalidArgument),
    ];
    for (request, code) in wrong {
        assert_eq!(
            client.create_topic(request.clone()).await.unwrap_err().code(),
            code,
            "{request:?}"
        );
    }
    let request = pb::GetTopicRequest { name: "none".to_owned() };
    let status = client.get_topic(request).await.unwrap_err();
    let what = status.get_details_resource_info().unwrap();
    assert_eq!((&what.resource_type[..], &what.resource_name[..]), ("topic", "none"));
}

#[tokio::test]
async fn queues_are_declared_looked_at_and_deleted() {
    let fixture = Fixture::start().await;
    let mut client = TopicsClient::new(fixture.connect().await);
    let declare = |length_max: u64| pb::DeclareQueueRequest {
        name: "q".to_owned(),
        length_max: Some(length_max),
        reject_when_full: true,
        ..Default::default()
    };
    assert!(client.declare_queue(declare(2)).await.unwrap().into_inner().created);
    assert!(!client.declare_queue(declare(2)).await.unwrap().into_inner().created);
    assert_eq!(client.declare_queue(declare(3)).await.unwrap_err().code(), Code::AlreadyExists);
    fixture.publish([queue("q", "1"), queue("q", "2")]).await;
    let mut publisher = pb::publisher_client::PublisherClient::new(fixture.connect().await);
    let request = pb::PublishRequest { message: Some(queue("q", "3")), mandatory: false };
    let refused = publisher.publish(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let name = || "q".to_owned();
    let info = client.get_queue(pb::GetQueueRequest { name: name() }).await.unwrap().into_inner();
    assert_eq!((info.ready, info.held, info.consumers), (2, 0, 0));
    let delete = |if_empty| pb::DeleteQueueRequest { name: name(), if_unused: true, if_empty };
    let refused = client.delete_queue(delete(true)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let purged = client.purge_queue(pb::PurgeQueueRequest { name: name() }).await.unwrap();
    assert_eq!(purged.into_inner().messages, 2);
    assert_eq!(client.delete_queue(delete(true)).await.unwrap().into_inner().messages, 0);
    let gone = client.get_queue(pb::GetQueueRequest { name: name() }).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
}

#[tokio::test]
async fn subscriptions_are_moved_looked_at_and_deleted() {
    let fixture = Fixture::start().await;
    let mut client = SubscriptionsClient::new(fixture.connect().await);
    fixture.topic("t", 1, &[]).await;
    fixture.publish((0..5).map(|n| topic("t", &n.to_string()))).await;
    let position = |partition, offset| pb::Position { topic: "t".to_owned(), partition, offset };
    for (name, shared) in [("o", false), ("s", true)] {
        let seek = |at: pb::Position| pb::SeekSubscriptionRequest {
            name: name.to_owned(),
            shared,
            positions: vec![at],
        };
        let told = client.seek_subscription(seek(position(0, 2))).await.unwrap().into_inner();
        assert_eq!((told.shared, told.members), (shared, 0));
        let at = &told.positions[0];
        assert_eq!((at.position.clone(), at.behind), (Some(position(0, 2)), 3));
        let wrong = client.seek_subscription(seek(position(7, 0))).await.unwrap_err();
        assert_eq!(wrong.code(), Code::NotFound);
    }
    let list = || pb::ListSubscriptionsRequest::default();
    let told = client.list_subscriptions(list()).await.unwrap().into_inner().subscriptions;
    let told: Vec<_> = told.into_iter().map(|one| (one.name, one.shared)).collect();
    assert_eq!(told, [("o".to_owned(), false), ("s".to_owned(), true)]);
    for name in ["o", "s"] {
        let delete = || pb::DeleteSubscriptionRequest { name: name.to_owned() };
        client.delete_subscription(delete()).await.unwrap();
        assert_eq!(client.delete_subscription(delete()).await.unwrap_err().code(), Code::NotFound);
    }
}
