//! Values for the Echo option (RFC 9175 §2): whoever returns one has received it at that address, and not long ago.
//!
//! A value is the time that it was made, and a keyed hash of that and the address: nothing has to be remembered.

use std::net::SocketAddr;

use base::Random;
use bytes::Bytes;
use ring::hmac;

use crate::limits::ECHO_LIFETIME_MS;

/// Bytes of the hash that are sent.
const HASH_BYTES: usize = 8;

/// Makes values and knows them again.
#[derive(Debug)]
pub(crate) struct Echo(hmac::Key);

impl Echo {
    /// With a key of its own: what was made before a restart is not known any more.
    pub(crate) fn new(random: &dyn Random) -> Self {
        let mut key = [0; 32];
        random.fill(&mut key);
        Self(hmac::Key::new(hmac::HMAC_SHA256, &key))
    }

    /// A value for a client.
    pub(crate) fn value(&self, peer: SocketAddr, now: u64) -> Bytes {
        let time = now.to_be_bytes();
        let hash = self.hash(peer, time);
        let hash = hash.as_ref().get(..HASH_BYTES).unwrap_or_default();
        [&time[..], hash].concat().into()
    }

    /// Whether a client returned a value that is good.
    pub(crate) fn is_good(&self, peer: SocketAddr, value: &[u8], now: u64) -> bool {
        let Some((time, hash)) = value.split_first_chunk::<8>() else { return false };
        let made = u64::from_be_bytes(*time);
        let is_new = made <= now && now - made <= ECHO_LIFETIME_MS;
        let wanted = self.hash(peer, *time);
        let wanted = wanted.as_ref().get(..HASH_BYTES).unwrap_or_default();
        // In a time that does not say how much of it is right.
        is_new
            && hash.len() == HASH_BYTES
            && hash.iter().zip(wanted).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
    }

    fn hash(&self, peer: SocketAddr, time: [u8; 8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&time);
        match peer {
            SocketAddr::V4(address) => context.update(&address.ip().octets()),
            SocketAddr::V6(address) => context.update(&address.ip().octets()),
        }
        context.update(&peer.port().to_be_bytes());
        context.sign()
    }
}

#[cfg(test)]
mod tests {
    use base::SystemRandom;

    use super::*;

    #[test]
    fn a_value_is_good_for_a_while_and_for_who_got_it() {
        let echo = Echo::new(&SystemRandom);
        let (one, two) = (([10, 0, 0, 1], 1).into(), ([10, 0, 0, 1], 2).into());
        let value = echo.value(one, 1000);
        assert!(value.len() <= 40, "RFC 9175 §2.2.1");
        assert!(echo.is_good(one, &value, 1000));
        assert!(echo.is_good(one, &value, 1000 + ECHO_LIFETIME_MS));
        assert!(!echo.is_good(one, &value, 1001 + ECHO_LIFETIME_MS));
        assert!(!echo.is_good(one, &value, 999), "made later");
        assert!(!echo.is_good(two, &value, 1000));
        assert!(!Echo::new(&SystemRandom).is_good(one, &value, 1000));
        let mut other = value.to_vec();
        other[7] ^= 1;
        assert!(!echo.is_good(one, &other, 1000));
        assert!(!echo.is_good(one, &value[..15], 1000) && !echo.is_good(one, b"", 1000));
    }
}
