//! Its listeners, their clients, and what these ask.

use observe::state::{Node, NodeId, NodeKind};
use observe::{EventKind, Said, families, kinds};

use crate::broker::Second;
use crate::dice::Dice;

/// Clients that come again because their program was started anew.
#[derive(Debug, Default)]
struct Wave {
    until: u64,
    /// A second.
    rate: f64,
}

/// A kind of requests.
#[derive(Debug)]
struct Requests {
    name: &'static str,
    /// A second.
    rate: f64,
    /// The part of them that fails, usually.
    errors: f64,
    /// It stores something.
    writes: bool,
}

/// One of the listeners, with the clients of its door.
#[derive(Debug)]
pub(crate) struct Listener {
    name: String,
    door: String,
    clients: f64,
    /// Connections that come, and go at once, a second: probes, and clients that are started for one message.
    short: f64,
    wave: Wave,
    /// Of these, so many a second are usual.
    logins: f64,
    protocol: f64,
    handshakes: f64,
    scan_until: u64,
    requests: [Requests; 2],
}

impl Listener {
    pub(crate) fn new(number: usize, dice: &mut Dice) -> Self {
        let mut requests = |name, writes| Requests {
            name,
            rate: dice.scale(0.5, 2000.0),
            errors: dice.scale(1e-5, 0.01),
            writes,
        };
        let requests = [requests("Write", true), requests("Read", false)];
        Self {
            name: format!("L{number}"),
            door: format!("door-{number}"),
            clients: dice.scale(2.0, 3000.0).round(),
            short: dice.scale(0.02, 3.5),
            wave: Wave::default(),
            logins: dice.scale(1e-4, 0.05),
            protocol: dice.scale(1e-5, 0.02),
            handshakes: dice.scale(1e-5, 0.05),
            scan_until: 0,
            requests,
        }
    }

    pub(crate) fn id(&self) -> NodeId {
        NodeId::new(NodeKind::Listener, self.name.as_str())
    }

    pub(crate) fn node(&self) -> Node {
        Node::new(NodeKind::Listener, self.name.as_str()).with("door", self.door.as_str())
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> u64 {
        self.clients as u64
    }

    /// One more second; `is_first`: faults of listeners are here.
    pub(crate) fn step(&mut self, second: &mut Second<'_>, is_first: bool) {
        if second.dice.once_in(7200.0) {
            let lasts = second.dice.whole(5, 60);
            let rate = self.clients * second.dice.between(0.1, 1.0) / lasts as f64;
            self.wave = Wave { until: second.number + lasts, rate };
        }
        if second.dice.once_in(40_000.0) {
            self.scan_until = second.number + 20;
        }
        self.connections(second, is_first);
        self.requests(second, is_first);
    }

    fn connections(&self, second: &mut Second<'_>, is_first: bool) {
        let is_wave = second.number < self.wave.until;
        let of = |rate: f64| if is_first { rate } else { 0.0 };
        let faults = second.faults;
        let out = if second.is_out_of_files { self.short + 1.0 } else { 0.0 };
        let scan = if second.number < self.scan_until { 0.4 } else { 0.0 };
        // Why connections end that end badly, and how many a second.
        let ends = [
            ("login", self.logins + of(faults.logins), Some(&kinds::LOGIN_FAILED)),
            ("protocol", self.protocol + scan + of(faults.protocol), Some(&kinds::PROTOCOL_ERROR)),
            ("handshake", self.handshakes + of(faults.handshakes), Some(&kinds::HANDSHAKE_FAILED)),
            ("panic", of(faults.panics), Some(&kinds::PANICKED)),
            ("io", if is_wave { self.wave.rate } else { self.clients * 1e-5 }, None),
        ];
        let refused = self.count(second, of(faults.refused), Some(&kinds::CONNECTION_REFUSED));
        let not_accepted =
            self.count(second, of(faults.accept_failures) + out, Some(&kinds::ACCEPT_FAILED));
        let mut accepted = second.dice.count(self.short + of(faults.churn));
        let labels = [self.door.as_str(), self.name.as_str()];
        for (reason, rate, kind) in ends {
            let ended = self.count(second, rate, kind);
            accepted += ended;
            let labels = [labels[0], labels[1], reason];
            second.registry.counter(&families::CONNECTIONS_FAILED, labels).add(ended);
        }
        let registry = second.registry;
        registry.counter(&families::CONNECTIONS_ACCEPTED, labels).add(accepted);
        registry.counter(&families::CONNECTIONS_REFUSED, labels).add(refused);
        registry.counter(&families::ACCEPT_FAILURES, labels).add(not_accepted);
        registry.gauge(&families::CONNECTIONS, labels).set(self.clients as i64);
        let dropped = second.dice.count(of(faults.dropped));
        registry.counter(&families::DROPPED_MESSAGES, [labels[0]]).add(dropped);
        registry.counter(&families::SLOW_CONSUMERS, [labels[0]]).add(dropped / 100);
    }

    /// How often something happened in this second; it is told, too.
    fn count(&self, second: &mut Second<'_>, rate: f64, kind: Option<&'static EventKind>) -> u64 {
        let count = second.dice.count(rate);
        for kind in (0..count).filter_map(|_| kind) {
            second
                .events
                .tell(kind, Some(self.id()), || Said::new(format!("a client: {}", kind.help)));
        }
        count
    }

    fn requests(&self, second: &mut Second<'_>, is_first: bool) {
        let is_wave = second.number < self.wave.until;
        let Second { registry, dice, faults, .. } = second;
        for (number, one) in self.requests.iter().enumerate() {
            let asked = dice.count(one.rate);
            let mut part = if is_wave { one.errors * 5.0 } else { one.errors };
            if is_first && number == 0 {
                part = part.max(faults.error_share);
            }
            if one.writes && (faults.storage_failed || faults.disk_full) {
                part = 1.0;
            }
            let failed = dice.count(asked as f64 * part).min(asked);
            let labels = [self.door.as_str(), one.name];
            registry.counter(&families::REQUESTS, labels).add(asked);
            registry.counter(&families::REQUEST_ERRORS, labels).add(failed);
        }
    }

    /// More clients ask for more: so that what fails is more than a few.
    pub(crate) fn ask_at_least(&mut self, rate: f64) {
        let [first, _] = &mut self.requests;
        first.rate = first.rate.max(rate);
    }
}
