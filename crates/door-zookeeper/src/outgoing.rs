//! What waits to be sent to one client.

use bytes::BytesMut;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::limits::{OUTGOING_BYTES_HIGH, OUTGOING_BYTES_MAX};

#[cfg(test)]
mod tests;

/// A bounded queue of frames from whoever has something to say to a client (its own requests, and
/// the changes that it watches) to the task that writes to its socket.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    state: Mutex<State>,
    /// Something to write, or the end.
    ready: Notify,
    /// The writer took what there was.
    drained: Notify,
    /// The connection is to be dropped.
    cut: Notify,
}

#[derive(Debug, Default)]
struct State {
    frames: BytesMut,
    queued: u64,
    phase: Phase,
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
    /// Its session timed out.
    Expired,
    /// Its session is served by another connection now.
    Moved,
    /// It is unknown whether a write of its was carried out.
    Failed,
    /// The client does not read what is sent to it.
    SlowReader,
}

impl Outgoing {
    /// Queues a whole frame. A client that lets too many of them pile up is cut off.
    pub(crate) fn push(&self, frame: &[u8]) {
        let mut state = self.state.lock();
        if state.phase != Phase::Open {
            return;
        }
        if state.frames.len() + frame.len() > OUTGOING_BYTES_MAX {
            drop(state);
            self.cut_off(Cut::SlowReader);
            return;
        }
        state.frames.extend_from_slice(frame);
        state.queued += 1;
        drop(state);
        self.ready.notify_one();
    }

    /// Lets the writer end when all is written; nothing can be queued any more.
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
        let mut state = self.state.lock();
        state.phase = Phase::Cut(why);
        state.frames = BytesMut::new();
        drop(state);
        self.cut.notify_one();
        self.ready.notify_one();
        self.drained.notify_one();
    }

    /// All that waits, for the writer; none at the end.
    pub(crate) async fn take(&self) -> Option<BytesMut> {
        loop {
            {
                let mut state = self.state.lock();
                if !state.frames.is_empty() {
                    state.queued = 0;
                    let frames = std::mem::take(&mut state.frames);
                    drop(state);
                    self.drained.notify_one();
                    return Some(frames);
                }
                if state.phase != Phase::Open {
                    return None;
                }
            }
            self.ready.notified().await;
        }
    }

    /// Waits until the client may have another reply.
    pub(crate) async fn until_low(&self) {
        loop {
            if self.state.lock().frames.len() < OUTGOING_BYTES_HIGH {
                return;
            }
            self.drained.notified().await;
        }
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

    /// Frames that wait.
    pub(crate) fn queued(&self) -> u64 {
        self.state.lock().queued
    }
}
