//! `message_stats`: what went through queues, exchanges, channels and virtual hosts, by the names that RabbitMQ has for it.

use std::sync::{Arc, atomic::Ordering};

use base::Millis;
use broker::exchanges::{ExchangeFlow, SpaceFlow};
use broker::queues::{Queue, QueueFlow};
use serde_json::{Map, Value as Json, json};

use super::Ask;
use super::rates::{PerSecond, Rates, Watched};
use crate::channel::ChannelOut;
use crate::flow::HostFlow;

/// How many figures there are.
pub(super) const FIGURES: usize = 17;

/// Their names. The last three are of what is there, the others of what happened.
const NAMES: [&str; FIGURES] = [
    "publish",
    "publish_in",
    "publish_out",
    "confirm",
    "return_unroutable",
    "drop_unroutable",
    "deliver",
    "deliver_no_ack",
    "get",
    "get_no_ack",
    "get_empty",
    "deliver_get",
    "ack",
    "redeliver",
    "messages",
    "messages_ready",
    "messages_unacknowledged",
];

/// The figures of something at one moment, in the order of [`NAMES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Figures([u64; FIGURES]);

/// Of whom they are, which says what of them there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Queue,
    Exchange,
    /// A channel, a virtual host, all.
    Publishers,
}

impl Kind {
    /// Whether it has this one.
    fn has(self, name: &str) -> bool {
        match name {
            "publish_in" | "publish_out" => self == Self::Exchange,
            "confirm" | "return_unroutable" | "drop_unroutable" => self == Self::Publishers,
            "messages" | "messages_ready" | "messages_unacknowledged" => false,
            _ => self != Self::Exchange,
        }
    }
}

impl Figures {
    pub(super) fn of_queue(queue: &Queue) -> Self {
        let (flow, counts) = (queue.flow(), queue.counts());
        Self::with([flow.came, 0, 0, 0, 0, 0], &flow, [counts.ready, counts.held])
    }

    pub(super) fn of_exchange(ExchangeFlow { came, went }: ExchangeFlow) -> Self {
        Self::with([0, came, went, 0, 0, 0], &QueueFlow::default(), [0, 0])
    }

    pub(super) fn of_channel(channel: &ChannelOut) -> Self {
        let flow = &channel.flow;
        let sent = [&flow.published, &flow.confirmed, &flow.returned, &flow.dropped];
        let [published, confirmed, returned, dropped] = sent.map(|counter| counter.get());
        let delivered = QueueFlow { accepted: flow.accepted.get(), ..channel.lock().flow };
        Self::with([published, 0, 0, confirmed, returned, dropped], &delivered, [0, 0])
    }

    pub(super) fn of_space(flow: &SpaceFlow, hosts: &[Arc<HostFlow>]) -> Self {
        let mut sum = [0; 3];
        for host in hosts {
            let counters = [&host.confirmed, &host.returned, &host.dropped];
            for (sum, counter) in sum.iter_mut().zip(counters) {
                *sum += counter.load(Ordering::Relaxed);
            }
        }
        let [confirmed, returned, dropped] = sum;
        let sent = [flow.exchanges.came, 0, 0, confirmed, returned, dropped];
        Self::with(sent, &flow.queues, [flow.ready, flow.held])
    }

    fn with(sent: [u64; 6], flow: &QueueFlow, [ready, held]: [u64; 2]) -> Self {
        let [publish, publish_in, publish_out, confirm, returned, dropped] = sent;
        let &QueueFlow { delivered, delivered_automatic, got, got_automatic, .. } = flow;
        Self([
            publish,
            publish_in,
            publish_out,
            confirm,
            returned,
            dropped,
            delivered,
            delivered_automatic,
            got,
            got_automatic,
            flow.got_none,
            delivered + delivered_automatic + got + got_automatic,
            flow.accepted,
            flow.again,
            ready + held,
            ready,
            held,
        ])
    }

    /// What changes in a second, by what was there so many milliseconds before.
    #[allow(clippy::cast_precision_loss, reason = "figures to be looked at")]
    pub(super) fn per_second(&self, past: &Self, millis: Millis) -> PerSecond {
        let mut rates = [0.0; FIGURES];
        if millis > 0 {
            for (rate, (now, past)) in rates.iter_mut().zip(self.0.iter().zip(&past.0)) {
                let change = now.wrapping_sub(*past).cast_signed();
                *rate = change as f64 * 1000.0 / millis as f64;
            }
        }
        rates
    }

    /// Each by its name, with how fast it changes.
    fn named(&self, rates: Option<PerSecond>) -> impl Iterator<Item = (&str, u64, Option<f64>)> {
        let rates = (0..FIGURES).map(move |at| rates.and_then(|rates| rates.get(at).copied()));
        NAMES.iter().zip(self.0).zip(rates).map(|((name, value), rate)| (*name, value, rate))
    }
}

/// What views need besides what they show.
#[derive(Debug, Clone)]
pub(super) struct Looks {
    /// What the one node is called.
    pub(super) node: String,
    rates: Arc<Rates>,
    /// Whoever asks wants no statistics.
    is_plain: bool,
}

impl Looks {
    pub(super) fn of(ask: &Ask<'_>) -> Self {
        let is_plain = ask.request.query.is("disable_stats");
        let node = super::overview::node_name(ask);
        Self { node, rates: Arc::clone(&ask.shared.rates), is_plain }
    }

    /// Adds what went through a queue.
    pub(super) fn queue(&self, queue: &Arc<Queue>, fields: &mut Json) {
        let watched = Watched::Queue(Arc::downgrade(queue));
        self.put(&watched, &Figures::of_queue(queue), Kind::Queue, fields);
    }

    /// Adds what went through an exchange.
    pub(super) fn exchange(&self, watched: &Watched, flow: ExchangeFlow, fields: &mut Json) {
        self.put(watched, &Figures::of_exchange(flow), Kind::Exchange, fields);
    }

    /// Adds what a channel's client did.
    pub(super) fn channel(&self, channel: &Arc<ChannelOut>, fields: &mut Json) {
        let watched = Watched::Channel(Arc::downgrade(channel));
        self.put(&watched, &Figures::of_channel(channel), Kind::Publishers, fields);
    }

    /// Adds what went through a virtual host, or through all: messages that are there, too.
    pub(super) fn space(&self, watched: &Watched, figures: &Figures, fields: &mut Json) {
        self.put(watched, figures, Kind::Publishers, fields);
    }

    fn put(&self, watched: &Watched, figures: &Figures, kind: Kind, fields: &mut Json) {
        let Some(fields) = fields.as_object_mut().filter(|_| !self.is_plain) else { return };
        let rates = self.rates.of(watched, figures);
        let mut stats = Map::new();
        let mut happened = false;
        for (name, value, rate) in figures.named(rates) {
            let into = if kind.has(name) { &mut stats } else { &mut *fields };
            // Of what is there, the number is shown already.
            if !kind.has(name) && !into.contains_key(name) {
                continue;
            }
            happened |= kind.has(name) && value > 0;
            into.insert(name.to_owned(), Json::from(value));
            if let Some(rate) = rate {
                into.insert(format!("{name}_details"), json!({ "rate": rate }));
            }
        }
        // As with RabbitMQ, there is nothing to be seen before something happened.
        if happened {
            fields.insert("message_stats".to_owned(), Json::Object(stats));
        }
    }
}
