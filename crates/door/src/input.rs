//! What a client sent and is not handled yet.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::{Claim, ConnectionRoom, Eviction, RequestRoom};

/// Room that is read into, in bytes: at first, and where much comes.
const READ_BYTES: std::ops::RangeInclusive<usize> = 4 * 1024..=64 * 1024;

/// What of a message that has not arrived whole is not counted, in bytes; what a larger one takes is claimed from
/// what all connections may have together.
const UNCLAIMED_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests;

/// Reads into one buffer, as much as there is, and holds none while there is nothing: an idle
/// connection costs no buffer. What a large message takes is claimed from what all connections have
/// together, as it arrives.
#[derive(Debug)]
pub struct Input<R> {
    read: R,
    buffer: BytesMut,
    /// Room to read into at a time: follows what comes.
    room: usize,
    shared: ConnectionRoom,
    /// Of a large message, until it is handled.
    claim: Claim,
}

impl<R: AsyncRead + Unpin> Input<R> {
    /// Reads from `read`, with a part of the room that all connections share.
    pub fn new(read: R, shared: &RequestRoom) -> Self {
        let (shared, claim) = (shared.of_connection(), Claim::default());
        Self { read, buffer: BytesMut::new(), room: *READ_BYTES.start(), shared, claim }
    }

    /// Tells when the connection must end, for others need the room that it has.
    pub fn eviction(&self) -> Eviction {
        self.shared.eviction()
    }

    /// Reads until so many bytes are there. False at the end.
    ///
    /// # Errors
    /// The socket failed.
    pub async fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        while self.buffer.len() < wanted {
            if wanted > UNCLAIMED_BYTES {
                // Never more than was announced, and that only as far as it comes.
                let bytes = wanted.min(2 * self.buffer.len() + self.room);
                Box::pin(self.shared.grow(&mut self.claim, bytes)).await;
            }
            if self.read_more(wanted - self.buffer.len()).await? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads what there is, if not more than fits.
    async fn read_more(&mut self, missing: usize) -> io::Result<usize> {
        let Self { read, buffer, room, .. } = self;
        // Follows what arrived, not what was announced.
        let wanted = missing.min(buffer.len()).max(*room);
        let count = poll_fn(|cx| {
            buffer.reserve(wanted);
            let polled = {
                let mut space = (&mut *buffer).limit(wanted);
                // It keeps nothing from one poll to the next.
                pin!(read.read_buf(&mut space)).poll(cx)
            };
            if polled.is_pending() && buffer.is_empty() {
                *buffer = BytesMut::new();
            }
            polled
        })
        .await?;
        if count >= *room {
            *room = (*room * 2).min(*READ_BYTES.end());
        } else if count < *room / 4 {
            *room = (*room / 2).max(*READ_BYTES.start());
        }
        Ok(count)
    }

    /// All that was read, to be handled.
    pub fn take(&mut self) -> Bytes {
        // From here on it is not the client that takes its time.
        self.claim = std::mem::take(&mut self.claim).at_work();
        std::mem::take(&mut self.buffer).freeze()
    }

    /// Puts back what could not be handled yet: all of `chunk` from `at`.
    pub fn put_back(&mut self, chunk: Bytes, at: usize) {
        self.claim = Claim::default();
        // The same memory again, where nobody holds on to a part of it.
        match chunk.try_into_mut() {
            Ok(mut chunk) => {
                chunk.advance(at);
                if chunk.is_empty() {
                    chunk.clear();
                }
                self.buffer = chunk;
            }
            Err(chunk) => self.buffer = BytesMut::from(&chunk[at..]),
        }
    }

    /// Reads on and drops it, until the client has closed its side, too.
    ///
    /// # Errors
    /// The socket failed.
    pub async fn discard(&mut self) -> io::Result<()> {
        self.claim = Claim::default();
        loop {
            self.buffer.clear();
            if self.read_more(1).await? == 0 {
                return Ok(());
            }
        }
    }
}
