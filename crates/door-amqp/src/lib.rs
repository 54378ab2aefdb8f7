//! AMQP 0-9-1, as RabbitMQ 4 speaks it: its clients declare, publish, consume and acknowledge here, and share queues
//! and subjects with clients of every other door.
//!
//! What works and what does not: `docs/doors/amqp.md`.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use broker::Broker;
use broker::exchanges::{ExchangeKind, ExchangeName, ExchangeSpec};
use bytes::Bytes;
use door::{BoxFuture, CloseReason, Connection, Door};
use tokio::sync::OnceCell;

mod arguments;
mod channel;
mod confirm;
mod fault;
mod handle;
mod handshake;
mod input;
mod limits;
mod login;
mod map;
mod options;
mod replies;
mod session;
pub mod wire;

pub use options::AmqpDoorOptions;

use handle::exchange::PREDECLARED;
use replies::Replies;

/// The AMQP door.
pub struct AmqpDoor {
    shared: Arc<Shared>,
}

impl AmqpDoor {
    /// For clients of `broker`.
    pub fn new(broker: Broker, options: AmqpDoorOptions) -> Self {
        let (replies, predeclared) = (Arc::default(), OnceCell::new());
        Self { shared: Arc::new(Shared { broker, options, replies, predeclared }) }
    }
}

impl Debug for AmqpDoor {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpDoor").finish_non_exhaustive()
    }
}

impl Door for AmqpDoor {
    fn name(&self) -> &'static str {
        "amqp"
    }

    fn serve(self: Arc<Self>, connection: Connection) -> BoxFuture<Result<(), CloseReason>> {
        Box::pin(session::serve(Arc::clone(&self.shared), connection))
    }
}

/// What the door's connections share.
#[derive(Debug)]
struct Shared {
    broker: Broker,
    options: AmqpDoorOptions,
    replies: Arc<Replies>,
    /// The exchanges that every virtual host has are there.
    predeclared: OnceCell<()>,
}

impl Shared {
    /// Makes the exchanges that every virtual host has, the first time.
    ///
    /// # Errors
    /// They could not be written; the next connection tries again.
    async fn predeclare(&self) -> Result<(), broker::exchanges::ExchangeError> {
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
                        internal: name == "amq.rabbitmq.trace",
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
