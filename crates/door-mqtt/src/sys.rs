//! `$SYS`: how the door is doing, said to those of its clients who subscribe, under the names that mosquitto has. Only
//! here: to other doors these are no subjects, and nothing of it is stored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::subject::Step;
use base::{Filter, Subject};
use broker::FetchError;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::session::Session;
use crate::{Shared, map};

/// What was said last, by its subject.
#[derive(Debug, Default)]
pub(crate) struct Sys {
    said: Mutex<BTreeMap<Subject, Said>>,
}

#[derive(Debug, Clone)]
struct Said {
    topic: Arc<str>,
    value: Arc<str>,
}

/// The first level of all of it.
const ROOT: &str = "$SYS";

/// Whether a filter can be of something that is said here. A wildcard in its first level is not (5.0 §4.7.2).
pub(crate) fn is_asked(filter: &Filter) -> bool {
    matches!(filter.steps().next(), Some(Step::Literal(level)) if *level == *ROOT.as_bytes())
}

impl Sys {
    /// What a new subscription is told at once. Of most it is known without a look at what was said, for which all wait
    /// in turn.
    pub(crate) fn retained(&self, filter: &Filter) -> Vec<(Arc<str>, Arc<str>)> {
        if !is_asked(filter) {
            return Vec::new();
        }
        let said = self.said.lock();
        let all = said.iter().filter(|(subject, _)| filter.matches(subject));
        all.map(|(_, said)| (Arc::clone(&said.topic), Arc::clone(&said.value))).collect()
    }

    /// How many there are.
    fn len(&self) -> usize {
        self.said.lock().len()
    }

    /// Takes note of what is said now; what is not what was said before.
    fn change(&self, now: Vec<(String, String)>) -> Vec<(Subject, Arc<str>, Arc<str>)> {
        let mut said = self.said.lock();
        let mut changed = Vec::new();
        for (name, value) in now {
            let topic = format!("{ROOT}/broker/{name}");
            // A name of ours is one.
            let Ok(subject) = map::NAMES.subject(topic.as_bytes()) else { continue };
            if said.get(&subject).is_some_and(|said| *said.value == *value) {
                continue;
            }
            let one = Said { topic: topic.into(), value: value.into() };
            changed.push((subject.clone(), Arc::clone(&one.topic), Arc::clone(&one.value)));
            said.insert(subject, one);
        }
        changed
    }
}

/// Says how the door is doing, again and again.
pub(crate) async fn run(shared: Arc<Shared>, every: Duration) {
    let begun = Instant::now();
    let mut loads = Loads::default();
    loop {
        match figures(&shared, begun.elapsed(), &loads).await {
            Ok(figures) => {
                for changed in shared.sys.change(figures) {
                    shared.sessions.tell(&changed);
                }
            }
            Err(error) => tracing::debug!(%error, "$SYS is not said now"),
        }
        tokio::time::sleep(every).await;
        loads.note(&shared, every);
    }
}

/// All that is said, without the beginning of the names.
async fn figures(
    shared: &Shared,
    up: Duration,
    loads: &Loads,
) -> Result<Vec<(String, String)>, FetchError> {
    let (broker, counts) = (&shared.broker, &shared.counts);
    let mut all = Vec::with_capacity(64);
    let mut say = |name: &str, value: String| all.push((name.to_owned(), value));
    say("version", format!("entrepot version {}", env!("CARGO_PKG_VERSION")));
    say("uptime", format!("{} seconds", up.as_secs()));
    let (connected, connected_max) = counts.connected();
    let kept = broker.session_figures();
    let here = shared.sessions.figures();
    let total = kept.sessions + here.unkept;
    let away = u64::try_from(total).unwrap_or(u64::MAX).saturating_sub(connected);
    say("clients/total", total.to_string());
    for name in ["clients/connected", "clients/active"] {
        say(name, connected.to_string());
    }
    for name in ["clients/disconnected", "clients/inactive"] {
        say(name, away.to_string());
    }
    say("clients/maximum", connected_max.to_string());
    say("clients/expired", kept.expired.to_string());
    say("subscriptions/count", (kept.subscriptions + here.subscriptions).to_string());
    let shared_count = kept.shared_subscriptions + here.shared_subscriptions;
    say("shared_subscriptions/count", shared_count.to_string());
    let retained = broker.retained_count().await?;
    say("retained messages/count", (retained + shared.sys.len()).to_string());
    let stored = u64::try_from(retained).unwrap_or(u64::MAX).saturating_add(kept.messages);
    for name in ["messages/stored", "store/messages/count"] {
        say(name, stored.to_string());
    }
    for (name, value) in counted(shared) {
        say(name, value.to_string());
    }
    all.extend(loads.figures());
    Ok(all)
}

/// What only grows.
fn counted(shared: &Shared) -> [(&'static str, u64); 11] {
    let counts = &shared.counts;
    let dropped = counts.dropped.get() + shared.broker.session_messages_dropped();
    [
        ("messages/received", counts.received.packets.get()),
        ("messages/sent", counts.sent.packets.get()),
        ("publish/messages/received", counts.received.publishes.get()),
        ("publish/messages/sent", counts.sent.publishes.get()),
        ("publish/messages/dropped", dropped),
        ("bytes/received", counts.received.bytes.get()),
        ("bytes/sent", counts.sent.bytes.get()),
        ("publish/bytes/received", counts.received.publish_bytes.get()),
        ("publish/bytes/sent", counts.sent.publish_bytes.get()),
        ("sockets/count", counts.sockets.get()),
        ("connections/count", counts.connections.get()),
    ]
}

/// Of some of what is counted: per minute, averaged over the last minutes.
#[derive(Debug, Default)]
struct Loads {
    last: BTreeMap<&'static str, u64>,
    averages: BTreeMap<&'static str, [f64; 3]>,
}

/// Minutes that are averaged over.
const SPANS: [f64; 3] = [1.0, 5.0, 15.0];

/// What has such averages: what is counted, and what its load is called.
const LOADS: [(&str, &str); 9] = [
    ("messages/received", "messages/received"),
    ("messages/sent", "messages/sent"),
    ("publish/messages/received", "publish/received"),
    ("publish/messages/sent", "publish/sent"),
    ("publish/messages/dropped", "publish/dropped"),
    ("bytes/received", "bytes/received"),
    ("bytes/sent", "bytes/sent"),
    ("sockets/count", "sockets"),
    ("connections/count", "connections"),
];

impl Loads {
    /// So much time has passed.
    fn note(&mut self, shared: &Shared, every: Duration) {
        let counted = BTreeMap::from(counted(shared));
        for (name, load) in LOADS {
            let now = counted.get(name).copied().unwrap_or(0);
            let before = self.last.insert(name, now).unwrap_or(0);
            self.average(load, now.saturating_sub(before), every);
        }
    }

    /// An exponential average, as a system's load is one.
    fn average(&mut self, load: &'static str, more: u64, every: Duration) {
        let minutes = every.as_secs_f64() / 60.0;
        #[allow(clippy::cast_precision_loss, reason = "two digits behind the point are shown")]
        let rate = more as f64 / minutes;
        let averages = self.averages.entry(load).or_default();
        for (average, span) in averages.iter_mut().zip(SPANS) {
            let kept = (-minutes / span).exp();
            *average = *average * kept + rate * (1.0 - kept);
        }
    }

    fn figures(&self) -> impl Iterator<Item = (String, String)> {
        let spans = ["1min", "5min", "15min"];
        let one = move |(load, averages): (&&'static str, &[f64; 3])| {
            let named = spans.into_iter().zip(*averages);
            let load = *load;
            named.map(move |(span, average)| {
                (format!("load/{load}/{span}"), format!("{average:.2}"))
            })
        };
        self.averages.iter().flat_map(one)
    }
}

impl crate::sessions::Sessions {
    /// Sends it to those who subscribe to it.
    fn tell(&self, (subject, topic, value): &(Subject, Arc<str>, Arc<str>)) {
        for session in self.listening() {
            session.tell(subject, topic, value);
        }
    }

    fn listening(&self) -> Vec<Arc<Session>> {
        self.all().into_iter().filter(|session| session.lock().subscriptions.has_sys()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_changed_is_not_said_again() {
        let sys = Sys::default();
        let say = |value: &str| sys.change(vec![("uptime".to_owned(), value.to_owned())]).len();
        assert_eq!((say("1 seconds"), say("1 seconds"), say("2 seconds")), (1, 0, 1));
        let retained = |filter: &str| sys.retained(&map::filter(filter).unwrap());
        assert_eq!(retained("$SYS/#"), [("$SYS/broker/uptime".into(), "2 seconds".into())]);
        assert!(retained("#").is_empty() && retained("+/broker/uptime").is_empty());
        assert!(retained("$SYS").is_empty() && retained("$SYS/+").is_empty());
        assert_eq!(retained("$SYS/+/uptime").len(), 1);
    }

    #[test]
    fn other_subscriptions_do_not_look_at_what_was_said() {
        let sys = Sys::default();
        sys.change(vec![("uptime".to_owned(), "1 seconds".to_owned())]);
        let (done, waits) = std::sync::mpsc::sync_channel(6);
        std::thread::scope(|scope| {
            let _said = sys.said.lock();
            scope.spawn(|| {
                for filter in ["#", "+/broker/uptime", "a/b", "$SYSTEM/#", "a/$SYS", "/$SYS/#"] {
                    done.send(sys.retained(&map::filter(filter).unwrap())).unwrap();
                }
            });
            for _ in 0..6 {
                assert!(waits.recv_timeout(Duration::from_secs(60)).expect("it waits").is_empty());
            }
        });
    }

    #[test]
    fn a_load_goes_up_to_what_there_is_in_a_minute_and_down_again() {
        let mut loads = Loads::default();
        let every = Duration::from_secs(10);
        for _ in 0..60 {
            loads.average("sockets", 5, every);
        }
        let found = |loads: &Loads| loads.figures().map(|(_, value)| value).collect::<Vec<_>>();
        assert_eq!(found(&loads), ["30.00", "25.94", "14.60"]);
        for _ in 0..60 {
            loads.average("sockets", 0, every);
        }
        assert_eq!(found(&loads), ["0.00", "3.51", "7.49"]);
    }
}
