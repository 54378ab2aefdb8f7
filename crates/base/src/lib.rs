//! The words that every other crate shares: ids, limits, error kinds, time and randomness.
//!
//! No I/O, no async, no protocol. A change here rebuilds everything above, so it stays small.

mod clock;
mod credential;
mod error;
mod ids;
pub mod limits;
mod principal;
mod random;

pub use clock::{Clock, ManualClock, Millis, SystemClock};
pub use credential::{Credential, PasswordHash};
pub use error::ErrorKind;
pub use ids::{BrokerId, LogId, Offset, TopicId};
pub use principal::Principal;
pub use random::{Random, SystemRandom};
