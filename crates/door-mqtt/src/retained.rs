//! Retained messages for new subscriptions: read page by page, as fast as the client takes them.
//!
//! A message reaches those who have subscribed before it is stored for those who come later. Whoever subscribes in
//! between waits until it is, so that nobody misses both: [`Storing`].

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};

use base::{Filter, Subject};
use broker::access::{Actor, Operation};
use broker::live::Batch;
use broker::{Broker, FetchError, Message, ProduceError};
use door::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::limits::{RETAINED_AHEAD, RETAINED_PAGE};
use crate::map::{NAMES, Received};
use crate::session::outbound::{Ids, Manner, Stored};
use crate::session::{Session, kept};
use crate::sys::Sys;
use crate::wire::subscribe::Options;

type Page = Result<Vec<(Subject, Message)>, FetchError>;

/// Retained messages that were handed to subscribers and are on their way to the disk.
#[derive(Debug, Default)]
pub(crate) struct Storing {
    state: Mutex<Tickets>,
    /// One of them is stored.
    stored: Notify,
}

#[derive(Debug, Default)]
struct Tickets {
    next: u64,
    open: BTreeSet<u64>,
}

/// Held until what was published is stored.
#[derive(Debug)]
pub(crate) struct Ticket {
    storing: Arc<Storing>,
    number: u64,
}

impl Storing {
    /// To be called before a message is handed to subscribers.
    pub(crate) fn begin(self: &Arc<Self>) -> Ticket {
        let mut state = self.state.lock();
        let number = state.next;
        state.next += 1;
        state.open.insert(number);
        Ticket { storing: Arc::clone(self), number }
    }

    /// Waits until all are stored that have begun by now.
    async fn settled(&self) {
        let begun = self.state.lock().next;
        loop {
            let mut stored = std::pin::pin!(self.stored.notified());
            // Before the look, so that nothing is missed after it.
            stored.as_mut().enable();
            if self.state.lock().open.first().is_none_or(|first| *first >= begun) {
                return;
            }
            stored.await;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.storing.state.lock().open.remove(&self.number);
        self.storing.stored.notify_waiters();
    }
}

/// What a connection still owes to its new subscriptions.
#[derive(Default)]
pub(crate) struct Owed {
    wanted: VecDeque<Wanted>,
    /// The page that is being read, of the first of them.
    reading: Option<BoxFuture<Page>>,
    /// Those that are being put into the session's queue.
    queueing: Option<BoxFuture<Vec<Result<(), ProduceError>>>>,
}

/// A subscription whose retained messages are to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) filter: Filter,
    pub(crate) options: Options,
    pub(crate) id: Option<u32>,
    /// The last subject that was sent.
    pub(crate) after: Option<Subject>,
    /// It was told of how the door is doing.
    pub(crate) knows_sys: bool,
}

impl Owed {
    pub(crate) fn push(&mut self, wanted: Wanted) {
        self.wanted.push_back(wanted);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.wanted.is_empty() && self.queueing.is_none()
    }

    /// Sends another page to the session, if one can be had.
    ///
    /// # Errors
    /// They cannot be read.
    pub(crate) fn poll(
        &mut self,
        (broker, storing, sys): (&Broker, &Arc<Storing>, &Sys),
        to: (&Arc<Session>, u64, &Actor),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), FetchError>> {
        if let Some(queueing) = &mut self.queueing {
            let outcomes = std::task::ready!(queueing.as_mut().poll(cx));
            self.queueing = None;
            if let Some(error) = outcomes.into_iter().find_map(Result::err) {
                tracing::warn!(%error, "retained messages do not wait for a session");
            }
        }
        // The client's next acknowledgement goes on.
        if to.0.kept.as_ref().is_some_and(|kept| kept.waiting() > RETAINED_AHEAD) {
            return Poll::Pending;
        }
        let Some(wanted) = self.wanted.front_mut() else { return Poll::Pending };
        if !std::mem::replace(&mut wanted.knows_sys, true) {
            send_sys(sys, wanted, to);
        }
        let reading = self.reading.get_or_insert_with(|| {
            let (broker, storing, wanted) = (broker.clone(), Arc::clone(storing), wanted.clone());
            Box::pin(async move {
                storing.settled().await;
                broker.retained(&wanted.filter, wanted.after, RETAINED_PAGE).await
            })
        });
        let Poll::Ready(page) = reading.as_mut().poll(cx) else { return Poll::Pending };
        self.reading = None;
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                self.wanted.pop_front();
                return Poll::Ready(Err(error));
            }
        };
        wanted.after = page.last().map(|(subject, _)| subject.clone());
        let is_last = page.len() < RETAINED_PAGE;
        let batch = send(&page, wanted, to, broker);
        if !batch.is_empty() {
            let broker = broker.clone();
            self.queueing = Some(Box::pin(async move { broker.store(batch).await.done().await }));
        }
        if is_last {
            self.wanted.pop_front();
        }
        Poll::Ready(Ok(()))
    }
}

/// Sends what was said last of how the door is doing.
fn send_sys(
    sys: &Sys,
    wanted: &Wanted,
    (session, connection, actor): (&Arc<Session>, u64, &Actor),
) {
    let all = sys.retained(&wanted.filter);
    if all.is_empty() {
        return;
    }
    let mut state = session.lock();
    if !state.is_attached(connection) {
        return;
    }
    let ids = wanted.id.map_or(Ids::None, Ids::One);
    let may_read = |topic: &str| {
        let subject = NAMES.subject(topic.as_bytes());
        subject.is_ok_and(|subject| actor.may_subject(Operation::Read, &subject))
    };
    for (topic, value) in all.iter().filter(|(topic, _)| may_read(topic)) {
        let manner = Manner { qos: 0, retain: true, ids: ids.clone() };
        session.send_sys(&mut state, topic, value, manner);
    }
}

/// Sends a page; what is to be acknowledged to a session that outlives its connection goes into a batch for its queue.
fn send(
    page: &[(Subject, Message)],
    wanted: &Wanted,
    (session, connection, actor): (&Arc<Session>, u64, &Actor),
    broker: &Broker,
) -> Batch {
    let now = broker.now();
    let mut batch = Batch::default();
    for (subject, message) in
        page.iter().filter(|(subject, _)| actor.may_subject(Operation::Read, subject))
    {
        let topic = NAMES.name(subject);
        let received = Received::new(&topic, message, true);
        if received.topic.is_empty() || received.topic.len() > usize::from(u16::MAX) {
            continue;
        }
        let qos = wanted.options.qos.min(received.published.qos);
        if let Some(kept) = session.kept.as_ref().filter(|_| qos > 0) {
            let note = kept::note(qos, wanted.id);
            if let Err(error) = batch.push_for(broker, kept, (subject, message), note) {
                tracing::warn!(%error, "a retained message does not wait for a session");
            }
            continue;
        }
        let ids = wanted.id.map_or(Ids::None, Ids::One);
        let view = received.view();
        let mut state = session.lock();
        if state.is_attached(connection) {
            let hold = (|| Arc::new(Stored::of(view)), || None);
            // One that there is no room for is counted as dropped.
            state.outbound.deliver(view, Manner { qos, retain: true, ids }, now, hold);
        }
    }
    batch
}

impl std::fmt::Debug for Owed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Owed").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_subscribes_waits_for_what_has_begun_and_for_nothing_later() {
        let storing = Arc::new(Storing::default());
        storing.settled().await;
        let before = storing.begin();
        let waiting = tokio::spawn({
            let storing = Arc::clone(&storing);
            async move { storing.settled().await }
        });
        tokio::task::yield_now().await;
        let later = storing.begin();
        assert!(!waiting.is_finished());
        drop(before);
        waiting.await.unwrap();
        drop(later);
        assert!(storing.state.lock().open.is_empty());
    }
}
