//! Registration in a ZooKeeper elsewhere: this broker, and what this door shows of the cluster, as
//! Kafka's brokers keep them there, for clients and tools that look a cluster up in it.
//!
//! The tree there is a mirror: our metadata stays ours, and nothing that others write there is
//! acted upon. What ZooKeeper does or fails to do never keeps the broker from serving. Decision 7.

use std::fmt::{self, Debug, Formatter};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base::{BrokerId, Clock, Random};
use broker::metadata::Metadata;
use door::tls::client::ClientOptions;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, info, warn};

use crate::limits::{CONNECT_PAUSE_MAX, CONNECT_PAUSE_MIN, REFUSED_PAUSE};
use crate::wire::client::Session;

mod link;
mod mirror;
mod servers;

use link::{Hello, Link, Lost};
use mirror::{Held, Mirror, Trouble};
pub use servers::Servers;

/// How and where to register.
#[derive(Clone)]
pub struct RegistrationOptions {
    /// The ZooKeeper.
    pub servers: Servers,
    /// What is registered goes when ZooKeeper has not heard of us for so long. ZooKeeper may
    /// grant another time.
    pub session_timeout: Duration,
    /// How long one attempt to reach one of the servers may take, all of them together.
    pub connect_timeout: Duration,
    /// `user:password` for access lists (ZooKeeper's scheme `digest`).
    pub credentials: Option<String>,
    /// Whether only whoever has those credentials may change what we write.
    pub restrict: bool,
    /// Speaks TLS with the ZooKeeper (its `secureClientPort`), so.
    pub tls: Option<ClientOptions>,
}

impl Debug for RegistrationOptions {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistrationOptions")
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

/// A broker's registration, kept up until it is ended.
#[derive(Debug)]
pub struct Registration {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Registration {
    /// Begins to register a broker, and all that `metadata` shows, and to keep that up. To be
    /// called in a tokio runtime.
    pub fn start(
        options: RegistrationOptions,
        broker: BrokerId,
        metadata: watch::Receiver<Arc<Metadata>>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mirror = Mirror::new(broker, options.servers.chroot(), options.restrict);
        let timeout = options.session_timeout;
        let keeper = Keeper {
            options,
            broker,
            metadata,
            clock,
            random,
            mirror,
            hello: Hello { session: Session::default(), zxid: 0, timeout },
            failures: 0,
            told: String::new(),
        };
        Self { stop, task: tokio::spawn(keeper.run(stopped)) }
    }

    /// Ends the session, so that what is registered goes at once. Gives up after `patience`; then
    /// it goes when the session times out.
    pub async fn stop(mut self, patience: Duration) {
        // Without a task there is nothing to stop.
        let _ = self.stop.send(true);
        if timeout(patience, &mut self.task).await.is_err() {
            self.task.abort();
            warn!(
                "ZooKeeper did not answer; this broker's registration ends when its session does"
            );
        }
    }
}

/// How a connection ended.
enum End {
    Stopped,
    Lost(Lost),
}

/// The task that registers and keeps up.
struct Keeper {
    options: RegistrationOptions,
    broker: BrokerId,
    metadata: watch::Receiver<Arc<Metadata>>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    mirror: Mirror,
    hello: Hello,
    /// Attempts in a row that came to nothing.
    failures: u32,
    /// What the operator was told last.
    told: String,
}

impl Keeper {
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        info!(zookeeper = %self.options.servers, "registers in ZooKeeper");
        loop {
            let link = tokio::select! {
                link = self.connect() => link,
                () = stopped(&mut stop) => return,
            };
            match link {
                Ok(mut link) => match self.attend(&mut link, &mut stop).await {
                    End::Stopped => return close(link, self.hello.timeout).await,
                    End::Lost(why) => {
                        (self.hello.session, self.hello.zxid) = (link.session, link.zxid);
                        self.tell(format!("the connection to ZooKeeper was lost: {why}"));
                    }
                },
                Err(Lost::Expired) => {
                    self.tell("the session with ZooKeeper has expired; opens a new one".into());
                    self.mirror.past_session = self.hello.session.id;
                    self.hello.session = Session::default();
                    // A tree that was set back has earlier changes than we have seen.
                    self.hello.zxid = 0;
                    continue;
                }
                Err(why) => self.tell(format!(
                    "cannot reach ZooKeeper at {}: {why}; goes on trying",
                    self.options.servers
                )),
            }
            tokio::select! {
                () = sleep(self.pause()) => {}
                () = stopped(&mut stop) => return,
            }
        }
    }

    /// Reaches one of the servers, beginning with any.
    async fn connect(&mut self) -> Result<Link, Lost> {
        let hosts = self.options.servers.hosts().to_vec();
        let count = u32::try_from(hosts.len()).unwrap_or(u32::MAX);
        let patience = self.options.connect_timeout / count;
        let first = usize::try_from(self.random.next_u64() % u64::from(count)).unwrap_or(0);
        let mut failed = Lost::Silent(patience);
        for (host, port) in hosts.iter().cycle().skip(first).take(hosts.len()) {
            let attempt = timeout(patience, self.connect_to(host, *port)).await;
            match attempt.unwrap_or(Err(Lost::Silent(patience))) {
                Ok(link) => return Ok(link),
                // Every server would say the same.
                Err(Lost::Expired) => return Err(Lost::Expired),
                Err(why) => {
                    debug!(host, port, %why, "cannot reach a ZooKeeper server");
                    failed = why;
                }
            }
        }
        Err(failed)
    }

    async fn connect_to(&self, host: &str, port: u16) -> Result<Link, Lost> {
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
        let mut failed = Lost::Closed;
        for address in addresses {
            match self.open(address, host).await {
                Err(why @ Lost::Io(_)) => failed = why,
                opened => return opened,
            }
        }
        Err(failed)
    }

    async fn open(&self, address: SocketAddr, host: &str) -> Result<Link, Lost> {
        let tls = self.options.tls.as_ref().map(|options| (options, host));
        let mut link = Link::open(address, tls, &self.hello).await?;
        if let Some(credentials) = &self.options.credentials {
            link.log_in(credentials).await?;
        }
        Ok(link)
    }

    /// Writes what is to be written, and what changes, for as long as the connection lasts.
    async fn attend(&mut self, link: &mut Link, stop: &mut watch::Receiver<bool>) -> End {
        self.hello.session = link.session;
        self.mirror.standing = mirror::Standing::default();
        let mut look = true;
        loop {
            let metadata = Arc::clone(&self.metadata.borrow_and_update());
            let now = self.clock.now();
            let synced = tokio::select! {
                synced = self.mirror.sync(link, &metadata, now, look) => synced,
                () = stopped(stop) => return End::Stopped,
            };
            let again = match synced {
                Ok(()) => {
                    self.failures = 0;
                    self.report(link);
                    None
                }
                Err(Trouble::Lost(why)) => return End::Lost(why),
                Err(why) => {
                    self.tell(format!("cannot register in ZooKeeper: {why}"));
                    Some(Instant::now() + REFUSED_PAUSE)
                }
            };
            look = tokio::select! {
                // Without a broker there is nothing to keep up; whoever ends it stops us, too.
                changed = self.metadata.changed() => match changed {
                    Ok(()) => link.take_event(),
                    Err(_) => return End::Stopped,
                },
                rested = link.rest() => match rested {
                    Ok(()) => link.take_event(),
                    Err(why) => return End::Lost(why),
                },
                () = until(again) => true,
                () = stopped(stop) => return End::Stopped,
            };
        }
    }

    /// Tells the operator how things stand, if they stand otherwise than before.
    fn report(&mut self, link: &Link) {
        let number = self.broker.0;
        let standing = &self.mirror.standing;
        let session = link.session.id;
        match (standing.id, standing.controller) {
            (Held::Theirs(other), _) => self.tell(format!(
                "ZooKeeper has a broker {number} already, of session {other:#x}; waits until it \
                 is gone. A broker that was killed goes when its session times out; of two that \
                 run, one needs another broker.id"
            )),
            (_, Held::Theirs(other)) => self.tell(format!(
                "ZooKeeper has a controller already, of session {other:#x}; topics are written \
                 when it is gone"
            )),
            (Held::Ours, _) => {
                let text = format!("registered in ZooKeeper with session {session:#x}");
                if self.told != text {
                    info!(zookeeper = %self.options.servers, broker = number, "{text}");
                    self.told = text;
                    if let Some(topic) = self.mirror.left_out() {
                        warn!(topic, "has more partitions than ZooKeeper takes; is left out there");
                    }
                }
            }
            _ => {}
        }
    }

    /// A warning, once for as long as it stays the same.
    fn tell(&mut self, text: String) {
        if self.told != text {
            warn!("{text}");
            self.told = text;
        }
    }

    /// How long to wait before the next attempt: longer each time, but never so long that the
    /// session would end for it, and never the same for brokers that lost the same server.
    fn pause(&mut self) -> Duration {
        let longest = CONNECT_PAUSE_MAX.min(self.options.session_timeout / 4);
        let pause = CONNECT_PAUSE_MIN * 2_u32.saturating_pow(self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        let pause = pause.min(longest.max(CONNECT_PAUSE_MIN));
        let millis = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        pause / 2 + Duration::from_millis(self.random.next_u64() % (millis / 2 + 1))
    }
}

/// Returns when it is time to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Whoever dropped the sender wants an end, too.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Waits until a time; for ever where there is none.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn close(link: Link, within: Duration) {
    match link.close(within).await {
        Ok(()) => info!("no longer registered in ZooKeeper"),
        Err(why) => warn!("cannot end the session with ZooKeeper: {why}"),
    }
}

#[cfg(test)]
mod tests;
