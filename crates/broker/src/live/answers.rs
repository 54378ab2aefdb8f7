//! Answers that are expected of members of groups, so that it is known how long they take.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base::Subject;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::groups::InFlight;

/// Requests that are waited for, of all groups together. The oldest is given up for one more.
const WAITING_MAX: usize = 65_536;
/// An answer that did not come by then does not come.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Requests by the subject of their answer.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    waiting: Mutex<Waiting>,
    /// Looked at for every message; mostly there is none.
    count: AtomicUsize,
}

#[derive(Debug, Default)]
struct Waiting {
    requests: HashMap<Subject, InFlight>,
    /// In the order in which they came; some are answered.
    order: VecDeque<(Instant, Subject)>,
}

impl Answers {
    /// A member of a group got a request with this subject for the answer.
    pub(super) fn expect(&self, reply_to: &Subject, request: InFlight) {
        let now = request.since();
        let mut waiting = self.waiting.lock();
        let old = |(at, _): &(Instant, Subject)| now.duration_since(*at) > WAIT_MAX;
        while waiting.order.front().is_some_and(old) || waiting.order.len() >= WAITING_MAX {
            let Some((at, subject)) = waiting.order.pop_front() else { break };
            if waiting.requests.get(&subject).is_some_and(|request| request.since() == at) {
                waiting.requests.remove(&subject);
            }
        }
        waiting.order.push_back((now, reply_to.clone()));
        waiting.requests.insert(reply_to.clone(), request);
        self.count.store(waiting.requests.len(), Ordering::Relaxed);
    }

    /// A message came; maybe it is an answer.
    #[inline]
    pub(super) fn answered(&self, subject: &Subject) {
        if self.count.load(Ordering::Relaxed) > 0 {
            self.look_for(subject);
        }
    }

    fn look_for(&self, subject: &Subject) {
        let mut waiting = self.waiting.lock();
        let request = waiting.requests.remove(subject);
        if waiting.requests.is_empty() {
            waiting.order.clear();
        }
        self.count.store(waiting.requests.len(), Ordering::Relaxed);
        drop(waiting);
        if let Some(request) = request {
            request.done();
        }
    }
}
