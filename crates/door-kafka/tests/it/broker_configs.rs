//! The broker's own configuration and the levels of its log, changed while it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker::loggers::{Level, Loggers};
use broker::settings::{BROKER_KEYS, Setting};
use broker::store::batch::Compression;
use broker::topic_config::Kind;
use door_kafka::wire::ErrorCode;
use door_kafka::wire::messages::describe_configs_response::DescribeConfigsResourceResult;
use door_kafka::wire::messages::{
    AlterConfigsRequest, IncrementalAlterConfigsRequest, alter_configs_request,
    incremental_alter_configs_request,
};

use parking_lot::Mutex;

use crate::configs::{describe, entry};
use crate::records::{batch, plain, produce};
use crate::support::{Client, Fixture};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;

/// Changes one key; returns the error and what was said.
async fn change(
    client: &mut Client,
    (kind, name): (i8, &str),
    (operation, key, value): (i8, &str, &str),
    validate_only: bool,
) -> (i16, String) {
    let config = incremental_alter_configs_request::AlterableConfig {
        name: key.into(),
        config_operation: operation,
        value: (operation != DELETE).then(|| value.to_owned()),
    };
    let resource = incremental_alter_configs_request::AlterConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configs: vec![config],
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only };
    let response = client.call(&request, 1).await.responses.remove(0);
    (response.error_code, response.error_message.unwrap_or_default())
}

async fn set(client: &mut Client, whose: &str, key: &str, value: &str) {
    let done = change(client, (BROKER, whose), (SET, key, value), false).await;
    assert_eq!(done, (0, String::new()), "{key}={value}");
}

async fn delete(client: &mut Client, whose: &str, key: &str) {
    let done = change(client, (BROKER, whose), (DELETE, key, ""), false).await;
    assert_eq!(done, (0, String::new()), "{key}");
}

/// A key's values and where they come from, that in effect first.
fn synonyms(config: &DescribeConfigsResourceResult) -> Vec<(String, String, i8)> {
    let all = config.synonyms.iter();
    all.map(|s| (s.name.clone(), s.value.clone().unwrap_or_default(), s.source)).collect()
}

fn synonym(name: &str, value: &str, source: i8) -> (String, String, i8) {
    (name.to_owned(), value.to_owned(), source)
}

#[tokio::test]
async fn what_is_set_for_the_broker_goes_before_what_is_set_for_all_and_what_its_file_says() {
    let change_options = |options: &mut broker::BrokerOptions| {
        options.topic_defaults.insert("retention.ms".into(), "4".into());
    };
    let fixture = Fixture::with(change_options).await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let (broker_key, topic_key) = ("log.retention.ms", "retention.ms");
    set(&mut client, "", broker_key, "3").await;
    set(&mut client, "0", broker_key, "2").await;
    let of_broker = |value, source| synonym(broker_key, value, source);
    let mut all =
        vec![of_broker("2", 2), of_broker("3", 3), of_broker("4", 4), of_broker("604800000", 5)];
    let shown = describe(&mut client, BROKER, "0", Some(&[broker_key])).await;
    let shown = entry(&shown, broker_key);
    assert_eq!((shown.value.as_deref(), shown.config_source), (Some("2"), 2));
    assert!(!shown.read_only && !shown.is_sensitive);
    assert_eq!((synonyms(shown), shown.config_type), (all.clone(), 5));
    // Of all brokers together only what is set for all is told.
    let shown = describe(&mut client, BROKER, "", None).await;
    assert_eq!(shown.configs.len(), 1);
    assert_eq!(synonyms(&shown.configs[0]), [of_broker("3", 3)]);
    // A topic has it by another name.
    let of_topic = describe(&mut client, TOPIC, "t", Some(&[topic_key])).await;
    let of_topic = entry(&of_topic, topic_key);
    assert_eq!((of_topic.value.as_deref(), of_topic.config_source), (Some("2"), 2));
    assert_eq!(synonyms(of_topic), all);
    let own = change(&mut client, (TOPIC, "t"), (SET, topic_key, "1"), false).await;
    assert_eq!(own.0, 0);
    all.insert(0, synonym(topic_key, "1", 1));
    let of_topic = describe(&mut client, TOPIC, "t", Some(&[topic_key])).await;
    assert_eq!(synonyms(entry(&of_topic, topic_key)), all);
    // What is taken back uncovers what was there before.
    delete(&mut client, "0", broker_key).await;
    let shown = describe(&mut client, BROKER, "0", Some(&[broker_key])).await;
    assert_eq!(entry(&shown, broker_key).config_source, 3);
    delete(&mut client, "", broker_key).await;
    let shown = describe(&mut client, BROKER, "0", Some(&[broker_key])).await;
    assert_eq!(entry(&shown, broker_key).value.as_deref(), Some("4"));
}

#[tokio::test]
async fn a_change_counts_at_once_for_topics_that_say_nothing_themselves_and_after_a_restart() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let large = plain(&[&"x".repeat(1000)]);
    assert_eq!(produce(&mut client, "t", large.clone()).await.error_code, 0);
    set(&mut client, "0", "message.max.bytes", "500").await;
    let too_large = ErrorCode::MessageTooLarge.number();
    assert_eq!(produce(&mut client, "t", large.clone()).await.error_code, too_large);
    fixture.topic("later", 1).await;
    assert_eq!(produce(&mut client, "later", large.clone()).await.error_code, too_large);
    let own = (SET, "max.message.bytes", "2000");
    assert_eq!(change(&mut client, (TOPIC, "t"), own, false).await.0, 0);
    assert_eq!(produce(&mut client, "t", large.clone()).await.error_code, 0);

    let fixture = fixture.restart().await;
    let mut client = fixture.client().await;
    let refused = produce(&mut client, "later", large.clone()).await;
    assert_eq!(refused.error_code, too_large, "it is kept with the cluster's metadata");
    delete(&mut client, "0", "message.max.bytes").await;
    assert_eq!(produce(&mut client, "later", large).await.error_code, 0);
}

#[tokio::test]
async fn every_key_that_can_be_changed_is_listed_and_takes_its_default() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    for key in BROKER_KEYS {
        set(&mut client, "0", key.name, key.default()).await;
    }
    let all = describe(&mut client, BROKER, "0", None).await;
    for key in BROKER_KEYS {
        let shown = entry(&all, key.name);
        assert_eq!(shown.value.as_deref(), Some(key.default()), "{}", key.name);
        assert_eq!((shown.config_source, shown.read_only), (2, false), "{}", key.name);
        assert!(shown.documentation.as_ref().is_some_and(|text| !text.is_empty()));
    }
    assert!(all.configs.windows(2).all(|two| two[0].name < two[1].name), "sorted");
}

#[tokio::test]
async fn what_cannot_be_changed_is_refused_whole_and_nothing_is_stored() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let request = ErrorCode::InvalidRequest.number();
    for (name, key, value, said) in [
        ("0", "num.partitions", "6", "Cannot update these configs dynamically: [num.partitions]"),
        ("", "log.dirs", "/x", "Cannot update these configs dynamically: [log.dirs]"),
        ("0", "no.such.key", "1", "Cannot update these configs dynamically: [no.such.key]"),
        ("0", "log.retention.ms", "soon", "log.retention.ms"),
        ("0", "max.connections", "0", "max.connections"),
        ("0", "max.connections.per.ip.overrides", "localhost", "ADDRESS:COUNT"),
        ("0", "log.cleaner.io.max.bytes.per.second", "-1", "a number from 0 up"),
        ("8", "log.retention.ms", "1", "Unexpected broker id, expected 0, but received 8"),
        ("x", "log.retention.ms", "1", "Node id must be an integer, but it is: x"),
    ] {
        let (code, text) = change(&mut client, (BROKER, name), (SET, key, value), false).await;
        assert_eq!(code, request, "{name} {key}={value}: {text}");
        assert!(text.contains(said), "{text}");
    }
    let appended = change(&mut client, (BROKER, "0"), (APPEND, "max.connections", "1"), false);
    let appended = appended.await;
    assert_eq!(appended.0, ErrorCode::InvalidConfig.number(), "{}", appended.1);
    assert_eq!(appended.1, "Can't APPEND to key max.connections because its type is not LIST.");
    set(&mut client, "", "log.cleaner.max.compaction.lag.ms", "5").await;
    let lag = (SET, "log.cleaner.min.compaction.lag.ms", "6");
    let contradicts = change(&mut client, (BROKER, "0"), lag, false).await;
    assert_eq!(contradicts.0, request, "{}", contradicts.1);
    let tried = change(&mut client, (BROKER, "0"), (SET, "log.retention.ms", "1"), true).await;
    assert_eq!(tried.0, 0, "it could be changed");
    let metadata = fixture.broker.metadata();
    assert!(!metadata.settings.contains_key(&Some(fixture.broker.id())), "but was not");

    let policy = (APPEND, "log.cleanup.policy", "compact");
    assert_eq!(change(&mut client, (BROKER, "0"), policy, false).await.0, 0);
    let shown = describe(&mut client, BROKER, "0", Some(&["log.cleanup.policy"])).await;
    assert_eq!(shown.configs[0].value.as_deref(), Some("delete,compact"));
    let list = |key: &str, value: &str| alter_configs_request::AlterableConfig {
        name: key.into(),
        value: Some(value.into()),
    };
    let resource = alter_configs_request::AlterConfigsResource {
        resource_type: BROKER,
        resource_name: "0".into(),
        configs: vec![list("log.retention.bytes", "7")],
    };
    let replace = AlterConfigsRequest { resources: vec![resource], validate_only: false };
    assert_eq!(client.call(&replace, 2).await.responses[0].error_code, 0);
    let metadata = fixture.broker.metadata();
    let left = &*metadata.settings[&Some(fixture.broker.id())];
    assert_eq!(*left, BTreeMap::from([("log.retention.bytes".to_owned(), "7".to_owned())]));
}

#[tokio::test]
async fn what_the_broker_was_started_with_is_shown_but_no_secret() {
    let setting = |name, value: Option<&str>, is_set| Setting {
        name,
        kind: Kind::Int(1, 100),
        value: value.map(str::to_owned),
        is_set,
        default: value.map(|_| "1".to_owned()),
        doc: "Something.",
    };
    let fixture = Fixture::with(|options| {
        options.settings = vec![
            setting("num.partitions", Some("4"), true),
            setting("ssl.keystore.key", None, true),
            setting("max.connections", Some("300"), true),
        ];
    })
    .await;
    let mut client = fixture.client().await;
    let all = describe(&mut client, BROKER, "0", None).await;
    let partitions = entry(&all, "num.partitions");
    assert!(partitions.read_only);
    let both = [synonym("num.partitions", "4", 4), synonym("num.partitions", "1", 5)];
    assert_eq!(synonyms(partitions), both);
    let secret = entry(&all, "ssl.keystore.key");
    assert_eq!((&secret.value, secret.is_sensitive, secret.config_type), (&None, true, 9));
    assert!(secret.synonyms.iter().all(|synonym| synonym.value.is_none()));
    let connections = entry(&all, "max.connections");
    assert!(!connections.read_only);
    assert_eq!(synonyms(connections)[0], synonym("max.connections", "300", 4));
}

#[tokio::test]
async fn a_record_that_unpacks_to_more_than_its_topic_takes_is_refused() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let large = "x".repeat(4096);
    let gzip = |value: &str| batch(Compression::Gzip, &[value]);
    let key = "max.decompressed.message.bytes";
    assert_eq!(produce(&mut client, "t", gzip(&large)).await.error_code, 0);
    set(&mut client, "", key, "512").await;
    let invalid = ErrorCode::InvalidRecord.number();
    assert_eq!(produce(&mut client, "t", gzip(&large)).await.error_code, invalid);
    let small = batch(Compression::Zstd, &["y".repeat(400).as_str(); 20]);
    assert_eq!(produce(&mut client, "t", small).await.error_code, 0, "each for itself");
    assert_eq!(produce(&mut client, "t", plain(&[&large])).await.error_code, 0, "not compressed");
    assert_eq!(change(&mut client, (TOPIC, "t"), (SET, key, "5000"), false).await.0, 0);
    assert_eq!(produce(&mut client, "t", gzip(&large)).await.error_code, 0);
}

/// Two loggers, and parts of the first.
#[derive(Debug, Default)]
struct Noted(Mutex<BTreeMap<String, Level>>);

impl Loggers for Noted {
    fn levels(&self) -> Vec<(String, Level)> {
        let set = self.0.lock();
        let level = |name: &str| set.get(name).copied().unwrap_or(Level::Info);
        ["root", "store"].iter().map(|name| ((*name).to_owned(), level(name))).collect()
    }

    fn exists(&self, name: &str) -> bool {
        ["root", "store"].contains(&name)
    }

    fn change(&self, changes: &[(String, Option<Level>)]) {
        let mut set = self.0.lock();
        for (name, level) in changes {
            match level {
                Some(level) => drop(set.insert(name.clone(), *level)),
                None => drop(set.remove(name)),
            }
        }
    }
}

#[tokio::test]
async fn levels_of_the_log_are_shown_and_changed() {
    let fixture = Fixture::with(|options| options.loggers = Arc::new(Noted::default())).await;
    let mut client = fixture.client().await;
    let logger = (BROKER_LOGGER, "0");
    let (config, request) = (ErrorCode::InvalidConfig.number(), ErrorCode::InvalidRequest.number());
    for (of, asked, (code, said)) in [
        (logger, (SET, "store", "DEBUG"), (0, "")),
        (logger, (SET, "root", "FATAL"), (0, "")),
        (logger, (SET, "kafka", "DEBUG"), (config, "Logger kafka does not exist!")),
        (logger, (SET, "store", "debug"), (config, "DEBUG, ERROR, FATAL, INFO, TRACE, WARN")),
        (logger, (DELETE, "root", ""), (request, "Removing the log level of the root logger")),
        (logger, (APPEND, "store", "INFO"), (request, "APPEND operation is not allowed")),
        ((BROKER_LOGGER, "8"), (SET, "store", "INFO"), (request, "expected 0")),
        ((BROKER_LOGGER, ""), (SET, "store", "INFO"), (request, "must be an integer")),
    ] {
        let (answer, text) = change(&mut client, of, asked, false).await;
        assert_eq!(answer, code, "{asked:?}: {text}");
        assert!(text.contains(said), "{asked:?}: {text}");
    }
    assert_eq!(change(&mut client, logger, (SET, "store", "ERROR"), true).await.0, 0);
    let shown = describe(&mut client, BROKER_LOGGER, "0", None).await;
    let level = |name: &str| entry(&shown, name).value.clone().unwrap();
    assert_eq!((level("store"), level("root")), ("DEBUG".to_owned(), "FATAL".to_owned()));
    assert!(shown.configs.iter().all(|one| one.config_source == 6 && !one.read_only));
    assert_eq!(change(&mut client, logger, (DELETE, "store", ""), false).await.0, 0);
    let shown = describe(&mut client, BROKER_LOGGER, "0", None).await;
    assert_eq!(entry(&shown, "store").value.as_deref(), Some("INFO"));
    for name in ["", "8", "x"] {
        assert_eq!(describe(&mut client, BROKER_LOGGER, name, None).await.error_code, request);
    }
    let resource = alter_configs_request::AlterConfigsResource {
        resource_type: BROKER_LOGGER,
        resource_name: "0".into(),
        configs: Vec::new(),
    };
    let replace = AlterConfigsRequest { resources: vec![resource], validate_only: false };
    assert_eq!(client.call(&replace, 2).await.responses[0].error_code, request, "as in Kafka");
}
