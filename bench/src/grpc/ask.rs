//! Somebody who asks, and somebody who answers: the same load as for the brokers that [`crate::pubsub`] compares.

use std::time::{Duration, Instant};

use door_grpc::pb;
use prost::Message as _;

use super::http2::{Heard, Http2, framed};
use super::messages::{answered, asked, to_subject};
use super::peers::Peer;
use crate::link::{Link, Poll, Timer};
use crate::meter::cpu;
use crate::pubsub::{Ask, Figures, Pace};

/// An answer that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(1);

const SUBJECT: &str = "bench.ask";

const ASKER: usize = 0;
const ANSWERER: usize = 1;

struct Run {
    links: [Link; 2],
    states: [Http2; 2],
    poll: Poll,
    scratch: Vec<u8>,
    question: Vec<u8>,
    /// When each question was due.
    due: Vec<Instant>,
    /// How long each took that is answered, in microseconds.
    took: Vec<f64>,
}

/// Asks for so long.
pub(super) fn run(ask: Ask, to: &Peer, time: Duration) -> Figures {
    let mut run = Run::new(ask.size, to);
    let own = std::process::id();
    let (before, own_before) = (cpu(to.pid), cpu(own));
    let begun = Instant::now();
    match ask.pace {
        Pace::OneByOne => run.one_by_one(begun, time),
        Pace::Rate(rate) => run.at_rate(begun, time, rate),
    }
    let elapsed = begun.elapsed().as_secs_f64();
    let used = cpu(to.pid).saturating_sub(before).as_secs_f64();
    let own_used = cpu(own).saturating_sub(own_before).as_secs_f64();
    let lost = (run.due.len() - run.took.len()) as f64;
    ask.figures(&mut run.took, elapsed, [used, own_used], [lost, 0.0])
}

impl Run {
    fn new(size: usize, to: &Peer) -> Self {
        let mut scratch = Vec::new();
        let (mut link, mut state) = Http2::connect(&to.address);
        state.open(&mut link, "Requests/Serve");
        let open = pb::ServeOpen {
            filters: vec![SUBJECT.to_owned()],
            credit: u32::MAX,
            ..pb::ServeOpen::default()
        };
        state.body().extend_from_slice(&say(pb::serve_request::Request::Open(open)));
        state.write(&mut link);
        let mut is_open = false;
        while !is_open {
            state.read(&mut link, &mut scratch, |_| is_open = true);
            assert!(!link.is_closed(), "{} closes the connection", to.name);
        }
        let (asker, asking) = Http2::connect(&to.address);
        let payload = Some(vec![b'x'; size].into());
        let message = Some(pb::Message { payload, ..to_subject(SUBJECT) });
        let links = [asker, link];
        Self {
            poll: Poll::new(&links),
            links,
            states: [asking, state],
            scratch,
            question: pb::RequestRequest { message }.encode_to_vec(),
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
        self.due.push(due);
        let link = &mut self.links[ASKER];
        self.states[ASKER].ask(link, "Requests/Request", &self.question);
        link.write();
    }

    /// Waits so long at most for something to come, and answers it; whether the timer ticked.
    fn hear(&mut self, longest: Duration) -> bool {
        let ticked = self.poll.wait(&mut self.links, longest);
        if self.links[ANSWERER].is_readable() {
            let mut answers = Vec::new();
            self.states[ANSWERER].read(&mut self.links[ANSWERER], &mut self.scratch, |heard| {
                let Heard::Message(_, told) = heard else { panic!("nobody asks any more") };
                answers.extend(asked(told).map(|(id, payload)| answer(id, payload)));
            });
            answers.iter().for_each(|answer| {
                self.states[ANSWERER].body().extend_from_slice(answer);
            });
        }
        if self.links[ASKER].is_readable() {
            let (due, took) = (&self.due, &mut self.took);
            self.states[ASKER].read(&mut self.links[ASKER], &mut self.scratch, |heard| {
                // Without a message it was refused, and counts as lost.
                let Heard::Message(stream, told) = heard else { return };
                assert!(!answered(told).is_empty(), "what was asked is answered");
                let asked = due[(stream / 2) as usize];
                took.push(asked.elapsed().as_secs_f64() * 1e6);
            });
        }
        for side in [ANSWERER, ASKER] {
            self.states[side].write(&mut self.links[side]);
            assert!(!self.links[side].is_closed(), "the broker has closed a connection");
        }
        ticked
    }
}

fn say(request: pb::serve_request::Request) -> Vec<u8> {
    framed(&pb::ServeRequest { request: Some(request) }.encode_to_vec())
}

fn answer(id: u64, payload: &[u8]) -> Vec<u8> {
    let payload = Some(payload.to_vec().into());
    let message = pb::Message { payload, ..pb::Message::default() };
    let answer = Some(pb::answer::Answer::Message(message));
    say(pb::serve_request::Request::Answer(pb::Answer { id, answer, more: false }))
}
