//! What doors count: taken from the registry once, added to per batch.

use std::fmt::{self, Debug, Formatter};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use observe::{Counter, Histogram, Observe, families};

/// What every door counts, of all its connections together.
#[derive(Debug)]
pub struct DoorFigures {
    /// Messages that clients published …
    pub received_messages: Arc<Counter>,
    /// … and their bytes.
    pub received_bytes: Arc<Counter>,
    /// Messages that were handed to clients …
    pub delivered_messages: Arc<Counter>,
    /// … and their bytes.
    pub delivered_bytes: Arc<Counter>,
    /// Messages that a client did not get because it was too slow.
    pub dropped_messages: Arc<Counter>,
    /// Connections that were ended for the same reason.
    pub slow_consumers: Arc<Counter>,
    /// From a message's arrival to its acknowledgement.
    pub publish_time: Arc<Histogram>,
}

impl DoorFigures {
    /// Of the door of this name.
    pub fn new(observe: &Observe, door: &'static str) -> Self {
        let registry = &observe.registry;
        Self {
            received_messages: registry.counter(&families::RECEIVED_MESSAGES, [door]),
            received_bytes: registry.counter(&families::RECEIVED_BYTES, [door]),
            delivered_messages: registry.counter(&families::DELIVERED_MESSAGES, [door]),
            delivered_bytes: registry.counter(&families::DELIVERED_BYTES, [door]),
            dropped_messages: registry.counter(&families::DROPPED_MESSAGES, [door]),
            slow_consumers: registry.counter(&families::SLOW_CONSUMERS, [door]),
            publish_time: registry.histogram(&families::PUBLISH_TIME, [door]),
        }
    }

    /// So many messages were published.
    pub fn received(&self, messages: u64, bytes: usize) {
        self.received_messages.add(messages);
        self.received_bytes.add_len(bytes);
    }

    /// So many messages were handed to clients.
    pub fn delivered(&self, messages: u64, bytes: usize) {
        self.delivered_messages.add(messages);
        self.delivered_bytes.add_len(bytes);
    }
}

/// What a door counts of its requests, by a number that each kind of request has. A kind is shown from its first request
/// on.
pub struct RequestFigures {
    observe: Arc<Observe>,
    door: &'static str,
    kinds: Box<[OnceLock<OfKind>]>,
}

#[derive(Debug)]
struct OfKind {
    count: Arc<Counter>,
    errors: Arc<Counter>,
    time: Arc<Histogram>,
}

impl Debug for RequestFigures {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestFigures").field("door", &self.door).finish_non_exhaustive()
    }
}

impl RequestFigures {
    /// Of a door with so many kinds of requests.
    pub fn new(observe: &Arc<Observe>, door: &'static str, kinds: usize) -> Self {
        let kinds = std::iter::repeat_with(OnceLock::new).take(kinds).collect();
        Self { observe: Arc::clone(observe), door, kinds }
    }

    /// A request was answered. `took`: how long that took, but for waiting for what was not there yet.
    pub fn answered(&self, kind: usize, name: &str, took: Option<Duration>) {
        let Some(of) = self.of(kind, name) else { return };
        of.count.add(1);
        if let Some(took) = took {
            of.time.record_time(took);
        }
    }

    /// A request was answered with an error.
    pub fn failed(&self, kind: usize, name: &str) {
        if let Some(of) = self.of(kind, name) {
            of.errors.add(1);
        }
    }

    fn of(&self, kind: usize, name: &str) -> Option<&OfKind> {
        let made = || {
            let registry = &self.observe.registry;
            OfKind {
                count: registry.counter(&families::REQUESTS, [self.door, name]),
                errors: registry.counter(&families::REQUEST_ERRORS, [self.door, name]),
                time: registry.histogram(&families::REQUEST_TIME, [self.door, name]),
            }
        };
        self.kinds.get(kind).map(|of| of.get_or_init(made))
    }
}

#[cfg(test)]
mod tests {
    use base::ManualClock;
    use observe::Value;

    use super::*;

    #[test]
    fn a_kind_of_request_is_shown_from_its_first_on() {
        let observe = Observe::new(Arc::new(ManualClock::default()));
        let requests = RequestFigures::new(&observe, "test", 3);
        let shown = || {
            let all = observe.registry.gather(&|family| family.name == "entrepot_requests_total");
            let series = all.into_iter().flat_map(|gathered| gathered.series);
            series.map(|(labels, value)| (labels[1].to_string(), value)).collect::<Vec<_>>()
        };
        assert_eq!(shown(), []);
        requests.answered(2, "Fetch", Some(Duration::from_millis(1)));
        requests.answered(2, "Fetch", None);
        requests.answered(3, "Unknown", None);
        assert_eq!(shown(), [("Fetch".to_owned(), Value::Counter(2))]);
    }
}
