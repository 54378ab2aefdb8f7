//! What those who watch a NATS server ask it over HTTP: `/varz`, `/connz`, `/subsz` and `/healthz`, as
//! JSON with the names that nats-server gives its figures. What there is no figure for is left out.

mod figures;
mod http;
#[cfg(test)]
mod tests;

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use door::{BoxFuture, CloseReason, Connection, Door};

use crate::Shared;

/// The monitoring endpoints of a [`NatsDoor`](crate::NatsDoor), as a door of their own.
pub struct NatsMonitor {
    pub(crate) shared: Arc<Shared>,
}

impl Debug for NatsMonitor {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsMonitor").finish_non_exhaustive()
    }
}

impl Door for NatsMonitor {
    fn name(&self) -> &'static str {
        "nats-monitor"
    }

    fn serve(self: Arc<Self>, connection: Connection) -> BoxFuture<Result<(), CloseReason>> {
        Box::pin(http::serve(Arc::clone(&self.shared), connection))
    }
}
