//! What everybody uses, measured on this broker.

use std::collections::HashMap;
use std::sync::Arc;

use base::Millis;
use parking_lot::Mutex;

use super::QuotaOptions;
use super::entity::QuotaKind;
use super::meter::{Bucket, Samples};
use super::table::Bound;

/// Entities that are measured at one time. What comes when they are that many shares one meter of
/// each kind: bounded memory is worth more than justice among so many.
const METERS_MAX: usize = 50_000;

/// Idle meters are looked for when there are so many, and each time that they doubled.
const SWEEP_FROM: usize = 1024;

type Key = (QuotaKind, Arc<str>, Arc<str>);

/// What one entity uses of one thing.
#[derive(Debug)]
pub(super) struct Meter(Mutex<State>);

#[derive(Debug)]
pub(super) enum State {
    Rate(Samples),
    Allowance(Bucket),
}

impl Meter {
    fn new(kind: QuotaKind, options: &QuotaOptions) -> Arc<Self> {
        let state = match kind {
            QuotaKind::Mutations => {
                State::Allowance(Bucket::new(options.mutation_windows, options.mutation_window_ms))
            }
            _ => State::Rate(Samples::new(options.windows, options.window_ms)),
        };
        Arc::new(Self(Mutex::new(state)))
    }

    /// Adds, and says for how many milliseconds to rest.
    pub(super) fn record(&self, amount: f64, limit: f64, now: Millis) -> f64 {
        match &mut *self.0.lock() {
            State::Rate(samples) => samples.record(amount, limit, now),
            State::Allowance(bucket) => bucket.take(amount, limit, now),
        }
    }

    /// Adds, unless too much was used already.
    pub(super) fn try_record(&self, amount: f64, limit: f64, now: Millis) -> Result<(), f64> {
        match &mut *self.0.lock() {
            State::Allowance(bucket) => bucket.try_take(amount, limit, now),
            State::Rate(samples) => samples.try_record(amount, limit, now),
        }
    }

    fn is_idle(&self, now: Millis) -> bool {
        match &*self.0.lock() {
            State::Rate(samples) => samples.is_idle(now),
            State::Allowance(bucket) => bucket.is_idle(now),
        }
    }
}

/// All meters of a broker.
#[derive(Debug, Default)]
pub(crate) struct Meters(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    meters: HashMap<Key, Arc<Meter>>,
    sweep_at: usize,
    swept_at: Millis,
}

impl Meters {
    /// The meter of whoever shares this bound.
    pub(super) fn get(
        &self,
        kind: QuotaKind,
        bound: &Bound,
        options: &QuotaOptions,
        now: Millis,
    ) -> Arc<Meter> {
        let mut all = self.0.lock();
        let key = (kind, Arc::clone(&bound.user), Arc::clone(&bound.client));
        if let Some(meter) = all.meters.get(&key) {
            return Arc::clone(meter);
        }
        let pause = Millis::from(options.window_ms);
        // Going through all of them at each new one would cost more than it frees.
        let may_sweep = all.meters.len() < METERS_MAX || (now - all.swept_at).abs() >= pause;
        if all.meters.len() >= all.sweep_at.max(SWEEP_FROM) && may_sweep {
            all.swept_at = now;
            all.meters.retain(|_, meter| Arc::strong_count(meter) > 1 || !meter.is_idle(now));
            all.sweep_at = (all.meters.len() * 2).clamp(SWEEP_FROM, METERS_MAX);
        }
        // Nobody is called nothing by both names: the key of the shared meter is nobody's own.
        let key = if all.meters.len() >= METERS_MAX { (kind, "".into(), "".into()) } else { key };
        let meter = all.meters.entry(key).or_insert_with(|| Meter::new(kind, options));
        Arc::clone(meter)
    }
}

#[cfg(test)]
impl Meters {
    pub(super) fn len(&self) -> usize {
        self.0.lock().meters.len()
    }
}
