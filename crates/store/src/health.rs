//! Whether the store may still acknowledge. Poisoned by the first failed write or sync: after a
//! failed fsync nobody knows what is on the disk, so nothing is acknowledged until a restart has
//! read it back.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::error::AppendError;

/// The store's health, shared by its threads.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failed: AtomicBool,
    full: AtomicBool,
    reason: Mutex<String>,
}

impl Health {
    /// Stops all acknowledgement.
    pub(crate) fn poison(&self, what: &str, error: &std::io::Error) {
        let reason = format!("{what}: {error}");
        if !self.failed.swap(true, Ordering::AcqRel) {
            tracing::error!(%reason, "storage failed; nothing is acknowledged any more");
            *self.reason.lock() = reason;
        }
    }

    /// Notes that the disk is full, or no longer.
    pub(crate) fn set_full(&self, full: bool) {
        if self.full.swap(full, Ordering::AcqRel) != full {
            if full {
                tracing::error!("the disk is full; appends are refused until there is room");
            } else {
                tracing::info!("there is room on the disk again");
            }
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// The error that an append must be answered with, if any.
    pub(crate) fn check(&self) -> Result<(), AppendError> {
        if self.failed.load(Ordering::Acquire) {
            return Err(AppendError::Failed(self.reason.lock().clone()));
        }
        Ok(())
    }
}

/// The error says that there is no room, which can pass.
pub(crate) fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}
