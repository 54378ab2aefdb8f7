use base::ManualClock;
use std::fs;
use tempfile::TempDir;

use super::*;
use crate::batch::{BatchBuilder, Compression, NewRecord};
use crate::options::StoreOptions;
use crate::store::{Append, Store};

fn open(dir: &Path) -> Store {
    let mut options = StoreOptions::new(dir);
    options.flush_after = std::time::Duration::from_secs(3600);
    Store::open(options, Arc::new(ManualClock::at(0))).unwrap()
}

async fn append(store: &Store, id: u64) {
    let log = store.open_log(LogId(id), LogOptions::default());
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(&NewRecord::default());
    let batches = vec![builder.build().unwrap()];
    let outcome = store.append(vec![Append { log, batches, epoch: 0 }]).await.unwrap().await;
    outcome[0].clone().unwrap();
}

/// Log 1 has records in segments and in frames, and is deleted; then the machine stops.
#[tokio::test]
async fn frames_of_a_deleted_log_are_passed_over() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    append(&store, 1).await;
    drop(store);
    let store = open(dir.path());
    append(&store, 1).await;
    append(&store, 2).await;
    let image = TempDir::new().unwrap();
    for part in ["wal", "segments"] {
        fs::create_dir(image.path().join(part)).unwrap();
    }
    for file in fs::read_dir(dir.path().join("wal")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), image.path().join("wal").join(file.file_name())).unwrap();
    }
    let checkpoint = |deleted| Checkpoint { sequence: 1, deleted, logs: Vec::new() };
    checkpoint(vec![]).write(&Disk::System, image.path()).unwrap();
    let files = Arc::new(SegmentFiles::new(Disk::System, image.path().join("segments")));
    assert!(matches!(recover(&Disk::System, image.path(), &files), Err(OpenError::Damaged { .. })));
    checkpoint(vec![(LogId(1), 2)]).write(&Disk::System, image.path()).unwrap();
    let recovered = recover(&Disk::System, image.path(), &files).unwrap();
    assert_eq!(recovered.logs.keys().copied().collect::<Vec<_>>(), [LogId(2)]);
    // And still after the next stop.
    assert_eq!(recovered.deleted.len(), 1);
}

#[test]
fn the_next_whole_batch_is_found_behind_any_damage() {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(&NewRecord { value: Some(&[9; 50]), ..NewRecord::default() });
    let batch = builder.build().unwrap();
    let size = batch.bytes().len();
    let mut run = Vec::new();
    for offset in 0..3i64 {
        let at = run.len();
        run.extend_from_slice(batch.bytes());
        run[at..at + 8].copy_from_slice(&offset.to_be_bytes());
    }
    for at in 0..size {
        let mut run = run.clone();
        run[at] ^= 0x80;
        assert_eq!(next_whole(&Bytes::from(run), &(0..3)), (size, 1), "byte {at}");
    }
    let end = Bytes::copy_from_slice(&run[2 * size..]);
    assert_eq!(next_whole(&end, &(2..3)), (size, 3), "nothing follows");
    assert_eq!(next_whole(&Bytes::new(), &(2..3)), (0, 3));
}
