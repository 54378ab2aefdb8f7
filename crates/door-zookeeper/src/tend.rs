//! The door's background task beside the writer: it ends sessions that timed out and tells those who watch of
//! changes, and deletes empty containers. It runs only while there is a session or a connection.

use std::sync::{Arc, Weak};

use broker::MetaError;
use broker::metadata::Metadata;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::warn;

use crate::Shared;
use crate::limits::{CONTAINER_INTERVAL, TICK};
use crate::state::{Now, State};
use crate::write::Operation;
use crate::writer::{Asker, Job};

impl Shared {
    /// Sees to it that the task runs.
    pub(crate) fn tend(self: &Arc<Self>, state: &mut State) {
        if !std::mem::replace(&mut state.tended, true) {
            tokio::spawn(tend(Arc::downgrade(self), self.metadata.clone()));
        }
    }
}

/// Sees to it that sessions from before a restart end if their clients do not come back.
pub(crate) async fn resume(shared: Weak<Shared>) {
    let Some(shared) = shared.upgrade() else { return };
    let resumed = async {
        if shared.registry.has_sessions().await? {
            shared.open().await?;
            shared.tend(&mut shared.state.lock());
        }
        Ok::<_, MetaError>(())
    };
    if let Err(error) = resumed.await {
        warn!(%error, "cannot read the registry's sessions");
    }
}

async fn tend(shared: Weak<Shared>, mut metadata: watch::Receiver<Arc<Metadata>>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut containers = Instant::now() + CONTAINER_INTERVAL;
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
        let is_time = Instant::now() >= containers;
        if is_time {
            containers = Instant::now() + CONTAINER_INTERVAL;
        }
        if !shared.look_after(shared.now(), is_time).await {
            return;
        }
    }
}

impl Shared {
    /// Does what the task does at each tick and change, with the empty containers if it is time
    /// for them; false when there is nobody to look after.
    pub(crate) async fn look_after(&self, now: Now, containers: bool) -> bool {
        let mut over: Vec<Operation> = Vec::new();
        let lost = {
            let mut state = self.state.lock();
            state.catch_up(now);
            over.extend(state.expire(now).into_iter().map(Operation::CloseSession));
            if state.is_empty() {
                state.tended = false;
                return false;
            }
            if containers {
                let empty = state.tree.empty_containers();
                over.extend(empty.map(|path| Operation::CloseContainer(Arc::clone(path))));
            }
            state.is_lost()
        };
        for operation in over {
            self.submit(Job { operation, asker: Asker::Nobody, bytes: 64, attempts: 0 }).await;
        }
        if lost && let Err(error) = self.reopen().await {
            warn!(%error, "cannot read the registry");
        }
        true
    }
}
