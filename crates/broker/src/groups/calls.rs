//! What can be asked of consumer groups.

use std::collections::HashSet;
use std::sync::Arc;

use base::TopicId;
use bytes::Bytes;
use queue::consumer_group::{ConsumerDescription, Heartbeat, HeartbeatRequest, TopicView};
use queue::group::{
    Description, Filter, JoinRefused, JoinRequest, Joined, LeaveRequest, Listing, SyncRequest,
    Synced,
};
use queue::offsets::{CommitRequest, Committed, DeleteOffsetsRequest, PartitionOffset};
use queue::{GroupError, Name, Response};

use super::Groups;
use crate::metadata::Topic;

/// One outcome per item of a request.
type Each = Vec<Result<(), GroupError>>;

impl Groups {
    /// Joins a group; returns when the rebalance has got all its members.
    ///
    /// # Errors
    /// See [`JoinRefused`].
    pub async fn join(&self, request: JoinRequest) -> Result<Joined, JoinRefused> {
        let member_id = request.member_id.clone();
        if self.is_shared(&request.group) {
            return Err(JoinRefused { error: GroupError::InconsistentProtocol, member_id });
        }
        match self.ask(|machine, to, now| machine.join(request, to, now)).await {
            Some(Response::Join(answer)) => answer,
            _ => Err(JoinRefused { error: GroupError::NotAvailable, member_id }),
        }
    }

    /// Brings or fetches the assignment; returns when the leader has brought it.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn sync(&self, request: SyncRequest) -> Result<Synced, GroupError> {
        match self.ask(|machine, to, now| machine.sync(&request, to, now)).await {
            Some(Response::Sync(answer)) => answer,
            _ => Err(GroupError::NotAvailable),
        }
    }

    /// A member lives.
    ///
    /// # Errors
    /// See [`queue::Coordinator::heartbeat`].
    pub fn heartbeat(
        &self,
        group: &str,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), GroupError> {
        self.with(|machine, now| machine.heartbeat(group, member_id, instance_id, generation, now))
    }

    /// A member of a consumer group joins, lives or leaves (KIP-848).
    ///
    /// # Errors
    /// See [`queue::Coordinator::consumer_heartbeat`].
    pub async fn consumer_heartbeat(
        &self,
        request: HeartbeatRequest,
    ) -> Result<Heartbeat, GroupError> {
        if self.is_shared(&request.group) {
            return Err(GroupError::NotFound);
        }
        match self.ask(|machine, to, now| machine.consumer_heartbeat(&request, to, now)).await {
            Some(Response::Heartbeat(answer)) => answer,
            _ => Err(GroupError::NotAvailable),
        }
    }

    /// A consumer group, in full.
    ///
    /// # Errors
    /// [`GroupError::NotFound`], for groups of other kinds too.
    pub fn describe_consumer(&self, group: &str) -> Result<ConsumerDescription, GroupError> {
        self.with(|machine, _| machine.describe_consumer(group))
    }

    /// Whether one who fetches offsets, and says that it is a member of a consumer group in this
    /// epoch, is.
    ///
    /// # Errors
    /// [`GroupError::UnknownMember`], [`GroupError::StaleEpoch`].
    pub fn check_fetch(
        &self,
        group: &str,
        member_id: Option<&str>,
        epoch: i32,
    ) -> Result<(), GroupError> {
        self.with(|machine, _| machine.check_fetch(group, member_id, epoch))
    }

    /// Members leave; one outcome for each.
    ///
    /// # Errors
    /// When nobody can leave this group.
    pub fn leave(&self, request: &LeaveRequest) -> Result<Each, GroupError> {
        self.with(|machine, now| machine.leave(request, now))
    }

    /// A classic group, in full.
    ///
    /// # Errors
    /// [`GroupError::NotFound`], for groups of other kinds too.
    pub fn describe(&self, group: &str) -> Result<Description, GroupError> {
        self.with(|machine, _| machine.describe(group))
    }

    /// The groups that pass a filter, by name.
    ///
    /// # Errors
    /// [`GroupError::Loading`].
    pub fn list(&self, filter: &Filter) -> Result<Vec<Listing>, GroupError> {
        self.with_state(|state, _| {
            let mut listings = state.machine.list(filter)?;
            listings.extend(state.share_groups.list(filter));
            listings.sort_by(|a, b| a.group.cmp(&b.group));
            Ok(listings)
        })
    }

    /// What each member of a classic group subscribes to, in the members' own form.
    pub fn subscriptions(&self, group: &str) -> Vec<Bytes> {
        self.with(|machine, _| machine.subscriptions(group))
    }

    /// Commits offsets, durably; one outcome for each.
    ///
    /// # Errors
    /// When nothing was committed.
    pub async fn commit(&self, request: CommitRequest) -> Result<Each, GroupError> {
        if self.is_shared(&request.group) {
            return Err(GroupError::NotFound);
        }
        match self.ask(|machine, to, now| machine.commit(request, to, now)).await {
            Some(Response::Commit(answer)) => answer,
            _ => Err(GroupError::NotAvailable),
        }
    }

    /// What a group has committed for some partitions.
    ///
    /// # Errors
    /// [`GroupError::Loading`].
    pub fn committed(
        &self,
        group: &str,
        partitions: &[(&str, i32)],
    ) -> Result<Vec<Option<Committed>>, GroupError> {
        self.with(|machine, _| {
            let one = |(topic, partition): &(&str, i32)| {
                Ok(machine.fetch(group, topic, *partition)?.cloned())
            };
            partitions.iter().map(one).collect()
        })
    }

    /// All that a group has committed.
    ///
    /// # Errors
    /// [`GroupError::Loading`].
    pub fn all_committed(&self, group: &str) -> Result<Vec<PartitionOffset>, GroupError> {
        self.with(|machine, _| machine.fetch_all(group))
    }

    /// Deletes committed offsets, durably; one outcome for each. `subscribed`: the topics that
    /// members of the group subscribe to, if the caller can tell.
    ///
    /// # Errors
    /// When nothing was deleted.
    pub async fn delete_offsets(
        &self,
        request: DeleteOffsetsRequest,
        subscribed: Option<&HashSet<Name>>,
    ) -> Result<Each, GroupError> {
        let answer =
            self.ask(|machine, to, _| machine.delete_offsets(request, subscribed, to)).await;
        match answer {
            Some(Response::DeleteOffsets(answer)) => answer,
            _ => Err(GroupError::NotAvailable),
        }
    }

    /// Deletes an empty group with its offsets, or its state, durably.
    ///
    /// # Errors
    /// [`GroupError::NotEmpty`], [`GroupError::NotFound`].
    pub async fn delete(&self, group: &Name) -> Result<(), GroupError> {
        if self.is_shared(group) {
            return self.delete_shared(group).await;
        }
        match self.ask(|machine, to, now| machine.delete_group(group, to, now)).await {
            Some(Response::DeleteGroup(answer)) => answer,
            _ => Err(GroupError::NotAvailable),
        }
    }

    /// Forgets the offsets committed for topics that do not exist (any more).
    pub(crate) fn keep_topics(&self, exists: impl Fn(&str) -> bool) {
        self.with(|machine, _| {
            let groups = machine.list(&Filter::default()).unwrap_or_default();
            let offsets = groups.iter().flat_map(|group| machine.fetch_all(&group.group)).flatten();
            let gone: HashSet<Name> =
                offsets.map(|one| one.topic).filter(|topic| !exists(topic)).collect();
            for topic in gone {
                machine.topic_deleted(&topic);
            }
        });
    }

    /// Topics that are new, or have changed.
    pub(crate) fn put_topics<'a>(&self, topics: impl IntoIterator<Item = &'a Arc<Topic>>) {
        self.with_state(|state, _| {
            for topic in topics {
                let view = view(topic);
                state.share_groups.topic_put(&view);
                state.machine.topic_put(view);
            }
        });
    }

    pub(crate) fn topic_deleted(&self, topic: &Topic) {
        self.with_state(|state, _| {
            state.share_groups.topic_deleted(&topic.name);
            state.shared.topic_deleted(topic.id);
            state.machine.topic_deleted(&topic.name);
        });
    }

    /// Forgets what shared subscriptions know of topics that do not exist (any more).
    pub(crate) fn keep_topic_ids(&self, exists: impl Fn(TopicId) -> bool) {
        self.with_state(|state, _| {
            for topic in state.shared.topics().into_iter().filter(|topic| !exists(*topic)) {
                state.shared.topic_deleted(topic);
            }
        });
    }
}

/// A topic, as groups see it.
fn view(topic: &Topic) -> TopicView {
    TopicView {
        name: topic.name.as_str().into(),
        id: topic.id,
        partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
    }
}
