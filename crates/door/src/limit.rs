//! The bounds on connections, shared by all listeners of a broker: how many may be open, of all and
//! of one address, and how fast they may come.

use std::collections::HashMap;
use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
    permits: Arc<Semaphore>,
    max: usize,
    addresses: Option<Arc<Addresses>>,
    pace: Option<Arc<dyn Pace>>,
}

/// The connections of each address that has any: as many entries as there are connections, at
/// most.
#[derive(Debug)]
struct Addresses {
    max: usize,
    overrides: HashMap<IpAddr, usize>,
    open: Mutex<HashMap<IpAddr, usize>>,
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
    _one_of_all: OwnedSemaphorePermit,
    _one_of_address: Option<AddressPermit>,
}

#[derive(Debug)]
struct AddressPermit {
    addresses: Arc<Addresses>,
    address: IpAddr,
}

impl ConnectionLimit {
    /// Allows `max` connections, see [`base::limits::CONNECTIONS_MAX`].
    pub fn new(max: usize) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(max)), max, addresses: None, pace: None }
    }

    /// Allows each address so many of them, and some addresses another number.
    #[must_use]
    pub fn with_addresses(mut self, max: usize, overrides: HashMap<IpAddr, usize>) -> Self {
        let overrides = overrides.into_iter().map(|(address, max)| (address.to_canonical(), max));
        let addresses = Addresses { max, overrides: overrides.collect(), open: Mutex::default() };
        // Without a bound nobody needs to count.
        let is_bounded = max < self.max || !addresses.overrides.is_empty();
        self.addresses = is_bounded.then(|| Arc::new(addresses));
        self
    }

    /// Has them come no faster than this.
    #[must_use]
    pub fn with_pace(mut self, pace: Arc<dyn Pace>) -> Self {
        self.pace = Some(pace);
        self
    }

    /// The most connections that may be open.
    pub fn max(&self) -> usize {
        self.max
    }

    /// The connections open now.
    pub fn open(&self) -> usize {
        self.max.saturating_sub(self.permits.available_permits())
    }

    /// A permit to keep for as long as the connection lives.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<Permit, Refusal> {
        let address = address.to_canonical();
        let one_of_all = Arc::clone(&self.permits).try_acquire_owned();
        let one_of_all = one_of_all.map_err(|_| Refusal::All(self.max))?;
        let one_of_address = match &self.addresses {
            Some(addresses) => Some(addresses.enter(address)?),
            None => None,
        };
        if let Some(pace) = &self.pace {
            pace.admit(address).map_err(Refusal::Pace)?;
        }
        Ok(Permit { _one_of_all: one_of_all, _one_of_address: one_of_address })
    }

    /// How long to wait before the next connection is accepted.
    pub(crate) fn pause(&self) -> Duration {
        self.pace.as_ref().map_or(Duration::ZERO, |pace| pace.pause())
    }
}

impl Addresses {
    fn enter(self: &Arc<Self>, address: IpAddr) -> Result<AddressPermit, Refusal> {
        let max = self.overrides.get(&address).copied().unwrap_or(self.max);
        let mut open = self.open.lock();
        let count = open.get(&address).copied().unwrap_or(0);
        if count >= max {
            return Err(Refusal::Address(max));
        }
        open.insert(address, count + 1);
        Ok(AddressPermit { addresses: Arc::clone(self), address })
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let mut open = self.addresses.open.lock();
        match open.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&self.address)),
        }
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
        let limit = ConnectionLimit::new(10).with_addresses(2, [(two, 1)].into());
        let held = [limit.admit(one).unwrap(), limit.admit(address("::ffff:10.0.0.1")).unwrap()];
        assert_eq!(limit.admit(one).unwrap_err(), Refusal::Address(2));
        let other = limit.admit(two).unwrap();
        assert_eq!(limit.admit(two).unwrap_err(), Refusal::Address(1));
        assert_eq!(limit.open(), 3, "what was refused holds nothing");
        drop(held);
        drop(other);
        assert!(limit.admit(one).is_ok());
        let addresses = limit.addresses.as_ref().unwrap();
        assert!(addresses.open.lock().is_empty(), "nobody is remembered who has none");
    }

    #[test]
    fn all_together_have_a_limit_too() {
        let limit = ConnectionLimit::new(1).with_addresses(5, HashMap::new());
        assert!(limit.addresses.is_none(), "no address can have more than there are");
        let held = limit.admit(address("::1")).unwrap();
        assert_eq!(limit.admit(address("::2")).unwrap_err(), Refusal::All(1));
        drop(held);
        assert!(limit.admit(address("::2")).is_ok());
    }
}
