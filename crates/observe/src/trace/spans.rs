//! What happened to messages that are followed: the newest [`SPANS_MAX`] steps.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use base::{Clock, Millis, Offset, TopicId};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{Context, Who};
use crate::registry::{Collect, Sink};
use crate::{Counter, families};

/// Spans that are kept; older ones go.
pub const SPANS_MAX: usize = 8192;
/// Spans of one trace: who publishes to ten thousand subscribers is told of some.
const OF_TRACE_MAX: usize = 512;
/// Messages that are followed of those that come in one second; a client may mark all of its own.
const PACE: u32 = 1000;
/// Bytes of a text that clients choose.
const TEXT_BYTES_MAX: usize = 256;
/// The system's clock may be this far from where it should be before it is believed again.
const DRIFT_MAX: Millis = 1000;

/// What happened to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// It came in from a client, and was taken care of: from its frame to its acknowledgement's reason.
    Receive,
    /// It was appended to a partition.
    Store,
    /// It was handed to a consumer's connection; where that is to settle it, until it did.
    Deliver,
    /// A queue gave it up.
    Bury,
}

impl Step {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Store => "store",
            Self::Deliver => "deliver",
            Self::Bury => "bury",
        }
    }
}

/// Where a message is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The topic.
    pub topic: TopicId,
    /// Its partition.
    pub partition: i32,
    /// The offset there, once it is known.
    pub offset: Option<Offset>,
}

/// Names a span, for as long as the broker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanRef {
    slot: u64,
    /// The trace.
    pub trace_id: u128,
    /// The span in it.
    pub span_id: u64,
}

/// One step of a message's path.
#[derive(Debug, Clone)]
pub struct Span {
    /// Grows with each change of any span: readers read on by it.
    pub number: u64,
    /// The trace.
    pub trace_id: u128,
    /// The span in it.
    pub span_id: u64,
    /// The span that it is part of: another of these, or what the message says.
    pub parent_id: u64,
    /// What the message says: the span in which it was sent.
    pub message_id: u64,
    /// What happened.
    pub step: Step,
    /// When it began, in nanoseconds since 1970.
    pub start: u64,
    /// How long it took; none: it is not over.
    pub taken: Option<Duration>,
    /// The client.
    pub who: Option<Arc<Who>>,
    /// The topic, subject or queue.
    pub destination: String,
    /// Where it is stored.
    pub stored: Option<Stored>,
    /// Why it failed.
    pub error: Option<String>,
    /// What else is to be said.
    pub facts: Vec<(&'static str, String)>,
    began: Instant,
}

/// What a span begins with.
#[derive(Debug)]
pub struct Begin<'a> {
    /// What the message says.
    pub context: Context,
    /// What happens.
    pub step: Step,
    /// The span that it is part of; none: the newest that fits, or what the message says.
    pub parent: Option<SpanRef>,
    /// The client.
    pub who: Option<Arc<Who>>,
    /// The topic, subject or queue.
    pub destination: &'a str,
    /// Where it is stored.
    pub stored: Option<Stored>,
}

/// Spans that changed.
#[derive(Debug)]
pub struct Page {
    /// In the order of their changes.
    pub spans: Vec<Span>,
    /// The number of the last change of all; ask for what comes after it.
    pub last: u64,
}

/// The newest spans.
#[derive(Debug)]
pub struct Traces {
    clock: Arc<dyn Clock>,
    is_on: AtomicBool,
    /// Where span ids begin: no other broker's should be the same.
    seed: AtomicU64,
    /// How many spans say where a message is stored.
    placed: AtomicUsize,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
    begun: Counter,
    /// Where spans go that are over.
    export: Mutex<Option<mpsc::Sender<Span>>>,
}

#[derive(Debug, Default)]
struct State {
    kept: VecDeque<Span>,
    /// The slot of the first.
    first: u64,
    changes: u64,
    by_trace: HashMap<u128, Vec<u64>>,
    by_place: HashMap<(TopicId, i32), BTreeMap<Offset, u64>>,
    /// How many those are.
    placed: usize,
    /// What there was too much of, by the reason.
    dropped: BTreeMap<&'static str, u64>,
    /// Messages of this second.
    pace: (Millis, u32),
    anchor: Option<(Millis, Instant)>,
}

impl Traces {
    /// Nothing was followed yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            is_on: AtomicBool::new(true),
            seed: AtomicU64::new(0),
            placed: AtomicUsize::new(0),
            state: Mutex::default(),
            changes: watch::Sender::new(0),
            begun: Counter::default(),
            export: Mutex::default(),
        }
    }

    /// A random number that span ids are made from, before there are any.
    pub fn seed(&self, seed: u64) {
        self.seed.store(seed, Ordering::Relaxed);
    }

    /// Whether messages are followed, from now on.
    pub fn set_on(&self, is_on: bool) {
        self.is_on.store(is_on, Ordering::Relaxed);
    }

    /// Whether messages are followed.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Whether it is known of any message where it is stored.
    pub fn is_any_placed(&self) -> bool {
        self.placed.load(Ordering::Relaxed) > 0
    }

    /// Spans go there when they are over, as long as there is room; one receiver at a time.
    pub fn export_to(&self, to: mpsc::Sender<Span>) {
        *self.export.lock() = Some(to);
    }

    /// Something begins to happen to a message. `None`: there is too much of it.
    pub fn begin(&self, begin: Begin<'_>) -> Option<SpanRef> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let of = state.by_trace.get(&begin.context.trace_id);
        if of.is_some_and(|of| of.len() >= OF_TRACE_MAX) {
            return state.too_many("trace");
        }
        if begin.step == Step::Receive && !state.is_in_pace(now) {
            return state.too_many("pace");
        }
        let (start, began) = state.time(now);
        let Begin { context, step, parent, who, destination, stored } = begin;
        let parent_id = parent.map(|of| of.span_id);
        let parent_id = parent_id.unwrap_or_else(|| state.parent(&context, stored));
        let slot = state.first + state.kept.len() as u64;
        let span_id = mixed(self.seed.load(Ordering::Relaxed).wrapping_add(slot));
        let trace_id = context.trace_id;
        let span = Span {
            number: 0,
            trace_id,
            span_id,
            parent_id,
            message_id: context.span_id,
            step,
            start,
            taken: None,
            who,
            destination: cut(destination),
            stored,
            error: None,
            facts: Vec::new(),
            began,
        };
        state.kept.push_back(span);
        state.by_trace.entry(trace_id).or_default().push(slot);
        state.note(slot);
        if state.kept.len() > SPANS_MAX {
            state.forget_first();
        }
        self.begun.add(1);
        self.told(&state);
        Some(SpanRef { slot, trace_id, span_id })
    }

    /// It is over. `say`: what came of it.
    pub fn end(&self, span: SpanRef, say: impl FnOnce(&mut Span)) {
        let mut state = self.state.lock();
        let Some(ended) = state.get(span.slot) else { return };
        ended.taken = Some(ended.began.elapsed());
        say(ended);
        let over = ended.clone();
        state.note(span.slot);
        self.told(&state);
        drop(state);
        if let Some(to) = &*self.export.lock()
            && to.try_send(over).is_err()
        {
            self.dropped("export", 1);
        }
    }

    /// So many were not sent on.
    pub fn dropped(&self, reason: &'static str, count: u64) {
        *self.state.lock().dropped.entry(reason).or_default() += count;
    }

    /// The messages that are known to be stored in a part of a partition: their offsets, what they say, and how they came there.
    pub fn stored_in(
        &self,
        topic: TopicId,
        partition: i32,
        offsets: Range<Offset>,
    ) -> Vec<(Offset, Context, SpanRef)> {
        let mut state = self.state.lock();
        let Some(of) = state.by_place.get(&(topic, partition)) else { return Vec::new() };
        let slots: Vec<_> = of.range(offsets).map(|(offset, slot)| (*offset, *slot)).collect();
        let find = |(offset, slot): (Offset, u64)| {
            let Span { trace_id, span_id, message_id, .. } = *state.get(slot)?;
            let context = Context { trace_id, span_id: message_id, flags: 1 };
            Some((offset, context, SpanRef { slot, trace_id, span_id }))
        };
        slots.into_iter().filter_map(find).collect()
    }

    /// What is known of a trace, in the order in which it happened.
    pub fn trace(&self, trace_id: u128) -> Vec<Span> {
        let mut state = self.state.lock();
        let slots = state.by_trace.get(&trace_id).cloned().unwrap_or_default();
        slots.into_iter().filter_map(|slot| state.get(slot).cloned()).collect()
    }

    /// The spans that changed since, at most so many: the newest, that is.
    pub fn changed(&self, after: u64, limit: usize, is_wanted: impl Fn(&Span) -> bool) -> Page {
        let state = self.state.lock();
        let is_new = |span: &&Span| span.number > after && is_wanted(span);
        let mut spans: Vec<_> = state.kept.iter().filter(is_new).cloned().collect();
        let last = state.changes;
        drop(state);
        spans.sort_unstable_by_key(|span| span.number);
        spans.drain(..spans.len().saturating_sub(limit));
        Page { spans, last }
    }

    /// The number of the last change, as it grows.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn told(&self, state: &State) {
        self.placed.store(state.placed, Ordering::Relaxed);
        self.changes.send_replace(state.changes);
    }
}

impl State {
    fn too_many(&mut self, reason: &'static str) -> Option<SpanRef> {
        *self.dropped.entry(reason).or_default() += 1;
        None
    }

    /// Whether one message more may be followed in this second.
    fn is_in_pace(&mut self, now: Millis) -> bool {
        let second = now.div_euclid(1000);
        if self.pace.0 != second {
            self.pace = (second, 0);
        }
        self.pace.1 += 1;
        self.pace.1 <= PACE
    }

    /// The time, finer than the clock's, which is believed where it was set.
    fn time(&mut self, now: Millis) -> (u64, Instant) {
        let instant = Instant::now();
        let since = |(_, from): &(Millis, Instant)| instant.duration_since(*from);
        let is_right = |anchor: &(Millis, Instant)| {
            let passed = Millis::try_from(since(anchor).as_millis()).unwrap_or(Millis::MAX);
            anchor.0.saturating_add(passed).abs_diff(now) <= DRIFT_MAX.unsigned_abs()
        };
        let anchor = *self.anchor.insert(self.anchor.filter(is_right).unwrap_or((now, instant)));
        let nanos = u64::try_from(since(&anchor).as_nanos()).unwrap_or(u64::MAX);
        let begun = u64::try_from(anchor.0).unwrap_or(0).saturating_mul(1_000_000);
        (begun.saturating_add(nanos), instant)
    }

    /// The span of this message that put it where it is, or brought it here; else what the message says.
    fn parent(&self, context: &Context, stored: Option<Stored>) -> u64 {
        let slots = self.by_trace.get(&context.trace_id).map(Vec::as_slice).unwrap_or_default();
        let spans = slots.iter().rev().filter_map(|slot| self.peek(*slot));
        let mut of_message = spans.filter(|span| span.message_id == context.span_id);
        let is_place = |span: &Span| {
            span.step == Step::Store
                && span.stored.zip(stored).is_some_and(|(there, wanted)| {
                    (there.topic, there.partition) == (wanted.topic, wanted.partition)
                        && (there.offset.is_none() || there.offset == wanted.offset)
                })
        };
        let at_place = of_message.clone().find(|span| is_place(span));
        let found = at_place.or_else(|| of_message.find(|span| span.step == Step::Receive));
        found.map_or(context.span_id, |span| span.span_id)
    }

    fn peek(&self, slot: u64) -> Option<&Span> {
        self.kept.get(usize::try_from(slot.checked_sub(self.first)?).ok()?)
    }

    fn get(&mut self, slot: u64) -> Option<&mut Span> {
        self.kept.get_mut(usize::try_from(slot.checked_sub(self.first)?).ok()?)
    }

    /// It changed.
    fn note(&mut self, slot: u64) {
        self.changes += 1;
        let number = self.changes;
        let Some(span) = self.get(slot) else { return };
        span.number = number;
        let stored = span.stored.filter(|_| span.step == Step::Store && span.error.is_none());
        if let Some(Stored { topic, partition, offset: Some(offset) }) = stored {
            let of = self.by_place.entry((topic, partition)).or_default();
            self.placed += usize::from(of.insert(offset, slot).is_none());
        }
    }

    fn forget_first(&mut self) {
        let Some(span) = self.kept.pop_front() else { return };
        let slot = self.first;
        self.first += 1;
        self.too_many("oldest");
        if let Some(of) = self.by_trace.get_mut(&span.trace_id) {
            of.retain(|other| *other != slot);
            if of.is_empty() {
                self.by_trace.remove(&span.trace_id);
            }
        }
        if let Some(Stored { topic, partition, offset: Some(offset) }) = span.stored
            && let Some(of) = self.by_place.get_mut(&(topic, partition))
        {
            if of.get(&offset) == Some(&slot) {
                of.remove(&offset);
                self.placed -= 1;
            }
            if of.is_empty() {
                self.by_place.remove(&(topic, partition));
            }
        }
    }
}

/// A number that looks like none of its neighbours, and is not 0: the finalizer of SplitMix64, which gives no two the same.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (number ^ (number >> 31)).max(1)
}

fn cut(text: &str) -> String {
    text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or_default().to_owned()
}

impl Collect for Traces {
    fn collect(&self, sink: &mut Sink<'_>) {
        sink.counter(&families::SPANS, [], self.begun.get());
        for (reason, count) in &self.state.lock().dropped {
            sink.counter(&families::SPANS_DROPPED, [reason], *count);
        }
    }
}
