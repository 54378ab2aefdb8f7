//! Programs register themselves, and find and await each other, through the ZooKeeper door.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{PATIENCE, Python, Script, Serve};

use crate::chance::{Chance, random_seed, setting};

/// Recipes with several clients take their time on a busy machine.
const LONG: Duration = Duration::from_secs(240);

#[test]
fn kazoos_recipes_keep_their_promises() {
    let broker = Serve::new().start();
    let server = broker.zookeeper();
    let Some(events) = Script::run(Python::Kafka3, "zookeeper_recipes", &[&server], LONG) else {
        return;
    };
    let held = events.iter().filter(|event| event["event"] == "held").count();
    assert_eq!(held, 13, "{events:?}");
}

#[test]
fn the_tree_is_what_zookeepers_would_be() {
    let broker = Serve::new().start();
    let server = broker.zookeeper();
    let Some(events) = Script::run(Python::Kafka3, "zookeeper_tree", &[&server], LONG) else {
        return;
    };
    let parts: Vec<_> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(parts, ["nodes", "layout", "chroot", "transactions", "access", "counts"]);
}

/// Waits until a watch has seen something.
fn sees(kazoo: &mut Script, event: &str, is_it: impl Fn(&Value) -> bool) {
    while !is_it(&kazoo.event(event, PATIENCE)) {}
}

#[test]
fn access_rules_are_shown_as_kafka_writes_them_and_watches_fire_when_they_change() {
    let settings = [
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users=User:ANONYMOUS",
    ];
    let serve = settings.iter().fold(Serve::new(), |serve, set| serve.arg("--set").arg(set));
    let broker = serve.start();
    let server = broker.zookeeper();
    let Some(mut kazoo) = Script::start(Python::Kafka3, "zookeeper_rules", &[&server]) else {
        return;
    };
    kazoo.event("ready", PATIENCE);
    let acl = |args: &[&str]| {
        let done = broker.entrepot(&[&["acl"], args].concat());
        assert!(done.status.success(), "{args:?}: {done:?}");
    };
    let entry = |operation: &str, effect: &str, host: &str| {
        json!({"principal": "User:alice", "permissionType": effect, "operation": operation,
               "host": host})
    };
    let says = |data: &Value, entries: &[Value]| {
        let data = data.as_str().map(|text| serde_json::from_str::<Value>(text).expect("JSON"));
        data == (!entries.is_empty()).then(|| json!({"version": 1, "acls": entries}))
    };
    let read = entry("Read", "Allow", "*");
    acl(&["add", "-p", "User:alice", "-O", "read", "-t", "orders"]);
    sees(&mut kazoo, "children", |seen| {
        says(&seen["nodes"]["orders"], std::slice::from_ref(&read))
    });
    sees(&mut kazoo, "children", |seen| {
        seen["path"] == "/kafka-acl-changes"
            && seen["nodes"].as_object().expect("nodes").values().eq(["TOPIC:orders"])
    });
    let deny = entry("DescribeConfigs", "Deny", "10.0.0.7");
    acl(&[
        "add",
        "-p",
        "User:alice",
        "-O",
        "describe-configs",
        "-t",
        "orders",
        "--deny",
        "--host",
        "10.0.0.7",
    ]);
    sees(&mut kazoo, "written", |seen| {
        seen["version"] == 1 && says(&seen["data"], &[read.clone(), deny.clone()])
    });
    acl(&["add", "-p", "User:alice", "-O", "all", "-g", "bill-", "--prefix"]);
    let all = entry("All", "Allow", "*");
    sees(&mut kazoo, "children", |seen| says(&seen["nodes"]["bill-"], std::slice::from_ref(&all)));
    let event = r#"{"version":1,"resourceType":"GROUP","name":"bill-","patternType":"PREFIXED"}"#;
    sees(&mut kazoo, "children", |seen| {
        seen["nodes"].as_object().expect("nodes").values().eq([event])
    });
    acl(&["remove", "-p", "User:alice", "-t", "orders"]);
    sees(&mut kazoo, "written", |seen| seen["data"].is_null());
    sees(&mut kazoo, "children", |seen| {
        let nodes = seen["nodes"].as_object().expect("nodes");
        seen["path"] == "/kafka-acl-changes" && nodes.len() == 3
    });
    kazoo.finish(PATIENCE);
}

#[test]
fn a_member_outlives_the_brokers_crash_and_a_dead_one_does_not() {
    let mut broker = Serve::new().start();
    let server = broker.zookeeper();
    let member = |name: &str, timeout: &str| {
        let path = format!("/members/{name}");
        Script::start(Python::Kafka3, "zookeeper_member", &[&server, &path, &timeout])
    };
    let Some(mut lives) = member("lives", "30") else { return };
    let Some(mut dies) = member("dies", "4") else { return };
    let session = lives.event("registered", PATIENCE)["session"].clone();
    dies.event("registered", PATIENCE);
    broker.kill();
    dies.kill();
    broker.restart();
    let args: [&dyn AsRef<std::ffi::OsStr>; 3] = [&server, &"/members", &"lives"];
    Script::run(Python::Kafka3, "zookeeper_look", &args, PATIENCE);
    lives.say("look");
    let seen = lives.event("looked", PATIENCE);
    assert_eq!((&seen["session"], &seen["owner"]), (&session, &session), "the same session");
    assert_eq!((&seen["there"], &seen["lost"]), (&true.into(), &false.into()));
    // And a restart in peace.
    broker.stop();
    broker.restart();
    lives.say("look");
    assert_eq!(lives.event("looked", PATIENCE)["session"], session);
    lives.finish(PATIENCE);
}

#[test]
fn a_member_that_is_killed_is_gone_after_its_time_out() {
    let broker = Serve::new().start();
    let server = broker.zookeeper();
    let args: [&dyn AsRef<std::ffi::OsStr>; 3] = [&server, &"/members/one", &"4"];
    let Some(mut member) = Script::start(Python::Kafka3, "zookeeper_member", &args) else { return };
    member.event("registered", PATIENCE);
    let args: [&dyn AsRef<std::ffi::OsStr>; 2] = [&server, &"/members"];
    let mut watcher = Script::start(Python::Kafka3, "zookeeper_look", &args).unwrap();
    let there = watcher.event("children", PATIENCE);
    assert_eq!(there["children"], serde_json::json!(["one"]));
    member.kill();
    watcher.event("seen", PATIENCE);
    watcher.finish(PATIENCE);
}

#[test]
fn workers_that_are_killed_at_random_never_share_a_lock_nor_lose_an_item() {
    const WORKERS: usize = 4;
    const ITEMS: usize = 30;
    let kills: usize = setting("ENTREPOT_ZOOKEEPER_KILLS").unwrap_or(12);
    let seed = setting("ENTREPOT_ZOOKEEPER_SEED").unwrap_or_else(random_seed);
    println!("{kills} kills; ENTREPOT_ZOOKEEPER_SEED={seed}");
    let mut random = Chance::new(seed);

    let mut broker = Serve::new().start();
    let server = broker.zookeeper();
    let items = ITEMS.to_string();
    let args: [&dyn AsRef<std::ffi::OsStr>; 3] = [&server, &"prepare", &items];
    if Script::run(Python::Kafka3, "zookeeper_work", &args, PATIENCE).is_none() {
        return;
    }
    let start = |number: usize| {
        let args: [&dyn AsRef<std::ffi::OsStr>; 2] = [&server, &format!("w{number}")];
        Script::start(Python::Kafka3, "zookeeper_worker", &args).unwrap()
    };
    let mut workers: Vec<_> = (0..WORKERS).map(start).collect();
    let mut ended = Vec::new();
    for kill in 0..kills {
        // Somewhere in its work: after this many locks, and a little.
        let victim = usize::try_from(random.below(WORKERS as u64)).unwrap();
        workers[victim].event("inside", LONG);
        broker.lives_for(random.up_to(120));
        workers[victim].kill();
        let new = start(WORKERS + kill);
        ended.push(std::mem::replace(&mut workers[victim], new));
        if kill == kills / 2 {
            broker.kill();
            broker.restart();
        }
    }
    for worker in &mut workers {
        worker.event("inside", LONG);
    }
    let args: [&dyn AsRef<std::ffi::OsStr>; 3] = [&server, &"await", &items];
    let done = Script::run(Python::Kafka3, "zookeeper_work", &args, LONG).unwrap();
    let mut events: Vec<_> = ended.iter().flat_map(Script::events).collect();
    for worker in workers {
        events.extend(worker.finish(PATIENCE));
    }
    let violations: Vec<_> = events.iter().filter(|event| event["event"] == "violation").collect();
    assert!(violations.is_empty(), "{violations:?}");
    let inside = events.iter().filter(|event| event["event"] == "inside").count();
    let counted = done.iter().find(|event| event["event"] == "done").unwrap();
    // A worker may be killed after it counted and before it said so.
    let counted = usize::try_from(counted["inside"].as_u64().unwrap()).unwrap();
    assert!(inside > WORKERS, "{inside}");
    println!("{inside} times inside, {counted} when all items were done");
}
