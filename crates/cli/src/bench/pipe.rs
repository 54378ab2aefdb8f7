//! A connection that carries prepared requests, several in flight.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;
use door_kafka::wire::{RequestMessage, decode_response};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::client::security::Stream;
use crate::client::{Client, ClientError};

/// Largest response that is believed.
const RESPONSE_BYTES_MAX: usize = 200 * 1024 * 1024;

/// Where the correlation id stands in a request: after its length, key and version.
const CORRELATION: std::ops::Range<usize> = 8..12;

/// One connection to one broker.
pub(super) struct Pipe {
    stream: Stream,
    address: String,
    correlation: i32,
    /// The requests that have no answer yet: their ids, oldest first.
    waiting: VecDeque<i32>,
}

impl Pipe {
    /// Connects to a partition's leader.
    pub(super) fn open(client: &mut Client, leader: i32) -> Result<Self, ClientError> {
        let (stream, address) = client.open(leader)?.into_stream();
        Ok(Self { stream, address, correlation: 0, waiting: VecDeque::new() })
    }

    /// How many requests wait for their answers.
    pub(super) fn in_flight(&self) -> usize {
        self.waiting.len()
    }

    /// Sends a prepared request, under a new correlation id.
    pub(super) fn send(&mut self, frame: &mut [u8]) -> Result<(), ClientError> {
        self.correlation = self.correlation.wrapping_add(1);
        if let Some(id) = frame.get_mut(CORRELATION) {
            id.copy_from_slice(&self.correlation.to_be_bytes());
        }
        self.waiting.push_back(self.correlation);
        let sent = self.stream.write_all(frame).and_then(|()| self.stream.flush());
        sent.map_err(|error| self.broken(&error))
    }

    /// The answer to the oldest request; `None` if it has not begun to arrive by then.
    pub(super) fn receive<R: RequestMessage>(
        &mut self,
        version: i16,
        until: Option<Instant>,
    ) -> Result<Option<R::Response>, ClientError> {
        if !self.is_readable(until)? {
            return Ok(None);
        }
        let frame = self.frame()?;
        let garbage = |why: String| ClientError::Garbage {
            address: self.address.clone(),
            request: R::API.name(),
            why,
        };
        let (id, response) =
            decode_response::<R>(frame, version).map_err(|error| garbage(error.to_string()))?;
        match self.waiting.pop_front() {
            Some(expected) if expected == id => Ok(Some(response)),
            expected => Err(garbage(format!("response {id}, not {expected:?}"))),
        }
    }

    fn is_readable(&mut self, until: Option<Instant>) -> Result<bool, ClientError> {
        let Some(until) = until else { return Ok(true) };
        if self.stream.has_more() {
            return Ok(true);
        }
        let left = until.saturating_duration_since(Instant::now());
        let mut watched = [PollFd::new(self.stream.socket(), PollFlags::IN)];
        match poll(&mut watched, Some(&timespec(left))) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(self.broken(&error.into())),
        }
    }

    fn frame(&mut self) -> Result<Bytes, ClientError> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).map_err(|error| self.broken(&error))?;
        let length = i32::from_be_bytes(length);
        let Some(bytes) = usize::try_from(length).ok().filter(|n| *n <= RESPONSE_BYTES_MAX) else {
            let why = format!("a response of {length} bytes");
            return Err(ClientError::Garbage {
                address: self.address.clone(),
                request: "bench",
                why,
            });
        };
        let mut frame = Vec::with_capacity(bytes);
        let limit = u64::try_from(bytes).unwrap_or_default();
        let read = (&mut self.stream).take(limit).read_to_end(&mut frame);
        match read.map_err(|error| self.broken(&error))? {
            read if read < bytes => Err(self.broken(&ErrorKind::UnexpectedEof.into())),
            _ => Ok(frame.into()),
        }
    }

    fn broken(&self, error: &std::io::Error) -> ClientError {
        let why = match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => "it does not answer".to_owned(),
            _ => error.to_string(),
        };
        ClientError::Closed { address: self.address.clone(), request: "bench", why }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}
