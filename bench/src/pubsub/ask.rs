//! Somebody who asks, and somebody who answers.

use std::time::{Duration, Instant};

use super::flow::{Figures, Tally};
use super::peers::Peer;
use super::wire::{Template, Wire};
use crate::link::{Link, Poll, Timer};
use crate::meter::cpu;

/// An answer that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// When questions are asked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// When the one before is answered.
    OneByOne,
    /// So many a second, whatever becomes of them: one that was late in being asked has waited from when it was due.
    Rate(u32),
}

/// The load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    /// Bytes of a payload.
    pub(crate) size: usize,
    pub(crate) pace: Pace,
}

const ASKER: usize = 0;
const ANSWERER: usize = 1;

struct Run {
    wire: Wire,
    links: [Link; 2],
    tallies: [Tally; 2],
    poll: Poll,
    scratch: Vec<u8>,
    question: Template,
    answer: Template,
    /// What each of the two gets.
    heard: [Template; 2],
    /// When each question was due.
    due: Vec<Instant>,
    /// How long each took that is answered, in microseconds.
    took: Vec<f64>,
}

impl Ask {
    /// Asks for so long.
    pub(crate) fn run(self, wire: Wire, to: &Peer, time: Duration) -> Figures {
        let mut run = Run::new(wire, self.size, to);
        let own = std::process::id();
        let (before, own_before) = (cpu(to.pid), cpu(own));
        let begun = Instant::now();
        match self.pace {
            Pace::OneByOne => run.one_by_one(begun, time),
            Pace::Rate(rate) => run.at_rate(begun, time, rate),
        }
        let elapsed = begun.elapsed().as_secs_f64();
        let used = cpu(to.pid).saturating_sub(before).as_secs_f64();
        let own_used = cpu(own).saturating_sub(own_before).as_secs_f64();
        let lost = (run.due.len() - run.took.len()) as f64;
        let misordered = run.tallies.iter().map(|tally| tally.misordered as f64).sum();
        self.figures(&mut run.took, elapsed, [used, own_used], [lost, misordered])
    }

    /// Of what each question took, in microseconds; how long all took, what broker and generator used, in seconds; and how many
    /// were lost, and misordered.
    pub(crate) fn figures(
        self,
        took: &mut [f64],
        elapsed: f64,
        [used, own_used]: [f64; 2],
        [lost, misordered]: [f64; 2],
    ) -> Figures {
        let answered = took.len();
        assert!(answered > 0, "nothing is answered");
        took.sort_by(f64::total_cmp);
        let at = |part: f64| took[((answered as f64 * part) as usize).min(answered - 1)];
        let mut figures = vec![("p50_us", at(0.5)), ("p99_us", at(0.99))];
        if matches!(self.pace, Pace::OneByOne) {
            figures.push(("requests_per_s", answered as f64 / elapsed));
        }
        figures.extend([
            ("cpu_us_per_request", used * 1e6 / answered as f64),
            ("generator_share", own_used / used.max(f64::MIN_POSITIVE)),
            ("lost", lost),
            ("misordered", misordered),
        ]);
        figures
    }
}

impl Run {
    fn new(wire: Wire, size: usize, to: &Peer) -> Self {
        let topic = wire.topic(&["bench", "ask"]);
        let inbox = wire.topic(&["_INBOX", "bench", "1"]);
        let mut links = [ASKER, ANSWERER].map(|number| wire.connect(&to.address, number));
        wire.listen(&mut links[ASKER], &inbox);
        wire.listen(&mut links[ANSWERER], &topic);
        let poll = Poll::new(&links);
        let heard = [wire.delivery(&inbox, None, size), wire.delivery(&topic, Some(&inbox), size)];
        Self {
            wire,
            links,
            tallies: Default::default(),
            poll,
            scratch: Vec::new(),
            question: wire.publish(&topic, Some(&inbox), size),
            answer: wire.publish(&inbox, None, size),
            heard,
            due: Vec::new(),
            took: Vec::new(),
        }
    }

    fn one_by_one(&mut self, begun: Instant, time: Duration) {
        while begun.elapsed() < time {
            self.ask(Instant::now());
            let asked = self.due.len();
            while self.took.len() < asked {
                self.hear(PATIENCE);
                if self.due.last().is_some_and(|due| due.elapsed() > PATIENCE) {
                    return;
                }
            }
        }
    }

    fn at_rate(&mut self, begun: Instant, time: Duration, rate: u32) {
        let every = Duration::from_secs(1) / rate;
        let timer = Timer::every(every);
        self.poll.and(&timer);
        let mut next = begun;
        loop {
            let now = Instant::now();
            while next <= now && next < begun + time {
                self.ask(next);
                next += every;
            }
            let is_over = next >= begun + time;
            if is_over && (self.took.len() == self.due.len() || now > next + PATIENCE) {
                return;
            }
            if self.hear(Duration::from_millis(50)) {
                timer.take();
            }
        }
    }

    fn ask(&mut self, due: Instant) {
        let number = self.due.len() as u64;
        self.due.push(due);
        self.question.stamp(number, self.links[ASKER].out());
        self.links[ASKER].write();
    }

    /// Waits so long at most for something to come, and answers it; whether the timer ticked.
    fn hear(&mut self, longest: Duration) -> bool {
        let ticked = self.poll.wait(&mut self.links, longest);
        for side in [ANSWERER, ASKER] {
            if !self.links[side].is_readable() {
                continue;
            }
            let tally = &mut self.tallies[side];
            let before = tally.next;
            let (wire, heard) = (self.wire, &self.heard[side]);
            self.links[side]
                .read(&mut self.scratch, |input, out| wire.hear(heard, input, out, tally));
            let now = Instant::now();
            for number in before..tally.next {
                if side == ANSWERER {
                    self.answer.stamp(number, self.links[ANSWERER].out());
                } else if let Some(due) = usize::try_from(number).ok().and_then(|n| self.due.get(n))
                {
                    self.took.push(now.duration_since(*due).as_secs_f64() * 1e6);
                }
            }
            assert!(!self.links[side].is_closed(), "the broker has closed a connection");
        }
        self.links[ANSWERER].write();
        self.links[ASKER].write();
        ticked
    }
}
