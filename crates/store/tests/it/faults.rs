//! Disks that are full, or fail.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use base::LogId;
use store::{Append, AppendError, Durability, Store};

use crate::support::*;

/// One append to three logs of the three durabilities; the outcomes.
async fn append_to_three(store: &Store) -> Vec<Result<i64, AppendError>> {
    let mut outcomes = Vec::new();
    let mut pending = Vec::new();
    for id in [1, 2, 3] {
        let entry = Append { log: of(store, id), batches: vec![batch(NOW, &["x"])], epoch: 0 };
        pending.push(store.append(vec![entry]).await);
    }
    for pending in pending {
        let outcome = match pending {
            Ok(pending) => pending.await.pop().unwrap(),
            Err(error) => Err(error),
        };
        outcomes.push(outcome.map(|appended| appended.base));
    }
    outcomes
}

fn of(store: &Store, id: u64) -> Arc<store::Log> {
    let durability = [Durability::Memory, Durability::Os, Durability::Fsync];
    log_with(store, id, durability[usize::try_from(id - 1).unwrap()])
}

fn ends(store: &Store) -> [i64; 3] {
    [1, 2, 3].map(|id| of(store, id).range().end)
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged_or_shown_until_a_restart() {
    let fixture = Fixture::new();
    let faults = Arc::new(Faults::default());
    let store = fixture.open_faulty(&faults);
    assert_eq!(append_to_three(&store).await, [Ok(0), Ok(0), Ok(0)]);
    faults.fail_sync.store(true, SeqCst);
    let append = Append { log: of(&store, 3), batches: vec![batch(NOW, &["lost"])], epoch: 0 };
    let failed = store.append(vec![append]).await.unwrap().await.pop().unwrap();
    assert!(matches!(failed, Err(AppendError::Failed(_))), "{failed:?}");
    assert_eq!(ends(&store), [1, 1, 1]);
    faults.fail_sync.store(false, SeqCst);
    for outcome in append_to_three(&store).await {
        assert!(matches!(outcome, Err(AppendError::Failed(_))), "{outcome:?}");
    }
    assert_eq!(ends(&store), [1, 1, 1]);
    assert!(matches!(store.health(), Err(AppendError::Failed(_))));
    drop(store);
    let store = fixture.open();
    // The write had gone through, so the restart finds it.
    assert_eq!(ends(&store), [1, 1, 2]);
    assert_eq!(append_to_three(&store).await, [Ok(1), Ok(1), Ok(2)]);
}

#[tokio::test]
async fn after_a_failed_write_only_what_asked_for_memory_alone_is_shown() {
    let fixture = Fixture::new();
    let faults = Arc::new(Faults::default());
    let store = fixture.open_faulty(&faults);
    assert_eq!(append_to_three(&store).await, [Ok(0), Ok(0), Ok(0)]);
    faults.fail_write.store(true, SeqCst);
    let entries = [2, 3].map(|id| Append {
        log: of(&store, id),
        batches: vec![batch(NOW, &["lost"])],
        epoch: 0,
    });
    for outcome in store.append(entries.into()).await.unwrap().await {
        assert!(matches!(outcome, Err(AppendError::Failed(_))), "{outcome:?}");
    }
    assert_eq!(ends(&store), [1, 1, 1]);
    drop(store);
    let store = fixture.open();
    assert_eq!(ends(&store), [1, 1, 1]);
    assert_eq!(append_to_three(&store).await, [Ok(1), Ok(1), Ok(1)]);
}

#[tokio::test]
async fn a_full_disk_refuses_appends_and_passes_by_itself() {
    let fixture = Fixture::new();
    let faults = Arc::new(Faults::default());
    let store = fixture.open_faulty(&faults);
    append_to_three(&store).await;
    faults.full.store(true, SeqCst);
    for _ in 0..2 {
        let full = || Err(AppendError::DiskFull);
        assert_eq!(append_to_three(&store).await, [full(), full(), full()]);
    }
    assert_eq!(store.health(), Err(AppendError::DiskFull));
    assert_eq!(ends(&store), [1, 1, 1]);
    faults.full.store(false, SeqCst);
    assert_eq!(append_to_three(&store).await, [Ok(1), Ok(1), Ok(1)]);
    assert_eq!(store.health(), Ok(()));
}

#[tokio::test]
async fn segments_that_find_the_disk_full_are_written_later() {
    let mut fixture = Fixture::new();
    fixture.options.tail_bytes_max = 64 * 1024;
    let store = fixture.open();
    let other = log(&store, 1);
    append(&store, &other, batch(NOW, &["x"])).await.unwrap();
    flush(&store, &other); // the flusher has also looked for what is left over
    let folder = fixture.dir.path().join("segments").join(LogId(2).to_string());
    fs::create_dir(&folder).unwrap();
    let file = folder.join("00000000000000000000.log");
    symlink("/dev/full", &file).unwrap();
    let target = log(&store, 2);
    let text = "x".repeat(9000);
    let mut stored = 0;
    let full = loop {
        match append(&store, &target, batch(NOW, &[&text])).await {
            Ok(appended) => stored = appended.base + 1,
            Err(error) => break error,
        }
    };
    assert_eq!(full, AppendError::DiskFull);
    assert!(stored >= 4, "memory was used first");
    assert_eq!(store.health(), Err(AppendError::DiskFull));
    assert_eq!(texts(&target).len() as i64, stored, "all of it can be read");
    let image = fixture.crash_image();
    fs::remove_file(&file).unwrap();
    eventually("there is room again", || store.health().is_ok());
    assert_eq!(append(&store, &target, batch(NOW, &["y"])).await.unwrap().base, stored);
    drop((store, target, other));
    for (fixture, end) in [(fixture, stored + 1), (image, stored)] {
        let store = fixture.open();
        assert_eq!(log(&store, 2).range(), 0..end);
        assert_eq!(texts(&log(&store, 2)).len() as i64, end);
    }
}

#[tokio::test]
async fn segments_that_cannot_be_written_stop_the_store_and_a_restart_finds_everything() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let other = log(&store, 1);
    append(&store, &other, batch(NOW, &["x"])).await.unwrap();
    flush(&store, &other);
    // Not a folder.
    let folder = fixture.dir.path().join("segments").join(LogId(2).to_string());
    fs::write(&folder, b"").unwrap();
    append(&store, &log(&store, 2), batch(NOW, &["kept"])).await.unwrap();
    drop(store);
    fs::remove_file(folder).unwrap();
    let store = fixture.open();
    assert_eq!(store.recovered().frames, 1);
    assert_eq!(texts(&log(&store, 2)), ["kept"]);
}

#[tokio::test]
async fn a_batch_sent_again_is_as_durable_as_is_asked_for_now() {
    let fixture = Fixture::new();
    let faults = Arc::new(Faults::default());
    let store = fixture.open_faulty(&faults);
    let target = log_with(&store, 1, Durability::Os);
    append(&store, &target, numbered(7, 0, 0, &["x"])).await.unwrap();
    assert_eq!((faults.written.load(SeqCst), faults.synced.load(SeqCst)), (1, 0));
    log_with(&store, 1, Durability::Fsync);
    append(&store, &target, numbered(7, 0, 0, &["x"])).await.unwrap();
    assert_eq!((faults.written.load(SeqCst), faults.synced.load(SeqCst)), (1, 1));
}

#[tokio::test]
async fn a_closed_store_takes_nothing_and_can_still_be_read() {
    let fixture = Fixture::new();
    let store = fixture.open();
    append_to_three(&store).await;
    store.close();
    assert_eq!(append_to_three(&store).await, vec![Err(AppendError::Closed); 3]);
    assert_eq!(texts(&of(&store, 3)), ["x"]);
    store.close();
}

#[tokio::test]
async fn options_may_change_between_the_appends_of_one_frame() {
    let fixture = Fixture::new();
    let store = fixture.open();
    for round in 0..50 {
        let target = of(&store, 1);
        let first =
            Append { log: Arc::clone(&target), batches: vec![batch(NOW, &["a"])], epoch: 0 };
        let pending = store.append(vec![first.clone(), first.clone()]).await.unwrap();
        log_with(&store, 1, [Durability::Fsync, Durability::Memory][round % 2]);
        let second = store.append(vec![first]).await.unwrap();
        for appended in pending.await.into_iter().chain(second.await) {
            // What is acknowledged is visible.
            assert!(target.range().end > appended.unwrap().base);
        }
    }
    assert_eq!(texts(&of(&store, 1)).len(), 150);
}
