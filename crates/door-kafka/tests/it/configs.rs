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

async fn describe(
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

fn entry<'a>(result: &'a DescribeConfigsResult, name: &str) -> &'a DescribeConfigsResourceResult {
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

async fn change(
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
    assert!(entry(&own, "num.partitions").read_only);
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
        ((BROKER, "0"), (0, "num.partitions", Some("6")), request),
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
