//! One connection to a ZooKeeper server, with its session.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use door::tls::client::ClientOptions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::limits::{ANSWER_BYTES_MAX, WINDOW_ASKS_MAX, WINDOW_BYTES_MAX};
use crate::wire::client::{self, AUTH_XID, Answer, Ask, Heard, Session, header};
use crate::wire::jute::{Malformed, Reader};
use crate::wire::reply::PING_XID;

/// The length in front of each frame.
const LENGTH_BYTES: usize = 4;

/// Why a connection is of no use any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the connection was closed")]
    Closed,
    #[error("no answer within {0:?}")]
    Silent(Duration),
    #[error("what came is not ZooKeeper's protocol")]
    Malformed,
    #[error("the session has expired")]
    Expired,
    #[error("the credentials were refused")]
    Credentials,
}

impl From<Malformed> for Lost {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// What is known before a connection is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hello {
    /// The session to go on with, or the default for a new one.
    pub(super) session: Session,
    /// The newest change that we have seen: a server that is behind it must not serve us.
    pub(super) zxid: i64,
    /// The time-out to ask for.
    pub(super) timeout: Duration,
}

/// A connection's bytes, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Debug + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Debug + Send + Unpin> Stream for S {}

/// A connection with a session. All that is read and written goes through buffers, so that any of
/// its futures may be dropped and another be started.
#[derive(Debug)]
pub(super) struct Link {
    stream: Box<dyn Stream>,
    /// Read, and not yet looked at.
    input: BytesMut,
    /// To be written.
    output: BytesMut,
    xid: i32,
    pub(super) session: Session,
    pub(super) zxid: i64,
    /// The session's time-out, as the server has it.
    timeout: Duration,
    /// When the server was last heard of.
    heard: Instant,
    /// When it last heard of us.
    told: Instant,
    /// Watches have fired since the last call of [`Self::take_event`].
    event: bool,
}

impl Link {
    /// Connects, over TLS with a server that is called so if that is asked for, and opens the
    /// session, or goes on with it.
    pub(super) async fn open(
        address: SocketAddr,
        tls: Option<(&ClientOptions, &str)>,
        hello: &Hello,
    ) -> Result<Self, Lost> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(stream),
            Some((options, host)) => Box::new(options.connect(host, stream).await?),
        };
        let now = Instant::now();
        let mut link = Self {
            stream,
            input: BytesMut::new(),
            output: BytesMut::new(),
            xid: 0,
            session: hello.session,
            zxid: hello.zxid,
            timeout: hello.timeout,
            heard: now,
            told: now,
            event: false,
        };
        let timeout = i32::try_from(hello.timeout.as_millis()).unwrap_or(i32::MAX);
        let frame = client::hello(&hello.session, hello.zxid, timeout);
        link.output.extend_from_slice(frame.as_slice());
        let deadline = now + link.patience();
        link.flush(deadline).await?;
        let frame = link.frame(deadline).await?;
        let (session, timeout) = client::welcome(&frame)?.ok_or(Lost::Expired)?;
        (link.session, link.timeout) = (session, Duration::from_millis(timeout.into()));
        Ok(link)
    }

    /// How long the server may say nothing: as with ZooKeeper's own clients, two thirds of the
    /// session's time-out, so that there is time to go to another server.
    fn patience(&self) -> Duration {
        self.timeout * 2 / 3
    }

    /// Whether a watch has fired.
    pub(super) fn take_event(&mut self) -> bool {
        std::mem::take(&mut self.event)
    }

    /// Proves to be somebody, for access lists.
    pub(super) async fn log_in(&mut self, credentials: &str) -> Result<(), Lost> {
        let credentials = credentials.as_bytes().to_vec().into();
        self.send(&Ask::Digest { credentials }, AUTH_XID);
        let deadline = Instant::now() + self.patience();
        self.flush(deadline).await?;
        loop {
            let frame = self.frame(deadline).await?;
            match self.hear(&mut Reader::new(&frame))? {
                Some((AUTH_XID, 0)) => return Ok(()),
                Some((AUTH_XID, _)) => return Err(Lost::Credentials),
                Some(_) => return Err(Lost::Malformed),
                None => {}
            }
        }
    }

    /// Sends requests, several at a time, and returns the answer to each, or its error's number.
    pub(super) async fn exchange(
        &mut self,
        asks: &[Ask],
    ) -> Result<Vec<Result<Answer, i32>>, Lost> {
        let mut answers = Vec::with_capacity(asks.len());
        let mut waiting = asks;
        while !waiting.is_empty() {
            let mut sent = Vec::with_capacity(waiting.len().min(WINDOW_ASKS_MAX));
            // Small enough for sockets' buffers: a server need not read on while we do not.
            for ask in waiting.iter().take(WINDOW_ASKS_MAX) {
                if !sent.is_empty() && self.output.len() >= WINDOW_BYTES_MAX {
                    break;
                }
                let xid = self.next_xid();
                self.send(ask, xid);
                sent.push(xid);
            }
            let (window, rest) = waiting.split_at(sent.len());
            self.flush(Instant::now() + self.patience()).await?;
            for (xid, ask) in sent.into_iter().zip(window) {
                answers.push(self.answer(xid, ask).await?);
            }
            waiting = rest;
        }
        Ok(answers)
    }

    /// One request.
    pub(super) async fn ask(&mut self, ask: Ask) -> Result<Result<Answer, i32>, Lost> {
        let mut answers = self.exchange(&[ask]).await?;
        answers.pop().ok_or(Lost::Malformed)
    }

    /// Keeps the session alive until a watch fires. Its future may be dropped at any time.
    pub(super) async fn rest(&mut self) -> Result<(), Lost> {
        while !self.event {
            let (ping, silent) = (self.told + self.timeout / 3, self.heard + self.patience());
            tokio::select! {
                frame = self.frame(silent) => {
                    // Only pings are waiting for answers.
                    if self.hear(&mut Reader::new(&frame?))?.is_some() {
                        return Err(Lost::Malformed);
                    }
                }
                () = sleep_until(ping) => {
                    self.send(&Ask::Ping, PING_XID);
                    self.flush(silent).await?;
                }
            }
        }
        Ok(())
    }

    /// Ends the session, and with it its ephemeral nodes.
    pub(super) async fn close(mut self, within: Duration) -> Result<(), Lost> {
        let deadline = Instant::now() + within;
        let xid = self.next_xid();
        self.send(&Ask::Close, xid);
        self.flush(deadline).await?;
        // Answers that were still on their way come first.
        loop {
            let frame = match self.frame(deadline).await {
                Err(Lost::Closed) => return Ok(()),
                frame => frame?,
            };
            if self.hear(&mut Reader::new(&frame))?.is_some_and(|(answered, _)| answered == xid) {
                return Ok(());
            }
        }
    }

    /// Numbers of requests are positive; others have meanings of their own.
    fn next_xid(&mut self) -> i32 {
        self.xid = self.xid.checked_add(1).unwrap_or(1);
        self.xid
    }

    fn send(&mut self, ask: &Ask, xid: i32) {
        self.output.extend_from_slice(ask.frame(xid).as_slice());
        self.told = Instant::now();
    }

    async fn flush(&mut self, deadline: Instant) -> Result<(), Lost> {
        while self.output.has_remaining() {
            let write = self.stream.write_buf(&mut self.output);
            let written = timeout_at(deadline, write).await;
            if written.map_err(|_| Lost::Silent(self.patience()))?? == 0 {
                return Err(Lost::Closed);
            }
        }
        // What is encrypted may be held back.
        let flushed = timeout_at(deadline, self.stream.flush()).await;
        Ok(flushed.map_err(|_| Lost::Silent(self.patience()))??)
    }

    /// The next frame, without its length. Nothing is allocated for a length that is only said.
    async fn frame(&mut self, deadline: Instant) -> Result<BytesMut, Lost> {
        loop {
            if let Some(length) = self.input.first_chunk::<LENGTH_BYTES>() {
                let length = u32::from_be_bytes(*length) as usize;
                if length > ANSWER_BYTES_MAX {
                    return Err(Lost::Malformed);
                }
                if self.input.len() >= LENGTH_BYTES + length {
                    self.input.advance(LENGTH_BYTES);
                    return Ok(self.input.split_to(length));
                }
            }
            let read = timeout_at(deadline, self.stream.read_buf(&mut self.input)).await;
            if read.map_err(|_| Lost::Silent(self.patience()))?? == 0 {
                return Err(Lost::Closed);
            }
            self.heard = Instant::now();
        }
    }

    /// Takes note of a frame's header: the request that it answers and its error, unless it is
    /// an event or the answer to a ping.
    fn hear(&mut self, reader: &mut Reader<'_>) -> Result<Option<(i32, i32)>, Lost> {
        let (zxid, heard) = header(reader)?;
        match heard {
            Heard::Event => self.event = true,
            Heard::Pong => {}
            Heard::Answer { xid, error } => {
                self.zxid = self.zxid.max(zxid);
                return Ok(Some((xid, error)));
            }
        }
        Ok(None)
    }

    /// The answer to a request; they come in the order of the requests.
    async fn answer(&mut self, xid: i32, ask: &Ask) -> Result<Result<Answer, i32>, Lost> {
        let deadline = Instant::now() + self.patience();
        loop {
            let frame = self.frame(deadline).await?;
            let mut reader = Reader::new(&frame);
            match self.hear(&mut reader)? {
                None => {}
                Some((answered, 0)) if answered == xid => return Ok(Ok(ask.answer(&mut reader)?)),
                Some((answered, error)) if answered == xid => return Ok(Err(error)),
                Some(_) => return Err(Lost::Malformed),
            }
        }
    }
}
