//! Retained messages for new subscriptions: read page by page, as fast as the client takes them.
//!
//! A message reaches those who have subscribed before it is stored for those who come later. Whoever subscribes in
//! between waits until it is, so that nobody misses both: [`Storing`].

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};

use base::{Filter, Subject};
use broker::access::{Actor, Operation};
use broker::{Broker, FetchError, Message};
use door::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::limits::RETAINED_PAGE;
use crate::map::{NAMES, Received};
use crate::may;
use crate::session::Session;
use crate::session::outbound::{Ids, Manner, Stored};
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
}

/// A subscription whose retained messages are to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) filter: Filter,
    pub(crate) options: Options,
    pub(crate) id: Option<u32>,
    /// The last subject that was sent.
    pub(crate) after: Option<Subject>,
}

impl Owed {
    pub(crate) fn push(&mut self, wanted: Wanted) {
        self.wanted.push_back(wanted);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Sends another page to the session, if one can be had.
    ///
    /// # Errors
    /// They cannot be read.
    pub(crate) fn poll(
        &mut self,
        (broker, storing): (&Broker, &Arc<Storing>),
        to: (&Session, u64, &Actor),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), FetchError>> {
        let Some(wanted) = self.wanted.front_mut() else { return Poll::Pending };
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
        send(&page, wanted, to, broker.now());
        if is_last {
            self.wanted.pop_front();
        }
        Poll::Ready(Ok(()))
    }
}

fn send(
    page: &[(Subject, Message)],
    wanted: &Wanted,
    (session, connection, actor): (&Session, u64, &Actor),
    now: base::Millis,
) {
    for (subject, message) in
        page.iter().filter(|(subject, _)| may(actor, Operation::Read, subject))
    {
        let topic = NAMES.name(subject);
        let received = Received::new(&topic, message, true);
        if received.topic.is_empty() || received.topic.len() > usize::from(u16::MAX) {
            continue;
        }
        let qos = wanted.options.qos.min(received.published.qos);
        let ids = wanted.id.map_or(Ids::None, Ids::One);
        let view = received.view();
        let mut state = session.lock();
        if state.is_attached(connection) {
            let stored = || Arc::new(Stored::of(view));
            // One that there is no room for is counted as dropped.
            state.outbound.deliver(view, Manner { qos, retain: true, ids }, now, stored);
        }
    }
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
