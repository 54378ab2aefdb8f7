//! How fast one address may publish (RFC 8516): so many a second, and as many at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;

/// Addresses that are remembered; then all are forgotten, and begin anew.
const ADDRESSES_MAX: usize = 65_536;

/// What addresses have left.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: Option<NonZeroU32>,
    /// When each has used up what it may, in thousandths of a millisecond.
    until: HashMap<IpAddr, u64>,
}

impl Pace {
    pub(crate) fn new(rate: Option<NonZeroU32>) -> Self {
        Self { rate, until: HashMap::new() }
    }

    /// Takes one more.
    ///
    /// # Errors
    /// In how many seconds there may be one again.
    pub(crate) fn take(&mut self, address: IpAddr, now_ms: u64) -> Result<(), u32> {
        let Some(rate) = self.rate else { return Ok(()) };
        if self.until.len() >= ADDRESSES_MAX {
            self.until.clear();
        }
        let (now, each) = (now_ms * 1000, 1_000_000 / u64::from(rate.get()).min(1_000_000));
        let until = self.until.entry(address).or_insert(now);
        let next = (*until).max(now) + each;
        // A second's worth at once, or one.
        let ahead = next - now;
        if ahead > 1_000_000.max(each) {
            return Err(u32::try_from((ahead - 1_000_000).div_ceil(1_000_000)).unwrap_or(1).max(1));
        }
        *until = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_publish_so_much_a_second() {
        let (one, two) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut pace = Pace::new(NonZeroU32::new(10));
        assert_eq!((0..20).filter(|_| pace.take(one, 5000).is_ok()).count(), 10);
        assert_eq!(pace.take(one, 5050), Err(1));
        assert_eq!(pace.take(one, 5100), Ok(()));
        assert_eq!(pace.take(two, 5100), Ok(()), "another has its own");
        assert_eq!((0..1000).filter(|n| pace.take(two, 6000 + 10 * n).is_ok()).count(), 10 + 99);
        let mut free = Pace::new(None);
        assert!((0..1000).all(|_| free.take(one, 0).is_ok()));
    }
}
