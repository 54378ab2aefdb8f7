//! Running a broker until it is told to stop.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base::{Clock, Random, SystemClock, SystemRandom};
use broker::loggers::Loggers;
use broker::observe::{Said, kinds};
use broker::{Broker, BrokerOptions, MetaError, StartError};
use cluster::{Embedded, MetaStore};
use door::ListenerHandle;
use door::tls::TlsError;
use door_zookeeper::Registration;
use store::{OpenError, Store};
use tokio::signal::unix::{SignalKind, signal};

use crate::build::{
    Bound, Doors, adapt, bind, broker_options, coap_dtls, connection_limit, endpoints,
    follow_bounds, observe_options, otlp_target, registration, request_room, store_options,
};
use crate::config::Config;
use crate::limits::raise_open_files;
use crate::logging;
use crate::otlp::Exporter;
use crate::process::{Process, environment};
use crate::security::{self, Security, SecurityError};
use crate::settings::settings;

/// Connections get this long to finish what they began when the broker stops.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// A ZooKeeper elsewhere gets this long to hear that we are going.
const DEREGISTER_PATIENCE: Duration = Duration::from_secs(3);

/// Why a broker did not start, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A listener's address cannot be used.
    #[error(
        "cannot listen on {address} for {name}: {source}; is another broker running, or is the port taken? (see net.bind and {key})"
    )]
    Bind {
        /// The listener's name.
        name: String,
        /// The key of the configuration that says which port.
        key: &'static str,
        /// The address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// A host name has no address.
    #[error("network.max_connections_per_ip_overrides: {host}: {source}")]
    Override {
        /// The host.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// The data folder cannot be opened.
    #[error("cannot open the data folder: {0}")]
    Open(#[from] OpenError),
    /// The metadata store cannot be opened.
    #[error("cannot open the metadata: {0}")]
    Meta(#[from] MetaError),
    /// The broker did not start.
    #[error("cannot start: {0}")]
    Start(#[from] StartError),
    /// A listener cannot be protected as it should be.
    #[error("{0}")]
    Security(#[from] SecurityError),
    /// What is to be shown to a ZooKeeper elsewhere, or trusted, cannot be used.
    #[error("registration.tls: {0}")]
    RegistrationTls(TlsError),
    /// The system refused something else.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The log filter is not one.
    #[error("log.level: {0}")]
    LogLevel(String),
}

/// Runs a broker in the foreground until SIGTERM or SIGINT. A line that begins with `ready ` goes
/// to standard output once clients are served; everything else goes to standard error.
///
/// # Errors
/// See [`RunError`].
pub fn run(config: &Config) -> Result<(), RunError> {
    let began = Instant::now();
    let loggers = logging::start(config)?;
    raise_open_files();
    for notice in &config.notices {
        tracing::warn!("{notice}");
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = match config.network.worker_threads {
        0 => cores(),
        configured => configured,
    };
    // The runtime starts its workers first; threads that it adds later read from disk.
    let started = AtomicUsize::new(0);
    runtime.enable_all().worker_threads(workers).thread_name_fn(move || {
        let is_worker = started.fetch_add(1, Ordering::Relaxed) < workers;
        if is_worker { "worker".to_owned() } else { "blocking".to_owned() }
    });
    runtime.build()?.block_on(serve(config, loggers, began))
}

async fn serve(config: &Config, loggers: Arc<dyn Loggers>, began: Instant) -> Result<(), RunError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    // The signals first: one that comes while we start must stop us properly, too.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let hangup = signal(SignalKind::hangup())?;

    let bound = bind(config)?;
    let dtls = coap_dtls(config)?;
    let mut security = Security::new(config)?;
    let (store, meta) = open(config, &clock)?;
    let endpoints = endpoints(&bound);
    let settings = settings(config, &bound, &endpoints);
    let options =
        BrokerOptions { settings, loggers, ..broker_options(config, endpoints, clock, random) };
    let broker = Broker::start(options, Arc::clone(&store), meta).await?;
    let process = Arc::new(Process::new(Arc::clone(&broker.options().clock)));
    broker.observe().registry.ask(&process);
    let _first = broker.observe().environment.set(environment());
    let doors = Doors::new(config, &broker);
    let mut told = security::first_user(config, &broker).await?;
    told.push_str(&security::announce(&security));
    told.push_str(&announce(config, &bound, began));
    let (limit, room) = (connection_limit(config, &broker)?, request_room(config));
    let bounding =
        tokio::spawn(follow_bounds(config.network.clone(), broker.clone(), limit.clone()));
    let registration = registration(config, &bound);
    if let Some(tls) = registration.as_ref().and_then(|options| options.tls.as_ref()) {
        // Now, rather than on every attempt to connect.
        tls.build().map_err(RunError::RegistrationTls)?;
    }
    let mut listeners = Vec::with_capacity(bound.len());
    let mut datagrams = Vec::new();
    for Bound { listener, config: own, udp } in bound {
        let listener = security.protect(listener, &own, &broker).await?;
        let listener = adapt(listener, own.door, config).with_room(room.clone());
        let listener = listener.with_observe(Arc::clone(broker.observe()));
        listeners.push(listener.run(doors.get(own.door), limit.clone()));
        datagrams.extend(udp.map(|udp| udp.run(&doors.coap)));
    }
    datagrams.extend(dtls.map(|(socket, keys)| socket.run_secure(&doors.coap, keys)));
    let following = tokio::spawn(Arc::new(security).follow(hangup));
    broker.begin_observing(observe_options(config));
    let exporter = otlp_target(config).map(|target| Exporter::start(target, &broker));
    let events = &broker.observe().events;
    events.tell(&kinds::STARTED, None, || Said::new(kinds::STARTED.help));
    print(&told)?;
    // Last: who finds us there can talk to us.
    let registration = registration.map(|options| {
        let BrokerOptions { id, clock, random, .. } = broker.options();
        let (clock, random) = (Arc::clone(clock), Arc::clone(random));
        Registration::start(options, *id, broker.watch_metadata(), clock, random)
    });

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    events.tell(&kinds::STOPPING, None, || Said::new(kinds::STOPPING.help));
    following.abort();
    bounding.abort();
    // First: nobody is sent to us any more.
    if let Some(registration) = registration {
        registration.stop(DEREGISTER_PATIENCE).await;
    }
    for udp in datagrams {
        udp.stop(STOP_PATIENCE).await;
    }
    stop(listeners, &broker, (exporter, store)).await;
    tracing::info!("stopped");
    Ok(())
}

fn open(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<(Arc<Store>, Arc<dyn MetaStore>), RunError> {
    let store = Store::open(store_options(config), Arc::clone(clock))?;
    let recovered = store.recovered();
    if recovered.frames > 0 {
        tracing::info!(
            frames = recovered.frames,
            logs = recovered.logs,
            "read back what was not yet in segments"
        );
    }
    let options = cluster::Options { clock: Arc::clone(clock), ..cluster::Options::default() };
    let meta = Embedded::open(&config.storage.dir.join("meta"), options)?;
    Ok((Arc::new(store), Arc::new(meta)))
}

/// What to tell whoever started us.
fn announce(config: &Config, bound: &[Bound], began: Instant) -> String {
    let mut text = format!("data in {}\n", config.storage.dir.display());
    if config.listeners.iter().all(crate::config::Listener::is_loopback) {
        text.push_str("reachable from this machine only; set net.bind to change that\n");
    }
    if config.listeners.iter().all(|listener| listener.security == "PLAINTEXT") {
        text.push_str("without logins or encryption; serve --secure asks for both\n");
    }
    let doors = bound.iter().map(|bound| {
        let port = bound.listener.local_address().port();
        format!("{} on {}:{port}", bound.config.name, bound.config.host)
    });
    let doors = doors.collect::<Vec<_>>().join(", ");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "ready in {} ms: {doors}", began.elapsed().as_millis());
    text
}

/// Standard output may be closed; a broker does not need it.
fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match io::Write::write_all(&mut out, text.as_bytes()).and_then(|()| io::Write::flush(&mut out))
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Clients first, so that nobody is cut off in the middle; then the broker; then the disk.
async fn stop(
    listeners: Vec<ListenerHandle>,
    broker: &Broker,
    (exporter, store): (Option<Exporter>, Arc<Store>),
) {
    let stopping: Vec<_> =
        listeners.into_iter().map(|listener| tokio::spawn(listener.stop(STOP_PATIENCE))).collect();
    for listener in stopping {
        if let Err(error) = listener.await {
            tracing::error!(%error, "a listener did not stop properly");
        }
    }
    broker.stop().await;
    if let Some(exporter) = exporter {
        exporter.stop().await;
    }
    let closed = tokio::task::spawn_blocking(move || store.close()).await;
    if let Err(error) = closed {
        tracing::error!(%error, "the log did not close properly");
    }
}
