//! What a disk kept.

use std::path::Path;
use std::sync::Arc;

use base::{Random, SystemRandom};
use bytes::{Buf, Bytes};
use queue::record::{Record, RecordError};
use queue::share_group::ShareGroups;
use queue::shared::{SharedConfig, Subscriptions};
use queue::transactions::{Transactions, TxnConfig};
use queue::{Config, Coordinator};
use store::fuzz;
use tempfile::TempDir;

/// A folder in memory where there is such a place: files are written for each input.
pub(super) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    dir.expect("there is a folder for scratch files")
}

/// A frame, or a checkpoint.
pub(super) fn block(input: &[u8]) {
    fuzz::decode(&Bytes::copy_from_slice(input));
}

/// A data folder in sections.
pub(super) fn folder(input: &[u8]) {
    let dir = scratch();
    fuzz::make_folder(input, dir.path()).expect("the scratch folder is writable");
    let _ = fuzz::open_folder(dir.path());
}

/// Keys with their values, each with its length in front: a byte, then two. A length of 65535 is a
/// value that is not there.
fn pairs(input: &[u8]) -> Vec<(Bytes, Option<Bytes>)> {
    let mut rest = Bytes::copy_from_slice(input);
    let mut pairs = Vec::new();
    while let Ok(length) = rest.try_get_u8() {
        let key = rest.split_to(usize::from(length).min(rest.len()));
        let value = match rest.try_get_u16() {
            Ok(u16::MAX) | Err(_) => None,
            Ok(length) => Some(rest.split_to(usize::from(length).min(rest.len()))),
        };
        pairs.push((key, value));
    }
    pairs
}

/// What the journal is replayed into.
struct Machines {
    groups: Coordinator<()>,
    transactions: Transactions<()>,
    shared: Subscriptions<()>,
    share_groups: ShareGroups,
}

impl Machines {
    fn new() -> Self {
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        Self {
            groups: Coordinator::new(Config::default(), random),
            transactions: Transactions::new(TxnConfig::default()),
            shared: Subscriptions::new(SharedConfig::default()),
            share_groups: ShareGroups::new(Config::default().groups_max),
        }
    }

    fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), RecordError> {
        let taken = self.transactions.restore(key, value)?
            || self.shared.restore(key, value)?
            || self.share_groups.restore(key, value)?;
        if taken { Ok(()) } else { self.groups.restore(key, value) }
    }

    fn run(&mut self) {
        self.groups.start(1_000);
        self.transactions.start(1_000);
        self.shared.start();
        for now in [2_000, 60_000, 10_000_000] {
            self.groups.tick(now);
            self.transactions.tick(now);
            self.share_groups.tick(now);
            self.shared.tick(now);
        }
    }

    fn snapshot(&self) -> Vec<Record> {
        let groups = self.groups.snapshot().chain(self.transactions.snapshot());
        groups.chain(self.shared.snapshot()).chain(self.share_groups.snapshot()).collect()
    }
}

/// Records of the journal, given to the machines as a start gives them.
pub(super) fn journal(input: &[u8]) {
    let mut machines = Machines::new();
    for (key, value) in pairs(input) {
        // A start would end at the first that is wrong; those after it are worth reading, too.
        let _ = machines.restore(&key, value.as_deref());
    }
    machines.run();
    // What is written when the journal is rewritten must be readable at the next start.
    let mut again = Machines::new();
    for record in machines.snapshot() {
        again.restore(&record.key, record.value.as_deref()).expect("a record of our own");
    }
}

/// What stands in the metadata store.
pub(super) fn metadata(input: &[u8]) {
    broker::fuzz::metadata(&pairs(input));
}
