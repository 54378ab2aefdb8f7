//! From a queue to its consumers: a queue's task takes a bunch of messages, gives them away without holding the
//! queue's lock, and puts back what was refused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Millis, Offset};
use queue::dispatch::Policy;
use queue::shared::Why;
use store::ReadError;

use super::consumer::{ConsumerInner, HolderInner, Room};
use super::flow::QueueFlow;
use super::lane::{Found, Item, Kept, Lane, Reading};
use super::queue::{Held, Next, Queue, State};
use super::types::QueueError;
use crate::verbs::fetch::{self, FetchError};

/// Messages that are given away before others have their turn.
const BUNCH: usize = 256;
/// Bytes that are read at once, …
const READ_BYTES: usize = 256 * 1024;
/// … where nobody consumes, and only the first message matters, …
const PEEK_BYTES: usize = 16 * 1024;
/// … and read ahead, as long as there are fewer messages than this, and fewer bytes.
const AHEAD_MESSAGES: usize = 1024;
const AHEAD_BYTES: u64 = 512 * 1024;
/// Messages whose time is over that are passed over before others have their turn.
const OVER_MAX: usize = 1024;
/// Pause after the log could not be read.
const RETRY: Duration = Duration::from_millis(500);
/// A queue looks at the time no more often than this.
const GRAIN: Millis = 5;

/// A message on its way.
struct Planned {
    consumer: Arc<ConsumerInner>,
    lane: u16,
    at: Offset,
    item: Item,
    deliveries: u32,
}

/// What a turn was good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turned {
    /// Look again.
    Again,
    /// There is nothing to do before somebody says so, or it is that time.
    Wait(Option<Millis>),
    /// The queue is gone.
    Over,
}

impl Queue {
    /// Gives away what comes, until the queue is gone.
    pub(super) async fn run(self: Arc<Self>) {
        let mut watching = Vec::new();
        loop {
            // The topic may have got more partitions.
            for lane in self.state.lock().lanes.iter().skip(watching.len()) {
                watching.push(lane.log().map(|log| log.watch(&self.signal)));
            }
            match self.turn().await {
                Ok(Turned::Again) => tokio::task::yield_now().await,
                Ok(Turned::Wait(None)) => self.signal.notified().await,
                Ok(Turned::Wait(Some(at))) => {
                    let wait = at.saturating_sub(self.now()).max(GRAIN).cast_unsigned();
                    let notified = self.signal.notified();
                    let _ = tokio::time::timeout(Duration::from_millis(wait), notified).await;
                }
                Ok(Turned::Over) => return,
                Err(error) => {
                    tracing::warn!(queue = ?self.name(), %error, "a queue cannot be read");
                    self.wait_for(&mut self.state.lock(), BTreeMap::new());
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn turn(self: &Arc<Self>) -> Result<Turned, QueueError> {
        let now = self.now();
        let (planned, reads, is_less) = {
            let mut state = self.state.lock();
            if state.is_deleted {
                return Ok(Turned::Over);
            }
            self.look_after(&mut state, now);
            let (planned, next) = self.plan(&mut state, now);
            // What nobody had room for.
            let is_less = self.drop_over(&mut state, now);
            let is_used = state.consumers.iter().any(|consumer| !consumer.is_blocked());
            // What is next is read in any case, what comes after it where somebody is there for it.
            let reads = match next {
                Next::Unread if is_used || self.may_expire() => Some(is_used && state.is_short()),
                _ => (is_used && state.is_short()).then_some(true),
            };
            self.bury_later(&mut state);
            (planned, reads, is_less)
        };
        let is_some = is_less || !planned.is_empty();
        self.give(planned, now);
        self.changed();
        let read = match reads {
            Some(further) => self.read(further).await?,
            None => false,
        };
        if read || is_some { Ok(Turned::Again) } else { Ok(self.rest(now)) }
    }

    /// When there is something to do next.
    fn rest(self: &Arc<Self>, now: Millis) -> Turned {
        let mut state = self.state.lock();
        let may_expire = state.consumers.is_empty() && !state.is_leaving;
        let expires = state.settings.expires.filter(|_| may_expire);
        let expires = expires.map(|after| state.used_at.saturating_add(after));
        if expires.is_some_and(|at| at <= now) {
            drop(state);
            self.delete_later(true);
            return Turned::Wait(None);
        }
        let of_lanes = state.lanes.iter_mut().filter_map(Lane::next_time);
        Turned::Wait(of_lanes.chain(expires).min())
    }

    /// What time has done, and what is too many.
    pub(super) fn look_after(&self, state: &mut State, now: Millis) {
        for number in 0..state.lanes.len() {
            let ripe = state.lanes.get_mut(number).map(|lane| lane.ripen(now));
            let Ok(number) = u16::try_from(number) else { continue };
            ripe.into_iter().flatten().for_each(|at| state.release_key(number, at));
        }
        self.drop_over(state, now);
        self.drop_heads(state);
    }

    /// Drops messages whose time is over, from the first one on; whether there were any.
    fn drop_over(&self, state: &mut State, now: Millis) -> bool {
        if !self.may_expire() {
            return false;
        }
        if !state.has_takers() {
            state.lanes.iter_mut().for_each(Lane::pass_over);
        }
        let why = state.settings.dead_letter.is_some().then_some(Why::Expired);
        let mut is_less = false;
        for lane in &mut state.lanes {
            for _ in 0..OVER_MAX {
                if !lane.is_head_over(now) {
                    break;
                }
                lane.drop_first(1, why);
                is_less = true;
            }
        }
        is_less
    }

    /// Drops the oldest messages, where there are too many.
    pub(super) fn drop_heads(&self, state: &mut State) {
        let settings = Arc::clone(&state.settings);
        let is_limited = settings.length_max.is_some() || settings.bytes_max.is_some();
        if !is_limited || !settings.drops_head() {
            return;
        }
        let ready = state.ready();
        let too_many = settings.length_max.map_or(0, |most| ready.saturating_sub(most));
        let too_large = settings.bytes_max.map_or(0, |most| state.excess_messages(most));
        let mut excess = too_many.max(too_large);
        let why = settings.dead_letter.is_some().then_some(Why::TooMany);
        // The least urgent first.
        for lane in &mut state.lanes {
            excess -= lane.drop_first(excess, why);
        }
    }

    /// Decides who gets what.
    fn plan(&self, state: &mut State, now: Millis) -> (Vec<Planned>, Next) {
        let mut picks = Picks::default();
        let mut planned = Vec::new();
        let mut last = Next::Empty;
        state.lanes.iter_mut().for_each(Lane::offer);
        while planned.len() < BUNCH {
            let (lane, at) = match self.next(state, now) {
                Next::Ready(lane, at) => (lane, at),
                next => {
                    last = next;
                    break;
                }
            };
            if state.is_paused {
                break;
            }
            let Some(consumer) = self.pick(state, &mut picks) else { break };
            let Some((item, deliveries)) = state.take(lane, at) else { break };
            if !consumer.automatic {
                let holder = Arc::clone(&consumer.holder);
                let held = Held { holder, consumer: Some(Arc::clone(&consumer)) };
                state.held.insert((lane, at), held);
            }
            planned.push(Planned { consumer, lane, at, item, deliveries });
        }
        self.wait_for(state, picks.full);
        if last != Next::Unread && planned.len() < BUNCH {
            state.lanes.iter_mut().for_each(Lane::was_offered);
        }
        (planned, last)
    }

    /// It waits for room with these holders, and no others.
    pub(super) fn wait_for(&self, state: &mut State, full: BTreeMap<u64, Arc<HolderInner>>) {
        let before = std::mem::replace(&mut state.waits, full);
        let others = before.iter().filter(|(number, _)| !state.waits.contains_key(number));
        others.for_each(|(_, holder)| holder.leave(self.number()));
    }

    /// A consumer that can take a message, for which one more is counted.
    fn pick(&self, state: &State, picks: &mut Picks) -> Option<Arc<ConsumerInner>> {
        let settings = &self.spec().settings;
        let before = state.turn.place();
        loop {
            if picks.among.is_empty() && !picks.refill(state, settings.single_active) {
                // Two consumers that share room for one would else have every second turn in vain: always the same.
                state.turn.back_to(before);
                return None;
            }
            let random = match settings.dispatch {
                Policy::Random => {
                    self.broker.upgrade().map_or(0, |inner| inner.options.random.next_u64())
                }
                _ => 0,
            };
            // Who is alone takes nobody's turn.
            let at = match picks.among.len() {
                1 => 0,
                _ => settings.dispatch.pick(&picks.among, &state.turn, random),
            };
            let picked = picks.among.get(at)?;
            match picked.reserve(self.number()) {
                Room::Taken => return Some(Arc::clone(picked)),
                Room::Later => {
                    let holder = &picked.holder;
                    picks.full.insert(holder.number, Arc::clone(holder));
                }
                Room::None => {}
            }
            picks.among.remove(at);
        }
    }

    /// Gives messages away, and takes back what is refused.
    fn give(&self, planned: Vec<Planned>, now: Millis) {
        if planned.is_empty() {
            return;
        }
        let mut got: Vec<Arc<ConsumerInner>> = Vec::new();
        let (mut refused, mut done) = (Vec::new(), Vec::new());
        let mut flow = QueueFlow::default();
        for one in planned {
            let Planned { consumer, lane, at, item, deliveries } = &one;
            if !consumer.give(self.delivered((*lane, *at), item, *deliveries, now)) {
                refused.push(one);
                continue;
            }
            flow.deliver(consumer.automatic, *deliveries);
            if consumer.automatic {
                done.push((*lane, *at));
                consumer.release();
            }
            if !got.iter().rev().any(|other| other.id == consumer.id) {
                got.push(Arc::clone(consumer));
            }
        }
        got.iter().for_each(|consumer| consumer.sink.flush());
        self.counters.add(&flow);
        if refused.is_empty() && done.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        finish_runs(&mut state, &done);
        let mut released = Vec::new();
        for Planned { consumer, lane, at, item, .. } in refused {
            if !consumer.automatic && state.held.remove(&(lane, at)).is_none() {
                // Its holder, or the queue, went meanwhile, and gave it back.
                continue;
            }
            consumer.release();
            if let Some(of) = state.lane(lane) {
                of.put_back(at, item);
            }
            state.release_key(lane, at);
            if !consumer.automatic {
                released.push(consumer);
            }
        }
        drop(state);
        released.iter().for_each(|consumer| consumer.holder.release(1));
    }

    /// Reads what is next, of all lanes at once, or, `further`, what comes after what was read. Whether anything was read.
    ///
    /// Lane by lane, a consumer that leaves as soon as it has a message would not get those of the less urgent lanes that are
    /// there as well.
    pub(super) async fn read(&self, further: bool) -> Result<bool, QueueError> {
        let _one = self.reads.lock().await;
        let (mut below, most) = {
            let state = self.state.lock();
            let is_used = !state.consumers.is_empty();
            (state.lanes.len(), if is_used { READ_BYTES } else { PEEK_BYTES })
        };
        let mut is_some = false;
        loop {
            let next = self.state.lock().lacking(below);
            let Some((number, reading)) = next else { break };
            self.read_lane(number, &reading, most).await?;
            (is_some, below) = (true, number);
        }
        if is_some || !further {
            return Ok(is_some);
        }
        let next = self.state.lock().following();
        let Some((number, reading)) = next else { return Ok(false) };
        self.read_lane(number, &reading, most).await?;
        Ok(true)
    }

    async fn read_lane(
        &self,
        number: usize,
        reading: &Reading,
        bytes_max: usize,
    ) -> Result<(), QueueError> {
        let found = self.read_log(reading, bytes_max).await?;
        if found.has_deadlines() {
            self.deadline(Some(Millis::MAX), 0);
        }
        if let Some(lane) = self.state.lock().lanes.get_mut(number) {
            lane.was_read(found);
        }
        Ok(())
    }

    /// Messages of a log.
    pub(super) async fn read_log(
        &self,
        reading: &Reading,
        bytes_max: usize,
    ) -> Result<Found, QueueError> {
        let Reading { log, from, until, ttl_from } = reading;
        let (from, until) = (*from, *until);
        let bound = self.bound();
        let ttl = self.ttl().map(|ttl| (ttl, *ttl_from));
        match fetch::read(log, from, bytes_max, true, until).await {
            Ok(fetched) => Ok(Found::of(&fetched, (from, until), &bound, ttl)),
            Err(FetchError::Read(ReadError::OutOfRange { start, .. })) if start > from => {
                Ok(Found::nothing(from, start))
            }
            Err(FetchError::Read(ReadError::Damaged { to, .. })) => {
                tracing::warn!(queue = ?self.name(), from, to, "damaged messages are passed over");
                Ok(Found::nothing(from, to))
            }
            Err(error) => Err(QueueError::Unavailable(error.to_string())),
        }
    }
}

/// Who may be picked: all of one priority that have room.
#[derive(Default)]
struct Picks {
    among: Vec<Arc<ConsumerInner>>,
    from: usize,
    /// Holders that had none, by their numbers.
    full: BTreeMap<u64, Arc<HolderInner>>,
}

impl Picks {
    /// Goes on to the next lower priority; whether there is anybody.
    fn refill(&mut self, state: &State, single_active: bool) -> bool {
        let all = match single_active {
            true => state.consumers.get(..1),
            false => Some(state.consumers.as_slice()),
        };
        let all = all.unwrap_or_default();
        while let Some(first) = all.get(self.from) {
            let same = all.iter().skip(self.from).take_while(|one| one.priority == first.priority);
            let same: Vec<_> = same.collect();
            self.from += same.len();
            self.among.extend(same.into_iter().filter(|one| !one.is_blocked()).cloned());
            if !self.among.is_empty() {
                return true;
            }
        }
        false
    }
}

/// Messages are done with, runs of them at once.
fn finish_runs(state: &mut State, done: &[(u16, Offset)]) {
    let mut rest = done.iter().copied().peekable();
    while let Some((number, first)) = rest.next() {
        let mut last = first;
        while rest.next_if_eq(&(number, last + 1)).is_some() {
            last += 1;
        }
        if let Some(lane) = state.lane(number) {
            lane.finish(first, last);
        }
        if !state.keys.is_empty() {
            (first..=last).for_each(|at| state.release_key(number, at));
        }
    }
}

impl State {
    /// Whether more should be read ahead.
    fn is_short(&self) -> bool {
        if self.lanes.iter().any(|lane| lane.has_room().is_some()) {
            return self.lanes.iter().any(|lane| lane.has_room() == Some(true));
        }
        let mut ahead = self.lanes.iter().map(Lane::ahead);
        let sum = ahead.by_ref().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        sum.0 < AHEAD_MESSAGES && sum.1 < AHEAD_BYTES
    }

    /// What the most urgent of the lanes before this one lacks.
    fn lacking(&mut self, below: usize) -> Option<(usize, Reading)> {
        let lanes = self.lanes.iter_mut().enumerate().take(below).rev();
        lanes.filter_map(|(number, lane)| Some((number, lane.reading(false)?))).next()
    }

    /// What comes after what was read, of the most urgent lane that has more.
    fn following(&mut self) -> Option<(usize, Reading)> {
        let lanes = self.lanes.iter_mut().enumerate().rev();
        lanes.filter_map(|(number, lane)| Some((number, lane.reading(true)?))).next()
    }

    /// How many of the oldest messages are to go so that no more than so many bytes are there.
    fn excess_messages(&self, bytes_max: u64) -> u64 {
        let is_stored = self.lanes.iter().any(|lane| matches!(lane.kept, Kept::Log { .. }));
        if is_stored {
            let bytes = self.log_bytes();
            let each = bytes / self.ready().max(1);
            return bytes.saturating_sub(bytes_max).div_ceil(each.max(1));
        }
        let mut over = self.ahead_bytes().saturating_sub(bytes_max);
        let mut count = 0;
        for lane in &self.lanes {
            let (some, bytes) = lane.count_first(over);
            count += some;
            over = over.saturating_sub(bytes);
        }
        count
    }
}
