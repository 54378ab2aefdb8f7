//! The verbs of consumer groups, and the way from one kind of group to the other.
//!
//! An empty group changes its kind with the first member that joins it; a group with members does
//! not: who speaks the other protocol is refused until they are gone.

use base::Millis;

use super::Coordinator;
use crate::consumer_group::{
    ConsumerDescription, HeartbeatRequest, JOIN_EPOCH, TopicView, check_heartbeat,
};
use crate::{GroupError, Name, Response};

impl<T> Coordinator<T> {
    /// A heartbeat of a member of a consumer group (KIP-848). Answered by [`Response::Heartbeat`],
    /// when all that the answer rests on is durable.
    pub fn consumer_heartbeat(&mut self, request: &HeartbeatRequest, to: T, now: Millis) {
        let checked = self.check_started().and_then(|()| check_heartbeat(request));
        let checked = checked.and_then(|()| self.make_consumer(request, now));
        if let Err(error) = checked {
            return self.outbox.reply(to, Response::Heartbeat(Err(error)));
        }
        self.consumers.set_others(self.members.usage());
        self.consumers.heartbeat(request, to, now, &mut self.outbox);
    }

    /// An empty classic group gives way to one who joins. What deletes its state goes out with the
    /// new group's.
    fn make_consumer(&mut self, request: &HeartbeatRequest, now: Millis) -> Result<(), GroupError> {
        let name = &request.group;
        match self.members.check_empty(name) {
            Err(GroupError::NotFound) => Ok(()),
            // To its members it does not exist: they speak another protocol.
            Err(GroupError::NotEmpty) => Err(GroupError::NotFound),
            Err(error) => Err(error),
            Ok(()) if request.epoch != JOIN_EPOCH => Ok(()),
            Ok(()) => {
                let (_, has_offsets) = self.members.give_way(name);
                self.consumers.take_over(name, has_offsets, now);
                Ok(())
            }
        }
    }

    /// An empty consumer group gives way to a classic one.
    pub(super) fn make_classic(&mut self, name: &Name, now: Millis) -> Result<(), GroupError> {
        match self.consumers.check_empty(name) {
            Err(GroupError::NotFound) => Ok(()),
            Err(GroupError::NotEmpty) => Err(GroupError::InconsistentProtocol),
            Err(error) => Err(error),
            Ok(()) => {
                let (records, has_offsets) = self.consumers.give_way(name, now, &mut self.outbox);
                if !records.is_empty() {
                    // Nobody waits for it: if it fails, a restart finds an empty group, or the
                    // classic one that was stored after it.
                    let ticket = self.outbox.ticket();
                    self.outbox.persist(ticket, records);
                }
                if has_offsets {
                    self.members.keep_for_offsets(name, now);
                }
                Ok(())
            }
        }
    }

    /// A consumer group, in full.
    ///
    /// # Errors
    /// [`GroupError::NotFound`] (for groups of other kinds too), [`GroupError::Loading`].
    pub fn describe_consumer(&self, group: &str) -> Result<ConsumerDescription, GroupError> {
        self.check_started()?;
        self.consumers.describe(group)
    }

    /// Whether one who fetches committed offsets, and says that it is a member of a consumer group
    /// in this epoch, is. Of classic groups nothing is known here; their members do not say.
    ///
    /// # Errors
    /// [`GroupError::UnknownMember`], [`GroupError::StaleEpoch`], [`GroupError::Loading`].
    pub fn check_fetch(
        &self,
        group: &str,
        member_id: Option<&str>,
        epoch: i32,
    ) -> Result<(), GroupError> {
        self.check_started()?;
        self.consumers.check_fetch(group, member_id, epoch)
    }

    /// A topic is new, or has changed: consumer groups share out what there is now. To be told of
    /// every topic, before the start or after it.
    pub fn topic_put(&mut self, topic: TopicView) {
        self.consumers.topic_put(topic);
    }

    pub(super) fn keep_for_offsets(&mut self, name: &Name, now: Millis) {
        if self.consumers.contains(name) {
            self.consumers.set_has_offsets(name, true);
        } else {
            self.members.keep_for_offsets(name, now);
        }
    }

    pub(super) fn check_empty(&self, name: &str) -> Result<(), GroupError> {
        if self.consumers.contains(name) {
            self.consumers.check_empty(name)
        } else {
            self.members.check_empty(name)
        }
    }
}
