//! The bounds on connections, shared by all listeners of a broker: how many may be open, of all and
//! of one address, and how fast they may come.

use std::collections::HashMap;
use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

/// How fast connections may come. Measured by whoever has a clock for it.
pub trait Pace: Send + Sync + Debug {
    /// A connection was accepted: how long to wait before the next one is.
    fn pause(&self) -> Duration;

    /// A connection from this address wants to be served.
    ///
    /// # Errors
    /// How long it is to be left waiting before it is closed, so that it does not come back at
    /// once.
    fn admit(&self, address: IpAddr) -> Result<(), Duration>;
}

/// How many connections may be open at once, and how fast they may come. Clones share one count,
/// so one value handed to every listener bounds the whole broker.
#[derive(Debug, Clone)]
pub struct ConnectionLimit {
    state: Arc<Mutex<State>>,
    pace: Option<Arc<dyn Pace>>,
}

/// Locked for a moment when a connection begins and when it ends.
#[derive(Debug)]
struct State {
    bounds: Bounds,
    open: usize,
    /// The connections of each address that has any: as many entries as there are connections, at
    /// most.
    addresses: HashMap<IpAddr, usize>,
}

/// The bounds themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Connections of all together.
    pub max: usize,
    /// Connections of one address.
    pub per_address: usize,
    /// Addresses that may have another number.
    pub overrides: HashMap<IpAddr, usize>,
}

/// Why a connection is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// So many are open.
    All(usize),
    /// The address has so many open.
    Address(usize),
    /// The address makes connections too fast; this one is to be left waiting for so long.
    Pace(Duration),
}

/// What a connection holds for as long as it lives.
#[derive(Debug)]
pub(crate) struct Permit {
    state: Arc<Mutex<State>>,
    address: IpAddr,
}

impl Bounds {
    /// So many of all, which one address may have, too.
    pub fn of_all(max: usize) -> Self {
        Self { max, per_address: usize::MAX, overrides: HashMap::new() }
    }
}

impl ConnectionLimit {
    /// Allows `max` connections, see [`base::limits::CONNECTIONS_MAX`].
    pub fn new(max: usize) -> Self {
        Self::within(Bounds::of_all(max))
    }

    /// Allows what these bounds allow.
    pub fn within(bounds: Bounds) -> Self {
        let state = State { bounds: Bounds::of_all(0), open: 0, addresses: HashMap::new() };
        let limit = Self { state: Arc::new(Mutex::new(state)), pace: None };
        limit.set(bounds);
        limit
    }

    /// Changes the bounds, for all who share them. Nobody is sent away who is there already.
    pub fn set(&self, bounds: Bounds) {
        let overrides = bounds.overrides.into_iter();
        let overrides = overrides.map(|(address, max)| (address.to_canonical(), max)).collect();
        self.state.lock().bounds = Bounds { overrides, ..bounds };
    }

    /// Has them come no faster than this.
    #[must_use]
    pub fn with_pace(mut self, pace: Arc<dyn Pace>) -> Self {
        self.pace = Some(pace);
        self
    }

    /// The most connections that may be open.
    pub fn max(&self) -> usize {
        self.state.lock().bounds.max
    }

    /// The connections open now.
    pub fn open(&self) -> usize {
        self.state.lock().open
    }

    /// A permit to keep for as long as the connection lives.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<Permit, Refusal> {
        let address = address.to_canonical();
        self.state.lock().enter(address)?;
        let permit = Permit { state: Arc::clone(&self.state), address };
        if let Some(pace) = &self.pace {
            pace.admit(address).map_err(Refusal::Pace)?;
        }
        Ok(permit)
    }

    /// How long to wait before the next connection is accepted.
    pub(crate) fn pause(&self) -> Duration {
        self.pace.as_ref().map_or(Duration::ZERO, |pace| pace.pause())
    }
}

impl State {
    fn enter(&mut self, address: IpAddr) -> Result<(), Refusal> {
        let bounds = &self.bounds;
        if self.open >= bounds.max {
            return Err(Refusal::All(bounds.max));
        }
        let max = bounds.overrides.get(&address).copied().unwrap_or(bounds.per_address);
        let count = self.addresses.get(&address).copied().unwrap_or(0);
        if count >= max {
            return Err(Refusal::Address(max));
        }
        self.addresses.insert(address, count + 1);
        self.open += 1;
        Ok(())
    }

    fn leave(&mut self, address: IpAddr) {
        self.open = self.open.saturating_sub(1);
        match self.addresses.get_mut(&address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.addresses.remove(&address)),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.state.lock().leave(self.address);
    }
}

impl Default for ConnectionLimit {
    fn default() -> Self {
        Self::new(base::limits::CONNECTIONS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_share_whatever_the_form_of_its_name() {
        let (one, two) = (address("10.0.0.1"), address("10.0.0.2"));
        let bounds = Bounds { max: 10, per_address: 2, overrides: [(two, 1)].into() };
        let limit = ConnectionLimit::within(bounds);
        let held = [limit.admit(one).unwrap(), limit.admit(address("::ffff:10.0.0.1")).unwrap()];
        assert_eq!(limit.admit(one).unwrap_err(), Refusal::Address(2));
        let other = limit.admit(two).unwrap();
        assert_eq!(limit.admit(two).unwrap_err(), Refusal::Address(1));
        assert_eq!(limit.open(), 3, "what was refused holds nothing");
        drop(held);
        drop(other);
        assert!(limit.admit(one).is_ok());
        assert!(limit.state.lock().addresses.is_empty(), "nobody is remembered who has none");
    }

    #[test]
    fn all_together_have_a_limit_too() {
        let limit = ConnectionLimit::new(1);
        let held = limit.admit(address("::1")).unwrap();
        assert_eq!(limit.admit(address("::2")).unwrap_err(), Refusal::All(1));
        drop(held);
        assert!(limit.admit(address("::2")).is_ok());
    }

    #[test]
    fn changed_bounds_count_for_those_who_come_and_send_nobody_away() {
        let limit = ConnectionLimit::new(3);
        let (shared, one) = (limit.clone(), address("10.0.0.1"));
        let mut held = vec![limit.admit(one).unwrap(), limit.admit(one).unwrap()];
        shared.set(Bounds::of_all(1));
        assert_eq!((limit.open(), limit.max()), (2, 1));
        assert_eq!(limit.admit(one).unwrap_err(), Refusal::All(1));
        drop(held.pop());
        assert_eq!(limit.admit(one).unwrap_err(), Refusal::All(1));
        shared.set(Bounds { per_address: 1, ..Bounds::of_all(5) });
        assert_eq!(limit.admit(one).unwrap_err(), Refusal::Address(1));
        let mapped = address("::ffff:10.0.0.1");
        let overrides = [(mapped, 2)].into();
        shared.set(Bounds { per_address: 1, overrides, ..Bounds::of_all(5) });
        held.push(limit.admit(one).unwrap());
        drop(held);
        assert_eq!(limit.open(), 0);
    }
}
