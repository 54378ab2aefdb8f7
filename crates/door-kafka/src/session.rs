//! One connection: requests in, responses out, in the same order.
//!
//! Produce requests are pipelined: the next is read and handed to the log while the one before
//! waits for the disk, so that one connection's requests share syncs. Every other request waits
//! until all before it are answered, as a Kafka broker does it. While such a request waits (for
//! records, for a rebalance), the next one is read ahead, which is how we learn that the client is
//! gone.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use base::limits::CONNECTION_PIPELINE_MAX;
use bytes::{Buf, Bytes};
use door::{BoxFuture, Claim, CloseReason, Connection, FrameReader, ReadHalf, WriteHalf};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::KafkaDoor;
use crate::handle::{self, Context, Quota};
use crate::login::{Gate, Outcome, Path};
use crate::share_sessions::OfConnection;
use crate::wire::{ApiKey, Reader, RequestHeader, WireError};

/// A client that takes no byte of its responses for this long is gone.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);

/// Produce requests of one connection may hold this many bytes while they wait for the disk; past
/// it we read no further. One request may be larger.
const PIPELINE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Requests that arrive while one is handled are read ahead up to this many bytes, so that we see
/// when the client goes away. They are small, because they may wait for long.
const AHEAD_BYTES_MAX: usize = 16 * 1024;

/// A client that closed its side may still read the answer to a request that waits, for this long.
const HALF_CLOSED_PATIENCE: Duration = Duration::from_secs(2);

/// The connection's end may take this long to be written.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(1);

/// No client rests for longer, whatever its quota.
const REST_MAX: Duration = Duration::from_secs(3600);

/// A frame in pieces, in order.
pub(crate) type Parts = Vec<Bytes>;

/// Runs until either side closes the connection.
pub(crate) async fn run(door: Arc<KafkaDoor>, connection: Connection) -> Result<(), CloseReason> {
    let Connection { stream, peer, listener, principal, logins, room, stopping, about, .. } =
        connection;
    let gate = Gate::new(logins);
    let (read, write) = stream.into_split();
    let request_bytes_max = door.options.request_bytes_max;
    let frame_bytes_max =
        gate.frame_bytes_max().map_or(request_bytes_max, |max| max.min(request_bytes_max));
    let frames = FrameReader::new(read, frame_bytes_max)
        .with_idle_timeout(door.options.idle)
        .with_room(&room);
    let eviction = frames.eviction();
    // A client of IPv4 that came through a socket of IPv6 has its address in the other's form.
    let ip = peer.ip().to_canonical();
    let context = Context {
        broker: door.broker.clone(),
        fetch_bytes_max: door.options.fetch_bytes_max,
        fetch_sessions: Arc::clone(&door.fetch_sessions),
        telemetry: Arc::clone(&door.telemetry),
        figures: Arc::clone(&door.figures),
        software: Arc::default(),
        port: peer.port(),
        share_sessions: Arc::new(OfConnection::new(&door.share_sessions, &door.broker)),
        listener,
        quota: Quota::new(&door.broker, &principal),
        actor: door.broker.actor(principal, ip.to_string().into()),
        host: Arc::from(format!("/{ip}")),
        about,
    };
    let session = Session {
        frames,
        write,
        stopping,
        gate,
        request_bytes_max,
        context,
        waiting: VecDeque::new(),
        waiting_bytes: 0,
        ahead: ReadAhead::default(),
        rests_until: None,
        is_named: false,
    };
    tokio::select! {
        ended = session.run() => ended,
        () = eviction.happens() => Err(CloseReason::Limit(
            "its request arrives slowly, and others wait for the memory".into(),
        )),
    }
}

/// A produce request that waits for the disk.
struct Waiting {
    bytes: usize,
    since: Instant,
    /// Its memory.
    _claim: Claim,
    answer: BoxFuture<Result<Parts, CloseReason>>,
}

struct Session {
    frames: FrameReader<ReadHalf>,
    write: WriteHalf,
    stopping: watch::Receiver<bool>,
    gate: Gate,
    /// Largest request of a client that may send any.
    request_bytes_max: usize,
    context: Context,
    /// Produce requests that wait for the disk, oldest first.
    waiting: VecDeque<Waiting>,
    /// The sum of their bytes.
    waiting_bytes: usize,
    ahead: ReadAhead,
    /// No request is taken before, because of a quota (KIP-219).
    rests_until: Option<Instant>,
    /// It was shown what the client calls itself.
    is_named: bool,
}

/// What arrived while a request was handled.
#[derive(Default)]
struct ReadAhead {
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// The client closed its side after them.
    ended: bool,
}

impl ReadAhead {
    fn is_full(&self) -> bool {
        self.bytes >= AHEAD_BYTES_MAX || self.frames.len() >= CONNECTION_PIPELINE_MAX
    }

    fn pop(&mut self) -> Option<Option<Bytes>> {
        match self.frames.pop_front() {
            Some(frame) => {
                self.bytes -= frame.len();
                Some(Some(frame))
            }
            None => self.ended.then_some(None),
        }
    }
}

/// What a session waits for.
enum Event {
    Frame(Result<Option<Bytes>, CloseReason>),
    Answer(Result<Parts, CloseReason>),
    Stopping,
    /// The client did not log in for too long.
    NoLogin,
}

impl Session {
    async fn run(mut self) -> Result<(), CloseReason> {
        let ended = self.talk().await;
        if ended.is_ok() {
            // TLS says goodbye; a client that does not hear it would call us cut off.
            let _ = tokio::time::timeout(GOODBYE_PATIENCE, self.write.shutdown()).await;
        }
        ended
    }

    async fn talk(&mut self) -> Result<(), CloseReason> {
        loop {
            match self.next_event().await {
                Event::Frame(frame) => match frame? {
                    Some(frame) => {
                        self.request(frame).await?;
                        self.rest();
                    }
                    // The client will send no more, but may still read what it asked for.
                    None => return self.answer_all().await,
                },
                Event::Answer(answer) => {
                    self.forget_oldest();
                    let mut parts = answer?;
                    // One sync answers several requests: they leave together.
                    while let Some(more) = self.oldest_if_ready().await {
                        self.forget_oldest();
                        parts.extend(more?);
                    }
                    self.send(parts).await?;
                    self.rest();
                }
                Event::Stopping => return self.answer_all().await,
                Event::NoLogin => {
                    return Err(CloseReason::Login("the client did not log in in time".into()));
                }
            }
        }
    }

    async fn next_event(&mut self) -> Event {
        let read_on =
            self.waiting.len() < CONNECTION_PIPELINE_MAX && self.waiting_bytes < PIPELINE_BYTES_MAX;
        let Self { frames, stopping, gate, waiting, ahead, rests_until, .. } = self;
        let oldest = async {
            match waiting.front_mut() {
                Some(Waiting { answer, .. }) => answer.await,
                None => std::future::pending().await,
            }
        };
        let next = async {
            if let Some(until) = *rests_until {
                rest(until, frames, ahead).await?;
                *rests_until = None;
            }
            match ahead.pop() {
                Some(frame) => Ok(frame),
                None => frames.next().await,
            }
        };
        let no_login = async {
            match gate.deadline() {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = oldest => Event::Answer(answer),
            // Before the frames: a client that never pauses must not keep us from stopping.
            _ = stopping.wait_for(|stopping| *stopping) => Event::Stopping,
            frame = next, if read_on => Event::Frame(frame),
            () = no_login => Event::NoLogin,
        }
    }

    async fn request(&mut self, frame: Bytes) -> Result<(), CloseReason> {
        if self.gate.is_raw() {
            let outcome = self.gate.raw_token(&frame).await;
            return self.login(outcome).await;
        }
        let (bytes, claim) = (frame.len(), self.frames.take_claim());
        let since = Instant::now();
        let mut reader = Reader::new(frame);
        let header = RequestHeader::decode(&mut reader).map_err(protocol_error)?;
        if !self.is_named {
            self.is_named = true;
            self.context.about.say("client_id", header.client_id.as_deref().unwrap_or_default());
        }
        if self.gate.check(header.api)? == Path::Login {
            self.answer_all().await?;
            let outcome = self.gate.login(&header, reader).await?;
            return self.login(outcome).await;
        }
        if let Some(submit) = handle::pipelined(&self.context, &header, &mut reader) {
            let claim = claim.at_work();
            let answer = submit.await?;
            self.waiting.push_back(Waiting { bytes, since, _claim: claim, answer });
            self.waiting_bytes += bytes;
            return Ok(());
        }
        self.answer_all().await?;
        // What may wait for long must not keep others from sending.
        let _claim = (!handle::may_wait(header.api)).then(|| claim.at_work());
        let parts = {
            let Self { frames, stopping, context, ahead, .. } = self;
            let mut handling = pin!(handle::dispatch(context, &header, reader));
            let stopped = async {
                if !handle::may_wait(header.api) {
                    // Soon done: what was begun is finished.
                    return std::future::pending().await;
                }
                let _ = stopping.wait_for(|stopping| *stopping).await;
            };
            tokio::select! {
                biased;
                answer = &mut handling => answer?,
                // A long wait (for records, for a rebalance) does not hold up the broker's end.
                () = stopped => return Ok(()),
                gone = watch_client(frames, ahead) => match gone {
                    Some(reason) => return Err(reason),
                    None => match tokio::time::timeout(HALF_CLOSED_PATIENCE, handling).await {
                        Ok(answer) => answer?,
                        Err(_) => return Ok(()),
                    },
                },
            }
        };
        // Of one that waited, most of the time is what it waited for.
        let took = (!handle::may_wait(header.api)).then(|| since.elapsed());
        self.context.figures.answered(header.api, took);
        self.send(parts).await
    }

    /// The answer to the oldest request that waits, if it is there already.
    async fn oldest_if_ready(&mut self) -> Option<Result<Parts, CloseReason>> {
        let Waiting { answer, .. } = self.waiting.front_mut()?;
        poll_fn(|context| match answer.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    /// Tells the client what came of a part of its login.
    async fn login(&mut self, outcome: Outcome) -> Result<(), CloseReason> {
        match outcome {
            Outcome::Answer(parts) => self.send(parts).await,
            Outcome::In(parts, principal) => {
                self.context.log_in(principal);
                self.frames.set_frame_bytes_max(self.request_bytes_max);
                self.send(parts).await
            }
            Outcome::Out(parts, reason) => {
                // To slow guessing down; the broker's end need not wait for that.
                let stopped = self.stopping.wait_for(|stopping| *stopping);
                let _ = tokio::time::timeout(self.gate.failure_delay(), stopped).await;
                if let Some(parts) = parts {
                    self.send(parts).await?;
                    let _ = tokio::time::timeout(GOODBYE_PATIENCE, self.write.shutdown()).await;
                }
                Err(reason)
            }
        }
    }

    /// Begins the rest that a quota asks for.
    fn rest(&mut self) {
        if let Some(rest) = self.context.quota.take_rest() {
            let until = Instant::now() + rest.min(REST_MAX);
            self.rests_until = Some(self.rests_until.map_or(until, |other| other.max(until)));
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(Waiting { bytes, since, .. }) = self.waiting.pop_front() {
            self.waiting_bytes -= bytes;
            let took = since.elapsed();
            self.context.figures.answered(ApiKey::Produce, Some(took));
            self.context.figures.door.publish_time.record_time(took);
        }
    }

    /// Answers everything that waits, in order.
    async fn answer_all(&mut self) -> Result<(), CloseReason> {
        while let Some(Waiting { answer, .. }) = self.waiting.front_mut() {
            let parts = answer.await?;
            self.forget_oldest();
            self.send(parts).await?;
        }
        Ok(())
    }

    async fn send(&mut self, parts: Parts) -> Result<(), CloseReason> {
        send(&mut self.write, parts).await
    }
}

/// Waits until a client has rested, or is gone. What it sends meanwhile is taken only as far as it
/// is read ahead.
async fn rest(
    until: Instant,
    frames: &mut FrameReader<ReadHalf>,
    ahead: &mut ReadAhead,
) -> Result<(), CloseReason> {
    tokio::select! {
        () = tokio::time::sleep_until(until) => return Ok(()),
        gone = watch_client(frames, ahead) => if let Some(reason) = gone {
            return Err(reason);
        }
    }
    // It will send no more: with nothing left to do there is nothing to rest from.
    if !ahead.frames.is_empty() {
        tokio::time::sleep_until(until).await;
    }
    Ok(())
}

/// Reads ahead while a request is handled. Returns when the client is gone: `None` if it closed its
/// side properly, which it may do and still read, else the reason.
async fn watch_client(
    frames: &mut FrameReader<ReadHalf>,
    ahead: &mut ReadAhead,
) -> Option<CloseReason> {
    loop {
        // Where a client sends more than this and then goes away, we learn it when we answer.
        if ahead.is_full() {
            return std::future::pending().await;
        }
        if ahead.ended {
            return None;
        }
        match frames.next_up_to(AHEAD_BYTES_MAX).await {
            Ok(Some(frame)) => {
                ahead.bytes += frame.len();
                ahead.frames.push_back(frame);
            }
            Ok(None) => ahead.ended = true,
            // It is the client that waits, so its silence says nothing.
            Err(CloseReason::Idle(_)) => {}
            Err(reason) => return Some(reason),
        }
    }
}

/// Writes a frame. Gives up on a client that takes nothing.
async fn send(write: &mut (impl AsyncWrite + Unpin), parts: Parts) -> Result<(), CloseReason> {
    let mut frame = Pieces::new(parts);
    while frame.has_remaining() {
        let written = tokio::time::timeout(WRITE_PATIENCE, write.write_buf(&mut frame)).await;
        match written {
            Ok(Ok(0)) => return Err(std::io::Error::from(std::io::ErrorKind::WriteZero).into()),
            Ok(written) => written?,
            Err(_) => return Err(CloseReason::Idle(WRITE_PATIENCE)),
        };
    }
    // An encrypted stream may hold back the end; a plain one has nothing to do.
    match tokio::time::timeout(WRITE_PATIENCE, write.flush()).await {
        Ok(flushed) => Ok(flushed?),
        Err(_) => Err(CloseReason::Idle(WRITE_PATIENCE)),
    }
}

pub(crate) fn protocol_error(error: WireError) -> CloseReason {
    CloseReason::Protocol(error.to_string())
}

/// Pieces of a frame as one buffer, so that they are written together without being copied.
struct Pieces {
    pieces: VecDeque<Bytes>,
    left: usize,
}

impl Pieces {
    fn new(parts: Parts) -> Self {
        let left = parts.iter().map(Bytes::len).sum();
        Self { pieces: parts.into(), left }
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.left
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.iter().find(|piece| !piece.is_empty()).map_or(&[], |piece| piece.as_ref())
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pieces = self.pieces.iter().filter(|piece| !piece.is_empty());
        slices.iter_mut().zip(pieces).map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
    }

    fn advance(&mut self, mut count: usize) {
        self.left = self.left.saturating_sub(count);
        while let Some(piece) = self.pieces.front_mut() {
            if count < piece.len() {
                piece.advance(count);
                return;
            }
            count -= piece.len();
            self.pieces.pop_front();
        }
    }
}
