//! The Kafka door: the protocol that Apache Kafka's clients speak, on the broker's verbs.
//!
//! `wire/` turns bytes into messages and back; `session.rs` runs one connection; `handle/` has one
//! file per request; `map.rs` translates names and errors; `old_formats.rs` converts what clients
//! older than record batches send and read; `consumer_offsets.rs` shows the groups' journal as Kafka does.

mod consumer_offsets;
mod fetch_sessions;
mod figures;
mod handle;
pub mod jaas;
mod login;
mod map;
mod old_formats;
pub mod properties;
mod session;
mod share_sessions;
mod telemetry;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use broker::Broker;
use door::{BoxFuture, CloseReason, Connection, Door};

pub use crate::consumer_offsets::{CONSUMER_OFFSETS, ConsumerOffsets};
use crate::fetch_sessions::FetchSessions;
use crate::figures::Figures;
use crate::share_sessions::ShareSessions;
use crate::telemetry::Telemetry;
pub use crate::telemetry::{ClientLabels, ClientMetrics};

/// How the door treats its connections.
#[derive(Debug, Clone, Copy)]
pub struct KafkaDoorOptions {
    /// Largest request frame accepted, in bytes (`socket.request.max.bytes`).
    pub request_bytes_max: usize,
    /// Most bytes of records in one fetch response, whatever the client asks for
    /// (`fetch.max.bytes`).
    pub fetch_bytes_max: usize,
    /// Fetch sessions kept (`max.incremental.fetch.session.cache.slots`); 0 for none.
    pub fetch_session_slots: usize,
    /// Share sessions kept (`group.share.max.share.sessions`).
    pub share_sessions_max: usize,
    /// Most bytes of metrics that a client may push at once (`telemetry.max.bytes`).
    pub telemetry_bytes_max: usize,
    /// A connection silent for this long is closed (`connections.max.idle.ms`).
    pub idle: Option<Duration>,
}

impl Default for KafkaDoorOptions {
    fn default() -> Self {
        Self {
            request_bytes_max: base::limits::REQUEST_BYTES_MAX,
            fetch_bytes_max: 55 * 1024 * 1024,
            fetch_session_slots: 1000,
            share_sessions_max: 2000,
            telemetry_bytes_max: 1024 * 1024,
            idle: Some(Duration::from_secs(600)),
        }
    }
}

/// The door itself.
#[derive(Debug)]
pub struct KafkaDoor {
    broker: Broker,
    options: KafkaDoorOptions,
    fetch_sessions: Arc<FetchSessions>,
    share_sessions: Arc<ShareSessions>,
    telemetry: Arc<Telemetry>,
    figures: Arc<Figures>,
}

impl KafkaDoor {
    /// A door to this broker.
    pub fn new(broker: Broker, options: KafkaDoorOptions) -> Self {
        let random = Arc::clone(&broker.options().random);
        let telemetry = Telemetry::new(options.telemetry_bytes_max, Arc::clone(&random));
        let fetch_sessions = Arc::new(FetchSessions::new(options.fetch_session_slots, random));
        let share_sessions = Arc::new(ShareSessions::new(options.share_sessions_max));
        let (telemetry, figures) = (Arc::new(telemetry), Arc::new(Figures::new(broker.observe())));
        Self { broker, options, fetch_sessions, share_sessions, telemetry, figures }
    }

    /// The clients that push metrics, or asked what to push, with what came last of each.
    pub fn client_metrics(&self) -> Vec<ClientMetrics> {
        self.telemetry.clients()
    }
}

impl Door for KafkaDoor {
    fn name(&self) -> &'static str {
        figures::NAME
    }

    fn serve(self: Arc<Self>, connection: Connection) -> BoxFuture<Result<(), CloseReason>> {
        Box::pin(session::run(self, connection))
    }
}
