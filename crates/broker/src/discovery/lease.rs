//! Leases: who owns instances, and until when without a word.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use base::BrokerId;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::{Discovery, DiscoveryError};
use crate::metadata::Metadata;

/// Shortest lease.
pub const LEASE_MIN: Duration = Duration::from_secs(1);
/// Longest lease.
pub const LEASE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The form of a lease's number: no session that a client opens itself has it, and no broker's.
const FORM: i64 = 0x0200_0000_0000_0000;
const FORM_MASK: i64 = !0x00ff_ffff_ffff_ffff;

/// Leases are looked at no more often than this.
const GRAIN: Duration = Duration::from_millis(100);
/// … and no less often.
const LOOK: Duration = Duration::from_secs(10);

/// Whether a session of the registry is a lease.
pub fn is_lease(number: i64) -> bool {
    number & FORM_MASK == FORM
}

/// A number for a lease, by chance.
pub(super) fn number(random: u64) -> i64 {
    (random.cast_signed() & !FORM_MASK) | FORM
}

/// A lease.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub(super) secret: [u8; 16],
    pub(super) timeout: Duration,
    /// The broker that looks after it.
    pub(super) broker: BrokerId,
    /// It ends then.
    pub(super) until: Instant,
}

/// What its owner shows to renew a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseKey {
    pub(super) number: i64,
    pub(super) secret: [u8; 16],
}

impl LeaseKey {
    /// As bytes that clients keep.
    pub fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        let (number, secret) = bytes.split_at_mut(8);
        number.copy_from_slice(&self.number.to_be_bytes());
        secret.copy_from_slice(&self.secret);
        bytes
    }

    /// From these.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (number, secret) = bytes.split_first_chunk::<8>()?;
        Some(Self { number: i64::from_be_bytes(*number), secret: secret.try_into().ok()? })
    }
}

/// What an instance says of its load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reported {
    /// What it is busy with, of which this broker knows nothing.
    pub in_flight: Option<u32>,
    /// How long it takes lately, in microseconds.
    pub response_us: Option<u64>,
}

impl Discovery {
    /// Renews a lease; returns how long it lasts from now. What its owner says of the load counts for its instances.
    ///
    /// # Errors
    /// [`DiscoveryError::NoLease`], [`DiscoveryError::Unavailable`].
    pub async fn renew(
        self: &Arc<Self>,
        key: LeaseKey,
        reported: Reported,
    ) -> Result<Duration, DiscoveryError> {
        self.catch_up().await?;
        let mut state = self.state.lock();
        let lease = state.directory.leases.get_mut(&key.number);
        let lease = lease.filter(|lease| lease.secret == key.secret);
        let lease = lease.ok_or(DiscoveryError::NoLease)?;
        let now = Instant::now();
        if lease.until <= now {
            // Its end is being written.
            return Err(DiscoveryError::NoLease);
        }
        lease.until = now + lease.timeout;
        let timeout = lease.timeout;
        state.report(key.number, reported);
        Ok(timeout)
    }

    /// The leases that are over, and when to look again.
    fn expired(&self) -> (Vec<i64>, Instant) {
        let now = Instant::now();
        let state = self.state.lock();
        let own = self.registry.broker();
        let own = state.directory.leases.iter().filter(|(_, lease)| lease.broker == own);
        let (mut over, mut next) = (Vec::new(), now + LOOK);
        for (number, lease) in own {
            match lease.until <= now {
                true => over.push(*number),
                false => next = next.min(lease.until),
            }
        }
        (over, next.max(now + GRAIN))
    }
}

/// Ends leases whose time is over, and tells those who watch of changes, as long as somebody may ask.
pub(super) fn tend(
    discovery: Weak<Discovery>,
    metadata: watch::Receiver<Arc<Metadata>>,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    // Boxed: it calls what begins it.
    Box::pin(run(discovery, metadata))
}

async fn run(discovery: Weak<Discovery>, mut metadata: watch::Receiver<Arc<Metadata>>) {
    loop {
        let Some(this) = discovery.upgrade() else { return };
        if !this.look()
            && let Err(error) = this.open().await
        {
            tracing::warn!(%error, "cannot read the registry");
        }
        let (over, next) = this.expired();
        for number in over {
            if let Err(error) = this.end_lease(number).await {
                tracing::warn!(%error, "a lease that is over cannot be ended yet");
            }
        }
        let sooner = this.leases.notified();
        tokio::select! {
            () = sleep_until(next) => {}
            () = sooner => {}
            // The broker stops.
            changed = metadata.changed() => if changed.is_err() { return },
        }
    }
}
