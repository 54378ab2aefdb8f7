//! Whether the store may still acknowledge. Poisoned by the first failed write or sync: after a
//! failed fsync nobody knows what is on the disk, so nothing is acknowledged until a restart has
//! read it back.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::error::AppendError;

/// What can find the disk full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The write-ahead log.
    Log,
    /// Segments and the checkpoint.
    Segments,
}

/// The store's health, shared by its threads.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failed: AtomicBool,
    /// The write-ahead log found no room, or the segments did.
    full: [AtomicBool; 2],
    reason: Mutex<String>,
}

impl Health {
    /// Stops all acknowledgement.
    pub(crate) fn poison(&self, what: &str, error: &std::io::Error) {
        let reason = format!("{what}: {error}");
        let mut known = self.reason.lock();
        if !self.failed.swap(true, Ordering::AcqRel) {
            tracing::error!(%reason, "storage failed; nothing is acknowledged any more");
            *known = reason;
        }
    }

    /// Notes that the disk is full, or no longer.
    pub(crate) fn set_full(&self, part: Part, full: bool) {
        let was = self.is_full();
        let [log, segments] = &self.full;
        let of_part = match part {
            Part::Log => log,
            Part::Segments => segments,
        };
        of_part.store(full, Ordering::Release);
        if self.is_full() != was {
            if full {
                tracing::error!("the disk is full; appends are refused until there is room");
            } else {
                tracing::info!("there is room on the disk again");
            }
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.full.iter().any(|full| full.load(Ordering::Acquire))
    }

    /// The error that an append must be answered with, if any.
    pub(crate) fn check(&self) -> Result<(), AppendError> {
        if self.failed.load(Ordering::Acquire) {
            return Err(AppendError::Failed(self.reason.lock().clone()));
        }
        Ok(())
    }
}

/// The error says that the process or the machine is short of something other than disk, which
/// can pass, and that nothing was written.
pub(crate) fn is_shortage(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| [Errno::MFILE, Errno::NFILE, Errno::NOMEM].contains(&errno))
}

/// The error says that there is no room, which can pass.
pub(crate) fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}
