use std::io::Write as _;

use super::*;
use crate::events::Said;
use crate::families;
use crate::history::{HOUR, Key, Part};
use crate::registry::Registry;
use crate::state::{Edge, Node, NodeKind};

/// A broker whose disk is slow and one of whose groups begins to rebalance, as an archive.
fn archive(second: u64) -> Vec<u8> {
    let (registry, history) = (Registry::default(), History::new(HOUR));
    let events = Events::new(Arc::new(ManualClock::at(1_000_000)));
    let about = NodeId::new(NodeKind::Group, "g/h");
    events.tell(&kinds::TOPIC_CHANGED, Some(about), || Said::new("t was made").with("id", &7));
    let mut graph = Graph::default();
    graph.nodes.push(Node::new(NodeKind::Group, "g").with("state", "PreparingRebalance"));
    graph.nodes.push(Node::new(NodeKind::Store, "/data").with("healthy", true));
    let (from, to) = (graph.nodes[0].id.clone(), graph.nodes[1].id.clone());
    graph.edges.push(Edge { from, does: "of".into(), to });
    graph.totals.insert(NodeKind::Group, 1);
    let broker = NodeId::new(NodeKind::Broker, "0");
    let mut watcher = Watcher::default();
    for second in 1..=second {
        registry.histogram(&families::SYNC_TIME, []).record(250_000_000);
        registry.gauge(&families::HEALTHY, []).set(1);
        history.record(second, &registry.gather(&|_| true));
        let told = events.newest(9);
        let moment = Moment { broker: &broker, history: &history, graph: &graph, events: &told };
        let now = i64::try_from(second).unwrap() * 1000;
        watcher.take(second, now, look(&moment), &events);
    }
    write(&Contents {
        about: About::new(broker, "1.2.3", 100_000, second),
        graph: &graph,
        metrics: "# EOF",
        history: &history,
        events: &events.newest(9),
        watches: &watcher.watches(),
        incidents: &watcher.incidents(),
    })
}

fn rules(snapshot: &Snapshot) -> Vec<&'static str> {
    snapshot.diagnose().iter().map(|incident| incident.rule).collect()
}

#[test]
fn elsewhere_the_same_is_wrong() {
    let snapshot = Snapshot::read(&archive(60)).unwrap();
    // The group rebalances for 60 seconds: that it is found is not enough.
    assert_eq!(rules(&snapshot), ["W104"]);
    let incident = &snapshot.diagnose()[0];
    assert_eq!((incident.about.to_string(), incident.since), ("store//data".into(), 9_000));
    assert!(incident.evidence[0].starts_with("the slowest syncs of a second take 2"));
    assert_eq!(rules(&Snapshot::read(&archive(100)).unwrap()), ["W104", "W407"]);
    assert_eq!(snapshot.about.version, "1.2.3");
    assert_eq!(snapshot.events[0].fields["id"], "7");
    assert_eq!(snapshot.events[0].about.as_ref().unwrap().name.as_ref(), "g/h");
    assert_eq!(snapshot.graph.edges[0].does, "of");
    let key = Key::new("entrepot_store_sync_duration_seconds", []).part(Part::Count);
    assert_eq!((snapshot.history.last(&key), snapshot.history.now()), (Some(60), 60));
}

#[test]
fn what_a_rule_finds_that_the_broker_did_not_know_is_wrong_at_once() {
    let mut snapshot = Snapshot::read(&archive(60)).unwrap();
    snapshot.watches.clear();
    assert_eq!(rules(&snapshot), ["W104"], "of what has to hold nobody knows since when it does");
    snapshot.about.rules.retain(|rule| rule != "W407");
    assert_eq!(rules(&snapshot), ["W104", "W407"]);
}

/// The archive, with its files changed.
fn changed(change: impl Fn(&str, &[u8]) -> Option<Vec<u8>>) -> Vec<u8> {
    let all = unpack(&archive(60)).unwrap();
    let mut new = Vec::new();
    for (name, bytes) in tar::files(&all).unwrap() {
        if let Some(bytes) = change(&name, bytes) {
            tar::put(&mut new, &format!("./{name}"), &bytes, 1);
        }
    }
    tar::end(&mut new);
    new
}

#[test]
fn what_another_version_wrote_is_read_as_far_as_it_is_known() {
    let newer = changed(|name, bytes| {
        let text = String::from_utf8_lossy(bytes);
        let text = match name {
            "history.jsonl" => text.replace("\"entrepot_healthy\"", "\"entrepot_of_tomorrow\""),
            "events.jsonl" => text.replace("topic.changed", "topic.of_tomorrow"),
            "diagnosis.json" => text.replace("W407", "W999"),
            _ => text.into_owned(),
        };
        Some(text.into_bytes())
    });
    let snapshot = Snapshot::read(&newer).unwrap();
    assert_eq!((snapshot.unknown_series, rules(&snapshot)), (1, vec!["W104"]));
    assert!(snapshot.events.iter().all(|event| event.kind.name != "topic.changed"));
}

#[test]
fn what_is_no_archive_is_refused_with_the_reason() {
    let refused = |bytes: &[u8]| Snapshot::read(bytes).unwrap_err().to_string();
    assert_eq!(refused(b"PK\x03\x04"), "its end is missing");
    assert_eq!(refused(&[b'x'; 600]), "it is no archive of entrepot doctor --bundle");
    let good = archive(60);
    for length in (2..good.len()).step_by(97) {
        assert_eq!(refused(&good[..length]), "its end is missing", "{length}");
    }
    let missing = changed(|name, bytes| (name != "state.json").then(|| bytes.to_vec()));
    assert_eq!(refused(&missing), "state.json is missing");
    let newer = changed(|name, bytes| {
        let text = String::from_utf8_lossy(bytes);
        let newer = text.replace("\"format\": 1", "\"format\": 2");
        Some(if name == "about.json" { newer.into_bytes() } else { bytes.to_vec() })
    });
    assert_eq!(refused(&newer), "it has format 2, and this version reads 1");
    let late = changed(|name, bytes| {
        let text = String::from_utf8_lossy(bytes);
        let late = text.replace("\"second\": 60", "\"second\": 30");
        Some(if name == "about.json" { late.into_bytes() } else { bytes.to_vec() })
    });
    assert_eq!(refused(&late), "its history says what cannot be");
    let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
    let zeros = vec![0; 1 << 20];
    (0..=BYTES_MAX >> 20).for_each(|_| bomb.write_all(&zeros).unwrap());
    assert!(refused(&bomb.finish().unwrap()).starts_with("it is larger than"));
}
