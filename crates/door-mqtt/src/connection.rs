//! One connection, from its first byte to its last.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use broker::ProduceError;
use broker::access::Actor;
use broker::live::{Batch, RouteCache, Slow};
use door::{BoxFuture, CloseReason, Connection, Logins, Stream};
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::time::{Instant, Sleep, timeout};

use crate::Shared;
use crate::counts::Tally;
use crate::handle::{self, Handled};
use crate::hello::{self, Greeting};
use crate::limits::{
    COMMITS_MAX, CONNECT_TIMEOUT, FLUSH_TIMEOUT, HEARD_OUT_MAX, OUTGOING_BYTES_HIGH, SLOWED_TIMEOUT,
};
use crate::login::Steps;
use crate::map;
use crate::pull::Pull;
use crate::retained::{Owed, Ticket};
use crate::session::{Found, Goodbye, Session};
use crate::socket::{Packet, Packets, Socket};
use crate::wire::ack::Ack;
use crate::wire::close::encode_disconnect;
use crate::wire::header::Kind;
use crate::wire::reason::Reason;
use crate::wire::{Version, WireError};

/// Why a connection ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The client is gone, or wants to go.
    Left,
    /// The client is told why.
    Told(Reason, Cow<'static, str>),
    /// There is nobody to tell.
    Cut(CloseReason),
}

impl From<WireError> for End {
    fn from(error: WireError) -> Self {
        Self::Told(error.reason(), error.to_string().into())
    }
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        Self::Cut(error.into())
    }
}

/// Speaks the protocol until either side closes.
pub(crate) fn serve(
    shared: Arc<Shared>,
    connection: Connection,
) -> BoxFuture<Result<(), CloseReason>> {
    // What only the beginning and the end take is in boxes of their own: nearly all connections are in between.
    let entering = Box::pin(enter(shared, connection));
    Box::pin(async move {
        let Some((mut client, mut stopping)) = entering.await? else { return Ok(()) };
        let over = client.run(&mut stopping).await;
        Box::pin(client.farewell(over)).await
    })
}

/// Lets a client in; none if it is gone, or the broker stops.
async fn enter(
    shared: Arc<Shared>,
    connection: Connection,
) -> Result<Option<(Client, watch::Receiver<bool>)>, CloseReason> {
    let Connection { stream, peer, principal, logins, mut stopping, about, .. } = connection;
    shared.counts.sockets.add(1);
    let mut socket = Socket::new(stream);
    let visitor = hello::Visitor { principal, host: peer.ip().to_canonical(), logins };
    let greeted = tokio::select! {
        biased;
        _ = stopping.wait_for(|stop| *stop) => return Ok(None),
        greeted = timeout(CONNECT_TIMEOUT, hello::hello(&shared, &mut socket, visitor)) => {
            greeted.map_err(|_| CloseReason::Idle(CONNECT_TIMEOUT))??
        }
    };
    Ok(greeted.map(|greeting| {
        about.user(greeting.actor.principal());
        about.say("client_id", &greeting.session.client_id);
        (Client::new(shared, socket, greeting), stopping)
    }))
}

/// A client that was let in.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) shared: Arc<Shared>,
    socket: Socket<Stream>,
    pub(crate) session: Arc<Session>,
    /// This connection's number.
    pub(crate) number: u64,
    pub(crate) version: Version,
    pub(crate) is_bridge: bool,
    pub(crate) actor: Actor,
    pub(crate) logins: Option<Arc<Logins>>,
    /// Largest packet that the client takes, in bytes.
    pub(crate) packet_bytes_max: usize,
    /// The way in which it logged in, if that took steps, and a login that is under way again.
    pub(crate) method: Option<Box<str>>,
    pub(crate) login: Option<Box<Steps>>,
    /// Where the client may not be silent longer.
    patience: Option<Duration>,
    /// When its login is over.
    pub(crate) login_ends: Option<Instant>,
    pub(crate) goodbye: Goodbye,
    pub(crate) publishing: Option<Box<Publishing>>,
    /// Retained messages that new subscriptions are owed.
    pub(crate) owed: Option<Box<Owed>>,
    /// Messages from the session's queue, if it has one.
    pull: Option<Box<Pull>>,
}

/// What a client needs that publishes.
#[derive(Debug)]
pub(crate) struct Publishing {
    pub(crate) routes: RouteCache,
    /// What topics keep of what has just arrived.
    pub(crate) batch: Batch,
    /// Held while the batch has messages that are to be retained.
    pub(crate) ticket: Option<Ticket>,
    /// Topics by the client's aliases, from 1.
    pub(crate) aliases: Vec<Option<Box<str>>>,
    /// Acknowledgements of what has just arrived.
    pub(crate) acks: Vec<Due>,
    /// Batches on their way to the disk, in order.
    commits: VecDeque<Commit>,
    /// Acknowledgements that are owed in all.
    pub(crate) owed: usize,
    /// Until it is over, nothing is read: somebody who gets these messages is slow.
    pause: Pause,
}

/// A wait of bounded time.
#[derive(Default)]
struct Pause(Option<BoxFuture<()>>);

impl Pause {
    fn begin(&mut self, slow: Option<Slow>) {
        if let Some(slow) = slow {
            self.0 = Some(Box::pin(async move {
                let _in_time = timeout(SLOWED_TIMEOUT, slow.ready()).await;
            }));
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(wait) = &mut self.0 {
            ready!(wait.as_mut().poll(cx));
            self.0 = None;
        }
        Poll::Ready(())
    }
}

impl std::fmt::Debug for Pause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pause").field(&self.0.is_some()).finish()
    }
}

/// An acknowledgement that is due when a message is stored, if it is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Due {
    pub(crate) kind: Kind,
    pub(crate) ack: Ack,
    /// Its numbers in its batch: for topics and queues, for who subscribes later, for what the session writes down.
    pub(crate) stored: [Option<usize>; 3],
}

impl Due {
    /// Whether it answers a message of the client's.
    fn is_owed(&self) -> bool {
        self.kind != Kind::Pubrel
    }
}

/// What became of the messages of a batch, when that is known.
type Stored = BoxFuture<Vec<Result<(), ProduceError>>>;

/// A batch on its way to the disk, or none, and the acknowledgements behind it.
struct Commit {
    done: Option<Stored>,
    acks: Vec<Due>,
}

impl std::fmt::Debug for Commit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Commit").field("acks", &self.acks).finish_non_exhaustive()
    }
}

/// Packets that arrived together, and how far they are handled.
struct Round {
    packets: Packets,
    tally: Tally,
    /// One that must wait for something.
    waits: Option<Packet>,
    outcome: Result<(), End>,
    /// Nobody else handles packets of this session.
    _handling: Option<OwnedMutexGuard<()>>,
}

impl Round {
    /// None while not even one packet is there.
    fn begin(
        client: &mut Client,
        handling: Option<OwnedMutexGuard<()>>,
    ) -> Result<Option<Self>, End> {
        let packets = client.socket.packets(client.shared.options.packet_bytes_max)?;
        let (tally, outcome) = (Tally::default(), Ok(()));
        Ok(packets.map(|packets| Self {
            packets,
            tally,
            waits: None,
            outcome,
            _handling: handling,
        }))
    }

    /// Handles packets up to one that must wait, or that ends the connection.
    fn run(&mut self, client: &mut Client) {
        let max = client.shared.options.packet_bytes_max;
        loop {
            let packet = match self.packets.next(max) {
                Ok(Some(packet)) => packet,
                Ok(None) => return,
                Err(error) => {
                    self.outcome = Err(error.into());
                    return;
                }
            };
            self.tally.note(&packet.header);
            match handle::now(client, &self.packets, &packet) {
                Ok(Handled::Now) => {}
                Ok(Handled::Later) => {
                    self.waits = Some(packet);
                    return;
                }
                Err(end) => {
                    self.outcome = Err(end);
                    return;
                }
            }
        }
    }

    /// Counts what was handled, and leaves the rest for later.
    fn end(&mut self, client: &mut Client) -> Result<(), End> {
        client.shared.counts.received.add(std::mem::take(&mut self.tally));
        client.socket.put_back(&self.packets);
        std::mem::replace(&mut self.outcome, Ok(()))
    }
}

/// Why nothing more is read from a connection.
#[derive(Debug)]
enum Over {
    /// The connection is to close.
    Cut(Reason),
    /// So are all.
    Stop,
    End(End),
}

impl From<End> for Over {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

impl From<std::io::Error> for Over {
    fn from(error: std::io::Error) -> Self {
        Self::End(error.into())
    }
}

impl Client {
    fn new(shared: Arc<Shared>, socket: Socket<Stream>, greeting: Greeting) -> Self {
        let Greeting { session, number, version, is_bridge, actor, logins, .. } = greeting;
        shared.counts.enter();
        // One and a half times what it said (5.0 §3.1.2.10).
        let silence = u64::from(greeting.keep_alive) * 1500;
        Self {
            shared,
            socket,
            session,
            number,
            version,
            is_bridge,
            actor,
            logins,
            packet_bytes_max: greeting.packet_bytes_max,
            method: greeting.method,
            login: None,
            patience: (silence > 0).then(|| Duration::from_millis(silence)),
            login_ends: greeting.login_ends,
            goodbye: Goodbye::Lost,
            publishing: None,
            owed: None,
            pull: greeting.kept.map(|kept| Box::new(Pull::new(kept))),
        }
    }

    /// What is needed to publish, made when it is first needed.
    pub(crate) fn publishing(&mut self) -> &mut Publishing {
        self.publishing.get_or_insert_with(|| {
            Box::new(Publishing {
                routes: self.shared.broker.new_route_cache(&map::NAMES),
                batch: Batch::default(),
                ticket: None,
                aliases: Vec::new(),
                acks: Vec::new(),
                commits: VecDeque::new(),
                owed: 0,
                pause: Pause::default(),
            })
        })
    }

    /// Goes on until it is over. An idle connection is here: what this future holds is what it costs.
    async fn run(&mut self, stopping: &mut watch::Receiver<bool>) -> Over {
        // It is closed when the broker has stopped.
        let mut stop = pin!(stopping.wait_for(|stop| *stop));
        let mut heard = Instant::now();
        let mut timer = pin!(tokio::time::sleep_until(self.deadline(heard).unwrap_or(heard)));
        // A client need not wait for its CONNACK (5.0 §3.1.4): what it said together with its CONNECT is here already.
        if let Err(end) = self.packets().await {
            return Over::End(end);
        }
        loop {
            let read = std::future::poll_fn(|cx| {
                if stop.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Err(Over::Stop));
                }
                match self.poll_event(cx) {
                    Poll::Pending => self.poll_time(timer.as_mut(), heard, cx).map(Err),
                    event => event,
                }
            });
            if let Err(over) = read.await {
                return over;
            }
            heard = Instant::now();
            if let Err(end) = self.packets().await {
                return Over::End(end);
            }
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Ready when a time is up.
    fn poll_time(
        &self,
        mut timer: Pin<&mut Sleep>,
        heard: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<Over> {
        while let Some(deadline) = self.deadline(heard) {
            ready!(timer.as_mut().poll(cx));
            if let Some(end) = self.time_is_up(heard) {
                return Poll::Ready(Over::End(end));
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    /// What the client is told, and why it ends. What it has acknowledged before that need not come again.
    async fn end(&mut self, over: Over) -> End {
        match over {
            Over::Cut(reason) => {
                self.hear_out().await;
                self.session.was_heard(self.number);
                End::Told(reason, reason.text().into())
            }
            Over::Stop => {
                self.hear_out().await;
                End::Told(Reason::SHUTTING_DOWN, "the broker stops".into())
            }
            Over::End(end) => end,
        }
    }

    /// Handles what the client has sent already: it may have said goodbye before it came again.
    async fn hear_out(&mut self) {
        for _ in 0..HEARD_OUT_MAX {
            let read = std::future::poll_fn(|cx| Poll::Ready(self.socket.poll_fill(cx))).await;
            let is_heard = matches!(read, Poll::Ready(Ok(bytes)) if bytes > 0);
            if !is_heard || self.packets().await.is_err() {
                return;
            }
        }
    }

    /// When something must have happened, at the latest. It may turn out later that there is more time.
    fn deadline(&self, heard: Instant) -> Option<Instant> {
        let silent = self.patience.map(|patience| heard + patience);
        match (silent, self.login_ends) {
            (Some(silent), Some(ends)) => Some(silent.min(ends)),
            (silent, ends) => silent.or(ends),
        }
    }

    fn time_is_up(&self, heard: Instant) -> Option<End> {
        let now = Instant::now();
        if let Some(patience) = self.patience.filter(|patience| heard + *patience <= now) {
            return Some(End::Told(Reason::KEEP_ALIVE, format!("silent for {patience:?}").into()));
        }
        let is_over = self.login_ends.is_some_and(|ends| ends <= now);
        is_over.then(|| End::Told(Reason::MAXIMUM_CONNECT_TIME, "the login has expired".into()))
    }

    /// Writes what there is to write, and waits until there is something to handle.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Over>> {
        self.poll_commits(cx)?;
        loop {
            match self.poll_output(cx)? {
                // There is more to write.
                Poll::Ready(()) if self.poll_retained(cx) || self.poll_kept(cx) => {}
                Poll::Ready(()) | Poll::Pending => break,
            }
        }
        if !self.may_read() {
            return Poll::Pending;
        }
        if let Some(publishing) = &mut self.publishing {
            ready!(publishing.pause.poll(cx));
        }
        let bytes = ready!(self.socket.poll_fill(cx))?;
        if bytes == 0 {
            return Poll::Ready(Err(Over::End(End::Left)));
        }
        self.shared.counts.received.bytes.add(bytes);
        Poll::Ready(Ok(()))
    }

    /// Reads what new subscriptions are owed, once all is stored that the client published before. Whether there is
    /// more to write.
    fn poll_retained(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(owed) = &mut self.owed else { return false };
        let is_storing = self.publishing.as_ref().is_some_and(|one| !one.commits.is_empty());
        if is_storing || self.session.lock().outbound.is_high() {
            return false;
        }
        let to = (&self.session, self.number, &self.actor);
        let shared = &self.shared;
        match owed.poll((&shared.broker, &shared.storing, &shared.sys), to, cx) {
            Poll::Pending => false,
            Poll::Ready(outcome) => {
                if let Err(error) = outcome {
                    tracing::warn!(%error, "retained messages cannot be read");
                }
                if owed.is_empty() {
                    self.owed = None;
                }
                true
            }
        }
    }

    /// Takes what waits in the session's queue. Whether there is more to write.
    fn poll_kept(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(pull) = &mut self.pull else { return false };
        pull.poll(&self.session, self.number, self.shared.broker.now(), cx)
    }

    /// Writes until there is nothing more; pending while the socket takes no more.
    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Over>> {
        let now = self.shared.broker.now();
        loop {
            ready!(self.socket.poll_write(cx))?;
            let Some(output) = self.socket.output() else { return Poll::Pending };
            match self.session.lock().look(self.number, output, now, cx.waker()) {
                Found::Bytes => {
                    let sent = &self.shared.counts.sent;
                    sent.bytes.add(output.len());
                    sent.add(Tally::of(output));
                }
                Found::Cut(reason) => return Poll::Ready(Err(Over::Cut(reason))),
                Found::Nothing => {
                    self.socket.rest();
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    /// Who does not read what we send, or sends faster than we can store, is not read from. What it waits for
    /// wakes the task: the socket, or the disk.
    fn may_read(&mut self) -> bool {
        let is_behind =
            self.publishing.as_ref().is_some_and(|one| one.commits.len() >= COMMITS_MAX);
        !is_behind
            && (self.socket.output().is_some()
                || self.session.lock().outbound.pending() < OUTGOING_BYTES_HIGH)
    }

    /// Handles the packets that have arrived. What must wait for something does so in a box: most never do.
    async fn packets(&mut self) -> Result<(), End> {
        // Not in one expression: what it matches would stay in this future.
        let later = match self.packets_now() {
            ControlFlow::Break(outcome) => return outcome,
            ControlFlow::Continue(round) => Box::pin(self.packets_later(round)),
        };
        later.await
    }

    /// Handles them as far as nothing must be waited for. What is left to do then; no round has begun if the session is
    /// not ours alone yet.
    fn packets_now(&mut self) -> ControlFlow<Result<(), End>, Option<Round>> {
        let handling = match &self.session.handling {
            None => None,
            Some(handling) => match Arc::clone(handling).try_lock_owned() {
                Ok(handling) => Some(handling),
                Err(_busy) => return ControlFlow::Continue(None),
            },
        };
        let mut round = match Round::begin(self, handling) {
            Ok(Some(round)) => round,
            Ok(None) => return ControlFlow::Break(Ok(())),
            Err(end) => return ControlFlow::Break(Err(end)),
        };
        round.run(self);
        if round.waits.is_some() || self.has_to_store() {
            return ControlFlow::Continue(Some(round));
        }
        let outcome = round.end(self);
        self.commit(None);
        ControlFlow::Break(outcome)
    }

    async fn packets_later(&mut self, round: Option<Round>) -> Result<(), End> {
        let mut round = match round {
            Some(round) => round,
            None => {
                let handling = match self.session.handling.clone() {
                    None => None,
                    Some(handling) => Some(handling.lock_owned().await),
                };
                let Some(mut round) = Round::begin(self, handling)? else { return Ok(()) };
                round.run(self);
                round
            }
        };
        while let Some(packet) = round.waits.take() {
            round.outcome = handle::later(self, &round.packets, &packet).await;
            if round.outcome.is_ok() {
                round.run(self);
            }
        }
        let done = if self.has_to_store() { self.store().await } else { None };
        let outcome = round.end(self);
        self.commit(done);
        outcome
    }

    /// Whether topics, or the session, keep something of what has arrived.
    fn has_to_store(&mut self) -> bool {
        let Some(publishing) = &mut self.publishing else { return false };
        publishing.pause.begin(publishing.batch.flush());
        publishing.write_down(&self.session);
        !publishing.batch.is_empty()
    }

    /// Hands that to the log.
    async fn store(&mut self) -> Option<Stored> {
        let publishing = self.publishing.as_mut()?;
        let batch = std::mem::take(&mut publishing.batch);
        let storing = self.shared.broker.store(batch).await;
        let ticket = publishing.ticket.take();
        Some(Box::pin(async move {
            let outcomes = storing.done().await;
            drop(ticket);
            outcomes
        }))
    }

    /// Sees to it that acknowledgements are sent: at once, of what needs nobody's disk.
    fn commit(&mut self, done: Option<Stored>) {
        let Some(publishing) = &mut self.publishing else { return };
        // What could not even be put into the batch is not stored, and nobody waits for it.
        publishing.ticket = None;
        if done.is_none() && publishing.acks.is_empty() {
            return;
        }
        if done.is_none() && publishing.commits.is_empty() {
            publishing.owed -= publishing.acks.iter().filter(|due| due.is_owed()).count();
            let mut state = self.session.lock();
            if state.is_attached(self.number) {
                let out = state.outbound.buffer();
                let acks = publishing.acks.drain(..);
                acks.for_each(|due| due.ack.encode(due.kind, self.version, out));
            }
            publishing.acks.clear();
            return;
        }
        let acks = std::mem::take(&mut publishing.acks);
        publishing.commits.push_back(Commit { done, acks });
    }

    /// Acknowledges what is stored by now.
    fn poll_commits(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let Some(publishing) = &mut self.publishing else { return Ok(()) };
        while let Some(commit) = publishing.commits.front_mut() {
            let outcomes = match &mut commit.done {
                None => Vec::new(),
                Some(done) => match done.as_mut().poll(cx) {
                    Poll::Ready(outcomes) => outcomes,
                    Poll::Pending => return Ok(()),
                },
            };
            let acks = std::mem::take(&mut commit.acks);
            publishing.commits.pop_front();
            publishing.owed -= acks.iter().filter(|due| due.is_owed()).count();
            acknowledge(&self.session, (self.number, self.version), acks, &outcomes)?;
        }
        Ok(())
    }

    /// Tells the client why, if there is a way, and leaves.
    async fn farewell(mut self, over: Over) -> Result<(), CloseReason> {
        let told = match self.end(over).await {
            End::Left => None,
            End::Cut(reason) => return Err(reason),
            End::Told(reason, why) => Some((reason, why)),
        };
        // Behind what the client was promised before.
        let mut last = Vec::new();
        {
            let mut state = self.session.lock();
            if state.is_attached(self.number) {
                std::mem::swap(state.outbound.buffer(), &mut last);
            }
        }
        let Some((reason, why)) = told else {
            // One that says everything at once and leaves still gets its answers.
            if !last.is_empty() {
                let _closed = timeout(FLUSH_TIMEOUT, self.socket.close(&last)).await;
            }
            return Ok(());
        };
        if self.version == Version::V5 {
            encode_disconnect(reason, None, &mut last);
        }
        let _closed = timeout(FLUSH_TIMEOUT, self.socket.close(&last)).await;
        match reason {
            Reason::SHUTTING_DOWN | Reason::TAKEN_OVER => Ok(()),
            Reason::KEEP_ALIVE => Err(CloseReason::Idle(self.patience.unwrap_or_default())),
            Reason::PACKET_TOO_LARGE | Reason::QUOTA_EXCEEDED | Reason::RECEIVE_MAX_EXCEEDED => {
                Err(CloseReason::Limit(why.into_owned()))
            }
            Reason::NOT_AUTHORIZED | Reason::MAXIMUM_CONNECT_TIME => {
                Err(CloseReason::Login(why.into_owned()))
            }
            _ => Err(CloseReason::Protocol(why.into_owned())),
        }
    }
}

impl Publishing {
    /// Adds what is half done of deliveries of QoS 2, if it outlives the connection and has changed; what is sure only
    /// then is acknowledged then.
    fn write_down(&mut self, session: &Session) {
        let Some(kept) = &session.kept else { return };
        let half_done = {
            let mut state = session.lock();
            if !std::mem::take(&mut state.is_dirty) {
                return;
            }
            state.half_done()
        };
        let number = self.batch.push_state(kept.clone(), half_done);
        for due in self.acks.iter_mut().filter(|due| due.kind != Kind::Puback) {
            due.stored[2] = Some(number);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared.counts.leave();
        let commits = self.publishing.take().map(|publishing| publishing.commits);
        let commits = commits.into_iter().flatten();
        let storing: Vec<_> = commits.filter_map(|commit| commit.done).collect();
        if !storing.is_empty() {
            // Nobody asks any more, but who subscribes now waits for it.
            tokio::spawn(async move {
                for done in storing {
                    done.await;
                }
            });
        }
        self.shared.publish_will(self.session.displaced(self.number, self.goodbye));
        if let Some(mut left) = self.session.detach(self.number, self.goodbye) {
            self.shared.publish_will(left.will.take());
            let (shared, session) = (Arc::clone(&self.shared), Arc::clone(&self.session));
            let number = self.number;
            tokio::spawn(async move { shared.sessions.left(&session, number, &left).await });
        }
    }
}

/// Sends acknowledgements of messages that are stored, or could not be.
fn acknowledge(
    session: &Session,
    (connection, version): (u64, Version),
    acks: Vec<Due>,
    outcomes: &[Result<(), ProduceError>],
) -> Result<(), End> {
    let mut state = session.lock();
    if !state.is_attached(connection) {
        return Ok(());
    }
    for Due { kind, mut ack, stored } in acks {
        let outcomes = stored.iter().flatten().filter_map(|number| outcomes.get(*number));
        if let Some(error) = outcomes.filter_map(|outcome| outcome.as_ref().err()).next() {
            ack.reason = map::refusal(error);
            if kind == Kind::Pubrec {
                state.received.remove(&ack.packet_id);
                state.is_dirty = true;
            }
            if version != Version::V5 {
                // There is no way to say no; an acknowledgement would be a lie.
                return Err(End::Told(ack.reason, error.to_string().into()));
            }
        }
        ack.encode(kind, version, state.outbound.buffer());
    }
    Ok(())
}
