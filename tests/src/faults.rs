//! A disk and a clock that misbehave while the broker runs: `tests/native/faults.c` is preloaded
//! into it and looks, at each call, at what this writes.

use std::fs;
use std::path::PathBuf;

use crate::Serve;

/// What is wrong with one broker's machine.
#[derive(Debug)]
pub struct Faults {
    control: PathBuf,
}

/// What is wrong at the moment; the default is nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Misbehave {
    /// Syncs fail with this error number, and sync nothing. 0: they do not fail.
    pub sync_errno: i32,
    /// Syncs take so many milliseconds longer.
    pub sync_delay_ms: i32,
    /// Writes to files fail with this error number, and write nothing. 0: they do not fail.
    pub write_errno: i32,
    /// The same, of those only that need more room than the file system has given the file before.
    pub growth_errno: i32,
    /// The clock of the day is so many milliseconds ahead (or behind).
    pub clock_ms: i64,
}

impl Faults {
    /// Prepares the broker that will be started. Comes before [`crate::PowerCut::watch`], which then
    /// does not see what failed here.
    ///
    /// # Panics
    /// When there is no C compiler.
    pub fn prepare(serve: Serve) -> (Serve, Self) {
        let this = Self { control: serve.home().join("faults") };
        this.set(Misbehave::default());
        let control = this.control.to_str().expect("the path is UTF-8").to_owned();
        (serve.preload("faults").env("FAULTS_CONTROL", &control), this)
    }

    /// Takes effect at the broker's next call.
    ///
    /// # Panics
    /// When it cannot be noted.
    pub fn set(&self, what: Misbehave) {
        let Misbehave { sync_errno, sync_delay_ms, write_errno, growth_errno, clock_ms } = what;
        let mut bytes = Vec::new();
        for number in [sync_errno, sync_delay_ms, write_errno, growth_errno] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend(clock_ms.to_ne_bytes());
        // In place: the broker has mapped this very file.
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(&self.control);
        file.and_then(|file| std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0))
            .expect("the folder is writable");
    }
}
