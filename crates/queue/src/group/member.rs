//! One member of a group.

use base::Millis;
use bytes::Bytes;

use super::types::{JoinRequest, Protocol};
use crate::Name;

/// What of a client's own words is kept to be shown to operators, in bytes.
const SHOWN_BYTES_MAX: usize = 255;

/// Memory that a member costs besides its names and data, roughly.
const OVERHEAD_BYTES: usize = 400;

#[derive(Debug)]
pub(super) struct Member<T> {
    pub(super) id: Name,
    pub(super) instance: Option<Name>,
    pub(super) client_id: Name,
    pub(super) client_host: Name,
    pub(super) session_timeout: Millis,
    pub(super) rebalance_timeout: Millis,
    pub(super) protocols: Vec<Protocol>,
    pub(super) assignment: Bytes,
    /// Order of joining: a new leader is the oldest member.
    pub(super) order: u64,
    /// Waits for the join phase to end.
    pub(super) join: Option<T>,
    /// Waits for the assignment.
    pub(super) sync: Option<T>,
    /// Has never been told its member id by a completed join, so it cannot send heartbeats.
    pub(super) is_new: bool,
    /// Has asked for the assignment of this generation.
    pub(super) synced: bool,
    /// When its session ends. Moved by heartbeats.
    pub(super) deadline: Millis,
    /// What its timer is set to; never later than `deadline`.
    pub(super) timer_at: Millis,
}

impl<T> Member<T> {
    pub(super) fn new(id: Name, request: &JoinRequest, order: u64) -> Self {
        Self {
            id,
            instance: request.instance_id.clone(),
            client_id: shorten(&request.client_id),
            client_host: shorten(&request.client_host),
            session_timeout: request.session_timeout,
            rebalance_timeout: request.rebalance_timeout,
            protocols: copy(&request.protocols),
            assignment: Bytes::new(),
            order,
            join: None,
            sync: None,
            is_new: true,
            synced: false,
            deadline: 0,
            timer_at: 0,
        }
    }

    /// Takes over what a join says anew.
    pub(super) fn update(&mut self, request: &JoinRequest) {
        self.session_timeout = request.session_timeout;
        self.rebalance_timeout = request.rebalance_timeout;
        self.protocols = copy(&request.protocols);
    }

    /// Whether the member would say the same again.
    pub(super) fn matches(&self, protocols: &[Protocol]) -> bool {
        self.protocols == protocols
    }

    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|p| &*p.name == protocol);
        found.map(|p| p.metadata.clone()).unwrap_or_default()
    }

    /// What it counts for against the limits.
    pub(super) fn bytes(&self) -> usize {
        OVERHEAD_BYTES + protocols_bytes(&self.protocols) + self.assignment.len()
    }
}

/// What a member with these protocols counts for before it has an assignment.
pub(super) fn member_bytes(protocols: &[Protocol]) -> usize {
    OVERHEAD_BYTES + protocols_bytes(protocols)
}

fn protocols_bytes(protocols: &[Protocol]) -> usize {
    protocols.iter().map(|p| 64 + p.name.len() + p.metadata.len()).sum()
}

/// The request's data may be slices of a large frame: a copy lets go of the frame.
fn copy(protocols: &[Protocol]) -> Vec<Protocol> {
    let copied = |p: &Protocol| Protocol {
        name: p.name.clone(),
        metadata: Bytes::copy_from_slice(&p.metadata),
    };
    protocols.iter().map(copied).collect()
}

/// The text, cut where it is too long to be kept.
pub(crate) fn shorten(text: &Name) -> Name {
    if text.len() <= SHOWN_BYTES_MAX {
        return text.clone();
    }
    text[..text.floor_char_boundary(SHOWN_BYTES_MAX)].into()
}
