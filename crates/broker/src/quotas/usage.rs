//! What one connection uses.

use std::sync::Arc;

use base::Principal;
use parking_lot::Mutex;

use super::entity::QuotaKind;
use super::meters::Meter;
use super::table::Quotas;
use crate::Broker;

/// What one connection uses, and what it may. Clones share what they remember.
#[derive(Debug, Clone)]
pub struct Usage {
    broker: Broker,
    user: Arc<str>,
    /// The client that was asked for last, which is mostly the only one of a connection.
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    quotas: Arc<Quotas>,
    client: Arc<str>,
    bounds: [Option<(f64, Arc<Meter>)>; QuotaKind::ALL.len()],
}

impl Broker {
    /// What a connection of this principal uses.
    pub fn usage(&self, principal: &Principal) -> Usage {
        let user = Arc::clone(&principal.name);
        Usage { broker: self.clone(), user, known: Arc::default() }
    }
}

impl Usage {
    /// Whether anybody has a quota of this kind; if not, nobody needs to measure.
    pub fn is_bounded(&self, kind: QuotaKind) -> bool {
        self.broker.inner.metadata.borrow().quotas.has(kind)
    }

    /// Counts what a client of this connection used. Returns the milliseconds for which it must
    /// rest.
    pub fn record(&self, client: &str, kind: QuotaKind, amount: f64) -> u32 {
        let Some((limit, meter)) = self.bound(client, kind) else { return 0 };
        let rest = meter.record(amount, limit, self.broker.now());
        // Time comes evenly, so that a window of rest is enough; and whoever uses too much of it
        // must not be kept from its heartbeats.
        let most = match kind {
            QuotaKind::RequestTime => self.broker.options().quotas.window_ms,
            _ => u32::MAX,
        };
        millis(rest).min(most)
    }

    /// Counts what a client wants to use, unless it has used too much already.
    ///
    /// # Errors
    /// The milliseconds until it may try again.
    pub fn try_record(&self, client: &str, kind: QuotaKind, amount: f64) -> Result<(), u32> {
        let Some((limit, meter)) = self.bound(client, kind) else { return Ok(()) };
        meter.try_record(amount, limit, self.broker.now()).map_err(millis)
    }

    /// The most that a client may use at once without exceeding its quota by that alone, if it
    /// has one.
    pub fn most_at_once(&self, client: &str, kind: QuotaKind) -> Option<f64> {
        let (limit, _) = self.bound(client, kind)?;
        let options = &self.broker.options().quotas;
        let windows = options.windows.saturating_sub(1).max(1);
        Some(limit * f64::from(windows) * f64::from(options.window_ms) / 1000.0)
    }

    fn bound(&self, client: &str, kind: QuotaKind) -> Option<(f64, Arc<Meter>)> {
        let mut known = self.known.lock();
        {
            let metadata = self.broker.inner.metadata.borrow();
            if !metadata.quotas.has(kind) {
                return None;
            }
            if !Arc::ptr_eq(&metadata.quotas, &known.quotas) || *known.client != *client {
                let quotas = Arc::clone(&metadata.quotas);
                *known = Known { quotas, client: client.into(), ..Known::default() };
                drop(metadata);
                known.look_up(&self.broker, &self.user);
            }
        }
        known.bounds.get(kind as usize)?.clone()
    }
}

impl Known {
    fn look_up(&mut self, broker: &Broker, user: &Arc<str>) {
        let (options, now) = (&broker.options().quotas, broker.now());
        for (kind, place) in QuotaKind::ALL.iter().zip(&mut self.bounds) {
            let bound = self.quotas.bound(*kind, user, &self.client);
            *place = bound
                .map(|bound| (bound.limit, broker.inner.meters.get(*kind, &bound, options, now)));
        }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float saturates, which is what is wanted"
)]
fn millis(ms: f64) -> u32 {
    ms.ceil() as u32
}
