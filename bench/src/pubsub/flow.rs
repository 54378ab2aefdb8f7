//! One publisher, as fast as it goes, and those who get its messages.

use std::time::{Duration, Instant};

use super::peers::Peer;
use super::wire::{Template, Wire};
use crate::link::{Link, Poll};
use crate::meter::cpu;

/// Bytes that are written at a time.
const PIECE: usize = 64 * 1024;

/// With nothing coming for so long after the end, what is missing is lost.
const PATIENCE: Duration = Duration::from_secs(2);

/// The load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flow {
    /// Bytes of a payload.
    pub(crate) size: usize,
    /// Subscribers.
    pub(crate) to: usize,
    /// Messages that the slowest subscriber may be behind. None: as many as sockets and broker take.
    pub(crate) window: Option<u64>,
    /// Messages that are not acknowledged yet, where they are to be.
    pub(crate) in_flight: u64,
}

/// What came on a connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) messages: u64,
    /// The number after the highest that came.
    pub(crate) next: u64,
    /// Messages that came after one that was published later.
    pub(crate) misordered: u64,
    pub(crate) acknowledged: u64,
    pub(crate) pongs: u64,
}

impl Tally {
    pub(crate) fn message(&mut self, number: u64) {
        self.messages += 1;
        if number >= self.next {
            self.next = number + 1;
        } else {
            self.misordered += 1;
        }
    }
}

/// Figures of one run, by name.
pub(crate) type Figures = Vec<(&'static str, f64)>;

/// A run under way. The publisher is the first connection, subscribers are the others.
struct Run {
    wire: Wire,
    flow: Flow,
    links: Vec<Link>,
    tallies: Vec<Tally>,
    poll: Poll,
    publish: Template,
    delivery: Template,
    published: u64,
    pings: u64,
}

impl Flow {
    /// Publishes for so long, and waits until all has come.
    pub(crate) fn run(self, wire: Wire, to: &Peer, time: Duration) -> Figures {
        let mut run = Run::new(wire, self, to);
        let own = std::process::id();
        let (before, own_before) = (cpu(to.pid), cpu(own));
        let begun = Instant::now();
        let took = run.go(begun, time).as_secs_f64();
        let used = cpu(to.pid).saturating_sub(before).as_secs_f64();
        let own_used = cpu(own).saturating_sub(own_before).as_secs_f64();
        let wanted = run.published * self.to as u64;
        let got: u64 = run.tallies[1..].iter().map(|tally| tally.messages).sum();
        let misordered: u64 = run.tallies[1..].iter().map(|tally| tally.misordered).sum();
        let messages = if self.to == 0 { run.published } else { got } as f64;
        vec![
            ("messages_per_s", messages / took),
            ("cpu_us_per_message", used * 1e6 / messages),
            ("generator_share", own_used / used.max(f64::MIN_POSITIVE)),
            ("lost", wanted.saturating_sub(got) as f64),
            ("misordered", misordered as f64),
        ]
    }
}

impl Run {
    fn new(wire: Wire, flow: Flow, to: &Peer) -> Self {
        let topic = wire.topic(&["bench", "load"]);
        let mut links = vec![wire.connect(&to.address, 0)];
        for number in 1..=flow.to {
            let mut link = wire.connect(&to.address, number);
            wire.listen(&mut link, &topic);
            links.push(link);
        }
        let poll = Poll::new(&links);
        let (publish, delivery) =
            (wire.publish(&topic, None, flow.size), wire.delivery(&topic, None, flow.size));
        let tallies = vec![Tally::default(); links.len()];
        Self { wire, flow, links, tallies, poll, publish, delivery, published: 0, pings: 0 }
    }

    /// Returns how long it took until the last message, or acknowledgement, came.
    fn go(&mut self, begun: Instant, time: Duration) -> Duration {
        let mut scratch = Vec::new();
        let mut last = begun;
        loop {
            let now = Instant::now();
            let is_open = now.duration_since(begun) < time;
            self.publish(is_open);
            let mut has_read = false;
            for (link, tally) in self.links.iter_mut().zip(&mut self.tallies) {
                if link.is_readable() {
                    let (wire, delivery) = (self.wire, &self.delivery);
                    link.read(&mut scratch, |input, out| wire.hear(delivery, input, out, tally));
                    has_read = true;
                }
                link.write();
            }
            if has_read {
                last = Instant::now();
            }
            let is_closed = self.links.iter().all(Link::is_closed);
            if is_closed || (!is_open && self.is_done()) {
                return last.duration_since(begun);
            }
            if now.duration_since(last.max(begun + time)) > PATIENCE {
                return last.max(begun + time).duration_since(begun);
            }
            let is_busy = self.links.iter().any(Link::is_busy) || (is_open && self.allowance() > 0);
            let longest = if is_busy { Duration::ZERO } else { Duration::from_millis(50) };
            self.poll.wait(&mut self.links, longest);
        }
    }

    /// How many messages may be published now.
    fn allowance(&self) -> u64 {
        if !self.links[0].is_flushed() {
            return 0;
        }
        let mut allowed = (PIECE / self.publish.bytes.len()).max(1) as u64;
        if let Some(window) = self.flow.window {
            let slowest = self.tallies[1..].iter().map(|tally| tally.next).min();
            let behind = self.published - slowest.unwrap_or(self.published);
            allowed = allowed.min(window.saturating_sub(behind));
        }
        if let Wire::Mqtt(1..) = self.wire {
            let open = self.published - self.tallies[0].acknowledged;
            allowed = allowed.min(self.flow.in_flight.saturating_sub(open));
        }
        allowed
    }

    fn publish(&mut self, is_open: bool) {
        let out = if is_open { self.allowance() } else { 0 };
        let link = &mut self.links[0];
        for number in self.published..self.published + out {
            self.publish.stamp(number, link.out());
        }
        self.published += out;
        if !is_open && self.pings == 0 {
            // Its answer says that all before it was read.
            link.out().extend_from_slice(self.wire.ping());
            self.pings = 1;
        }
        link.write();
    }

    fn is_done(&self) -> bool {
        let of_publisher = &self.tallies[0];
        let is_acknowledged = match self.wire {
            Wire::Mqtt(1..) => of_publisher.acknowledged == self.published,
            _ => true,
        };
        let has_all = |tally: &Tally| tally.messages >= self.published;
        is_acknowledged && of_publisher.pongs == self.pings && self.tallies[1..].iter().all(has_all)
    }
}
