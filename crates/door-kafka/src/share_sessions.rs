//! Share sessions (KIP-932): what a member of a share group takes from, so that each request says
//! only what changed. A session belongs to the connection that began it: when that is gone, what
//! the member holds comes back at once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::TopicId;
use broker::Broker;
use broker::queue::Name;
use parking_lot::Mutex;

use crate::wire::ErrorCode;

/// The epoch of the request that begins a session.
pub(crate) const FIRST_EPOCH: i32 = 0;
/// The epoch of the request that ends it.
pub(crate) const LAST_EPOCH: i32 = -1;
/// Most partitions of all sessions together.
const PARTITIONS_MAX: usize = 1_000_000;

/// A partition that a session takes from.
pub(crate) type Partition = (TopicId, i32);

/// All sessions of a broker.
#[derive(Debug)]
pub(crate) struct ShareSessions {
    sessions_max: usize,
    connections: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    sessions: HashMap<(Name, Name), Session>,
    partitions: usize,
}

#[derive(Debug)]
struct Session {
    /// The epoch that the next request must have.
    epoch: i32,
    connection: u64,
    /// In the order in which they are looked at next.
    partitions: VecDeque<Partition>,
}

/// What a request changes of its session.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) add: Vec<Partition>,
    pub(crate) forget: Vec<Partition>,
}

impl ShareSessions {
    pub(crate) fn new(sessions_max: usize) -> Self {
        Self { sessions_max, connections: AtomicU64::new(0), state: Mutex::default() }
    }

    /// Takes a request's place in its session. Returns the partitions to take from; none when it
    /// ends.
    pub(crate) fn advance(
        &self,
        member: &(Name, Name),
        epoch: i32,
        connection: u64,
        change: Change,
    ) -> Result<Vec<Partition>, ErrorCode> {
        let state = &mut *self.state.lock();
        match epoch {
            FIRST_EPOCH => {
                // One that was begun before is over: its answers did not arrive.
                state.remove(member);
                if state.sessions.len() >= self.sessions_max {
                    return Err(ErrorCode::ShareSessionLimitReached);
                }
                let session = Session { epoch: 1, connection, partitions: VecDeque::new() };
                state.sessions.insert(member.clone(), session);
            }
            LAST_EPOCH => {
                state.remove(member).ok_or(ErrorCode::ShareSessionNotFound)?;
                return Ok(Vec::new());
            }
            _ => {
                let session =
                    state.sessions.get_mut(member).ok_or(ErrorCode::ShareSessionNotFound)?;
                if session.epoch != epoch {
                    return Err(ErrorCode::InvalidShareSessionEpoch);
                }
                session.epoch = epoch.checked_add(1).unwrap_or(1);
            }
        }
        let others = state.partitions;
        let session = state.sessions.get_mut(member).ok_or(ErrorCode::ShareSessionNotFound)?;
        let before = session.partitions.len();
        session.apply(change);
        let now = others - before + session.partitions.len();
        if now > PARTITIONS_MAX {
            state.remove(member);
            return Err(ErrorCode::ShareSessionLimitReached);
        }
        let partitions = session.partitions.iter().copied().collect();
        // Each is the first in turn.
        session.partitions.rotate_left(session.partitions.len().min(1));
        state.partitions = now;
        Ok(partitions)
    }

    /// Ends the sessions of a connection; returns whose they were.
    fn end(&self, connection: u64) -> Vec<(Name, Name)> {
        let mut state = self.state.lock();
        let of = state.sessions.iter().filter(|(_, session)| session.connection == connection);
        let members: Vec<_> = of.map(|(member, _)| member.clone()).collect();
        for member in &members {
            state.remove(member);
        }
        members
    }
}

impl State {
    fn remove(&mut self, member: &(Name, Name)) -> Option<Session> {
        let session = self.sessions.remove(member)?;
        self.partitions -= session.partitions.len();
        Some(session)
    }
}

impl Session {
    fn apply(&mut self, change: Change) {
        if !change.add.is_empty() {
            let mut known: HashSet<_> = self.partitions.iter().copied().collect();
            self.partitions.extend(change.add.into_iter().filter(|one| known.insert(*one)));
        }
        if !change.forget.is_empty() {
            let forget: HashSet<_> = change.forget.into_iter().collect();
            self.partitions.retain(|one| !forget.contains(one));
        }
    }
}

/// The sessions of one connection, which end with it.
#[derive(Debug)]
pub(crate) struct OfConnection {
    sessions: Arc<ShareSessions>,
    broker: Broker,
    connection: u64,
}

impl OfConnection {
    pub(crate) fn new(sessions: &Arc<ShareSessions>, broker: &Broker) -> Self {
        let connection = sessions.connections.fetch_add(1, Ordering::Relaxed);
        Self { sessions: Arc::clone(sessions), broker: broker.clone(), connection }
    }

    /// As [`ShareSessions::advance`].
    pub(crate) fn advance(
        &self,
        member: &(Name, Name),
        epoch: i32,
        change: Change,
    ) -> Result<Vec<Partition>, ErrorCode> {
        self.sessions.advance(member, epoch, self.connection, change)
    }
}

impl Drop for OfConnection {
    fn drop(&mut self) {
        for (group, member) in self.sessions.end(self.connection) {
            // It may have looked at what it was sent: that counts as delivered.
            self.broker.groups().give_back(&group, &member, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str) -> (Name, Name) {
        ("g".into(), name.into())
    }

    fn add(partitions: &[i32]) -> Change {
        Change {
            add: partitions.iter().map(|one| (TopicId(1), *one)).collect(),
            ..Change::default()
        }
    }

    fn numbers(partitions: Vec<Partition>) -> Vec<i32> {
        partitions.into_iter().map(|(_, partition)| partition).collect()
    }

    #[test]
    fn a_session_remembers_what_was_said_and_takes_turns() {
        let sessions = ShareSessions::new(2);
        let a = member("a");
        assert_eq!(numbers(sessions.advance(&a, 0, 1, add(&[0, 1, 2])).unwrap()), [0, 1, 2]);
        assert_eq!(numbers(sessions.advance(&a, 1, 1, Change::default()).unwrap()), [1, 2, 0]);
        let forget = Change { forget: vec![(TopicId(1), 2)], ..add(&[3, 0]) };
        assert_eq!(numbers(sessions.advance(&a, 2, 1, forget).unwrap()), [0, 1, 3]);
        assert_eq!(sessions.advance(&a, -1, 1, Change::default()), Ok(vec![]));
        let gone = sessions.advance(&a, 3, 1, Change::default());
        assert_eq!(gone, Err(ErrorCode::ShareSessionNotFound));
        assert_eq!(sessions.state.lock().partitions, 0);
    }

    #[test]
    fn epochs_come_one_after_the_other() {
        let sessions = ShareSessions::new(2);
        let a = member("a");
        let unknown = sessions.advance(&a, 1, 1, Change::default());
        assert_eq!(unknown, Err(ErrorCode::ShareSessionNotFound));
        sessions.advance(&a, 0, 1, Change::default()).unwrap();
        let ahead = sessions.advance(&a, 2, 1, Change::default());
        assert_eq!(ahead, Err(ErrorCode::InvalidShareSessionEpoch));
        sessions.advance(&a, 1, 1, Change::default()).unwrap();
        sessions.state.lock().sessions.get_mut(&a).unwrap().epoch = i32::MAX;
        sessions.advance(&a, i32::MAX, 1, Change::default()).unwrap();
        sessions.advance(&a, 1, 1, Change::default()).unwrap();
    }

    #[test]
    fn there_are_so_many_sessions_and_a_connection_takes_its_own_with_it() {
        let sessions = ShareSessions::new(2);
        sessions.advance(&member("a"), 0, 1, add(&[0])).unwrap();
        sessions.advance(&member("b"), 0, 2, add(&[0])).unwrap();
        let full = sessions.advance(&member("c"), 0, 2, add(&[0]));
        assert_eq!(full, Err(ErrorCode::ShareSessionLimitReached));
        sessions.advance(&member("a"), 0, 1, add(&[0])).unwrap();
        assert_eq!(sessions.end(1), [member("a")]);
        assert_eq!(sessions.state.lock().partitions, 1);
        sessions.advance(&member("c"), 0, 2, add(&[0])).unwrap();
    }
}
