//! How fast connections may come.

use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

use super::entity::QuotaKind;
use super::meter::Samples;
use super::table::Bound;
use crate::Broker;

/// The pace of new connections: of all, by configuration, and of each address, by its quota
/// (KIP-612).
#[derive(Debug)]
pub struct NewConnections {
    broker: Broker,
    /// Connections a second.
    rate: Option<f64>,
    all: Mutex<Samples>,
}

impl Broker {
    /// Measures new connections; `rate` is how many may come in a second, if that is bounded.
    pub fn new_connections(&self, rate: Option<f64>) -> NewConnections {
        let options = &self.options().quotas;
        let all = Mutex::new(Samples::new(options.windows, options.window_ms));
        NewConnections { broker: self.clone(), rate, all }
    }
}

impl NewConnections {
    /// Counts one more; returns how long to wait before the next is accepted.
    pub fn accepted(&self) -> Duration {
        // What was changed since the broker started counts.
        let rate = self.broker.settings().connections.rate.unwrap_or(self.rate);
        let Some(rate) = rate else { return Duration::ZERO };
        let rest = self.all.lock().record(1.0, rate, self.broker.now());
        Duration::try_from_secs_f64(rest / 1000.0).unwrap_or(Duration::MAX)
    }

    /// Whether an address may have one more.
    ///
    /// # Errors
    /// How long it should be left waiting, a window at most.
    pub fn admit(&self, address: IpAddr) -> Result<(), Duration> {
        let metadata = self.broker.metadata();
        if !metadata.quotas.has(QuotaKind::Connections) {
            return Ok(());
        }
        let address = address.to_canonical().to_string();
        let Some(limit) = metadata.quotas.connections_of(&address) else { return Ok(()) };
        let bound = Bound { limit, user: address.into(), client: "".into() };
        let (options, now) = (&self.broker.options().quotas, self.broker.now());
        let meter = self.broker.inner.meters.get(QuotaKind::Connections, &bound, options, now);
        let window = Duration::from_millis(options.window_ms.into());
        meter.try_record(1.0, limit, now).map_err(|rest| {
            Duration::try_from_secs_f64(rest / 1000.0).unwrap_or(window).min(window)
        })
    }
}
