//! CoAP (RFC 7252) on the broker's subjects: things that have nothing else put their readings, ask for the last value, and
//! observe what others say, over UDP, TCP and WebSockets.
//!
//! `wire/` turns bytes into messages and back; `endpoint.rs` is the message layer, `transfer.rs` are bodies in pieces,
//! `observe.rs` is who is told of changes: all three without I/O. `udp.rs` and `session.rs` run them on sockets. `handle/`
//! has one file for each kind of resource; `map.rs` translates names, formats and errors. What works and what does not:
//! `docs/doors/coap.md`.

mod calls;
mod dtls;
mod echo;
mod endpoint;
mod handle;
mod limits;
mod map;
mod observe;
mod order;
mod pace;
mod remote;
mod request;
mod response;
mod session;
mod topics;
mod transfer;
mod udp;
#[cfg(feature = "fuzzing")]
pub mod wire;
#[cfg(not(feature = "fuzzing"))]
mod wire;

use std::fmt::{self, Debug, Formatter};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use broker::Broker;
use door::{BoxFuture, CloseReason, Connection, Door, DoorFigures};
use tokio::task::JoinHandle;

use calls::Calls;
pub use dtls::PskKeys;
use echo::Echo;
use order::Order;
use topics::Topics;
pub use udp::{CoapUdp, CoapUdpHandle};

/// The door's name, and its connections', to those who look.
const NAME: &str = "coap";

/// How the door treats its clients.
#[derive(Debug, Clone)]
pub struct CoapDoorOptions {
    /// The first segment of the paths of topics, and the path of their collection.
    pub collection: String,
    /// The number of the format `application/core-pubsub+cbor`, which is not registered yet.
    pub pubsub_format: u16,
    /// Largest body of a request, in bytes, in however many pieces it comes.
    pub body_bytes_max: usize,
    /// How long a responder may take.
    pub request_timeout: Duration,
    /// Who may be elsewhere is asked with the Echo option (RFC 9175) to show that it is not. Else a ping asks it first, which
    /// every client answers, if not all of them at once.
    pub echo: bool,
    /// How many messages a second one address may publish over UDP, and as many at once; more are refused with 4.29 (RFC
    /// 8516). `None`: any number.
    pub publish_rate: Option<NonZeroU32>,
}

impl Default for CoapDoorOptions {
    fn default() -> Self {
        Self {
            collection: "ps".to_owned(),
            // As the draft has it, to be decided.
            pubsub_format: 606,
            body_bytes_max: limits::BODY_BYTES_MAX,
            request_timeout: limits::REQUEST_TIMEOUT,
            echo: false,
            publish_rate: None,
        }
    }
}

/// The CoAP door: over TCP and WebSockets by itself, over UDP by [`CoapUdp`].
pub struct CoapDoor {
    shared: Arc<Shared>,
    /// Ends topics whose time is over.
    ending: JoinHandle<()>,
}

impl CoapDoor {
    /// A door to this broker. To be called in a tokio runtime.
    pub fn new(broker: Broker, options: CoapDoorOptions) -> Self {
        let random = Arc::clone(&broker.options().random);
        let shared = Arc::new(Shared {
            echo: Echo::new(random.as_ref()),
            calls: Calls::new(random.as_ref()),
            figures: DoorFigures::new(broker.observe(), NAME),
            broker,
            options,
            order: Order::default(),
            topics: Topics::default(),
            transfers: Arc::default(),
        });
        let ending = tokio::spawn(end_topics(Arc::clone(&shared)));
        Self { shared, ending }
    }
}

impl Drop for CoapDoor {
    fn drop(&mut self) {
        self.ending.abort();
    }
}

impl Debug for CoapDoor {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoapDoor").finish_non_exhaustive()
    }
}

impl Door for CoapDoor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn serve(self: Arc<Self>, connection: Connection) -> BoxFuture<Result<(), CloseReason>> {
        session::serve(Arc::clone(&self.shared), connection)
    }
}

/// What all clients share.
#[derive(Debug)]
struct Shared {
    broker: Broker,
    options: CoapDoorOptions,
    figures: DoorFigures,
    order: Order,
    calls: Calls,
    topics: Topics,
    echo: Echo,
    /// Bytes of bodies in pieces, of all clients together.
    transfers: Arc<AtomicUsize>,
}

/// How often what topics there are is asked for again, where that failed.
const RETRY: Duration = Duration::from_secs(1);

/// Ends topics whose time is over, for as long as there is a door.
async fn end_topics(shared: Arc<Shared>) {
    while shared.topics.load(&shared.broker).await.is_err() {
        tokio::time::sleep(RETRY).await;
    }
    loop {
        let topic = shared.topics.next_expired(&shared.broker).await;
        if let Err(error) = handle::end(&shared, &topic).await {
            tracing::warn!(topic = topic.id, code = ?error.code, "a topic could not be ended");
            tokio::time::sleep(RETRY).await;
        }
    }
}
