use std::collections::BTreeMap;

use base::TopicId;

use super::*;
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
        /controller_epoch /feature /isr_change_notification /latest_producer_id_block \
        /log_dir_event_notification /zookeeper /zookeeper/config /zookeeper/quota";
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
