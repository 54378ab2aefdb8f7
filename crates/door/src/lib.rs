//! What every door shares: the [`Door`] trait, the [`Listener`] that runs it, [`tls`], WebSocket, [`http`], the
//! [`FrameReader`] for length-prefixed protocols, and the `conformance` suite (a cargo feature) that every door must
//! pass.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base::Principal;
use tokio::sync::watch;

mod about;
#[cfg(feature = "conformance")]
pub mod conformance;
mod datagram;
mod figures;
mod frame;
pub mod http;
mod input;
mod limit;
mod listener;
mod outgoing;
mod pace;
pub mod pool;
mod room;
pub mod sasl;
mod stats;
mod stream;
#[cfg(feature = "conformance")]
pub mod testing;
pub mod tls;
mod websocket;

pub use about::About;
pub use datagram::{DatagramOptions, DatagramSocket, Datagrams};
pub use figures::{DoorFigures, RequestFigures};
pub use frame::FrameReader;
pub use input::Input;
pub use limit::{Bounds, ConnectionLimit, Pace};
pub use listener::{Listener, ListenerHandle, ListenerOptions, Stopped};
pub use outgoing::Outgoing;
pub use room::{Claim, ConnectionRoom, Eviction, RequestRoom};
pub use sasl::Logins;
pub use stats::{Stats, StatsSnapshot};
pub use stream::{ReadHalf, Stream, WriteHalf};
pub use websocket::{Messages, WebSocket, WebSocketOptions};

/// A future that owns all it needs, as a trait object can return it.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// One protocol's front end.
pub trait Door: Send + Sync + 'static {
    /// The protocol's name in log lines and counters, such as `kafka`.
    fn name(&self) -> &'static str;

    /// Speaks the protocol on one connection until either side closes it. The future is dropped
    /// where it stands when the broker stops and the connection outlives the deadline, so anything
    /// that must be undone belongs into a destructor.
    fn serve(self: Arc<Self>, connection: Connection) -> BoxFuture<Result<(), CloseReason>>;
}

/// An accepted connection.
#[derive(Debug)]
pub struct Connection {
    /// Its bytes, after the TLS handshake if there is one. TCP_NODELAY is set.
    pub stream: Stream,
    /// The client's address.
    pub peer: SocketAddr,
    /// The name of the listener that accepted it, such as `PLAINTEXT`.
    pub listener: Arc<str>,
    /// Who speaks, as far as is known before a byte of the protocol: anonymous, unless the
    /// transport proved more. A login within the protocol replaces it.
    pub principal: Principal,
    /// How the client must log in; none where it need not.
    pub logins: Option<Arc<Logins>>,
    /// What requests may take that are on their way in, of all connections together.
    pub room: RequestRoom,
    /// For a protocol in which TLS begins after the server's first words: what to begin it with, by
    /// [`Tls::start`](tls::Tls::start). None where there is no TLS, or it is spoken already.
    pub tls: Option<Arc<tls::Tls>>,
    /// Turns true when the broker is stopping: finish what was begun, then close.
    pub stopping: watch::Receiver<bool>,
    /// What is shown of it: who it is, once that is known.
    pub about: About,
}

/// Why a door ended a connection that it would rather have kept.
#[derive(Debug, thiserror::Error)]
pub enum CloseReason {
    /// The socket failed; nothing to blame on the client.
    #[error("connection lost: {0}")]
    Io(#[from] std::io::Error),
    /// The client broke the protocol.
    #[error("protocol error: {0}")]
    Protocol(String),
    /// The client exceeded a limit.
    #[error("limit exceeded: {0}")]
    Limit(String),
    /// The client did not get through the TLS handshake.
    #[error("TLS: {0}")]
    Handshake(String),
    /// The client's login was refused.
    #[error("login failed: {0}")]
    Login(String),
    /// The client sent nothing for longer than it may.
    #[error("idle for {0:?}")]
    Idle(Duration),
}
