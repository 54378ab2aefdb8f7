//! A channel (§2.2.5): what is being published, what was delivered and is not settled, who consumes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use base::Millis;
use broker::exchanges::ExchangeRoutes;
use broker::queues::{
    Consumer, Delivered, DeliveryId, Holder, Origin, QueueFlow, QueueSink, Settlement,
};
use bytes::{Bytes, BytesMut};
use door::Outgoing;
use parking_lot::{Mutex, MutexGuard};

use crate::fault::Fault;
use crate::flow::ChannelFlow;
use crate::map;
use crate::replies::Address;
use crate::wire::frame::{put_content, put_method};
use crate::wire::method::{BasicCancel, BasicDeliver, BasicGetOk};
use crate::wire::reader::Short;
use crate::wire::reply::Reply;

/// What only the connection's own task knows of a channel.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) out: Arc<ChannelOut>,
    /// By their tags. Dropped before the holder, so that what that gives back does not come here again.
    pub(crate) consumers: HashMap<Bytes, Consuming>,
    /// Who holds what was delivered here.
    pub(crate) holder: Holder,
    pub(crate) routes: ExchangeRoutes,
    pub(crate) incoming: Incoming,
    pub(crate) mode: Mode,
    /// Of consumers to come (`basic.qos`); 0: no limit.
    pub(crate) prefetch: u32,
    /// The queue that is meant where none is named.
    pub(crate) last_queue: Bytes,
    /// What was acknowledged and the core is not told yet.
    pub(crate) settled: Vec<(DeliveryId, Settlement)>,
    /// The number of the next consumer.
    pub(crate) next_consumer: u64,
}

/// A consumer of a channel.
#[derive(Debug)]
pub(crate) struct Consuming {
    /// The number that its deliveries come with.
    pub(crate) number: u64,
    /// Dropped, it consumes no more. None for answers that come without a queue.
    pub(crate) consumer: Option<Consumer>,
    /// Where those are sent.
    pub(crate) address: Option<Address>,
}

/// How publishes and acknowledgements are answered.
#[derive(Debug)]
pub(crate) enum Mode {
    /// Not at all.
    Plain,
    /// Each publish is, by its number, when it is stored.
    Confirm {
        /// Publishes so far.
        published: u64,
    },
    /// All together, when they are committed.
    Transaction(Box<Transaction>),
}

/// What a transaction holds.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    pub(crate) contents: Vec<Content>,
    pub(crate) settled: Vec<(u64, Unsettled, Settlement)>,
    /// Of the payloads.
    pub(crate) bytes: usize,
}

/// A message as it was published.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) exchange: Bytes,
    pub(crate) routing_key: Bytes,
    pub(crate) mandatory: bool,
    pub(crate) immediate: bool,
    /// Flags and values.
    pub(crate) properties: Bytes,
    pub(crate) payload: Bytes,
}

/// What of a message is there.
#[derive(Debug, Default)]
pub(crate) enum Incoming {
    /// None is on its way.
    #[default]
    Nothing,
    /// The method.
    Method(Content),
    /// The header, too, and some of the payload: so many bytes are missing.
    Header(Content, BytesMut, usize),
}

impl Content {
    /// With copies of its own, so that it does not hold what it was received with.
    pub(crate) fn detached(self) -> Self {
        Self {
            exchange: Bytes::copy_from_slice(&self.exchange),
            routing_key: Bytes::copy_from_slice(&self.routing_key),
            properties: Bytes::copy_from_slice(&self.properties),
            payload: Bytes::copy_from_slice(&self.payload),
            ..self
        }
    }
}

impl Channel {
    pub(crate) fn new(out: Arc<ChannelOut>, holder: Holder, routes: ExchangeRoutes) -> Self {
        Self {
            out,
            holder,
            routes,
            incoming: Incoming::Nothing,
            mode: Mode::Plain,
            prefetch: 0,
            consumers: HashMap::new(),
            last_queue: Bytes::new(),
            settled: Vec::new(),
            next_consumer: 1,
        }
    }

    /// Tells the core what was acknowledged.
    pub(crate) fn settle(&mut self) {
        if !self.settled.is_empty() {
            let accepted =
                self.settled.iter().filter(|(_, how)| *how == Settlement::Accept).count();
            self.out.flow.accepted.add(accepted as u64);
            self.holder.settle(&self.settled);
            self.settled.clear();
        }
    }

    /// Has consumers go on that found no room, and forgets those whose queues are gone.
    pub(crate) fn news(&mut self) {
        let (refused, cancelled) = {
            let mut state = self.out.lock();
            (state.take_refused(), state.take_cancelled())
        };
        for tag in cancelled {
            self.consumers.remove(&tag);
        }
        for number in refused {
            let found = self.consumers.values().find(|known| known.number == number);
            if let Some(consumer) = found.and_then(|known| known.consumer.as_ref()) {
                consumer.ready();
            }
        }
    }

    /// Ends it, with a last word. What it has goes back to the queues.
    pub(crate) fn end(mut self, last_word: impl FnOnce(u16, &mut Vec<u8>)) {
        self.settle();
        self.out.tell(last_word);
        self.out.close();
    }
}

impl Incoming {
    /// Bytes that are held until the rest is there.
    pub(crate) fn held(&self) -> usize {
        match self {
            Self::Header(_, body, _) => body.len(),
            Self::Nothing | Self::Method(_) => 0,
        }
    }
}

/// What queues deliver to.
#[derive(Debug)]
pub(crate) struct ChannelOut {
    pub(crate) number: u16,
    frame_max: u32,
    pub(crate) outgoing: Arc<Outgoing>,
    /// The client wants to know when a consumer is no more.
    tells_cancel: bool,
    state: Mutex<OutState>,
    pub(crate) flow: ChannelFlow,
}

#[derive(Debug, Default)]
pub(crate) struct OutState {
    is_closed: bool,
    /// The last number of a delivery.
    last: u64,
    unacked: Unacked,
    consumers: HashMap<u64, ConsumerOut>,
    /// What is shown of them, …
    described: HashMap<u64, ConsumerFacts>,
    /// … and of the channel.
    facts: ChannelFacts,
    /// Consumers whose last delivery found no room.
    refused: Vec<u64>,
    /// Those whose queues are gone.
    cancelled: Vec<Bytes>,
    /// Of those, who is told later, where somebody waits for another answer first.
    held: Option<Vec<Bytes>>,
    /// What was delivered.
    pub(crate) flow: QueueFlow,
}

/// A consumer, as far as deliveries need it.
#[derive(Debug, Clone)]
pub(crate) struct ConsumerOut {
    pub(crate) tag: Bytes,
    pub(crate) queue: Bytes,
    pub(crate) no_ack: bool,
    /// Deliveries say how often there were some before.
    pub(crate) counts: bool,
    /// They are to be acknowledged within so many milliseconds; 0: within any.
    pub(crate) timeout: Millis,
}

/// A delivery that is not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unsettled {
    pub(crate) id: DeliveryId,
    /// When it was delivered, …
    since: Millis,
    /// … and for how long it may be out, in milliseconds; 0: for ever.
    timeout: Millis,
}

impl Unsettled {
    fn new(delivered: &Delivered, timeout: Millis) -> Self {
        Self { id: delivered.id, since: delivered.at, timeout }
    }

    fn is_overdue(&self, now: Millis) -> bool {
        self.timeout > 0 && now.saturating_sub(self.since) >= self.timeout
    }
}

/// What of a consumer is shown and not needed otherwise.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConsumerFacts {
    pub(crate) exclusive: bool,
    /// 0: no limit.
    pub(crate) prefetch: u32,
    /// A table.
    pub(crate) arguments: Bytes,
}

/// What a channel was told, as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ChannelFacts {
    pub(crate) confirms: bool,
    pub(crate) is_transactional: bool,
    /// Of each consumer to come; 0: no limit.
    pub(crate) prefetch: u32,
    /// Of all together; 0: no limit.
    pub(crate) prefetch_together: u32,
}

/// A channel at one moment.
#[derive(Debug)]
pub(crate) struct ChannelView {
    pub(crate) facts: ChannelFacts,
    pub(crate) unacked: usize,
    pub(crate) consumers: Vec<(ConsumerOut, ConsumerFacts)>,
}

impl ChannelOut {
    pub(crate) fn new(
        number: u16,
        frame_max: u32,
        outgoing: Arc<Outgoing>,
        tells_cancel: bool,
    ) -> Arc<Self> {
        let (state, flow) = (Mutex::default(), ChannelFlow::default());
        Arc::new(Self { number, frame_max, outgoing, tells_cancel, state, flow })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, OutState> {
        self.state.lock()
    }

    /// Whether it is not closed yet.
    pub(crate) fn is_open(&self) -> bool {
        !self.state.lock().is_closed
    }

    /// What there is to be shown of it.
    pub(crate) fn view(&self) -> ChannelView {
        let state = self.state.lock();
        let with_facts = |(number, consumer): (&u64, &ConsumerOut)| {
            let facts = state.described.get(number).cloned().unwrap_or_default();
            (consumer.clone(), facts)
        };
        ChannelView {
            facts: state.facts,
            unacked: state.unacked.count(),
            consumers: state.consumers.iter().map(with_facts).collect(),
        }
    }

    /// Changes what is shown of it.
    pub(crate) fn note(&self, change: impl FnOnce(&mut ChannelFacts)) {
        change(&mut self.state.lock().facts);
    }

    /// Queues a method, unless the channel is closed.
    pub(crate) fn tell(&self, encode: impl FnOnce(u16, &mut Vec<u8>)) {
        // The lock keeps it from coming after the channel's end.
        let state = self.state.lock();
        if !state.is_closed {
            self.outgoing.push(|out| encode(self.number, out));
        }
    }

    /// Says nothing of consumers whose queues go, until [`Self::tell_cancelled`].
    pub(crate) fn hold_cancelled(&self) {
        self.state.lock().held = Some(Vec::new());
    }

    /// Says what was not said since then.
    pub(crate) fn tell_cancelled(&self) {
        let mut state = self.state.lock();
        let held = state.held.take().unwrap_or_default();
        held.iter().for_each(|tag| self.put_cancel(&state, tag));
    }

    fn put_cancel(&self, state: &OutState, tag: &[u8]) {
        if self.tells_cancel && !state.is_closed {
            let cancel = BasicCancel { consumer_tag: Short(tag), nowait: true };
            self.outgoing.push(|out| put_method(self.number, &cancel, out));
        }
    }

    /// Nothing more is delivered or told.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        state.consumers.clear();
        state.described.clear();
        state.unacked = Unacked::default();
    }

    /// Delivers what was asked for with `basic.get`.
    pub(crate) fn got(&self, delivered: &Delivered, from: &ConsumerOut, left: u32) {
        let mut state = self.state.lock();
        state.flow.get(from.no_ack, delivered.deliveries);
        let made = map::properties(delivered, from.counts);
        let (exchange, routing_key) = origin(delivered, &from.queue);
        state.last += 1;
        let get_ok = BasicGetOk {
            delivery_tag: state.last,
            redelivered: delivered.deliveries > 0,
            exchange: Short(&exchange),
            routing_key: Short(&routing_key),
            message_count: left,
        };
        let payload = delivered.message.value.as_deref().unwrap_or_default();
        let place = (self.number, self.frame_max);
        let encode = |out: &mut Vec<u8>| put_content(place, &get_ok, &made, payload, out);
        self.outgoing.push_message(payload.len(), encode);
        if !from.no_ack {
            let number = state.last;
            state.unacked.push(number, Unsettled::new(delivered, from.timeout));
        }
    }

    /// Delivers an answer that no queue holds; whether somebody takes it.
    pub(crate) fn answer(&self, consumer: u64, key: &[u8], content: &Content) -> bool {
        let mut state = self.state.lock();
        let Some(tag) = state.consumers.get(&consumer).map(|known| known.tag.clone()) else {
            return false;
        };
        state.last += 1;
        let deliver = BasicDeliver {
            consumer_tag: Short(&tag),
            delivery_tag: state.last,
            redelivered: false,
            exchange: Short(&content.exchange),
            routing_key: Short(key),
        };
        let place = (self.number, self.frame_max);
        // Refused where the client does not read: there is no queue for it to wait in.
        let encode = |out: &mut Vec<u8>| {
            put_content(place, &deliver, &content.properties, &content.payload, out);
        };
        let taken = self.outgoing.offer(content.payload.len(), encode);
        drop(state);
        self.outgoing.flush();
        taken
    }
}

impl OutState {
    pub(crate) fn add(&mut self, number: u64, consumer: ConsumerOut) {
        self.consumers.insert(number, consumer);
    }

    /// What is shown of a consumer.
    pub(crate) fn describe(&mut self, number: u64, facts: ConsumerFacts) {
        self.described.insert(number, facts);
    }

    pub(crate) fn remove(&mut self, number: u64) {
        self.consumers.remove(&number);
        self.described.remove(&number);
    }

    /// Consumers that found no room since this was asked last.
    pub(crate) fn take_refused(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.refused)
    }

    /// Tags of consumers whose queues went since this was asked last.
    pub(crate) fn take_cancelled(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.cancelled)
    }

    /// Takes deliveries that are to be settled: one, or all up to it.
    pub(crate) fn take(
        &mut self,
        tag: u64,
        multiple: bool,
        each: impl FnMut(u64, Unsettled),
    ) -> Result<(), Fault> {
        if self.unacked.take(tag, multiple, each) {
            return Ok(());
        }
        Err(Fault::precondition(format!("unknown delivery tag {tag}")))
    }

    /// Takes all.
    pub(crate) fn take_all(&mut self, each: impl FnMut(u64, Unsettled)) {
        self.unacked.take(0, true, each);
    }

    /// Puts back what was taken.
    pub(crate) fn put_back(&mut self, taken: impl IntoIterator<Item = (u64, Unsettled)>) {
        self.unacked.put_back(taken);
    }

    /// A delivery that was not acknowledged in time: its number, and what the time was, in milliseconds.
    pub(crate) fn overdue(&self, now: Millis) -> Option<(u64, Millis)> {
        let mut all = self.unacked.entries.iter();
        all.find_map(|(tag, out)| {
            let out = out.filter(|out| out.is_overdue(now))?;
            Some((*tag, out.timeout))
        })
    }
}

/// The exchange and the routing key that a message came with; `queue`: what it is in.
pub(crate) fn origin(delivered: &Delivered, queue: &Bytes) -> (Bytes, Bytes) {
    match &delivered.origin {
        Origin::Queue => (Bytes::new(), queue.clone()),
        Origin::Exchange { exchange, key } => (exchange.clone(), key.clone()),
        Origin::Subject(subject) => {
            (Bytes::from_static(map::TOPIC_EXCHANGE), map::NAMES.name(subject))
        }
    }
}

impl QueueSink for ChannelOut {
    fn deliver(&self, tag: u64, delivered: Delivered) -> bool {
        let mut state = self.state.lock();
        let Some(consumer) = state.consumers.get(&tag).cloned() else { return false };
        let made = map::properties(&delivered, consumer.counts);
        let (exchange, routing_key) = origin(&delivered, &consumer.queue);
        let number = state.last + 1;
        let deliver = BasicDeliver {
            consumer_tag: Short(&consumer.tag),
            delivery_tag: number,
            redelivered: delivered.deliveries > 0,
            exchange: Short(&exchange),
            routing_key: Short(&routing_key),
        };
        let payload = delivered.message.value.as_deref().unwrap_or_default();
        let place = (self.number, self.frame_max);
        let encode = |out: &mut Vec<u8>| put_content(place, &deliver, &made, payload, out);
        if !self.outgoing.offer(payload.len(), encode) {
            state.refused.push(tag);
            return false;
        }
        state.last = number;
        state.flow.deliver(consumer.no_ack, delivered.deliveries);
        if !consumer.no_ack {
            state.unacked.push(number, Unsettled::new(&delivered, consumer.timeout));
        }
        true
    }

    fn flush(&self) {
        self.outgoing.flush();
    }

    fn cancelled(&self, tag: u64) {
        let mut state = self.state.lock();
        let Some(consumer) = state.consumers.remove(&tag) else { return };
        state.described.remove(&tag);
        match &mut state.held {
            Some(held) => held.push(consumer.tag.clone()),
            None => self.put_cancel(&state, &consumer.tag),
        }
        state.cancelled.push(consumer.tag);
        drop(state);
        self.outgoing.flush();
    }
}

/// Deliveries that are not settled, in order of their numbers. Settled in the middle, they leave a gap until those
/// before them are.
#[derive(Debug, Default)]
struct Unacked {
    entries: VecDeque<(u64, Option<Unsettled>)>,
}

impl Unacked {
    fn count(&self) -> usize {
        self.entries.iter().filter(|(_, out)| out.is_some()).count()
    }

    fn push(&mut self, tag: u64, out: Unsettled) {
        self.entries.push_back((tag, Some(out)));
    }

    /// Takes one, or all up to it; 0 with `multiple` is all that there are. False: there is none of this number.
    fn take(&mut self, tag: u64, multiple: bool, mut each: impl FnMut(u64, Unsettled)) -> bool {
        if multiple && tag == 0 {
            for (tag, out) in self.entries.drain(..) {
                out.into_iter().for_each(|out| each(tag, out));
            }
            return true;
        }
        let found = self.entries.binary_search_by_key(&tag, |(tag, _)| *tag);
        let Ok(index) = found else { return false };
        let Some((_, place @ Some(_))) = self.entries.get_mut(index) else { return false };
        if multiple {
            for (tag, out) in self.entries.drain(..=index) {
                out.into_iter().for_each(|out| each(tag, out));
            }
        } else if let Some(out) = place.take() {
            each(tag, out);
        }
        while self.entries.front().is_some_and(|(_, out)| out.is_none()) {
            self.entries.pop_front();
        }
        true
    }

    fn put_back(&mut self, taken: impl IntoIterator<Item = (u64, Unsettled)>) {
        let mut all: Vec<_> = self.entries.drain(..).collect();
        for (tag, out) in taken {
            match all.binary_search_by_key(&tag, |(tag, _)| *tag) {
                Ok(index) => all[index].1 = Some(out),
                Err(index) => all.insert(index, (tag, Some(out))),
            }
        }
        self.entries = all.into();
    }
}

/// A message that is too large, or of no length that it says.
pub(crate) fn check_size(bytes: u64, max: usize) -> Result<usize, Fault> {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    if bytes <= max {
        return Ok(bytes);
    }
    let text = format!("message size {bytes} is larger than configured max size {max}");
    Err(Fault::new(Reply::PreconditionFailed, text))
}
