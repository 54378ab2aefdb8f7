//! The MQTT door: 3.1, 3.1.1 and 5.0, on the broker's subjects and topics.
//!
//! `wire/` turns bytes into packets and back; `session.rs` and `session/` are what is known of a client beyond one
//! connection, `sessions.rs` all of them; `connection.rs` runs one connection over its `socket.rs`; `handle/` has
//! one file per packet; `map.rs` translates names, properties and errors. What works and what does not:
//! `docs/doors/mqtt.md`.

mod connection;
mod counts;
mod handle;
mod hello;
mod limits;
mod login;
mod map;
mod pull;
mod retained;
mod session;
mod sessions;
mod socket;
mod sys;
mod will;
#[cfg(feature = "fuzzing")]
pub mod wire;
#[cfg(not(feature = "fuzzing"))]
mod wire;

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;
use std::time::Duration;

use broker::Broker;
use door::{BoxFuture, CloseReason, Connection, Door, DoorFigures};

use counts::Counts;
use sessions::{DueWill, Sessions};
use sys::Sys;
use will::Will;

/// How the door treats its clients.
#[derive(Debug, Clone, Copy)]
pub struct MqttDoorOptions {
    /// Largest packet accepted, in bytes.
    pub packet_bytes_max: usize,
    /// Messages of QoS 1 and 2 that a client of 5.0 may send before they are acknowledged.
    pub receive_max: u16,
    /// Aliases of topics that a client of 5.0 may use.
    pub topic_alias_max: u16,
    /// How often the door says under `$SYS` how it is doing; `None`: never.
    pub sys_interval: Option<Duration>,
}

impl Default for MqttDoorOptions {
    fn default() -> Self {
        Self {
            packet_bytes_max: limits::PACKET_BYTES_MAX,
            receive_max: limits::RECEIVE_MAX,
            topic_alias_max: limits::TOPIC_ALIAS_MAX,
            sys_interval: Some(limits::SYS_INTERVAL),
        }
    }
}

/// The door's name, and its connections', to those who look.
const NAME: &str = "mqtt";

/// The MQTT door.
pub struct MqttDoor {
    shared: Arc<Shared>,
}

impl MqttDoor {
    /// A door to this broker. To be called in a tokio runtime.
    pub fn new(broker: Broker, options: MqttDoorOptions) -> Self {
        let counts = Arc::new(Counts::new(&DoorFigures::new(broker.observe(), NAME)));
        let sessions = Sessions::new(broker.clone(), Arc::clone(&counts));
        let (storing, sys) = (Arc::default(), Sys::default());
        let shared = Arc::new(Shared { broker, options, sessions, storing, counts, sys });
        tokio::spawn(tend(Arc::clone(&shared)));
        if let Some(every) = options.sys_interval {
            tokio::spawn(sys::run(Arc::clone(&shared), every));
        }
        Self { shared }
    }
}

impl Debug for MqttDoor {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("MqttDoor").finish_non_exhaustive()
    }
}

impl Door for MqttDoor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn serve(self: Arc<Self>, connection: Connection) -> BoxFuture<Result<(), CloseReason>> {
        connection::serve(Arc::clone(&self.shared), connection)
    }
}

/// What the door's connections share.
#[derive(Debug)]
struct Shared {
    broker: Broker,
    options: MqttDoorOptions,
    sessions: Sessions,
    storing: Arc<retained::Storing>,
    counts: Arc<Counts>,
    sys: Sys,
}

impl Shared {
    /// Publishes a will, if there is one.
    fn publish_will(self: &Arc<Self>, will: Option<Box<Will>>) {
        if let Some(will) = will {
            self.publish_due(DueWill { will: *will, written: None });
        }
    }

    fn publish_due(self: &Arc<Self>, due: DueWill) {
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = shared.publish_now(due).await {
                tracing::warn!(%error, "a will could not be published");
            }
        });
    }

    async fn publish_now(&self, due: DueWill) -> Result<(), broker::ProduceError> {
        let DueWill { will, written } = due;
        // A name that is none was refused when the client came.
        let Ok(subject) = map::NAMES.subject(will.topic.as_bytes()) else { return Ok(()) };
        let route = self.broker.find_route(subject);
        let _ticket = will.retain.then(|| self.storing.begin());
        let mut message = will.message;
        let expiry = will.expiry.map(|seconds| self.broker.now() + 1000 * i64::from(seconds));
        message.properties.expires_at = expiry;
        let mut batch = broker::live::Batch::default();
        self.broker.route(&route, &message, &mut batch)?;
        if will.retain {
            self.broker.retain(&route, &message, &mut batch)?;
        }
        // With it, so that it is not published again after a crash.
        let written = written.map(|(kept, state)| batch.push_state(kept, state));
        if batch.is_empty() {
            return Ok(());
        }
        let outcomes = self.broker.store(batch).await.done().await;
        let mut outcomes = outcomes.into_iter().enumerate();
        // Its session may have ended by now.
        outcomes.try_for_each(|(number, outcome)| {
            outcome.or_else(|error| match written {
                Some(written) if written == number => Ok(()),
                _ => Err(error),
            })
        })
    }
}

/// Publishes wills that were to wait, ends sessions whose time is over.
async fn tend(shared: Arc<Shared>) {
    loop {
        for due in shared.sessions.next_wills().await {
            shared.publish_due(due);
        }
    }
}
