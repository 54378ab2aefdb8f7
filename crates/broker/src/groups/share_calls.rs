//! What can be asked of shared subscriptions and of the groups that consume them.

use base::{Offset, TopicId};
use queue::share_group::{ShareDescription, ShareHeartbeat, ShareHeartbeatRequest};
use queue::shared::{
    Acknowledgement, Acquired, PartitionKey, Position, Region, SharedError, SharedResponse, Span,
    Take, Terms,
};
use queue::{GroupError, Name};
use tokio::sync::oneshot;

use super::{Groups, SharedReply, State};

impl Groups {
    /// Whether there is a share group of this name.
    pub fn is_shared(&self, group: &str) -> bool {
        self.state.lock().share_groups.contains(group)
    }

    /// A member of a share group joins, lives or leaves (KIP-932).
    ///
    /// # Errors
    /// [`GroupError::NotFound`] when there is a group of another kind; see
    /// [`queue::share_group::ShareGroups::heartbeat`].
    pub fn share_heartbeat(
        &self,
        request: ShareHeartbeatRequest,
    ) -> Result<ShareHeartbeat, GroupError> {
        self.with_state(|state, now| {
            state.check_not_other(&request.group)?;
            state.share_groups.heartbeat(request, now)
        })
    }

    /// A share group, in full.
    ///
    /// # Errors
    /// [`GroupError::NotFound`], for groups of other kinds too.
    pub fn describe_share(&self, group: &str) -> Result<ShareDescription, GroupError> {
        self.state.lock().share_groups.describe(group)
    }

    /// Where the partitions of a subscription stand.
    pub fn positions(&self, subscription: &str) -> Vec<(PartitionKey, Position)> {
        self.state.lock().shared.positions(subscription)
    }

    /// Begins partitions of a group without members anew at these offsets, durably. A group that
    /// nobody has joined yet is made by it.
    ///
    /// # Errors
    /// [`GroupError::NotEmpty`]; [`GroupError::NotFound`] when a group of another kind has the
    /// name; [`GroupError::InvalidGroup`], [`GroupError::LimitReached`].
    pub async fn reset_shared(
        &self,
        group: &Name,
        starts: Vec<(TopicId, i32, Offset)>,
    ) -> Result<(), GroupError> {
        let (reply, answer) = oneshot::channel();
        let waits = self.with_state(|state, _| {
            state.check_not_other(group)?;
            if starts.is_empty() {
                // Nothing is made for nothing.
                let empty = state.share_groups.check_empty(group);
                return if empty == Err(GroupError::NotEmpty) {
                    empty.map(|()| false)
                } else {
                    Ok(false)
                };
            }
            // Looked at first, so that nothing is made for what is refused.
            if !state.shared.has_room(starts.len()) {
                return Err(GroupError::LimitReached);
            }
            let also = state.share_groups.create(group)?;
            state.share_groups.check_empty(group)?;
            let key = |(topic, partition, start)| {
                (PartitionKey { subscription: group.clone(), topic, partition }, start)
            };
            let starts = starts.into_iter().map(key).collect();
            state.shared.reset(starts, also.into_iter().collect(), reply);
            Ok(true)
        })?;
        if waits { written(&answer.await) } else { Ok(()) }
    }

    /// Forgets what a group without members knows of a topic, durably.
    ///
    /// # Errors
    /// [`GroupError::NotEmpty`], [`GroupError::NotFound`].
    pub async fn forget_shared(&self, group: &Name, topic: TopicId) -> Result<(), GroupError> {
        self.ask_empty(group, |state, to| state.shared.delete(group, Some(topic), Vec::new(), to))
            .await
    }

    pub(super) async fn delete_shared(&self, group: &Name) -> Result<(), GroupError> {
        self.ask_empty(group, |state, to| {
            // That it is without members was checked just now, under the same lock.
            let also = state.share_groups.delete(group).into_iter().collect();
            state.shared.delete(group, None, also, to);
        })
        .await
    }

    async fn ask_empty(
        &self,
        group: &Name,
        input: impl FnOnce(&mut State, SharedReply),
    ) -> Result<(), GroupError> {
        let (reply, answer) = oneshot::channel();
        self.with_state(|state, _| {
            state.share_groups.check_empty(group)?;
            input(state, reply);
            Ok(())
        })?;
        written(&answer.await)
    }

    /// A consumer is gone: what it has comes back. `counted`: it was delivered.
    pub fn give_back(&self, subscription: &Name, holder: &Name, counted: bool) {
        self.with_state(|state, _| state.shared.give_back(subscription, holder, counted));
    }

    /// What becomes of records, durably.
    pub(crate) async fn acknowledge(
        &self,
        holder: &Name,
        of: &[(PartitionKey, Terms, Vec<Acknowledgement>)],
    ) -> Vec<Result<(), SharedError>> {
        let (reply, answer) = oneshot::channel();
        self.with_state(|state, now| state.shared.acknowledge(holder, of, reply, now));
        match answer.await {
            Ok(SharedResponse::Acknowledged(results)) => results,
            // The broker stops.
            _ => of.iter().map(|_| Err(SharedError::NotAvailable)).collect(),
        }
    }

    /// Begins a partition, durably, unless it has begun.
    pub(crate) async fn open(&self, key: &PartitionKey, start: Offset) -> Result<(), SharedError> {
        let (reply, answer) = oneshot::channel();
        self.with_state(|state, _| state.shared.open(key, start, reply));
        match answer.await {
            Ok(SharedResponse::Written(outcome)) => outcome,
            _ => Err(SharedError::NotAvailable),
        }
    }

    /// See [`queue::shared::Subscriptions::peek`].
    pub(crate) fn peek(
        &self,
        key: &PartitionKey,
        log_start: Offset,
        terms: Terms,
    ) -> Result<Option<Region>, SharedError> {
        self.with_state(|state, _| state.shared.peek(key, log_start, terms))
    }

    /// See [`queue::shared::Subscriptions::begin_read`]. Dropping what it returns ends it.
    pub(crate) fn begin_read<'a>(
        &'a self,
        key: &'a PartitionKey,
        log_start: Offset,
        from: Offset,
        terms: Terms,
    ) -> Result<Option<Reading<'a>>, SharedError> {
        let region =
            self.with_state(|state, _| state.shared.begin_read(key, log_start, from, terms))?;
        Ok(region.map(|region| Reading { groups: self, key, region }))
    }
}

/// A turn to read the log for a subscription.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    groups: &'a Groups,
    key: &'a PartitionKey,
    pub(crate) region: Region,
}

impl Reading<'_> {
    /// See [`queue::shared::Subscriptions::acquire`].
    pub(crate) fn acquire(&self, holder: &Name, span: &Span, take: Take) -> Vec<Acquired> {
        let key = self.key;
        self.groups.with_state(|state, now| state.shared.acquire(key, holder, span, take, now))
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.groups.with_state(|state, _| state.shared.end_read(self.key));
    }
}

/// What the engine says of a write. Nothing at all: the broker stops.
fn written(answer: &Result<SharedResponse, oneshot::error::RecvError>) -> Result<(), GroupError> {
    match answer {
        Ok(SharedResponse::Written(Ok(()))) => Ok(()),
        Ok(SharedResponse::Written(Err(SharedError::LimitReached))) => {
            Err(GroupError::LimitReached)
        }
        _ => Err(GroupError::NotAvailable),
    }
}

impl State {
    /// A group of another kind has the name.
    fn check_not_other(&self, group: &str) -> Result<(), GroupError> {
        match self.machine.contains(group) {
            true => Err(GroupError::NotFound),
            false => Ok(()),
        }
    }
}
