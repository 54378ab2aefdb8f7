//! What waits to be sent to one client.
//!
//! Whoever publishes encodes straight into it, under a short lock, and after a batch of messages
//! writes to the client's socket itself as far as that takes anything at once. So a message costs no
//! change of tasks. Only what the socket does not take waits for the connection's own task.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use broker::observe::Counter;
use door::{DoorFigures, WriteHalf, pool};
use parking_lot::{Mutex, MutexGuard};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::limits::{
    CHUNK_BYTES, CHUNK_KEPT_BYTES, HANDED_OVER_BYTES, PENDING_BYTES_HIGH, PENDING_SHARE_BYTES,
    PENDING_TOTAL_BYTES_MAX, WRITE_DEADLINE,
};
use crate::subscriptions::Subscriptions;
use crate::wire::encode::Outbound;

#[cfg(test)]
mod tests;

/// What all connections of the door have waiting.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// Bytes, as of when somebody last looked.
    bytes: AtomicUsize,
    /// What was handed to clients.
    messages_out: Arc<Counter>,
    bytes_out: Arc<Counter>,
}

impl Backlog {
    /// Of a door with these figures.
    pub(crate) fn new(figures: &DoorFigures) -> Self {
        Self {
            bytes: AtomicUsize::default(),
            messages_out: Arc::clone(&figures.delivered_messages),
            bytes_out: Arc::clone(&figures.delivered_bytes),
        }
    }
}

/// A bounded queue from whoever has something to say to a client to its socket.
#[derive(Debug)]
pub(crate) struct Outgoing {
    state: Mutex<State>,
    /// Anybody may write to the socket.
    is_direct: bool,
    /// Something for the connection's task to write, or the end.
    ready: Notify,
    /// The connection is to be dropped.
    cut: Notify,
    bytes_max: usize,
    backlog: Arc<Backlog>,
}

#[derive(Debug, Default)]
struct State {
    /// Encoded; the last one is open.
    chunks: VecDeque<Vec<u8>>,
    /// Bytes in `chunks`.
    queued: usize,
    /// Bytes that were taken out of `chunks` and are not on the socket yet.
    unsent: usize,
    writer: Writer,
    /// The socket, where anybody may write to it, until the connection is over.
    socket: Option<Arc<OwnedWriteHalf>>,
    /// What is left of a piece that the socket did not take all of, and where it goes on.
    rest: Option<(Vec<u8>, usize)>,
    /// An empty piece, or none.
    spare: Vec<u8>,
    /// What of this is in the backlog of all.
    reported: usize,
    /// Publishers that wait until there is less.
    wakers: Vec<Waker>,
    phase: Phase,
    /// Kept here, because nobody delivers without looking here.
    subscriptions: Subscriptions,
    delivered: Delivered,
    /// What of that the door has counted.
    counted: Delivered,
}

/// What was delivered to a client.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Delivered {
    pub(crate) messages: u64,
    /// Of payloads and headers.
    pub(crate) bytes: u64,
}

/// Who writes what was taken, and whoever does looks for more before it ends. There is one at a
/// time, so that bytes go out in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Writer {
    #[default]
    Nobody,
    /// Somebody within [`Outgoing::flush`].
    Flusher,
    /// The connection's task, or it was told to.
    Task,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Open,
    /// Write what is there, then close.
    Finishing,
    /// Close now.
    Cut(Cut),
}

/// Why a connection was cut off from outside its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// More would wait for the client than may.
    SlowConsumer,
    /// The client took nothing for too long.
    WriteDeadline,
    /// Its socket failed.
    Lost,
}

/// What became of something that was to be queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It is behind what waits already, which is so much.
    Behind(Waiting),
    /// It is the first: somebody must call [`Outgoing::flush`] in the end.
    First,
    /// The connection takes nothing any more.
    Closed,
}

/// How much waits for a client after a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    Little,
    /// Publishers should give it time.
    Much,
}

impl Outgoing {
    /// For a connection with this half to write to, and the half that its own task needs, if any.
    pub(crate) fn new(
        write: WriteHalf,
        bytes_max: usize,
        backlog: Arc<Backlog>,
    ) -> (Self, Option<WriteHalf>) {
        let (socket, write) = match write {
            WriteHalf::Plain(socket) => (Some(Arc::new(socket)), None),
            other => (None, Some(other)),
        };
        let is_direct = socket.is_some();
        let state = Mutex::new(State { socket, ..State::default() });
        let (ready, cut) = (Notify::new(), Notify::new());
        (Self { state, is_direct, ready, cut, bytes_max, backlog }, write)
    }

    /// Queues what `encode` appends, of `bytes_max` bytes at most.
    pub(crate) fn push(&self, bytes_max: usize, encode: impl FnOnce(&mut Vec<u8>)) -> Pushed {
        self.push_locked(&mut self.state.lock(), bytes_max, encode)
    }

    /// Queues a message for those of the subscriptions with these tags that are there.
    pub(crate) fn deliver(&self, tags: &[u64], message: &Outbound<'_>) -> Pushed {
        let mut state = self.state.lock();
        let mut outcome = Pushed::Closed;
        for tag in tags {
            let Some(sub) = state.subscriptions.get_mut(*tag).filter(|sub| sub.wants_more()) else {
                continue;
            };
            sub.delivered += 1;
            let is_last = !sub.wants_more();
            // Its own copy of the bytes, which are few: the lock covers both.
            let sid = std::mem::take(&mut sub.sid);
            let bytes_max = message.bytes_max(&sid);
            let pushed = self.push_locked(&mut state, bytes_max, |out| message.encode(&sid, out));
            if let Some(sub) = state.subscriptions.get_mut(*tag) {
                sub.sid = sid;
            }
            if pushed == Pushed::Closed {
                return outcome;
            }
            state.delivered.messages += 1;
            state.delivered.bytes += message.payload_bytes() as u64;
            if is_last {
                state.subscriptions.expire(*tag);
            }
            if outcome != Pushed::First {
                outcome = pushed;
            }
        }
        outcome
    }

    fn push_locked(
        &self,
        state: &mut MutexGuard<'_, State>,
        bytes_max: usize,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Pushed {
        if state.phase != Phase::Open {
            return Pushed::Closed;
        }
        let pending = state.queued + state.unsent;
        if pending + bytes_max > self.bytes_max || self.is_more_than_its_share(pending) {
            self.cut_off_locked(state, Cut::SlowConsumer);
            return Pushed::Closed;
        }
        let first = state.queued == 0;
        let is_full = |chunk: &Vec<u8>| chunk.len() + bytes_max > CHUNK_BYTES.max(chunk.capacity());
        if state.chunks.back().is_none_or(is_full) {
            let spare = std::mem::take(&mut state.spare);
            state.chunks.push_back(if spare.capacity() > 0 { spare } else { pool::take() });
        }
        let Some(chunk) = state.chunks.back_mut() else { return Pushed::Closed };
        let before = chunk.len();
        encode(chunk);
        let added = chunk.len() - before;
        state.queued += added;
        match first {
            true => Pushed::First,
            false if pending > PENDING_BYTES_HIGH => Pushed::Behind(Waiting::Much),
            false => Pushed::Behind(Waiting::Little),
        }
    }

    /// Queues bytes; nobody else needs to flush them.
    pub(crate) fn send(&self, bytes: &[u8]) {
        if self.push(bytes.len(), |out| out.extend_from_slice(bytes)) == Pushed::First {
            self.flush();
        }
    }

    /// The client's subscriptions, for a moment.
    pub(crate) fn with_subscriptions<R>(&self, with: impl FnOnce(&mut Subscriptions) -> R) -> R {
        with(&mut self.state.lock().subscriptions)
    }

    /// What was delivered so far.
    pub(crate) fn delivered(&self) -> Delivered {
        self.state.lock().delivered
    }

    fn is_more_than_its_share(&self, pending: usize) -> bool {
        pending > PENDING_SHARE_BYTES
            && self.backlog.bytes.load(Ordering::Relaxed) > PENDING_TOTAL_BYTES_MAX
    }

    /// Writes what waits, as far as the socket takes it at once; the connection's task does the
    /// rest.
    pub(crate) fn flush(&self) -> Waiting {
        if !self.is_direct {
            return self.wake();
        }
        let mut state = self.state.lock();
        loop {
            if state.writer != Writer::Nobody {
                return self.waiting(&mut state);
            }
            let Some(socket) = state.socket.clone() else { return Waiting::Little };
            let Some(chunk) = self.take(&mut state) else {
                if state.phase != Phase::Open {
                    self.ready.notify_one();
                }
                return self.waiting(&mut state);
            };
            state.writer = Writer::Flusher;
            drop(state);
            let written = write_at_once(&socket, &chunk);
            state = self.state.lock();
            state.writer = Writer::Nobody;
            let Ok(written) = written else {
                self.cut_off_locked(&mut state, Cut::Lost);
                return Waiting::Little;
            };
            state.unsent = state.unsent.saturating_sub(written);
            if written < chunk.len() && !matches!(state.phase, Phase::Cut(_)) {
                state.rest = Some((chunk, written));
                state.writer = Writer::Task;
                let waiting = self.waiting(&mut state);
                drop(state);
                self.ready.notify_one();
                return waiting;
            }
            Self::keep(&mut state, chunk);
        }
    }

    /// As [`Self::flush`], where many are flushed by the same thread: much is left to the connection's task.
    pub(crate) fn flush_in_company(&self) -> Waiting {
        let is_much = self.state.lock().queued >= HANDED_OVER_BYTES;
        if is_much { self.wake() } else { self.flush() }
    }

    /// Has the connection's task write what waits, whoever may write.
    pub(crate) fn wake(&self) -> Waiting {
        let mut state = self.state.lock();
        let waiting = self.waiting(&mut state);
        if state.writer == Writer::Nobody && state.queued > 0 {
            state.writer = Writer::Task;
            drop(state);
            self.ready.notify_one();
        }
        waiting
    }

    fn take(&self, state: &mut State) -> Option<Vec<u8>> {
        let chunk = state.chunks.pop_front()?;
        let counted = std::mem::replace(&mut state.counted, state.delivered);
        self.backlog.messages_out.add(state.delivered.messages - counted.messages);
        self.backlog.bytes_out.add(state.delivered.bytes - counted.bytes);
        state.queued -= chunk.len();
        state.unsent += chunk.len();
        Some(chunk)
    }

    fn keep(state: &mut State, mut chunk: Vec<u8>) {
        if CHUNK_KEPT_BYTES.contains(&chunk.capacity()) && chunk.capacity() > state.spare.capacity()
        {
            chunk.clear();
            std::mem::swap(&mut state.spare, &mut chunk);
        }
        pool::give(chunk);
    }

    /// Reports what waits to the backlog of all, and judges it.
    fn waiting(&self, state: &mut State) -> Waiting {
        let pending = state.queued + state.unsent;
        let reported = if pending > PENDING_BYTES_HIGH { pending } else { 0 };
        let before = std::mem::replace(&mut state.reported, reported);
        if reported != before {
            self.backlog.bytes.fetch_add(reported.wrapping_sub(before), Ordering::Relaxed);
            if reported == 0 {
                std::mem::take(&mut state.wakers).into_iter().for_each(Waker::wake);
            }
        }
        if reported == 0 { Waiting::Little } else { Waiting::Much }
    }

    /// Ready when little waits.
    pub(crate) fn poll_little(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if self.waiting(&mut state) == Waiting::Little {
            return Poll::Ready(());
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Lets the connection's task end when all is written; nothing can be queued any more.
    pub(crate) fn finish(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Finishing;
        }
        drop(state);
        self.ready.notify_one();
    }

    /// Drops what is queued and ends the connection.
    pub(crate) fn cut_off(&self, why: Cut) {
        self.cut_off_locked(&mut self.state.lock(), why);
    }

    fn cut_off_locked(&self, state: &mut State, why: Cut) {
        if !matches!(state.phase, Phase::Cut(_)) {
            state.phase = Phase::Cut(why);
        }
        state.chunks = VecDeque::new();
        state.rest = None;
        (state.queued, state.unsent) = (0, 0);
        self.waiting(state);
        self.cut.notify_one();
        self.ready.notify_one();
    }

    /// Waits until the connection is cut off.
    pub(crate) async fn until_cut(&self) -> Cut {
        loop {
            if let Phase::Cut(why) = self.state.lock().phase {
                return why;
            }
            self.cut.notified().await;
        }
    }

    /// Bytes that wait.
    pub(crate) fn pending(&self) -> usize {
        let state = self.state.lock();
        state.queued + state.unsent
    }

    /// Gives back memory that an idle client does not need.
    pub(crate) fn shrink(&self) {
        let mut state = self.state.lock();
        state.spare = Vec::new();
        if state.chunks.is_empty() {
            state.chunks = VecDeque::new();
        }
    }

    /// The connection's own part of writing: what was left to it, until [`Self::finish`] or the
    /// client is cut off.
    pub(crate) async fn run(&self, mut write: Option<WriteHalf>) -> std::io::Result<()> {
        loop {
            self.ready.notified().await;
            // In a box: most of the time there is nothing.
            if Box::pin(self.write_out(write.as_mut())).await? {
                return Ok(());
            }
        }
    }

    /// Writes what there is. Whether it is over.
    async fn write_out(&self, mut write: Option<&mut WriteHalf>) -> std::io::Result<bool> {
        while let Some((chunk, at)) = self.next() {
            let sent = self.write(write.as_deref_mut(), &chunk, at).await;
            let mut state = self.state.lock();
            match sent {
                Ok(()) => Self::keep(&mut state, chunk),
                Err(why) => self.cut_off_locked(&mut state, why),
            }
        }
        if let Some(write) = &mut write {
            // An encrypted stream may hold back the end of it.
            match timeout(WRITE_DEADLINE, write.flush()).await {
                Ok(flushed) => flushed?,
                Err(_elapsed) => self.cut_off(Cut::WriteDeadline),
            }
        }
        let is_over = self.is_over();
        if is_over && let Some(write) = write {
            // TLS says goodbye; a client that does not hear it would call us cut off.
            write.shutdown().await?;
        }
        Ok(is_over)
    }

    /// Ends it: frees what is queued, and the socket, however long others hold on to this.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        self.cut_off_locked(&mut state, Cut::Lost);
        state.spare = Vec::new();
        state.socket = None;
    }

    /// The next piece for the connection's task, if it is the one that writes.
    fn next(&self) -> Option<(Vec<u8>, usize)> {
        let mut state = self.state.lock();
        if state.writer == Writer::Flusher {
            return None;
        }
        let next = state.rest.take().or_else(|| self.take(&mut state).map(|chunk| (chunk, 0)));
        state.writer = if next.is_some() { Writer::Task } else { Writer::Nobody };
        self.waiting(&mut state);
        next
    }

    fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.phase != Phase::Open && state.queued + state.unsent == 0
    }

    /// Writes a piece from `at`, counting what is gone as it goes.
    async fn write(
        &self,
        mut write: Option<&mut WriteHalf>,
        chunk: &[u8],
        mut at: usize,
    ) -> Result<(), Cut> {
        let socket = self.state.lock().socket.clone();
        while at < chunk.len() {
            let rest = &chunk[at..];
            let writing = async {
                match (&mut write, &socket) {
                    (Some(write), _) => write.write(rest).await,
                    (None, Some(socket)) => loop {
                        socket.writable().await?;
                        match socket.try_write(rest) {
                            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                            done => break done,
                        }
                    },
                    (None, None) => Ok(0),
                }
            };
            let written = timeout(WRITE_DEADLINE, writing).await.map_err(|_| Cut::WriteDeadline)?;
            let Ok(written @ 1..) = written else { return Err(Cut::Lost) };
            at += written;
            let mut state = self.state.lock();
            if matches!(state.phase, Phase::Cut(_)) {
                return Ok(());
            }
            state.unsent = state.unsent.saturating_sub(written);
            self.waiting(&mut state);
        }
        Ok(())
    }
}

/// Writes as much as the socket takes without waiting; says how much that is.
fn write_at_once(socket: &OwnedWriteHalf, bytes: &[u8]) -> std::io::Result<usize> {
    let mut at = 0;
    while at < bytes.len() {
        match socket.try_write(&bytes[at..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => at += written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(at)
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        let reported = self.state.get_mut().reported;
        self.backlog.bytes.fetch_sub(reported, Ordering::Relaxed);
    }
}
