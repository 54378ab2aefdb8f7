//! How much the broker tells of itself in its log, changed while it runs. Who has the log implements
//! this; changes are this process's own and end with it.

use std::fmt::Debug;

/// How much a logger tells; each level tells more than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    Off,
    /// What failed.
    Error,
    /// What may fail soon, or is odd.
    Warn,
    /// What happens seldom.
    Info,
    /// What happens often.
    Debug,
    /// All.
    Trace,
}

/// The logger that all others follow unless they are told otherwise.
pub const ROOT: &str = "root";

/// The parts of the program that tell of themselves, by name.
pub trait Loggers: Debug + Send + Sync {
    /// All of them by name, [`ROOT`] too, with the level in effect.
    fn levels(&self) -> Vec<(String, Level)>;

    /// Whether there is one of this name. There are more than are listed: their parts.
    fn exists(&self, name: &str) -> bool;

    /// Gives loggers a level, or none of their own.
    fn change(&self, changes: &[(String, Option<Level>)]);
}

/// Where nobody has a log: there are no loggers.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLoggers;

impl Loggers for NoLoggers {
    fn levels(&self) -> Vec<(String, Level)> {
        Vec::new()
    }

    fn exists(&self, _: &str) -> bool {
        false
    }

    fn change(&self, _: &[(String, Option<Level>)]) {}
}
