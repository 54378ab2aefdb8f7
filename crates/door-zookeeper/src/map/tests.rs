use std::collections::BTreeMap;

use base::{Principal, TopicId};
use broker::access::{CLUSTER, Effect, Operation, Pattern, ResourceKind, Rule, Rules};

use super::*;
use crate::limits::{RULE_CHANGES_MAX, RULE_CHANGES_MS};
use crate::testing::{CREATED_AT, broker_info, endpoint, metadata, topic};
use crate::tree::Change;

fn show(metadata: &Metadata) -> Tree {
    let mut tree = Tree::default();
    tree.begin(10, 5000);
    apply(&mut tree, None, metadata, 5000);
    tree.take_changes();
    tree
}

/// Goes from one picture to the next and returns what changed.
fn change(tree: &mut Tree, old: &Metadata, new: &Metadata) -> Vec<String> {
    tree.begin(11, 6000);
    apply(tree, Some(old), new, 6000);
    let text = |change: Change| match change {
        Change::Created(path) => format!("+{path}"),
        Change::Deleted(path) => format!("-{path}"),
        Change::DataChanged(path) => format!("={path}"),
    };
    tree.take_changes().into_iter().map(text).collect()
}

fn data(tree: &Tree, path: &str) -> String {
    let data = tree.get(path).unwrap().body.data.clone().unwrap();
    String::from_utf8(data.to_vec()).unwrap()
}

#[test]
fn every_node_of_a_small_cluster() {
    let tree = show(&metadata(10, &[topic("orders", 1, 1)]));
    let mut paths = Vec::new();
    let mut stack = vec!["/".to_string()];
    while let Some(path) = stack.pop() {
        let names = tree.get(&path).unwrap().children.iter();
        stack.extend(names.map(|name| format!("{}/{name}", path.trim_end_matches('/'))));
        paths.push(path);
    }
    paths.sort();
    let expected = "/ /admin /admin/delete_topics /brokers /brokers/ids /brokers/ids/1 \
        /brokers/seqid /brokers/topics /brokers/topics/orders /brokers/topics/orders/partitions \
        /brokers/topics/orders/partitions/0 /brokers/topics/orders/partitions/0/state /cluster \
        /cluster/id /config /config/brokers /config/changes /config/clients /config/ips \
        /config/topics /config/topics/orders /config/users /consumers /controller \
        /controller_epoch /feature /isr_change_notification \
        /kafka-acl /kafka-acl-changes /kafka-acl-extended /kafka-acl-extended-changes \
        /kafka-acl-extended/prefixed /kafka-acl-extended/prefixed/Cluster \
        /kafka-acl-extended/prefixed/DelegationToken /kafka-acl-extended/prefixed/Group \
        /kafka-acl-extended/prefixed/Topic /kafka-acl-extended/prefixed/TransactionalId \
        /kafka-acl-extended/prefixed/User /kafka-acl/Cluster /kafka-acl/DelegationToken \
        /kafka-acl/Group /kafka-acl/Topic /kafka-acl/TransactionalId /kafka-acl/User \
        /latest_producer_id_block /log_dir_event_notification /zookeeper /zookeeper/config /zookeeper/quota";
    assert_eq!(paths, expected.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn the_data_is_what_kafka_writes() {
    let id = 0xfb_ff_00_00_00_00_00_00_00_00_00_00_00_00_00_03;
    let mut orders = topic("orders", id, 2);
    Arc::make_mut(&mut orders).config.insert("retention.ms".into(), "1000".into());
    Arc::make_mut(&mut orders).partitions[1].leader_epoch = 7;
    let tree = show(&metadata(10, &[orders]));
    let expected = [
        ("/cluster/id", r#"{"version":"1","id":"0123456789abcdefghij-_"}"#),
        (
            "/controller",
            r#"{"version":2,"brokerid":1,"timestamp":"1700000000124","kraftControllerEpoch":-1}"#,
        ),
        ("/controller_epoch", "1"),
        ("/feature", r#"{"features":{},"version":2,"status":1}"#),
        (
            "/brokers/ids/1",
            r#"{"features":{},"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT"},"endpoints":["PLAINTEXT://localhost:9092"],"jmx_port":-1,"port":9092,"host":"localhost","version":5,"timestamp":"1700000000124"}"#,
        ),
        (
            "/brokers/topics/orders",
            r#"{"partitions":{"0":[1],"1":[1]},"topic_id":"-_8AAAAAAAAAAAAAAAAAAw","adding_replicas":{},"removing_replicas":{},"version":3}"#,
        ),
        (
            "/brokers/topics/orders/partitions/1/state",
            r#"{"controller_epoch":1,"leader":1,"version":1,"leader_epoch":7,"isr":[1]}"#,
        ),
        ("/config/topics/orders", r#"{"version":1,"config":{"retention.ms":"1000"}}"#),
    ];
    for (path, text) in expected {
        assert_eq!(data(&tree, path), text, "{path}");
    }
    assert_eq!(tree.get("/brokers/seqid").unwrap().body.data, None);
}

#[test]
fn a_broker_with_every_field() {
    let mut picture = metadata(10, &[]);
    let mut broker = broker_info(1);
    broker.endpoints =
        vec![endpoint("SECURE", "SASL_SSL", "a.example"), endpoint("INNER", "PLAINTEXT", "::1")];
    broker.rack = Some("r\"1".into());
    picture.brokers.insert(BrokerId(1), broker.clone());
    let text = data(&show(&picture), "/brokers/ids/1");
    let expected = r#"{"features":{},"listener_security_protocol_map":{"SECURE":"SASL_SSL","INNER":"PLAINTEXT"},"endpoints":["SECURE://a.example:9092","INNER://[::1]:9092"],"rack":"r\"1","jmx_port":-1,"port":9092,"host":"::1","version":5,"timestamp":"1700000000124"}"#;
    assert_eq!(text, expected);
    broker.endpoints.pop();
    picture.brokers.insert(BrokerId(1), broker);
    let text = data(&show(&picture), "/brokers/ids/1");
    assert!(text.contains(r#""port":-1,"host":null"#), "no listener for old clients: {text}");
}

#[test]
fn times_and_owners() {
    let tree = show(&metadata(10, &[topic("orders", 1, 1)]));
    let stat = |path: &str| tree.get(path).unwrap().body.stat();
    assert_eq!(stat("/brokers/topics/orders").ctime, CREATED_AT);
    assert_eq!(stat("/brokers").ctime, 5000);
    assert_eq!(stat("/brokers").ephemeral_owner, 0);
    assert_ne!(stat("/brokers/ids/1").ephemeral_owner, 0);
    assert_eq!(stat("/controller").ephemeral_owner, stat("/brokers/ids/1").ephemeral_owner);
    assert_eq!(stat("/brokers/ids/1").czxid, 10);
}

#[test]
fn a_topic_comes_and_goes() {
    let empty = metadata(10, &[]);
    let full = metadata(11, &[topic("orders", 1, 1)]);
    let mut tree = show(&empty);
    let created = [
        "+/config/topics/orders",
        "+/brokers/topics/orders",
        "+/brokers/topics/orders/partitions",
        "+/brokers/topics/orders/partitions/0",
        "+/brokers/topics/orders/partitions/0/state",
    ];
    assert_eq!(change(&mut tree, &empty, &full), created);
    let deleted = change(&mut tree, &full, &empty);
    assert_eq!(deleted.len(), created.len());
    assert_eq!(deleted[3..], ["-/brokers/topics/orders", "-/config/topics/orders"]);
    assert_eq!(tree.len(), show(&empty).len());
}

#[test]
fn only_what_changed_is_touched() {
    let quiet = topic("quiet", 2, 100);
    let old = metadata(10, &[topic("orders", 1, 3), Arc::clone(&quiet)]);
    let mut orders = topic("orders", 1, 4);
    Arc::make_mut(&mut orders).partitions[1].leader_epoch = 5;
    let new = metadata(11, &[orders, quiet]);
    let mut tree = show(&old);
    let expected = [
        "=/brokers/topics/orders",
        "=/brokers/topics/orders/partitions/1/state",
        "+/brokers/topics/orders/partitions/3",
        "+/brokers/topics/orders/partitions/3/state",
    ];
    assert_eq!(change(&mut tree, &old, &new), expected);
    let stat = tree.get("/brokers/topics/orders/partitions/1/state").unwrap().body.stat();
    assert_eq!((stat.czxid, stat.mzxid, stat.version, stat.mtime), (10, 11, 1, 6000));
}

#[test]
fn a_configuration_changes() {
    let old = metadata(10, &[topic("orders", 1, 1)]);
    let mut orders = topic("orders", 1, 1);
    Arc::make_mut(&mut orders).config = BTreeMap::from([("a".into(), "b".into())]);
    let new = metadata(11, &[orders]);
    let mut tree = show(&old);
    assert_eq!(change(&mut tree, &old, &new), ["=/config/topics/orders"]);
}

#[test]
fn another_topic_under_the_same_name_is_deleted_and_created() {
    let old = metadata(10, &[topic("orders", 1, 1)]);
    let mut again = topic("orders", 1, 1);
    Arc::make_mut(&mut again).id = TopicId(2);
    let new = metadata(11, &[again]);
    let mut tree = show(&old);
    let changes = change(&mut tree, &old, &new);
    assert!(changes.contains(&"-/brokers/topics/orders".into()), "{changes:?}");
    assert!(changes.contains(&"+/brokers/topics/orders".into()), "{changes:?}");
    assert_eq!(tree.get("/brokers/topics/orders").unwrap().body.stat().czxid, 11);
}

#[test]
fn brokers_come_change_and_go() {
    let one = metadata(10, &[]);
    let mut two = one.clone();
    two.brokers.insert(BrokerId(2), broker_info(2));
    let mut tree = show(&one);
    assert_eq!(change(&mut tree, &one, &two), ["+/brokers/ids/2"]);
    let mut racked = two.clone();
    racked.brokers.entry(BrokerId(2)).and_modify(|broker| broker.rack = Some("r".into()));
    assert_eq!(change(&mut tree, &two, &racked), ["=/brokers/ids/2"]);
    let mut restarted = racked.clone();
    restarted.brokers.entry(BrokerId(2)).and_modify(|broker| broker.registered_at += 1);
    let again = ["-/brokers/ids/2", "+/brokers/ids/2"];
    assert_eq!(change(&mut tree, &racked, &restarted), again);
    let mut moved = restarted.clone();
    moved.brokers.remove(&BrokerId(1));
    moved.controller = BrokerId(2);
    let expected = ["-/brokers/ids/1", "-/controller", "+/controller"];
    assert_eq!(change(&mut tree, &restarted, &moved), expected);
    let mut headless = moved.clone();
    headless.controller = BrokerId(9);
    assert_eq!(change(&mut tree, &moved, &headless), ["-/controller"]);
}

fn rule(kind: ResourceKind, pattern: Pattern, operation: Operation) -> Rule {
    let (principal, effect) = (Principal::user("alice"), Effect::Allow);
    Rule { kind, pattern, principal, host: None, operation, effect }
}

fn with_rules(revision: u64, rules: &[Rule]) -> Metadata {
    Metadata {
        access: Arc::new(rules.iter().cloned().collect::<Rules>()),
        ..metadata(revision, &[])
    }
}

#[test]
fn rules_are_what_kafka_writes_and_each_change_is_told_of() {
    let literal = |name: &str| Pattern::Literal(name.into());
    let read = rule(ResourceKind::Topic, literal("orders"), Operation::Read);
    let mut denied = rule(ResourceKind::Topic, literal("orders"), Operation::ClusterAction);
    (denied.effect, denied.host) = (Effect::Deny, Some("10.0.0.7".into()));
    let prefixed =
        rule(ResourceKind::Transaction, Pattern::Prefix("a-".into()), Operation::Everything);
    let cluster = rule(ResourceKind::Cluster, literal(CLUSTER), Operation::Alter);
    let everything = rule(ResourceKind::Group, Pattern::Any, Operation::Describe);
    // Kafka's own authorizer takes no such name.
    let unnamable = rule(ResourceKind::Group, literal("a/b"), Operation::Read);
    let old = with_rules(10, &[read.clone(), unnamable]);
    let mut tree = show(&old);
    let orders = "/kafka-acl/Topic/orders";
    let expected = r#"{"version":1,"acls":[{"principal":"User:alice","permissionType":"Allow","operation":"Read","host":"*"}]}"#;
    assert_eq!(data(&tree, orders), expected);
    assert!(tree.get("/kafka-acl-changes").unwrap().children.is_empty(), "nothing changed yet");

    let new = with_rules(11, &[read, denied, prefixed, cluster, everything]);
    let expected = [
        "=/kafka-acl/Topic/orders",
        "+/kafka-acl/Group/*",
        "+/kafka-acl/Cluster/kafka-cluster",
        "+/kafka-acl-extended/prefixed/TransactionalId/a-",
        "+/kafka-acl-changes/acl_changes_0000000009",
        "+/kafka-acl-changes/acl_changes_0000000010",
        "+/kafka-acl-changes/acl_changes_0000000011",
        "+/kafka-acl-extended-changes/acl_changes_0000000011",
    ];
    assert_eq!(change(&mut tree, &old, &new), expected);
    let expected = r#"{"version":1,"acls":[{"principal":"User:alice","permissionType":"Allow","operation":"Read","host":"*"},{"principal":"User:alice","permissionType":"Deny","operation":"ClusterAction","host":"10.0.0.7"}]}"#;
    assert_eq!(data(&tree, orders), expected);
    let expected = r#"{"version":1,"acls":[{"principal":"User:alice","permissionType":"Allow","operation":"All","host":"*"}]}"#;
    assert_eq!(data(&tree, "/kafka-acl-extended/prefixed/TransactionalId/a-"), expected);
    let told = [9, 10, 11].map(|n| data(&tree, &format!("/kafka-acl-changes/acl_changes_{n:010}")));
    assert_eq!(told, ["TOPIC:orders", "GROUP:*", "CLUSTER:kafka-cluster"]);
    let expected =
        r#"{"version":1,"resourceType":"TRANSACTIONAL_ID","name":"a-","patternType":"PREFIXED"}"#;
    assert_eq!(data(&tree, "/kafka-acl-extended-changes/acl_changes_0000000011"), expected);

    let none = with_rules(12, &[]);
    let changes = change(&mut tree, &new, &none);
    assert_eq!(changes[0], "-/kafka-acl/Topic/orders");
    assert!(tree.get("/kafka-acl/Topic").unwrap().children.is_empty());
    assert_eq!(tree.get("/kafka-acl-changes").unwrap().children.len(), 6);
}

#[test]
fn what_tells_of_changes_goes_after_a_while_and_is_never_much() {
    let rules = |count: usize| -> Vec<_> {
        let name = |n| Pattern::Literal(format!("t{n}").into());
        (0..count).map(|n| rule(ResourceKind::Topic, name(n), Operation::Read)).collect()
    };
    let mut tree = show(&with_rules(10, &[]));
    let mut old = with_rules(10, &[]);
    let mut go = |tree: &mut Tree, revision: u64, count: usize, now: i64| {
        let new = with_rules(revision, &rules(count));
        tree.begin(i64::try_from(revision).unwrap(), now);
        apply(tree, Some(&old), &new, now);
        old = new;
        let told = &tree.get("/kafka-acl-changes").unwrap().children;
        told.iter().map(|name| name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(go(&mut tree, 11, 1, 0), ["acl_changes_0000000011"]);
    // As many at one revision as there are, and still each after the one before.
    assert_eq!(go(&mut tree, 12, 4, 1).len(), 4);
    assert_eq!(go(&mut tree, 13, 5, RULE_CHANGES_MS - 1).last().unwrap(), "acl_changes_0000000015");
    assert_eq!(go(&mut tree, 14, 6, RULE_CHANGES_MS).len(), 5, "the first is gone");
    let told = go(&mut tree, 15, 6 + RULE_CHANGES_MAX, RULE_CHANGES_MS);
    assert_eq!(told.len(), RULE_CHANGES_MAX);
    let told = go(&mut tree, 16, 6 + 3 * RULE_CHANGES_MAX, RULE_CHANGES_MS);
    assert_eq!(told.len(), RULE_CHANGES_MAX);
    let last = told.last().unwrap();
    assert_eq!(data(&tree, &format!("/kafka-acl-changes/{last}")), "TOPIC:t3005");
}
