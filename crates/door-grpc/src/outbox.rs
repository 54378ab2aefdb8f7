//! What waits to be sent on one stream: bounded, by bytes and by the client's credit.
//!
//! Whoever delivers puts messages in, on its own thread; the connection takes them out when there is room on the wire.

use std::collections::VecDeque;
use std::fmt::{self, Debug, Formatter};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use door::DoorFigures;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_stream::Stream;
use tonic::Status;

use crate::limits::{
    CONTROLS_MAX, PACK_BYTES, PACK_MAX, PENDING_BYTES_HIGH, PENDING_BYTES_LOW, PENDING_BYTES_MAX,
};

/// Most wakers of publishers who wait until less is pending; whoever comes then does not wait.
const WAITING_MAX: usize = 1024;

/// What becomes of what is put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// It will be sent.
    Yes,
    /// It will be sent when somebody calls [`Outbox::wake`].
    First,
    /// It will be sent, but a lot is pending.
    Slow,
    /// There is no room.
    Full,
    /// The stream is over.
    Closed,
}

/// Deliveries `D`, which answers `R` are made of.
pub(crate) struct Outbox<D, R> {
    state: Mutex<State<D, R>>,
    pack: fn(Vec<D>) -> R,
    /// Deliveries that go into one answer.
    pack_max: usize,
    figures: Arc<DoorFigures>,
    /// There is room, or credit, for those who found none.
    room: Notify,
    /// Enough answers were taken for further ones.
    answered: Notify,
}

struct State<D, R> {
    controls: VecDeque<R>,
    deliveries: VecDeque<(D, usize)>,
    bytes: usize,
    /// So many deliveries more may be sent.
    credit: u64,
    /// Deliveries that found no room, and are told of.
    missed: u64,
    /// Nothing more is put in; this ends the stream.
    end: Option<Result<(), Status>>,
    is_over: bool,
    waker: Option<Waker>,
    waiting: Vec<Waker>,
}

impl<D, R> Debug for Outbox<D, R> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}

impl<D, R> State<D, R> {
    fn is_closed(&self) -> bool {
        self.is_over || self.end.is_some()
    }

    /// What is not promised to a delivery that is in already.
    fn free_credit(&self) -> u64 {
        self.credit.saturating_sub(self.deliveries.len() as u64)
    }
}

impl<D, R> Outbox<D, R> {
    pub(crate) fn new(
        pack: fn(Vec<D>) -> R,
        pack_max: usize,
        figures: &Arc<DoorFigures>,
    ) -> Arc<Self> {
        let state = State {
            controls: VecDeque::new(),
            deliveries: VecDeque::new(),
            bytes: 0,
            credit: 0,
            missed: 0,
            end: None,
            is_over: false,
            waker: None,
            waiting: Vec::new(),
        };
        let (room, answered) = (Notify::new(), Notify::new());
        let pack_max = pack_max.clamp(1, PACK_MAX);
        let (state, figures) = (Mutex::new(state), Arc::clone(figures));
        Arc::new(Self { state, pack, pack_max, figures, room, answered })
    }

    /// Puts in a delivery of about so many bytes, with or without credit for it.
    pub(crate) fn push(&self, delivery: D, bytes: usize) -> Put {
        let mut state = self.state.lock();
        if state.is_closed() {
            return Put::Closed;
        }
        if state.bytes + bytes > PENDING_BYTES_MAX && !state.deliveries.is_empty() {
            return Put::Full;
        }
        let is_first = state.deliveries.is_empty();
        state.bytes += bytes;
        state.deliveries.push_back((delivery, bytes));
        match state.bytes > PENDING_BYTES_HIGH {
            _ if is_first => Put::First,
            true => Put::Slow,
            false => Put::Yes,
        }
    }

    /// Puts in a delivery that its maker has bounded: it is in any case, unless the stream is over.
    pub(crate) fn push_anyway(&self, delivery: D, bytes: usize) {
        let mut state = self.state.lock();
        if !state.is_closed() {
            state.bytes += bytes;
            state.deliveries.push_back((delivery, bytes));
        }
    }

    /// Puts in a delivery if there is credit for it, and little is pending.
    pub(crate) fn offer(&self, make: impl FnOnce() -> (D, usize)) -> bool {
        let mut state = self.state.lock();
        if state.is_closed() || state.free_credit() == 0 || state.bytes >= PENDING_BYTES_HIGH {
            return false;
        }
        let (delivery, bytes) = make();
        state.bytes += bytes;
        state.deliveries.push_back((delivery, bytes));
        true
    }

    /// Counts a delivery that found no room.
    pub(crate) fn miss(&self) {
        self.figures.dropped_messages.add(1);
        self.state.lock().missed += 1;
    }

    /// Answers something.
    pub(crate) fn control(&self, control: R) {
        let mut state = self.state.lock();
        if !state.is_closed() {
            state.controls.push_back(control);
        }
        wake(state);
    }

    /// Waits while too many answers are not read.
    pub(crate) async fn until_read(&self) {
        let is_unread = || {
            let state = self.state.lock();
            !state.is_closed() && state.controls.len() >= CONTROLS_MAX
        };
        while is_unread() {
            self.answered.notified().await;
        }
    }

    /// So many deliveries more may be sent.
    pub(crate) fn add_credit(&self, more: u32) {
        let mut state = self.state.lock();
        state.credit = state.credit.saturating_add(more.into());
        wake(state);
        self.room.notify_one();
    }

    /// Deliveries are sent as they are read.
    pub(crate) fn add_endless_credit(&self) {
        self.state.lock().credit = u64::MAX;
    }

    /// How many deliveries may be put in, as far as credit goes and as long as little is pending.
    pub(crate) fn free(&self) -> usize {
        let state = self.state.lock();
        match state.is_closed() || state.bytes >= PENDING_BYTES_HIGH {
            true => 0,
            false => usize::try_from(state.free_credit()).unwrap_or(usize::MAX),
        }
    }

    /// Deliveries that wait to be sent.
    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().deliveries.len()
    }

    /// Waits until there may be room again.
    pub(crate) async fn until_room(&self) {
        self.room.notified().await;
    }

    /// Has what is in it sent.
    pub(crate) fn wake(&self) {
        wake(self.state.lock());
    }

    /// Ready when little is pending.
    pub(crate) fn poll_little(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.is_closed() || state.bytes <= PENDING_BYTES_LOW {
            return Poll::Ready(());
        }
        if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            if state.waiting.len() >= WAITING_MAX {
                return Poll::Ready(());
            }
            state.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Ends the stream, once what is in it and has credit was sent.
    pub(crate) fn finish(&self, how: Result<(), Status>) {
        let mut state = self.state.lock();
        if !state.is_closed() {
            state.end = Some(how);
        }
        wake(state);
    }

    /// Ends the stream at once, since its client is too slow: what is in it is not sent.
    pub(crate) fn fail(&self, status: Status) {
        let mut state = self.state.lock();
        let left = std::mem::take(&mut state.deliveries);
        state.bytes = 0;
        if !state.is_closed() {
            state.end = Some(Err(status));
            self.figures.slow_consumers.add(1);
        }
        wake(state);
        drop(left);
    }

    /// Nobody reads it any more.
    fn close(&self) {
        let mut state = self.state.lock();
        state.is_over = true;
        let waiting = std::mem::take(&mut state.waiting);
        let left = (std::mem::take(&mut state.deliveries), std::mem::take(&mut state.controls));
        state.bytes = 0;
        drop(state);
        drop(left);
        waiting.into_iter().for_each(Waker::wake);
        self.answered.notify_one();
    }

    fn poll(&self, cx: &Context<'_>, missed: fn(u64) -> R) -> Poll<Option<Result<R, Status>>> {
        let mut state = self.state.lock();
        if let Some(control) = state.controls.pop_front() {
            self.answered.notify_one();
            return Poll::Ready(Some(Ok(control)));
        }
        let mut pack = Vec::new();
        let mut bytes = 0;
        while pack.len() < self.pack_max && bytes < PACK_BYTES && state.credit > 0 {
            let Some((delivery, size)) = state.deliveries.pop_front() else { break };
            pack.push(delivery);
            bytes += size;
            if state.credit < u64::MAX {
                state.credit -= 1;
            }
        }
        if !pack.is_empty() {
            state.bytes -= bytes;
            self.taken(state);
            self.figures.delivered(pack.len() as u64, bytes);
            return Poll::Ready(Some(Ok((self.pack)(pack))));
        }
        if state.missed > 0 && state.deliveries.is_empty() {
            return Poll::Ready(Some(Ok(missed(std::mem::take(&mut state.missed)))));
        }
        if state.is_over {
            return Poll::Ready(None);
        }
        if let Some(end) = state.end.take() {
            state.is_over = true;
            return Poll::Ready(end.err().map(Err));
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn taken(&self, mut state: parking_lot::MutexGuard<'_, State<D, R>>) {
        let is_little = state.bytes <= PENDING_BYTES_LOW;
        let waiting = match is_little {
            true => std::mem::take(&mut state.waiting),
            false => Vec::new(),
        };
        drop(state);
        if is_little {
            waiting.into_iter().for_each(Waker::wake);
            self.room.notify_one();
        }
    }
}

fn wake<D, R>(mut state: parking_lot::MutexGuard<'_, State<D, R>>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The stream of answers. What fills it ends with it.
pub(crate) struct Feed<D, R> {
    outbox: Arc<Outbox<D, R>>,
    missed: fn(u64) -> R,
    filling: AbortHandle,
}

impl<D, R> Feed<D, R> {
    /// Of an outbox that a task fills. `missed`: says that so many deliveries found no room.
    pub(crate) fn new(
        outbox: Arc<Outbox<D, R>>,
        missed: fn(u64) -> R,
        filling: AbortHandle,
    ) -> Self {
        Self { outbox, missed, filling }
    }
}

impl<D, R> Stream for Feed<D, R> {
    type Item = Result<R, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.outbox.poll(cx, self.missed)
    }
}

impl<D, R> Drop for Feed<D, R> {
    fn drop(&mut self) {
        self.filling.abort();
        self.outbox.close();
    }
}

#[cfg(test)]
mod tests;
