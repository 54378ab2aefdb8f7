//! Messages as fast as they go: published, published and delivered, or read from what a topic keeps.

use std::time::{Duration, Instant};

use door_grpc::pb;

use super::http2::{Heard, Http2};
use super::messages::{Template, decided, number, open, payloads, to_subject, to_topic};
use super::peers::Peer;
use crate::link::{Link, Poll};
use crate::meter::cpu;
use crate::pubsub::{Figures, Tally};

/// What is published where nothing is kept.
pub(super) const SUBJECT: &str = "bench.load";
/// Where it is kept.
const TOPIC: &str = "load";

/// Bytes that are written at a time.
const PIECE: usize = 64 * 1024;

/// What is on its way at most: in messages, and in bytes of payloads.
const WINDOW: u64 = 20_000;
const WINDOW_BYTES: u64 = 8 * 1024 * 1024;

/// With nothing coming for so long after the end, what is missing is lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// Long enough to fill a topic.
const FILL: Duration = Duration::from_secs(120);
/// Messages of a request then.
const FILL_BATCH: usize = 1000;

/// Where published messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    /// Into a topic, which stores them.
    Topic,
    /// Nowhere: nobody listens, and nothing keeps them.
    Nobody,
    /// To a subscriber.
    Subscriber,
}

/// Messages that are published.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    /// Bytes of a payload.
    pub(super) size: usize,
    /// Messages of a request.
    pub(super) batch: usize,
    pub(super) to: To,
}

impl Flow {
    /// Publishes for so long, and waits until all is answered, and has come.
    pub(super) fn run(self, to: &Peer, time: Duration) -> Figures {
        let keeps = self.to == To::Topic;
        if keeps {
            to.topic("create", TOPIC);
        }
        let message = if keeps { to_topic(TOPIC) } else { to_subject(SUBJECT) };
        let live = pb::Live { filters: vec![SUBJECT.to_owned()], ..pb::Live::default() };
        let from = (self.to == To::Subscriber).then_some(pb::open::From::Live(live));
        let template = Template::new(message, self.size, self.batch);
        let mut run = Run::new(Some(template), from, to);
        run.window = WINDOW.min(WINDOW_BYTES / self.size as u64);
        let figures = run.measure(to, time);
        if keeps {
            // Its files would be in the way of what comes next.
            to.topic("delete", TOPIC);
        }
        figures
    }
}

/// Messages that a topic has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) count: u64,
    /// Bytes of a payload.
    pub(super) size: usize,
}

impl Read {
    /// The topic's name, which says it all to a server that has to make them up.
    pub(super) fn topic(self) -> String {
        format!("read-{}-{}", self.count, self.size)
    }

    pub(super) fn named(topic: &str) -> Option<Self> {
        let (count, size) = topic.strip_prefix("read-")?.split_once('-')?;
        Some(Self { count: count.parse().ok()?, size: size.parse().ok()? })
    }

    /// Fills the topic.
    pub(super) fn prepare(self, on: &Peer) {
        if !on.keeps() {
            return;
        }
        let topic = self.topic();
        on.topic("create", &topic);
        let template = Template::new(to_topic(&topic), self.size, FILL_BATCH);
        let mut run = Run::new(Some(template), None, on);
        (run.window, run.limit) = (WINDOW.min(WINDOW_BYTES / self.size as u64), self.count);
        run.go(Instant::now(), FILL);
        assert_eq!(run.decided, self.count, "{topic} is full");
    }

    /// Empties it.
    pub(super) fn end(self, on: &Peer) {
        on.topic("delete", &self.topic());
    }

    /// Reads all of it.
    pub(super) fn run(self, from: &Peer) -> Figures {
        let earliest = pb::Start { at: Some(pb::start::At::Earliest(true)) };
        let offsets =
            pb::Offsets { topics: vec![self.topic()], start: Some(earliest), ..Default::default() };
        let mut run = Run::new(None, Some(pb::open::From::Offsets(offsets)), from);
        run.wanted = self.count;
        run.measure(from, Duration::ZERO)
    }
}

/// A run under way. The publisher is the first connection, if there is one.
struct Run {
    links: Vec<Link>,
    states: Vec<Http2>,
    poll: Poll,
    scratch: Vec<u8>,
    publish: Option<Template>,
    has_subscriber: bool,
    /// Messages that may be on their way.
    window: u64,
    /// Messages that are published at most.
    limit: u64,
    published: u64,
    decided: u64,
    /// Messages that a subscriber waits for, published or not.
    wanted: u64,
    tally: Tally,
}

impl Run {
    fn new(publish: Option<Template>, from: Option<pb::open::From>, to: &Peer) -> Self {
        let (mut links, mut states, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
        let (mut tally, has_subscriber) = (Tally::default(), from.is_some());
        if publish.is_some() {
            let (mut link, mut state) = Http2::connect(&to.address);
            state.open(&mut link, "Publisher/PublishStream");
            links.push(link);
            states.push(state);
        }
        if let Some(from) = from {
            let (mut link, mut state) = Http2::connect(&to.address);
            state.open(&mut link, "Subscriber/Subscribe");
            state.body().extend_from_slice(&open(from));
            state.write(&mut link);
            // It is blocking as yet.
            let mut is_open = false;
            while !is_open {
                state.read(&mut link, &mut scratch, |heard| {
                    is_open = true;
                    hear(heard, &mut tally);
                });
                assert!(!link.is_closed(), "{} closes the connection", to.name);
            }
            links.push(link);
            states.push(state);
        }
        let poll = Poll::new(&links);
        Self {
            links,
            states,
            poll,
            scratch,
            publish,
            has_subscriber,
            window: 0,
            limit: u64::MAX,
            published: 0,
            decided: 0,
            wanted: 0,
            tally,
        }
    }

    fn measure(&mut self, to: &Peer, time: Duration) -> Figures {
        let own = std::process::id();
        let (before, own_before) = (cpu(to.pid), cpu(own));
        let took = self.go(Instant::now(), time).as_secs_f64();
        let used = cpu(to.pid).saturating_sub(before).as_secs_f64();
        let own_used = cpu(own).saturating_sub(own_before).as_secs_f64();
        let messages = if self.has_subscriber { self.tally.messages } else { self.decided } as f64;
        assert!(messages > 0.0, "{} does nothing", to.name);
        let missing = self.published - self.decided + self.missing();
        vec![
            ("messages_per_s", messages / took),
            ("cpu_us_per_message", used * 1e6 / messages),
            ("generator_share", own_used / used.max(f64::MIN_POSITIVE)),
            ("lost", missing as f64),
            ("misordered", self.tally.misordered as f64),
        ]
    }

    /// Messages that the subscriber, if there is one, does not have yet.
    fn missing(&self) -> u64 {
        match self.has_subscriber {
            true => self.wanted.max(self.published).saturating_sub(self.tally.messages),
            false => 0,
        }
    }

    /// Returns how long it took until the last message, or answer, came.
    fn go(&mut self, begun: Instant, time: Duration) -> Duration {
        let mut last = begun;
        loop {
            let now = Instant::now();
            let is_open = now.duration_since(begun) < time && self.published < self.limit;
            if is_open {
                self.publish();
            }
            let has_read = self.read();
            if has_read {
                last = Instant::now();
            }
            let is_done = self.decided == self.published && self.missing() == 0;
            if self.links.iter().any(Link::is_closed) || (!is_open && is_done) {
                return last.duration_since(begun);
            }
            if now.duration_since(last.max(begun + time.min(PATIENCE))) > PATIENCE {
                return last.duration_since(begun);
            }
            let is_busy = self.links.iter().any(Link::is_busy) || (is_open && self.may_publish());
            let longest = if is_busy { Duration::ZERO } else { Duration::from_millis(50) };
            self.poll.wait(&mut self.links, longest);
        }
    }

    fn may_publish(&self) -> bool {
        let Some(template) = &self.publish else { return false };
        // Who listens may be no further behind than who publishes.
        let behind = (self.published - self.decided).max(self.missing());
        self.states[0].is_sent() && behind + template.count <= self.window.max(template.count)
    }

    fn publish(&mut self) {
        while self.may_publish() {
            let Some(template) = &self.publish else { return };
            let body = self.states[0].body();
            let (piece, behind) = (body.len(), self.published - self.decided);
            let mut room = self.window.saturating_sub(behind).max(template.count);
            while body.len() - piece < PIECE
                && room >= template.count
                && self.published < self.limit
            {
                template.stamp(self.published, body);
                self.published += template.count;
                room -= template.count;
            }
            self.states[0].write(&mut self.links[0]);
            if self.published >= self.limit {
                return;
            }
        }
    }

    /// Whether something came.
    fn read(&mut self) -> bool {
        let (mut has_read, is_publisher) = (false, self.publish.is_some());
        for (at, (link, state)) in self.links.iter_mut().zip(&mut self.states).enumerate() {
            if link.is_readable() {
                has_read = true;
                state.read(link, &mut self.scratch, |heard| match (heard, at) {
                    (Heard::Message(_, answer), 0) if is_publisher => {
                        self.decided = decided(answer);
                    }
                    (heard, _) => hear(heard, &mut self.tally),
                });
            }
            state.write(link);
        }
        has_read
    }
}

fn hear(heard: Heard<'_>, tally: &mut Tally) {
    match heard {
        Heard::Message(_, told) => {
            for payload in payloads(told).into_iter().flatten() {
                tally.message(number(payload));
            }
        }
        Heard::End(_) => panic!("the server ends the stream"),
    }
}
