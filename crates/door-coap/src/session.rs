//! One connection: CoAP over TCP, TLS and WebSockets (RFC 8323). The stream sees to it that everything arrives, once and in
//! order; so there are no message ids here, and the client is where it says it is.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use broker::PublisherId;
use broker::access::Actor;
use broker::observe::trace::carried;
use bytes::Bytes;
use door::{BoxFuture, CloseReason, Connection, Input, ReadHalf, Stream, WriteHalf};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use crate::Shared;
use crate::endpoint::ObservationId;
use crate::handle::{self, Caller, poll_once};
use crate::limits::{
    CONNECTION_REQUESTS_MAX, CSM_TIMEOUT, FLUSH_TIMEOUT, IDLE_TIMEOUT, MESSAGE_BYTES_MAX,
};
use crate::observe::Observations;
use crate::remote::Remote;
use crate::request::Request;
use crate::response::Response;
use crate::transfer::{Pieces, Taken, Transfers};
use crate::wire::code::Code;
use crate::wire::frame::{self, Header};
use crate::wire::number::{is_critical, signal};
use crate::wire::option::{Writer, uint};
use crate::wire::{Message, Token, WireError, to_usize};

/// What a client takes that does not say (RFC 8323 §5.3.1).
const MESSAGE_BYTES_DEFAULT: u32 = 1152;
/// What a message takes besides its payload, at most: a header, a token, the options of responses.
const OVERHEAD: usize = 128;
/// A client that takes nothing of what is written to it for so long is cut off.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);

/// How messages stand in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// Each says how long it is.
    Stream,
    /// Each is a message of the WebSocket, whose length in four bytes comes before it.
    WebSocket,
}

/// A request that is being worked on.
#[derive(Debug, Clone, Copy)]
struct Work {
    token: Token,
    observation: Option<ObservationId>,
}

/// What a connection does next.
enum Step {
    /// It goes on.
    On,
    /// It ends, without anybody being to blame.
    End,
}

/// Speaks the protocol until either side closes.
pub(crate) fn serve(
    shared: Arc<Shared>,
    connection: Connection,
) -> BoxFuture<Result<(), CloseReason>> {
    Box::pin(async move {
        let Connection { stream, peer, principal, room, stopping, .. } = connection;
        let framing = match stream {
            Stream::WebSocket(_) => Framing::WebSocket,
            _ => Framing::Stream,
        };
        let (read, write) = stream.into_split();
        let host = peer.ip().to_canonical().to_string().into();
        let actor = shared.broker.actor(principal, host);
        let session = Session {
            publisher: shared.broker.new_publisher(),
            transfers: Transfers::new(shared.options.body_bytes_max, &shared.transfers),
            shared,
            peer: peer.into(),
            actor,
            framing,
            write,
            observations: Observations::default(),
            tasks: JoinSet::new(),
            running: HashMap::new(),
            output: Vec::new(),
            is_open: false,
            pieces: Pieces { payload_max: payload_max(MESSAGE_BYTES_DEFAULT), large: false },
            is_pinged: false,
            began: Instant::now(),
        };
        let input = Input::new(read, &room);
        let eviction = input.eviction();
        tokio::select! {
            () = eviction.happens() => {
                let why = "others wait for the memory of a message that does not end";
                Err(CloseReason::Limit(why.into()))
            }
            ended = session.run(input, stopping) => ended,
        }
    })
}

/// The largest payload of a message of so many bytes.
fn payload_max(message: u32) -> usize {
    to_usize(message).saturating_sub(OVERHEAD).max(16)
}

struct Session {
    shared: Arc<Shared>,
    peer: Remote,
    actor: Actor,
    publisher: PublisherId,
    framing: Framing,
    write: WriteHalf,
    transfers: Transfers,
    observations: Observations,
    tasks: JoinSet<(Work, Request, Response)>,
    running: HashMap<Id, Work>,
    /// What is to be written.
    output: Vec<u8>,
    /// The client's first message has come.
    is_open: bool,
    /// What the client takes.
    pieces: Pieces,
    /// The client was asked whether it is there.
    is_pinged: bool,
    began: Instant,
}

impl Session {
    async fn run(
        mut self,
        mut input: Input<ReadHalf>,
        mut stopping: watch::Receiver<bool>,
    ) -> Result<(), CloseReason> {
        self.say_hello();
        let ended = self.talk(&mut input, &mut stopping).await;
        // What was promised before the end still goes out, such as why it is the end.
        let flushed = async {
            self.write.write_all(&self.output).await?;
            self.write.shutdown().await
        };
        let _in_time = timeout(FLUSH_TIMEOUT, flushed).await;
        ended
    }

    async fn talk(
        &mut self,
        input: &mut Input<ReadHalf>,
        stopping: &mut watch::Receiver<bool>,
    ) -> Result<(), CloseReason> {
        let mut wanted = 1;
        let mut idle_at = Instant::now() + CSM_TIMEOUT;
        loop {
            self.send().await?;
            let ready = Arc::clone(&self.observations.ready);
            let has_room = self.tasks.len() < CONNECTION_REQUESTS_MAX;
            tokio::select! {
                biased;
                _ = stopping.wait_for(|stop| *stop) => {
                    self.signal(Code::RELEASE, Token::default());
                    return Ok(());
                }
                Some(done) = self.tasks.join_next_with_id() => self.done(done),
                () = ready.notify.notified() => self.notify(),
                filled = input.fill(wanted), if has_room => {
                    if !filled? {
                        return Ok(());
                    }
                    let chunk = input.take();
                    let (taken, step) = self.take(&chunk, &mut wanted)?;
                    input.put_back(chunk, taken);
                    if matches!(step, Step::End) {
                        return Ok(());
                    }
                    if self.is_open {
                        idle_at = Instant::now() + IDLE_TIMEOUT;
                    }
                }
                () = sleep_until(idle_at) => {
                    if !self.is_open || std::mem::replace(&mut self.is_pinged, true) {
                        return Err(CloseReason::Idle(IDLE_TIMEOUT));
                    }
                    self.signal(Code::PING, Token::default());
                    idle_at = Instant::now() + IDLE_TIMEOUT;
                }
            }
        }
    }

    /// Writes what is to be written. While the client does not read, nothing is read from it.
    async fn send(&mut self) -> Result<(), CloseReason> {
        if self.output.is_empty() {
            return Ok(());
        }
        let written = async {
            self.write.write_all(&self.output).await?;
            self.write.flush().await
        };
        match timeout(WRITE_DEADLINE, written).await {
            Ok(written) => written?,
            Err(_elapsed) => {
                self.output.clear();
                return Err(CloseReason::Limit("it does not read".into()));
            }
        }
        door::pool::give(std::mem::take(&mut self.output));
        Ok(())
    }

    /// Takes messages that have come: how many bytes were taken, and what is next. `wanted` becomes how many must be there
    /// before it goes on.
    fn take(&mut self, chunk: &Bytes, wanted: &mut usize) -> Result<(usize, Step), CloseReason> {
        let mut at = 0;
        loop {
            let rest = chunk.get(at..).unwrap_or_default();
            // Nothing more is begun than may be; the rest waits.
            if self.tasks.len() >= CONNECTION_REQUESTS_MAX {
                *wanted = 1;
                return Ok((at, Step::On));
            }
            match self.next(rest) {
                Ok(Next::More(bytes)) => {
                    *wanted = bytes;
                    return Ok((at, Step::On));
                }
                Ok(Next::Message(message, taken)) => {
                    at += taken;
                    if let Step::End = self.message(chunk, &message)? {
                        return Ok((at, Step::End));
                    }
                }
                Err(error) => return Err(self.abort(error.to_string())),
            }
        }
    }

    /// The next message.
    fn next<'a>(&self, bytes: &'a [u8]) -> Result<Next<'a>, WireError> {
        match self.framing {
            Framing::Stream => match Header::decode(bytes, MESSAGE_BYTES_MAX)? {
                Some(header) if bytes.len() >= header.total() => {
                    Ok(Next::Message(header.message(bytes)?, header.total()))
                }
                Some(header) => Ok(Next::More(header.total())),
                None => Ok(Next::More(bytes.len() + 1)),
            },
            Framing::WebSocket => {
                let Some((length, rest)) = bytes.split_first_chunk() else {
                    return Ok(Next::More(4));
                };
                let length = to_usize(u32::from_be_bytes(*length));
                if length > MESSAGE_BYTES_MAX {
                    return Err(WireError::TooLarge(length));
                }
                match rest.get(..length) {
                    Some(message) => Ok(Next::Message(frame::decode_web(message)?, 4 + length)),
                    None => Ok(Next::More(4 + length)),
                }
            }
        }
    }

    /// Tells the client what it did wrong, and ends (RFC 8323 §5.6).
    fn abort(&mut self, why: String) -> CloseReason {
        let mut body = Vec::new();
        Writer::new(&mut body).payload(why.as_bytes());
        self.put(Code::ABORT, Token::default(), &body);
        CloseReason::Protocol(why)
    }

    fn put(&mut self, code: Code, token: Token, body: &[u8]) {
        if self.output.capacity() == 0 {
            self.output = door::pool::take();
        }
        match self.framing {
            Framing::Stream => frame::put(code, token, body, &mut self.output),
            Framing::WebSocket => {
                let length = 2 + token.as_bytes().len() + body.len();
                let length = u32::try_from(length).unwrap_or(u32::MAX);
                self.output.extend(length.to_be_bytes());
                frame::put_web(code, token, body, &mut self.output);
            }
        }
    }

    fn signal(&mut self, code: Code, token: Token) {
        self.put(code, token, &[]);
    }

    /// What both sides say first (RFC 8323 §5.3).
    fn say_hello(&mut self) {
        let mut body = Vec::new();
        let mut writer = Writer::new(&mut body);
        let max = u32::try_from(MESSAGE_BYTES_MAX).unwrap_or(u32::MAX);
        writer.uint(signal::MAX_MESSAGE_SIZE, max);
        writer.option(signal::BLOCK_WISE, &[]);
        self.put(Code::CSM, Token::default(), &body);
    }

    fn message(&mut self, chunk: &Bytes, message: &Message<'_>) -> Result<Step, CloseReason> {
        self.is_pinged = false;
        if message.code.is_signal() {
            return self.signalled(message);
        }
        if !self.is_open {
            return Err(self.abort("a CSM comes first".into()));
        }
        // Empty ones keep connections open (RFC 8323 §3.4); responses are to nothing.
        if message.code.is_request() {
            self.request(chunk, message);
        }
        Ok(Step::On)
    }

    fn signalled(&mut self, message: &Message<'_>) -> Result<Step, CloseReason> {
        let known = |number| match message.code {
            Code::CSM => matches!(number, signal::MAX_MESSAGE_SIZE | signal::BLOCK_WISE),
            Code::PING | Code::PONG => number == signal::CUSTODY,
            _ => false,
        };
        let mut options = message.options.iter();
        if options.any(|(number, _)| is_critical(number) && !known(number)) {
            return Err(self.abort("an option of a signal that is not known".into()));
        }
        match message.code {
            Code::CSM => {
                self.is_open = true;
                let size = message.options.all(signal::MAX_MESSAGE_SIZE).next().and_then(uint);
                if let Some(size) = size {
                    self.pieces.payload_max = payload_max(size);
                }
                // Pieces of many kilobytes are for who says so, and takes more than one (RFC 8323 §6).
                let says_so = message.options.all(signal::BLOCK_WISE).next().is_some();
                self.pieces.large |= says_so && size.is_some_and(|s| s > MESSAGE_BYTES_DEFAULT);
            }
            Code::PING => self.signal(Code::PONG, message.token),
            Code::PONG => {}
            Code::RELEASE | Code::ABORT => return Ok(Step::End),
            code => return Err(self.abort(format!("no signal {code:?}"))),
        }
        Ok(Step::On)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn request(&mut self, chunk: &Bytes, message: &Message<'_>) {
        let share =
            |part: &[u8]| if part.is_empty() { Bytes::new() } else { chunk.slice_ref(part) };
        let (options, payload) = (share(message.options.as_bytes()), share(message.payload));
        let token = message.token;
        let request = match Request::new(message.code, options, payload) {
            Ok(request) => request,
            Err(refusal) => return self.put(refusal.code, token, &refusal.body()),
        };
        let (now, peer) = (self.now(), self.peer);
        let mut request = match self.transfers.take(now, peer, request, self.pieces) {
            Taken::Whole(request) => request,
            Taken::Answer(answer) => return self.put(answer.code, token, &answer.body()),
        };
        let (actor, publisher) = (self.actor.clone(), self.publisher);
        let caller = Caller { peer, actor, publisher };
        let observe = request.fields.observe.filter(|_| request.method == Code::GET);
        let mut observation = None;
        match observe {
            Some(0) => {
                if let Some((subject, topic)) = handle::observable(&self.shared, &caller, &request)
                {
                    let (broker, of) = (&self.shared.broker, (&subject, topic.as_ref()));
                    observation = self.observations.open(broker, &caller, token, of, &request);
                }
            }
            Some(1) => {
                let old = self.observations.find(peer, token);
                old.and_then(|id| self.observations.close(id));
            }
            _ => {}
        }
        if observation.is_none() {
            // It is as if it had not asked for it (RFC 7641 §4.1).
            request.fields.observe = None;
        }
        let (shared, work) = (Arc::clone(&self.shared), Work { token, observation });
        let mut answer: BoxFuture<_> = Box::pin(async move {
            let response = handle::answer(&shared, &caller, &request).await;
            (work, request, response)
        });
        // In the order in which they came, they begin.
        match poll_once(answer.as_mut()) {
            Some(Poll::Ready((work, request, response))) => self.answer(work, &request, response),
            Some(Poll::Pending) => {
                let id = self.tasks.spawn(carried(answer)).id();
                self.running.insert(id, work);
            }
            None => self.failed(work),
        }
    }

    /// A request was worked on.
    fn done(&mut self, done: Result<(Id, (Work, Request, Response)), JoinError>) {
        match done {
            Ok((id, (work, request, response))) => {
                self.running.remove(&id);
                self.answer(work, &request, response);
            }
            Err(error) => {
                tracing::error!(%error, "a request could not be worked on");
                if let Some(work) = self.running.remove(&error.id()) {
                    self.failed(work);
                }
            }
        }
    }

    fn failed(&mut self, work: Work) {
        work.observation.and_then(|id| self.observations.close(id));
        self.put(Code::INTERNAL_ERROR, work.token, &[]);
    }

    fn answer(&mut self, work: Work, request: &Request, mut response: Response) {
        let now = self.now();
        if let Some(id) = work.observation {
            match response.code.is_success() {
                true => response.observe = self.observations.activate(id, now),
                false => drop(self.observations.close(id)),
            }
        }
        let response = self.transfers.cut(now, self.peer, request, response, self.pieces);
        if request.fields.wants(response.code) {
            self.put(response.code, work.token, &response.body());
        }
        if let Some(id) = work.observation {
            // What came before it was agreed on.
            self.tell(id);
        }
    }

    /// Tells the client what became of what it observes.
    fn notify(&mut self) {
        for id in self.observations.ready.take() {
            self.tell(id);
        }
    }

    fn tell(&mut self, id: ObservationId) {
        let now = self.now();
        let Some(observation) = self.observations.get_mut(id).filter(|one| one.is_ready()) else {
            return;
        };
        let Some(value) = observation.slot.take() else { return };
        let token = observation.token;
        let response = observation.notification(&value, self.shared.broker.now());
        let request = &observation.request;
        let response = self.transfers.cut(now, self.peer, request, response, self.pieces);
        let body = response.body();
        self.put(response.code, token, &body);
        match response.code.is_success() {
            true => {
                self.shared.figures.delivered(1, value.bytes());
                self.observations.sent(id, &value, false, now);
            }
            false => drop(self.observations.close(id)),
        }
    }
}

/// What comes next.
enum Next<'a> {
    /// A message of so many bytes.
    Message(Message<'a>, usize),
    /// Not before so many bytes are there.
    More(usize),
}
