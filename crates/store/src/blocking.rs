//! Work that takes its time, on a thread that may.

use std::io;

use base::Disk;

/// Does work on a thread that may block; at once if the disk is a simulation's, which never does.
///
/// # Errors
/// When the work panicked, or the runtime is shutting down.
pub(crate) async fn blocking<T: Send + 'static>(
    disk: &Disk,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    match disk {
        Disk::System => tokio::task::spawn_blocking(work).await.map_err(io::Error::other),
        Disk::Simulated(_) => Ok(work()),
    }
}
