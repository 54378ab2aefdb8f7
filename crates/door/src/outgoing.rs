//! What waits to be sent to one client of a protocol in which queues deliver.
//!
//! Queues encode their deliveries straight into it, under a short lock, and the connection's own task writes it: in
//! pieces as large as what came together. A queue whose messages find no room keeps them, so nothing here grows with
//! what waits in queues.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::DoorFigures;

#[cfg(test)]
mod tests;

/// What is not sent yet, in bytes: past it queues keep what they have.
const PENDING_BYTES_HIGH: usize = 1024 * 1024;

/// With no more than this, in bytes, they go on.
const PENDING_BYTES_LOW: usize = 256 * 1024;

/// Past this, in bytes, a client that does not read its answers is not read from.
const ANSWERS_BYTES_HIGH: usize = 4 * PENDING_BYTES_HIGH;

/// A buffer up to this size, in bytes, is kept for what comes next.
const BUFFER_KEPT_BYTES: usize = 256 * 1024;

/// A client that takes nothing of what is written to it for so long is cut off.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);

const _: () = assert!(PENDING_BYTES_LOW < PENDING_BYTES_HIGH);

/// Bytes on their way to one client.
#[derive(Debug, Default)]
pub struct Outgoing {
    state: Mutex<State>,
    /// Something to write, or the end.
    ready: Notify,
    /// There is room again for those who were refused.
    room: Notify,
    /// Enough was read for further answers.
    answers: Notify,
    /// What the door counts, unless nobody looks.
    figures: Option<Arc<DoorFigures>>,
}

#[derive(Debug, Default)]
struct State {
    queued: Vec<u8>,
    /// Taken out of it, and not on the socket yet.
    unsent: usize,
    phase: Phase,
    /// Somebody was refused.
    is_awaited: bool,
    /// Pieces written: moves when the client hears something.
    written: u64,
    /// Messages in what is queued, and their bytes.
    messages: (u64, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Open,
    /// Write what is there, then end.
    Finishing,
}

impl State {
    fn count(&mut self, bytes: usize) {
        self.messages.0 += 1;
        self.messages.1 += bytes;
    }

    fn pending(&self) -> usize {
        self.queued.len() + self.unsent
    }
}

impl Outgoing {
    /// For a door that counts what it delivers.
    pub fn counted(figures: Arc<DoorFigures>) -> Self {
        Self { figures: Some(figures), ..Self::default() }
    }

    /// Queues an answer. It goes out at the next [`Self::flush`].
    pub fn push(&self, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state.lock();
        if state.phase == Phase::Open {
            encode(&mut state.queued);
        }
    }

    /// Queues a message that was asked for, with so many bytes of payload.
    pub fn push_message(&self, bytes: usize, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state.lock();
        if state.phase == Phase::Open {
            encode(&mut state.queued);
            state.count(bytes);
        }
    }

    /// Queues a delivery with so many bytes of payload, if there is room for it; if not, [`Self::until_room`] says when
    /// there is.
    pub fn offer(&self, bytes: usize, encode: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut state = self.state.lock();
        if state.phase != Phase::Open {
            return false;
        }
        if state.pending() >= PENDING_BYTES_HIGH {
            state.is_awaited = true;
            return false;
        }
        encode(&mut state.queued);
        state.count(bytes);
        true
    }

    /// Has what is queued written.
    pub fn flush(&self) {
        self.ready.notify_one();
    }

    /// Waits until there is room for those who were refused.
    pub async fn until_room(&self) {
        self.room.notified().await;
    }

    /// Waits while too many answers are not read.
    pub async fn until_read(&self) {
        while self.is_unread() {
            self.ready.notify_one();
            self.answers.notified().await;
        }
    }

    fn is_unread(&self) -> bool {
        let state = self.state.lock();
        state.phase == Phase::Open && state.pending() >= ANSWERS_BYTES_HIGH
    }

    /// Pieces written so far.
    pub fn written(&self) -> u64 {
        self.state.lock().written
    }

    /// Nothing more is queued; what is there is still written.
    pub fn finish(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Finishing;
        }
        drop(state);
        self.ready.notify_one();
    }

    /// Writes, until [`Self::finish`].
    ///
    /// # Errors
    /// The socket fails, or the client takes nothing for too long.
    pub async fn run(&self, mut write: impl AsyncWrite + Unpin) -> std::io::Result<()> {
        let mut piece = Vec::new();
        loop {
            self.ready.notified().await;
            while self.take(&mut piece) {
                let sending = async {
                    write.write_all(&piece).await?;
                    // An encrypted stream may hold back the end of it.
                    write.flush().await
                };
                match timeout(WRITE_DEADLINE, sending).await {
                    Ok(sent) => sent?,
                    Err(_elapsed) => return Err(std::io::ErrorKind::TimedOut.into()),
                }
                self.sent(&mut piece);
            }
            if self.state.lock().phase != Phase::Open {
                // TLS says goodbye; a client that does not hear it would call us cut off.
                return write.shutdown().await;
            }
        }
    }

    fn take(&self, piece: &mut Vec<u8>) -> bool {
        let mut state = self.state.lock();
        std::mem::swap(&mut state.queued, piece);
        state.unsent = piece.len();
        let (messages, bytes) = std::mem::take(&mut state.messages);
        if let Some(figures) = self.figures.as_ref().filter(|_| messages > 0) {
            figures.delivered(messages, bytes);
        }
        !piece.is_empty()
    }

    fn sent(&self, piece: &mut Vec<u8>) {
        piece.clear();
        if piece.capacity() > BUFFER_KEPT_BYTES {
            *piece = Vec::new();
        }
        let mut state = self.state.lock();
        state.unsent = 0;
        state.written += 1;
        let has_room = state.pending() <= PENDING_BYTES_LOW;
        let wake = has_room && std::mem::take(&mut state.is_awaited);
        drop(state);
        if wake {
            self.room.notify_one();
        }
        self.answers.notify_one();
    }
}
