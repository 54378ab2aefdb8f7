//! One publisher and one consumer on some queues, as fast as it goes, for a time or for a number of messages.

use std::time::{Duration, Instant};

use super::peers::Peer;
use super::tally::{Confirms, Inbox};
use super::wire::{self, Kind, Template};
use crate::link::{Link, Poll, Timer};
use crate::meter::cpu;

/// Bytes that are written at a time.
const PIECE: usize = 64 * 1024;

/// With nothing coming for so long, what is missing is lost. A broker may take its time with a long queue.
const PATIENCE: Duration = Duration::from_secs(30);

/// Figures of one run, by name.
pub(super) type Figures = Vec<(&'static str, f64)>;

/// Queues that are declared alike.
#[derive(Debug, Clone, Copy)]
pub(super) struct Queues {
    pub(super) kind: Kind,
    pub(super) count: usize,
    /// Bytes of a payload.
    pub(super) size: usize,
}

impl Queues {
    fn names(self, prefix: &str) -> impl Iterator<Item = String> {
        (0..self.count as u64).map(move |queue| wire::name(prefix, queue))
    }

    /// Declares them.
    pub(super) fn declare(self, prefix: &str, on: &Peer) {
        let (mut link, _) = wire::connect(&on.address);
        self.names(prefix).for_each(|name| wire::declare(&mut link, &name, self.kind));
    }

    /// Deletes them, and what is in them.
    pub(super) fn delete(self, prefix: &str, on: &Peer) {
        let (mut link, _) = wire::connect(&on.address);
        self.names(prefix).for_each(|name| wire::delete(&mut link, &name));
    }
}

/// For how long something is published.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    Time(Duration),
    Messages(u64),
}

/// A load under way. The publisher is the first connection, the consumer the second, if there is one.
pub(super) struct Load {
    links: Vec<Link>,
    poll: Poll,
    scratch: Vec<u8>,
    template: Template,
    queues: u64,
    pub(super) confirms: Confirms,
    pub(super) inbox: Inbox,
    /// Messages that this publisher has sent.
    pub(super) published: u64,
    /// Messages that were in the queues before.
    before: u64,
    asked: u64,
    timer: Option<Timer>,
}

const PUBLISHER: usize = 0;
const CONSUMER: usize = 1;

/// What a load used, from its beginning.
pub(super) struct Used {
    pid: u32,
    broker: Duration,
    own: Duration,
}

impl Used {
    pub(super) fn new(by: &Peer) -> Self {
        Self { pid: by.pid, broker: cpu(by.pid), own: cpu(std::process::id()) }
    }

    /// The broker's processor time for each of so many messages, in microseconds, and ours beside it.
    pub(super) fn figures(&self, messages: u64) -> Figures {
        let broker = cpu(self.pid).saturating_sub(self.broker).as_secs_f64();
        let own = cpu(std::process::id()).saturating_sub(self.own).as_secs_f64();
        vec![
            ("cpu_us_per_message", broker * 1e6 / messages.max(1) as f64),
            ("generator_share", own / broker.max(f64::MIN_POSITIVE)),
        ]
    }
}

impl Load {
    /// On queues that are there and have so many messages of this generator in them; consumers have so many at most
    /// that are not acknowledged.
    pub(super) fn new(
        queues: Queues,
        prefix: &str,
        on: &Peer,
        prefetch: Option<u16>,
        before: u64,
    ) -> Self {
        let (mut publisher, _) = wire::connect(&on.address);
        wire::confirm(&mut publisher);
        let mut links = vec![publisher];
        if let Some(prefetch) = prefetch {
            let (mut consumer, _) = wire::connect(&on.address);
            consumer.say(&wire::prefetch(prefetch));
            wire::prefetched(&mut consumer);
            // Messages may come from now on: there is no answer to wait for.
            queues.names(prefix).for_each(|name| consumer.say(&wire::consume(&name)));
            links.push(consumer);
        }
        Self {
            poll: Poll::new(&links),
            links,
            scratch: Vec::new(),
            template: Template::new(prefix, queues.size),
            queues: queues.count as u64,
            confirms: Confirms::default(),
            inbox: Inbox::new(queues.size, queues.count),
            published: 0,
            before,
            asked: 0,
            timer: None,
        }
    }

    /// Publishes with so many messages on their way at most, and returns how long it took until the last was confirmed
    /// and, if there is a consumer, had come and was acknowledged.
    pub(super) fn go(&mut self, until: Until, window: u64) -> Duration {
        let (begun, first) = (Instant::now(), self.published);
        let mut last = begun;
        loop {
            let now = Instant::now();
            let left = match until {
                Until::Time(time) if now.duration_since(begun) < time => u64::MAX,
                Until::Time(_) => 0,
                Until::Messages(count) => count - (self.published - first),
            };
            let allowed = left.min(self.allowance(window));
            self.publish(allowed, now);
            let left = left - allowed;
            if left == 0 && self.has_all() {
                self.ask();
                if self.inbox.synced >= self.asked {
                    return last.duration_since(begun);
                }
            }
            if self.turn(left.min(self.allowance(window)) > 0, Duration::from_millis(50)) {
                last = Instant::now();
            }
            let is_closed = self.links.iter().any(Link::is_closed);
            if is_closed || last.elapsed() > PATIENCE {
                return last.duration_since(begun);
            }
        }
    }

    /// How many messages may be published now.
    fn allowance(&self, window: u64) -> u64 {
        if !self.links[PUBLISHER].is_flushed() {
            return 0;
        }
        let unconfirmed = self.confirms.open(self.published);
        // What was there before is not waited for.
        let consumed = self.inbox.messages.saturating_sub(self.before);
        let unseen = if self.consumes() { self.published.saturating_sub(consumed) } else { 0 };
        let piece = (PIECE / self.template.bytes.len()).max(1) as u64;
        piece.min(window.saturating_sub(unconfirmed.max(unseen)))
    }

    fn consumes(&self) -> bool {
        self.links.len() > CONSUMER
    }

    /// Publishes so many messages, each to the next queue.
    pub(super) fn publish(&mut self, count: u64, now: Instant) {
        let link = &mut self.links[PUBLISHER];
        for number in self.published..self.published + count {
            let number = self.before + number;
            self.template.stamp(number, number % self.queues, link.out());
        }
        self.published += count;
        self.confirms.sent(count, now);
        link.write();
    }

    /// Waits so long at most, but not at all if more is to be done at once, and takes in what came; whether something did.
    pub(super) fn turn(&mut self, is_busy: bool, longest: Duration) -> bool {
        let is_busy = is_busy || self.links.iter().any(Link::is_busy);
        let longest = if is_busy { Duration::ZERO } else { longest };
        if self.poll.wait(&mut self.links, longest)
            && let Some(timer) = &self.timer
        {
            timer.take();
        }
        let mut has_read = false;
        for (number, link) in self.links.iter_mut().enumerate() {
            if link.is_readable() {
                let (confirms, inbox) = (&mut self.confirms, &mut self.inbox);
                link.read(&mut self.scratch, |input, out| match number {
                    PUBLISHER => confirms.hear(input),
                    _ => inbox.hear(input, out),
                });
                has_read = true;
            }
            link.write();
        }
        has_read
    }

    /// Also wakes when a timer ticks.
    pub(super) fn wake_by(&mut self, timer: Timer) {
        self.poll.and(&timer);
        self.timer = Some(timer);
    }

    /// All was confirmed, and all has come.
    pub(super) fn has_all(&self) -> bool {
        let has_come = self.inbox.messages >= self.before + self.published;
        self.confirms.open(self.published) == 0 && (!self.consumes() || has_come)
    }

    /// Asks once whether all acknowledgements were read.
    fn ask(&mut self) {
        if self.consumes() && self.asked == 0 {
            self.asked = 1;
            let link = &mut self.links[CONSUMER];
            link.out().extend_from_slice(&wire::prefetch(0));
            link.write();
        }
    }

    /// What went wrong.
    pub(super) fn faults(&self) -> Figures {
        let (confirms, inbox) = (&self.confirms, &self.inbox);
        let missing = match self.consumes() {
            true => (self.before + self.published).saturating_sub(inbox.messages),
            false => confirms.open(self.published),
        };
        vec![
            ("lost", missing as f64),
            ("refused", confirms.refused as f64),
            ("duplicate", inbox.duplicates as f64),
            ("misordered", inbox.misordered as f64),
        ]
    }
}

/// The value that this part of the values does not exceed. They are put in order.
pub(super) fn quantile<T: Copy + PartialOrd>(values: &mut [T], part: f64) -> T {
    values.sort_unstable_by(|a, b| a.partial_cmp(b).expect("numbers"));
    values[((values.len() as f64 * part) as usize).min(values.len() - 1)]
}
