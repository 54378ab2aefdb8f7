//! From a configuration to a running broker, and to its end.

pub mod config;

/// Why a broker could not be run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The parts are there, but nothing puts them together yet.
    #[error("this build cannot serve yet: storage, broker and doors are not joined")]
    NotJoined,
}

/// Runs a broker until it is asked to stop.
///
/// # Errors
///
/// Why it could not start, or had to stop.
pub fn run(config: config::Config) -> Result<(), RunError> {
    drop(config);
    Err(RunError::NotJoined)
}
