//! Configuration: four sources of rising rank (defaults, a file, the environment, flags) become
//! one typed [`Config`] in which every value still knows where it came from.
//!
//! Our keys stand in `keys.rs`, Kafka's in `kafka_keys.rs`; everything else is made from those two
//! tables, `docs/configuration.md` included.

mod document;
mod kafka_file;
pub(crate) mod kafka_keys;
pub(crate) mod keys;
mod listeners;
mod model;
mod origin;
mod security;
mod show;
mod sources;
mod toml_file;

pub(crate) use listeners::bracketed;

pub use document::{kafka_table, keys_table};
pub use model::{
    Amqp, Broker, Coap, Config, Door, GroupBounds, Groups, Grpc, Http, Kafka, Listener, Log, Mqtt,
    Nats, Net, Network, Observe, Quota, Registration, Security, Stomp, Storage, TopicDefaults,
    Zookeeper,
};
pub use origin::{ConfigError, ConfigErrors, Notice, Origin};
pub use security::{Login, Secret, Tls, plain_users};
pub use show::{Shown, default_toml};
pub use sources::{Environment, Flags};
