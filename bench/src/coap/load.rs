//! Clients that ask as fast as they are answered, all in one thread.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use super::client::{Client, Tally};
use super::peers::Peer;
use super::wire::{Method, Template};
use crate::meter::cpu;

/// The longest wait: then it is looked at what is to be sent again.
const TICK: Duration = Duration::from_millis(200);
/// An answer that takes longer will not come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Figures of one run, by name.
pub(super) type Figures = Vec<(&'static str, f64)>;

/// The load: each client has a path of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) method: Method,
    /// Bytes of a value.
    pub(super) size: usize,
    pub(super) clients: usize,
    /// Requests of each client that are on their way.
    pub(super) window: usize,
}

struct Run {
    clients: Vec<Client>,
    epoll: OwnedFd,
    events: Vec<Event>,
    tally: Tally,
}

impl Load {
    /// Asks for so long, and waits for the last answer.
    pub(super) fn run(self, to: &Peer, time: Duration) -> Figures {
        let mut run = Run::new(self, to);
        let own = std::process::id();
        let (before, own_before) = (cpu(to.pid), cpu(own));
        let begun = Instant::now();
        let rate = run.go(Some(time), self.window);
        let used = cpu(to.pid).saturating_sub(before).as_secs_f64();
        let own_used = cpu(own).saturating_sub(own_before).as_secs_f64();
        let answers = run.tally.took.len();
        assert!(answers > 0, "{} answers nothing in {:?}", to.name, begun.elapsed());
        run.tally.took.sort_by(f64::total_cmp);
        let at = |part: f64| run.tally.took[((answers as f64 * part) as usize).min(answers - 1)];
        vec![
            ("requests_per_s", rate),
            ("p50_us", at(0.5)),
            ("p99_us", at(0.99)),
            ("cpu_us_per_request", used * 1e6 / answers as f64),
            ("generator_share", own_used / used.max(f64::MIN_POSITIVE)),
            ("lost", run.tally.lost as f64),
            ("refused", run.tally.refused as f64),
            ("duplicate", run.tally.duplicate as f64),
        ]
    }
}

impl Run {
    /// With a value at every path, and clients of whom the server knows where they are.
    fn new(load: Load, to: &Peer) -> Self {
        let epoll = epoll::create(CreateFlags::CLOEXEC).expect("a descriptor");
        let paths: Vec<String> = (0..load.clients).map(|number| number.to_string()).collect();
        let template = |method, path: &str| Template::new(method, &["bench", path], load.size);
        let mut clients = Vec::new();
        for (number, path) in (0..).zip(&paths) {
            let client = Client::new(to.port, template(Method::Put, path), Some(0));
            let data = EventData::new_u64(number);
            epoll::add(&epoll, &client.socket, data, EventFlags::IN).expect("added");
            clients.push(client);
        }
        let events = Vec::with_capacity(1024);
        let mut run = Self { clients, epoll, events, tally: Tally::default() };
        run.go(None, 1);
        if load.method == Method::Get {
            for (client, path) in run.clients.iter_mut().zip(&paths) {
                client.ask(template(Method::Get, path), Some(load.size));
            }
            run.go(None, 1);
        }
        let Tally { refused, .. } = std::mem::take(&mut run.tally);
        assert_eq!(refused, 0, "{} refuses {}", to.name, load.method.name());
        run
    }

    /// Has every client ask for so long, or once, and waits for the last answer. Returns how many came each second: of a time,
    /// until it was over, for who waits for what was lost would else count as slow for as long.
    fn go(&mut self, time: Option<Duration>, window: usize) -> f64 {
        let begun = Instant::now();
        self.clients.iter_mut().for_each(|client| client.fill(window));
        let (mut looked, mut last, mut rate) = (begun, begun, None);
        while self.clients.iter().any(|client| client.open() > 0) {
            self.wait();
            let is_open = time.is_some_and(|time| begun.elapsed() < time);
            let mut events = std::mem::take(&mut self.events);
            for event in events.drain(..) {
                let number = usize::try_from(event.data.u64()).expect("a number of a client");
                let client = &mut self.clients[number];
                client.hear(&mut self.tally);
                if is_open {
                    client.fill(window);
                }
                last = Instant::now();
            }
            self.events = events;
            let now = Instant::now();
            let per_s = self.tally.took.len() as f64 / now.duration_since(begun).as_secs_f64();
            if !is_open {
                rate.get_or_insert(per_s);
            }
            if now.duration_since(looked) >= TICK {
                looked = now;
                self.clients.iter_mut().for_each(|client| client.again(now, &mut self.tally));
            }
            assert!(now.duration_since(last) < PATIENCE, "no answer for {PATIENCE:?}");
        }
        rate.unwrap_or_default()
    }

    fn wait(&mut self) {
        let longest = Timespec::try_from(TICK).expect("a short time");
        let buffer = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, buffer, Some(&longest)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("cannot wait: {error}"),
        }
    }
}
