//! What every [`MetaStore`] must hold to, whatever it runs on. A backend's tests call [`run_all`];
//! a property that does not hold panics with what was seen.

mod leases;
mod reads;
mod txns;
mod watches;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use crate::{BoxFuture, MetaStore, Revision, Watch, WatchBatch};

pub use leases::{
    expiry_deletes_the_keys_of_the_lease, keep_alive_prolongs_a_lease, leases_refuse_what_is_wrong,
    revoke_deletes_the_keys_of_the_lease,
};
pub use reads::{
    get_returns_what_was_put, range_keeps_to_its_prefix, range_pages_and_limits,
    reopening_keeps_everything,
};
pub use txns::{
    compares_follow_their_definition, limits_are_enforced, racing_compare_and_set_loses_no_update,
    revisions_rise_by_one_for_each_change, the_branch_not_taken_changes_nothing,
    transactions_are_all_or_nothing,
};
pub use watches::{
    a_slow_watcher_is_told, a_watch_in_the_future_waits, a_watch_starts_in_the_past,
    a_watch_survives_being_cancelled, watchers_see_every_change_once_and_in_order,
};

/// Where the suite gets its stores from.
pub trait Harness: Send + Sync + Debug {
    /// A new, empty store; with a backend shared by many, one under a prefix of its own.
    fn create(&self) -> BoxFuture<'_, Arc<dyn MetaStore>>;

    /// Shuts the store down, as far as this process goes, and opens the same one again; `None` if
    /// the backend keeps nothing.
    fn reopen(&self, store: Arc<dyn MetaStore>) -> BoxFuture<'_, Option<Arc<dyn MetaStore>>>;

    /// Lets time pass for the store's leases, until what is due has ended. A backend with a clock
    /// of its own waits.
    fn pass<'a>(&'a self, store: &'a dyn MetaStore, time: Duration) -> BoxFuture<'a, ()>;

    /// How many revisions a watcher must leave unread to be told that it is too slow; 0 if that
    /// cannot be said.
    fn overrun(&self) -> usize;
}

/// Runs the whole suite.
pub async fn run_all(harness: &dyn Harness) {
    get_returns_what_was_put(harness).await;
    range_keeps_to_its_prefix(harness).await;
    range_pages_and_limits(harness).await;
    reopening_keeps_everything(harness).await;
    compares_follow_their_definition(harness).await;
    revisions_rise_by_one_for_each_change(harness).await;
    transactions_are_all_or_nothing(harness).await;
    the_branch_not_taken_changes_nothing(harness).await;
    limits_are_enforced(harness).await;
    racing_compare_and_set_loses_no_update(harness).await;
    watchers_see_every_change_once_and_in_order(harness).await;
    a_watch_starts_in_the_past(harness).await;
    a_watch_in_the_future_waits(harness).await;
    a_watch_survives_being_cancelled(harness).await;
    a_slow_watcher_is_told(harness).await;
    leases_refuse_what_is_wrong(harness).await;
    revoke_deletes_the_keys_of_the_lease(harness).await;
    expiry_deletes_the_keys_of_the_lease(harness).await;
    keep_alive_prolongs_a_lease(harness).await;
}

/// The value, or a panic that says what was attempted.
#[allow(clippy::panic, reason = "a test suite fails by panicking")]
#[track_caller]
fn must<T, E: Debug>(result: Result<T, E>, what: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{what}: {error:?}"),
    }
}

/// The current revision.
async fn revision(store: &dyn MetaStore) -> Revision {
    must(store.range(b"", 1, b"").await, "range").revision
}

/// The next batch, or a panic if none comes.
async fn next(watch: &mut dyn Watch) -> WatchBatch {
    let next = tokio::time::timeout(Duration::from_secs(30), watch.next()).await;
    must(must(next, "no batch within 30 s"), "watch")
}
