//! How much room there is.

use std::path::Path;

/// The disk that a folder lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// Its size in bytes.
    pub total: u64,
    /// What this process may still use of it, in bytes.
    pub free: u64,
}

impl DiskSpace {
    /// Asks the system.
    ///
    /// # Errors
    /// When the folder is not there, or its file system does not say.
    pub fn of(folder: &Path) -> std::io::Result<Self> {
        let stat = rustix::fs::statvfs(folder)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Self { total: bytes(stat.f_blocks), free: bytes(stat.f_bavail) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_a_disk_and_what_is_not_there_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let space = DiskSpace::of(folder.path()).unwrap();
        assert!(space.total > 0 && space.free <= space.total, "{space:?}");
        assert!(DiskSpace::of(&folder.path().join("none")).is_err());
    }
}
