//! A store in a temporary folder, and short ways to use it.

use std::sync::Arc;
use std::time::Duration;

use base::{LogId, ManualClock, Offset};
use store::batch::{Batch, BatchBuilder, Compression, NewRecord};
use store::{Append, AppendError, Appended, Log, LogOptions, Store, StoreOptions};
use tempfile::TempDir;

pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    pub(crate) clock: ManualClock,
    pub(crate) options: StoreOptions,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let mut options = StoreOptions::new(dir.path());
        options.wal_file_bytes = 1 << 20;
        options.flush_after = Duration::from_secs(3600);
        Self { dir, clock: ManualClock::at(1_700_000_000_000), options }
    }

    pub(crate) fn open(&self) -> Store {
        Store::open(self.options.clone(), Arc::new(self.clock.clone())).unwrap()
    }
}

pub(crate) fn log(store: &Store, id: u64) -> Arc<Log> {
    store.open_log(LogId(id), LogOptions::default())
}

pub(crate) fn batch(timestamp: i64, values: &[&str]) -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    for value in values {
        let value = Some(value.as_bytes());
        builder.push(&NewRecord { timestamp, key: None, value, headers: &[] });
    }
    builder.build().unwrap()
}

pub(crate) async fn append(
    store: &Store,
    log: &Arc<Log>,
    batch: Batch,
) -> Result<Appended, AppendError> {
    let append = Append { log: Arc::clone(log), batches: vec![batch], epoch: 0 };
    store.append(vec![append]).await?.await.pop().unwrap()
}

/// All values from `offset` on, with their offsets.
pub(crate) fn values(log: &Log, offset: Offset) -> Vec<(Offset, String)> {
    let mut all = Vec::new();
    let mut next = offset;
    while next < log.range().end {
        let read = log.read(next, 1 << 20, Offset::MAX).unwrap();
        assert!(!read.is_empty(), "nothing at {next} of {:?}", log.range());
        for batch in read.batches() {
            let batch = batch.unwrap();
            next = batch.header().next_offset();
            for record in batch.records().unwrap() {
                let record = record.unwrap();
                let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                all.push((record.offset, value));
            }
        }
    }
    all
}
