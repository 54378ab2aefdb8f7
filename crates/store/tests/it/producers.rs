//! Idempotent producers: each batch once, in order, also after restarts and crashes.

use std::sync::Arc;

use store::batch::{BatchBuilder, Marker};
use store::{Append, AppendError, Store};

use crate::support::*;

async fn send(store: &Store, sequence: i32, epoch: i16) -> Result<i64, AppendError> {
    let text = format!("{epoch}:{sequence}");
    let batch = numbered(7, epoch, sequence, &[&text, &text]);
    append(store, &log(store, 1), batch).await.map(|appended| appended.base)
}

#[tokio::test]
async fn a_batch_sent_again_is_answered_with_its_first_offset_also_after_a_crash_and_a_restart() {
    let fixture = Fixture::new();
    let store = fixture.open();
    for round in 0..7 {
        assert_eq!(send(&store, round * 2, 0).await, Ok(i64::from(round) * 2));
    }
    let image = fixture.crash_image();
    drop(store);
    for fixture in [fixture, image] {
        let store = fixture.open();
        for remembered in 2..7 {
            assert_eq!(send(&store, remembered * 2, 0).await, Ok(i64::from(remembered) * 2));
        }
        let gap = AppendError::OutOfOrder { producer: 7, found: 16, expected: 14 };
        assert_eq!(send(&store, 16, 0).await, Err(gap));
        assert_eq!(send(&store, 14, 0).await, Ok(14));
        assert_eq!(send(&store, 0, 1).await, Ok(16));
        let fenced = AppendError::Fenced { producer: 7, found: 0, current: 1 };
        assert_eq!(send(&store, 16, 0).await, Err(fenced.clone()));
        let image = fixture.crash_image();
        let crashed = image.open();
        assert_eq!(send(&crashed, 16, 0).await, Err(fenced));
        assert_eq!(send(&crashed, 0, 1).await, Ok(16));
        assert_eq!(log(&crashed, 1).range(), 0..18);
    }
}

#[tokio::test]
async fn the_same_batch_twice_in_one_request_is_stored_once() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let target = log(&store, 1);
    let first = numbered(7, 0, 0, &["a"]);
    let entries = (0..3).map(|_| Append {
        log: Arc::clone(&target),
        batches: vec![first.clone(), first.clone()],
        epoch: 0,
    });
    let outcomes = store.append(entries.collect()).await.unwrap().await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap().base == 0));
    assert_eq!(texts(&target), ["a"]);
}

#[tokio::test]
async fn an_entry_is_stored_whole_or_not_at_all() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let target = log(&store, 1);
    let gap = vec![numbered(7, 0, 0, &["a"]), numbered(7, 0, 5, &["b"])];
    let entries = vec![
        Append { log: Arc::clone(&target), batches: gap, epoch: 0 },
        Append { log: Arc::clone(&target), batches: vec![batch(NOW, &["c"])], epoch: 0 },
    ];
    let outcomes = store.append(entries).await.unwrap().await;
    assert!(matches!(outcomes[0], Err(AppendError::OutOfOrder { found: 5, expected: 1, .. })));
    assert_eq!(outcomes[1].as_ref().unwrap().base, 0);
    assert_eq!(texts(&target), ["c"]);
    // Nor is it remembered.
    let whole = vec![numbered(7, 0, 0, &["a"]), numbered(7, 0, 1, &["b"])];
    assert_eq!(append_all(&store, &target, whole).await.unwrap().base, 1);
    assert_eq!(texts(&target), ["c", "a", "b"]);
}

#[tokio::test]
async fn a_batch_lost_in_a_crash_is_not_taken_for_stored() {
    let fixture = Fixture::new();
    let store = fixture.open();
    send(&store, 0, 0).await.unwrap();
    drop(store);
    let store = fixture.open();
    send(&store, 2, 0).await.unwrap();
    let image = fixture.crash_image();
    let last = frames(&image).pop().unwrap();
    edit(&last.path, |bytes| bytes[last.position..last.position + 64].fill(0));
    let store = image.open();
    assert_eq!(log(&store, 1).range(), 0..2);
    assert_eq!(send(&store, 2, 0).await, Ok(2));
    assert_eq!(texts(&log(&store, 1)), ["0:0", "0:0", "0:2", "0:2"]);
}

#[tokio::test]
async fn a_marker_fences_older_epochs_also_after_a_crash_and_a_restart() {
    let fixture = Fixture::new();
    let store = fixture.open();
    send(&store, 0, 3).await.unwrap();
    let marker = BatchBuilder::marker(7, 4, Marker::Abort, NOW).unwrap();
    append(&store, &log(&store, 1), marker).await.unwrap();
    let image = fixture.crash_image();
    drop(store);
    for fixture in [fixture, image] {
        for _ in 0..2 {
            let store = fixture.open();
            let fenced = AppendError::Fenced { producer: 7, found: 3, current: 4 };
            assert_eq!(send(&store, 2, 3).await, Err(fenced));
        }
        assert_eq!(send(&fixture.open(), 0, 4).await, Ok(3));
    }
}

#[tokio::test]
async fn producers_not_heard_of_are_forgotten() {
    let mut fixture = Fixture::new();
    fixture.options.producer_expiry_ms = 1000;
    let store = fixture.open();
    send(&store, 0, 3).await.unwrap();
    fixture.clock.advance(5000);
    append(&store, &log(&store, 1), batch(NOW, &["x"])).await.unwrap();
    flush(&store, &log(&store, 1));
    assert_eq!(send(&store, 40, 0).await, Ok(3), "any number may begin");
}
