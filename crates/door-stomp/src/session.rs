//! One connection, from its first byte to its last.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use broker::exchanges::{ExchangeName, ExchangeRoutes};
use broker::live::{Commit, Fate, Publishing};
use broker::queues::{Consumer, DeliveryId, Holder, Owner, QueueName, Settlement};
use bytes::Bytes;
use door::{About, CloseReason, Connection, Input, Outgoing, ReadHalf};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::Shared;
use crate::beat;
use crate::deliveries::Deliveries;
use crate::fault::Fault;
use crate::handle::connect::{self, Agreed};
use crate::handle::transaction::Transactions;
use crate::limits::{
    BLOCKED_PERIOD, COMMITS_MAX, FLUSH_TIMEOUT, HANDSHAKE_TIMEOUT, HEAD_BYTES_MAX, HEADERS_MAX,
    LINGER, STEP_BYTES,
};
use crate::login::Gate;
use crate::receipts::{self, Owed};
use crate::wire::Version;
use crate::wire::parse::{Bounds, Headers, Looked};

mod frames;

/// Why a connection ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The client is gone, or said that it goes.
    Quiet,
    /// The client is told why, and of which frame, if that asked for a receipt.
    Fault(Fault, Option<Bytes>),
    /// The same, for a login; why, for the log.
    Refused(Fault, String),
    /// Without a word.
    Reason(CloseReason),
}

impl End {
    /// The client is told why.
    pub(crate) fn fault(fault: Fault) -> Self {
        Self::Fault(fault, None)
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
    let (read, write) = stream.into_split();
    let mut input = Input::new(read, &room);
    let outgoing = Arc::new(Outgoing::counted(Arc::clone(&shared.figures)));
    let gate = Gate::new(logins, principal);
    let eviction = input.eviction();
    let host = peer.ip().to_string();
    let mut version = Version::V1_2;
    let mut writing = pin!(outgoing.run(write));
    // Boxed, so that what a connection needs in its beginning only does not stay with it.
    let talking = talk(&shared, (&mut input, &mut version), &outgoing, (&gate, &host, &about));
    let mut talking = Box::pin(talking);
    let end = tokio::select! {
        written = &mut writing => return Ok(written?),
        end = &mut talking => end,
        // An error is the listener's end, which is the same.
        _ = stopping.wait_for(|stop| *stop) => {
            End::fault(Fault::new("Connection closed", "The broker is stopping"))
        }
        () = eviction.happens() => {
            let why = "others wait for the memory of a frame that does not end";
            End::Reason(CloseReason::Limit(why.into()))
        }
    };
    drop(talking);
    let is_stopping = *stopping.borrow();
    let mut told = Vec::new();
    let ended = match end {
        End::Quiet => Ok(()),
        End::Fault(fault, receipt) => {
            fault.encode(version, receipt.as_deref(), &mut told);
            let text = format!("{}: {}", fault.message, fault.detail);
            if is_stopping { Ok(()) } else { Err(CloseReason::Protocol(text)) }
        }
        End::Refused(fault, why) => {
            fault.encode(version, None, &mut told);
            Err(CloseReason::Login(why))
        }
        End::Reason(reason) => Err(reason),
    };
    if !told.is_empty() {
        outgoing.push(|out| out.extend_from_slice(&told));
    }
    // What the client was promised before the end still goes out, such as why it is the end.
    outgoing.finish();
    let flushed = timeout(FLUSH_TIMEOUT, writing).await;
    if flushed.is_ok() && !told.is_empty() {
        // And arrives, though the client may be in the middle of something.
        let _elapsed = timeout(LINGER, input.discard()).await;
    }
    ended
}

async fn talk(
    shared: &Shared,
    (input, version): (&mut Input<ReadHalf>, &mut Version),
    outgoing: &Arc<Outgoing>,
    (gate, host, about): (&Gate, &str, &About),
) -> End {
    let hello = connect::run(shared, input, outgoing, (gate, host));
    let agreed = match timeout(HANDSHAKE_TIMEOUT, hello).await {
        Ok(Ok(agreed)) => agreed,
        Ok(Err(end)) => return end,
        Err(_elapsed) => {
            let why = format!("not in within {HANDSHAKE_TIMEOUT:?}");
            return End::Reason(CloseReason::Login(why));
        }
    };
    about.user(agreed.actor.principal());
    about.say("virtual_host", &String::from_utf8_lossy(&agreed.virtual_host));
    *version = agreed.version;
    let (version, beats) = (agreed.version, agreed.beats);
    let (commits, committed) = mpsc::channel(COMMITS_MAX);
    let received = AtomicU64::new(0);
    let mut session = Session::new(shared, agreed, outgoing, (&received, commits));
    let deliveries = Arc::clone(&session.deliveries);
    let end = tokio::select! {
        end = session.run(input) => end,
        end = receipts::run(committed, (outgoing, &shared.figures), version) => end,
        fault = deliveries.until_cancelled() => End::fault(fault),
        reason = beat::send(outgoing, beats.sent) => End::Reason(reason),
        reason = beat::watch(&received, beats.received) => End::Reason(reason),
    };
    session.leave().await;
    end
}

/// A subscription of a session.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// The number that its deliveries come with.
    pub(crate) number: u64,
    /// Dropped, it gets no more.
    pub(crate) consumer: Consumer,
    /// The queue that was made for it, and which it may outlive.
    pub(crate) own_queue: Option<Bytes>,
}

/// What a connection is in the middle of.
pub(crate) struct Session<'s> {
    pub(crate) shared: &'s Shared,
    pub(crate) agreed: Agreed,
    /// The namespace of its virtual host.
    pub(crate) space: Bytes,
    pub(crate) owner: Owner,
    pub(crate) deliveries: Arc<Deliveries>,
    /// By their tags. Dropped before the holder, so that what that gives back does not come here again.
    pub(crate) subscriptions: HashMap<Bytes, Subscription>,
    /// Who holds what was delivered.
    pub(crate) holder: Holder,
    /// The number of the next subscription.
    pub(crate) next_subscription: u64,
    /// The addresses of its temporary queues, by what the client calls them.
    pub(crate) temporary: HashMap<Bytes, Bytes>,
    /// Queues that were made sure of.
    pub(crate) remembered: HashSet<Bytes>,
    pub(crate) routes: ExchangeRoutes,
    pub(crate) transactions: Transactions,
    /// What was acknowledged and the core is not told yet.
    pub(crate) settled: Vec<(DeliveryId, Settlement)>,
    /// Messages of this read that are to be stored, and who wants to know of them.
    pub(crate) publishing: Publishing<Owed>,
    /// Messages that came since the last were handed over, and their bytes.
    pub(crate) came: (u64, usize),
    /// Something was sent: while nothing can be stored, it is not read from.
    pub(crate) is_publisher: bool,
    bounds: Bounds,
    looked: Looked,
    received: &'s AtomicU64,
}

impl<'s> Session<'s> {
    fn new(
        shared: &'s Shared,
        agreed: Agreed,
        outgoing: &Arc<Outgoing>,
        (received, commits): (&'s AtomicU64, mpsc::Sender<Commit<Owed>>),
    ) -> Self {
        let broker = shared.broker.clone();
        let space = match &*agreed.virtual_host {
            b"/" => Bytes::new(),
            _ => agreed.virtual_host.clone(),
        };
        let (outgoing, session) = (Arc::clone(outgoing), agreed.session.clone());
        Self {
            shared,
            deliveries: Deliveries::new(outgoing, agreed.version, session),
            subscriptions: HashMap::new(),
            holder: broker.new_holder(0),
            next_subscription: 1,
            temporary: HashMap::new(),
            remembered: HashSet::new(),
            routes: broker.new_exchange_routes(space.clone()),
            transactions: Transactions::default(),
            settled: Vec::new(),
            publishing: Publishing::new(broker.clone(), commits),
            came: (0, 0),
            is_publisher: false,
            bounds: Bounds {
                headers_max: HEADERS_MAX,
                head_bytes_max: HEAD_BYTES_MAX,
                body_bytes_max: shared.options.message_bytes_max,
            },
            looked: Looked::default(),
            received,
            agreed,
            space,
            owner: broker.new_owner(),
        }
    }

    /// A queue of the virtual host.
    pub(crate) fn queue_name(&self, name: &[u8]) -> QueueName {
        QueueName { space: self.space.clone(), name: Bytes::copy_from_slice(name) }
    }

    /// An exchange of the virtual host.
    pub(crate) fn exchange_name(&self, name: &[u8]) -> ExchangeName {
        ExchangeName { space: self.space.clone(), name: Bytes::copy_from_slice(name) }
    }

    /// A frame is done with: its sender hears of it, if it wants to, after those before it.
    pub(crate) fn owe(&mut self, headers: Headers<'_>, fate: Fate) {
        self.owe_receipt(receipt(headers), fate);
    }

    /// The same, of a frame that was there before.
    pub(crate) fn owe_receipt(&mut self, receipt: Option<Bytes>, fate: Fate) {
        self.publishing.owed.extend(receipt.map(|receipt| Owed { receipt, fate }));
    }

    async fn run(&mut self, input: &mut Input<ReadHalf>) -> End {
        let (mut wanted, mut there) = (1, 0);
        loop {
            // Not all at once: who sends much slowly is heard all the same.
            let step = wanted.min(there + STEP_BYTES);
            let filled = tokio::select! {
                filled = input.fill(step) => filled,
                () = self.deliveries.outgoing.until_room() => {
                    self.go_on();
                    continue;
                }
            };
            match filled {
                Ok(true) => {}
                Ok(false) => return End::Quiet,
                Err(error) => return error.into(),
            }
            self.received.fetch_add(1, Ordering::Relaxed);
            match self.take_in(input).await {
                Ok(next) => (wanted, there) = next,
                Err(end) => return end,
            }
            // Much may be buffered; other connections want their turn.
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Has subscriptions go on that found no room.
    fn go_on(&mut self) {
        let refused: HashSet<u64> = self.deliveries.lock().take_refused().into_iter().collect();
        if refused.is_empty() {
            return;
        }
        let all = self.subscriptions.values();
        for known in all.filter(|known| refused.contains(&known.number)) {
            known.consumer.ready();
        }
    }

    /// Tells the core what was acknowledged.
    pub(crate) fn settle(&mut self) {
        if !self.settled.is_empty() {
            self.holder.settle(&self.settled);
            self.settled.clear();
        }
    }

    /// Hands over what was acknowledged, and what is to be stored.
    async fn hand_over(&mut self) {
        self.settle();
        let (messages, bytes) = std::mem::take(&mut self.came);
        if messages > 0 {
            self.shared.figures.received(messages, bytes);
        }
        self.publishing.hand_over().await;
    }

    /// Waits until all that was sent before is stored: what comes next must see it.
    pub(crate) async fn until_stored(&mut self) {
        self.hand_over().await;
        self.publishing.until_stored().await;
    }

    /// Waits while the broker can store nothing.
    async fn until_healthy(&mut self) {
        while self.shared.broker.health().is_err() {
            sleep(BLOCKED_PERIOD).await; // poll: until there is room on the disk, which nobody tells
            self.received.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Gives back what it has, before the client hears that it is gone.
    pub(crate) async fn leave(&mut self) {
        self.hand_over().await;
        self.deliveries.close();
        self.subscriptions.clear();
        self.holder = self.shared.broker.new_holder(0);
        self.owner.leave().await;
    }
}

/// What a frame's sender wants to be told when it is done with.
pub(crate) fn receipt(headers: Headers<'_>) -> Option<Bytes> {
    headers.get("receipt").map(|receipt| Bytes::from(receipt.into_owned()))
}
