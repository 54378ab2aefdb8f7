//! STOMP 1.0, 1.1 and 1.2, as RabbitMQ's plugin speaks it: its clients send to queues, topics and exchanges, which they
//! share with clients of every other door, and acknowledge what they get.
//!
//! What works and what does not: `docs/doors/stomp.md`.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use broker::Broker;
use broker::exchanges::Spaces;
use door::{BoxFuture, CloseReason, Connection, Door, DoorFigures};

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

/// The door's name, and its connections', to those who look.
const NAME: &str = "stomp";

/// The STOMP door.
pub struct StompDoor {
    shared: Arc<Shared>,
}

impl StompDoor {
    /// For clients of `broker`.
    pub fn new(broker: Broker, options: StompDoorOptions) -> Self {
        let spaces = Spaces::new(broker.clone(), &options.virtual_hosts);
        let figures = Arc::new(DoorFigures::new(broker.observe(), NAME));
        Self { shared: Arc::new(Shared { broker, options, figures, spaces }) }
    }
}

impl Debug for StompDoor {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("StompDoor").finish_non_exhaustive()
    }
}

impl Door for StompDoor {
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
    options: StompDoorOptions,
    figures: Arc<DoorFigures>,
    /// Virtual hosts.
    spaces: Spaces,
}
