//! The words that every other crate shares: ids, limits, error kinds; and what a simulation has to
//! replace: time, randomness, files, threads.
//!
//! No async, no protocol, and no I/O but the thin cover of `disk`. A change here rebuilds everything above, so it stays small.

mod clock;
mod credential;
pub mod disk;
mod error;
mod ids;
pub mod limits;
pub mod planted;
mod principal;
mod random;
pub mod subject;
pub mod threads;

pub use clock::{Clock, ManualClock, Millis, SystemClock};
pub use credential::{Credential, PasswordHash};
pub use disk::Disk;
pub use error::ErrorKind;
pub use ids::{BrokerId, LogId, Offset, TopicId};
pub use principal::Principal;
pub use random::{Random, SystemRandom};
pub use subject::{Filter, Subject};
pub use threads::Threads;
