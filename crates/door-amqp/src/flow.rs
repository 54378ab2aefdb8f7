//! What went through channels, for those who look. Each counter of a channel has one task that writes it, so none of them
//! needs more than a load and a store.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a channel's client published and acknowledged. What was delivered to it is counted where that is done.
#[derive(Debug, Default)]
pub(crate) struct ChannelFlow {
    pub(crate) published: Counter,
    pub(crate) confirmed: Counter,
    /// Nobody took them, and the client has them back.
    pub(crate) returned: Counter,
    /// Nobody took them.
    pub(crate) dropped: Counter,
    pub(crate) accepted: Counter,
}

/// A counter that one task writes, and any may read.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.store(self.get() + more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the channels of a virtual host counted together, those that are gone included, and queues and exchanges do not.
#[derive(Debug, Default)]
pub(crate) struct HostFlow {
    pub(crate) confirmed: AtomicU64,
    pub(crate) returned: AtomicU64,
    pub(crate) dropped: AtomicU64,
}
