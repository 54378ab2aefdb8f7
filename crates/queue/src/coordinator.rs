//! The one handle: membership and committed offsets of all groups of a broker.

mod consumer;
mod offsets;
mod sweep;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use base::{Millis, Random};
use bytes::Bytes;

use crate::consumer_group::{ConsumerGroups, Stored};
use crate::group::{
    Caller, Description, Filter, JoinRefused, JoinRequest, LeaveRequest, Listing, Membership,
    SyncRequest, check_restored,
};
use crate::offsets::Offsets;
use crate::output::Outbox;
use crate::record::{
    ConsumerGroupValue, ConsumerMemberValue, CurrentAssignmentValue, GroupValue, Key, OffsetKey,
    OffsetValue, Record, RecordError, TargetAssignmentValue,
};
use crate::{Config, GroupError, Name, Output, Persisted, Response, Ticket};
use sweep::Sweep;

/// All groups of a broker. `T` is the caller's token for somebody who waits for an answer: every
/// token that goes in comes out exactly once, in an [`Output::Reply`].
///
/// `now` must not leap: give it a clock that starts at the wall clock's time and runs on
/// monotonically, or sessions end when somebody sets the clock. Call [`Self::take_outputs`] after
/// every method that takes `&mut self` and a time.
#[derive(Debug)]
pub struct Coordinator<T> {
    config: Config,
    started: bool,
    /// Classic groups, and those that have nothing but committed offsets.
    members: Membership<T>,
    /// Consumer groups. A name is in one of the two at most.
    consumers: ConsumerGroups<T>,
    offsets: Offsets,
    pending: HashMap<Ticket, Pending<T>>,
    outbox: Outbox<T>,
    sweep: Sweep,
}

/// What a persist of offsets is to end.
#[derive(Debug)]
enum Pending<T> {
    Commit { keys: Vec<OffsetKey>, results: Vec<Result<(), GroupError>>, to: T },
    DeleteOffsets { keys: Vec<OffsetKey>, results: Vec<Result<(), GroupError>>, to: T },
    DeleteGroup { group: Name, keys: Vec<OffsetKey>, to: Option<T> },
    Expire { keys: Vec<OffsetKey> },
    Transaction { keys: Vec<OffsetKey> },
}

/// How much a coordinator holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Groups, those known by their committed offsets only included.
    pub groups: usize,
    /// Members, ids handed out, and groups in a timed phase of a rebalance.
    pub members: usize,
    /// Memory that the members' subscriptions and assignments take, in bytes, roughly.
    pub bytes: usize,
    /// Committed offsets.
    pub offsets: usize,
    /// Commits and deletions of offsets, and deletions of groups, that are not durable yet.
    pub in_flight: usize,
}

impl<T> Coordinator<T> {
    /// A coordinator that knows no groups, and refuses everything ([`GroupError::Loading`]) until
    /// it is started.
    pub fn new(config: Config, random: Arc<dyn Random>) -> Self {
        Self {
            members: Membership::new(config.clone(), Arc::clone(&random)),
            consumers: ConsumerGroups::new(config.clone(), random),
            config,
            started: false,
            offsets: Offsets::default(),
            pending: HashMap::new(),
            outbox: Outbox::new(),
            sweep: Sweep::default(),
        }
    }

    /// Takes over one record, before the start, in the order in which they were put out. Without a
    /// value, or with an empty one, the key is deleted.
    ///
    /// # Errors
    /// When the record is damaged, or of a newer version; nothing has changed then. Also once
    /// started.
    pub fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), RecordError> {
        if self.started {
            return Err(RecordError::Started);
        }
        let value = value.filter(|value| !value.is_empty());
        match Key::decode(key)? {
            Key::Group(name) => {
                let decoded = value.map(GroupValue::decode).transpose()?;
                decoded.as_ref().map_or(Ok(()), check_restored)?;
                let encoded = value.map(Bytes::copy_from_slice);
                if encoded.is_some() {
                    // The later of two kinds is what a crash found on its way.
                    self.consumers.forget(&name);
                }
                self.members.restore(&name, decoded.zip(encoded));
            }
            Key::Offset(key) => {
                let value = value.map(OffsetValue::decode).transpose()?;
                self.offsets.restore(&key, value);
            }
            Key::ConsumerGroup(name) => {
                let value = value.map(ConsumerGroupValue::decode).transpose()?;
                if value.is_some() {
                    self.members.restore(&name, None);
                }
                self.consumers.restore(Stored::Group(name, value));
            }
            Key::ConsumerMember(key) => {
                let value = value.map(ConsumerMemberValue::decode).transpose()?;
                self.consumers.restore(Stored::Member(key, value));
            }
            Key::TargetAssignment(key) => {
                let value = value.map(TargetAssignmentValue::decode).transpose()?;
                self.consumers.restore(Stored::Target(key, value));
            }
            Key::CurrentAssignment(key) => {
                let value = value.map(CurrentAssignmentValue::decode).transpose()?;
                self.consumers.restore(Stored::Current(key, value));
            }
        }
        Ok(())
    }

    /// All records are restored: groups answer from now on, and every member gets a full session.
    pub fn start(&mut self, now: Millis) {
        if self.started {
            return;
        }
        self.started = true;
        self.consumers.start(now);
        for name in self.consumers.names() {
            // A change of kind that a crash cut short: consumer groups are stored by members too.
            self.members.restore(name, None);
        }
        let groups: Vec<Name> = self.offsets.groups().cloned().collect();
        for group in groups {
            self.keep_for_offsets(&group, now);
        }
        self.members.start(now);
        self.sweep.schedule(now + self.config.offsets_check_interval);
    }

    /// All that is to be done since the last call, in order.
    #[must_use]
    pub fn take_outputs(&mut self) -> Vec<Output<T>> {
        self.outbox.take()
    }

    /// Joins a group. Answered by [`Response::Join`], when the rebalance has got all its members.
    pub fn join(&mut self, request: JoinRequest, to: T, now: Millis) {
        if let Err(error) = self.check_started() {
            let refused = JoinRefused { error, member_id: request.member_id };
            return self.outbox.reply(to, Response::Join(Err(refused)));
        }
        if let Err(error) = self.make_classic(&request.group, now) {
            let refused = JoinRefused { error, member_id: request.member_id };
            return self.outbox.reply(to, Response::Join(Err(refused)));
        }
        self.members.set_others(self.consumers.usage());
        self.members.join(request, to, now, &mut self.outbox);
    }

    /// Brings or fetches the assignment. Answered by [`Response::Sync`], when the leader has
    /// brought it and it is durable.
    pub fn sync(&mut self, request: &SyncRequest, to: T, now: Millis) {
        if let Err(error) = self.check_started() {
            return self.outbox.reply(to, Response::Sync(Err(error)));
        }
        self.members.set_others(self.consumers.usage());
        self.members.sync(request, to, now, &mut self.outbox);
    }

    /// A member lives.
    ///
    /// # Errors
    /// [`GroupError::RebalanceInProgress`] when it has to join again (it counts as alive
    /// nevertheless); else when it is not a member of this generation.
    pub fn heartbeat(
        &mut self,
        group: &str,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        now: Millis,
    ) -> Result<(), GroupError> {
        self.check_started()?;
        self.members.heartbeat(group, Caller { member_id, instance_id, generation }, now)
    }

    /// Members leave. Returns one result per leaver, in the request's order; others may get their
    /// answers by it.
    ///
    /// # Errors
    /// When nobody can leave this group. A group that does not exist is
    /// [`GroupError::UnknownMember`] for each leaver.
    pub fn leave(
        &mut self,
        request: &LeaveRequest,
        now: Millis,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        self.check_started()?;
        self.members.leave(request, now, &mut self.outbox)
    }

    /// A classic group, in full.
    ///
    /// # Errors
    /// [`GroupError::NotFound`] (for groups of other kinds too), [`GroupError::Loading`].
    pub fn describe(&self, group: &str) -> Result<Description, GroupError> {
        self.check_started()?;
        self.members.describe(group)
    }

    /// The groups that pass the filter, by name.
    ///
    /// # Errors
    /// [`GroupError::Loading`].
    pub fn list(&self, filter: &Filter) -> Result<Vec<Listing>, GroupError> {
        self.check_started()?;
        let mut listings = self.members.list(filter);
        listings.extend(self.consumers.list(filter));
        listings.sort_by(|a, b| a.group.cmp(&b.group));
        Ok(listings)
    }

    /// What each member of a classic group subscribes to: its metadata under the protocol chosen, or else the one that
    /// it prefers. For [`Self::delete_offsets`], whose caller can read it.
    pub fn subscriptions(&self, group: &str) -> Vec<Bytes> {
        self.members.subscriptions(group)
    }

    /// Ends sessions and rebalances whose time has come, and examines some offsets for expiry.
    pub fn tick(&mut self, now: Millis) {
        if self.started {
            self.members.tick(now, &mut self.outbox);
            self.consumers.tick(now, &mut self.outbox);
            self.sweep(now);
        }
    }

    /// When to call [`Self::tick`] next; `None` before the start. Inputs move it.
    pub fn next_deadline(&self) -> Option<Millis> {
        let sweep = self.sweep.next();
        let consumers = self.consumers.next_deadline();
        self.members.next_deadline().into_iter().chain(consumers).chain(sweep).min()
    }

    /// An [`Output::Persist`] has ended. Call it once for each.
    ///
    /// If it failed, nobody is told that it worked: members that wait for their assignment have to
    /// join again, commits are refused, a deletion has not happened. What a restart finds is then
    /// open, as it is for every write that was not acknowledged.
    pub fn persisted(&mut self, ticket: Ticket, outcome: Persisted, now: Millis) {
        match self.pending.remove(&ticket) {
            Some(pending) => self.settle(ticket, pending, outcome, now),
            None if self.consumers.persisted(ticket, outcome, now, &mut self.outbox) => {}
            None => self.members.persisted(ticket, outcome, now, &mut self.outbox),
        }
    }

    /// Every live record, as of all outputs so far: what replaying the journal, were it written up
    /// to here, would leave. Older parts of the journal are superfluous once the snapshot and all
    /// that was put out before it are durable. Write it where replaying puts it before all that is
    /// put out later.
    pub fn snapshot(&self) -> impl Iterator<Item = Record> {
        self.members.snapshot().chain(self.consumers.snapshot()).chain(self.offsets.snapshot())
    }

    /// Whether there is a group of this name, or offsets are committed for it.
    pub fn contains(&self, group: &str) -> bool {
        self.check_empty(group) != Err(GroupError::NotFound)
    }

    /// How much it holds.
    pub fn counts(&self) -> Counts {
        let (classic, consumer) = (self.members.usage(), self.consumers.usage());
        Counts {
            groups: classic.groups + consumer.groups,
            members: classic.members + consumer.members,
            bytes: classic.bytes + consumer.bytes,
            offsets: self.offsets.len(),
            in_flight: self.pending.len(),
        }
    }

    fn check_started(&self) -> Result<(), GroupError> {
        if self.started { Ok(()) } else { Err(GroupError::Loading) }
    }
}
