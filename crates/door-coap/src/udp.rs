//! CoAP over UDP: a worker for each socket, of which there are as many as the machine has processors. The system gives
//! what one client sends to one of them, so they share nothing. Each has a thread, which does nothing else (decision 0016).

mod worker;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use broker::observe::trace::Who;
use bytes::Bytes;
use door::{DatagramOptions, DatagramSocket, Datagrams};
use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::dtls::{PskKeys, Sessions};
use crate::limits::DATAGRAM_BYTES_MAX;
use crate::{CoapDoor, NAME, Shared};
use worker::Worker;

/// Datagrams to groups that wait for a worker; more are dropped.
const GROUP_QUEUE_MAX: usize = 64;

/// A datagram that came to a group.
type ToGroup = (SocketAddr, Bytes);

/// Sockets that are bound; what comes waits in them.
#[derive(Debug)]
pub struct CoapUdp {
    datagrams: Datagrams,
}

impl CoapUdp {
    /// Binds the address. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Whatever the system says, such as that the address is in use.
    pub fn bind(options: &DatagramOptions) -> io::Result<Self> {
        Ok(Self { datagrams: Datagrams::bind(options)? })
    }

    /// Where it listens, with the real port.
    pub fn local_address(&self) -> SocketAddr {
        self.datagrams.address
    }

    /// Starts to answer clients.
    pub fn run(self, door: &CoapDoor) -> CoapUdpHandle {
        self.start(door, None)
    }

    /// Starts to answer clients who have one of these keys, over DTLS. Groups are not listened to.
    pub fn run_secure(self, door: &CoapDoor, keys: PskKeys) -> CoapUdpHandle {
        self.start(door, Some(&Arc::new(keys)))
    }

    fn start(self, door: &CoapDoor, keys: Option<&Arc<PskKeys>>) -> CoapUdpHandle {
        let address = self.datagrams.address;
        tracing::info!(%address, door = "coap", sockets = self.datagrams.sockets.len(), "listening");
        let (stop, stopping) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let (to_first, mut from_groups) = mpsc::channel(GROUP_QUEUE_MAX);
        for group in self.datagrams.groups.into_iter().filter(|_| keys.is_none()) {
            tasks.spawn(listen_to_group(group, to_first.clone()));
        }
        for socket in self.datagrams.sockets {
            let (shared, stopping) = (Arc::clone(&door.shared), stopping.clone());
            // The first one sees to groups; the others have a channel in which nothing comes.
            let groups = std::mem::replace(&mut from_groups, mpsc::channel(1).1);
            let sessions = keys.map(|keys| Sessions::new(Arc::clone(keys)));
            tasks.spawn(serve(shared, (socket, sessions), groups, stopping));
        }
        CoapUdpHandle { address, stop, tasks }
    }
}

/// Serves a socket in a thread of its own, until that has ended. If this is dropped, it ends at once.
async fn serve(
    shared: Arc<Shared>,
    (socket, sessions): (DatagramSocket, Option<Sessions>),
    groups: mpsc::Receiver<ToGroup>,
    stopping: watch::Receiver<bool>,
) {
    // Whoever observes first must know of topics; if they cannot be read, that is told to who asks.
    let _unreadable = shared.topics.load(&shared.broker).await;
    let (worker, runtime) = (Worker::new(shared, socket, sessions), Handle::current());
    let (mut wanted, ended) = oneshot::channel();
    let thread = std::thread::Builder::new().name("coap-udp".to_owned());
    // Of all its clients, who have no connections.
    let who = Who::new(NAME, &"COAP".into(), None);
    let work = move || who.run(|| worker.run(&runtime, groups, stopping, &mut wanted));
    match thread.spawn(work) {
        // The other end is dropped last, whichever way the thread ends: the socket is closed then.
        Ok(_thread) => drop(ended.await),
        Err(error) => tracing::error!(%error, "no thread for CoAP over UDP"),
    }
}

async fn listen_to_group(socket: UdpSocket, to: mpsc::Sender<ToGroup>) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((count, peer)) => {
                let bytes = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
                // Where there is no room it is as if the network had lost it.
                let _full = to.try_send((peer, bytes));
            }
            Err(error) => {
                tracing::debug!(%error, "a group's socket");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Running workers. Dropping it ends them at once.
#[derive(Debug)]
pub struct CoapUdpHandle {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl CoapUdpHandle {
    /// Where it listens, with the real port.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests, answers those that are being worked on, and ends; those that are not done when `patience`
    /// is over are dropped.
    pub async fn stop(mut self, patience: Duration) {
        self.stop.send_replace(true);
        let all = async {
            // Those that listen to groups never end by themselves.
            while self.stop.receiver_count() > 0 && self.tasks.join_next().await.is_some() {}
        };
        let _in_time = tokio::time::timeout(patience, all).await;
        self.tasks.shutdown().await;
    }
}
