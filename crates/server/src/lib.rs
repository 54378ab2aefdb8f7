//! From a configuration to a running broker, and to its end.

mod build;
pub mod config;
mod limits;
mod logging;
mod otlp;
mod process;
mod run;
mod security;
mod settings;

pub use run::{RunError, run};
pub use security::SecurityError;
