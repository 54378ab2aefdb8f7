//! STOMP 1.0, 1.1 and 1.2, as RabbitMQ's plugin speaks it: its clients send to queues, topics and exchanges, which they
//! share with clients of every other door, and acknowledge what they get.
//!
//! What works and what does not: `docs/doors/stomp.md`.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use broker::Broker;
use broker::exchanges::{ExchangeError, ExchangeKind, ExchangeName, ExchangeSpec};
use bytes::Bytes;
use door::{BoxFuture, CloseReason, Connection, Door};
use tokio::sync::OnceCell;

mod arguments;
mod beat;
mod deliveries;
mod destination;
mod fault;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod handle;
mod limits;
mod login;
mod map;
mod options;
mod queues;
mod receipts;
mod session;
mod wire;

pub use options::StompDoorOptions;

/// Exchanges that are there from the beginning.
const PREDECLARED: [(&str, ExchangeKind); 5] = [
    ("amq.direct", ExchangeKind::Direct),
    ("amq.fanout", ExchangeKind::Fanout),
    ("amq.topic", ExchangeKind::Topic),
    ("amq.headers", ExchangeKind::Headers),
    ("amq.match", ExchangeKind::Headers),
];

/// The STOMP door.
pub struct StompDoor {
    shared: Arc<Shared>,
}

impl StompDoor {
    /// For clients of `broker`.
    pub fn new(broker: Broker, options: StompDoorOptions) -> Self {
        let predeclared = OnceCell::new();
        Self { shared: Arc::new(Shared { broker, options, predeclared }) }
    }
}

impl Debug for StompDoor {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("StompDoor").finish_non_exhaustive()
    }
}

impl Door for StompDoor {
    fn name(&self) -> &'static str {
        "stomp"
    }

    fn serve(self: Arc<Self>, connection: Connection) -> BoxFuture<Result<(), CloseReason>> {
        Box::pin(session::serve(Arc::clone(&self.shared), connection))
    }
}

/// What the door's connections share.
#[derive(Debug)]
struct Shared {
    broker: Broker,
    options: StompDoorOptions,
    /// The exchanges that every virtual host has are there.
    predeclared: OnceCell<()>,
}

impl Shared {
    /// Makes the exchanges that every virtual host has, the first time. Those of another door's making are the same.
    ///
    /// # Errors
    /// They could not be written; the next connection tries again.
    async fn predeclare(&self) -> Result<(), ExchangeError> {
        let making = || async {
            let others = self.options.virtual_hosts.iter();
            let others = others.map(|host| Bytes::copy_from_slice(host.as_bytes()));
            for space in std::iter::once(Bytes::new()).chain(others) {
                for (name, kind) in PREDECLARED {
                    // Of the default namespace, it is the space of subjects.
                    let is_subjects = space.is_empty() && name.as_bytes() == map::TOPIC_EXCHANGE;
                    let spec = ExchangeSpec {
                        kind: if is_subjects { ExchangeKind::Subjects } else { kind },
                        durable: true,
                        auto_delete: false,
                        internal: false,
                        alternate: None,
                        arguments: Bytes::new(),
                    };
                    let name = ExchangeName { space: space.clone(), name: name.into() };
                    self.broker.declare_exchange(&name, &spec).await?;
                }
            }
            Ok(())
        };
        self.predeclared.get_or_try_init(making).await.copied()
    }
}
