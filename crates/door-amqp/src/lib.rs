//! AMQP 0-9-1, as RabbitMQ 4 speaks it: its clients declare, publish, consume and acknowledge here, and share queues
//! and subjects with clients of every other door.
//!
//! What works and what does not: `docs/doors/amqp.md`.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use broker::Broker;
use broker::exchanges::{ExchangeKind, Spaces};
use door::{BoxFuture, CloseReason, Connection, Door, DoorFigures, Outgoing};

mod arguments;
mod channel;
mod clients;
mod confirm;
mod fault;
mod flow;
mod handle;
mod handshake;
mod input;
mod limits;
mod login;
mod management;
mod map;
mod options;
mod policies;
mod replies;
mod session;
pub mod wire;

pub use management::AmqpManagement;
pub use options::AmqpDoorOptions;

use clients::Clients;
use replies::Replies;

/// The door's name, and its connections', to those who look.
const NAME: &str = "amqp";

/// Exchanges that virtual hosts have here besides those of all doors. RabbitMQ traces there; nobody publishes to it here.
const INTERNAL: [(&str, ExchangeKind); 1] = [("amq.rabbitmq.trace", ExchangeKind::Topic)];

/// The AMQP door.
pub struct AmqpDoor {
    shared: Arc<Shared>,
}

impl AmqpDoor {
    /// For clients of `broker`.
    pub fn new(broker: Broker, options: AmqpDoorOptions) -> Self {
        broker.read_headers_with(map::stored_headers);
        let (replies, clients) = (Arc::default(), Clients::default());
        let spaces = Spaces::new(broker.clone(), &options.virtual_hosts).with_internal(&INTERNAL);
        let figures = Arc::new(DoorFigures::new(broker.observe(), NAME));
        let rates = management::Rates::new(broker.clone(), Arc::clone(&clients.hosts));
        let shared = Shared { broker, options, figures, replies, clients, spaces, rates };
        Self { shared: Arc::new(shared) }
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
        NAME
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
    figures: Arc<DoorFigures>,
    replies: Arc<Replies>,
    clients: Clients,
    /// Virtual hosts.
    spaces: Spaces,
    /// Of what the management API shows.
    rates: Arc<management::Rates>,
}

impl Shared {
    /// What waits to be sent to a new client.
    fn outgoing(&self) -> Arc<Outgoing> {
        Arc::new(Outgoing::counted(Arc::clone(&self.figures)))
    }
}
