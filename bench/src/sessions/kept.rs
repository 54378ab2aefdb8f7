//! Sessions that wait for their clients.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

use tests::Serve;

use super::{Figures, mib, ms, settle};
use crate::link::Link;
use crate::meter::{cpu, memory};
use crate::pubsub::Wire;

const SESSIONS: usize = 100_000;

/// Connections that are opened before the first of them is waited for.
const TOGETHER: usize = 500;

const WIRE: Wire = Wire::Mqtt(1);

/// Makes them, leaves them, and has the broker start again with them.
pub(super) fn run() -> Figures {
    let mut broker = Serve::new().start();
    let folder = broker.home().join("data");
    let address = format!("127.0.0.1:{}", broker.mqtt());
    // Whatever it makes for its first client is not counted.
    make(&address, SESSIONS..SESSIONS + 1);
    settle(broker.id());
    let (empty, disk, used) = (memory(broker.id()), bytes(&folder), cpu(broker.id()));
    let begun = Instant::now();
    for from in (0..SESSIONS).step_by(TOGETHER) {
        make(&address, from..SESSIONS.min(from + TOGETHER));
    }
    let took = begun.elapsed();
    let used = cpu(broker.id()).saturating_sub(used);
    settle(broker.id());
    let all = SESSIONS as f64;
    let mut figures: Figures = vec![
        ("seconds_to_make".into(), took.as_secs_f64()),
        ("cpu_us_per_session".into(), used.as_secs_f64() * 1e6 / all),
        ("kib_per_session".into(), (memory(broker.id()) - empty) / 1024.0 / all),
        ("mib_above_empty".into(), mib(memory(broker.id()) - empty)),
        ("disk_bytes_per_session".into(), (bytes(&folder) - disk) / all),
    ];
    broker.kill();
    broker.restart();
    figures.push(("ready_ms_after_sigkill".into(), ms(broker.ready_after())));
    settle(broker.id());
    figures.push(("mib_above_empty_after_sigkill".into(), mib(memory(broker.id()) - empty)));
    broker.stop();
    broker.restart();
    figures.push(("ready_ms_after_stop".into(), ms(broker.ready_after())));
    let begun = Instant::now();
    let mut link = Link::dial(&address);
    link.say(&WIRE.hello_again(SESSIONS - 1));
    link.expect(WIRE.welcome_back());
    figures.push(("ms_to_first_resumed".into(), ms(begun.elapsed())));
    settle(broker.id());
    figures.push(("mib_above_empty_after_stop".into(), mib(memory(broker.id()) - empty)));
    figures
}

/// Clients who come, subscribe and leave.
fn make(address: &str, clients: std::ops::Range<usize>) {
    let mut links: Vec<Link> = clients
        .map(|client| {
            let mut link = Link::dial(address);
            link.say(&WIRE.hello_again(client));
            link.say(&WIRE.subscribe(&WIRE.topic(&["idle", &client.to_string()])));
            link
        })
        .collect();
    for link in &mut links {
        link.expect(&WIRE.subscribed());
        link.say(WIRE.goodbye());
    }
    links.iter_mut().for_each(Link::expect_end);
}

/// What a folder takes of its disk.
fn bytes(folder: &Path) -> f64 {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let one = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("an entry").path();
        // A file may be gone meanwhile.
        let Ok(metadata) = path.symlink_metadata() else { return 0.0 };
        if metadata.is_dir() { bytes(&path) } else { metadata.blocks() as f64 * 512.0 }
    };
    entries.map(one).sum()
}
