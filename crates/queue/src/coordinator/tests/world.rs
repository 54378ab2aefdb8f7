//! A broker around the coordinator: a journal, a clock, and clients who wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::{Millis, Random};
use bytes::Bytes;

use crate::consumer_group::{Heartbeat, HeartbeatRequest, TopicView};
use crate::group::{
    GroupState, JoinRefused, JoinRequest, Joined, LeaveRequest, Leaver, Protocol, SyncRequest,
    Synced,
};
use crate::offsets::{CommitRequest, OffsetCommit};
use crate::record::Record;
use crate::{Config, Coordinator, GroupError, Name, Output, Persisted, Response, Ticket};

pub(super) const SESSION: Millis = 10_000;
pub(super) const REBALANCE: Millis = 60_000;
pub(super) const G: &str = "g";

/// Counts up: ids differ, and a run is a function of its inputs.
#[derive(Debug, Default)]
pub(super) struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, out: &mut [u8]) {
        let count = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        out.fill(0);
        let bytes = count.to_be_bytes();
        let at = out.len() - bytes.len();
        out[at..].copy_from_slice(&bytes);
    }
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) config: Config,
    random: Arc<dyn Random>,
    pub(super) coordinator: Coordinator<u64>,
    pub(super) now: Millis,
    /// What is durable, in order.
    pub(super) journal: Vec<Record>,
    /// What waits for the disk, while `held`.
    pub(super) queue: Vec<(Ticket, Vec<Record>)>,
    pub(super) held: bool,
    /// All topics, as the coordinator is told.
    pub(super) topics: Vec<TopicView>,
    next: u64,
    answers: BTreeMap<u64, Response>,
    /// Tokens that were given away and have not come back.
    pub(super) waiting: BTreeMap<u64, &'static str>,
}

pub(super) fn name(text: &str) -> Name {
    text.into()
}

/// A join with sensible values, to be changed where a test needs it.
pub(super) fn join(member: &str) -> JoinRequest {
    JoinRequest {
        group: name(G),
        member_id: name(member),
        instance_id: None,
        client_id: name("client"),
        client_host: name("/127.0.0.1"),
        session_timeout: SESSION,
        rebalance_timeout: REBALANCE,
        protocol_type: name("consumer"),
        protocols: protocols(&["range"]),
        knows_member_id_required: false,
        knows_skip_assignment: true,
        reason: None,
    }
}

pub(super) fn protocols(names: &[&str]) -> Vec<Protocol> {
    let protocol =
        |n: &&str| Protocol { name: name(n), metadata: Bytes::from(format!("likes {n}")) };
    names.iter().map(protocol).collect()
}

pub(super) fn commit(member: &str, generation: i32, offset: i64) -> CommitRequest {
    CommitRequest {
        group: name(G),
        member_id: name(member),
        instance_id: None,
        generation,
        retention: None,
        offsets: vec![offset_of("t", 0, offset)],
    }
}

pub(super) fn offset_of(topic: &str, partition: i32, offset: i64) -> OffsetCommit {
    OffsetCommit { topic: name(topic), partition, offset, leader_epoch: 3, note: name("note") }
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    /// Without initial delay, unless the test sets it.
    pub(super) fn with(set: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { initial_rebalance_delay: 0, ..Config::default() };
        set(&mut config);
        let random: Arc<dyn Random> = Arc::new(Counting::default());
        let mut coordinator = Coordinator::new(config.clone(), Arc::clone(&random));
        coordinator.start(1_000_000);
        Self {
            config,
            random,
            coordinator,
            now: 1_000_000,
            journal: Vec::new(),
            queue: Vec::new(),
            held: false,
            topics: Vec::new(),
            next: 0,
            answers: BTreeMap::new(),
            waiting: BTreeMap::new(),
        }
    }

    /// The answers that have come since the last time, to be given to clients.
    pub(super) fn take_answers(&mut self) -> BTreeMap<u64, Response> {
        std::mem::take(&mut self.answers)
    }

    fn token(&mut self, what: &'static str) -> u64 {
        self.next += 1;
        self.waiting.insert(self.next, what);
        self.next
    }

    /// Runs outputs until there are none. Panics when a token comes back twice.
    pub(super) fn run(&mut self) {
        loop {
            let outputs = self.coordinator.take_outputs();
            if outputs.is_empty() {
                return;
            }
            for output in outputs {
                match output {
                    Output::Reply { to, response } => {
                        assert!(self.waiting.remove(&to).is_some(), "{to} answered twice");
                        self.answers.insert(to, response);
                    }
                    Output::Persist { ticket, records } => self.queue.push((ticket, records)),
                }
            }
            if !self.held {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        for (ticket, records) in std::mem::take(&mut self.queue) {
            self.journal.extend(records);
            self.coordinator.persisted(ticket, Persisted::Durable, self.now);
        }
    }

    /// The disk comes back: everything held is durable, in order.
    pub(super) fn release(&mut self) {
        self.held = false;
        self.flush();
        self.run();
    }

    /// Everything held fails.
    pub(super) fn fail(&mut self) {
        self.held = false;
        for (ticket, _) in std::mem::take(&mut self.queue) {
            self.coordinator.persisted(ticket, Persisted::Failed, self.now);
        }
        self.run();
    }

    /// Time passes, in steps of the coordinator's deadlines, as a broker lets it.
    pub(super) fn pass(&mut self, time: Millis) {
        let end = self.now + time;
        while let Some(at) = self.coordinator.next_deadline().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.coordinator.tick(self.now);
            self.run();
        }
        self.now = end;
        self.coordinator.tick(self.now);
        self.run();
    }

    /// The process dies and comes back with what was durable; those who waited are gone.
    pub(super) fn crash(&mut self) {
        self.coordinator = Coordinator::new(self.config.clone(), Arc::clone(&self.random));
        self.topics.iter().cloned().for_each(|topic| self.coordinator.topic_put(topic));
        for record in &self.journal {
            self.coordinator.restore(&record.key, record.value.as_deref()).unwrap();
        }
        self.coordinator.start(self.now);
        self.queue.clear();
        self.waiting.clear();
        self.run();
    }

    pub(super) fn send_join(&mut self, request: JoinRequest) -> u64 {
        let token = self.token("join");
        self.coordinator.join(request, token, self.now);
        self.run();
        token
    }

    pub(super) fn send_sync(
        &mut self,
        member: &str,
        generation: i32,
        assignments: &[(&str, &str)],
    ) -> u64 {
        self.send_sync_request(&SyncRequest {
            group: name(G),
            member_id: name(member),
            instance_id: None,
            generation,
            protocol_type: None,
            protocol: None,
            assignments: assignments
                .iter()
                .map(|(to, what)| (name(to), Bytes::copy_from_slice(what.as_bytes())))
                .collect(),
        })
    }

    pub(super) fn send_sync_request(&mut self, request: &SyncRequest) -> u64 {
        let token = self.token("sync");
        self.coordinator.sync(request, token, self.now);
        self.run();
        token
    }

    pub(super) fn send_commit(&mut self, request: CommitRequest) -> u64 {
        let token = self.token("commit");
        self.coordinator.commit(request, token, self.now);
        self.run();
        token
    }

    /// There is such a topic now, or again, or with more partitions.
    pub(super) fn topic(&mut self, topic: &str, id: u128, partitions: i32) {
        self.topics.retain(|known| &*known.name != topic);
        let view = TopicView { name: name(topic), id: base::TopicId(id), partitions };
        self.topics.push(view.clone());
        self.coordinator.topic_put(view);
        self.run();
    }

    pub(super) fn delete_topic(&mut self, topic: &str) {
        self.topics.retain(|known| &*known.name != topic);
        self.coordinator.topic_deleted(topic);
        self.run();
    }

    pub(super) fn send_heartbeat(&mut self, request: &HeartbeatRequest) -> u64 {
        let token = self.token("heartbeat");
        self.coordinator.consumer_heartbeat(request, token, self.now);
        self.run();
        token
    }

    pub(super) fn heartbeat_answer(&mut self, token: u64) -> Result<Heartbeat, GroupError> {
        match self.answer(token) {
            Response::Heartbeat(result) => result,
            other => panic!("not a heartbeat: {other:?}"),
        }
    }

    pub(super) fn heartbeat(
        &mut self,
        request: &HeartbeatRequest,
    ) -> Result<Heartbeat, GroupError> {
        let token = self.send_heartbeat(request);
        self.heartbeat_answer(token)
    }

    pub(super) fn send_delete(&mut self) -> u64 {
        let token = self.token("delete");
        self.coordinator.delete_group(&name(G), token, self.now);
        self.run();
        token
    }

    /// Any other request that may wait.
    pub(super) fn send(&mut self, request: impl FnOnce(&mut Coordinator<u64>, u64)) -> u64 {
        let token = self.token("other");
        request(&mut self.coordinator, token);
        self.run();
        token
    }

    pub(super) fn waits(&self, token: u64) -> bool {
        self.waiting.contains_key(&token)
    }

    pub(super) fn answer(&mut self, token: u64) -> Response {
        self.answers.remove(&token).unwrap_or_else(|| panic!("{token} still waits"))
    }

    pub(super) fn join_answer(&mut self, token: u64) -> Result<Joined, JoinRefused> {
        match self.answer(token) {
            Response::Join(result) => result,
            other => panic!("not a join: {other:?}"),
        }
    }

    pub(super) fn joined(&mut self, token: u64) -> Joined {
        self.join_answer(token).unwrap()
    }

    pub(super) fn refused(&mut self, token: u64) -> GroupError {
        self.join_answer(token).unwrap_err().error
    }

    pub(super) fn synced(&mut self, token: u64) -> Result<Synced, GroupError> {
        match self.answer(token) {
            Response::Sync(result) => result,
            other => panic!("not a sync: {other:?}"),
        }
    }

    /// The text of an assignment.
    pub(super) fn assigned(&mut self, token: u64) -> String {
        String::from_utf8(self.synced(token).unwrap().assignment.to_vec()).unwrap()
    }

    pub(super) fn committed(&mut self, token: u64) -> Result<(), GroupError> {
        match self.answer(token) {
            Response::Commit(result) => result.and_then(|results| results.into_iter().collect()),
            other => panic!("not a commit: {other:?}"),
        }
    }

    pub(super) fn deleted(&mut self, token: u64) -> Result<(), GroupError> {
        match self.answer(token) {
            Response::DeleteGroup(result) => result,
            other => panic!("not a deletion: {other:?}"),
        }
    }

    pub(super) fn beat(&mut self, member: &str, generation: i32) -> Result<(), GroupError> {
        self.coordinator.heartbeat(G, member, None, generation, self.now)
    }

    pub(super) fn leave(&mut self, member: &str, instance: Option<&str>) -> Result<(), GroupError> {
        let leaver = Leaver {
            member_id: name(member),
            instance_id: instance.map(name),
            reason: Some(name("done")),
        };
        let request = LeaveRequest { group: name(G), leavers: vec![leaver] };
        let results = self.coordinator.leave(&request, self.now);
        self.run();
        results.and_then(|results| results.into_iter().collect())
    }

    pub(super) fn state(&self) -> GroupState {
        self.coordinator.describe(G).unwrap().state
    }

    pub(super) fn offset(&self, topic: &str, partition: i32) -> Option<i64> {
        self.coordinator.fetch(G, topic, partition).unwrap().map(|c| c.offset)
    }

    /// A stable group of `count` members; `a0` is assigned to the first, the leader.
    pub(super) fn stable(&mut self, count: usize) -> Vec<Name> {
        let requests = vec![join(""); count];
        self.stable_of(&requests)
    }

    /// A stable group of those who join so, in order.
    pub(super) fn stable_of(&mut self, requests: &[JoinRequest]) -> Vec<Name> {
        let mut ids: Vec<Name> = Vec::new();
        for (newest, request) in requests.iter().enumerate() {
            // Everybody is there already, so each newcomer's rebalance needs all of them again.
            let newcomer = self.send_join(request.clone());
            let again = |(i, id): (usize, &Name)| JoinRequest {
                member_id: id.clone(),
                ..requests[i].clone()
            };
            let others: Vec<_> = ids[..newest].iter().enumerate().map(again).collect();
            let tokens: Vec<_> = others.into_iter().map(|r| self.send_join(r)).collect();
            for token in tokens {
                self.joined(token);
            }
            ids.push(self.joined(newcomer).member_id);
        }
        self.sync_all(&ids);
        ids
    }

    /// All sync, the first as the leader.
    pub(super) fn sync_all(&mut self, ids: &[Name]) {
        let generation = self.coordinator.describe(G).unwrap().generation;
        let parts: Vec<_> = (0..ids.len()).map(|i| format!("a{i}")).collect();
        let assignments: Vec<_> =
            ids.iter().zip(&parts).map(|(id, part)| (&**id, part.as_str())).collect();
        let tokens: Vec<_> = ids
            .iter()
            .enumerate()
            .map(|(i, id)| self.send_sync(id, generation, if i == 0 { &assignments } else { &[] }))
            .collect();
        for (token, part) in tokens.into_iter().zip(&parts) {
            assert_eq!(self.assigned(token), *part);
        }
        assert_eq!(self.state(), GroupState::Stable);
    }
}
