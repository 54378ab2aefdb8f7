//! Random clients, a bad disk and crashes; what must hold all the same.

use std::collections::{BTreeMap, BTreeSet};

use base::Millis;
use bytes::Bytes;
use proptest::prelude::*;

use super::world::{G, REBALANCE, SESSION, World, commit, join, name, protocols};
use crate::group::{GroupState, JoinRequest, Joined, SyncRequest};
use crate::{GroupError, Name, Response};

const CLIENTS: usize = 5;

#[derive(Debug, Clone)]
enum Step {
    Join {
        client: usize,
        changed: bool,
    },
    /// Starts over with no memory of its member id.
    Restart {
        client: usize,
    },
    Sync {
        client: usize,
    },
    Beat {
        client: usize,
    },
    Commit {
        client: usize,
    },
    Leave {
        client: usize,
    },
    /// The answers so far never reach the clients.
    Lose,
    Pass {
        time: Millis,
    },
    Delete,
    Hold,
    Release,
    Fail,
    Crash,
    /// The journal is replaced by a snapshot.
    Compact,
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    prop_oneof![
        8 => (client.clone(), prop::bool::weighted(0.1))
            .prop_map(|(client, changed)| Step::Join { client, changed }),
        1 => client.clone().prop_map(|client| Step::Restart { client }),
        8 => client.clone().prop_map(|client| Step::Sync { client }),
        3 => client.clone().prop_map(|client| Step::Beat { client }),
        2 => client.clone().prop_map(|client| Step::Commit { client }),
        1 => client.prop_map(|client| Step::Leave { client }),
        1 => Just(Step::Lose),
        3 => (0..SESSION).prop_map(|time| Step::Pass { time }),
        1 => (0..2 * REBALANCE).prop_map(|time| Step::Pass { time }),
        1 => Just(Step::Delete),
        1 => Just(Step::Hold),
        2 => Just(Step::Release),
        1 => Just(Step::Fail),
        1 => Just(Step::Crash),
        1 => Just(Step::Compact),
    ]
}

/// What a client remembers. The last two clients are static members.
#[derive(Debug, Clone, Default)]
struct Client {
    instance: Option<Name>,
    member: Name,
    generation: i32,
    changes: usize,
    /// As told by the last join, if it leads.
    members: Vec<(Name, Option<Name>)>,
}

/// Who waits for what.
#[derive(Debug, Clone)]
enum Waiter {
    Join(usize, Name),
    Sync(i32, Name),
    Other,
}

struct Model {
    world: World,
    clients: Vec<Client>,
    waiters: BTreeMap<u64, Waiter>,
    /// Members told that they are fenced, since the last crash.
    fenced: BTreeSet<Name>,
    /// Members told that they lead, by generation, since the last crash.
    leaders: BTreeMap<i32, BTreeSet<Name>>,
    /// The last generation seen, since the last crash or deletion.
    seen: i32,
    /// The last generation whose assignment was given out, since the last deletion.
    given: i32,
    /// The last offset whose commit was acknowledged, and all sent since.
    acknowledged: i64,
    committed: i64,
}

/// What the leader assigns: the same to whoever holds the place.
fn part(generation: i32, id: &Name, instance: Option<&Name>) -> String {
    format!("{generation}:{}", instance.unwrap_or(id))
}

impl Model {
    fn new(delay: Millis) -> Self {
        let client = |i| Client {
            instance: (i + 2 >= CLIENTS).then(|| name(&format!("instance-{i}"))),
            ..Client::default()
        };
        Self {
            world: World::with(|config| {
                config.initial_rebalance_delay = delay;
                config.group_members_max = CLIENTS;
            }),
            clients: (0..CLIENTS).map(client).collect(),
            waiters: BTreeMap::new(),
            fenced: BTreeSet::new(),
            leaders: BTreeMap::new(),
            seen: 0,
            given: 0,
            acknowledged: 0,
            committed: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Join { client, changed } => self.join(client, changed),
            Step::Restart { client } => {
                let instance = self.clients[client].instance.clone();
                self.clients[client] = Client { instance, ..Client::default() };
            }
            Step::Sync { client } => self.sync(client),
            Step::Beat { client } => self.beat(client),
            Step::Commit { client } => self.commit(client),
            Step::Leave { client } => {
                let client = self.clients[client].clone();
                let _ = self.world.leave(&client.member, client.instance.as_deref());
            }
            Step::Lose => drop(self.world.take_answers()),
            Step::Pass { time } => self.world.pass(time),
            Step::Delete => {
                let token = self.world.send_delete();
                self.waiters.insert(token, Waiter::Other);
            }
            Step::Hold => self.world.held = true,
            Step::Release => self.world.release(),
            Step::Fail => self.world.fail(),
            Step::Crash => self.crash(),
            Step::Compact => self.compact(),
        }
        self.deliver();
        self.check();
    }

    fn join(&mut self, index: usize, changed: bool) {
        let client = &mut self.clients[index];
        client.changes += usize::from(changed);
        let own = format!("p{}", client.changes % 2);
        let request = JoinRequest {
            member_id: client.member.clone(),
            instance_id: client.instance.clone(),
            protocols: protocols(&["range", &own]),
            knows_member_id_required: index.is_multiple_of(2),
            knows_skip_assignment: index.is_multiple_of(2),
            ..join("")
        };
        let waiter = Waiter::Join(index, client.member.clone());
        let token = self.world.send_join(request);
        self.waiters.insert(token, waiter);
    }

    fn sync(&mut self, index: usize) {
        let client = self.clients[index].clone();
        let assigned = |(id, instance): &(Name, Option<Name>)| {
            (id.clone(), Bytes::from(part(client.generation, id, instance.as_ref())))
        };
        let token = self.world.send_sync_request(&SyncRequest {
            group: name(G),
            member_id: client.member.clone(),
            instance_id: client.instance.clone(),
            generation: client.generation,
            protocol_type: None,
            protocol: None,
            assignments: client.members.iter().map(assigned).collect(),
        });
        self.waiters.insert(token, Waiter::Sync(client.generation, client.member));
    }

    fn beat(&mut self, index: usize) {
        let client = &self.clients[index];
        let now = self.world.now;
        let world = &mut self.world;
        let instance = client.instance.as_deref();
        let beat = world.coordinator.heartbeat(G, &client.member, instance, client.generation, now);
        match beat {
            Err(GroupError::FencedInstance) => {
                self.fenced.insert(client.member.clone());
            }
            Err(GroupError::UnknownMember) => self.clients[index].member = Name::default(),
            _ => {}
        }
    }

    fn commit(&mut self, index: usize) {
        let client = self.clients[index].clone();
        self.committed += 1;
        let request = crate::offsets::CommitRequest {
            instance_id: client.instance,
            ..commit(&client.member, client.generation, self.committed)
        };
        let token = self.world.send_commit(request);
        self.waiters.insert(token, Waiter::Other);
    }

    fn deliver(&mut self) {
        for (token, response) in self.world.take_answers() {
            match (self.waiters.remove(&token), response) {
                (Some(Waiter::Join(client, sent)), Response::Join(Ok(joined))) => {
                    assert!(sent.is_empty() || sent == joined.member_id);
                    self.joined(client, joined);
                }
                (Some(Waiter::Join(client, sent)), Response::Join(Err(refused))) => {
                    match refused.error {
                        GroupError::MemberIdRequired => {
                            self.clients[client].member = refused.member_id;
                        }
                        GroupError::UnknownMember | GroupError::FencedInstance => {
                            self.clients[client].member = Name::default();
                        }
                        _ => {}
                    }
                    if refused.error == GroupError::FencedInstance {
                        self.fenced.insert(sent);
                    }
                }
                (Some(Waiter::Sync(generation, member)), Response::Sync(result)) => match result {
                    Ok(synced) => {
                        let prefix = format!("{generation}:");
                        let assignment = String::from_utf8(synced.assignment.to_vec()).unwrap();
                        assert!(assignment.starts_with(&prefix), "{assignment} in {generation}");
                        self.given = self.given.max(generation);
                    }
                    Err(GroupError::FencedInstance) => {
                        self.fenced.insert(member);
                    }
                    Err(_) => {}
                },
                (Some(Waiter::Other), Response::Commit(Ok(results))) if results == [Ok(())] => {
                    let durable = self.world.offset("t", 0).unwrap_or(0);
                    self.acknowledged = self.acknowledged.max(durable);
                }
                (Some(Waiter::Other), Response::DeleteGroup(Ok(()))) => {
                    (self.seen, self.given, self.acknowledged) = (0, 0, 0);
                    self.leaders.clear();
                }
                (Some(Waiter::Other), _) => {}
                (waiter, response) => panic!("{waiter:?} got {response:?}"),
            }
        }
    }

    fn joined(&mut self, index: usize, joined: Joined) {
        if joined.leader == joined.member_id {
            assert!(!joined.members.is_empty(), "a leader is told the members");
            let leaders = self.leaders.entry(joined.generation).or_default();
            leaders.insert(joined.member_id.clone());
        } else {
            assert!(joined.members.is_empty());
        }
        let client = &mut self.clients[index];
        client.member = joined.member_id;
        client.generation = joined.generation;
        client.members = joined.members.into_iter().map(|m| (m.member_id, m.instance_id)).collect();
    }

    fn crash(&mut self) {
        // Whether what waits for the disk gets there is open: here, the first half of it does.
        let queue = std::mem::take(&mut self.world.queue);
        for (_, records) in queue.iter().take(queue.len() / 2) {
            self.world.journal.extend(records.iter().cloned());
        }
        self.world.crash();
        self.world.held = false;
        self.world.take_answers();
        self.waiters.clear();
        self.fenced.clear();
        self.leaders.clear();
        self.seen = 0;
        let found = self.world.coordinator.describe(G).map_or(0, |d| d.generation);
        let half_deleted = found == 0 && queue.len() > 1;
        if half_deleted {
            (self.given, self.acknowledged) = (0, 0);
        }
        assert!(found >= self.given, "generation {} was given out, {found} is left", self.given);
    }

    fn compact(&mut self) {
        if self.world.queue.is_empty() {
            self.world.journal = self.world.coordinator.snapshot().collect();
        }
    }

    fn check(&mut self) {
        self.world.coordinator.members.check();
        let counts = self.world.coordinator.counts();
        assert!(counts.members <= 2 * CLIENTS + 1, "{counts:?}");
        assert!(self.world.offset("t", 0).unwrap_or(0) >= self.acknowledged);
        let Ok(group) = self.world.coordinator.describe(G) else {
            // Deleted, by a client or because nobody needed it for long.
            (self.seen, self.given) = (0, 0);
            return self.leaders.clear();
        };
        if group.state == GroupState::Dead {
            return;
        }
        assert!(group.generation >= self.seen, "{} after {}", group.generation, self.seen);
        self.seen = group.generation;
        for member in &group.members {
            assert!(!self.fenced.contains(&member.member_id), "fenced and live: {member:?}");
            if group.state == GroupState::Stable {
                let expected =
                    part(group.generation, &member.member_id, member.instance_id.as_ref());
                assert_eq!(member.assignment, expected.as_bytes());
            }
        }
        let live = |id: &&Name| group.members.iter().any(|m| m.member_id == **id);
        let leaders = self.leaders.get(&group.generation);
        let leaders: Vec<_> = leaders.into_iter().flatten().filter(live).collect();
        assert!(leaders.len() <= 1, "{leaders:?} all lead");
    }

    /// Left alone, everybody who waits gets an answer, and every member's session ends.
    fn end(&mut self) {
        self.world.release();
        self.world.pass(1_000_000);
        self.deliver();
        self.check();
        assert!(self.world.waiting.is_empty(), "nobody answered {:?}", self.world.waiting);
        let counts = self.world.coordinator.counts();
        assert_eq!((counts.members, counts.bytes, counts.in_flight), (0, 0, 0));
        let state = self.world.coordinator.describe(G).map(|group| group.state);
        assert!(matches!(state, Ok(GroupState::Empty) | Err(GroupError::NotFound)), "{state:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(
        delay in prop_oneof![Just(0), Just(3_000)],
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut model = Model::new(delay);
        for step in &steps {
            model.step(step);
        }
        model.end();
    }
}
