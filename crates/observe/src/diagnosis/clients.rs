//! Connections, and those who make them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Finding, Moment};
use crate::history::Key;
use crate::state::{NodeId, NodeKind};

/// Over how many seconds it is counted.
const SECONDS: u64 = 60;
/// So many failures in that time are many.
const MANY: u64 = 20;
/// So many failures in so many seconds are as many: a person who has forgotten a password does not try that fast.
const FAST: (u64, u64) = (12, 10);
/// In so many seconds so many new connections are worth a look, where they are so many times as many as are open: when all
/// clients of a broker come again, each does so once.
const CHURN: [(u64, u64, u64); 2] = [(SECONDS, 300, 10), (10, 100, 2)];
/// In so many seconds so many requests that fail are many, where they are so many hundredths of all of their kind.
const FAILING: [(u64, u64, u64); 2] = [(SECONDS, 60, 10), (10, 30, 30)];
/// Events that are quoted.
const QUOTED: usize = 3;

/// Listeners at which connections ended so often for a reason, and how often.
fn ended(moment: &Moment<'_>, reason: &str, seconds: u64, least: u64) -> Vec<(NodeId, u64)> {
    let keys = moment.history.keys("entrepot_connections_failed_total").into_iter();
    let of_reason = |key: &Key| key.labels.get(2).is_some_and(|known| **known == *reason);
    let counted = keys.filter(of_reason).filter_map(|key| {
        let count = moment.history.increase(&key, seconds);
        let listener = key.labels.get(1).filter(|_| count >= least)?;
        Some((NodeId::new(NodeKind::Listener, Arc::clone(listener)), count))
    });
    counted.collect()
}

/// Findings about listeners, with the last events of a kind.
fn quoted(moment: &Moment<'_>, found: Vec<(NodeId, u64)>, what: &str, kind: &str) -> Vec<Finding> {
    let one = |(listener, count): (NodeId, u64)| {
        let counted = format!("{count} {what} in the last {SECONDS} seconds");
        let told = moment.told(kind, &listener, QUOTED);
        Finding::new(listener, [counted].into_iter().chain(told))
    };
    found.into_iter().map(one).collect()
}

/// Listeners at which connections ended so often for a reason, or fewer but faster.
fn many(moment: &Moment<'_>, reason: &str) -> Vec<(NodeId, u64)> {
    let (least, seconds) = FAST;
    let fast = ended(moment, reason, seconds, least);
    let is_fast = |listener: &NodeId| fast.iter().any(|(known, _)| known == listener);
    let mut found = ended(moment, reason, SECONDS, least);
    found.retain(|(listener, count)| *count >= MANY || is_fast(listener));
    found
}

pub(super) fn logins(moment: &Moment<'_>) -> Vec<Finding> {
    quoted(moment, many(moment, "login"), "logins failed", "connection.login_failed")
}

pub(super) fn protocol(moment: &Moment<'_>) -> Vec<Finding> {
    // Who scans ports is soon done.
    let found = ended(moment, "protocol", SECONDS, MANY);
    quoted(moment, found, "connections broke the protocol", "connection.protocol_error")
}

pub(super) fn handshakes(moment: &Moment<'_>) -> Vec<Finding> {
    quoted(moment, many(moment, "handshake"), "handshakes failed", "connection.handshake_failed")
}

pub(super) fn panicked(moment: &Moment<'_>) -> Vec<Finding> {
    // Of a mistake of ours one is enough, and it is not over because it does not happen again.
    let found = ended(moment, "panic", 10 * SECONDS, 1);
    let told = |listener: &NodeId| moment.told("connection.panicked", listener, QUOTED);
    let one = |(listener, count): (NodeId, u64)| {
        let counted = format!("{count} in the last {} minutes", 10 * SECONDS / 60);
        let told = told(&listener);
        Finding::new(listener, [counted].into_iter().chain(told))
    };
    found.into_iter().map(one).collect()
}

/// Listeners, and how much a counter of theirs grew.
fn grown(moment: &Moment<'_>, family: &str) -> Vec<(NodeId, u64)> {
    let keys = moment.history.keys(family).into_iter();
    let grown = keys.filter_map(|key| {
        let count = moment.history.increase(&key, SECONDS);
        let listener = key.labels.get(1).filter(|_| count > 0)?;
        Some((NodeId::new(NodeKind::Listener, Arc::clone(listener)), count))
    });
    grown.collect()
}

pub(super) fn refused(moment: &Moment<'_>) -> Vec<Finding> {
    let found = grown(moment, "entrepot_connections_refused_total");
    quoted(moment, found, "connections were refused", "connection.refused")
}

pub(super) fn not_accepted(moment: &Moment<'_>) -> Vec<Finding> {
    let found = grown(moment, "entrepot_accept_failures_total");
    quoted(moment, found, "times it failed", "listener.accept_failed")
}

pub(super) fn failing(moment: &Moment<'_>) -> Vec<Finding> {
    let (all, failed) = ("entrepot_requests_total", "entrepot_request_errors_total");
    let mut by_door: BTreeMap<Arc<str>, Vec<String>> = BTreeMap::new();
    for key in moment.history.keys(failed) {
        let asked = Key { family: all, ..key.clone() };
        let many = |(seconds, least, percent): (u64, u64, u64)| {
            let errors = moment.history.increase(&key, seconds);
            let count = moment.history.increase(&asked, seconds);
            let is_part = errors.saturating_mul(100) >= count.saturating_mul(percent);
            (errors >= least && is_part).then_some((errors, count, seconds))
        };
        let Some((errors, count, seconds)) = FAILING.into_iter().find_map(many) else { continue };
        let [door, request] = key.labels.as_slice() else { continue };
        let said = format!("{errors} of {count} {request} requests in the last {seconds} seconds");
        by_door.entry(Arc::clone(door)).or_default().push(said);
    }
    let found = by_door.into_iter();
    found.map(|(door, evidence)| Finding::new(listener_of(moment, &door), evidence)).collect()
}

/// The door's listener, the first of them where it has several.
fn listener_of(moment: &Moment<'_>, door: &str) -> NodeId {
    let own = moment.graph.of_kind(NodeKind::Listener).find(|node| node.text("door") == Some(door));
    own.map_or_else(|| moment.broker.clone(), |node| node.id.clone())
}

pub(super) fn churn(moment: &Moment<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for key in moment.history.keys("entrepot_connections_accepted_total") {
        let open = Key { family: "entrepot_connections", ..key.clone() };
        let open = u64::try_from(moment.history.last(&open).unwrap_or(0)).unwrap_or(0);
        let many = |(seconds, least, times): (u64, u64, u64)| {
            let accepted = moment.history.increase(&key, seconds);
            let is_many = accepted >= least && accepted >= open.saturating_mul(times);
            is_many.then(|| format!("{accepted} were made in {seconds} seconds, {open} are open"))
        };
        let Some(said) = CHURN.into_iter().find_map(many) else { continue };
        let Some(listener) = key.labels.get(1) else { continue };
        found.push(Finding::new(NodeId::new(NodeKind::Listener, Arc::clone(listener)), [said]));
    }
    found
}

pub(super) fn slow(moment: &Moment<'_>) -> Vec<Finding> {
    let families = [
        ("entrepot_slow_consumers_total", "were cut off"),
        ("entrepot_dropped_messages_total", "messages were not delivered"),
    ];
    let mut by_door: BTreeMap<Arc<str>, Vec<String>> = BTreeMap::new();
    for (family, what) in families {
        for key in moment.history.keys(family) {
            let count = moment.history.increase(&key, SECONDS);
            let Some(door) = key.labels.first().filter(|_| count > 0) else { continue };
            let said = format!("{count} {what} in the last {SECONDS} seconds");
            by_door.entry(Arc::clone(door)).or_default().push(said);
        }
    }
    let found = by_door.into_iter();
    found.map(|(door, evidence)| Finding::new(listener_of(moment, &door), evidence)).collect()
}
