//! The door's one background task: it ends sessions that timed out and tells those who watch of
//! changes. It runs only while there is a session or a connection.

use std::sync::{Arc, Weak};

use broker::metadata::Metadata;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::Shared;
use crate::limits::TICK;
use crate::registry::Registry;

impl Shared {
    /// Sees to it that the task runs.
    pub(crate) fn tend(self: &Arc<Self>, registry: &mut Registry) {
        if !std::mem::replace(&mut registry.tended, true) {
            tokio::spawn(tend(Arc::downgrade(self), self.metadata.clone()));
        }
    }
}

async fn tend(shared: Weak<Shared>, mut metadata: watch::Receiver<Arc<Metadata>>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Whatever changed before the task began.
    metadata.mark_changed();
    let mut may_change = true;
    loop {
        tokio::select! {
            changed = metadata.changed(), if may_change => may_change = changed.is_ok(),
            _ = ticks.tick() => {}
        }
        // The door is gone, and with it everything that we look after.
        let Some(shared) = shared.upgrade() else { return };
        let now = shared.now();
        let mut registry = shared.registry.lock();
        registry.expire(now);
        if registry.is_empty() {
            registry.tended = false;
            return;
        }
        if registry.is_watched() {
            registry.catch_up(now);
        }
    }
}
