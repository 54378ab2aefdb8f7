//! NATS: the core protocol of nats-server 2.15, so that its clients publish, subscribe, ask and answer
//! here, with each other and with clients of every other door.
//!
//! What works and what does not: `docs/doors/nats.md`.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Formatter};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use broker::Broker;
use door::{About, BoxFuture, CloseReason, Connection, Door, DoorFigures};
use parking_lot::Mutex;

mod auth;
mod client;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod handle;
mod handles;
mod limits;
mod map;
mod monitor;
mod options;
mod outgoing;
mod session;
mod subscriptions;
mod wire;

pub use monitor::NatsMonitor;
pub use options::{Keys, NatsDoorOptions, Token};

use client::Client;
use outgoing::{Backlog, Outgoing};
use session::Hello;
use wire::info::Info;

/// The door's name, and its connections', to those who look.
const NAME: &str = "nats";

/// The version of nats-server whose protocol is spoken: clients ask it what they may use.
const NATS_VERSION: &str = "2.15.1";

/// The NATS door.
pub struct NatsDoor {
    shared: Arc<Shared>,
}

impl NatsDoor {
    /// For clients of `broker`.
    pub fn new(broker: Broker, options: NatsDoorOptions) -> Self {
        Self { shared: Arc::new(Shared::new(broker, options)) }
    }

    /// The endpoints that show what goes on here.
    pub fn monitor(&self) -> NatsMonitor {
        NatsMonitor { shared: Arc::clone(&self.shared) }
    }
}

impl Debug for NatsDoor {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsDoor").finish_non_exhaustive()
    }
}

impl Door for NatsDoor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn serve(self: Arc<Self>, connection: Connection) -> BoxFuture<Result<(), CloseReason>> {
        session::serve(Arc::clone(&self.shared), connection)
    }
}

/// What the door's connections share.
#[derive(Debug)]
struct Shared {
    broker: Broker,
    options: NatsDoorOptions,
    /// Names this run of the broker.
    server_id: String,
    /// What the broker is built with.
    go: &'static str,
    figures: DoorFigures,
    stale_connections: AtomicU64,
    next_id: AtomicU64,
    clients: Mutex<BTreeMap<u64, Arc<Client>>>,
    backlog: Arc<Backlog>,
}

impl Shared {
    fn new(broker: Broker, options: NatsDoorOptions) -> Self {
        let figures = DoorFigures::new(broker.observe(), NAME);
        Self {
            server_id: server_id(broker.options().random.next_u128()),
            backlog: Arc::new(Backlog::new(&figures)),
            figures,
            broker,
            options,
            go: concat!("rust; entrepot ", env!("CARGO_PKG_VERSION")),
            stale_connections: AtomicU64::new(0),
            next_id: AtomicU64::new(1),
            clients: Mutex::default(),
        }
    }

    /// What a client is told first.
    fn info(&self, hello: Hello) -> Info {
        Info {
            server_id: self.server_id.clone(),
            server_name: self.options.server_name.clone(),
            version: NATS_VERSION,
            proto: 1,
            go: self.go,
            host: hello.local.ip().to_string(),
            port: hello.local.port(),
            auth_required: hello.auth_required,
            tls_required: hello.tls_required,
            tls_verify: hello.tls_verify,
            headers: true,
            max_payload: self.options.payload_bytes_max,
            client_id: hello.id,
            client_ip: hello.peer.ip().to_string(),
            ..Info::default()
        }
    }

    fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// How many clients there were, those counted that are here.
    fn total(&self) -> u64 {
        self.next_id.load(Ordering::Relaxed) - 1
    }

    /// Who is here, by number.
    fn clients(&self) -> Vec<Arc<Client>> {
        self.clients.lock().values().map(Arc::clone).collect()
    }

    /// Adds a client, until its [`Member`] is dropped.
    fn join(
        self: &Arc<Self>,
        id: u64,
        (peer, about): (SocketAddr, About),
        outgoing: Outgoing,
    ) -> Member {
        let publisher = self.broker.new_publisher();
        let client = Client::new(id, publisher, (peer, about), self.broker.now(), outgoing);
        self.clients.lock().insert(id, Arc::clone(&client));
        Member { shared: Arc::clone(self), client }
    }
}

/// A client's place among the others, given up however its connection ends.
struct Member {
    shared: Arc<Shared>,
    client: Arc<Client>,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.shared.clients.lock().remove(&self.client.id);
        self.client.close(&self.shared.broker);
    }
}

/// Like a server's public nkey: `N` and 55 letters and digits.
fn server_id(mut bits: u128) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::from("N");
    for _ in 0..55 {
        let index = usize::try_from(bits & 31).unwrap_or(0);
        text.push(char::from(ALPHABET.get(index).copied().unwrap_or(b'A')));
        bits = bits.rotate_right(5);
    }
    text
}
