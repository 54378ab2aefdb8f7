//! Requests to a group, and what it answers.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use base::Millis;
use bytes::Bytes;

use crate::{GroupError, Name};

/// Where a group is in its life; see the picture in the crate's description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupState {
    /// No members; it may have committed offsets.
    Empty,
    /// Waiting for all members to join.
    PreparingRebalance,
    /// Waiting for the leader's assignment.
    CompletingRebalance,
    /// Of a consumer group: a new target assignment has to be made.
    Assigning,
    /// Of a consumer group: members are on their way to the target assignment.
    Reconciling,
    /// Every member has its assignment.
    Stable,
    /// Being deleted.
    Dead,
}

impl GroupState {
    /// The state's name, as admin tools show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

impl Display for GroupState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for GroupState {
    type Err = ();

    /// Reads a state's name; case does not matter.
    fn from_str(text: &str) -> Result<Self, ()> {
        let all = [
            Self::Empty,
            Self::PreparingRebalance,
            Self::CompletingRebalance,
            Self::Assigning,
            Self::Reconciling,
            Self::Stable,
            Self::Dead,
        ];
        all.into_iter().find(|state| state.as_str().eq_ignore_ascii_case(text)).ok_or(())
    }
}

/// How a group shares its work out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupKind {
    /// By an assignment that one of the members computes.
    Classic,
    /// By an assignment that the broker computes; members reconcile themselves with it one by one
    /// (KIP-848).
    Consumer,
    /// All take from the same partitions, record by record (KIP-932).
    Share,
}

impl GroupKind {
    /// The kind's name, as admin tools show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
            Self::Share => "share",
        }
    }
}

impl FromStr for GroupKind {
    type Err = ();

    /// Reads a kind's name; case does not matter.
    fn from_str(text: &str) -> Result<Self, ()> {
        let all = [Self::Classic, Self::Consumer, Self::Share];
        all.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(text)).ok_or(())
    }
}

/// A way to compute an assignment, and what a member wants to say to the one that does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocol {
    /// The protocol's name.
    pub name: Name,
    /// The member's subscription under this protocol; opaque to us.
    pub metadata: Bytes,
}

/// Asks to become a member of the next generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRequest {
    /// The group's name.
    pub group: Name,
    /// The member id that was given before; empty for a new member.
    pub member_id: Name,
    /// The instance id of a static member.
    pub instance_id: Option<Name>,
    /// What the client calls itself; also the beginning of the member ids that we make up.
    pub client_id: Name,
    /// Where the client connects from; shown to operators.
    pub client_host: Name,
    /// The member is gone when it is not heard of for so long, in milliseconds.
    pub session_timeout: Millis,
    /// How long a rebalance waits for this member to join again, in milliseconds. Clients too old
    /// to say mean the session timeout.
    pub rebalance_timeout: Millis,
    /// The kind of group, such as "consumer".
    pub protocol_type: Name,
    /// The protocols that the member supports, the preferred one first.
    pub protocols: Vec<Protocol>,
    /// Whether the client knows [`GroupError::MemberIdRequired`].
    pub knows_member_id_required: bool,
    /// Whether the client knows [`Joined::skip_assignment`].
    pub knows_skip_assignment: bool,
    /// Why it joins (again), for operators.
    pub reason: Option<Name>,
}

/// A member of the generation that a join ended in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The member's id, from now on.
    pub member_id: Name,
    /// The generation.
    pub generation: i32,
    /// The kind of group.
    pub protocol_type: Option<Name>,
    /// The protocol chosen.
    pub protocol: Option<Name>,
    /// The leader's member id.
    pub leader: Name,
    /// The leader is to sync without computing an assignment: the old one holds.
    pub skip_assignment: bool,
    /// To the leader: all members. To others: none.
    pub members: Vec<JoinedMember>,
}

/// What the leader is told of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    /// The member's id.
    pub member_id: Name,
    /// The instance id of a static member.
    pub instance_id: Option<Name>,
    /// The member's subscription under the protocol chosen.
    pub metadata: Bytes,
}

/// A join that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRefused {
    /// Why.
    pub error: GroupError,
    /// The member id to answer with: with [`GroupError::MemberIdRequired`] the new one, else the
    /// one that the request named.
    pub member_id: Name,
}

/// Asks for the assignment of this generation; the leader brings it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncRequest {
    /// The group's name.
    pub group: Name,
    /// The member's id.
    pub member_id: Name,
    /// The instance id of a static member.
    pub instance_id: Option<Name>,
    /// The generation that it joined.
    pub generation: i32,
    /// The kind of group that it believes to be in, if it says (KIP-559).
    pub protocol_type: Option<Name>,
    /// The protocol that it believes chosen, if it says (KIP-559).
    pub protocol: Option<Name>,
    /// From the leader: what each member gets, by member id.
    pub assignments: Vec<(Name, Bytes)>,
}

/// An assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// The kind of group.
    pub protocol_type: Option<Name>,
    /// The protocol chosen.
    pub protocol: Option<Name>,
    /// What the leader assigned to this member; empty when it forgot it.
    pub assignment: Bytes,
}

/// Asks to take members out of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaveRequest {
    /// The group's name.
    pub group: Name,
    /// Who leaves.
    pub leavers: Vec<Leaver>,
}

/// One who leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaver {
    /// The member's id; empty when an operator removes a static member by its instance id.
    pub member_id: Name,
    /// The instance id of a static member.
    pub instance_id: Option<Name>,
    /// Why it leaves, for operators.
    pub reason: Option<Name>,
}
