//! One connection: requests in, responses out, in the same order.
//!
//! Produce requests are pipelined: the next is read and handed to the log while the one before
//! waits for the disk, so that one connection's requests share syncs. Every other request waits
//! until all before it are answered, as a Kafka broker does it.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use base::limits::CONNECTION_PIPELINE_MAX;
use bytes::{Buf, Bytes};
use door::{BoxFuture, CloseReason, Connection, FrameReader};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;

use crate::KafkaDoor;
use crate::handle::{self, Context};
use crate::wire::{Reader, RequestHeader, WireError};

/// A client that takes no byte of its responses for this long is gone.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);

/// A frame in pieces, in order.
pub(crate) type Parts = Vec<Bytes>;

/// Runs until either side closes the connection.
pub(crate) async fn run(door: Arc<KafkaDoor>, connection: Connection) -> Result<(), CloseReason> {
    let Connection { stream, peer, listener, stopping } = connection;
    let (read, write) = stream.into_split();
    let frames =
        FrameReader::new(read, door.options.request_bytes_max).with_idle_timeout(door.options.idle);
    let context = Context {
        broker: door.broker.clone(),
        fetch_bytes_max: door.options.fetch_bytes_max,
        listener,
        host: Arc::from(format!("/{}", peer.ip())),
    };
    let session = Session { frames, write, stopping, context, waiting: VecDeque::new() };
    session.run().await
}

struct Session {
    frames: FrameReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
    stopping: watch::Receiver<bool>,
    context: Context,
    /// Produce requests that wait for the disk, oldest first.
    waiting: VecDeque<BoxFuture<Result<Parts, CloseReason>>>,
}

/// What a session waits for.
enum Event {
    Frame(Result<Option<Bytes>, CloseReason>),
    Answer(Result<Parts, CloseReason>),
    Stopping,
}

impl Session {
    async fn run(mut self) -> Result<(), CloseReason> {
        loop {
            match self.next_event().await {
                Event::Frame(frame) => match frame? {
                    Some(frame) => self.request(frame).await?,
                    // The client will send no more, but may still read what it asked for.
                    None => return self.answer_all().await,
                },
                Event::Answer(answer) => {
                    self.waiting.pop_front();
                    self.send(answer?).await?;
                }
                Event::Stopping => return self.answer_all().await,
            }
        }
    }

    async fn next_event(&mut self) -> Event {
        let read_on = self.waiting.len() < CONNECTION_PIPELINE_MAX;
        let Self { frames, stopping, waiting, .. } = self;
        let oldest = async {
            match waiting.front_mut() {
                Some(answer) => answer.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = oldest => Event::Answer(answer),
            frame = frames.next(), if read_on => Event::Frame(frame),
            _ = stopping.wait_for(|stopping| *stopping) => Event::Stopping,
        }
    }

    async fn request(&mut self, frame: Bytes) -> Result<(), CloseReason> {
        let mut reader = Reader::new(frame);
        let header = RequestHeader::decode(&mut reader).map_err(protocol_error)?;
        if let Some(submit) = handle::pipelined(&self.context, &header, &mut reader) {
            let answer = submit.await?;
            self.waiting.push_back(answer);
            return Ok(());
        }
        self.answer_all().await?;
        let parts = {
            let mut handling = pin!(handle::dispatch(&self.context, &header, reader));
            tokio::select! {
                answer = &mut handling => answer?,
                // A long wait (for records, for a rebalance) does not hold up the broker's end.
                _ = self.stopping.wait_for(|stopping| *stopping) => return Ok(()),
            }
        };
        self.send(parts).await
    }

    /// Answers everything that waits, in order.
    async fn answer_all(&mut self) -> Result<(), CloseReason> {
        while let Some(answer) = self.waiting.pop_front() {
            let parts = answer.await?;
            self.send(parts).await?;
        }
        Ok(())
    }

    async fn send(&mut self, parts: Parts) -> Result<(), CloseReason> {
        send(&mut self.write, parts).await
    }
}

/// Writes a frame. Gives up on a client that takes nothing.
async fn send(write: &mut (impl AsyncWrite + Unpin), parts: Parts) -> Result<(), CloseReason> {
    let mut frame = Pieces(parts.into());
    while frame.has_remaining() {
        let written = tokio::time::timeout(WRITE_PATIENCE, write.write_buf(&mut frame)).await;
        match written {
            Ok(Ok(0)) => return Err(std::io::Error::from(std::io::ErrorKind::WriteZero).into()),
            Ok(written) => written?,
            Err(_) => return Err(CloseReason::Idle(WRITE_PATIENCE)),
        };
    }
    Ok(())
}

pub(crate) fn protocol_error(error: WireError) -> CloseReason {
    CloseReason::Protocol(error.to_string())
}

/// Pieces of a frame as one buffer, so that they are written together without being copied.
struct Pieces(VecDeque<Bytes>);

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.front().map_or(&[], |piece| piece.as_ref())
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pieces = self.0.iter().filter(|piece| !piece.is_empty());
        slices.iter_mut().zip(pieces).map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(piece) = self.0.front_mut() {
            if count < piece.len() {
                piece.advance(count);
                return;
            }
            count -= piece.len();
            self.0.pop_front();
        }
    }
}
