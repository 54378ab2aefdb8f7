//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs.

use door_kafka::wire::ErrorCode;
use door_kafka::wire::messages::describe_configs_request::DescribeConfigsResource;
use door_kafka::wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use door_kafka::wire::messages::{
    AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
    alter_configs_request, incremental_alter_configs_request,
};

use crate::support::{Client, Fixture};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

pub async fn describe(
    client: &mut Client,
    kind: i8,
    name: &str,
    keys: Option<&[&str]>,
) -> DescribeConfigsResult {
    let resource = DescribeConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configuration_keys: keys.map(|keys| keys.iter().map(ToString::to_string).collect()),
    };
    let request = DescribeConfigsRequest {
        resources: vec![resource.clone(), resource],
        include_synonyms: true,
        include_documentation: true,
    };
    let mut response = client.call(&request, 4).await;
    assert_eq!(response.results.len(), 1, "once each");
    response.results.remove(0)
}

pub fn entry<'a>(
    result: &'a DescribeConfigsResult,
    name: &str,
) -> &'a DescribeConfigsResourceResult {
    result.configs.iter().find(|config| config.name == name).unwrap()
}

async fn replace(client: &mut Client, entries: &[(&str, &str)], validate_only: bool) -> i16 {
    let entry = |(name, value): &(&str, &str)| alter_configs_request::AlterableConfig {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
    };
    let resource = alter_configs_request::AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: "t".into(),
        configs: entries.iter().map(entry).collect(),
    };
    let request = AlterConfigsRequest { resources: vec![resource], validate_only };
    client.call(&request, 2).await.responses[0].error_code
}

pub async fn change(
    client: &mut Client,
    (kind, resource_name): (i8, &str),
    (operation, name, value): (i8, &str, Option<&str>),
) -> i16 {
    let config = incremental_alter_configs_request::AlterableConfig {
        name: name.into(),
        config_operation: operation,
        value: value.map(ToOwned::to_owned),
    };
    let resource = incremental_alter_configs_request::AlterConfigsResource {
        resource_type: kind,
        resource_name: resource_name.into(),
        configs: vec![config],
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    client.call(&request, 1).await.responses[0].error_code
}

#[tokio::test]
async fn values_say_where_they_come_from() {
    let fixture = Fixture::with(|options| {
        options.topic_defaults.insert("retention.ms".into(), "7".into());
    })
    .await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let all = describe(&mut client, TOPIC, "t", None).await;
    assert_eq!((all.error_code, all.configs.len()), (0, broker::topic_config::TOPIC_KEYS.len()));
    let from = |name: &str| (entry(&all, name).value.clone(), entry(&all, name).config_source);
    assert_eq!(from("retention.ms"), (Some("7".into()), 4));
    assert_eq!(from("segment.ms"), (Some("604800000".into()), 5));
    assert!(entry(&all, "segment.ms").documentation.is_some());

    assert_eq!(change(&mut client, (TOPIC, "t"), (0, "retention.ms", Some("9"))).await, 0);
    let some = describe(&mut client, TOPIC, "t", Some(&["retention.ms", "no.such"])).await;
    assert_eq!(some.configs.len(), 1);
    let own = entry(&some, "retention.ms");
    assert_eq!((own.value.as_deref(), own.config_source, own.config_type), (Some("9"), 1, 5));
    let synonyms: Vec<_> =
        own.synonyms.iter().map(|s| (s.value.as_deref().unwrap(), s.source)).collect();
    assert_eq!(synonyms, [("9", 1), ("7", 4), ("604800000", 5)]);
    // Some clients say "all" by naming none.
    let all_again = describe(&mut client, TOPIC, "t", Some(&[])).await;
    assert_eq!(all_again.configs.len(), all.configs.len());

    let unknown = describe(&mut client, TOPIC, "none", None).await;
    assert_eq!(unknown.error_code, ErrorCode::UnknownTopicOrPartition.number());
    let own = describe(&mut client, BROKER, "0", None).await;
    assert!(!entry(&own, "log.retention.ms").read_only);
    let explained = |config: &DescribeConfigsResourceResult| {
        config.documentation.as_ref().is_some_and(|text| !text.is_empty())
    };
    assert!(own.configs.iter().all(explained), "{:?}", own.configs);
    assert_eq!(describe(&mut client, BROKER, "", None).await.error_code, 0);
    let invalid = ErrorCode::InvalidRequest.number();
    assert_eq!(describe(&mut client, BROKER, "8", None).await.error_code, invalid);
    assert_eq!(describe(&mut client, 99, "t", None).await.error_code, invalid);
}

#[tokio::test]
async fn replacing_leaves_nothing_of_what_was_set() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    assert_eq!(replace(&mut client, &[("retention.ms", "5"), ("segment.ms", "6")], false).await, 0);
    assert_eq!(replace(&mut client, &[("retention.ms", "7")], true).await, 0);
    let set = |fixture: &Fixture| fixture.broker.topic("t").unwrap().topic.config.clone();
    assert_eq!(set(&fixture)["retention.ms"], "5", "only tried");
    let invalid = ErrorCode::InvalidConfig.number();
    assert_eq!(replace(&mut client, &[("retention.ms", "x")], false).await, invalid);
    assert_eq!(replace(&mut client, &[("segment.ms", "8")], false).await, 0);
    assert_eq!(set(&fixture).into_iter().collect::<Vec<_>>(), [("segment.ms".into(), "8".into())]);

    let fixture = fixture.restart().await;
    assert_eq!(set(&fixture)["segment.ms"], "8");
}

#[tokio::test]
async fn single_keys_are_set_deleted_appended_to() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let list = "leader.replication.throttled.replicas";
    let (invalid, request) =
        (ErrorCode::InvalidConfig.number(), ErrorCode::InvalidRequest.number());
    let unknown = ErrorCode::UnknownTopicOrPartition.number();
    for (resource, change_of, code) in [
        ((TOPIC, "t"), (0, "retention.ms", Some("5")), 0),
        ((TOPIC, "t"), (0, "segment.ms", Some("5")), 0),
        ((TOPIC, "t"), (1, "segment.ms", None), 0),
        ((TOPIC, "t"), (2, list, Some("0:0")), 0),
        ((TOPIC, "t"), (2, list, Some("1:0,2:0")), 0),
        ((TOPIC, "t"), (3, list, Some("1:0")), 0),
        ((TOPIC, "t"), (2, "retention.ms", Some("6")), invalid),
        ((TOPIC, "t"), (0, "no.such.key", Some("6")), invalid),
        ((TOPIC, "t"), (0, "retention.ms", None), request),
        ((TOPIC, "t"), (9, "retention.ms", Some("6")), request),
        ((TOPIC, "none"), (0, "retention.ms", Some("6")), unknown),
    ] {
        assert_eq!(change(&mut client, resource, change_of).await, code, "{change_of:?}");
    }
    let set: Vec<_> = fixture.broker.topic("t").unwrap().topic.config.clone().into_iter().collect();
    let expected = [(list, "0:0,2:0"), ("retention.ms", "5")];
    assert_eq!(set, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[tokio::test]
async fn a_list_is_changed_from_what_is_in_effect() {
    const APPEND: i8 = 2;
    const SUBTRACT: i8 = 3;
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let policy = async |client: &mut Client| {
        let described = describe(client, TOPIC, "t", None).await;
        let entry = entry(&described, "cleanup.policy");
        assert_eq!(entry.config_type, 7, "a list");
        entry.value.clone().unwrap()
    };
    for (operation, value, after) in [
        (APPEND, "compact", "delete,compact"),
        (APPEND, "delete", "delete,compact"),
        (SUBTRACT, "delete", "compact"),
        (SUBTRACT, "compact", ""),
        (APPEND, "compact,delete", "compact,delete"),
    ] {
        let asked = (operation, "cleanup.policy", Some(value));
        assert_eq!(change(&mut client, (TOPIC, "t"), asked).await, 0);
        assert_eq!(policy(&mut client).await, after);
    }
    let odd = change(&mut client, (TOPIC, "t"), (APPEND, "cleanup.policy", Some("shred"))).await;
    assert_eq!(odd, ErrorCode::InvalidConfig.number());
    let young = change(&mut client, (TOPIC, "t"), (0, "max.compaction.lag.ms", Some("5"))).await;
    assert_eq!(young, 0);
    let both = change(&mut client, (TOPIC, "t"), (0, "min.compaction.lag.ms", Some("6"))).await;
    assert_eq!(both, ErrorCode::InvalidConfig.number());
}

#[tokio::test]
async fn every_key_of_a_topic_is_listed_and_what_is_not_there_is_refused() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let described = describe(&mut client, TOPIC, "t", None).await;
    // Those of Apache Kafka 4.4, and those before 4.0 that tools still set.
    for (name, default, kind) in [
        ("cleanup.policy", "delete", 7),
        ("compression.gzip.level", "-1", 3),
        ("compression.lz4.level", "9", 3),
        ("compression.type", "producer", 2),
        ("compression.zstd.level", "3", 3),
        ("delete.retention.ms", "86400000", 5),
        ("errors.deadletterqueue.group.enable", "false", 1),
        ("file.delete.delay.ms", "60000", 5),
        ("flush.messages", "9223372036854775807", 5),
        ("flush.ms", "9223372036854775807", 5),
        ("follower.replication.throttled.replicas", "", 7),
        ("index.interval.bytes", "4096", 3),
        ("leader.replication.throttled.replicas", "", 7),
        ("local.retention.bytes", "-2", 5),
        ("local.retention.ms", "-2", 5),
        ("max.compaction.lag.ms", "9223372036854775807", 5),
        ("max.decompressed.message.bytes", "2147483639", 3),
        ("max.message.bytes", "1048588", 3),
        ("message.downconversion.enable", "true", 1),
        ("message.format.version", "3.0-IV1", 2),
        ("message.timestamp.after.max.ms", "3600000", 5),
        ("message.timestamp.before.max.ms", "9223372036854775807", 5),
        ("message.timestamp.difference.max.ms", "9223372036854775807", 5),
        ("message.timestamp.type", "CreateTime", 2),
        ("min.cleanable.dirty.ratio", "0.5", 6),
        ("min.compaction.lag.ms", "0", 5),
        ("min.insync.replicas", "1", 3),
        ("preallocate", "false", 1),
        ("remote.copy.lag.bytes", "0", 5),
        ("remote.copy.lag.ms", "0", 5),
        ("remote.log.copy.disable", "false", 1),
        ("remote.log.delete.on.disable", "false", 1),
        ("remote.storage.enable", "false", 1),
        ("retention.bytes", "-1", 5),
        ("retention.ms", "604800000", 5),
        ("segment.bytes", "1073741824", 3),
        ("segment.index.bytes", "10485760", 3),
        ("segment.jitter.ms", "0", 5),
        ("segment.ms", "604800000", 5),
        ("unclean.leader.election.enable", "false", 1),
    ] {
        let found = entry(&described, name);
        assert_eq!((found.value.as_deref(), found.config_type), (Some(default), kind), "{name}");
    }
    let own = described.configs.iter().filter(|config| config.name.starts_with("entrepot."));
    assert_eq!(described.configs.len(), 40 + own.count());
    let refused = change(&mut client, (TOPIC, "t"), (0, "remote.storage.enable", Some("true")));
    assert_eq!(refused.await, ErrorCode::InvalidConfig.number());
    let set = change(&mut client, (TOPIC, "t"), (0, "remote.storage.enable", Some("false")));
    assert_eq!(set.await, 0);
}
