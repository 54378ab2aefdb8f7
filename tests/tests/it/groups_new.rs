//! Consumer groups of the new protocol (KIP-848), with librdkafka: the broker shares the partitions
//! out, whoever dies is replaced, and a restart of the broker in the middle loses nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::time::Instant;

use serde_json::{Value, json};
use tests::{Broker, PATIENCE, Python, Script, Serve};

const GROUP: &str = "workers";
const PARTITIONS: usize = 6;

/// With short sessions, so that who is killed is missed soon.
fn start() -> Broker {
    Serve::new()
        .env("ENTREPOT_GROUP__CONSUMER_SESSION_TIMEOUT_MS", "5000")
        .env("ENTREPOT_GROUP__CONSUMER_HEARTBEAT_INTERVAL_MS", "500")
        .start()
}

fn create(broker: &Broker, topic: &str, partitions: usize) {
    let partitions = partitions.to_string();
    let created = broker.entrepot(&["topic", "create", topic, "--partitions", &partitions]);
    assert!(created.status.success(), "{created:?}");
}

fn member(broker: &Broker, topic: &str) -> Option<Script> {
    let server = broker.kafka();
    let args: [&dyn AsRef<OsStr>; 3] = [&server, &GROUP, &topic];
    Script::start(Python::Confluent, "groups_new_member", &args)
}

fn produce(broker: &Broker, topic: &str, partitions: usize, numbers: std::ops::Range<u32>) {
    let server = broker.kafka();
    let [partitions, first, end] =
        [partitions.to_string(), numbers.start.to_string(), numbers.end.to_string()];
    let args: [&dyn AsRef<OsStr>; 5] = [&server, &topic, &partitions, &first, &end];
    Script::run(Python::Confluent, "groups_new_produce", &args, PATIENCE).expect("it was there");
}

fn admin(broker: &Broker) -> BTreeMap<String, Value> {
    let server = broker.kafka();
    let args: [&dyn AsRef<OsStr>; 2] = [&server, &GROUP];
    let events = Script::run(Python::Confluent, "groups_new_admin", &args, PATIENCE);
    let events = events.expect("it was there").into_iter();
    events.map(|event| (event["event"].as_str().expect("a name").to_owned(), event)).collect()
}

/// Waits until the member owns so many partitions, and returns them.
fn owns(member: &mut Script, count: usize) -> Vec<Value> {
    loop {
        let event = member.event("owns", PATIENCE);
        let owned = event["partitions"].as_array().expect("a list");
        if owned.len() == count {
            return owned.clone();
        }
    }
}

/// Waits until the members have read all of these numbers, each at least once.
fn all_read(members: &[&Script], numbers: std::ops::Range<u32>) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let events = members.iter().flat_map(|member| member.events());
        let read: BTreeSet<u32> = events
            .filter(|event| event["event"] == "read")
            .map(|event| event["value"].as_str().and_then(|v| v.parse().ok()).expect("a number"))
            .collect();
        let missing: Vec<_> = numbers.clone().filter(|number| !read.contains(number)).collect();
        if missing.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{} not read: {missing:?}", missing.len());
        std::thread::sleep(PATIENCE / 200); // poll: for messages to arrive, until the deadline
    }
}

fn distinct(owned: &[Vec<Value>]) -> usize {
    owned.iter().flatten().map(Value::to_string).collect::<BTreeSet<_>>().len()
}

#[test]
fn members_share_the_work_and_survive_each_other_and_the_broker() {
    let mut broker = start();
    create(&broker, "jobs", PARTITIONS);
    let Some(mut first) = member(&broker, "jobs") else { return };
    produce(&broker, "jobs", PARTITIONS, 0..300);
    owns(&mut first, PARTITIONS);
    let mut second = member(&broker, "jobs").expect("it was there");
    let mut third = member(&broker, "jobs").expect("it was there");
    let shares = [owns(&mut first, 2), owns(&mut second, 2), owns(&mut third, 2)];
    assert_eq!(distinct(&shares), PARTITIONS, "{shares:?}");
    produce(&broker, "jobs", PARTITIONS, 300..600);
    all_read(&[&first, &second, &third], 0..600);

    third.kill();
    let shares = [owns(&mut first, 3), owns(&mut second, 3)];
    assert_eq!(distinct(&shares), PARTITIONS, "{shares:?}");

    broker.kill();
    broker.restart();
    produce(&broker, "jobs", PARTITIONS, 600..900);
    all_read(&[&first, &second, &third], 0..900);

    let said = admin(&broker);
    assert_eq!(said["listed"]["all"], json!({ GROUP: ["CONSUMER", "STABLE"] }));
    assert_eq!(said["listed"]["consumer"], said["listed"]["all"]);
    assert_eq!(said["listed"]["classic"], json!({}));
    let described = &said["described"];
    assert_eq!(
        (&described["type"], &described["state"], &described["assignor"]),
        (&json!("CONSUMER"), &json!("STABLE"), &json!("uniform"))
    );
    let members = described["members"].as_array().expect("a list");
    assert_eq!(members.len(), 2);
    assert!(members.iter().all(|parts| parts[0] == parts[1] && parts[0] != json!([])));
    assert_eq!(said["not deleted"]["code"], "NON_EMPTY_GROUP");
    shown_by_the_command_line(&broker);

    first.finish(PATIENCE);
    second.finish(PATIENCE);
    let said = admin(&broker);
    let offsets: Vec<Value> = (0..PARTITIONS).map(|p| json!(["jobs", p, 150])).collect();
    assert_eq!(said["committed"]["offsets"], json!(offsets));
    assert_eq!(said["described"]["state"], "EMPTY");
    assert!(said.contains_key("deleted"), "{said:?}");
}

/// Two members share what there is; whatever they have not committed yet is lag.
fn shown_by_the_command_line(broker: &Broker) {
    let json = |args: &[&str]| -> Value {
        let exit = broker.entrepot(&[args, &["-o", "json"]].concat());
        assert!(exit.status.success(), "{args:?}: {exit:?}");
        serde_json::from_str(&exit.stdout).expect("JSON")
    };
    let listed = json(&["group", "list"]);
    let of = |key: &str| listed[0][key].as_str().map(str::to_ascii_lowercase);
    assert_eq!((of("name"), of("group_type")), (Some(GROUP.into()), Some("consumer".into())));
    let described = json(&["group", "describe", GROUP]);
    let group = ["group_type", "assignor"].map(|key| &described[key]);
    assert_eq!(group, ["consumer", "uniform"], "{described}");
    let members = described["members"].as_array().expect("a list");
    let count = |member: &Value| member["partitions"].as_u64().expect("a number");
    assert_eq!(members.iter().map(count).collect::<Vec<_>>(), [3, 3], "{described}");
    let offsets = described["offsets"].as_array().expect("a list");
    assert_eq!(offsets.len(), PARTITIONS, "{described}");
    assert!(offsets.iter().all(|row| row["end"] == 150 && row["member"] != Value::Null));
    let table = broker.entrepot(&["group", "describe", GROUP]).stdout;
    assert!(table.starts_with("consumer group workers, "), "{table}");
}

#[test]
fn a_pattern_follows_topics_that_are_made_later() {
    let broker = start();
    create(&broker, "log-a", 2);
    create(&broker, "other", 1);
    let Some(mut member) = member(&broker, "^log-.*") else { return };
    let owned = owns(&mut member, 2);
    assert_eq!(owned, [json!(["log-a", 0]), json!(["log-a", 1])]);
    create(&broker, "log-b", 1);
    let owned = owns(&mut member, 3);
    assert_eq!(owned[2], json!(["log-b", 0]));
    produce(&broker, "log-b", 1, 0..10);
    all_read(&[&member], 0..10);
    member.finish(PATIENCE);
}
