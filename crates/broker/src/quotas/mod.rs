//! How much of the broker somebody may use: quotas, for all doors (KIP-13, 55, 124, 546, 599, 612).
//!
//! A quota is set for a user, a client, a client of a user, or an address, each by name or by
//! default, and stands in the metadata store. Usage is measured on each broker by itself: a
//! [`Usage`], which one connection holds, adds to the [`Meters`] that all connections of the same
//! entity share, and says for how long the connection must rest so that the entity's rate falls
//! back to what it may have.

mod connections;
mod entity;
mod meter;
mod meters;
pub(crate) mod stored;
mod table;
#[cfg(test)]
mod tests;
mod usage;

pub use connections::NewConnections;
pub use entity::{Entity, Name, QuotaKind};
pub use meter::{Bucket, Samples};
pub(crate) use meters::Meters;
pub use table::Quotas;
pub use usage::Usage;

/// Most entities that have quotas.
pub const QUOTAS_MAX: usize = 10_000;

/// How usage is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaOptions {
    /// Rates of bytes and time are means over so many windows (`quota.window.num`).
    pub windows: u32,
    /// Length of each window (`quota.window.size.seconds`).
    pub window_ms: u32,
    /// An entity that rested may make changes of so many windows at once
    /// (`controller.quota.window.num`).
    pub mutation_windows: u32,
    /// Length of each window (`controller.quota.window.size.seconds`).
    pub mutation_window_ms: u32,
}

impl Default for QuotaOptions {
    fn default() -> Self {
        Self { windows: 11, window_ms: 1000, mutation_windows: 11, mutation_window_ms: 1000 }
    }
}
