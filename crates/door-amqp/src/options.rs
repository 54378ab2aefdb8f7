//! How the door behaves, as far as that is configured.

use std::time::Duration;

use crate::limits::{
    CHANNELS_MAX, CONSUMER_TIMEOUT, FRAME_BYTES_MAX, HEARTBEAT_SECONDS, MESSAGE_BYTES_MAX,
};

/// How the door behaves.
#[derive(Debug, Clone)]
pub struct AmqpDoorOptions {
    /// Largest frame, in bytes.
    pub frame_bytes_max: u32,
    /// Largest payload of a message, in bytes.
    pub message_bytes_max: usize,
    /// Channels of one connection.
    pub channels_max: u16,
    /// How often a peer is to say something, in seconds; 0: not at all.
    pub heartbeat_seconds: u16,
    /// A delivery is to be acknowledged within this time, where its queue says nothing else; zero: within any.
    pub consumer_timeout: Duration,
    /// Virtual hosts beside `/`.
    pub virtual_hosts: Vec<String>,
    /// The name that clients are told.
    pub cluster_name: String,
}

impl Default for AmqpDoorOptions {
    fn default() -> Self {
        Self {
            frame_bytes_max: FRAME_BYTES_MAX,
            message_bytes_max: MESSAGE_BYTES_MAX,
            channels_max: CHANNELS_MAX,
            heartbeat_seconds: HEARTBEAT_SECONDS,
            consumer_timeout: CONSUMER_TIMEOUT,
            virtual_hosts: Vec::new(),
            cluster_name: "entrepot".to_owned(),
        }
    }
}
