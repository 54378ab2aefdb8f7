//! Frames with a four-byte length in front, as several protocols have them.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::CloseReason;
use crate::room::{Claim, ConnectionRoom, Eviction, RequestRoom};

#[cfg(test)]
mod tests;

/// Bytes of the length in front of each frame.
const HEADER_BYTES: usize = 4;

/// The least room that a header is read into: large enough that a small request arrives in one read.
const FIRST_BYTES: usize = 1024;

/// The most room that a header is read into, where the last frame was that large: frames of one
/// size, as producers send them, arrive in one read each.
const FIRST_BYTES_MAX: usize = 64 * 1024;

/// Room behind a frame of the expected size. A read that does not fill its room took all that was
/// there; one that does is followed by another, which as a rule finds nothing.
const SLACK_BYTES: usize = 256;

/// With less room than this behind the buffered bytes, waiting for a header starts a new buffer
/// rather than reading in crumbs.
const FIRST_ROOM_BYTES: usize = 256;

/// The least room made once a larger frame has begun to arrive.
const STEP_BYTES: usize = 8 * 1024;

/// The most room made at once on the word of a peer that has sent a frame as large before.
const TRUST_BYTES_MAX: usize = 1024 * 1024;

/// An empty buffer larger than this is given back.
const KEEP_BYTES: usize = 16 * 1024;

/// Reads frames that begin with their length: four bytes, big-endian, signed, not counting itself.
///
/// Memory follows what arrived, not what was announced: the room for a frame doubles as its bytes
/// come in. A frame is split off the buffer without a copy. What a frame takes beyond 16 KiB is
/// claimed from what all connections have together (see [`Self::with_room`]).
#[derive(Debug)]
pub struct FrameReader<R> {
    reader: R,
    buffer: BytesMut,
    frame_bytes_max: usize,
    idle: Option<Duration>,
    /// The largest size that `buffer`'s memory may have; its own capacity does not tell once
    /// frames were split off.
    held: usize,
    /// Size of the last whole frame: the next one may have this much room at once.
    trusted: usize,
    room: ConnectionRoom,
    /// Of the frame that arrives.
    claim: Claim,
    /// Of the frame that was returned last.
    returned: Claim,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads frames of up to `frame_bytes_max` bytes, the length not counted, from `reader`.
    pub fn new(reader: R, frame_bytes_max: usize) -> Self {
        Self {
            reader,
            buffer: BytesMut::new(),
            frame_bytes_max,
            idle: None,
            held: 0,
            trusted: 0,
            room: RequestRoom::unlimited().of_connection(),
            claim: Claim::default(),
            returned: Claim::default(),
        }
    }

    /// Shares the memory for frames with other connections: while there is none, nothing more is
    /// read. Whoever uses this must end the connection when [`Self::eviction`] says so.
    #[must_use]
    pub fn with_room(mut self, room: &RequestRoom) -> Self {
        self.room = room.of_connection();
        self
    }

    /// Tells when the connection must end, for others need the room that it has.
    pub fn eviction(&self) -> Eviction {
        self.room.eviction()
    }

    /// The room that the last frame has. It is given back when this is dropped; if it is not
    /// taken, with the next call of [`Self::next`].
    pub fn take_claim(&mut self) -> Claim {
        std::mem::take(&mut self.returned)
    }

    /// Ends with [`CloseReason::Idle`] when not one byte arrives for so long within one call.
    #[must_use]
    pub fn with_idle_timeout(mut self, idle: Option<Duration>) -> Self {
        self.idle = idle;
        self
    }

    /// Changes how large a frame may be, such as when a login succeeded.
    pub fn set_frame_bytes_max(&mut self, frame_bytes_max: usize) {
        self.frame_bytes_max = frame_bytes_max;
    }

    /// Changes the idle time-out, such as when a login succeeded.
    pub fn set_idle_timeout(&mut self, idle: Option<Duration>) {
        self.idle = idle;
    }

    /// The next frame without its length; none when the peer closed between two frames.
    ///
    /// May be dropped before it is ready (in a `select!`) without losing a byte.
    ///
    /// # Errors
    /// `Protocol` for a negative length, `Limit` for one that is too large, both before any memory
    /// is taken for it; `Io` when the socket fails or closes within a frame; `Idle`.
    pub async fn next(&mut self) -> Result<Option<Bytes>, CloseReason> {
        self.returned = Claim::default();
        let Some(header) = self.peek_header().await? else { return Ok(None) };
        let length = self.check(i32::from_be_bytes(header))?;
        let whole = HEADER_BYTES + length;
        if whole > KEEP_BYTES {
            // What came together with the header has its room already.
            self.room.grow(&mut self.claim, whole.min(self.buffer.len())).await;
        }
        while self.buffer.len() < whole {
            let step = self.buffer.len().max(STEP_BYTES).max(self.trusted);
            let step = (whole - self.buffer.len() + SLACK_BYTES).min(step);
            let room = whole.min(self.buffer.len() + step);
            if room > KEEP_BYTES {
                self.room.grow(&mut self.claim, room).await;
            }
            self.make_room(step);
            if self.fill().await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
        let mut frame = self.buffer.split_to(whole);
        frame.advance(HEADER_BYTES);
        self.trusted = length.min(TRUST_BYTES_MAX);
        self.returned = std::mem::take(&mut self.claim);
        self.give_back();
        Ok(Some(frame.freeze()))
    }

    /// As [`Self::next`], but a frame of more than so many bytes is left where it is: then this is
    /// never ready.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn next_up_to(&mut self, bytes_max: usize) -> Result<Option<Bytes>, CloseReason> {
        if let Some(header) = self.peek_header().await?
            && self.check(i32::from_be_bytes(header))? > bytes_max
        {
            return std::future::pending().await;
        }
        self.next().await
    }

    /// The next four bytes, left where they are; none when the peer closed before the first of
    /// them. For protocols in which a connection may begin with something else than a frame.
    ///
    /// # Errors
    /// `Io` when the socket fails or closes within the four bytes; `Idle`.
    pub async fn peek_header(&mut self) -> Result<Option<[u8; HEADER_BYTES]>, CloseReason> {
        loop {
            if let Some(header) = self.buffer.first_chunk::<HEADER_BYTES>() {
                return Ok(Some(*header));
            }
            if self.fill_first().await? == 0 {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// The reader, and the bytes read from it but not yet taken as frames.
    pub fn into_parts(self) -> (R, BytesMut) {
        (self.reader, self.buffer)
    }

    fn check(&self, length: i32) -> Result<usize, CloseReason> {
        let Ok(bytes) = usize::try_from(length) else {
            return Err(CloseReason::Protocol(format!("frame of {length} bytes")));
        };
        if bytes > self.frame_bytes_max {
            let max = self.frame_bytes_max;
            return Err(CloseReason::Limit(format!("frame of {bytes} bytes, at most {max}")));
        }
        Ok(bytes)
    }

    fn make_room(&mut self, additional: usize) {
        self.buffer.reserve(additional);
        self.held = self.held.max(self.buffer.capacity());
    }

    async fn fill(&mut self) -> Result<usize, CloseReason> {
        within(self.idle, self.reader.read_buf(&mut self.buffer)).await
    }

    /// Reads into room that is made when there is something to read, and given back when there is
    /// not: a connection that waits between two frames, as most do most of the time, holds nothing.
    async fn fill_first(&mut self) -> Result<usize, CloseReason> {
        let idle = self.idle;
        let read = poll_fn(|context| {
            if self.buffer.capacity() - self.buffer.len() < FIRST_ROOM_BYTES {
                let like_the_last = self.trusted + HEADER_BYTES + SLACK_BYTES;
                self.make_room(like_the_last.clamp(FIRST_BYTES, FIRST_BYTES_MAX));
            }
            // Holds no state, so it may be made anew for each poll.
            let read = pin!(self.reader.read_buf(&mut self.buffer)).poll(context);
            if read.is_pending() && self.buffer.is_empty() {
                self.buffer = BytesMut::new();
                self.held = 0;
            }
            read
        });
        within(idle, read).await
    }

    /// Lets go of a large buffer when nothing is left in it: even an empty view would keep all of
    /// the memory of the frames that were split off it.
    fn give_back(&mut self) {
        if self.buffer.is_empty() && self.held > KEEP_BYTES {
            self.buffer = BytesMut::new();
            self.held = 0;
        }
    }
}

/// A read that must not take longer than this.
async fn within(
    idle: Option<Duration>,
    read: impl Future<Output = io::Result<usize>>,
) -> Result<usize, CloseReason> {
    match idle {
        None => Ok(read.await?),
        Some(idle) => match tokio::time::timeout(idle, read).await {
            Ok(read) => Ok(read?),
            Err(_elapsed) => Err(CloseReason::Idle(idle)),
        },
    }
}
