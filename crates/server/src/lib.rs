//! From a configuration to a running broker, and to its end.

pub mod config;
