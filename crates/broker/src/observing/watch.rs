//! Looking at everything, once a second.

use std::sync::Arc;
use std::time::Duration;

use observe::diagnosis::{self, Moment, RULES};
use observe::state::{NodeId, NodeKind, Scope};
use observe::{Family, Said, families, kinds};
use store::AppendError;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::broker::Inner;
use crate::remedies;

/// How often.
const PERIOD: Duration = Duration::from_secs(1);

/// Of its time, looking takes no more than one part in so many.
const SHARE: u32 = 100;

/// What rules look at.
const LOOKED_AT: [NodeKind; 4] =
    [NodeKind::Listener, NodeKind::Group, NodeKind::Queue, NodeKind::Store];

/// Events that rules look at.
const EVENTS: usize = 256;

/// Metrics of details that are remembered, too: what charts of one group or queue are drawn of.
const REMEMBERED: [&str; 8] = [
    "entrepot_group_lag_messages",
    "entrepot_group_lag_seconds",
    "entrepot_group_still_seconds",
    "entrepot_queue_ready_messages",
    "entrepot_queue_held_messages",
    "entrepot_queue_delivered_messages_total",
    "entrepot_queue_redelivered_messages_total",
    "entrepot_queue_dead_letters_total",
];

/// Runs until the broker stops.
pub(super) async fn run(inner: Arc<Inner>) {
    let begun = (inner.options.clock.now(), Instant::now());
    let mut every = interval(PERIOD);
    every.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut health = Health::Well;
    loop {
        every.tick().await;
        let looking = Instant::now();
        // The wall clock may be set; seconds are counted by one that is not.
        let second = u64::try_from(begun.0 / 1000).unwrap_or(0) + begun.1.elapsed().as_secs();
        let of = Arc::clone(&inner);
        if let Err(error) = inner.store.blocking(move || of.look(second)).await {
            tracing::debug!(%error, "nobody looked");
        }
        health = health.now(&inner);
        remedies::step(&inner).await;
        let took = looking.elapsed();
        let rest = took.saturating_mul(SHARE).saturating_sub(PERIOD);
        if !rest.is_zero() {
            sleep(rest).await;
        }
    }
}

fn is_remembered(family: &Family) -> bool {
    !family.is_detail || REMEMBERED.contains(&family.name)
}

impl Inner {
    /// Blocks: some of it asks the operating system.
    fn look(&self, second: u64) {
        let (begun, now) = (Instant::now(), self.options.clock.now());
        self.lags.look(self, second, now);
        let all = self.observe.registry.gather(&is_remembered);
        self.observe.history.record(second, &all);
        let graph = self.observe.inspectors.look(&Scope::of(LOOKED_AT));
        let events = self.observe.events.newest(EVENTS);
        let broker = NodeId::new(NodeKind::Broker, self.options.id.0.to_string());
        let moment = Moment {
            broker: &broker,
            history: &self.observe.history,
            graph: &graph,
            events: &events,
        };
        let found = diagnosis::look(&moment);
        let incidents = {
            let mut watcher = self.watcher.lock();
            watcher.take(second, now, found, &self.observe.events);
            watcher.incidents()
        };
        for rule in RULES {
            let count = incidents.iter().filter(|incident| incident.rule == rule.id).count();
            let gauge = self.observe.registry.gauge(&families::INCIDENTS, [rule.id]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        *self.incidents.lock() = Arc::new(incidents);
        let took = i64::try_from(begun.elapsed().as_nanos()).unwrap_or(i64::MAX);
        self.observe.registry.gauge(&families::GATHER_TIME, []).set(took);
    }
}

/// What the store was when it was looked at last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Well,
    Full,
    Failed,
}

impl Health {
    /// Tells of it where it is not what it was.
    fn now(self, inner: &Inner) -> Self {
        let (now, why) = match inner.store.health() {
            Ok(()) => (Self::Well, String::new()),
            Err(error @ AppendError::DiskFull) => (Self::Full, error.to_string()),
            Err(error) => (Self::Failed, error.to_string()),
        };
        if now != self {
            let kind = match now {
                Self::Well => &kinds::DISK_ROOM,
                Self::Full => &kinds::DISK_FULL,
                Self::Failed => &kinds::STORAGE_FAILED,
            };
            let store = NodeId::new(NodeKind::Store, inner.options.data_dir.as_str());
            let text = if why.is_empty() { kind.help.to_owned() } else { why };
            inner.observe.events.tell(kind, Some(store), || Said::new(text));
        }
        now
    }
}
