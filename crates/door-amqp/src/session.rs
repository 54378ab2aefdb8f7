//! One connection, from its first byte to its last.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use broker::exchanges::ExchangeName;
use broker::live::{Commit, Publishing};
use broker::queues::{Owner, QueueName};
use bytes::Bytes;
use door::{
    About, Claim, CloseReason, Connection, ConnectionRoom, Outgoing, ReadHalf, RequestRoom, Stream,
};
use tokio::sync::mpsc;
use tokio::time::{interval, sleep, timeout};

use crate::Shared;
use crate::channel::Channel;
use crate::clients::{Client, Ends, Facts};
use crate::confirm::{self, Owed};
use crate::fault::Fault;
use crate::handle::Caller;
use crate::handshake::{self, Agreed};
use crate::input::Frames;
use crate::limits::{
    BLOCKED_PERIOD, COMMITS_MAX, FLUSH_TIMEOUT, HANDSHAKE_TIMEOUT, LINGER, TIMEOUT_CHECK_MAX,
    TIMEOUT_CHECK_MIN,
};
use crate::login::Gate;
use crate::wire::frame::{put_heartbeat, put_method};
use crate::wire::method::{
    ConnectionBlocked, ConnectionClose, ConnectionCloseOk, ConnectionUnblocked,
};
use crate::wire::reader::Short;
use crate::wire::reply::Reply;

mod frames;
#[cfg(test)]
mod tests;

/// Why a connection ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The client is gone.
    Quiet,
    /// The client said goodbye, and is answered.
    Goodbye,
    /// The client is told why, and what it did (class and method).
    Fault(Fault, (u16, u16)),
    /// The same, for a login; why, for the log.
    Refused(Fault, String),
    /// Without a word.
    Reason(CloseReason),
}

impl End {
    /// The client is told why.
    pub(crate) fn fault(fault: Fault) -> Self {
        Self::Fault(fault, (0, 0))
    }
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        Self::Reason(error.into())
    }
}

/// Speaks the protocol until either side closes.
pub(crate) async fn serve(shared: Arc<Shared>, connection: Connection) -> Result<(), CloseReason> {
    let Connection { stream, peer, principal, logins, room, mut stopping, about, .. } = connection;
    let local = stream.local_addr()?;
    let ends = Ends { peer, local, is_encrypted: !matches!(stream, Stream::Plain(_)) };
    let (read, write) = stream.into_split();
    let mut frames = Frames::new(read, &room);
    let outgoing = shared.outgoing();
    let gate = Gate::new(logins, principal);
    let eviction = frames.eviction();
    let mut writing = pin!(outgoing.run(write));
    // Boxed, so that what a connection needs in its beginning only does not stay with it.
    let mut talking = Box::pin(talk(&shared, &mut frames, &outgoing, &gate, (ends, &room, &about)));
    let end = tokio::select! {
        written = &mut writing => return Ok(written?),
        end = &mut talking => end,
        // An error is the listener's end, which is the same.
        _ = stopping.wait_for(|stop| *stop) => {
            let text = "broker forced connection closure with reason 'shutdown'";
            End::fault(Fault::new(Reply::ConnectionForced, text))
        }
        () = eviction.happens() => {
            let why = "others wait for the memory of a message that does not end";
            End::Reason(CloseReason::Limit(why.into()))
        }
    };
    drop(talking);
    let (told, ended) = farewell(end);
    if !told.is_empty() {
        outgoing.push(|out| out.extend_from_slice(&told));
    }
    // What the client was promised before the end still goes out, such as why it is the end.
    outgoing.finish();
    let flushed = timeout(FLUSH_TIMEOUT, writing).await;
    if flushed.is_ok() && !told.is_empty() {
        // And arrives, though the client may be in the middle of something.
        let _elapsed = timeout(LINGER, frames.discard()).await;
    }
    ended
}

/// What a client is told at the end, and what the log is.
fn farewell(end: End) -> (Vec<u8>, Result<(), CloseReason>) {
    let mut told = Vec::new();
    let close = |fault: &Fault, (class_id, method_id), told: &mut Vec<u8>| {
        let text = fault.reply.text(&fault.text);
        let reply_text = Short(text.as_bytes());
        let reply_code = fault.reply.code();
        put_method(0, &ConnectionClose { reply_code, reply_text, class_id, method_id }, told);
        text
    };
    let ended = match end {
        End::Quiet => Ok(()),
        End::Goodbye => {
            put_method(0, &ConnectionCloseOk {}, &mut told);
            Ok(())
        }
        End::Fault(fault, method) => {
            let text = close(&fault, method, &mut told);
            match fault.reply {
                Reply::ConnectionForced => Ok(()),
                _ => Err(CloseReason::Protocol(text)),
            }
        }
        End::Refused(fault, why) => {
            close(&fault, (0, 0), &mut told);
            Err(CloseReason::Login(why))
        }
        End::Reason(reason) => Err(reason),
    };
    (told, ended)
}

async fn talk(
    shared: &Shared,
    frames: &mut Frames<ReadHalf>,
    outgoing: &Arc<Outgoing>,
    gate: &Gate,
    (ends, room, about): (Ends, &RequestRoom, &About),
) -> End {
    let host = ends.peer.ip().to_string();
    let hello = handshake::run(shared, frames, outgoing, gate, &host);
    let agreed = match timeout(HANDSHAKE_TIMEOUT, hello).await {
        Ok(Ok(agreed)) => agreed,
        Ok(Err(end)) => return end,
        Err(_elapsed) => {
            let why = format!("not in within {HANDSHAKE_TIMEOUT:?}");
            return End::Reason(CloseReason::Login(why));
        }
    };
    let (commits, committed) = mpsc::channel(COMMITS_MAX);
    let received = AtomicU64::new(0);
    let heartbeat = Duration::from_secs(agreed.heartbeat.into());
    about.user(agreed.actor.principal());
    about.say("virtual_host", &String::from_utf8_lossy(&agreed.virtual_host));
    let joined = shared.clients.join(facts(shared, ends, &agreed));
    let client = &joined.client;
    let mut session = Session::new(shared, agreed, outgoing, (room, &received, commits), client);
    let end = tokio::select! {
        end = session.run(frames) => end,
        why = client.closed() => End::fault(Fault::new(Reply::ConnectionForced, why)),
        () = confirm::run(committed, &shared.figures, &client.host) => End::Quiet,
        reason = beat(outgoing, &received, heartbeat) => End::Reason(reason),
    };
    session.leave().await;
    end
}

/// What is shown of a connection.
fn facts(shared: &Shared, ends: Ends, agreed: &Agreed) -> Facts {
    Facts {
        ends,
        since: shared.broker.now(),
        user: Arc::clone(&agreed.actor.principal().name),
        mechanism: agreed.mechanism,
        virtual_host: agreed.virtual_host.clone(),
        frame_max: agreed.frame_max,
        channel_max: agreed.channel_max,
        heartbeat: agreed.heartbeat,
        properties: agreed.properties.clone(),
    }
}

/// Says something so often, and returns when the client has said nothing for twice as long (§4.2.7).
async fn beat(outgoing: &Outgoing, received: &AtomicU64, every: Duration) -> CloseReason {
    if every.is_zero() {
        return std::future::pending().await;
    }
    let mut ticks = interval(every / 2);
    ticks.tick().await;
    let (mut written, mut seen, mut silent) = (0, 0, 0);
    loop {
        ticks.tick().await;
        if std::mem::replace(&mut written, outgoing.written()) == outgoing.written() {
            outgoing.push(put_heartbeat);
            outgoing.flush();
        }
        let now = received.load(Ordering::Relaxed);
        silent = if std::mem::replace(&mut seen, now) == now { silent + 1 } else { 0 };
        if silent >= 4 {
            return CloseReason::Idle(every * 2);
        }
    }
}

/// What a connection is in the middle of.
pub(crate) struct Session<'s> {
    pub(crate) shared: &'s Shared,
    pub(crate) agreed: Agreed,
    /// The namespace of its virtual host.
    pub(crate) space: Bytes,
    pub(crate) owner: Owner,
    /// What is shown of it.
    pub(crate) client: Arc<Client>,
    pub(crate) outgoing: Arc<Outgoing>,
    pub(crate) channels: HashMap<u16, Channel>,
    /// Channels that were ended, whose client has not answered that it heard so.
    closing: HashSet<u16>,
    /// Messages of this read that are to be stored, and who wants to know of them.
    pub(crate) publishing: Publishing<Owed>,
    /// Messages that came since the last were handed over, and their bytes.
    pub(crate) came: (u64, usize),
    /// Something was published: while nothing can be stored, it is not read from.
    is_publisher: bool,
    /// Of messages that are not all there.
    room: ConnectionRoom,
    claim: Claim,
    received: &'s AtomicU64,
}

impl<'s> Session<'s> {
    fn new(
        shared: &'s Shared,
        agreed: Agreed,
        outgoing: &Arc<Outgoing>,
        (room, received, commits): (&RequestRoom, &'s AtomicU64, mpsc::Sender<Commit<Owed>>),
        client: &Arc<Client>,
    ) -> Self {
        let broker = shared.broker.clone();
        let space = match &*agreed.virtual_host {
            b"/" => Bytes::new(),
            _ => agreed.virtual_host.clone(),
        };
        Self {
            shared,
            agreed,
            space,
            owner: broker.new_owner(),
            client: Arc::clone(client),
            outgoing: Arc::clone(outgoing),
            channels: HashMap::new(),
            closing: HashSet::new(),
            publishing: Publishing::new(broker, commits),
            came: (0, 0),
            is_publisher: false,
            room: room.of_connection(),
            claim: Claim::default(),
            received,
        }
    }

    /// Who asks, and where.
    pub(crate) fn caller(&self) -> Caller<'_> {
        Caller {
            broker: &self.shared.broker,
            actor: &self.agreed.actor,
            virtual_host: &self.agreed.virtual_host,
            space: &self.space,
            owner: self.owner.id(),
        }
    }

    /// A queue of the virtual host.
    pub(crate) fn queue_name(&self, name: &[u8]) -> QueueName {
        self.caller().queue_name(name)
    }

    /// An exchange of the virtual host.
    pub(crate) fn exchange_name(&self, name: &[u8]) -> ExchangeName {
        self.caller().exchange_name(name)
    }

    async fn run(&mut self, frames: &mut Frames<ReadHalf>) -> End {
        let mut wanted = 1;
        let every = self.shared.options.consumer_timeout / 4;
        let mut checks = interval(every.clamp(TIMEOUT_CHECK_MIN, TIMEOUT_CHECK_MAX));
        loop {
            let eviction = self.room.eviction();
            let filled = tokio::select! {
                filled = frames.fill(wanted) => filled,
                () = self.outgoing.until_room() => {
                    self.news();
                    continue;
                }
                _ = checks.tick() => match self.end_overdue() {
                    Ok(()) => continue,
                    Err(end) => return end,
                },
                () = eviction.happens() => {
                    let why = "others wait for the memory of a message that does not end";
                    return End::Reason(CloseReason::Limit(why.into()));
                }
            };
            match filled {
                Ok(true) => {}
                Ok(false) => return End::Quiet,
                Err(end) => return end,
            }
            self.received.fetch_add(1, Ordering::Relaxed);
            match self.take_in(frames).await {
                Ok(more) => wanted = more,
                Err(end) => return end,
            }
            // Much may be buffered; other connections want their turn.
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Has consumers go on that found no room, and forgets those whose queues are gone.
    fn news(&mut self) {
        for channel in self.channels.values_mut() {
            channel.news();
        }
    }

    /// Ends channels whose client has had a delivery for too long. What they have goes back to the queues.
    fn end_overdue(&mut self) -> Result<(), End> {
        let now = self.shared.broker.now();
        let overdue = |(number, channel): (&u16, &Channel)| {
            let (tag, timeout) = channel.out.lock().overdue(now)?;
            Some((*number, tag, timeout))
        };
        let all: Vec<_> = self.channels.iter().filter_map(overdue).collect();
        for (number, tag, timeout) in all {
            tracing::warn!(
                channel = number,
                tag,
                timeout,
                "a delivery was not acknowledged in time"
            );
            let text = format!(
                "delivery acknowledgement on channel {number} timed out. Timeout value used: {timeout} ms. This timeout \
                 value can be configured, see consumers doc guide to learn more"
            );
            self.judge(number, (0, 0), Err(Fault::precondition(text)))?;
            self.outgoing.flush();
        }
        Ok(())
    }

    /// Hands over what was acknowledged, and what is to be stored.
    async fn hand_over(&mut self) {
        for channel in self.channels.values_mut() {
            channel.settle();
        }
        let (messages, bytes) = std::mem::take(&mut self.came);
        if messages > 0 {
            self.shared.figures.received(messages, bytes);
        }
        self.publishing.hand_over().await;
    }

    /// Waits until all that was published before is stored: what comes next must see it.
    pub(crate) async fn until_stored(&mut self) {
        self.hand_over().await;
        self.publishing.until_stored().await;
    }

    /// Waits while the broker can store nothing. The client is told, if it wants to know.
    async fn until_healthy(&mut self) {
        let broker = &self.shared.broker;
        let Err(why) = broker.health() else { return };
        let can = self.agreed.can.blocked;
        if can {
            let reason = why.to_string();
            let blocked = ConnectionBlocked { reason: Short(reason.as_bytes()) };
            self.outgoing.push(|out| put_method(0, &blocked, out));
            self.outgoing.flush();
        }
        while broker.health().is_err() {
            sleep(BLOCKED_PERIOD).await; // poll: until there is room on the disk, which nobody tells
            self.received.fetch_add(1, Ordering::Relaxed);
        }
        if can {
            self.outgoing.push(|out| put_method(0, &ConnectionUnblocked {}, out));
            self.outgoing.flush();
        }
    }

    /// Gives back what it has, before the client hears that it is gone.
    async fn leave(&mut self) {
        self.hand_over().await;
        for channel in self.channels.values() {
            channel.out.close();
        }
        self.channels.clear();
        self.owner.leave().await;
    }
}
