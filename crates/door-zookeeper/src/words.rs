//! The four-letter words that administrators send instead of a first request.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use rustix::process::{Resource, getrlimit};
use tracing::warn;

use crate::Shared;
use crate::client::{Client, Latency};
use crate::limits::TICK;
use crate::state::State;
use crate::watches::ClientId;

/// The ZooKeeper version that we are compatible with, then ours. Tools read the first numbers.
const VERSION: &str = concat!("3.8.0-entrepot-", env!("CARGO_PKG_VERSION"), ", built on unknown");

/// Makes the words that are answered, and the table of them, which is the one in
/// `docs/doors/zookeeper.md`.
macro_rules! words {
    ($($(#[$doc:meta])* $value:ident = $word:literal $notes:literal,)*) => {
        /// A word that ZooKeeper knows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Word {
            $($(#[$doc])* $value,)*
            /// Words that ZooKeeper has and we do not.
            Refused(&'static str),
        }

        /// The words that are answered, and what with.
        #[cfg(test)]
        pub(crate) const ANSWERED: &[(Word, &str, &str)] =
            &[$((Word::$value, $word, $notes),)*];

        impl Word {
            /// The word that these four bytes are, among those that are answered.
            fn answered(bytes: [u8; 4]) -> Option<Self> {
                $(if bytes == *$word.as_bytes() {
                    return Some(Self::$value);
                })*
                None
            }
        }
    };
}

words! {
    /// Are you OK?
    Ruok = "ruok" "`imok`",
    /// The server at a glance.
    Srvr = "srvr" "the server at a glance",
    /// The same, with its connections.
    Stat = "stat" "the same, with its connections",
    /// The server in numbers.
    Mntr = "mntr" "the server in numbers: those lines that mean something here. Nodes, ephemeral nodes and watches are counted",
    /// Where it runs.
    Envi = "envi" "where it runs",
    /// How it is configured.
    Conf = "conf" "how it is configured: those lines that mean something here",
    /// Is it read-only?
    Isro = "isro" "`rw`",
    /// Its connections in detail.
    Cons = "cons" "its connections in detail",
}

/// Words that are answered as ZooKeeper answers those that are not switched on.
pub(crate) const REFUSED: [&str; 11] =
    ["crst", "dirs", "dump", "gtmk", "hash", "lead", "srst", "stmk", "wchc", "wchp", "wchs"];

impl Word {
    /// The word that the first four bytes of a connection are, if they are one.
    pub(crate) fn parse(bytes: [u8; 4]) -> Option<Self> {
        Self::answered(bytes).or_else(|| {
            Some(Self::Refused(REFUSED.into_iter().find(|word| word.as_bytes() == bytes)?))
        })
    }
}

/// What to say to `word`, which connection `asker` sent to the address `local`.
pub(crate) async fn answer(
    word: Word,
    shared: &Arc<Shared>,
    asker: ClientId,
    local: SocketAddr,
) -> String {
    if matches!(word, Word::Srvr | Word::Stat | Word::Mntr)
        && let Err(error) = shared.open().await
    {
        warn!(%error, "cannot read the registry");
    }
    let now = shared.now();
    let mut state = shared.state.lock();
    if matches!(word, Word::Srvr | Word::Stat | Word::Mntr) {
        state.catch_up(now);
    }
    if let Some(client) = state.clients.get_mut(&asker) {
        client.received += 1;
    }
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _infallible = match word {
        Word::Ruok => write!(out, "imok"),
        Word::Isro => write!(out, "rw"),
        Word::Srvr => server(&mut out, &state, false),
        Word::Stat => server(&mut out, &state, true),
        Word::Mntr => numbers(&mut out, &state, now.steady),
        Word::Envi => environment(&mut out),
        Word::Conf => configuration(&mut out, local, &state.timeouts),
        Word::Cons => connections(&mut out, &state, true).and_then(|()| writeln!(out)),
        Word::Refused(word) => {
            writeln!(out, "{word} is not executed because it is not in the whitelist.")
        }
    };
    out
}

fn server(out: &mut String, state: &State, with_clients: bool) -> std::fmt::Result {
    writeln!(out, "Zookeeper version: {VERSION}")?;
    if with_clients {
        writeln!(out, "Clients:")?;
        connections(out, state, false)?;
        writeln!(out)?;
    }
    let Latency { min, max, .. } = state.latency;
    writeln!(out, "Latency min/avg/max: {min}/{}/{max}", average(state.latency))?;
    let (received, sent) = state.packets();
    writeln!(out, "Received: {received}\nSent: {sent}")?;
    writeln!(out, "Connections: {}\nOutstanding: 0", state.clients.len())?;
    writeln!(out, "Zxid: 0x{:x}\nMode: standalone", state.tree.zxid())?;
    writeln!(out, "Node count: {}", state.tree.len())
}

fn connections(out: &mut String, state: &State, in_detail: bool) -> std::fmt::Result {
    for client in state.clients.values() {
        let Client { peer, received, sent, since, timeout, .. } = client;
        let queued = client.outgoing.queued();
        write!(out, " /{peer}[1](queued={queued},recved={received},sent={sent}")?;
        if let (true, Some(session)) = (in_detail, client.session) {
            let operation = client.last.map_or("NA", |last| last.name());
            write!(out, ",sid=0x{session:x},lop={operation},est={since},to={timeout}")?;
            if let Some(last) = client.last {
                if last.xid >= 0 {
                    write!(out, ",lcxid=0x{:x}", last.xid)?;
                }
                let Latency { min, max, .. } = client.latency;
                let average = average(client.latency);
                write!(out, ",lzxid=0x{:x},lresp={},llat={}", last.zxid, last.at, last.latency)?;
                write!(out, ",minlat={min},avglat={average},maxlat={max}")?;
            }
        }
        writeln!(out, ")")?;
    }
    Ok(())
}

fn numbers(out: &mut String, state: &State, uptime: u64) -> std::fmt::Result {
    let Latency { min, max, .. } = state.latency;
    let (received, sent) = state.packets();
    let mut line = |name: &str, value: String| writeln!(out, "zk_{name}\t{value}");
    line("version", VERSION.into())?;
    line("server_state", "standalone".into())?;
    line("ephemerals_count", state.tree.ephemerals().to_string())?;
    line("num_alive_connections", state.clients.len().to_string())?;
    line("avg_latency", average(state.latency))?;
    line("outstanding_requests", 0.to_string())?;
    line("znode_count", state.tree.len().to_string())?;
    line("global_sessions", state.sessions().to_string())?;
    line("packets_sent", sent.to_string())?;
    line("packets_received", received.to_string())?;
    line("watch_count", state.watches.len().to_string())?;
    line("min_latency", min.to_string())?;
    if let Some(limit) = getrlimit(Resource::Nofile).current {
        line("max_file_descriptor_count", limit.to_string())?;
    }
    line("approximate_data_size", state.tree.data_bytes().to_string())?;
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        line("open_file_descriptor_count", open.count().to_string())?;
    }
    line("local_sessions", 0.to_string())?;
    line("uptime", uptime.to_string())?;
    line("max_latency", max.to_string())
}

fn environment(out: &mut String) -> std::fmt::Result {
    writeln!(out, "Environment:\nzookeeper.version={VERSION}")?;
    let kernel = rustix::system::uname();
    writeln!(out, "host.name={}", kernel.nodename().to_string_lossy())?;
    writeln!(out, "os.name={}", kernel.sysname().to_string_lossy())?;
    writeln!(out, "os.arch={}", kernel.machine().to_string_lossy())?;
    writeln!(out, "os.version={}", kernel.release().to_string_lossy())
}

fn configuration(
    out: &mut String,
    local: SocketAddr,
    timeouts: &std::ops::RangeInclusive<i32>,
) -> std::fmt::Result {
    writeln!(out, "clientPort={}\nsecureClientPort=-1", local.port())?;
    writeln!(out, "tickTime={}\nmaxClientCnxns=0", TICK.as_millis())?;
    writeln!(out, "minSessionTimeout={}", timeouts.start())?;
    writeln!(out, "maxSessionTimeout={}\nserverId=0", timeouts.end())
}

/// An average with a decimal point, always.
fn average(latency: Latency) -> String {
    let thousandths = latency.average_thousandths();
    let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
    let trimmed = text.trim_end_matches('0');
    if trimmed.ends_with('.') { format!("{trimmed}0") } else { trimmed.into() }
}
