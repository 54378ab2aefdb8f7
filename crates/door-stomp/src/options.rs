//! How the door behaves, as far as that is configured.

use crate::limits::MESSAGE_BYTES_MAX;

/// How the door behaves.
#[derive(Debug, Clone)]
pub struct StompDoorOptions {
    /// Largest body of a frame, in bytes.
    pub message_bytes_max: usize,
    /// Virtual hosts beside `/`.
    pub virtual_hosts: Vec<String>,
}

impl Default for StompDoorOptions {
    fn default() -> Self {
        Self { message_bytes_max: MESSAGE_BYTES_MAX, virtual_hosts: Vec::new() }
    }
}
