//! A connection's bytes: packets in, buffers out. An idle connection has no buffer.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use door::pool;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::limits::READ_BYTES;
use crate::wire::WireError;
use crate::wire::header::Header;

thread_local! {
    /// What is read lands here first: many connections are idle, few threads read.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// Both directions of a connection.
#[derive(Debug)]
pub(crate) struct Socket<S> {
    stream: S,
    /// The beginning of a packet that has not arrived whole, or packets that were not looked at.
    input: BytesMut,
    /// What is being written, and how much of it is.
    output: Vec<u8>,
    written: usize,
    /// Something was written that an encrypted stream may hold back.
    is_flushed: bool,
}

/// Packets that arrived together, whole.
#[derive(Debug)]
pub(crate) struct Packets {
    bytes: Bytes,
    at: usize,
}

/// One packet.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) header: Header,
    /// Where its body is in what arrived with it.
    body: (usize, usize),
}

impl Packets {
    /// The next packet.
    ///
    /// # Errors
    /// What comes is none.
    #[inline]
    pub(crate) fn next(&mut self, max: usize) -> Result<Option<Packet>, WireError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(header) = Header::decode(rest, max)? else { return Ok(None) };
        if rest.len() < header.total() {
            return Ok(None);
        }
        let body = (self.at + header.size, self.at + header.total());
        self.at = body.1;
        Ok(Some(Packet { header, body }))
    }

    /// The bytes of a packet behind its header.
    #[inline]
    pub(crate) fn body(&self, packet: &Packet) -> &[u8] {
        self.bytes.get(packet.body.0..packet.body.1).unwrap_or_default()
    }

    /// A part of these bytes, shared with them.
    pub(crate) fn share(&self, part: &[u8]) -> Bytes {
        if part.is_empty() { Bytes::new() } else { self.bytes.slice_ref(part) }
    }

    /// What was not read.
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub(crate) fn new(stream: S) -> Self {
        let (input, output) = (BytesMut::new(), Vec::new());
        Self { stream, input, output, written: 0, is_flushed: true }
    }

    /// Reads what there is; how much, zero at the end.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            self.input.extend_from_slice(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
    }

    /// The packets that have arrived. None while not even one has.
    ///
    /// # Errors
    /// What comes is no packet, or one that is too large.
    pub(crate) fn packets(&mut self, max: usize) -> Result<Option<Packets>, WireError> {
        match Header::decode(&self.input, max)? {
            Some(header) if self.input.len() >= header.total() => {
                let bytes = std::mem::take(&mut self.input).freeze();
                Ok(Some(Packets { bytes, at: 0 }))
            }
            Some(header) => {
                // No larger than `max`, which was checked; and no sooner than half of it is here.
                if self.input.len() >= header.total() / 2 {
                    self.input.reserve(header.total() - self.input.len());
                }
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// Takes back what was not read of packets.
    pub(crate) fn put_back(&mut self, packets: &Packets) {
        if !packets.rest().is_empty() {
            let later = std::mem::take(&mut self.input);
            self.input = BytesMut::from(packets.rest());
            self.input.extend_from_slice(&later);
        }
    }

    /// The buffer for what is to be written next; only when all before it is written.
    pub(crate) fn output(&mut self) -> Option<&mut Vec<u8>> {
        self.output.is_empty().then_some(&mut self.output)
    }

    /// Writes what is to be written. Pending while the socket takes no more.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.output.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
            self.is_flushed = false;
        }
        self.output.clear();
        self.written = 0;
        if !self.is_flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Gives up the buffer of a connection that has nothing to write.
    pub(crate) fn rest(&mut self) {
        if self.output.is_empty() {
            pool::give(std::mem::take(&mut self.output));
        }
    }

    /// Writes bytes after all that is to be written, and closes.
    pub(crate) async fn close(&mut self, last: &[u8]) -> io::Result<()> {
        self.output.extend_from_slice(last);
        std::future::poll_fn(|cx| self.poll_write(cx)).await?;
        std::future::poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await
    }

    /// Writes bytes.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.extend_from_slice(bytes);
        std::future::poll_fn(|cx| self.poll_write(cx)).await
    }

    /// Reads until packets are there; none at the end.
    ///
    /// # Errors
    /// What comes is no packet.
    pub(crate) async fn receive(
        &mut self,
        max: usize,
    ) -> io::Result<Result<Option<Packets>, WireError>> {
        loop {
            match self.packets(max) {
                Ok(None) => {}
                other => return Ok(other),
            }
            if std::future::poll_fn(|cx| self.poll_fill(cx)).await? == 0 {
                return Ok(Ok(None));
            }
        }
    }
}
