//! What is kept, and for how long: segments, retention, trimming, deletion, look-ups by time.

use std::sync::Arc;
use std::time::Duration;

use base::LogId;
use store::batch::Compression;
use store::{AppendError, Log, LogOptions, ReadError, Store};

use crate::support::*;

const KILO: usize = 1000;

fn small_segments() -> LogOptions {
    LogOptions { segment_bytes: 10 * KILO as u64, retention_ms: None, ..LogOptions::default() }
}

/// A log of 100 records of a kilobyte, one a second, in segments of nine.
async fn hundred(fixture: &Fixture, options: LogOptions) -> (Store, Arc<Log>) {
    let store = fixture.open();
    let target = store.open_log(LogId(1), options);
    let text = "x".repeat(KILO);
    for round in 0..100 {
        append(&store, &target, batch(NOW + round * 1000, &[&text])).await.unwrap();
    }
    flush(&store, &target);
    (store, target)
}

fn retaining() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.options.retention_interval = Duration::from_millis(5);
    fixture
}

fn segment_files(fixture: &Fixture) -> usize {
    let folder = fixture.dir.path().join("segments").join(LogId(1).to_string());
    files(&folder).iter().filter(|path| path.extension().unwrap() == "log").count()
}

#[tokio::test]
async fn segments_end_at_their_size_and_reads_cross_them() {
    let fixture = Fixture::new();
    let (store, target) = hundred(&fixture, small_segments()).await;
    assert_eq!(target.status().segments, 12);
    assert_eq!(segment_files(&fixture), 12);
    assert_eq!(values(&target, 0).len(), 100);
    for offset in 0..100 {
        assert_eq!(values(&target, offset)[0].0, offset);
    }
    // Old ones end, too.
    fixture.clock.advance(small_segments().segment_ms);
    append(&store, &target, batch(NOW, &["x"])).await.unwrap();
    flush(&store, &target);
    assert_eq!(target.status().segments, 13);
}

#[tokio::test]
async fn records_older_than_the_retention_time_go_by_whole_segments() {
    let fixture = retaining();
    let keep = LogOptions { retention_ms: Some(60_000), ..small_segments() };
    fixture.clock.advance(100_000);
    let (store, target) = hundred(&fixture, keep).await;
    eventually("old segments are gone", || target.range().start > 0);
    // Everything younger than 40 s is needed; its segment begins at 36.
    assert_eq!(target.range(), 36..100);
    eventually("their files, too", || segment_files(&fixture) == 8);
    let error = target.read(35, 1, i64::MAX).unwrap_err();
    assert!(matches!(error, ReadError::OutOfRange { offset: 35, start: 36, end: 100 }), "{error}");
    // The last segment goes, too, and offsets go on.
    fixture.clock.advance(1_000_000);
    eventually("all is gone", || target.range() == (100..100));
    let young = NOW + 2_000_000;
    assert_eq!(append(&store, &target, batch(young, &["x"])).await.unwrap().base, 100);
    drop((store, target));
    let store = fixture.open();
    assert_eq!(store.open_log(LogId(1), small_segments()).range(), 100..101);
}

#[tokio::test]
async fn records_without_timestamps_are_kept_as_long_as_others() {
    let fixture = retaining();
    let store = fixture.open();
    let keep = LogOptions { retention_ms: Some(60_000), segment_ms: 5000, ..small_segments() };
    let untimed = store.open_log(LogId(1), keep);
    let old = store.open_log(LogId(2), keep);
    append(&store, &untimed, batch(-1, &["x"])).await.unwrap();
    append(&store, &old, batch(NOW - 70_000, &["x"])).await.unwrap();
    flush(&store, &untimed);
    eventually("retention ran", || {
        look_up(&store);
        old.range() == (1..1)
    });
    assert_eq!(untimed.range(), 0..1);
    fixture.clock.advance(65_001);
    eventually("it is old", || untimed.range() == (1..1));
}

#[tokio::test]
async fn a_log_keeps_to_its_size() {
    let fixture = retaining();
    let keep = LogOptions { retention_bytes: Some(30 * KILO as u64), ..small_segments() };
    let (_store, target) = hundred(&fixture, keep).await;
    eventually("old segments are gone", || target.range().start > 0);
    let bytes = target.status().bytes;
    assert!((30 * KILO as u64..40 * KILO as u64).contains(&bytes), "{bytes}");
}

#[tokio::test]
async fn a_read_that_meets_retention_says_so_and_skips_nothing() {
    let mut fixture = retaining();
    fixture.options.retention_interval = Duration::from_micros(1);
    fixture.options.flush_bytes = 1;
    let store = fixture.open();
    let keep = LogOptions {
        segment_bytes: 1,
        retention_bytes: Some(1),
        durability: store::Durability::Memory,
        ..small_segments()
    };
    let target = store.open_log(LogId(1), keep);
    let reader = {
        let target = Arc::clone(&target);
        std::thread::spawn(move || {
            // Bounded by what is written: on a slow machine all reads may hit, or all miss.
            while target.range().end < 1000 {
                let offset = target.range().start;
                match target.read(offset, 1, i64::MAX) {
                    Ok(read) => {
                        if let Some(first) = read.batches().next() {
                            assert_eq!(first.unwrap().header().base_offset, offset);
                        }
                    }
                    Err(ReadError::OutOfRange { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        })
    };
    while !reader.is_finished() {
        append(&store, &target, batch(NOW, &["x"])).await.unwrap();
    }
    reader.join().unwrap();
}

#[tokio::test]
async fn a_trim_is_durable_and_frees_whole_segments() {
    let fixture = retaining();
    let (store, target) = hundred(&fixture, small_segments()).await;
    assert_eq!(store.trim(&target, 30).await, Ok(30));
    assert_eq!(store.trim(&target, 20).await, Ok(30), "never back");
    eventually("whole segments are gone", || {
        look_up(&store);
        segment_files(&fixture) == 9
    });
    assert_eq!(values(&target, 30).len(), 70);
    append(&store, &target, batch(NOW, &["x"])).await.unwrap();
    assert_eq!(store.trim(&target, 101).await, Ok(101));
    assert_eq!(store.trim(&target, 1000).await, Ok(101), "never ahead");
    append(&store, &target, batch(NOW, &["y"])).await.unwrap();
    assert_eq!(store.trim(&target, 102).await, Ok(102));
    let image = fixture.crash_image();
    let store = image.open();
    assert_eq!(store.open_log(LogId(1), small_segments()).range(), 102..102);
}

#[tokio::test]
async fn a_deleted_log_is_gone_with_its_folder_and_stays_gone() {
    let fixture = Fixture::new();
    let (store, target) = hundred(&fixture, small_segments()).await;
    append(&store, &target, batch(NOW, &["in memory"])).await.unwrap();
    store.delete_log(LogId(1));
    let refused = append(&store, &target, batch(NOW, &["x"])).await;
    assert_eq!(refused, Err(AppendError::NotFound));
    let folder = fixture.dir.path().join("segments").join(LogId(1).to_string());
    eventually("its folder is gone", || !folder.exists());
    assert!(matches!(target.read(0, 1, i64::MAX), Err(ReadError::Io(_))), "does not hang");
    let image = fixture.crash_image();
    assert_eq!(image.open().log_ids(), []);
    // Also if the store stops at once.
    let other = log(&store, 2);
    append(&store, &other, batch(NOW, &["x"])).await.unwrap();
    flush(&store, &other);
    store.delete_log(LogId(2));
    drop((store, target, other));
    assert_eq!(fixture.open().log_ids(), []);
}

#[tokio::test]
async fn what_a_stop_left_behind_is_removed() {
    let fixture = Fixture::new();
    drop(hundred(&fixture, small_segments()).await);
    let segments = fixture.dir.path().join("segments");
    let unknown = segments.join(LogId(99).to_string());
    std::fs::create_dir(&unknown).unwrap();
    let expired = segments.join(LogId(1).to_string()).join("00000000000000000777.log");
    std::fs::write(&expired, b"x").unwrap();
    let store = fixture.open();
    eventually("the folder is gone", || !unknown.exists());
    eventually("the file is gone", || !expired.exists());
    drop(store);
    assert_eq!(segment_files(&fixture), 12);
}

#[tokio::test]
async fn the_first_record_of_a_time_is_found_wherever_it_is() {
    let fixture = Fixture::new();
    let (store, target) = hundred(&fixture, small_segments()).await;
    for round in 100..110 {
        let codec = [Compression::Lz4, Compression::Zstd][round as usize % 2];
        let time = NOW + round * 1000;
        append(&store, &target, packed(codec, time, &["a", "b"])).await.unwrap();
    }
    for flushed in [false, true] {
        if flushed {
            flush(&store, &target);
        }
        for second in 0..110 {
            let offset = if second < 100 { second } else { 100 + (second - 100) * 2 };
            for time in [NOW + second * 1000, NOW + second * 1000 - 999] {
                let found = target.find_time(time).unwrap();
                assert_eq!(found, Some((offset, NOW + second * 1000)), "{flushed}");
            }
        }
        assert_eq!(target.find_time(NOW + 109_001).unwrap(), None);
        assert_eq!(target.find_latest_time().unwrap(), Some((118, NOW + 109_000)));
    }
    // Not what was deleted, even where it shares a batch or a segment with what is not.
    store.trim(&target, 40).await.unwrap();
    assert_eq!(target.find_time(0).unwrap(), Some((40, NOW + 40_000)));
    store.trim(&target, 103).await.unwrap();
    assert_eq!(target.find_time(0).unwrap(), Some((103, NOW + 101_000)));
    store.trim(&target, 120).await.unwrap();
    assert_eq!(target.find_time(0).unwrap(), None);
    assert_eq!(target.find_latest_time().unwrap(), None);
}

#[tokio::test]
async fn the_latest_record_is_not_one_that_was_deleted() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let target = log(&store, 1);
    for time in [5000, 9000, 3000, 4000, 4000] {
        append(&store, &target, batch(time, &["x"])).await.unwrap();
    }
    for flushed in [false, true] {
        if flushed {
            flush(&store, &target);
        }
        store.trim(&target, 2).await.unwrap();
        assert_eq!(target.find_latest_time().unwrap(), Some((3, 4000)), "{flushed}");
        assert_eq!(target.find_time(3500).unwrap(), Some((3, 4000)), "{flushed}");
        assert_eq!(target.find_time(6000).unwrap(), None);
    }
}

#[tokio::test]
async fn a_header_that_promises_too_late_a_time_hides_nothing() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let target = log(&store, 1);
    // As a careless client may send it: compressed, and its largest timestamp is none of its
    // records'.
    let mut bytes = packed(Compression::Lz4, 1000, &["early"]).bytes().to_vec();
    bytes[35..43].copy_from_slice(&9000i64.to_be_bytes());
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes[21..]);
    bytes[17..21].copy_from_slice(&u32::try_from(crc).unwrap().to_be_bytes());
    let lying = store::batch::Batch::parse(bytes.into()).unwrap();
    append(&store, &target, lying).await.unwrap();
    append(&store, &target, batch(5000, &["late"])).await.unwrap();
    for _ in 0..2 {
        assert_eq!(target.find_time(4000).unwrap(), Some((1, 5000)));
        flush(&store, &target);
    }
}
