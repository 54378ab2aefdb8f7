//! An open WebSocket as a stream of bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::WebSocketOptions;
use super::frame::{self, HEAD_BYTES_MAX, Head, Kind};

/// Most payload of a frame that we send. Whoever writes more at once gets several.
const FRAME_BYTES_MAX: usize = 64 * 1024;

/// Bytes read at a time where a head is expected: a small frame comes with it.
const READ_BYTES: usize = 2048;

/// A close frame's reason: the protocol was broken (section 7.4.1).
const PROTOCOL_ERROR: u16 = 1002;

/// A close frame's reason: a kind of message that is not spoken here.
const UNSUPPORTED: u16 = 1003;

/// A close frame's reason: more than is taken.
const TOO_BIG: u16 = 1009;

/// Largest message that comes in several frames, where messages are delimited.
const GATHERED_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a length in front of a message.
const LENGTH_BYTES: usize = 4;

/// A WebSocket after its handshake. Reading gives the payload of data frames; what is written goes
/// out in binary ones. Pings are answered and the closing handshake is done on the way.
#[derive(Debug)]
pub struct WebSocket<S> {
    stream: S,
    accepts_text: bool,
    delimited: Option<Box<Delimited>>,
    reading: Reading,
    /// Read, but not looked at: heads of frames, and payload that came with them.
    input: Vec<u8>,
    input_at: usize,
    /// Whole frames on their way out, and how much of them is gone.
    pub(super) output: Vec<u8>,
    output_at: usize,
    /// The answer to the latest ping, until it has its place in the output (section 5.5.3 lets
    /// earlier ones go unanswered).
    pub(super) pong: Option<Vec<u8>>,
    close_sent: bool,
}

/// What is on its way where messages have their lengths in front.
#[derive(Debug, Default)]
struct Delimited {
    /// To be read before anything else: a length, or a whole message that came in several frames.
    ahead: Vec<u8>,
    /// How much of that was read.
    ahead_at: usize,
    /// The frames of a message of which more are to come.
    gathered: Vec<u8>,
    /// The beginning of what is to be written as one message: its length, and some of it.
    outgoing: Vec<u8>,
}

impl Delimited {
    /// A message of so many bytes comes next.
    fn announce(&mut self, length: u32) {
        self.ahead = length.to_be_bytes().to_vec();
        self.ahead_at = 0;
    }

    /// Hands on what is ahead; whether there was something.
    fn read(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let rest = self.ahead.get(self.ahead_at..).unwrap_or_default();
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..count]);
        self.ahead_at += count;
        if self.ahead_at == self.ahead.len() {
            self.ahead = Vec::new();
            self.ahead_at = 0;
        }
        count > 0
    }

    /// Takes as much of what is written as belongs to the message under way: how much, and whether that is all of it.
    fn write(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut taken = 0;
        loop {
            let length =
                self.outgoing.first_chunk::<LENGTH_BYTES>().map(|l| u32::from_be_bytes(*l));
            let wanted = match length {
                None => LENGTH_BYTES,
                Some(length) => LENGTH_BYTES + usize::try_from(length).unwrap_or(usize::MAX),
            };
            let count = (wanted - self.outgoing.len()).min(bytes.len() - taken);
            self.outgoing.extend_from_slice(&bytes[taken..taken + count]);
            taken += count;
            let is_whole = length.is_some() && self.outgoing.len() == wanted;
            if is_whole || (count == 0 && taken == bytes.len()) {
                return (taken, is_whole);
            }
        }
    }
}

#[derive(Debug)]
enum Reading {
    /// A head comes next. Says whether a message is in the middle of its frames.
    Head { within: bool },
    /// The payload of a data frame.
    Data { head: Head, at: u64 },
    /// The payload of a frame of several, which are gathered.
    Gather { head: Head, at: u64 },
    /// The payload of a control frame.
    Control { head: Head, payload: Vec<u8>, within: bool },
    /// The client said goodbye, or what it sent was no frame.
    Closed,
}

impl<S> WebSocket<S> {
    /// After a handshake behind which `input` was read.
    pub(super) fn new(stream: S, input: &[u8], options: &WebSocketOptions) -> Self {
        Self {
            stream,
            accepts_text: options.accepts_text,
            delimited: options.delimited.then(Box::default),
            reading: Reading::Head { within: false },
            input: input.to_vec(),
            input_at: 0,
            output: Vec::new(),
            output_at: 0,
            pong: None,
            close_sent: false,
        }
    }

    /// What it is spoken over.
    pub(crate) fn get_ref(&self) -> &S {
        &self.stream
    }

    fn buffered(&self) -> &[u8] {
        &self.input[self.input_at..]
    }

    fn take(&mut self, count: usize) {
        self.input_at += count;
        if self.input_at == self.input.len() {
            // Given back, so that an idle connection costs little.
            self.input = Vec::new();
            self.input_at = 0;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Reads more behind what is buffered. False at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut space = [0; READ_BYTES];
        let mut buffer = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        self.input.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(!buffer.filled().is_empty()))
    }

    /// Writes out what is there; ready when nothing is left.
    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while self.output_at < self.output.len() {
                let rest = &self.output[self.output_at..];
                let written = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.output_at += written;
            }
            self.output.clear();
            self.output_at = 0;
            if self.output.capacity() > FRAME_BYTES_MAX / 4 {
                self.output = Vec::new();
            }
            match self.pong.take() {
                Some(payload) if !self.close_sent => {
                    frame::encode(Kind::Pong, &payload, &mut self.output);
                }
                _ => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Queues a close frame, once. Small and at most one, so it need not wait for room.
    fn say_goodbye(&mut self, code: Option<u16>) {
        if !self.close_sent {
            self.close_sent = true;
            let code = code.map(u16::to_be_bytes);
            frame::encode(Kind::Close, code.as_ref().map_or(&[], |c| &c[..]), &mut self.output);
        }
    }

    /// Looks at the next head. Ready once there is payload to be read, or nothing more.
    fn poll_head(&mut self, within: bool, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (head, taken) = loop {
            match Head::parse(self.buffered()) {
                Ok(Some(found)) => break found,
                Ok(None) => {}
                Err(why) => return Poll::Ready(Err(self.fail(PROTOCOL_ERROR, why, cx))),
            }
            debug_assert!(self.buffered().len() < HEAD_BYTES_MAX);
            if !ready!(self.poll_fill(cx))? {
                self.reading = Reading::Closed;
                return Poll::Ready(Ok(()));
            }
        };
        self.take(taken);
        match head.kind {
            kind if kind.is_control() => {
                self.reading = Reading::Control { head, payload: Vec::new(), within };
                return Poll::Ready(Ok(()));
            }
            Kind::Continuation if !within => {
                return Poll::Ready(Err(self.fail(PROTOCOL_ERROR, "a piece of no message", cx)));
            }
            Kind::Text | Kind::Binary if within => {
                let why = "a message within another";
                return Poll::Ready(Err(self.fail(PROTOCOL_ERROR, why, cx)));
            }
            Kind::Text if !self.accepts_text => {
                return Poll::Ready(Err(self.fail(UNSUPPORTED, "a text message", cx)));
            }
            _ => {}
        }
        let Some(delimited) = &mut self.delimited else {
            self.reading = Reading::Data { head, at: 0 };
            return Poll::Ready(Ok(()));
        };
        if head.is_last && !within {
            let Ok(length) = u32::try_from(head.length) else {
                return Poll::Ready(Err(self.fail(TOO_BIG, "too large a message", cx)));
            };
            delimited.announce(length);
            self.reading = Reading::Data { head, at: 0 };
            return Poll::Ready(Ok(()));
        }
        if delimited.gathered.len() as u64 + head.length > GATHERED_BYTES_MAX as u64 {
            return Poll::Ready(Err(self.fail(TOO_BIG, "too large a message in pieces", cx)));
        }
        self.reading = Reading::Gather { head, at: 0 };
        Poll::Ready(Ok(()))
    }

    /// Reads a frame of several to its end. With the last of them the message is there.
    fn poll_gather(
        &mut self,
        head: Head,
        mut at: u64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while at < head.length {
            if self.buffered().is_empty() && !ready!(self.poll_fill(cx))? {
                self.reading = Reading::Closed;
                return Poll::Ready(Ok(()));
            }
            let missing = usize::try_from(head.length - at).unwrap_or(usize::MAX);
            let count = missing.min(self.buffered().len());
            let Self { input, input_at, delimited, .. } = self;
            let Some(delimited) = delimited else { break };
            let begin = delimited.gathered.len();
            delimited.gathered.extend_from_slice(&input[*input_at..*input_at + count]);
            frame::unmask(&mut delimited.gathered[begin..], head.mask, at);
            self.take(count);
            at += count as u64;
            self.reading = Reading::Gather { head, at };
        }
        self.reading = Reading::Head { within: !head.is_last };
        if let Some(delimited) = self.delimited.as_mut().filter(|_| head.is_last) {
            let message = std::mem::take(&mut delimited.gathered);
            delimited.announce(u32::try_from(message.len()).unwrap_or(u32::MAX));
            delimited.ahead.extend_from_slice(&message);
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the connection as the client broke the protocol; tells it, if that is possible at once.
    fn fail(&mut self, code: u16, why: &'static str, cx: &mut Context<'_>) -> io::Error {
        self.reading = Reading::Closed;
        self.say_goodbye(Some(code));
        // What does not go out now will not be waited for.
        let _ = self.poll_output(cx);
        io::Error::new(io::ErrorKind::InvalidData, format!("WebSocket: {why}"))
    }

    /// Reads a control frame to its end and does what it asks.
    fn poll_control(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let Self { reading, input, input_at, .. } = self;
            let Reading::Control { head, payload, within } = reading else {
                return Poll::Ready(Ok(()));
            };
            let buffered = &input[*input_at..];
            let missing = usize::try_from(head.length).unwrap_or(0) - payload.len();
            let count = missing.min(buffered.len());
            payload.extend_from_slice(&buffered[..count]);
            if count < missing {
                self.take(count);
                if !ready!(self.poll_fill(cx))? {
                    self.reading = Reading::Closed;
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            frame::unmask(payload, head.mask, 0);
            let (kind, payload, within) = (head.kind, std::mem::take(payload), *within);
            self.take(count);
            self.reading = Reading::Head { within };
            // Somebody waits to write otherwise, and our waker must not take theirs away.
            let is_free = self.output.is_empty();
            match kind {
                Kind::Ping => self.pong = Some(payload),
                Kind::Close => {
                    self.reading = Reading::Closed;
                    let code = payload.first_chunk::<2>().map(|code| u16::from_be_bytes(*code));
                    self.say_goodbye(code);
                }
                _ => {}
            }
            if is_free {
                let _later_if_not_now = self.poll_output(cx)?;
            }
            return Poll::Ready(Ok(()));
        }
    }

    /// Reads payload of the data frame under way into `buffer`.
    fn poll_data(
        &mut self,
        head: Head,
        at: u64,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = usize::try_from(head.length - at).unwrap_or(usize::MAX);
        let room = left.min(buffer.remaining());
        let buffered = &self.input[self.input_at..];
        let count = if buffered.is_empty() {
            // Straight to where it is wanted; what comes behind the frame stays outside.
            let mut limited = ReadBuf::new(buffer.initialize_unfilled_to(room));
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut limited))?;
            let count = limited.filled().len();
            buffer.advance(count);
            count
        } else {
            let count = room.min(buffered.len());
            buffer.put_slice(&buffered[..count]);
            self.take(count);
            count
        };
        if count == 0 {
            self.reading = Reading::Closed;
            return Poll::Ready(Ok(()));
        }
        let filled = buffer.filled_mut();
        let start = filled.len() - count;
        frame::unmask(&mut filled[start..], head.mask, at);
        self.reading = Reading::Data { head, at: at + count as u64 };
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.delimited.as_mut().is_some_and(|delimited| delimited.read(buffer)) {
                return Poll::Ready(Ok(()));
            }
            match this.reading {
                Reading::Closed => return Poll::Ready(Ok(())),
                Reading::Head { within } => ready!(this.poll_head(within, cx))?,
                Reading::Control { .. } => ready!(this.poll_control(cx))?,
                Reading::Gather { head, at } => ready!(this.poll_gather(head, at, cx))?,
                Reading::Data { head, at } if at == head.length => {
                    this.reading = Reading::Head { within: !head.is_last };
                }
                Reading::Data { .. } if buffer.remaining() == 0 => return Poll::Ready(Ok(())),
                Reading::Data { head, at } => return this.poll_data(head, at, cx, buffer),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_output(cx))?;
        if this.close_sent {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = match &mut this.delimited {
            None => {
                let count = bytes.len().min(FRAME_BYTES_MAX);
                frame::encode(Kind::Binary, &bytes[..count], &mut this.output);
                count
            }
            Some(delimited) => {
                let (count, is_whole) = delimited.write(bytes);
                if is_whole {
                    let message = std::mem::take(&mut delimited.outgoing);
                    frame::encode(Kind::Binary, &message[LENGTH_BYTES..], &mut this.output);
                }
                count
            }
        };
        // The frame is taken; what of it does not go out now goes before the next.
        match this.poll_output(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(count)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_output(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // 1000: all is well.
        this.say_goodbye(Some(1000));
        ready!(this.poll_output(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}
