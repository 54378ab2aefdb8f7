//! What the door counts: of all connections together, for who watches it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use broker::observe::Counter;
use door::DoorFigures;

use crate::wire::header::{Header, Kind};

/// A number that only grows; some of them others see, too.
#[derive(Debug, Default, Clone)]
pub(crate) struct Count(Arc<Counter>);

impl Count {
    pub(crate) fn add(&self, more: usize) {
        if more > 0 {
            self.0.add_len(more);
        }
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.get()
    }
}

/// Packets, messages and bytes in one direction.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) bytes: Count,
    pub(crate) packets: Count,
    pub(crate) publishes: Count,
    /// Bytes of packets that carry messages, but for their headers.
    pub(crate) publish_bytes: Count,
}

/// All that is counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) received: Traffic,
    pub(crate) sent: Traffic,
    /// Messages of QoS 0 that there was no room for, and others that ends with their connections.
    pub(crate) dropped: Count,
    /// Connections that ever were accepted …
    pub(crate) sockets: Count,
    /// … and clients that were let in.
    pub(crate) connections: Count,
    connected: AtomicU64,
    connected_max: AtomicU64,
}

impl Counts {
    /// Those that every door has are the door's figures.
    pub(crate) fn new(figures: &DoorFigures) -> Self {
        let count = |counter: &Arc<Counter>| Count(Arc::clone(counter));
        let traffic = |messages, bytes| Traffic {
            publishes: count(messages),
            publish_bytes: count(bytes),
            ..Traffic::default()
        };
        Self {
            received: traffic(&figures.received_messages, &figures.received_bytes),
            sent: traffic(&figures.delivered_messages, &figures.delivered_bytes),
            dropped: count(&figures.dropped_messages),
            ..Self::default()
        }
    }

    /// A client was let in.
    pub(crate) fn enter(&self) {
        self.connections.add(1);
        let now = self.connected.fetch_add(1, Ordering::Relaxed) + 1;
        self.connected_max.fetch_max(now, Ordering::Relaxed);
    }

    /// A client is gone.
    pub(crate) fn leave(&self) {
        self.connected.fetch_sub(1, Ordering::Relaxed);
    }

    /// Clients that are connected, and the most that ever were.
    pub(crate) fn connected(&self) -> (u64, u64) {
        (self.connected.load(Ordering::Relaxed), self.connected_max.load(Ordering::Relaxed))
    }
}

/// What has come or goes together, before it is added to what all count.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    packets: usize,
    publishes: usize,
    publish_bytes: usize,
}

impl Tally {
    /// Counts a packet.
    #[inline]
    pub(crate) fn note(&mut self, header: &Header) {
        self.packets += 1;
        if header.kind == Kind::Publish {
            self.publishes += 1;
            self.publish_bytes += header.remaining;
        }
    }

    /// Of whole packets.
    pub(crate) fn of(mut bytes: &[u8]) -> Self {
        let mut tally = Self::default();
        while let Ok(Some(header)) = Header::decode(bytes, usize::MAX) {
            tally.note(&header);
            bytes = bytes.get(header.total()..).unwrap_or_default();
        }
        tally
    }
}

impl Traffic {
    pub(crate) fn add(&self, tally: Tally) {
        self.packets.add(tally.packets);
        self.publishes.add(tally.publishes);
        self.publish_bytes.add(tally.publish_bytes);
    }
}
