//! gRPC: the whole broker for clients that are generated from `proto/entrepot/v1` in any language. They publish and
//! subscribe, ask and answer, and look after topics and subscriptions, which they share with clients of every other door.
//!
//! What works and what does not: `docs/doors/grpc.md`.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use broker::Broker;
use door::{BoxFuture, CloseReason, Connection, Door, DoorFigures, RequestFigures};

mod body;
mod calls;
mod client;
pub mod codec;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod handle;
mod inbox;
mod limits;
mod map;
mod options;
mod outbox;
mod packed;
pub mod pb;
mod records;
mod session;
mod timeout;
mod web;

pub use options::GrpcDoorOptions;

/// The door's name, and its connections', to those who look.
const NAME: &str = "grpc";

/// The gRPC door.
pub struct GrpcDoor {
    shared: Arc<Shared>,
}

impl GrpcDoor {
    /// For clients of `broker`.
    pub fn new(broker: Broker, options: GrpcDoorOptions) -> Self {
        let figures = Arc::new(DoorFigures::new(broker.observe(), NAME));
        let calls = RequestFigures::new(broker.observe(), NAME, calls::METHODS.len());
        let (api, own) = (Arc::new(handle::Api), calls::Own::new());
        Self { shared: Arc::new(Shared { broker, options, api, own, figures, calls }) }
    }
}

impl Debug for GrpcDoor {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcDoor").finish_non_exhaustive()
    }
}

impl Door for GrpcDoor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn serve(self: Arc<Self>, connection: Connection) -> BoxFuture<Result<(), CloseReason>> {
        Box::pin(session::serve(Arc::clone(&self.shared), connection))
    }
}

/// What the door's connections share.
struct Shared {
    broker: Broker,
    options: GrpcDoorOptions,
    api: Arc<handle::Api>,
    /// Services about the door itself.
    own: calls::Own,
    figures: Arc<DoorFigures>,
    /// By method.
    calls: RequestFigures,
}

impl Debug for Shared {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("options", &self.options).finish_non_exhaustive()
    }
}
