//! One connection, from its first byte to its last.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use broker::live::{Batch, RouteCache, Slow};
use broker::observe::{Said, kinds};
use broker::{Broker, Message, PublisherId};
use bytes::Bytes;
use door::{BoxFuture, CloseReason, Connection, Input, ReadHalf, Stream, WriteHalf};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::auth::Gate;
use crate::client::Client;
use crate::limits::{
    BATCH_BYTES_MAX, CONTROL_LINE_BYTES_MAX, FLUSH_TIMEOUT, LAME_DUCK, LINGER, LOGIN_TIMEOUT,
    STALL, WRITE_DEADLINE,
};
use crate::map::{self, error};
use crate::outgoing::{Cut, Outgoing};
use crate::wire::encode;
use crate::wire::info::Info;
use crate::wire::parse::{Bounds, Line, Op, Parsed, parse};
use crate::{Member, Shared, handle};

/// Speaks the protocol until either side closes.
pub(crate) fn serve(
    shared: Arc<Shared>,
    connection: Connection,
) -> BoxFuture<Result<(), CloseReason>> {
    // What only the beginning takes is in a box of its own: nearly all connections are past that.
    Box::pin(converse(Box::pin(enter(shared, connection))))
}

async fn converse(
    entering: impl Future<Output = Result<Entered, CloseReason>>,
) -> Result<(), CloseReason> {
    let Entered { shared, member, gate, mut input, write, hello, mut stopping } = entering.await?;
    let client = Arc::clone(&member.client);
    let mut session = Session::new(&shared, Arc::clone(&client), gate);
    let eviction = input.eviction();
    let writing = client.outgoing.run(write);
    tokio::pin!(writing);
    let ended = tokio::select! {
        // First, because the writer ends then too and does not know why.
        biased;
        why = client.outgoing.until_cut() => return cut_off(&shared, why),
        written = &mut writing => return Ok(written?),
        // Without a word: after any `-ERR` they do not know, clients do not come back.
        () = lame_duck((&shared, &client), hello, &mut stopping) => Ok(()),
        text = watch(&shared, &client) => {
            shared.stale_connections.fetch_add(1, Relaxed);
            client.outgoing.send(&error_line(text));
            Err(CloseReason::Idle(shared.options.ping_interval))
        }
        () = eviction.happens() => {
            client.outgoing.send(&error_line(error::STALE));
            Err(CloseReason::Limit("others wait for the memory of a message that does not end".into()))
        }
        ended = session.run(&mut input) => ended,
    };
    // What the client was promised before the end still goes out, such as why it is the end.
    client.outgoing.finish();
    let flushed = Box::pin(timeout(FLUSH_TIMEOUT, writing)).await;
    if ended.is_err() && flushed.is_ok() {
        // And arrives, though the client may be in the middle of something.
        client.outgoing.close();
        let _elapsed = Box::pin(timeout(LINGER, input.discard())).await;
    }
    ended
}

/// A connection that was greeted.
struct Entered {
    shared: Arc<Shared>,
    member: Member,
    gate: Gate,
    input: Input<ReadHalf>,
    /// The half that its own task needs, if any.
    write: Option<WriteHalf>,
    hello: Hello,
    stopping: watch::Receiver<bool>,
}

/// What a connection is told first that others are not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hello {
    pub(crate) id: u64,
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) auth_required: bool,
    pub(crate) tls_required: bool,
    pub(crate) tls_verify: bool,
}

async fn enter(shared: Arc<Shared>, connection: Connection) -> Result<Entered, CloseReason> {
    let Connection { stream, peer, principal, logins, room, tls, stopping, about, .. } = connection;
    let (id, local) = (shared.next_id(), stream.local_addr()?);
    let mut nonce = [0; 16];
    shared.broker.options().random.fill(&mut nonce);
    let mut gate = Gate::new(logins, &shared.options, principal, nonce);
    let hello = Hello {
        id,
        local,
        peer,
        auth_required: gate.is_shut(&shared.options),
        tls_required: tls.is_some() || matches!(stream, Stream::Tls(_)),
        tls_verify: tls.as_ref().is_some_and(|tls| tls.wants_certificates()),
    };
    let mut greeting = Vec::new();
    Info { nonce: gate.nonce.clone(), ..shared.info(hello) }.encode(&mut greeting);
    let (stream, greeting) = match tls {
        None => (stream, Some(greeting)),
        // The client begins TLS when it has read this.
        Some(tls) => {
            let stream = say(stream, &greeting).await?;
            let (stream, principal) = tls.start(stream).await?;
            gate = gate.with_transport(principal);
            (stream, None)
        }
    };
    let (read, write) = stream.into_split();
    let bytes_max = shared.options.pending_bytes_max;
    let (outgoing, write) = Outgoing::new(write, bytes_max, Arc::clone(&shared.backlog));
    let member = shared.join(id, (peer, about), outgoing);
    if let Some(greeting) = greeting {
        member.client.outgoing.send(&greeting);
    }
    let input = Input::new(read, &room);
    Ok(Entered { shared, member, gate, input, write, hello, stopping })
}

async fn say(mut stream: Stream, bytes: &[u8]) -> Result<Stream, CloseReason> {
    match timeout(WRITE_DEADLINE, stream.write_all(bytes)).await {
        Ok(written) => written?,
        Err(_elapsed) => return Err(CloseReason::Idle(WRITE_DEADLINE)),
    }
    Ok(stream)
}

pub(crate) fn error_line(text: &str) -> Vec<u8> {
    let mut line = Vec::new();
    encode::error(text, &mut line);
    line
}

fn cut_off(shared: &Shared, why: Cut) -> Result<(), CloseReason> {
    if why != Cut::Lost {
        shared.figures.slow_consumers.add(1);
        let say =
            || Said::new("a client took its messages too slowly").with("why", &format!("{why:?}"));
        shared.broker.observe().events.tell(&kinds::SLOW_CONSUMER, None, say);
    }
    match why {
        Cut::Lost => Ok(()),
        Cut::SlowConsumer => Err(CloseReason::Limit("slow consumer: too much waits for it".into())),
        Cut::WriteDeadline => {
            Err(CloseReason::Limit(format!("slow consumer: took nothing for {WRITE_DEADLINE:?}")))
        }
    }
}

/// Waits until the broker stops; tells the client, and gives it a moment to go elsewhere.
async fn lame_duck(
    (shared, client): (&Shared, &Client),
    hello: Hello,
    stopping: &mut watch::Receiver<bool>,
) {
    // An error is the listener's end, which is the same.
    let _ended = stopping.wait_for(|stop| *stop).await.is_err();
    if client.said().is_some_and(|said| said.protocol >= 1) {
        let mut line = Vec::new();
        Info { lame_duck: true, ..shared.info(hello) }.encode(&mut line);
        client.outgoing.send(&line);
        Box::pin(sleep(LAME_DUCK)).await;
    }
}

/// Asks a silent client for a sign of life. Returns what it is to be told when there is none.
async fn watch(shared: &Shared, client: &Client) -> &'static str {
    let mut every = tokio::time::interval(shared.options.ping_interval);
    every.tick().await;
    let (mut seen, mut out) = (client.received.last.load(Relaxed), 0);
    loop {
        every.tick().await;
        client.outgoing.shrink();
        let now = client.received.last.load(Relaxed);
        if now != seen {
            (seen, out) = (now, 0);
            continue;
        }
        if out >= shared.options.pings_out_max {
            return error::STALE;
        }
        out += 1;
        client.outgoing.send(encode::PING);
    }
}

/// Why a connection ends from within, and what the client is told of it.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) told: Option<String>,
    pub(crate) reason: Option<CloseReason>,
}

impl End {
    /// The client broke the protocol.
    pub(crate) fn protocol(told: impl Into<String>) -> Self {
        let told = told.into();
        Self { reason: Some(CloseReason::Protocol(told.clone())), told: Some(told) }
    }

    /// The client did not say who it is, or wrongly.
    pub(crate) fn login(told: &str, why: impl Into<String>) -> Self {
        Self { told: Some(told.into()), reason: Some(CloseReason::Login(why.into())) }
    }
}

/// What a connection is in the middle of.
pub(crate) struct Session<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) client: Arc<Client>,
    pub(crate) gate: Gate,
    /// What a client needs that publishes.
    pub(crate) publishing: Option<Box<Publishing>>,
    /// Bytes delivered since the batch was flushed, about.
    pub(crate) owed: usize,
    /// The client was answered since it was last looked whether it reads.
    has_answered: bool,
    pub(crate) verbose: bool,
    pub(crate) pedantic: bool,
    pub(crate) echo: bool,
    pub(crate) no_responders: bool,
    pub(crate) takes_headers: bool,
    /// The client may do more than say who it is.
    pub(crate) is_in: bool,
    /// When it must say that again.
    pub(crate) until: Option<Instant>,
    /// Messages and bytes of this read.
    pub(crate) received: (u64, u64),
    bounds: Bounds,
}

/// What a client needs that publishes; many only listen.
pub(crate) struct Publishing {
    pub(crate) routes: RouteCache,
    /// Messages of this read: who got some, and what topics keep.
    pub(crate) batch: Batch,
    /// Used again for each message.
    pub(crate) message: Message,
}

impl Publishing {
    pub(crate) fn new(broker: &Broker, publisher: PublisherId) -> Box<Self> {
        let (routes, batch) = (broker.new_route_cache(map::NAMES), Batch::default());
        let message = Message { publisher, ..Message::default() };
        Box::new(Self { routes, batch, message })
    }
}

impl<'a> Session<'a> {
    fn new(shared: &'a Shared, client: Arc<Client>, gate: Gate) -> Self {
        let is_in = !gate.is_shut(&shared.options);
        Self {
            shared,
            client,
            gate,
            publishing: None,
            owed: 0,
            has_answered: false,
            // As long as the client says nothing else.
            verbose: false,
            pedantic: false,
            echo: true,
            no_responders: false,
            takes_headers: false,
            is_in,
            until: None,
            received: (0, 0),
            bounds: Bounds {
                control_line_bytes_max: CONTROL_LINE_BYTES_MAX,
                payload_bytes_max: shared.options.payload_bytes_max,
            },
        }
    }

    async fn run(&mut self, input: &mut Input<ReadHalf>) -> Result<(), CloseReason> {
        let end = match self.talk(input).await {
            Ok(()) => return Ok(()),
            Err(end) => end,
        };
        if let Some(told) = &end.told {
            self.client.outgoing.send(&error_line(told));
        }
        end.reason.map_or(Ok(()), Err)
    }

    async fn talk(&mut self, input: &mut Input<ReadHalf>) -> Result<(), End> {
        let lost = |error| End { told: None, reason: Some(CloseReason::Io(error)) };
        let mut wanted = 1;
        let patience = Instant::now() + LOGIN_TIMEOUT;
        loop {
            let deadline = if self.is_in { self.until } else { Some(patience) };
            let filled = match deadline {
                None => input.fill(wanted).await,
                Some(deadline) => tokio::select! {
                    filled = input.fill(wanted) => filled,
                    // In a box: most have no deadline.
                    () = Box::pin(sleep_until(deadline)) => return Err(self.too_late()),
                },
            };
            if !filled.map_err(lost)? {
                return Ok(());
            }
            wanted = self.take_in(input).await?;
            // Many messages may be buffered; other connections want their turn.
            tokio::task::coop::consume_budget().await;
        }
    }

    fn too_late(&self) -> End {
        if self.is_in {
            return End::login(error::AUTHENTICATION_EXPIRED, "the login has expired");
        }
        End::login(error::AUTHENTICATION_TIMEOUT, format!("no login within {LOGIN_TIMEOUT:?}"))
    }

    /// Handles all that was read, and says how many bytes must be there to go on.
    async fn take_in<R: tokio::io::AsyncRead + Unpin>(
        &mut self,
        input: &mut Input<R>,
    ) -> Result<usize, End> {
        let chunk = input.take();
        let mut at = 0;
        let wanted = loop {
            let (stop, slow) = self.handle_many(&chunk, &mut at);
            self.count();
            if self.publishing.as_ref().is_some_and(|one| !one.batch.is_empty()) {
                Box::pin(handle::publish::store(self)).await;
            }
            if std::mem::take(&mut self.has_answered) {
                // Who asks and does not read the answers is not read from.
                poll_fn(|cx| self.client.outgoing.poll_little(cx)).await;
            }
            if let Some(slow) = slow {
                // A moment for one who is behind, who may not be there at all.
                let _elapsed = Box::pin(timeout(STALL, slow.ready())).await;
            }
            match stop? {
                Stop::More(wanted) => break wanted,
                // Once, and a login takes much.
                Stop::Connect(json) => Box::pin(handle::connect::handle(self, &json)).await?,
            }
        };
        input.put_back(chunk, at);
        Ok(wanted)
    }

    /// Handles operations until there is something to wait for.
    fn handle_many(&mut self, chunk: &Bytes, at: &mut usize) -> (Result<Stop, End>, Option<Slow>) {
        let (mut slow, mut line) = (None, None);
        let stop = loop {
            match self.handle_next(chunk, &chunk[*at..], &mut line) {
                Err(end) => break Err(end),
                Ok(Next::More(wanted)) => break Ok(Stop::More(wanted)),
                Ok(Next::Done(used)) => *at += used,
                Ok(Next::Connect(json, used)) => {
                    *at += used;
                    break Ok(Stop::Connect(json));
                }
            }
            if self.owed >= BATCH_BYTES_MAX {
                slow = self.flush().or(slow);
            }
        };
        slow = self.flush().or(slow);
        self.client.flush_own();
        (stop, slow)
    }

    /// Has everybody written to who got something.
    fn flush(&mut self) -> Option<Slow> {
        self.owed = 0;
        self.publishing.as_mut()?.batch.flush()
    }

    /// Handles one operation. `line`: of the message before.
    fn handle_next<'c>(
        &mut self,
        chunk: &'c Bytes,
        rest: &'c [u8],
        line: &mut Option<Line<'c>>,
    ) -> Result<Next, End> {
        if let Some((publish, used)) = line.as_ref().and_then(|line| line.again(rest)) {
            handle::publish::handle(self, chunk, &publish)?;
            return Ok(Next::Done(used));
        }
        let (op, used) = match parse(rest, &self.bounds) {
            Ok(Parsed::More(wanted)) => {
                if !self.is_in && !rest.first().is_none_or(|byte| matches!(byte, b'C' | b'c')) {
                    return Err(not_in());
                }
                return Ok(Next::More(wanted));
            }
            Ok(Parsed::Op(op, used)) => (op, used),
            Err(_) if !self.is_in && !matches!(rest.first(), Some(b'C' | b'c')) => {
                return Err(not_in());
            }
            Err(error) => return Err(End::protocol(error.to_string())),
        };
        if !self.is_in && !matches!(op, Op::Connect(_)) {
            return Err(not_in());
        }
        match op {
            Op::Publish(publish) => {
                *line = Line::of(rest, &publish, used);
                handle::publish::handle(self, chunk, &publish)?;
            }
            Op::Subscribe { subject, queue, sid } => {
                handle::subscribe::handle(self, subject, queue, sid);
            }
            Op::Unsubscribe { sid, max } => handle::unsubscribe::handle(self, sid, max),
            Op::Ping => self.reply(encode::PONG),
            Op::Pong | Op::Nothing => {}
            Op::Connect(json) => return Ok(Next::Connect(chunk.slice_ref(json), used)),
            Op::Error(text) => {
                let why = String::from_utf8_lossy(text).into_owned();
                return Err(End { told: None, reason: Some(CloseReason::Protocol(why)) });
            }
        }
        Ok(Next::Done(used))
    }

    /// Queues an answer; it goes out with the batch.
    pub(crate) fn reply(&mut self, bytes: &[u8]) {
        self.has_answered = true;
        self.client.reply(bytes);
    }

    /// Queues an error that does not end the connection.
    pub(crate) fn complain(&mut self, text: &str) {
        self.reply(&error_line(text));
    }

    /// `+OK`, where the client wants that.
    pub(crate) fn ok(&mut self) {
        if self.verbose {
            self.reply(encode::OK);
        }
    }

    fn count(&mut self) {
        let (messages, bytes) = std::mem::take(&mut self.received);
        let received = &self.client.received;
        self.shared.figures.received_messages.add(messages);
        self.shared.figures.received_bytes.add(bytes);
        received.messages.fetch_add(messages, Relaxed);
        received.bytes.fetch_add(bytes, Relaxed);
        received.last.fetch_add(1, Relaxed);
    }
}

/// What follows an operation.
enum Next {
    Done(usize),
    Connect(Bytes, usize),
    More(usize),
}

/// Why a run of operations pauses.
enum Stop {
    More(usize),
    /// Somebody says who they are, which may take a moment; here is where they say it.
    Connect(Bytes),
}

fn not_in() -> End {
    End::login(error::AUTHORIZATION, "something came before a login")
}

#[cfg(test)]
mod tests;
