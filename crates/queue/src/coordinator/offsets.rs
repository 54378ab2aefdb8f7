//! The verbs of committed offsets.

use std::collections::HashSet;

use base::{Millis, limits};

use super::{Coordinator, Pending};
use crate::group::Caller;
use crate::offsets::{
    CommitRequest, Committed, DeleteOffsetsRequest, OffsetCommit, PartitionOffset,
};
use crate::record::{OffsetKey, Record};
use crate::{GroupError, Name, Persisted, Response, Ticket};

/// Offsets that may be committed, or why not, one by one.
type CheckedOffsets = Vec<Result<(OffsetKey, Committed), GroupError>>;

impl<T> Coordinator<T> {
    /// Commits offsets. Answered by [`Response::Commit`], when they are durable; until then readers
    /// see the ones before.
    pub fn commit(&mut self, request: CommitRequest, to: T, now: Millis) {
        if let Err(error) = self.check_commit(&request, now) {
            return self.outbox.reply(to, Response::Commit(Err(error)));
        }
        let ticket = self.outbox.ticket();
        let expires_at = request.retention.map(|retention| now.saturating_add(retention));
        let mut results = Vec::with_capacity(request.offsets.len());
        let mut keys = Vec::new();
        let mut records = Vec::new();
        for commit in request.offsets {
            let checked = self.check_offset(&request.group, &commit);
            results.push(checked);
            if checked.is_err() {
                continue;
            }
            let OffsetCommit { topic, partition, offset, leader_epoch, note } = commit;
            let key = OffsetKey { group: request.group.clone(), topic, partition };
            let value = Committed { offset, leader_epoch, note, committed_at: now, expires_at };
            records.push(Record { key: key.encode(), value: Some(value.encode()) });
            self.offsets.stage(ticket, &key, Some(value));
            keys.push(key);
        }
        if records.is_empty() {
            return self.outbox.reply(to, Response::Commit(Ok(results)));
        }
        self.keep_for_offsets(&request.group, now);
        self.outbox.persist(ticket, records);
        self.pending.insert(ticket, Pending::Commit { keys, results, to });
    }

    /// Which of these offsets a transaction may take, to be committed with it. A consumer that is
    /// no member of anything may always.
    ///
    /// # Errors
    /// When the member may commit nothing.
    pub fn check_transactional(
        &mut self,
        request: CommitRequest,
        now: Millis,
    ) -> Result<CheckedOffsets, GroupError> {
        let is_member = request.generation >= 0 || !request.member_id.is_empty();
        if is_member {
            self.check_commit(&request, now)?;
        } else {
            self.check_started()?;
            if request.group.len() > limits::GROUP_NAME_BYTES_MAX {
                return Err(GroupError::InvalidGroup);
            }
        }
        let mut checked = Vec::with_capacity(request.offsets.len());
        for commit in request.offsets {
            checked.push(self.check_offset(&request.group, &commit).map(|()| {
                let OffsetCommit { topic, partition, offset, leader_epoch, note } = commit;
                let key = OffsetKey { group: request.group.clone(), topic, partition };
                let value =
                    Committed { offset, leader_epoch, note, committed_at: now, expires_at: None };
                (key, value)
            }));
        }
        Ok(checked)
    }

    /// A transaction commits offsets: the records are to be persisted together with its end, and
    /// [`Self::persisted`] is to be called with the ticket then.
    pub fn commit_transaction(
        &mut self,
        offsets: Vec<(OffsetKey, Committed)>,
        now: Millis,
    ) -> (Ticket, Vec<Record>) {
        let ticket = self.outbox.ticket();
        let mut keys = Vec::with_capacity(offsets.len());
        let mut records = Vec::with_capacity(offsets.len());
        for (key, value) in offsets {
            self.keep_for_offsets(&key.group, now);
            records.push(Record { key: key.encode(), value: Some(value.encode()) });
            self.offsets.stage(ticket, &key, Some(value));
            keys.push(key);
        }
        self.pending.insert(ticket, Pending::Transaction { keys });
        (ticket, records)
    }

    fn check_commit(&mut self, request: &CommitRequest, now: Millis) -> Result<(), GroupError> {
        self.check_started()?;
        if request.group.len() > limits::GROUP_NAME_BYTES_MAX {
            return Err(GroupError::InvalidGroup);
        }
        if self.consumers.contains(&request.group) {
            let (id, epoch) = (&request.member_id, request.generation);
            return self.consumers.check_commit(&request.group, id, epoch);
        }
        let caller = Caller {
            member_id: &request.member_id,
            instance_id: request.instance_id.as_deref(),
            generation: request.generation,
        };
        self.members.check_commit(&request.group, caller, now)?;
        self.members.set_others(self.consumers.usage());
        let room = self.members.has_room_for(&request.group);
        if room { Ok(()) } else { Err(GroupError::LimitReached) }
    }

    fn check_offset(&self, group: &str, commit: &OffsetCommit) -> Result<(), GroupError> {
        if commit.topic.len() > limits::TOPIC_NAME_BYTES_MAX || commit.partition < 0 {
            return Err(GroupError::InvalidTopic);
        }
        if commit.note.len() > self.config.note_bytes_max {
            return Err(GroupError::NoteTooLarge);
        }
        let full = self.offsets.len() >= self.config.offsets_max;
        if full && !self.offsets.contains(group, &commit.topic, commit.partition) {
            return Err(GroupError::LimitReached);
        }
        Ok(())
    }

    /// What the group has committed for a partition; `None` when nothing.
    ///
    /// # Errors
    /// [`GroupError::Loading`].
    pub fn fetch(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
    ) -> Result<Option<&Committed>, GroupError> {
        self.check_started()?;
        Ok(self.offsets.get(group, topic, partition))
    }

    /// All that the group has committed, by topic and partition.
    ///
    /// # Errors
    /// [`GroupError::Loading`].
    pub fn fetch_all(&self, group: &str) -> Result<Vec<PartitionOffset>, GroupError> {
        self.check_started()?;
        Ok(self.offsets.all(group))
    }

    /// Deletes committed offsets. Answered by [`Response::DeleteOffsets`], when that is durable.
    ///
    /// `subscribed` is what the group's members subscribe to, as far as the caller can read
    /// [`Self::subscriptions`]; those topics keep their offsets. `None` when it cannot: then the
    /// group must be empty.
    pub fn delete_offsets(
        &mut self,
        request: DeleteOffsetsRequest,
        subscribed: Option<&HashSet<Name>>,
        to: T,
    ) {
        if let Err(error) = self.check_delete_offsets(&request, subscribed.is_some()) {
            return self.outbox.reply(to, Response::DeleteOffsets(Err(error)));
        }
        let mut results = Vec::with_capacity(request.partitions.len());
        let mut keys = Vec::new();
        for (topic, partition) in request.partitions {
            let kept = subscribed.is_some_and(|topics| topics.contains(&topic))
                || self.consumers.subscribes(&request.group, &topic);
            results.push(if kept { Err(GroupError::Subscribed) } else { Ok(()) });
            if !kept && self.offsets.contains(&request.group, &topic, partition) {
                keys.push(OffsetKey { group: request.group.clone(), topic, partition });
            }
        }
        if keys.is_empty() {
            return self.outbox.reply(to, Response::DeleteOffsets(Ok(results)));
        }
        let (ticket, records) = self.stage_deletions(&keys);
        self.outbox.persist(ticket, records);
        self.pending.insert(ticket, Pending::DeleteOffsets { keys, results, to });
    }

    fn check_delete_offsets(
        &self,
        request: &DeleteOffsetsRequest,
        readable: bool,
    ) -> Result<(), GroupError> {
        self.check_started()?;
        let consumer = self.consumers.contains(&request.group);
        match self.check_empty(&request.group) {
            Err(GroupError::NotEmpty) if readable || consumer => Ok(()),
            checked => checked,
        }
    }

    /// Deletes an empty group with its committed offsets. Answered by [`Response::DeleteGroup`],
    /// when that is durable; until then the group is [`crate::group::GroupState::Dead`].
    pub fn delete_group(&mut self, group: &Name, to: T, now: Millis) {
        let checked = self.check_started().and_then(|()| self.check_empty(group));
        match checked {
            Err(error) => self.outbox.reply(to, Response::DeleteGroup(Err(error))),
            Ok(()) => self.begin_delete_group(group, Some(to), now),
        }
    }

    pub(super) fn begin_delete_group(&mut self, group: &Name, to: Option<T>, now: Millis) {
        let keys = self.offsets.keys(group);
        let (ticket, mut records) = self.stage_deletions(&keys);
        // Last: what a crash leaves undone can still be seen, and done again.
        if self.consumers.contains(group) {
            records.extend(self.consumers.begin_delete(group));
        } else {
            records.extend(self.members.begin_delete(group, now));
        }
        let nothing_stored = records.is_empty();
        if !nothing_stored {
            self.outbox.persist(ticket, records);
        }
        let pending = Pending::DeleteGroup { group: group.clone(), keys, to };
        if nothing_stored {
            self.settle(ticket, pending, Persisted::Durable, now);
        } else {
            self.pending.insert(ticket, pending);
        }
    }

    /// A topic is deleted: so are all offsets committed for it, and consumer groups share out what
    /// is left.
    pub fn topic_deleted(&mut self, topic: &str) {
        let keys = self.offsets.keys_of_topic(topic);
        self.expire(keys);
        self.consumers.topic_deleted(topic);
    }

    pub(super) fn expire(&mut self, keys: Vec<OffsetKey>) {
        if keys.is_empty() {
            return;
        }
        let (ticket, records) = self.stage_deletions(&keys);
        self.outbox.persist(ticket, records);
        self.pending.insert(ticket, Pending::Expire { keys });
    }

    fn stage_deletions(&mut self, keys: &[OffsetKey]) -> (Ticket, Vec<Record>) {
        let ticket = self.outbox.ticket();
        let stage = |key: &OffsetKey| {
            self.offsets.stage(ticket, key, None);
            Record { key: key.encode(), value: None }
        };
        (ticket, keys.iter().map(stage).collect())
    }

    pub(super) fn settle(
        &mut self,
        ticket: Ticket,
        pending: Pending<T>,
        outcome: Persisted,
        now: Millis,
    ) {
        let (Pending::Commit { keys, .. }
        | Pending::DeleteOffsets { keys, .. }
        | Pending::DeleteGroup { keys, .. }
        | Pending::Transaction { keys }
        | Pending::Expire { keys }) = &pending;
        for key in keys {
            self.offsets.settle(ticket, key, outcome);
        }
        let failed = outcome == Persisted::Failed;
        let ended = |results: Vec<Result<(), GroupError>>| {
            let ended = |one: Result<(), _>| {
                if failed { one.and(Err(GroupError::NotAvailable)) } else { one }
            };
            Ok(results.into_iter().map(ended).collect())
        };
        match pending {
            Pending::Commit { results, to, .. } => {
                self.outbox.reply(to, Response::Commit(ended(results)));
            }
            Pending::DeleteOffsets { results, to, .. } => {
                self.outbox.reply(to, Response::DeleteOffsets(ended(results)));
            }
            Pending::DeleteGroup { group, to, .. } => {
                if self.consumers.contains(&group) {
                    self.consumers.end_delete(&group, outcome, now, &mut self.outbox);
                } else {
                    self.members.end_delete(&group, outcome, now);
                }
                if let Some(to) = to {
                    let result = if failed { Err(GroupError::NotAvailable) } else { Ok(()) };
                    self.outbox.reply(to, Response::DeleteGroup(result));
                }
            }
            Pending::Expire { .. } | Pending::Transaction { .. } => {}
        }
    }
}
