//! How the door behaves, as far as that is configured.

use std::time::Duration;

use crate::limits::{CALLS_MAX, KEEP_ALIVE_INTERVAL, KEEP_ALIVE_TIMEOUT, MESSAGE_BYTES_MAX};

/// How the door behaves.
#[derive(Debug, Clone)]
pub struct GrpcDoorOptions {
    /// Largest message of the protocol that is taken, in bytes, after it is unpacked.
    pub message_bytes_max: usize,
    /// Calls of one connection at a time.
    pub calls_max: u32,
    /// A silent client is asked for a sign of life so often.
    pub keep_alive_interval: Duration,
    /// It is gone when it gives none for so long.
    pub keep_alive_timeout: Duration,
    /// Origins of web pages that may call. Empty: all.
    pub web_origins: Vec<String>,
}

impl Default for GrpcDoorOptions {
    fn default() -> Self {
        Self {
            message_bytes_max: MESSAGE_BYTES_MAX,
            calls_max: CALLS_MAX,
            keep_alive_interval: KEEP_ALIVE_INTERVAL,
            keep_alive_timeout: KEEP_ALIVE_TIMEOUT,
            web_origins: Vec::new(),
        }
    }
}
