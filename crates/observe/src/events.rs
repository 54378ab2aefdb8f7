//! What happened, in order: the newest events are kept in memory, and whoever wants to hear of them reads on from where they
//! were. Nothing waits for a reader; one that is too slow is told how many it missed.
//!
//! Each kind of event has a pace: what comes faster is counted, and the next one that is told says how many were not. So a
//! client that fails to log in a thousand times a second costs a few events.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use base::{Clock, Millis};
use parking_lot::Mutex;
use serde::{Serialize, Serializer};
use tokio::sync::watch;

use crate::families;
use crate::registry::{Collect, Sink};
use crate::state::NodeId;

/// Events that are kept in memory.
const KEPT_MAX: usize = 4096;
/// Events of one kind that are told at once …
const BURST: u32 = 32;
/// … and every so often one more.
const PACE_MS: Millis = 250;
/// Longest text of an event, and of each of its fields, in bytes. Longer ones are cut.
const TEXT_BYTES_MAX: usize = 1024;

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// So that it is known.
    Info,
    /// Somebody should look at it.
    Warning,
    /// Something does not work.
    Error,
}

/// A kind of event.
#[derive(Debug, PartialEq, Eq)]
pub struct EventKind {
    /// Its name, which stays the same.
    pub name: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What it means.
    pub help: &'static str,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal $severity:ident $help:literal;)*) => {
        /// The kinds of events, on one page.
        pub mod kinds {
            use super::{EventKind, Severity};

            $(
                $(#[$doc])*
                pub static $name: EventKind =
                    EventKind { name: $word, severity: Severity::$severity, help: $help };
            )*

            /// All of them.
            pub static ALL: &[&EventKind] = &[$(&$name),*];
        }
    };
}

kinds! {
    /// The broker serves clients.
    STARTED = "broker.started" Info "The broker began to serve clients.";
    /// The broker stops.
    STOPPING = "broker.stopping" Info "The broker was told to stop.";
    /// Nothing is acknowledged.
    STORAGE_FAILED = "storage.failed" Error "A write or sync failed; nothing is acknowledged until a restart.";
    /// The disk is full.
    DISK_FULL = "storage.disk_full" Error "The disk is full; messages are refused.";
    /// It no longer is.
    DISK_ROOM = "storage.disk_room" Info "There is room on the disk again.";
    /// A segment cannot be read.
    DAMAGED = "storage.damaged" Error "A segment is not what was written; its records are lost.";
    /// A connection was refused.
    CONNECTION_REFUSED = "connection.refused" Warning "A connection was closed unserved: too many are open, or they come too fast.";
    /// A client broke its protocol.
    PROTOCOL_ERROR = "connection.protocol_error" Warning "A connection was ended because the client broke its protocol.";
    /// A client exceeded a limit.
    LIMIT_EXCEEDED = "connection.limit" Warning "A connection was ended because the client exceeded a limit.";
    /// A TLS handshake failed.
    HANDSHAKE_FAILED = "connection.handshake_failed" Warning "A client did not get through the TLS handshake.";
    /// A login failed.
    LOGIN_FAILED = "connection.login_failed" Warning "A login was refused.";
    /// A bug of ours.
    PANICKED = "connection.panicked" Error "A connection's task panicked: a mistake in the broker.";
    /// No connections can be accepted.
    ACCEPT_FAILED = "listener.accept_failed" Error "The operating system could not hand over a connection.";
    /// A slow consumer was cut off.
    SLOW_CONSUMER = "consumer.slow" Warning "A client read too slowly: it was cut off, or missed messages.";
    /// A topic was made, changed or deleted.
    TOPIC_CHANGED = "topic.changed" Info "A topic was made, or its configuration or partitions changed.";
    /// A topic is gone.
    TOPIC_DELETED = "topic.deleted" Info "A topic was deleted.";
    /// Settings changed.
    SETTINGS_CHANGED = "settings.changed" Info "Settings were changed while the broker runs.";
    /// Something is wrong.
    INCIDENT_OPENED = "incident.opened" Warning "A rule found that something is wrong.";
    /// It no longer is.
    INCIDENT_CLOSED = "incident.closed" Info "What was wrong no longer is.";
    /// Something can be done about it.
    REMEDY_SUGGESTED = "remedy.suggested" Info "There is something that the broker can do about what is wrong.";
    /// It was done.
    REMEDY_APPLIED = "remedy.applied" Warning "The broker did something about what was wrong.";
    /// It was undone.
    REMEDY_UNDONE = "remedy.undone" Info "What the broker did about what was wrong was undone.";
    /// It could not be done.
    REMEDY_FAILED = "remedy.failed" Warning "The broker could not do something about what is wrong.";
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Its number, from 1 since the broker started; one more than the last.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub at: Millis,
    /// What.
    #[serde(serialize_with = "name")]
    pub kind: &'static EventKind,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<NodeId>,
    /// One sentence for people.
    pub text: String,
    /// The same for programs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<Cow<'static, str>, String>,
    /// How many of this kind were not told since the last that was.
    #[serde(skip_serializing_if = "is_zero")]
    pub withheld: u64,
}

fn name<S: Serializer>(kind: &&'static EventKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What happened lately.
#[derive(Debug)]
pub struct Events {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    kept: VecDeque<Arc<Event>>,
    number: u64,
    paces: BTreeMap<&'static str, Pace>,
}

/// How many of a kind may be told.
#[derive(Debug)]
struct Pace {
    /// Events that may be told at once.
    room: u32,
    /// Since when there is one more every so often.
    since: Millis,
    withheld: u64,
    total: u64,
}

impl Pace {
    fn new(now: Millis) -> Self {
        Self { room: BURST, since: now, withheld: 0, total: 0 }
    }

    /// Whether one may be told; then, how many were not since the last.
    fn next(&mut self, now: Millis) -> Option<u64> {
        self.total += 1;
        // A clock that was set back begins anew.
        if now < self.since {
            self.since = now;
        }
        let more = (now - self.since) / PACE_MS;
        self.since += more * PACE_MS;
        self.room = self.room.saturating_add(u32::try_from(more).unwrap_or(u32::MAX)).min(BURST);
        match self.room.checked_sub(1) {
            Some(room) => {
                self.room = room;
                Some(std::mem::take(&mut self.withheld))
            }
            None => {
                self.withheld += 1;
                None
            }
        }
    }
}

/// What somebody reads on from.
#[derive(Debug, Clone)]
pub struct Page {
    /// Events, in order.
    pub events: Vec<Arc<Event>>,
    /// How many came and are not kept any more.
    pub missed: u64,
    /// Where to read on.
    pub next: u64,
}

impl Events {
    /// Nothing happened yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default(), newest: watch::Sender::new(0) }
    }

    /// Something happened. Cheap where too much of it does; `say` is called only where it is told.
    pub fn tell(
        &self,
        kind: &'static EventKind,
        about: Option<NodeId>,
        say: impl FnOnce() -> Said,
    ) {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let pace = state.paces.entry(kind.name).or_insert_with(|| Pace::new(now));
        let Some(withheld) = pace.next(now) else { return };
        drop(state);
        // Not under the lock: it may be somebody else's code.
        let Said { text, fields } = say();
        let mut state = self.state.lock();
        state.number += 1;
        let number = state.number;
        let severity = kind.severity;
        let event = Event { number, at: now, kind, severity, about, text, fields, withheld };
        state.kept.push_back(Arc::new(event));
        if state.kept.len() > KEPT_MAX {
            state.kept.pop_front();
        }
        self.newest.send_replace(number);
    }

    /// The events from number `from` on, as far as they are kept: at most so many.
    pub fn since(&self, from: u64, limit: usize) -> Page {
        let state = self.state.lock();
        let from = from.max(1);
        let first = state.kept.front().map_or(state.number + 1, |event| event.number);
        let skipped = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
        let events: Vec<_> = state.kept.iter().skip(skipped).take(limit).cloned().collect();
        let next = events.last().map_or(from.max(first), |event| event.number + 1);
        Page { events, missed: first.saturating_sub(from), next }
    }

    /// The newest events, the oldest of them first.
    pub fn newest(&self, limit: usize) -> Vec<Arc<Event>> {
        let state = self.state.lock();
        let skipped = state.kept.len().saturating_sub(limit);
        state.kept.iter().skip(skipped).cloned().collect()
    }

    /// The number of the newest event, as it grows.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }
}

/// What is said of an event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    text: String,
    fields: BTreeMap<Cow<'static, str>, String>,
}

impl Said {
    /// In one sentence.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: cut(text.into()), fields: BTreeMap::new() }
    }

    /// And for programs.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        self.fields.insert(Cow::Borrowed(name), cut(value.to_string()));
        self
    }
}

/// Some of it is what clients say.
fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        text.push('…');
    }
    text
}

impl Collect for Events {
    fn collect(&self, sink: &mut Sink<'_>) {
        if !sink.wants(families::EVENTS.family()) {
            return;
        }
        for (kind, pace) in &self.state.lock().paces {
            sink.counter(&families::EVENTS, [kind], pace.total);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use base::ManualClock;

    use super::*;
    use crate::state::NodeKind;

    fn events() -> (Events, ManualClock) {
        let clock = ManualClock::at(1_000_000);
        (Events::new(Arc::new(clock.clone())), clock)
    }

    fn tell(events: &Events, text: &str) {
        let about = NodeId::new(NodeKind::Listener, "PLAIN");
        events.tell(&kinds::LOGIN_FAILED, Some(about), || Said::new(text).with("user", "me"));
    }

    #[test]
    fn what_comes_too_fast_is_counted_and_told_with_the_next() {
        let (events, clock) = events();
        for _ in 0..1000 {
            tell(&events, "no");
        }
        assert_eq!(events.newest(5000).len(), 32);
        clock.advance(PACE_MS);
        tell(&events, "again");
        let last = events.newest(1).pop().unwrap();
        assert_eq!((last.text.as_str(), last.withheld, last.number), ("again", 968, 33));
        // Other kinds have a pace of their own.
        events.tell(&kinds::STARTED, None, || Said::new("ready"));
        assert_eq!(events.newest(1)[0].kind.name, "broker.started");
        clock.advance(-60_000);
        tell(&events, "the clock was set back");
        assert_eq!(events.newest(1)[0].kind.name, "broker.started", "no burst because of that");
        clock.advance(PACE_MS);
        tell(&events, "later");
        assert_eq!(events.newest(1)[0].text, "later", "and no silence");
    }

    #[test]
    fn a_reader_reads_on_and_is_told_what_it_missed() {
        let (events, clock) = events();
        for number in 1..=KEPT_MAX + 10 {
            clock.advance(PACE_MS);
            tell(&events, &number.to_string());
        }
        let page = events.since(1, 3);
        let numbers = |page: &Page| page.events.iter().map(|e| e.number).collect::<Vec<_>>();
        assert_eq!((page.missed, page.next, numbers(&page)), (10, 14, vec![11, 12, 13]));
        let page = events.since(4100, 100);
        assert_eq!((page.missed, page.next, page.events.len()), (0, 4107, 7));
        let page = events.since(4107, 100);
        assert_eq!((page.missed, page.next, page.events.len()), (0, 4107, 0));
        assert_eq!(*events.watch().borrow(), 4106);
    }

    #[test]
    fn an_event_is_plain_json_and_not_longer_than_it_may_be() {
        let (events, _) = events();
        tell(&events, &"ä".repeat(5000));
        let event = events.newest(1).pop().unwrap();
        assert!(event.text.len() <= TEXT_BYTES_MAX + 3);
        tell(&events, "no");
        let event = serde_json::to_value(&*events.newest(1)[0]).unwrap();
        let expected = serde_json::json!({
            "number": 2, "at": 1_000_000, "kind": "connection.login_failed",
            "severity": "warning", "about": "listener/PLAIN", "text": "no",
            "fields": { "user": "me" },
        });
        assert_eq!(event, expected);
    }

    #[test]
    fn no_two_kinds_have_the_same_name() {
        let names: BTreeSet<_> = kinds::ALL.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), kinds::ALL.len());
    }
}
