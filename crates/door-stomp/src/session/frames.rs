//! From frames to handlers.

use broker::live::Fate;
use bytes::Bytes;
use door::{Input, ReadHalf};

use super::{End, Session, receipt};
use crate::fault::Fault;
use crate::handle::{self, Next};
use crate::limits::BATCH_BYTES_MAX;
use crate::wire::parse::{Command, Frame, Parsed, parse};

/// Why a run of frames pauses.
enum Stop {
    /// So many bytes must be there to go on.
    More(usize),
    /// Enough for one batch.
    Batch,
    /// Somebody sends, and nothing can be stored.
    Blocked,
    /// A frame that may take a moment.
    Wait,
}

impl Session<'_> {
    /// Handles all that was read. Returns how many bytes must be there to go on, and how many are.
    pub(super) async fn take_in(
        &mut self,
        input: &mut Input<ReadHalf>,
    ) -> Result<(usize, usize), End> {
        if self.is_publisher {
            self.until_healthy().await;
        }
        let chunk = input.take();
        let mut at = 0;
        let wanted = loop {
            let stop = self.handle_many(&chunk, &mut at);
            self.hand_over().await;
            self.deliveries.outgoing.flush();
            // Who asks and does not read the answers is not read from.
            self.deliveries.outgoing.until_read().await;
            match stop? {
                Stop::More(wanted) => break wanted,
                Stop::Batch => {}
                Stop::Blocked => self.until_healthy().await,
                // Once in a while, and it takes much.
                Stop::Wait => at += Box::pin(self.handle_slow(&chunk, at)).await?,
            }
        };
        let there = chunk.len() - at;
        input.put_back(chunk, at);
        Ok((wanted, there))
    }

    /// Handles frames until there is something to wait for.
    fn handle_many(&mut self, chunk: &Bytes, at: &mut usize) -> Result<Stop, End> {
        loop {
            let rest = &chunk[*at..];
            if rest.is_empty() {
                return Ok(Stop::More(1));
            }
            let (frame, used) = match self.parse(rest)? {
                Parsed::Frame(frame, used) => (frame, used),
                Parsed::Beats(count) => {
                    *at += count;
                    continue;
                }
                Parsed::More(wanted) => return Ok(Stop::More(wanted)),
            };
            let next = self.handle_frame(chunk, &frame);
            match next.map_err(|fault| End::Fault(fault, receipt(frame.headers)))? {
                Next::Go => *at += used,
                // They come again.
                Next::Blocked => return Ok(Stop::Blocked),
                Next::Wait => return Ok(Stop::Wait),
            }
            if self.publishing.batch.bytes() >= BATCH_BYTES_MAX {
                return Ok(Stop::Batch);
            }
        }
    }

    fn parse<'a>(&mut self, input: &'a [u8]) -> Result<Parsed<'a>, End> {
        let parsed = parse(input, self.agreed.version, &self.bounds, &mut self.looked);
        parsed.map_err(|error| End::fault(Fault::frame(error, input)))
    }

    fn handle_frame(&mut self, chunk: &Bytes, frame: &Frame<'_>) -> Result<Next, Fault> {
        let headers = frame.headers;
        match frame.command {
            Command::Send => {
                let is_first = !std::mem::replace(&mut self.is_publisher, true);
                if is_first && self.shared.broker.health().is_err() {
                    return Ok(Next::Blocked);
                }
                // It says itself what its receipt waits for.
                return handle::send::handle(self, chunk, frame);
            }
            // Whoever wants to know that it counts waits until it does.
            Command::Ack | Command::Nack if headers.get("receipt").is_some() => {
                return Ok(Next::Wait);
            }
            Command::Ack | Command::Nack => handle::ack::handle(self, frame.command, headers)?,
            Command::Begin => handle::transaction::begin(self, headers)?,
            Command::Abort => handle::transaction::abort(self, headers)?,
            Command::Connect => {
                let detail = "\"CONNECT\" is not allowed on a connection that has one";
                return Err(Fault::new("Unexpected CONNECT", detail));
            }
            Command::Subscribe | Command::Unsubscribe | Command::Commit | Command::Disconnect => {
                return Ok(Next::Wait);
            }
        }
        self.owe(headers, Fate::Done);
        Ok(Next::Go)
    }

    /// A frame that may take a moment. Nothing is handled on this connection before it is done. Returns its length.
    async fn handle_slow(&mut self, chunk: &Bytes, at: usize) -> Result<usize, End> {
        self.until_stored().await;
        let Parsed::Frame(frame, used) = self.parse(&chunk[at..])? else { return Ok(0) };
        let headers = frame.headers;
        let done = match frame.command {
            Command::Subscribe => handle::subscribe::handle(self, headers).await,
            Command::Unsubscribe => handle::unsubscribe::handle(self, headers).await,
            Command::Commit => handle::transaction::commit(self, headers).await,
            Command::Ack | Command::Nack => {
                handle::ack::handle_and_wait(self, frame.command, headers).await
            }
            Command::Disconnect => return handle::disconnect::handle(self, headers).await,
            _ => handle::send::handle_slowly(self, chunk, &frame).await,
        };
        done.map_err(|fault| End::Fault(fault, receipt(headers)))?;
        // These say themselves when.
        if !matches!(frame.command, Command::Send | Command::Subscribe) {
            self.owe(headers, Fate::Done);
        }
        Ok(used)
    }
}
