use std::collections::BTreeSet;

use base::ManualClock;
use proptest::prelude::*;

use super::*;
use crate::families;
use crate::history::HOUR;
use crate::registry::Registry;
use crate::state::{Node, NodeKind};

/// A broker that we make up, second by second.
struct World {
    registry: Registry,
    history: History,
    graph: Graph,
    events: Events,
    watcher: Watcher,
    second: u64,
}

const GIB: i64 = 1 << 30;

impl World {
    /// A broker of which nothing is wrong.
    fn new() -> Self {
        let world = Self {
            registry: Registry::default(),
            history: History::new(HOUR),
            graph: Graph::default(),
            events: Events::new(Arc::new(ManualClock::at(1_000_000))),
            watcher: Watcher::default(),
            second: 1000,
        };
        let registry = &world.registry;
        registry.gauge(&families::HEALTHY, []).set(1);
        registry.gauge(&families::DISK_SIZE, []).set(100 * GIB);
        registry.gauge(&families::DISK_FREE, []).set(80 * GIB);
        registry.gauge(&families::MEMORY, []).set(GIB);
        registry.gauge(&families::MEMORY_LIMIT, []).set(8 * GIB);
        registry.gauge(&families::OPEN_FILES, []).set(100);
        registry.gauge(&families::MAX_FILES, []).set(1000);
        world
    }

    fn put(&mut self, node: Node) {
        self.graph.nodes.retain(|known| known.id != node.id);
        self.graph.nodes.push(node);
    }

    /// One more second, of which this is so.
    fn second(&mut self, change: impl FnOnce(&Registry, u64)) {
        self.second += 1;
        change(&self.registry, self.second);
        self.history.record(self.second, &self.registry.gather(&|_| true));
        let broker = NodeId::new(NodeKind::Broker, "0");
        let events = self.events.newest(100);
        let moment =
            Moment { broker: &broker, history: &self.history, graph: &self.graph, events: &events };
        let now = Millis::try_from(self.second).unwrap() * 1000;
        self.watcher.take(self.second, now, look(&moment), &self.events);
    }

    fn seconds(&mut self, count: u64, change: impl Fn(&Registry, u64)) {
        (0..count).for_each(|_| self.second(&change));
    }

    /// The rules that say that something is wrong, and what with.
    fn wrong(&self) -> Vec<(&'static str, String)> {
        let incidents = self.watcher.incidents();
        incidents.iter().map(|one| (one.rule, one.about.to_string())).collect()
    }
}

fn wrong(rule: &'static str, about: &str) -> Vec<(&'static str, String)> {
    vec![(rule, about.to_owned())]
}

#[test]
fn every_rule_says_what_it_is_and_what_to_do() {
    let mut seen = BTreeSet::new();
    for rule in RULES {
        assert!(seen.insert(rule.id), "{} is there twice", rule.id);
        let letter = if rule.severity == Severity::Error { 'E' } else { 'W' };
        assert!(rule.id.starts_with(letter) && rule.id.len() == 4, "{}", rule.id);
        for text in [rule.cause, rule.remedy] {
            assert!(text.len() > 20 && text.ends_with('.'), "{}: {text}", rule.id);
        }
    }
}

#[test]
fn what_explains_something_explains_what_that_explains() {
    let same = NodeId::new(NodeKind::Broker, "0");
    let explains = |cause: &Rule, of: &Rule| rules::explains((cause.id, &same), (of.id, &same));
    let mut pairs = 0;
    for cause in RULES {
        assert!(!explains(cause, cause), "{}", cause.id);
        for of in RULES.iter().filter(|of| explains(cause, of)) {
            pairs += 1;
            for next in RULES.iter().filter(|next| explains(of, next)) {
                assert!(explains(cause, next), "{} {} {}", cause.id, of.id, next.id);
            }
        }
    }
    assert!(pairs > 10, "{pairs}");
}

#[test]
fn of_a_broker_that_is_well_nothing_is_said() {
    let mut world = World::new();
    world.put(Node::new(NodeKind::Group, "g").with("state", "Stable").with("lost_messages", 0_i64));
    world.put(Node::new(NodeKind::Queue, "q").with("consumers", 2_i64));
    world.seconds(700, |registry, second| {
        registry.counter(&families::CONNECTIONS_ACCEPTED, ["door", "L"]).add(2);
        registry.gauge(&families::CONNECTIONS, ["door", "L"]).set(100);
        registry.histogram(&families::SYNC_TIME, []).record(1_000_000 + second % 7 * 100_000);
        // Consumers lag a little, more in a burst, and catch up.
        let lag = i64::try_from(second % 50).unwrap();
        registry.gauge(&families::GROUP_LAG, ["g", "t"]).set(lag * 1000);
        registry.gauge(&families::GROUP_LAG_TIME, ["g", "t"]).set(lag * 100_000_000);
        registry.gauge(&families::QUEUE_READY, ["", "q"]).set(lag);
        // A login that fails now and then is no storm.
        let failed = registry.counter(&families::CONNECTIONS_FAILED, ["door", "L", "login"]);
        failed.add(u64::from(second % 20 == 0));
    });
    assert_eq!(world.wrong(), []);
}

#[test]
fn storage_that_failed_is_wrong_at_once_and_until_it_is_not() {
    let mut world = World::new();
    world.put(Node::new(NodeKind::Store, "/data").with("why", "syncing the log: I/O error"));
    world.seconds(5, |_, _| {});
    world.second(|registry, _| registry.gauge(&families::HEALTHY, []).set(0));
    assert_eq!(world.wrong(), wrong("E101", "store//data"));
    assert_eq!(world.watcher.incidents()[0].evidence, ["syncing the log: I/O error"]);
    assert_eq!(world.events.newest(1)[0].kind.name, "incident.opened");
    world.seconds(5, |registry, _| registry.gauge(&families::HEALTHY, []).set(1));
    assert_eq!(world.wrong().len(), 1, "not over at once");
    world.seconds(5, |_, _| {});
    assert_eq!(world.wrong(), []);
    assert_eq!(world.events.newest(1)[0].kind.name, "incident.closed");
}

#[test]
fn a_full_disk_is_no_failed_storage_but_storage_may_fail_of_it() {
    let mut world = World::new();
    world.put(Node::new(NodeKind::Store, "/data").with("why", "writing the log: no space"));
    let full = |is: i64| {
        move |registry: &Registry, _: u64| registry.gauge(&families::DISK_FULL, []).set(is)
    };
    world.seconds(5, full(1));
    assert_eq!(world.wrong(), wrong("E102", "store//data"), "it goes on by itself");
    world.second(|registry, _| registry.gauge(&families::HEALTHY, []).set(0));
    world.seconds(15, |_, _| {});
    assert_eq!(
        world.wrong(),
        wrong("E101", "store//data"),
        "until it was started again, it does not"
    );
    let evidence = world.watcher.incidents()[0].evidence.join("; ");
    assert_eq!(evidence, "writing the log: no space; the disk is full; 80.0 GiB are free");
    world.seconds(15, full(0));
    assert_eq!(world.wrong(), wrong("E101", "store//data"));
    world.second(|registry, _| registry.gauge(&families::HEALTHY, []).set(1));
    world.seconds(15, full(1));
    assert_eq!(world.wrong(), wrong("E102", "store//data"));
    world.seconds(15, full(0));
    assert_eq!(world.wrong(), []);
}

#[test]
fn a_disk_that_will_be_full_soon_is_told_before_it_is() {
    let mut world = World::new();
    world.put(Node::new(NodeKind::Store, "/data"));
    let free =
        |registry: &Registry, bytes: i64| registry.gauge(&families::DISK_FREE, []).set(bytes);
    // There is much room: that it gets less is what disks are for.
    world.seconds(700, |registry, second| {
        free(registry, 80 * GIB - i64::try_from(second).unwrap() * (GIB >> 10));
    });
    assert_eq!(world.wrong(), []);
    world.seconds(700, |registry, second| {
        free(registry, 29 * GIB - i64::try_from(second - 1700).unwrap() * (GIB >> 6));
    });
    assert_eq!(world.wrong(), wrong("W103", "store//data"));
    let evidence = world.watcher.incidents()[0].evidence.join("; ");
    assert!(evidence.contains("of 100.0 GiB are free; it fills at"), "{evidence}");
    world.second(|registry, _| registry.gauge(&families::DISK_FULL, []).set(1));
    assert_eq!(world.wrong()[0].0, "E102");
}

#[test]
fn room_that_retention_gives_back_is_not_lost() {
    let mut world = World::new();
    world.put(Node::new(NodeKind::Store, "/data"));
    // Every four minutes it deletes what came since.
    world.seconds(1500, |registry, second| {
        let since = i64::try_from(second % 240).unwrap();
        registry.gauge(&families::DISK_FREE, []).set(29 * GIB - since * (GIB >> 6));
    });
    assert_eq!(world.wrong(), []);
    // What is lost in an hour is told when that is too fast for the next hours.
    world.seconds(4000, |registry, second| {
        let (since, lost) = (second % 240, second - 2500);
        let used = i64::try_from(since * 16 + lost * 2).unwrap() * (GIB >> 10);
        registry.gauge(&families::DISK_FREE, []).set(29 * GIB - used);
    });
    assert_eq!(world.wrong(), wrong("W103", "store//data"));
}

#[test]
fn syncs_are_slow_when_most_seconds_have_slow_ones() {
    let mut world = World::new();
    let sync = |registry: &Registry, millis: u64| {
        registry.histogram(&families::SYNC_TIME, []).record(millis * 1_000_000);
    };
    world.seconds(60, |registry, second| sync(registry, if second % 10 == 0 { 900 } else { 2 }));
    assert_eq!(world.wrong(), [], "one now and then");
    world.seconds(40, |registry, _| sync(registry, 250));
    assert_eq!(world.wrong(), wrong("W104", "broker/0"));
}

#[test]
fn reads_are_slow_when_most_seconds_have_slow_ones() {
    let mut world = World::new();
    world.seconds(40, |registry, _| {
        registry.histogram(&families::READ_TIME, []).record(250 * 1_000_000);
    });
    assert_eq!(world.wrong(), wrong("W106", "broker/0"));
    let evidence = world.watcher.incidents()[0].evidence.join("; ");
    assert!(evidence.contains("the slowest reads of a second take 2"), "{evidence}");
}

#[test]
fn messages_that_stay_in_memory_are_told_until_they_are_moved() {
    let mut world = World::new();
    world.put(Node::new(NodeKind::Store, "/data"));
    let failed = |registry: &Registry, count| {
        registry.counter(&families::FLUSH_FAILURES, []).add(count);
    };
    world.seconds(5, |registry, _| failed(registry, 0));
    assert_eq!(world.wrong(), []);
    world.second(|registry, _| failed(registry, 1));
    assert_eq!(world.wrong(), wrong("E105", "store//data"));
    world.seconds(130, |_, _| {});
    assert_eq!(world.wrong(), []);
}

#[test]
fn metrics_without_room_are_told() {
    let mut world = World::new();
    world.seconds(5, |registry, _| registry.counter(&families::SERIES_LEFT_OUT, []).add(0));
    assert_eq!(world.wrong(), []);
    world.second(|registry, _| registry.counter(&families::SERIES_LEFT_OUT, []).add(1));
    assert_eq!(world.wrong(), wrong("W205", "broker/0"));
}

#[test]
fn what_the_system_gives_is_nearly_used_up() {
    let mut world = World::new();
    world.registry.gauge(&families::OPEN_FILES, []).set(900);
    world.registry.gauge(&families::MEMORY, []).set(7 * GIB);
    world.seconds(5, |_, _| {});
    assert_eq!(world.wrong(), [], "it may be for a moment");
    world.seconds(40, |_, _| {});
    let expected = [wrong("W201", "broker/0"), wrong("W202", "broker/0")].concat();
    assert_eq!(world.wrong(), expected);
}

#[test]
fn a_clock_that_is_set_is_told_and_one_that_drifts_is_not() {
    let mut world = World::new();
    let leap =
        |registry: &Registry, nanos: i64| registry.gauge(&families::CLOCK_LEAP, []).set(nanos);
    world.seconds(300, |registry, second| leap(registry, i64::try_from(second).unwrap() * 500_000));
    assert_eq!(world.wrong(), []);
    world.second(|registry, _| leap(registry, -5_000_000_000));
    assert_eq!(world.wrong(), wrong("W203", "broker/0"));
    assert!(world.watcher.incidents()[0].evidence[0].starts_with("it moved back by 5"));
}

#[test]
fn failures_of_many_clients_are_told_of_their_listener() {
    let reasons =
        [("login", "W301"), ("protocol", "W302"), ("panic", "E305"), ("handshake", "W307")];
    for (reason, rule) in reasons {
        let mut world = World::new();
        let failed = |registry: &Registry, count| {
            registry.counter(&families::CONNECTIONS_FAILED, ["door", "L", reason]).add(count);
        };
        world.seconds(70, |registry, _| failed(registry, 0));
        assert_eq!(world.wrong(), []);
        world.seconds(10, |registry, _| failed(registry, 5));
        assert_eq!(world.wrong(), wrong(rule, "listener/L"), "{reason}");
    }
}

#[test]
fn connections_are_refused_or_come_and_go() {
    let mut world = World::new();
    world.seconds(100, |registry, _| {
        registry.counter(&families::CONNECTIONS_ACCEPTED, ["door", "L"]).add(20);
        registry.gauge(&families::CONNECTIONS, ["door", "L"]).set(3);
        registry.counter(&families::CONNECTIONS_REFUSED, ["door", "L"]);
    });
    assert_eq!(world.wrong(), wrong("W304", "listener/L"));
    world.second(|registry, _| {
        registry.counter(&families::CONNECTIONS_REFUSED, ["door", "L"]).add(1);
    });
    assert_eq!(world.wrong()[0], ("W303", "listener/L".to_owned()));
}

#[test]
fn clients_that_all_come_again_are_no_churn_and_those_that_do_so_twice_in_ten_seconds_are() {
    let mut world = World::new();
    let connections = |registry: &Registry, accepted| {
        registry.counter(&families::CONNECTIONS_ACCEPTED, ["door", "L"]).add(accepted);
        registry.gauge(&families::CONNECTIONS, ["door", "L"]).set(200);
    };
    world.seconds(70, |registry, _| connections(registry, 0));
    world.seconds(10, |registry, _| connections(registry, 20));
    world.seconds(70, |registry, _| connections(registry, 3));
    assert_eq!(world.wrong(), [], "each once in ten seconds, and once a minute");
    world.seconds(10, |registry, _| connections(registry, 41));
    assert_eq!(world.wrong(), wrong("W304", "listener/L"));
    let evidence = &world.watcher.incidents()[0].evidence;
    assert!(evidence[0].ends_with(" were made in 10 seconds, 200 are open"), "{evidence:?}");
}

#[test]
fn connections_that_the_system_does_not_hand_over_are_told() {
    let mut world = World::new();
    let failed = |registry: &Registry, count| {
        registry.counter(&families::ACCEPT_FAILURES, ["door", "L"]).add(count);
    };
    world.seconds(5, |registry, _| failed(registry, 0));
    assert_eq!(world.wrong(), []);
    world.second(|registry, _| failed(registry, 1));
    assert_eq!(world.wrong(), wrong("E308", "listener/L"));
}

#[test]
fn requests_fail_where_many_do_and_not_where_some_of_very_many_do() {
    let mut world = World::new();
    world.put(Node::new(NodeKind::Listener, "L").with("door", "d"));
    let asked = |registry: &Registry, count, errors| {
        registry.counter(&families::REQUESTS, ["d", "Produce"]).add(count);
        registry.counter(&families::REQUEST_ERRORS, ["d", "Produce"]).add(errors);
    };
    world.seconds(150, |registry, _| asked(registry, 1000, 2));
    assert_eq!(world.wrong(), [], "two in a thousand");
    world.seconds(150, |registry, second| asked(registry, 1, u64::from(second % 4 == 0)));
    assert_eq!(world.wrong(), [], "fifteen in a minute");
    world.seconds(5, |registry, _| asked(registry, 10, 5));
    assert_eq!(world.wrong(), [], "it may be for a moment");
    world.seconds(5, |registry, _| asked(registry, 10, 5));
    assert_eq!(world.wrong(), wrong("W309", "listener/L"));
    world.seconds(110, |registry, _| asked(registry, 10, 5));
    let evidence = &world.watcher.incidents()[0].evidence;
    assert_eq!(evidence[0], "300 of 600 Produce requests in the last 60 seconds");
}

#[test]
fn a_group_that_stands_still_is_told_from_one_that_is_only_slow() {
    let mut world = World::new();
    world.put(Node::new(NodeKind::Group, "g").with("state", "Stable"));
    let lag = |registry: &Registry, messages, millis: i64, still: i64| {
        registry.gauge(&families::GROUP_LAG, ["g", "t"]).set(messages);
        registry.gauge(&families::GROUP_LAG_TIME, ["g", "t"]).set(millis * 1_000_000);
        registry.gauge(&families::GROUP_STILL_TIME, ["g", "t"]).set(still * 1_000_000_000);
    };
    // It handles a twentieth of what comes.
    world.seconds(400, |registry, second| {
        let behind = i64::try_from(second - 1000).unwrap();
        lag(registry, behind * 10, behind * 950, behind % 10);
    });
    assert_eq!(world.wrong(), wrong("W402", "group/g"));
    // It stops.
    world.seconds(100, |registry, second| {
        let since = i64::try_from(second - 1400).unwrap();
        lag(registry, 4000 + since * 20, 380_000 + since * 1000, since);
    });
    assert!(world.wrong().contains(&("W401", "group/g".to_owned())), "{:?}", world.wrong());
    // It goes on, though it has a while to go: what waits does so because it stood still.
    world.seconds(35, |registry, second| {
        lag(registry, 6000, 480_000 + i64::try_from(second - 1500).unwrap() * 900, 0);
    });
    assert_eq!(world.wrong(), []);
    world.seconds(60, |registry, _| lag(registry, 0, 0, 0));
    assert_eq!(world.wrong(), []);
}

#[test]
fn a_group_that_seldom_commits_stands_still_when_it_has_not_for_much_longer() {
    let mut world = World::new();
    world.put(Node::new(NodeKind::Group, "g").with("state", "Stable"));
    let still = |registry: &Registry, second: u64| {
        let nanos = i64::try_from(second).unwrap() * 1_000_000_000;
        registry.gauge(&families::GROUP_STILL_TIME, ["g", "t"]).set(nanos);
    };
    world.seconds(330, |registry, second| still(registry, (second - 1000) % 110));
    assert_eq!(world.wrong(), wrong("W401", "group/g"), "nothing is known of its habits");
    world.seconds(70, |registry, second| still(registry, (second - 1000) % 110));
    for _ in 0..920 {
        world.second(|registry, second| still(registry, (second - 1000) % 110));
        assert_eq!(world.wrong(), []);
    }
    world.seconds(240, |registry, second| still(registry, second - 2320));
    assert_eq!(world.wrong(), []);
    world.seconds(60, |registry, second| still(registry, second - 2320));
    assert_eq!(world.wrong(), wrong("W401", "group/g"));
    let evidence = &world.watcher.incidents()[0].evidence;
    assert_eq!(evidence[1], "usually it commits every 109 s");
}

#[test]
fn messages_that_are_gone_are_told() {
    let mut world = World::new();
    world.put(Node::new(NodeKind::Group, "g").with("lost_messages", 12_i64));
    world.second(|_, _| {});
    assert_eq!(world.wrong(), wrong("E403", "group/g"));
}

#[test]
fn a_group_that_rebalances_again_and_again_is_told_and_one_rebalance_is_not() {
    let mut world = World::new();
    world.put(Node::new(NodeKind::Group, "g").with("state", "PreparingRebalance"));
    let busy = |registry: &Registry, count| {
        registry.gauge(&families::GROUPS, ["PreparingRebalance"]).set(count);
    };
    world.seconds(30, |registry, _| busy(registry, 1));
    world.put(Node::new(NodeKind::Group, "g").with("state", "Stable"));
    world.seconds(120, |registry, _| busy(registry, 0));
    assert_eq!(world.wrong(), []);
    for second in 0..200 {
        let is_busy = second % 10 < 8;
        let state = if is_busy { "PreparingRebalance" } else { "Stable" };
        world.put(Node::new(NodeKind::Group, "g").with("state", state));
        world.second(|registry, _| busy(registry, i64::from(is_busy)));
    }
    assert_eq!(world.wrong(), wrong("W404", "broker/0"));
}

#[test]
fn a_rebalance_that_does_not_end_is_told() {
    let mut world = World::new();
    world.put(Node::new(NodeKind::Group, "g").with("state", "CompletingRebalance"));
    world.seconds(60, |_, _| {});
    assert_eq!(world.wrong(), []);
    world.seconds(40, |_, _| {});
    assert_eq!(world.wrong(), wrong("W407", "group/g"));
    world.put(Node::new(NodeKind::Group, "g").with("state", "Stable"));
    world.seconds(15, |_, _| {});
    assert_eq!(world.wrong(), []);
}

#[test]
fn a_queue_without_consumers_that_grows_is_told() {
    let mut world = World::new();
    world.put(Node::new(NodeKind::Queue, "v/q").with("consumers", 0_i64));
    let grows = |registry: &Registry, second: u64| {
        let ready = i64::try_from(second / 5).unwrap();
        registry.gauge(&families::QUEUE_READY, ["v", "q"]).set(ready);
    };
    world.seconds(80, grows);
    assert_eq!(world.wrong(), [], "consumers that are started anew are away for a while");
    world.seconds(80, grows);
    assert_eq!(world.wrong(), wrong("W405", "queue/v/q"));
    world.put(Node::new(NodeKind::Queue, "v/q").with("consumers", 1_i64));
    world.seconds(40, |_, _| {});
    assert_eq!(world.wrong(), []);
}

#[test]
fn consumers_that_settle_nothing_are_told_and_busy_ones_are_not() {
    let mut world = World::new();
    world.put(Node::new(NodeKind::Queue, "q").with("consumers", 2_i64));
    let queue = |registry: &Registry, ready, held| {
        registry.gauge(&families::QUEUE_READY, ["", "q"]).set(ready);
        registry.gauge(&families::QUEUE_HELD, ["", "q"]).set(held);
    };
    // As many as they may hold, always; but fewer wait now and then.
    world.seconds(200, |registry, second| {
        queue(registry, 50 + i64::try_from(second % 20).unwrap(), 10);
    });
    assert_eq!(world.wrong(), []);
    world.seconds(140, |registry, second| queue(registry, i64::try_from(second).unwrap(), 10));
    assert_eq!(world.wrong(), wrong("W406", "queue/q"));
    world.seconds(15, |registry, _| queue(registry, 0, 9));
    assert_eq!(world.wrong(), []);
}

#[test]
fn a_group_is_warned_before_retention_reaches_what_it_has_not_committed() {
    let mut world = World::new();
    let group = |behind: i64, percent: i64| {
        let node = Node::new(NodeKind::Group, "g").with("behind_ms", behind);
        node.with("kept_percent", percent).with("kept_topic", "t")
    };
    world.put(group(29_000, 95));
    world.seconds(20, |_, _| {});
    assert_eq!(world.wrong(), [], "nobody minds half a minute");
    world.put(group(60_000, 79));
    world.seconds(20, |_, _| {});
    assert_eq!(world.wrong(), []);
    world.put(group(60_000, 80));
    world.seconds(10, |_, _| {});
    assert_eq!(world.wrong(), wrong("E408", "group/g"));
    assert_eq!(
        world.watcher.incidents()[0].evidence,
        ["it is behind by 80 % of what topic t keeps"]
    );
}

#[test]
fn a_hot_partition_is_told_where_a_group_falls_behind_in_it() {
    let mut world = World::new();
    let group = |behind: i64, others: i64| {
        let node = Node::new(NodeKind::Group, "g").with("behind_ms", behind.max(others));
        let node = node.with("hot_topic", "t").with("hot_partition", 3_i64);
        let node = node.with("hot_came_percent", 71_i64).with("hot_usual_percent", 4_i64);
        node.with("hot_behind_ms", behind).with("hot_others_behind_ms", others)
    };
    for (behind, others) in [(1_000, 0), (90_000, 60_000), (5_000, 90_000)] {
        world.put(group(behind, others));
        world.seconds(60, |_, _| {});
        assert_eq!(world.wrong(), [], "{behind} {others}");
    }
    world.put(group(90_000, 2_000));
    let still = |registry: &Registry, seconds: i64| {
        registry.gauge(&families::GROUP_STILL_TIME, ["g", "t"]).set(seconds * 1_000_000_000);
    };
    world.seconds(60, |registry, _| still(registry, 40));
    assert_eq!(world.wrong(), [], "it stands still");
    world.seconds(40, |registry, _| still(registry, 3));
    assert_eq!(world.wrong(), wrong("W411", "group/g"));
    let evidence = world.watcher.incidents()[0].evidence.join("; ");
    assert!(evidence.starts_with("partition 3 of topic t got 71 % of what came"), "{evidence}");
    assert!(evidence.ends_with("90 s behind there, elsewhere 2000 ms"), "{evidence}");
}

/// What a queue gave away, gave away again, and gave up, in a second.
fn gave(registry: &Registry, [delivered, again, dead]: [u64; 3]) {
    registry.counter(&families::QUEUE_DELIVERED, ["v", "q"]).add(delivered);
    registry.counter(&families::QUEUE_REDELIVERED, ["v", "q"]).add(again);
    registry.counter(&families::QUEUE_DEAD, ["v", "q"]).add(dead);
}

#[test]
fn dead_letters_are_told_where_they_are_many_and_a_part_of_all() {
    let mut world = World::new();
    world.put(Node::new(NodeKind::Queue, "v/q"));
    world.seconds(150, |registry, _| gave(registry, [1000, 0, 9]));
    assert_eq!(world.wrong(), [], "nine in a thousand");
    world.seconds(150, |registry, second| {
        let is_any = u64::from(second % 10 == 0);
        gave(registry, [is_any, 0, is_any]);
    });
    assert_eq!(world.wrong(), [], "twelve in two minutes");
    world.seconds(9, |registry, _| gave(registry, [2, 0, 1]));
    assert_eq!(world.wrong(), wrong("W409", "queue/v/q"));
}

#[test]
fn messages_that_come_back_are_told_and_those_of_a_consumer_that_stopped_are_not() {
    let mut world = World::new();
    world.put(Node::new(NodeKind::Queue, "v/q"));
    world.seconds(200, |registry, second| {
        let again = if second % 60 == 0 { 5000 } else { 0 };
        gave(registry, [10 + again, again, 0]);
    });
    assert_eq!(world.wrong(), [], "many at once, and seldom");
    world.seconds(200, |registry, _| gave(registry, [1000, 40, 0]));
    assert_eq!(world.wrong(), [], "a few are tried again");
    world.seconds(15, |registry, _| gave(registry, [20, 10, 0]));
    assert_eq!(world.wrong(), []);
    world.seconds(15, |registry, _| gave(registry, [20, 10, 0]));
    assert_eq!(world.wrong(), wrong("W410", "queue/v/q"));
}

#[test]
fn slow_clients_are_told_of_their_door() {
    let mut world = World::new();
    world.put(Node::new(NodeKind::Listener, "L").with("door", "d"));
    world.seconds(5, |registry, _| registry.counter(&families::DROPPED_MESSAGES, ["d"]).add(0));
    assert_eq!(world.wrong(), []);
    world.second(|registry, _| registry.counter(&families::DROPPED_MESSAGES, ["d"]).add(7));
    assert_eq!(world.wrong(), wrong("W306", "listener/L"));
}

#[test]
fn what_explains_others_comes_before_them_however_bad_they_are() {
    let mut world = World::new();
    world.registry.gauge(&families::OPEN_FILES, []).set(990);
    world.put(Node::new(NodeKind::Group, "g").with("state", "CompletingRebalance"));
    world.put(Node::new(NodeKind::Group, "h").with("state", "Stable"));
    world.seconds(150, |registry, second| {
        registry.counter(&families::ACCEPT_FAILURES, ["door", "L"]).add(second % 2);
        for group in ["g", "h"] {
            let still = i64::try_from(second - 1000).unwrap() * 1_000_000_000;
            registry.gauge(&families::GROUP_STILL_TIME, [group, "t"]).set(still);
        }
    });
    let expected = [
        wrong("W202", "broker/0"),
        wrong("W401", "group/h"),
        wrong("W407", "group/g"),
        wrong("E308", "listener/L"),
        wrong("W401", "group/g"),
    ];
    assert_eq!(world.wrong(), expected.concat());
    let because = world.watcher.incidents().into_iter().map(|incident| incident.because_of);
    let because: Vec<_> = because.collect();
    assert_eq!(because, [vec![], vec![], vec![], vec!["W202"], vec!["W407"]]);
}

#[test]
fn a_disk_that_is_full_is_not_said_twice() {
    let mut world = World::new();
    let full = |registry: &Registry, is_full: i64| {
        registry.gauge(&families::DISK_FULL, []).set(is_full);
        registry.counter(&families::FLUSH_FAILURES, []).add(is_full.unsigned_abs());
    };
    world.seconds(5, |registry, _| full(registry, 0));
    world.seconds(20, |registry, _| full(registry, 1));
    assert_eq!(world.wrong(), wrong("E102", "broker/0"));
    for _ in 0..80 {
        world.second(|registry, _| full(registry, 0));
        assert!(world.wrong().iter().all(|(rule, _)| *rule == "E102"), "{:?}", world.wrong());
    }
    assert_eq!(world.wrong(), []);
}

#[test]
fn what_comes_and_goes_opens_nothing_and_what_stays_opens_one_incident() {
    let mut world = World::new();
    let files = |registry: &Registry, count| registry.gauge(&families::OPEN_FILES, []).set(count);
    world.seconds(100, |registry, second| files(registry, if second % 3 == 0 { 900 } else { 100 }));
    assert_eq!(world.wrong(), []);
    world.seconds(100, |registry, _| files(registry, 900));
    let opened = world.events.newest(100);
    let opened = opened.iter().filter(|event| event.kind.name == "incident.opened").count();
    assert_eq!((world.wrong().len(), opened), (1, 1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Whatever is measured, rules come to an end and say the same again.
    #[test]
    fn rules_take_any_figures(values in prop::collection::vec(any::<i64>(), 70)) {
        let mut world = World::new();
        world.put(Node::new(NodeKind::Queue, "q").with("consumers", 0_i64));
        for value in values {
            world.second(|registry, _| {
                registry.gauge(&families::DISK_FREE, []).set(value);
                registry.gauge(&families::DISK_SIZE, []).set(value.wrapping_mul(3));
                registry.gauge(&families::CLOCK_LEAP, []).set(value);
                registry.gauge(&families::MEMORY_LIMIT, []).set(value);
                registry.gauge(&families::GROUP_LAG, ["g", "t"]).set(value);
                registry.gauge(&families::GROUP_LAG_TIME, ["g", "t"]).set(value);
                registry.gauge(&families::GROUP_STILL_TIME, ["g", "t"]).set(value);
                registry.gauge(&families::QUEUE_READY, ["", "q"]).set(value);
                registry.histogram(&families::SYNC_TIME, []).record(value.unsigned_abs());
            });
        }
        let broker = NodeId::new(NodeKind::Broker, "0");
        let moment = Moment { broker: &broker, history: &world.history, graph: &world.graph, events: &[] };
        prop_assert_eq!(look(&moment), look(&moment));
    }
}
