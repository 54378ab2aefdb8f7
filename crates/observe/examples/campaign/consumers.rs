//! Topics with the groups that consume them, and queues.

use observe::families;
use observe::lag::{Behind, Ends, Hot, Progress};
use observe::state::{Node, NodeId, NodeKind};

use crate::broker::Second;
use crate::dice::Dice;

/// States of a group.
pub(crate) const STATES: [&str; 4] =
    ["Stable", "PreparingRebalance", "CompletingRebalance", "Empty"];

/// Over how long partitions are compared, in milliseconds, as a broker does.
const COMPARED_MS: i64 = 300_000;

/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// How much comes, as it changes over a day and in bursts.
#[derive(Debug)]
struct Traffic {
    /// A second, in the mean.
    rate: f64,
    /// When its day begins, as a part of one, and how far it is from the mean by day and by night.
    phase: f64,
    swing: f64,
    burst: (u64, f64),
}

impl Traffic {
    fn new(rate: f64, dice: &mut Dice) -> Self {
        let (phase, swing) = (dice.between(0.0, 1.0), dice.between(0.0, 0.6));
        Self { rate, phase, swing, burst: (0, 1.0) }
    }

    /// What comes in this second, in the mean.
    fn now(&mut self, second: &mut Second<'_>) -> f64 {
        if second.dice.once_in(3600.0) {
            self.burst = (second.number + second.dice.whole(5, 60), second.dice.between(1.5, 5.0));
        }
        let angle = std::f64::consts::TAU * (second.number as f64 / DAY + self.phase);
        let by_day = 1.0 + self.swing * angle.sin();
        let (until, times) = self.burst;
        let burst = if second.number < until { times } else { 1.0 };
        self.rate * by_day * burst * second.dice.around(1.0, 0.2)
    }

    fn most(&self) -> f64 {
        self.rate * (1.0 + self.swing)
    }
}

#[derive(Debug)]
struct Partition {
    /// Its part of what comes.
    share: f64,
    start: i64,
    end: i64,
    position: i64,
    committed: i64,
    ends: Ends,
    progress: Progress,
    /// How far the group is behind in it, in milliseconds.
    behind: i64,
    /// What its consumer could not take of the last second, as a part of a message.
    rest: f64,
}

impl Partition {
    fn new(share: f64) -> Self {
        Self {
            share,
            start: 0,
            end: 0,
            position: 0,
            committed: 0,
            ends: Ends::default(),
            progress: Progress::default(),
            behind: 0,
            rest: 0.0,
        }
    }
}

/// A group and the topic that it consumes.
#[derive(Debug)]
pub(crate) struct Group {
    name: String,
    topic: String,
    traffic: Traffic,
    partitions: Vec<Partition>,
    /// What its members handle, as a part of the most that comes by day.
    capacity: f64,
    /// Seconds between commits.
    commits: u64,
    /// Rebalances that are to come: from, to.
    rebalances: Vec<(u64, u64)>,
    state: &'static str,
    /// How far it is behind, in milliseconds, and how much of that its topic keeps, in hundredths.
    behind: i64,
    kept_percent: i64,
    hot: Option<Hot>,
}

impl Group {
    pub(crate) fn new(number: usize, dice: &mut Dice) -> Self {
        let rate = dice.scale(0.5, 3000.0);
        let mut parts: Vec<f64> = (0..dice.whole(1, 8)).map(|_| dice.between(0.5, 1.5)).collect();
        // Some have a key of which there is most, and a member who can bear it.
        if let Some(last) = parts.last_mut().filter(|_| rate > 100.0 && dice.chance(0.3)) {
            *last = dice.scale(5.0, 50.0);
        }
        let sum: f64 = parts.iter().sum();
        let part = |part: f64| Partition::new(part / sum);
        Self {
            name: format!("g{number}"),
            topic: format!("t{number}"),
            traffic: Traffic::new(rate, dice),
            partitions: parts.into_iter().map(part).collect(),
            capacity: dice.between(1.6, 4.0),
            commits: dice.whole(1, 30),
            rebalances: Vec::new(),
            state: "Stable",
            behind: 0,
            kept_percent: 0,
            hot: None,
        }
    }

    pub(crate) fn id(&self) -> NodeId {
        NodeId::new(NodeKind::Group, self.name.as_str())
    }

    pub(crate) fn state(&self) -> &'static str {
        self.state
    }

    pub(crate) fn node(&self) -> Node {
        let lost = self.partitions.iter().map(|one| (one.start - one.committed).max(0));
        let node = Node::new(NodeKind::Group, self.name.as_str())
            .with("state", self.state)
            .with("lost_messages", lost.sum::<i64>())
            .with("behind_ms", self.behind)
            .with("kept_percent", self.kept_percent)
            .with("kept_topic", self.topic.as_str());
        let Some(hot) = self.hot else { return node };
        let own = self.partitions.get(hot.index).map_or(0, |one| one.behind);
        let others = self.partitions.iter().enumerate().filter(|(at, _)| *at != hot.index);
        let mut others: Vec<_> = others.map(|(_, one)| one.behind).collect();
        others.sort_unstable();
        node.with("hot_topic", self.topic.as_str())
            .with("hot_partition", hot.index)
            .with("hot_came_percent", hot.percent)
            .with("hot_usual_percent", hot.usual_percent)
            .with("hot_behind_ms", own)
            .with("hot_others_behind_ms", others.get(others.len() / 2).copied().unwrap_or(0))
    }

    /// Its topic has four to eight partitions, and enough comes that one may have more than others.
    pub(crate) fn spread(&mut self, dice: &mut Dice) {
        self.traffic.rate = self.traffic.rate.max(20.0);
        let count = usize::try_from(dice.whole(4, 8)).unwrap_or(4);
        self.partitions.resize_with(count, || Partition::new(1.0));
        for one in &mut self.partitions {
            one.share = 1.0 / count as f64;
        }
    }

    pub(crate) fn step(&mut self, second: &mut Second<'_>, is_first: bool) {
        let comes = self.traffic.now(second);
        self.state = self.next_state(second, is_first);
        let faults = second.faults;
        let hot = if is_first { faults.hot } else { 0.0 };
        for (number, one) in self.partitions.iter_mut().enumerate() {
            // Nothing comes in that is not stored.
            if !faults.storage_failed && !faults.disk_full {
                let more = if number == 0 { hot } else { 0.0 };
                let comes = comes * (one.share * (1.0 - hot) + more);
                one.end += i64::try_from(second.dice.count(comes)).unwrap_or(0);
            }
        }
        if self.state == "Stable" && !(is_first && faults.hang) {
            self.consume(second, is_first);
        }
        if is_first && faults.keeps > 0.0 {
            for one in &mut self.partitions {
                let kept = (self.traffic.rate * one.share * faults.keeps) as i64;
                one.start = one.start.max(one.end - kept);
            }
        }
        self.tell(second);
        self.kept_percent = match is_first && faults.retention > 0.0 {
            true => (self.behind as f64 / 10.0 / faults.retention) as i64,
            false => 0,
        };
    }

    fn next_state(&mut self, second: &mut Second<'_>, is_first: bool) -> &'static str {
        let number = second.number;
        // Its program is started anew, one member after the other.
        if second.dice.once_in(9000.0) {
            let mut from = number;
            for _ in 0..second.dice.whole(1, 4) {
                let to = from + second.dice.whole(1, 8);
                self.rebalances.push((from, to));
                from = to + second.dice.whole(5, 40);
            }
        }
        self.rebalances.retain(|(_, to)| *to > number);
        let faults = second.faults;
        let is_busy = self.rebalances.iter().any(|(from, _)| *from <= number);
        // A member comes or goes every ten seconds, and a rebalance takes seven to nine.
        let is_storm = is_first && faults.storm && number % 10 < 7 + number / 10 % 3;
        match (is_first && faults.gone, is_first && faults.hung, is_busy || is_storm) {
            (true, ..) => "Empty",
            (_, true, _) => "CompletingRebalance",
            (.., true) => "PreparingRebalance",
            _ => "Stable",
        }
    }

    fn consume(&mut self, second: &mut Second<'_>, is_first: bool) {
        let faults = second.faults;
        let whole = match is_first && faults.slow > 0.0 {
            // Of what comes at this time of the day.
            true => self.traffic.rate * (1.0 - self.traffic.swing) * faults.slow,
            false => (self.traffic.most() * self.capacity).max(2.0),
        };
        let commits = second.number.is_multiple_of(self.commits);
        for (number, one) in self.partitions.iter_mut().enumerate() {
            let whole = match is_first && faults.hot > 0.0 && number == 0 {
                true => self.traffic.rate * (1.0 - self.traffic.swing) * faults.hot / 2.0,
                false => whole * one.share,
            };
            let able = whole * second.dice.around(1.0, 0.1) + one.rest;
            let waits = one.end - one.position.max(one.start);
            let taken = waits.min(able as i64);
            one.rest = if taken < waits { (able - taken as f64).min(1.0) } else { 0.0 };
            if !(is_first && faults.poison && number == 0) {
                one.position = one.position.max(one.start) + taken;
            }
            if commits {
                one.committed = one.position;
            }
        }
    }

    /// As a broker computes it of where logs end and what is committed.
    fn tell(&mut self, second: &mut Second<'_>) {
        let (mut messages, mut behind, mut still) = (0, None, 0);
        for one in &mut self.partitions {
            one.ends.note(second.now, one.end);
            let waits = (one.end - one.committed.clamp(one.start, one.end)).max(0);
            messages += waits;
            let by = match waits {
                0 => Some(Behind::Exactly(0)),
                _ => one.ends.behind(one.committed, second.now),
            };
            one.behind = by.map_or(0, Behind::millis);
            behind = behind.max(by.map(Behind::millis));
            still = still.max(one.progress.note(second.number, (one.committed, 0), waits > 0));
        }
        let then = second.now - COMPARED_MS;
        let came = self.partitions.iter().map(|one| one.ends.at(then).map(|at| one.end - at));
        let came: Option<Vec<_>> = came.collect();
        self.hot = came.and_then(|came| Hot::of(&came));
        self.behind = behind.unwrap_or(0);
        let labels = [self.name.as_str(), self.topic.as_str()];
        second.registry.gauge(&families::GROUP_LAG, labels).set(messages);
        let still = i64::try_from(still).unwrap_or(i64::MAX).saturating_mul(1_000_000_000);
        second.registry.gauge(&families::GROUP_STILL_TIME, labels).set(still);
        if let Some(behind) = behind {
            second.registry.gauge(&families::GROUP_LAG_TIME, labels).set(behind * 1_000_000);
        }
    }
}

/// A queue with its consumers.
#[derive(Debug)]
pub(crate) struct Queue {
    name: String,
    traffic: Traffic,
    consumers: u64,
    prefetch: u64,
    /// Messages that one consumer handles in a second.
    able: f64,
    waits: u64,
    /// Its consumers are started anew.
    away: (u64, u64),
    now: u64,
    /// Of what they get they usually reject this part, and give back that.
    rejected: f64,
    given_back: f64,
}

impl Queue {
    pub(crate) fn new(number: usize, dice: &mut Dice) -> Self {
        let traffic = Traffic::new(dice.scale(0.2, 500.0), dice);
        let consumers = dice.whole(1, 10);
        let used = dice.between(0.1, 0.8);
        Self {
            name: format!("q{number}"),
            able: traffic.most() / used / consumers as f64,
            traffic,
            consumers,
            prefetch: dice.whole(1, 50),
            waits: 0,
            away: (0, 0),
            now: consumers,
            rejected: dice.scale(1e-6, 0.01),
            given_back: dice.scale(1e-6, 0.05),
        }
    }

    pub(crate) fn id(&self) -> NodeId {
        NodeId::new(NodeKind::Queue, format!("v/{}", self.name))
    }

    pub(crate) fn node(&self) -> Node {
        Node::new(NodeKind::Queue, format!("v/{}", self.name)).with("consumers", self.now)
    }

    pub(crate) fn step(&mut self, second: &mut Second<'_>, is_first: bool) {
        let comes = self.traffic.now(second);
        if second.dice.once_in(10_000.0) {
            self.away = (second.number, second.number + second.dice.whole(2, 60));
        }
        let (faults, number) = (second.faults, second.number);
        let is_away = (self.away.0..self.away.1).contains(&number);
        let nobody = is_away || (is_first && faults.no_consumers);
        self.now = if nobody { 0 } else { self.consumers };
        self.waits += second.dice.count(comes);
        let stuck = is_first && faults.stuck;
        let able = if stuck { 0.0 } else { self.able * self.now as f64 };
        let taken = second.dice.count(able).min(self.waits);
        self.waits -= taken;
        let ended = number == self.away.1;
        self.count(second, taken, (ended, is_first));
        let held = (self.now * self.prefetch).min(self.waits);
        let labels = ["v", self.name.as_str()];
        let set = |family, count: u64| {
            second.registry.gauge(family, labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        };
        set(&families::QUEUE_READY, self.waits - held);
        set(&families::QUEUE_HELD, held);
    }

    /// What is given away, again, and becomes of it.
    fn count(&self, second: &mut Second<'_>, taken: u64, (ended, is_first): (bool, bool)) {
        let faults = second.faults;
        let most = |fault: f64, usual: f64| if is_first { usual.max(fault) } else { usual };
        let dead = second.dice.count(taken as f64 * most(faults.rejected, self.rejected));
        let back = taken as f64 * self.given_back;
        let looping = if is_first { self.traffic.most() * faults.given_back } else { 0.0 };
        // What they had when they were stopped comes again, at once.
        let stopped = if ended { self.consumers * self.prefetch } else { 0 };
        let again = second.dice.count(back + looping) + stopped;
        let labels = ["v", self.name.as_str()];
        let add = |family, count: u64| second.registry.counter(family, labels).add(count);
        add(&families::QUEUE_DELIVERED, taken + again);
        add(&families::QUEUE_REDELIVERED, again);
        add(&families::QUEUE_DEAD, dead.min(taken));
    }

    /// So much comes, at least.
    pub(crate) fn get_at_least(&mut self, rate: f64) {
        let times = (rate / self.traffic.rate).max(1.0);
        self.traffic.rate *= times;
        self.able *= times;
    }
}
