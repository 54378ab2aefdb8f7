//! What the operating system must allow.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Fewer open files than this are worth a warning: each connection and each segment in use is one.
const OPEN_FILES_WANTED: u64 = 8_192;

/// Raises the limit on open files as far as the system lets us; returns what it is then.
pub(crate) fn raise_open_files() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "cannot raise the limit on open files");
        }
    }
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if allowed < OPEN_FILES_WANTED {
        tracing::warn!(allowed, "few files may be open; raise LimitNOFILE or ulimit -n");
    }
    allowed
}
