//! All share groups of a broker.

use std::collections::{BTreeMap, BTreeSet};

use base::{Millis, TopicId, limits};
use bytes::Bytes;

use super::assignor::{self, Subscribed};
use super::store;
use crate::consumer_group::{JOIN_EPOCH, LEAVE_EPOCH, Partitions, TopicView};
use crate::group::{Filter, GroupKind, GroupState, Listing};
use crate::record::{Record, RecordError};
use crate::{GroupError, Name};

/// A member's heartbeat. What is `None` has not changed since the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareHeartbeatRequest {
    /// The group's name.
    pub group: Name,
    /// The member's id, which it makes up.
    pub member_id: Name,
    /// The member's epoch; 0 to join, -1 to leave.
    pub epoch: i32,
    /// Where the client stands; shown to operators.
    pub rack: Option<Name>,
    /// What the client calls itself; shown to operators.
    pub client_id: Name,
    /// Where the client connects from; shown to operators.
    pub client_host: Name,
    /// The topics that it subscribes to.
    pub topics: Option<Vec<Name>>,
    /// The member is gone when it is not heard of for so long, in milliseconds.
    pub session: Millis,
    /// Most members of the group.
    pub members_max: usize,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareHeartbeat {
    /// The member's epoch, from now on.
    pub epoch: i32,
    /// The partitions to look at; `None` when that has not changed.
    pub assignment: Option<Partitions>,
}

/// A share group, in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareDescription {
    /// Its name.
    pub group: Name,
    /// Whether it has members.
    pub state: GroupState,
    /// Grows with every change of members, subscriptions and topics.
    pub epoch: i32,
    /// The epoch of the assignment.
    pub target_epoch: i32,
    /// The members, in the order of their ids.
    pub members: Vec<ShareMemberDescription>,
}

/// One member of a share group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareMemberDescription {
    /// Its id.
    pub member_id: Name,
    /// Where the client stands.
    pub rack: Option<Name>,
    /// What the client calls itself.
    pub client_id: Name,
    /// Where the client connects from.
    pub client_host: Name,
    /// Its epoch.
    pub epoch: i32,
    /// The topics that it subscribes to.
    pub topics: BTreeSet<Name>,
    /// The partitions that it looks at.
    pub assigned: Partitions,
}

#[derive(Debug, Default)]
struct Group {
    epoch: i32,
    /// What the members look at was computed for this epoch.
    target_epoch: i32,
    members: BTreeMap<Name, Member>,
}

#[derive(Debug)]
struct Member {
    about: ShareMemberDescription,
    previous_epoch: i32,
    session: Millis,
    deadline: Millis,
}

/// The share groups of this broker. Times are in milliseconds.
#[derive(Debug, Default)]
pub struct ShareGroups {
    groups: BTreeMap<Name, Group>,
    topics: BTreeMap<Name, (TopicId, i32)>,
    /// When sessions may be over; earlier than true for members that were heard of since.
    sessions: BTreeSet<(Millis, Name, Name)>,
    records: Vec<Record>,
    gone: Vec<(Name, Name)>,
    groups_max: usize,
}

impl ShareGroups {
    /// No groups yet, and never more than this.
    pub fn new(groups_max: usize) -> Self {
        Self { groups_max, ..Self::default() }
    }

    /// Takes over one record of the journal. Returns whether the key is one of ours.
    ///
    /// # Errors
    /// When the record is damaged, or of a newer version.
    pub fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<bool, RecordError> {
        let Some(name) = store::decode_key(key)? else { return Ok(false) };
        match value.filter(|value| !value.is_empty()) {
            None => drop(self.groups.remove(&name)),
            Some(value) => {
                let epoch = store::decode(&Bytes::copy_from_slice(value))?;
                let group = Group { epoch, target_epoch: epoch, ..Group::default() };
                self.groups.insert(name, group);
            }
        }
        Ok(true)
    }

    /// Whether there is such a group.
    pub fn contains(&self, name: &str) -> bool {
        self.groups.contains_key(name)
    }

    /// A member joins, lives or leaves.
    ///
    /// # Errors
    /// See [`GroupError`]; nothing has changed then.
    pub fn heartbeat(
        &mut self,
        request: ShareHeartbeatRequest,
        now: Millis,
    ) -> Result<ShareHeartbeat, GroupError> {
        check(&request)?;
        if request.epoch == LEAVE_EPOCH {
            return self.leave(&request);
        }
        let (name, id) = (request.group.clone(), request.member_id.clone());
        let (asked, session) = (request.epoch, now.saturating_add(request.session));
        let mut tell = asked == JOIN_EPOCH || request.topics.is_some();
        if asked == JOIN_EPOCH {
            self.join(request, now)?;
        } else {
            let group = self.groups.get_mut(&name).ok_or(GroupError::UnknownMember)?;
            let member = group.members.get_mut(&id).ok_or(GroupError::UnknownMember)?;
            if asked != member.about.epoch && asked != member.previous_epoch {
                return Err(GroupError::FencedEpoch);
            }
            member.session = request.session;
            if let Some(topics) = request.topics.map(BTreeSet::from_iter)
                && topics != member.about.topics
            {
                member.about.topics = topics;
                group.epoch += 1;
            }
        }
        self.assign(&name);
        let group = self.groups.get_mut(&name).ok_or(GroupError::UnknownMember)?;
        let member = group.members.get_mut(&id).ok_or(GroupError::UnknownMember)?;
        member.deadline = session;
        if member.about.epoch != group.epoch {
            member.previous_epoch = member.about.epoch;
            member.about.epoch = group.epoch;
        }
        // It also may have missed an answer.
        tell |= asked != group.epoch;
        let assignment = tell.then(|| member.about.assigned.clone());
        Ok(ShareHeartbeat { epoch: group.epoch, assignment })
    }

    fn join(&mut self, request: ShareHeartbeatRequest, now: Millis) -> Result<(), GroupError> {
        let full = self.groups.len() >= self.groups_max;
        if full && !self.groups.contains_key(&request.group) {
            return Err(GroupError::LimitReached);
        }
        let group = self.groups.entry(request.group.clone()).or_default();
        let id = request.member_id.clone();
        let known = group.members.get(&id);
        if known.is_none() && group.members.len() >= request.members_max {
            return Err(GroupError::GroupFull);
        }
        let topics: BTreeSet<Name> = request.topics.unwrap_or_default().into_iter().collect();
        let same = known.is_some_and(|member| member.about.topics == topics);
        let deadline = now.saturating_add(request.session);
        if let Some(member) = known {
            self.sessions.remove(&(member.deadline, request.group.clone(), id.clone()));
        }
        let about = ShareMemberDescription {
            member_id: id.clone(),
            rack: request.rack,
            client_id: request.client_id,
            client_host: request.client_host,
            epoch: 0,
            topics,
            assigned: known.map(|member| member.about.assigned.clone()).unwrap_or_default(),
        };
        let member = Member { about, previous_epoch: 0, session: request.session, deadline };
        group.members.insert(id.clone(), member);
        if !same || group.epoch == 0 {
            group.epoch += 1;
        }
        self.sessions.insert((deadline, request.group, id));
        Ok(())
    }

    fn leave(&mut self, request: &ShareHeartbeatRequest) -> Result<ShareHeartbeat, GroupError> {
        let group = self.groups.get_mut(&request.group).ok_or(GroupError::UnknownMember)?;
        group.members.remove(&request.member_id).ok_or(GroupError::UnknownMember)?;
        group.epoch += 1;
        self.gone.push((request.group.clone(), request.member_id.clone()));
        self.assign(&request.group);
        Ok(ShareHeartbeat { epoch: LEAVE_EPOCH, assignment: None })
    }

    /// Computes the assignment of the group's epoch, if there is none yet.
    fn assign(&mut self, name: &Name) {
        let Some(group) = self.groups.get_mut(name) else { return };
        if group.target_epoch == group.epoch {
            return;
        }
        group.target_epoch = group.epoch;
        let mut subscribers: BTreeMap<&Name, Vec<&Name>> = BTreeMap::new();
        for (id, member) in &group.members {
            for topic in &member.about.topics {
                subscribers.entry(topic).or_default().push(id);
            }
        }
        let topics: Vec<_> = subscribers
            .into_iter()
            .filter_map(|(topic, members)| {
                let (topic, partitions) = *self.topics.get(topic)?;
                Some(Subscribed { topic, partitions, members })
            })
            .collect();
        let had = |(id, member): (&Name, &Member)| (id.clone(), member.about.assigned.clone());
        let before = group.members.iter().map(had).collect();
        let mut assigned = assignor::assign(&topics, &before);
        for (id, member) in &mut group.members {
            member.about.assigned = assigned.remove(id).unwrap_or_default();
        }
        self.records.push(store::record(name, Some(group.epoch)));
    }

    /// Ends sessions whose time has come.
    pub fn tick(&mut self, now: Millis) {
        while self.sessions.first().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, name, id)) = self.sessions.pop_first() else { break };
            let Some(group) = self.groups.get_mut(&name) else { continue };
            let Some(member) = group.members.get(&id) else { continue };
            if member.deadline > now {
                self.sessions.insert((member.deadline, name, id));
                continue;
            }
            group.members.remove(&id);
            group.epoch += 1;
            self.gone.push((name.clone(), id));
            self.assign(&name);
        }
    }

    /// When to call [`Self::tick`] next.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.sessions.first().map(|(at, ..)| *at)
    }

    /// What is to be journalled since the last call. Nobody waits for it, and what is lost by a
    /// failure comes with the next change.
    #[must_use]
    pub fn take_records(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.records)
    }

    /// Groups and members that have left, or were given up, since the last call.
    #[must_use]
    pub fn take_gone(&mut self) -> Vec<(Name, Name)> {
        std::mem::take(&mut self.gone)
    }

    /// Every live record.
    pub fn snapshot(&self) -> impl Iterator<Item = Record> {
        self.groups.iter().map(|(name, group)| store::record(name, Some(group.epoch)))
    }

    /// A topic is new, or has changed.
    pub fn topic_put(&mut self, topic: &TopicView) {
        let value = (topic.id, topic.partitions);
        if self.topics.insert(topic.name.clone(), value) != Some(value) {
            self.topic_changed(&topic.name);
        }
    }

    /// A topic is gone.
    pub fn topic_deleted(&mut self, name: &str) {
        if self.topics.remove(name).is_some() {
            self.topic_changed(name);
        }
    }

    fn topic_changed(&mut self, topic: &str) {
        for group in self.groups.values_mut() {
            if group.members.values().any(|member| member.about.topics.contains(topic)) {
                group.epoch += 1;
            }
        }
    }

    /// A group, in full.
    ///
    /// # Errors
    /// [`GroupError::NotFound`].
    pub fn describe(&self, name: &str) -> Result<ShareDescription, GroupError> {
        let (name, group) = self.groups.get_key_value(name).ok_or(GroupError::NotFound)?;
        Ok(ShareDescription {
            group: name.clone(),
            state: group.state(),
            epoch: group.epoch,
            target_epoch: group.target_epoch,
            members: group.members.values().map(|member| member.about.clone()).collect(),
        })
    }

    /// The groups that pass the filter, by name.
    pub fn list(&self, filter: &Filter) -> impl Iterator<Item = Listing> {
        let kind = GroupKind::Share;
        let of_kind = filter.kinds.is_empty() || filter.kinds.contains(&kind);
        let groups = self.groups.iter().filter(move |_| of_kind);
        let listing = move |(name, group): (&Name, &Group)| Listing {
            group: name.clone(),
            state: group.state(),
            kind,
            protocol_type: Some(kind.as_str().into()),
        };
        let listed = |state: &GroupState| filter.states.is_empty() || filter.states.contains(state);
        groups.map(listing).filter(move |listing| listed(&listing.state))
    }

    /// Whether the group is there and has no members.
    ///
    /// # Errors
    /// [`GroupError::NotFound`], [`GroupError::NotEmpty`].
    pub fn check_empty(&self, name: &str) -> Result<(), GroupError> {
        match self.groups.get(name) {
            None => Err(GroupError::NotFound),
            Some(group) if group.members.is_empty() => Ok(()),
            Some(_) => Err(GroupError::NotEmpty),
        }
    }

    /// Makes a group that nobody has joined yet, unless it is there. Returns what is to be
    /// journalled before anybody is told.
    ///
    /// # Errors
    /// [`GroupError::InvalidGroup`], [`GroupError::LimitReached`].
    pub fn create(&mut self, name: &Name) -> Result<Option<Record>, GroupError> {
        if name.is_empty() || name.len() > limits::GROUP_NAME_BYTES_MAX {
            return Err(GroupError::InvalidGroup);
        }
        if self.groups.contains_key(name) {
            return Ok(None);
        }
        if self.groups.len() >= self.groups_max {
            return Err(GroupError::LimitReached);
        }
        let group = self.groups.entry(name.clone()).or_default();
        Ok(Some(store::record(name, Some(group.epoch))))
    }

    /// Deletes a group without members. Returns what is to be journalled before anybody is told.
    ///
    /// # Errors
    /// As [`Self::check_empty`].
    pub fn delete(&mut self, name: &Name) -> Result<Record, GroupError> {
        self.check_empty(name)?;
        self.groups.remove(name);
        Ok(store::record(name, None))
    }
}

impl Group {
    fn state(&self) -> GroupState {
        if self.members.is_empty() { GroupState::Empty } else { GroupState::Stable }
    }
}

/// What can be said about a heartbeat without looking at the group.
fn check(request: &ShareHeartbeatRequest) -> Result<(), GroupError> {
    let max = limits::GROUP_NAME_BYTES_MAX;
    if request.group.is_empty() || request.group.len() > max {
        return Err(GroupError::InvalidGroup);
    }
    let rack = request.rack.as_ref();
    if request.member_id.len() > max || rack.is_some_and(|rack| rack.len() > max) {
        return Err(GroupError::TooLarge);
    }
    let joins_bare = request.epoch == JOIN_EPOCH && request.topics.is_none();
    if request.member_id.is_empty() || request.epoch < LEAVE_EPOCH || joins_bare {
        return Err(GroupError::InvalidHeartbeat);
    }
    let topics = request.topics.iter().flatten();
    let longest = topics.map(|topic| topic.len()).max().unwrap_or(0);
    if longest > limits::TOPIC_NAME_BYTES_MAX {
        return Err(GroupError::InvalidTopic);
    }
    let count = request.topics.as_ref().map_or(0, Vec::len);
    if count > limits::SHARE_TOPICS_MAX { Err(GroupError::TooLarge) } else { Ok(()) }
}
