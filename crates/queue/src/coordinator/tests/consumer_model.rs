//! Random members of a consumer group, topics that come and go, a bad disk and crashes; what must
//! hold all the same: no partition is used by two members at once, epochs never go back, and left
//! alone the group comes to rest with everything shared out evenly.

use std::collections::{BTreeMap, BTreeSet};

use base::{Millis, TopicId};
use proptest::prelude::*;

use super::world::{G, World, commit, name};
use crate::consumer_group::{
    AWAY_EPOCH, HeartbeatRequest, JOIN_EPOCH, LEAVE_EPOCH, MemberState, Partitions, Sight,
};
use crate::group::GroupState;
use crate::{GroupError, Name, Response};

const CLIENTS: usize = 5;
const SESSION: Millis = 45_000;
const REBALANCE: Millis = 90_000;

#[derive(Debug, Clone)]
enum Step {
    Beat {
        client: usize,
        lost: bool,
        full: bool,
    },
    /// Does what the last assignment says.
    Apply {
        client: usize,
    },
    Resubscribe {
        client: usize,
        to: usize,
    },
    Leave {
        client: usize,
        away: bool,
    },
    /// The process dies and starts over, with no memory but its instance id.
    Restart {
        client: usize,
    },
    Commit {
        client: usize,
    },
    Topic {
        topic: usize,
        partitions: i32,
    },
    DeleteTopic {
        topic: usize,
    },
    Pass {
        time: Millis,
    },
    Hold,
    Release,
    Fail,
    Crash,
    Compact,
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    prop_oneof![
        12 => (client.clone(), prop::bool::weighted(0.1), prop::bool::weighted(0.2))
            .prop_map(|(client, lost, full)| Step::Beat { client, lost, full }),
        8 => client.clone().prop_map(|client| Step::Apply { client }),
        1 => (client.clone(), 0..4usize)
            .prop_map(|(client, to)| Step::Resubscribe { client, to }),
        1 => (client.clone(), any::<bool>())
            .prop_map(|(client, away)| Step::Leave { client, away }),
        1 => client.clone().prop_map(|client| Step::Restart { client }),
        1 => client.prop_map(|client| Step::Commit { client }),
        1 => (0..3usize, 1..6i32)
            .prop_map(|(topic, partitions)| Step::Topic { topic, partitions }),
        1 => (0..3usize).prop_map(|topic| Step::DeleteTopic { topic }),
        3 => (0..SESSION / 3).prop_map(|time| Step::Pass { time }),
        1 => (0..REBALANCE).prop_map(|time| Step::Pass { time }),
        1 => Just(Step::Hold),
        2 => Just(Step::Release),
        1 => Just(Step::Fail),
        1 => Just(Step::Crash),
        1 => Just(Step::Compact),
    ]
}

/// The last two clients are static members.
#[derive(Debug, Clone, Default)]
struct Client {
    instance: Option<Name>,
    member: Name,
    epoch: i32,
    subscription: usize,
    /// What it uses.
    owned: Partitions,
    /// What it was told to use last.
    assignment: Option<Partitions>,
    /// What it said last that it owns.
    said: Option<Partitions>,
    /// What it says differs from what it said last.
    resubscribed: bool,
    /// An answer did not come: it takes nothing before the next one.
    in_doubt: bool,
    lives: usize,
    waiting: Option<u64>,
}

struct Model {
    world: World,
    clients: Vec<Client>,
    /// Answers that will not arrive.
    lost: BTreeSet<u64>,
    topics: BTreeMap<usize, (u128, i32)>,
    next_id: u128,
    /// The greatest epoch that anybody was told.
    told: i32,
}

fn topic_name(topic: usize) -> &'static str {
    ["t", "tt", "u"][topic]
}

fn subscription(of: usize) -> (Vec<Name>, &'static str) {
    match of {
        0 => (vec![name("t")], ""),
        1 => (vec![name("t"), name("tt"), name("u")], ""),
        2 => (Vec::new(), "t+"),
        _ => (vec![name("u")], "t"),
    }
}

fn subscribes(of: usize, topic: usize) -> bool {
    [[true, false, false], [true, true, true], [true, true, false], [true, false, true]][of][topic]
}

impl Client {
    fn start_over(&mut self, index: usize) {
        self.lives += 1;
        let (lives, subscription) = (self.lives, self.subscription);
        let instance = self.instance.take();
        let member = name(&format!("m{index}-{lives}"));
        *self = Self { instance, member, subscription, lives, ..Self::default() };
    }

    /// Gives up all that it owns, to join again under its own name.
    fn fenced(&mut self) {
        self.owned.clear();
        self.assignment = None;
        self.epoch = JOIN_EPOCH;
    }

    fn request(&self, epoch: i32, full: bool) -> HeartbeatRequest {
        let (topics, pattern) = subscription(self.subscription);
        let full = full || self.in_doubt || epoch == JOIN_EPOCH;
        let says = full || self.resubscribed;
        HeartbeatRequest {
            group: name(G),
            member_id: self.member.clone(),
            epoch,
            instance_id: self.instance.clone(),
            rack: None,
            client_id: name("client"),
            client_host: name("/127.0.0.1"),
            rebalance_timeout: full.then_some(REBALANCE),
            topics: says.then_some(topics),
            pattern: says.then(|| name(pattern)),
            assignor: None,
            owned: (full || self.said.as_ref() != Some(&self.owned)).then(|| self.owned.clone()),
            timing: None,
            sight: Sight::EVERYTHING,
        }
    }
}

impl Model {
    fn new() -> Self {
        let mut clients = vec![Client::default(); CLIENTS];
        for (index, client) in clients.iter_mut().enumerate() {
            client.instance = (index + 2 >= CLIENTS).then(|| name(&format!("instance-{index}")));
            client.subscription = index % 4;
            client.start_over(index);
        }
        let mut model = Self {
            world: World::new(),
            clients,
            lost: BTreeSet::new(),
            topics: BTreeMap::new(),
            next_id: 1,
            told: 0,
        };
        model.topic(0, 4);
        model
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Beat { client, lost, full } => self.beat(client, lost, full),
            Step::Apply { client } => self.apply(client),
            Step::Resubscribe { client, to } => {
                self.clients[client].subscription = to;
                self.clients[client].resubscribed = true;
            }
            Step::Leave { client, away } => self.leave(client, away),
            Step::Restart { client } => self.clients[client].start_over(client),
            Step::Commit { client } => self.commit(client),
            Step::Topic { topic, partitions } => self.topic(topic, partitions),
            Step::DeleteTopic { topic } => {
                self.topics.remove(&topic);
                self.world.delete_topic(topic_name(topic));
            }
            Step::Pass { time } => self.world.pass(time),
            Step::Hold => self.world.held = true,
            Step::Release => self.world.release(),
            Step::Fail => self.world.fail(),
            Step::Crash => self.crash(),
            Step::Compact => {
                if self.world.queue.is_empty() {
                    self.world.journal = self.world.coordinator.snapshot().collect();
                }
            }
        }
        self.deliver();
        self.check();
    }

    fn topic(&mut self, topic: usize, partitions: i32) {
        let (id, count) = *self.topics.entry(topic).or_insert_with(|| {
            self.next_id += 1;
            (self.next_id, 0)
        });
        let partitions = partitions.max(count);
        self.topics.insert(topic, (id, partitions));
        self.world.topic(topic_name(topic), id, partitions);
    }

    fn beat(&mut self, index: usize, lost: bool, full: bool) {
        let client = &mut self.clients[index];
        if client.waiting.is_some() {
            return;
        }
        let request = client.request(client.epoch, full);
        client.said = Some(client.owned.clone());
        client.resubscribed = false;
        let token = self.world.send_heartbeat(&request);
        self.clients[index].waiting = Some(token);
        if lost {
            self.lost.insert(token);
        }
    }

    fn apply(&mut self, index: usize) {
        let client = &mut self.clients[index];
        if !client.in_doubt
            && let Some(assignment) = client.assignment.take()
        {
            client.owned = assignment;
        }
    }

    /// Whether the answer comes does not matter to who leaves.
    fn leave(&mut self, index: usize, away: bool) {
        let client = &mut self.clients[index];
        if client.epoch == JOIN_EPOCH || client.waiting.is_some() {
            return;
        }
        let away = away && client.instance.is_some();
        client.fenced();
        let request = client.request(if away { AWAY_EPOCH } else { LEAVE_EPOCH }, false);
        let token = self.world.send_heartbeat(&request);
        self.lost.insert(token);
        self.clients[index].start_over(index);
    }

    fn commit(&mut self, index: usize) {
        let client = &self.clients[index];
        if client.epoch == JOIN_EPOCH {
            return;
        }
        let (request, now) = (commit(&client.member, client.epoch, 1), self.world.now);
        let token = self.world.send(|coordinator, to| coordinator.commit(request, to, now));
        self.lost.insert(token);
    }

    fn deliver(&mut self) {
        for (token, response) in self.world.take_answers() {
            let client = self.clients.iter_mut().find(|client| client.waiting == Some(token));
            let (Some(client), Response::Heartbeat(result)) = (client, response) else {
                self.lost.remove(&token);
                continue;
            };
            client.waiting = None;
            if self.lost.remove(&token) {
                client.in_doubt = true;
                continue;
            }
            match result {
                Ok(answer) => {
                    assert!(answer.epoch >= client.epoch, "{answer:?} to {client:?}");
                    client.in_doubt = false;
                    client.epoch = answer.epoch;
                    self.told = self.told.max(answer.epoch);
                    client.assignment = answer.assignment.or(client.assignment.take());
                }
                Err(GroupError::NotAvailable | GroupError::UnreleasedInstance) => {
                    client.in_doubt = true;
                }
                Err(_) => client.fenced(),
            }
        }
    }

    fn crash(&mut self) {
        let held = std::mem::take(&mut self.world.queue);
        let saved = held.is_empty() && self.world.coordinator.consumers.is_saved();
        let before = saved.then(|| self.world.coordinator.describe_consumer(G));
        // Whether what waits for the disk gets there is open: here, the first half of the records.
        let records: Vec<_> = held.into_iter().flat_map(|(_, records)| records).collect();
        self.world.journal.extend(records.iter().take(records.len() / 2).cloned());
        self.world.crash();
        self.world.held = false;
        self.world.take_answers();
        self.lost.clear();
        for client in &mut self.clients {
            client.in_doubt |= client.waiting.take().is_some();
        }
        let after = self.world.coordinator.describe_consumer(G);
        match before {
            Some(Ok(before)) => assert_eq!(after, Ok(before)),
            _ => {
                let epoch = after.map_or(self.told, |after| after.epoch);
                assert!(epoch >= self.told, "epoch {} was told, {epoch} is left", self.told);
            }
        }
    }

    fn check(&mut self) {
        self.world.coordinator.consumers.check();
        let Ok(group) = self.world.coordinator.describe_consumer(G) else {
            // Nobody needed it for long.
            self.told = 0;
            return;
        };
        assert!(group.epoch >= self.told);
        let is_member =
            |client: &&Client| group.members.iter().any(|m| m.member_id == client.member);
        let mut users: BTreeMap<(TopicId, i32), &Name> = BTreeMap::new();
        for client in self.clients.iter().filter(is_member) {
            for partition in &client.owned {
                let other = users.insert(*partition, &client.member);
                assert!(other.is_none(), "{other:?} and {client:?} use {partition:?}\n{group:#?}");
            }
        }
    }

    /// Left alone: members say what they must, and nothing else happens.
    fn settle(&mut self) {
        self.world.release();
        self.deliver();
        for _ in 0..60 {
            for client in 0..CLIENTS {
                self.beat(client, false, false);
                self.deliver();
                self.check();
                self.apply(client);
                self.check();
            }
            if self.rests() {
                break;
            }
            self.world.pass(5_000);
        }
        let group = self.world.coordinator.describe_consumer(G).unwrap();
        assert_eq!(group.state, GroupState::Stable, "{group:#?}\n{:#?}", self.clients);
        assert_eq!(group.members.len(), CLIENTS, "{group:#?}");
        for client in &self.clients {
            let member = group.members.iter().find(|m| m.member_id == client.member).unwrap();
            assert_eq!((&client.owned, &member.assigned), (&member.target, &member.target));
            assert_eq!((client.epoch, member.state), (group.epoch, MemberState::Stable));
        }
        self.check_shares();
    }

    fn rests(&self) -> bool {
        let Ok(group) = self.world.coordinator.describe_consumer(G) else { return false };
        let rests = |client: &Client| {
            let member = group.members.iter().find(|m| m.member_id == client.member);
            client.epoch == group.epoch && member.is_some_and(|m| m.target == client.owned)
        };
        group.state == GroupState::Stable && self.clients.iter().all(rests)
    }

    /// All that somebody wants is used, and nobody has two more than one who could take one over.
    fn check_shares(&self) {
        for (topic, (id, count)) in &self.topics {
            for partition in 0..*count {
                let key = (TopicId(*id), partition);
                let wants = |client: &&Client| subscribes(client.subscription, *topic);
                let owner = self.clients.iter().find(|client| client.owned.contains(&key));
                assert_eq!(owner.is_some(), self.clients.iter().any(|c| wants(&c)), "{key:?}");
                let Some(owner) = owner else { continue };
                assert!(wants(&owner));
                let least = self.clients.iter().filter(wants).map(|c| c.owned.len()).min();
                assert!(owner.owned.len() < least.unwrap() + 2, "{:#?}", self.clients);
            }
        }
    }

    /// Everybody falls silent: nothing is left but offsets.
    fn end(&mut self) {
        self.world.pass(10 * SESSION);
        let counts = self.world.coordinator.counts();
        assert_eq!((counts.members, counts.bytes, counts.in_flight), (0, 0, 0));
        assert!(self.world.waiting.is_empty(), "nobody answered {:?}", self.world.waiting);
        let state = self.world.coordinator.describe_consumer(G).map(|group| group.state);
        assert!(matches!(state, Ok(GroupState::Empty) | Err(GroupError::NotFound)), "{state:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(steps in prop::collection::vec(step(), 1..150)) {
        let mut model = Model::new();
        for step in &steps {
            model.step(step);
        }
        model.settle();
        model.end();
    }
}
