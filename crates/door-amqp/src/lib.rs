//! AMQP 0-9-1, as RabbitMQ 4 speaks it: its clients declare, publish, consume and acknowledge here, and share queues
//! and subjects with clients of every other door.
//!
//! What works and what does not: `docs/doors/amqp.md`.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use broker::Broker;
use broker::exchanges::{ExchangeError, ExchangeKind, ExchangeName, ExchangeSpec};
use bytes::Bytes;
use door::{BoxFuture, CloseReason, Connection, Door};
use tokio::sync::OnceCell;

mod arguments;
mod channel;
mod clients;
mod confirm;
mod fault;
mod handle;
mod handshake;
mod input;
mod limits;
mod login;
mod management;
mod map;
mod options;
mod replies;
mod session;
pub mod wire;

pub use management::AmqpManagement;
pub use options::AmqpDoorOptions;

use clients::Clients;
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
        let clients = Clients::default();
        Self { shared: Arc::new(Shared { broker, options, replies, clients, predeclared }) }
    }

    /// The management API of the same broker, over HTTP: a door of its own.
    pub fn management(&self) -> AmqpManagement {
        AmqpManagement::new(Arc::clone(&self.shared))
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
    clients: Clients,
    /// The exchanges that every virtual host has are there.
    predeclared: OnceCell<()>,
}

/// The exchange by which a virtual host is known to be there: every one has it, and nobody deletes it alone.
const VIRTUAL_HOST_MARK: &str = "amq.direct";

impl Shared {
    /// Makes the exchanges that the virtual hosts of the configuration have, the first time.
    ///
    /// # Errors
    /// They could not be written; the next connection tries again.
    async fn predeclare(&self) -> Result<(), ExchangeError> {
        let making = || async {
            self.make_virtual_host(&Bytes::new()).await?;
            for host in &self.options.virtual_hosts {
                self.make_virtual_host(&Bytes::copy_from_slice(host.as_bytes())).await?;
            }
            Ok(())
        };
        self.predeclared.get_or_try_init(making).await.copied()
    }

    /// Makes the exchanges of a virtual host, of which one says that it is there.
    ///
    /// # Errors
    /// They could not be written.
    async fn make_virtual_host(&self, space: &Bytes) -> Result<(), ExchangeError> {
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
        Ok(())
    }

    /// The namespace of a virtual host, if there is that.
    fn space_of(&self, virtual_host: &[u8]) -> Option<Bytes> {
        if virtual_host == b"/" {
            return Some(Bytes::new());
        }
        let space = Bytes::copy_from_slice(virtual_host);
        let mark = ExchangeName { space: space.clone(), name: VIRTUAL_HOST_MARK.into() };
        let is_there = self.is_configured(virtual_host) || self.broker.exchange(&mark).is_some();
        (is_there && !space.is_empty()).then_some(space)
    }

    /// Whether the configuration names a virtual host.
    fn is_configured(&self, virtual_host: &[u8]) -> bool {
        self.options.virtual_hosts.iter().any(|host| host.as_bytes() == virtual_host)
    }

    /// All virtual hosts, by name.
    fn virtual_hosts(&self) -> Vec<Bytes> {
        let made = self.broker.exchanges().into_iter();
        let made = made.map(|exchange| exchange.name().clone());
        let made = made.filter(|name| name.name == VIRTUAL_HOST_MARK.as_bytes());
        let configured = self.options.virtual_hosts.iter();
        let configured = configured.map(|host| Bytes::copy_from_slice(host.as_bytes()));
        let mut all: Vec<Bytes> = made.map(|name| name.space).chain(configured).collect();
        all.retain(|host| !host.is_empty());
        all.push(Bytes::from_static(b"/"));
        all.sort_unstable();
        all.dedup();
        all
    }
}
