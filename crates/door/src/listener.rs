//! A listening socket and the tasks of its connections.

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base::Principal;
use observe::trace::Who;
use observe::{Observe, kinds};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::about::{About, Place};
use crate::limit::{Permit, Refusal};
use crate::stats::{Shown, bump};
use crate::tls::Tls;
use crate::websocket::{self, WebSocketOptions};
use crate::{
    BoxFuture, CloseReason, Connection, ConnectionLimit, Door, Logins, RequestRoom, Stats, Stream,
};

#[cfg(test)]
mod tests;

/// How long the listener rests when the system has no file descriptor or memory for a connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Refused connections that are held before they are closed; more are closed at once.
const HELD_MAX: usize = 256;

/// At most one log line in this time for refused connections, and one for failures to accept.
const LOG_PERIOD: Duration = Duration::from_secs(10);

/// A connection that carries nothing for this long is probed, so that a peer that vanished without
/// a word is noticed some minutes later.
const KEEPALIVE_TIME: Duration = Duration::from_secs(120);

/// Time between two probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// What a listener binds to, and how.
#[derive(Debug, Clone)]
pub struct ListenerOptions {
    /// Its name, such as `PLAINTEXT`.
    pub name: Arc<str>,
    /// Where it listens; port 0 takes any free one.
    pub address: SocketAddr,
    /// Connections that may wait to be accepted (`socket.listen.backlog.size`).
    pub backlog: u32,
    /// Bytes of each socket's send buffer (`socket.send.buffer.bytes`); none leaves it to the
    /// system, which then sizes it by the connection's speed.
    pub send_buffer: Option<u32>,
    /// Bytes of each socket's receive buffer (`socket.receive.buffer.bytes`); none as above.
    pub receive_buffer: Option<u32>,
}

impl ListenerOptions {
    /// A listener called `name` at `address`, all else by default.
    pub fn new(name: &str, address: SocketAddr) -> Self {
        Self { name: name.into(), address, backlog: 1024, send_buffer: None, receive_buffer: None }
    }
}

/// A bound socket that accepts nothing yet: clients that connect now wait in its backlog.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    name: Arc<str>,
    address: SocketAddr,
    protection: Protection,
    room: RequestRoom,
    observe: Option<Arc<Observe>>,
}

/// What comes before the protocol on each connection.
#[derive(Debug, Clone, Default)]
struct Protection {
    tls: Option<Arc<Tls>>,
    /// The door begins TLS itself.
    tls_later: bool,
    websocket: Option<Arc<WebSocketOptions>>,
    logins: Option<Arc<Logins>>,
}

impl Listener {
    /// Binds the address and starts to listen. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Whatever the system says, such as that the address is in use.
    pub fn bind(options: &ListenerOptions) -> io::Result<Self> {
        let address = options.address;
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A broker that restarts must not wait for the old connections' TIME_WAIT to pass.
        socket.set_reuse_address(true)?;
        if address.is_ipv6() && address.ip().is_unspecified() {
            socket.set_only_v6(false)?;
        }
        // On the listening socket, so that the accepted ones have them from their first segment.
        if let Some(bytes) = options.send_buffer {
            socket.set_send_buffer_size(to_usize(bytes))?;
        }
        if let Some(bytes) = options.receive_buffer {
            socket.set_recv_buffer_size(to_usize(bytes))?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
        let socket = TcpListener::from_std(socket.into())?;
        let address = socket.local_addr()?;
        Ok(Self {
            socket,
            name: Arc::clone(&options.name),
            address,
            protection: Protection::default(),
            room: RequestRoom::unlimited(),
            observe: None,
        })
    }

    /// Where it listens, with the real port.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Speaks TLS with clients.
    #[must_use]
    pub fn with_tls(mut self, tls: Arc<Tls>) -> Self {
        self.protection.tls = Some(tls);
        self
    }

    /// Leaves it to the door to begin TLS, if [`Self::with_tls`] says so, once it has said what the
    /// protocol says in the clear.
    #[must_use]
    pub fn with_tls_later(mut self) -> Self {
        self.protection.tls_later = true;
        self
    }

    /// Speaks WebSocket with clients; over TLS, if there is that.
    #[must_use]
    pub fn with_websocket(mut self, options: WebSocketOptions) -> Self {
        self.protection.websocket = Some(Arc::new(options));
        self
    }

    /// Has clients log in before anything else, where the protocol knows logins.
    #[must_use]
    pub fn with_logins(mut self, logins: Arc<Logins>) -> Self {
        self.protection.logins = Some(logins);
        self
    }

    /// Bounds what requests may take that are on their way in, together with those of all
    /// listeners that have the same room.
    #[must_use]
    pub fn with_room(mut self, room: RequestRoom) -> Self {
        self.room = room;
        self
    }

    /// Shows its figures, and tells of connections that end badly.
    #[must_use]
    pub fn with_observe(mut self, observe: Arc<Observe>) -> Self {
        self.observe = Some(observe);
        self
    }

    /// Starts to accept connections and to hand them to `door`, as many as `limit` allows.
    pub fn run(self, door: Arc<dyn Door>, limit: ConnectionLimit) -> ListenerHandle {
        let (stop, stopping) = watch::channel(false);
        let (name, address) = (Arc::clone(&self.name), self.address);
        let shown = self.observe.map(|observe| Shown {
            observe,
            listener: Arc::clone(&name),
            door: door.name(),
            address,
            is_encrypted: self.protection.tls.is_some(),
            asks_for_logins: self.protection.logins.is_some(),
        });
        let stats = Arc::new(Stats { shown, ..Stats::default() });
        if let Some(shown) = &stats.shown {
            shown.observe.registry.ask(&stats);
            shown.observe.inspectors.ask(&stats);
        }
        info!(listener = %name, %address, door = door.name(), "listening");
        let accepting = Accepting {
            socket: self.socket,
            name: Arc::clone(&name),
            protection: self.protection,
            room: self.room,
            door,
            limit,
            stats: Arc::clone(&stats),
            stopping,
            held: Arc::new(Semaphore::new(HELD_MAX)),
            refusal_logged: None,
            failure_logged: None,
        };
        let task = tokio::spawn(accepting.run());
        ListenerHandle { name, address, stats, stop, task }
    }
}

/// A running listener. Dropping it ends the listener and its connections at once; see
/// [`Self::stop`] for the polite way.
#[derive(Debug)]
pub struct ListenerHandle {
    name: Arc<str>,
    address: SocketAddr,
    stats: Arc<Stats>,
    stop: watch::Sender<bool>,
    /// Returns the tasks of the connections that were open when it stopped accepting.
    task: JoinHandle<JoinSet<()>>,
}

/// How a listener's connections ended when it was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Ended by themselves before the deadline.
    pub finished: usize,
    /// Still open at the deadline, and dropped.
    pub aborted: usize,
}

impl ListenerHandle {
    /// The listener's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Where it listens, with the real port.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Its counters; the value outlives the listener.
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// Stops accepting, tells the connections, waits until they ended or `patience` is over, then
    /// drops those that are left.
    pub async fn stop(mut self, patience: Duration) -> Stopped {
        self.stop.send_replace(true);
        let Ok(mut connections) = (&mut self.task).await else {
            error!(listener = %self.name, "the listener's task had failed");
            return Stopped { finished: 0, aborted: 0 };
        };
        let open = connections.len();
        let all = async { while connections.join_next().await.is_some() {} };
        let _in_time = tokio::time::timeout(patience, all).await;
        let aborted = connections.len();
        connections.shutdown().await;
        info!(listener = %self.name, finished = open - aborted, aborted, "listener stopped");
        Stopped { finished: open - aborted, aborted }
    }
}

impl Drop for ListenerHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The accept loop's state.
struct Accepting {
    socket: TcpListener,
    name: Arc<str>,
    protection: Protection,
    room: RequestRoom,
    door: Arc<dyn Door>,
    limit: ConnectionLimit,
    stats: Arc<Stats>,
    stopping: watch::Receiver<bool>,
    /// Places for connections that are held before they are closed.
    held: Arc<Semaphore>,
    refusal_logged: Option<Instant>,
    failure_logged: Option<Instant>,
}

impl Accepting {
    async fn run(mut self) -> JoinSet<()> {
        let mut connections = JoinSet::new();
        let mut stopping = self.stopping.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stopping.wait_for(|stop| *stop) => return connections,
                Some(_ended) = connections.join_next() => continue,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    self.admit(stream, peer, &mut connections);
                    let pause = self.limit.pause();
                    if !pause.is_zero() {
                        // Whoever comes meanwhile waits in the backlog.
                        let stopped = stopping.wait_for(|stop| *stop);
                        let _elapsed = tokio::time::timeout(pause, stopped).await;
                    }
                }
                Err(error) if is_the_peers_fault(&error) => {}
                Err(error) => {
                    self.note_failure(&error);
                    // The sooner of the two; the loop looks at `stopping` again.
                    let stopped = stopping.wait_for(|stop| *stop);
                    let _elapsed = tokio::time::timeout(EXHAUSTED_PAUSE, stopped).await;
                }
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr, connections: &mut JoinSet<()>) {
        let permit = match self.limit.admit(peer.ip()) {
            Ok(permit) => permit,
            Err(refusal) => return self.refuse(stream, peer, refusal, connections),
        };
        // A socket that refuses its options is closing already; the door will see that.
        if let Err(error) = set_socket_options(&stream) {
            debug!(listener = %self.name, %peer, %error, "socket options");
        }
        bump(&self.stats.accepted);
        let open = OpenConnection::new(Arc::clone(&self.stats), peer, permit);
        let accepted = Accepted {
            stream,
            peer,
            listener: Arc::clone(&self.name),
            protection: self.protection.clone(),
            room: self.room.clone(),
            stopping: self.stopping.clone(),
            about: About::new(&open.stats, open.place),
        };
        connections.spawn(serve(Arc::clone(&self.door), accepted, open));
    }

    /// Closes a connection. One whose address makes them too fast is held for a moment, for its
    /// client would come back at once.
    fn refuse(
        &mut self,
        stream: TcpStream,
        peer: SocketAddr,
        refusal: Refusal,
        connections: &mut JoinSet<()>,
    ) {
        bump(&self.stats.refused);
        let why = match refusal {
            Refusal::All(_) => "too many connections are open",
            Refusal::Address(_) => "its address has too many connections",
            Refusal::Pace(_) => "its address makes connections too fast",
        };
        self.stats.tell(&kinds::CONNECTION_REFUSED, peer, why);
        if is_time_to_log(&mut self.refusal_logged) {
            let name = &self.name;
            match refusal {
                Refusal::All(max) => {
                    warn!(listener = %name, %peer, max, "connection refused: too many are open");
                }
                Refusal::Address(max) => {
                    warn!(listener = %name, %peer, max, "connection refused: its address has too many");
                }
                Refusal::Pace(_) => {
                    warn!(listener = %name, %peer, "connection refused: its address makes them too fast");
                }
            }
        }
        let Refusal::Pace(wait) = refusal else { return };
        let Ok(place) = Arc::clone(&self.held).try_acquire_owned() else { return };
        let mut stopping = self.stopping.clone();
        connections.spawn(async move {
            let stopped = stopping.wait_for(|stop| *stop);
            let _elapsed = tokio::time::timeout(wait, stopped).await;
            drop((stream, place));
        });
    }

    fn note_failure(&mut self, error: &io::Error) {
        bump(&self.stats.accept_failures);
        self.stats.tell_of_failure(error);
        if is_time_to_log(&mut self.failure_logged) {
            warn!(listener = %self.name, %error, "cannot accept connections, will try again");
        }
    }
}

/// A connection of which no byte has been read.
struct Accepted {
    stream: TcpStream,
    peer: SocketAddr,
    listener: Arc<str>,
    protection: Protection,
    room: RequestRoom,
    stopping: watch::Receiver<bool>,
    about: About,
}

impl Accepted {
    /// Does what comes before the protocol. `None` if the broker is stopping.
    async fn into_connection(self) -> Result<Option<Connection>, CloseReason> {
        let Self { stream, peer, listener, protection, room, mut stopping, about } = self;
        let Protection { tls, tls_later, websocket, logins } = protection;
        let (at_once, tls) = if tls_later { (None, tls) } else { (tls, None) };
        let preparing = async {
            let (stream, principal) = match at_once {
                None => (Stream::Plain(stream), Principal::anonymous()),
                Some(tls) => tls.start(Stream::Plain(stream)).await?,
            };
            let stream = match websocket {
                None => stream,
                Some(options) => {
                    Stream::WebSocket(Box::new(websocket::accept(stream, &options).await?))
                }
            };
            Ok::<_, CloseReason>((stream, principal))
        };
        let (stream, principal) = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => return Ok(None),
            prepared = preparing => prepared?,
        };
        about.user(&principal);
        let connection =
            Connection { stream, peer, listener, principal, logins, room, tls, stopping, about };
        Ok(Some(connection))
    }
}

/// The door's part of a connection.
type Serving = BoxFuture<Result<(), CloseReason>>;

/// What comes before the protocol, and then the door's part. Each is a box of its own, so that an idle connection takes
/// little more than what its door needs.
enum Stage {
    /// No door's part comes of it if the broker is stopping.
    Preparing(BoxFuture<Result<Option<Serving>, CloseReason>>),
    Serving(Serving),
}

impl Stage {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        loop {
            match self {
                Self::Preparing(preparing) => match ready!(preparing.as_mut().poll(context))? {
                    Some(serving) => *self = Self::Serving(serving),
                    None => return Poll::Ready(Ok(())),
                },
                Self::Serving(serving) => return serving.as_mut().poll(context),
            }
        }
    }
}

/// Serves one connection and counts how it ended. A panic ends this connection only.
fn serve(
    door: Arc<dyn Door>,
    accepted: Accepted,
    open: OpenConnection,
) -> impl Future<Output = ()> + Send + 'static {
    let (peer, listener, name) = (accepted.peer, Arc::clone(&accepted.listener), door.name());
    let who = Who::new(name, &listener, Some(peer));
    let mut stage = Stage::Preparing(Box::pin(async move {
        let connection = accepted.into_connection().await?;
        Ok(connection.map(|connection| door.serve(connection)))
    }));
    who.scope(async move {
        let outcome = std::future::poll_fn(|context| {
            // The future is not polled again after a panic, so nobody sees its broken state.
            match catch_unwind(AssertUnwindSafe(|| stage.poll(context))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(result)) => Poll::Ready(Some(result)),
                Err(_panic) => Poll::Ready(None),
            }
        })
        .await;
        open.note_end(&listener, peer, name, outcome);
    })
}

/// Counts a connection as open for as long as it lives, however it ends.
struct OpenConnection {
    stats: Arc<Stats>,
    place: Place,
    _permit: Permit,
}

impl OpenConnection {
    fn new(stats: Arc<Stats>, peer: SocketAddr, permit: Permit) -> Self {
        bump(&stats.open);
        let place = stats.connections.lock().add(peer);
        Self { stats, place, _permit: permit }
    }

    /// Counts how it ended, and tells of it as far as that is worth a line. No outcome: its task panicked.
    fn note_end(
        &self,
        listener: &str,
        peer: SocketAddr,
        door: &str,
        outcome: Option<Result<(), CloseReason>>,
    ) {
        match outcome {
            Some(Ok(())) => {}
            Some(Err(reason)) => {
                self.stats.count_close(&reason);
                if let Some(kind) = Stats::event(&reason) {
                    self.stats.tell(kind, peer, &reason.to_string());
                }
                if matches!(reason, CloseReason::Io(_) | CloseReason::Idle(_)) {
                    debug!(%listener, %peer, door, %reason, "connection closed");
                } else {
                    let line = self.stats.pace.lock().line(Instant::now());
                    if let Some(withheld) = line {
                        info!(%listener, %peer, door, %reason, withheld, "connection closed");
                    }
                }
            }
            None => {
                bump(&self.stats.panicked);
                self.stats.tell(&kinds::PANICKED, peer, "its task panicked");
                error!(%listener, %peer, door, "connection task panicked: this is a bug");
            }
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.stats.connections.lock().remove(self.place);
        self.stats.open.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    }
}

fn set_socket_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_TIME).with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Errors of a connection that ended before it was accepted; the next one may be fine.
fn is_the_peers_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// True once in each [`LOG_PERIOD`].
fn is_time_to_log(last: &mut Option<Instant>) -> bool {
    let due = last.is_none_or(|last| last.elapsed() >= LOG_PERIOD);
    if due {
        *last = Some(Instant::now());
    }
    due
}

fn to_usize(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
