//! What a client sent and is not handled yet, frame by frame.

use bytes::Bytes;
use door::{Eviction, Input, RequestRoom};
use tokio::io::AsyncRead;

use crate::fault::Fault;
use crate::limits::FRAME_BYTES_MIN;
use crate::session::End;
use crate::wire::frame::{self, Kind, Parsed};

/// Reads frames.
#[derive(Debug)]
pub(crate) struct Frames<R> {
    input: Input<R>,
    /// Largest frame in bytes: little, before it is known who sends it.
    pub(crate) frame_max: u32,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(crate) fn new(read: R, room: &RequestRoom) -> Self {
        Self { input: Input::new(read, room), frame_max: FRAME_BYTES_MIN }
    }

    /// Tells when the connection must end, for others need the room that it has.
    pub(crate) fn eviction(&self) -> Eviction {
        self.input.eviction()
    }

    /// Reads until so many bytes are there. False at the end.
    pub(crate) async fn fill(&mut self, wanted: usize) -> Result<bool, End> {
        Ok(self.input.fill(wanted).await?)
    }

    /// All that was read, to be handled.
    pub(crate) fn take(&mut self) -> Bytes {
        self.input.take()
    }

    /// Puts back what could not be handled yet: all of `chunk` from `at`.
    pub(crate) fn put_back(&mut self, chunk: Bytes, at: usize) {
        self.input.put_back(chunk, at);
    }

    /// So many bytes, whatever they are. None at the end.
    pub(crate) async fn bytes(&mut self, count: usize) -> Result<Option<Bytes>, End> {
        if !self.fill(count).await? {
            return Ok(None);
        }
        let chunk = self.take();
        let bytes = Bytes::copy_from_slice(&chunk[..count]);
        self.put_back(chunk, count);
        Ok(Some(bytes))
    }

    /// The next method of the connection itself, where nothing else is due but signs of life. None at the end.
    pub(crate) async fn method(&mut self) -> Result<Option<Bytes>, End> {
        let mut wanted = 1;
        loop {
            if !self.fill(wanted).await? {
                return Ok(None);
            }
            let chunk = self.take();
            let (found, used) = match frame::parse(&chunk, self.frame_max) {
                Err(bad) => return Err(End::fault(Fault::frame(&bad))),
                Ok(Parsed::More(more)) => {
                    wanted = more;
                    (None, 0)
                }
                Ok(Parsed::Frame(frame, used)) => {
                    wanted = 1;
                    match (frame.kind, frame.channel) {
                        (Kind::Method, 0) => (Some(Bytes::copy_from_slice(frame.payload)), used),
                        (Kind::Heartbeat, _) => (None, used),
                        (kind, _) => {
                            let fault = Fault::unexpected(kind as u8, frame.payload);
                            return Err(End::fault(fault));
                        }
                    }
                }
            };
            self.put_back(chunk, used);
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// Reads on and drops it, until the client has closed its side, too.
    pub(crate) async fn discard(&mut self) -> std::io::Result<()> {
        self.input.discard().await
    }
}
