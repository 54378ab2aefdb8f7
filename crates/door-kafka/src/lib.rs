//! The Kafka door.

pub mod wire;
