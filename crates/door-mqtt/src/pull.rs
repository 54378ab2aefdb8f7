//! From a session's queue in the core to its client, as fast as that takes it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use base::Millis;
use broker::FetchError;
use broker::sessions::{Session as Kept, Taken};
use door::BoxFuture;
use tokio::time::{Sleep, sleep};

use crate::limits::PULLED_MAX;
use crate::session::Session;
use crate::session::outbound::Sent;

/// Pause after the queue could not be read.
const RETRY: Duration = Duration::from_millis(500);

/// What a connection takes from its session's queue.
pub(crate) struct Pull {
    kept: Kept,
    reading: Option<BoxFuture<Result<Vec<Taken>, FetchError>>>,
    taken: VecDeque<Taken>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl std::fmt::Debug for Pull {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pull").field("taken", &self.taken.len()).finish_non_exhaustive()
    }
}

impl Pull {
    pub(crate) fn new(kept: Kept) -> Self {
        Self { kept, reading: None, taken: VecDeque::new(), pause: None }
    }

    /// Sends what can be sent. Whether something was; if not, the task is woken when there is more, by the queue, the
    /// disk, the client, or its socket.
    pub(crate) fn poll(
        &mut self,
        session: &Session,
        connection: u64,
        now: Millis,
        cx: &mut Context<'_>,
    ) -> bool {
        let mut has_sent = false;
        loop {
            let (sent, room) = self.send(session, connection, now);
            has_sent |= sent;
            if room == 0 || !self.taken.is_empty() || self.poll_pause(cx).is_pending() {
                return has_sent;
            }
            if self.reading.is_none() {
                if self.kept.poll_waiting(cx).is_pending() {
                    return has_sent;
                }
                let kept = self.kept.clone();
                let max = room.min(PULLED_MAX);
                self.reading = Some(Box::pin(async move { kept.next(max, now).await }));
            }
            let Some(reading) = &mut self.reading else { return has_sent };
            let Poll::Ready(outcome) = reading.as_mut().poll(cx) else { return has_sent };
            self.reading = None;
            match outcome {
                Ok(taken) if taken.is_empty() => {
                    // What waited is gone or expired. There may be more, but others have their turn first.
                    cx.waker().wake_by_ref();
                    return has_sent;
                }
                Ok(taken) => self.taken = taken.into(),
                Err(error) => {
                    tracing::warn!(%error, "what waits for a session cannot be read");
                    self.pause = Some(Box::pin(sleep(RETRY)));
                }
            }
        }
    }

    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        Poll::Ready(())
    }

    /// Sends of what was taken; whether something was sent, and how much more the client takes.
    fn send(&mut self, session: &Session, connection: u64, now: Millis) -> (bool, usize) {
        let (mut has_sent, mut done) = (false, Vec::new());
        let mut state = session.lock();
        if !state.is_attached(connection) {
            return (false, 0);
        }
        while let Some(next) = self.taken.front() {
            match state.send_kept(next, now) {
                Sent::Yes => has_sent = true,
                Sent::Later => break,
                Sent::Done => {
                    has_sent = true;
                    done.push(next.waiting.handle);
                }
            }
            self.taken.pop_front();
        }
        let room = state.outbound.room();
        drop(state);
        if !done.is_empty() {
            self.kept.settle(&done);
        }
        (has_sent, room)
    }
}
