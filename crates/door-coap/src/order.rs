//! Whoever publishes to a subject is told when the value is stored, and those who observe get it then: in the order in
//! which it is stored, so that what they have last is what is there.
//!
//! Publishers of one subject hand their values to the log one after the other, wait for the disk together, and deliver
//! one after the other again. One that looks at what is there before it decides waits for all before it, and lets nobody
//! pass.

use std::hash::{DefaultHasher, Hash, Hasher};

use base::Subject;
use tokio::sync::{Mutex, MutexGuard, oneshot};

/// Subjects share so many rows.
const ROWS: usize = 256;

/// The one of a row that handed its value over last.
#[derive(Debug, Default)]
struct Last {
    /// Ends when it is done.
    done: Option<oneshot::Receiver<()>>,
    /// What it was about, and whether there is a value of that then.
    subject: Subject,
    exists: bool,
}

/// All rows.
#[derive(Debug)]
pub(crate) struct Order(Vec<Mutex<Last>>);

impl Default for Order {
    fn default() -> Self {
        Self((0..ROWS).map(|_| Mutex::default()).collect())
    }
}

/// A publisher that is the next to hand over its value.
#[derive(Debug)]
pub(crate) struct Turn<'a>(MutexGuard<'a, Last>);

/// One that has: those behind it deliver when this is dropped.
#[derive(Debug)]
pub(crate) struct Passed {
    before: Option<oneshot::Receiver<()>>,
    _done: oneshot::Sender<()>,
}

impl Order {
    /// Waits for the turn to hand a value over.
    pub(crate) async fn enter(&self, subject: &Subject) -> Turn<'_> {
        let mut hasher = DefaultHasher::new();
        subject.hash(&mut hasher);
        let row = usize::try_from(hasher.finish() % ROWS as u64).unwrap_or(0);
        // There are as many as there are numbers of them.
        let row = self.0.get(row).unwrap_or(&self.0[0]);
        Turn(row.lock().await)
    }
}

impl Turn<'_> {
    /// Waits until all that was handed over before is stored and delivered.
    pub(crate) async fn alone(&mut self) {
        if let Some(before) = self.0.done.take() {
            // An end is an end, whichever way it came.
            let _ended = before.await;
        }
    }

    /// Whether there will be a value of this subject, if the one before says so, and is not done yet.
    pub(crate) fn foreseen(&mut self, subject: &Subject) -> Option<bool> {
        let done = self.0.done.as_mut()?;
        if !matches!(done.try_recv(), Err(oneshot::error::TryRecvError::Empty)) {
            // Done with; and not to be waited for again.
            self.0.done = None;
            return None;
        }
        (self.0.subject == *subject).then_some(self.0.exists)
    }

    /// Lets the next one hand over its value. There will be one of this subject, or not.
    pub(crate) fn pass(mut self, subject: &Subject, exists: bool) -> Passed {
        let (done, after) = oneshot::channel();
        let last = Last { done: Some(after), subject: subject.clone(), exists };
        Passed { before: std::mem::replace(&mut *self.0, last).done, _done: done }
    }
}

impl Passed {
    /// Waits until those before have delivered.
    pub(crate) async fn turn(&mut self) {
        if let Some(before) = self.before.take() {
            let _ended = before.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn values_are_handed_over_together_and_delivered_in_order() {
        let (order, subject) = (Order::default(), Subject::from_levels(["a"]));
        let first = order.enter(&subject).await.pass(&subject, true);
        let mut turn = order.enter(&subject).await;
        assert_eq!(turn.foreseen(&subject), Some(true));
        assert_eq!(turn.foreseen(&Subject::from_levels(["b"])), None);
        let mut second = turn.pass(&subject, false);
        let mut alone = pin!(async {
            let mut turn = order.enter(&subject).await;
            turn.alone().await;
            turn
        });
        assert!(poll(alone.as_mut()).is_pending());
        {
            let mut delivers = pin!(second.turn());
            assert!(poll(delivers.as_mut()).is_pending());
            drop(first);
            assert!(poll(delivers.as_mut()).is_ready());
        }
        assert!(poll(alone.as_mut()).is_pending());
        drop(second);
        let Poll::Ready(mut turn) = poll(alone.as_mut()) else { panic!("all before are done") };
        assert_eq!(turn.foreseen(&subject), None, "it is as it is");
        let mut next = pin!(order.enter(&subject));
        assert!(poll(next.as_mut()).is_pending(), "nobody passes one that decides");
        drop(turn);
        let Poll::Ready(turn) = poll(next.as_mut()) else { panic!("it is its turn") };
        drop(turn.pass(&subject, true));
        let mut turn = order.enter(&subject).await;
        assert_eq!(turn.foreseen(&subject), None, "that is done with");
        turn.pass(&subject, true).turn().await;
    }
}
