//! How the door behaves, as far as that is configured.

use crate::limits::MESSAGE_BYTES_MAX;

/// How the door behaves.
#[derive(Debug, Clone)]
pub struct StompDoorOptions {
    /// Largest body of a frame, in bytes.
    pub message_bytes_max: usize,
    /// Virtual hosts beside `/`.
    pub virtual_hosts: Vec<String>,
    /// A `host` that is no virtual host means `/`, and is not refused.
    pub any_host: bool,
}

impl Default for StompDoorOptions {
    fn default() -> Self {
        let virtual_hosts = Vec::new();
        Self { message_bytes_max: MESSAGE_BYTES_MAX, virtual_hosts, any_host: false }
    }
}
