//! Making, growing, deleting and describing topics.

use broker::store::batch::Compression;
use door_kafka::wire::ErrorCode;
use door_kafka::wire::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use door_kafka::wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use door_kafka::wire::messages::create_topics_response::CreatableTopicResult;
use door_kafka::wire::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use door_kafka::wire::messages::delete_topics_request::DeleteTopicState;
use door_kafka::wire::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use door_kafka::wire::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    DescribeLogDirsRequest, DescribeTopicPartitionsRequest,
};

use crate::records::{batch, fetch, plain, produce};
use crate::support::{Client, Fixture};

fn topic(name: &str) -> CreatableTopic {
    CreatableTopic {
        name: name.into(),
        num_partitions: 1,
        replication_factor: 1,
        ..CreatableTopic::default()
    }
}

async fn create(client: &mut Client, topic: CreatableTopic) -> CreatableTopicResult {
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    client.call(&request, 7).await.topics.remove(0)
}

fn assigned(replicas: &[&[i32]]) -> CreatableTopic {
    let one = |(index, brokers): (i32, &&[i32])| CreatableReplicaAssignment {
        partition_index: index,
        broker_ids: brokers.to_vec(),
    };
    CreatableTopic {
        num_partitions: -1,
        replication_factor: -1,
        assignments: (0..).zip(replicas).map(one).collect(),
        ..topic("assigned")
    }
}

fn configured(name: &str, value: Option<&str>) -> CreatableTopic {
    let value = value.map(ToOwned::to_owned);
    let config = CreatableTopicConfig { name: name.into(), value };
    CreatableTopic { configs: vec![config], ..topic("configured") }
}

#[tokio::test]
async fn topics_that_cannot_be_made_are_refused_each_for_its_reason() {
    let fixture = Fixture::start().await;
    fixture.topic("there", 1).await;
    let mut client = fixture.client().await;
    let partitions = |num_partitions| CreatableTopic { num_partitions, ..topic("p") };
    let replicas = |replication_factor| CreatableTopic { replication_factor, ..topic("r") };
    let both = CreatableTopic { num_partitions: 1, ..assigned(&[&[0]]) };
    let mut lags = configured("min.compaction.lag.ms", Some("2"));
    lags.configs.extend(configured("max.compaction.lag.ms", Some("1")).configs);
    for (what, topic, code) in [
        ("name", topic("a/b"), ErrorCode::InvalidTopicException),
        ("empty name", topic(""), ErrorCode::InvalidTopicException),
        ("exists", topic("there"), ErrorCode::TopicAlreadyExists),
        ("no partitions", partitions(0), ErrorCode::InvalidPartitions),
        ("negative", partitions(-2), ErrorCode::InvalidPartitions),
        ("too many", partitions(i32::MAX), ErrorCode::InvalidPartitions),
        ("three copies", replicas(3), ErrorCode::InvalidReplicationFactor),
        ("no copies", replicas(0), ErrorCode::InvalidReplicationFactor),
        ("another broker", assigned(&[&[5]]), ErrorCode::InvalidReplicaAssignment),
        ("two brokers", assigned(&[&[0, 1]]), ErrorCode::InvalidReplicaAssignment),
        ("both", both, ErrorCode::InvalidRequest),
        ("unknown key", configured("no.such.key", Some("1")), ErrorCode::InvalidConfig),
        ("bad value", configured("retention.ms", Some("soon")), ErrorCode::InvalidConfig),
        ("no value", configured("retention.ms", None), ErrorCode::InvalidConfig),
        ("policy", configured("cleanup.policy", Some("compress")), ErrorCode::InvalidConfig),
        ("twice", configured("cleanup.policy", Some("delete,delete")), ErrorCode::InvalidConfig),
        ("lag", configured("min.compaction.lag.ms", Some("-1")), ErrorCode::InvalidConfig),
        ("lags", lags, ErrorCode::InvalidConfig),
    ] {
        let refused = create(&mut client, topic).await;
        assert_eq!(refused.error_code, code.number(), "{what}: {:?}", refused.error_message);
        assert!(refused.error_message.is_some(), "{what}");
    }
    assert_eq!(fixture.broker.metadata().topics.len(), 1, "none was made");
}

#[tokio::test]
async fn topics_are_made_as_asked() {
    let fixture = Fixture::with(|options| options.default_partitions = 4).await;
    let mut client = fixture.client().await;
    let default = CreatableTopic { num_partitions: -1, replication_factor: -1, ..topic("default") };
    let dry = CreateTopicsRequest {
        topics: vec![default.clone()],
        validate_only: true,
        ..CreateTopicsRequest::default()
    };
    assert_eq!(client.call(&dry, 7).await.topics[0].error_code, 0);
    assert!(fixture.broker.topic("default").is_none(), "only tried");
    let made = create(&mut client, default).await;
    assert_eq!((made.error_code, made.error_message.clone()), (0, None));
    assert_eq!((made.num_partitions, made.replication_factor), (4, 1));
    assert_ne!(made.topic_id, [0; 16]);
    assert_eq!(create(&mut client, assigned(&[&[0], &[0]])).await.num_partitions, 2);
    let made = create(&mut client, configured("retention.ms", Some("5"))).await;
    let configs = made.configs.unwrap();
    let set = configs.iter().find(|config| config.name == "retention.ms").unwrap();
    assert_eq!((set.value.as_deref(), set.config_source), (Some("5"), 1));

    let twice = CreateTopicsRequest {
        topics: vec![topic("x"), topic("y"), topic("x")],
        ..CreateTopicsRequest::default()
    };
    let response = client.call(&twice, 7).await;
    let codes: Vec<_> = response.topics.iter().map(|t| (t.name.as_str(), t.error_code)).collect();
    assert_eq!(codes, [("x", ErrorCode::InvalidRequest.number()), ("y", 0)]);
}

#[tokio::test]
async fn naming_a_topic_very_often_costs_little() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let request = CreateTopicsRequest {
        topics: (0..60_000).map(|number| topic(&format!("no/{number}"))).collect(),
        ..CreateTopicsRequest::default()
    };
    let response = client.call(&request, 7).await;
    assert_eq!(response.topics.len(), 60_000);
}

#[tokio::test]
async fn topics_grow_and_never_shrink() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 2).await;
    let mut client = fixture.client().await;
    let ask = |name: &str, count, brokers: Option<Vec<i32>>, validate_only| {
        let assign = |broker_ids| vec![CreatePartitionsAssignment { broker_ids }];
        let topic =
            CreatePartitionsTopic { name: name.into(), count, assignments: brokers.map(assign) };
        CreatePartitionsRequest { topics: vec![topic], validate_only, timeout_ms: 1000 }
    };
    let assignment = ErrorCode::InvalidReplicaAssignment;
    for (request, code) in [
        (ask("none", 3, None, false), ErrorCode::UnknownTopicOrPartition),
        (ask("t", 2, None, false), ErrorCode::InvalidPartitions),
        (ask("t", 1, None, false), ErrorCode::InvalidPartitions),
        (ask("t", -1, None, false), ErrorCode::InvalidPartitions),
        (ask("t", 3, Some(vec![4]), false), assignment),
        (ask("t", 4, Some(vec![0]), false), assignment),
        (ask("t", 3, Some(vec![0]), true), ErrorCode::None),
    ] {
        let response = client.call(&request, 3).await;
        assert_eq!(response.results[0].error_code, code.number());
    }
    assert_eq!(fixture.broker.topic("t").unwrap().topic.partitions.len(), 2);
    let response = client.call(&ask("t", 3, Some(vec![0]), false), 3).await;
    assert_eq!((response.results[0].error_code, &response.results[0].error_message), (0, &None));
    assert_eq!(fixture.broker.topic("t").unwrap().topic.partitions.len(), 3);
}

#[tokio::test]
async fn topics_are_deleted_by_name_and_by_id() {
    let fixture = Fixture::start().await;
    let id = fixture.topic("a", 1).await;
    fixture.topic("b", 1).await;
    let mut client = fixture.client().await;
    produce(&mut client, "a", plain(&["old"])).await;
    let names = DeleteTopicsRequest {
        topic_names: vec!["b".into(), "b".into()],
        ..DeleteTopicsRequest::default()
    };
    let response = client.call(&names, 5).await;
    let codes: Vec<_> = response.responses.iter().map(|r| r.error_code).collect();
    assert_eq!(codes, [0, ErrorCode::UnknownTopicOrPartition.number()]);
    let state = |name: Option<&str>, topic_id| DeleteTopicState {
        name: name.map(ToOwned::to_owned),
        topic_id,
    };
    let topics = vec![state(Some("a"), id), state(None, [9; 16]), state(None, id)];
    let response = client.call(&DeleteTopicsRequest { topics, ..Default::default() }, 6).await;
    let codes: Vec<_> = response.responses.iter().map(|r| r.error_code).collect();
    let (both, unknown) = (ErrorCode::InvalidRequest.number(), ErrorCode::UnknownTopicId.number());
    assert_eq!(codes, [both, unknown, 0]);
    assert_eq!(response.responses[2].name.as_deref(), Some("a"));

    // A new one of the same name begins anew, and is not what the id means.
    fixture.topic("a", 1).await;
    assert_eq!(fetch(&mut client, "a", 0).await.high_watermark, 0);
    let old = base::TopicId::from_bytes(id);
    assert!(fixture.broker.delete_topic("a", Some(old)).await.is_err());
    assert!(fixture.broker.topic("a").is_some());

    let fixture = Fixture::with(|options| options.delete_topics = false).await;
    fixture.topic("b", 1).await;
    let response = fixture.client().await.call(&names, 5).await;
    let code = response.responses[0].error_code;
    assert_eq!(code, ErrorCode::TopicDeletionDisabled.number());
}

#[tokio::test]
async fn the_oldest_records_are_deleted() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    produce(&mut client, "t", batch(Compression::None, &["a", "b", "c"])).await;
    let out_of_range = ErrorCode::OffsetOutOfRange.number();
    for (partition, offset, expected) in [
        (0, 4, (out_of_range, -1)),
        (0, -2, (out_of_range, -1)),
        (3, 0, (ErrorCode::UnknownTopicOrPartition.number(), -1)),
        (0, 2, (0, 2)),
        (0, 1, (0, 2)),
        (0, -1, (0, 3)),
    ] {
        let partition = DeleteRecordsPartition { partition_index: partition, offset };
        let request = DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic { name: "t".into(), partitions: vec![partition] }],
            timeout_ms: 1000,
        };
        let response = client.call(&request, 2).await;
        let result = &response.topics[0].partitions[0];
        assert_eq!((result.error_code, result.low_watermark), expected, "{offset}");
    }
    assert_eq!(fetch(&mut client, "t", 2).await.error_code, out_of_range);
    assert_eq!(fetch(&mut client, "t", 3).await.error_code, 0);
}

#[tokio::test]
async fn space_is_told_by_partition() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 2).await;
    let mut client = fixture.client().await;
    produce(&mut client, "t", plain(&["a"])).await;
    let response = client.call(&DescribeLogDirsRequest { topics: None }, 4).await;
    assert_eq!(response.error_code, 0);
    let [dir] = &response.results[..] else { panic!("one folder") };
    assert_eq!(dir.log_dir, fixture.dir.path().display().to_string());
    let sizes: Vec<_> = dir.topics[0].partitions.iter().map(|p| p.partition_size).collect();
    assert_eq!(sizes, [i64::try_from(plain(&["a"]).len()).unwrap(), 0]);
    let none = client.call(&DescribeLogDirsRequest { topics: Some(vec![]) }, 4).await;
    assert!(none.results[0].topics.is_empty());
}

#[tokio::test]
async fn topics_are_described_in_pages() {
    let fixture = Fixture::start().await;
    for (name, partitions) in [("a", 3), ("b", 1), ("c", 2)] {
        fixture.topic(name, partitions).await;
    }
    let mut client = fixture.client().await;
    let mut request = DescribeTopicPartitionsRequest {
        response_partition_limit: 2,
        ..DescribeTopicPartitionsRequest::default()
    };
    let mut seen = Vec::new();
    let mut pages = 0;
    loop {
        let response = client.call(&request, 0).await;
        pages += 1;
        for topic in &response.topics {
            let name = topic.name.clone().unwrap();
            seen.extend(topic.partitions.iter().map(|p| (name.clone(), p.partition_index)));
        }
        let Some(next) = response.next_cursor else { break };
        request.cursor =
            Some(Cursor { topic_name: next.topic_name, partition_index: next.partition_index });
    }
    let expected = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("c", 0), ("c", 1)];
    assert_eq!(seen, expected.map(|(name, number)| (name.to_owned(), number)));
    assert_eq!(pages, 3);

    request.topics = vec![TopicRequest { name: "none".into() }, TopicRequest { name: "a".into() }];
    request.cursor = Some(Cursor { topic_name: "a".into(), partition_index: -5 });
    let response = client.call(&request, 0).await;
    let next = response.next_cursor.unwrap();
    assert_eq!((next.topic_name.as_str(), next.partition_index), ("a", 2));
    request.cursor = None;
    request.response_partition_limit = 10;
    let response = client.call(&request, 0).await;
    assert_eq!(response.topics[1].error_code, ErrorCode::UnknownTopicOrPartition.number());
}
