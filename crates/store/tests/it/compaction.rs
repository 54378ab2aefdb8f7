//! Logs of which the newest record of each key is kept.

use std::sync::Arc;
use std::time::Duration;

use base::{LogId, Offset};
use store::batch::{BatchBuilder, BatchHeader, Compression, Marker, Record};
use store::{Compaction, KEY_BYTES, Log, LogOptions, ReadError, Store, Tuning};

use crate::support::*;

const DAY: i64 = 24 * 60 * 60 * 1000;

/// A fixture whose cleaner looks all the time, and whose flusher does so when told to.
fn fixture() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.options.cleaner.backoff = Duration::from_millis(1);
    fixture
}

fn eager() -> Compaction {
    Compaction { min_lag_ms: 0, max_lag_ms: i64::MAX, dirty_ppm: 0, delete_retention_ms: 1000 }
}

fn options() -> LogOptions {
    let compaction = Some(eager());
    LogOptions { segment_bytes: 2000, retention_ms: None, compaction, ..LogOptions::default() }
}

fn opened(store: &Store) -> Arc<Log> {
    store.open_log(LogId(1), options())
}

/// Fills up the segment that records are added to, so that those before it may be compacted.
async fn close_segment(store: &Store, log: &Arc<Log>) -> Offset {
    flush(store, log);
    let filler = "x".repeat(2100);
    let end = append(store, log, keyed(Compression::None, NOW, &[("filler", Some(&filler))]));
    let end = end.await.unwrap().base;
    flush(store, log);
    end
}

fn wait_until_compacted(log: &Log, to: Offset) {
    eventually(&format!("log {} is compacted to {to}, {:?}", log.id(), log.status()), || {
        log.status().compacted >= to
    });
}

/// Everything that can be read, batch by batch.
fn batches(log: &Log) -> Vec<(BatchHeader, Vec<Record>)> {
    let mut all = Vec::new();
    let mut next = log.range().start;
    while next < log.range().end {
        let read = log.read(next, 1 << 20, Offset::MAX).unwrap();
        assert!(!read.is_empty(), "nothing at {next} of {:?}", log.range());
        for batch in read.batches() {
            let batch = batch.unwrap();
            assert!(batch.header().next_offset() > next, "going backwards");
            next = batch.header().next_offset();
            let records = batch.records().unwrap().map(Result::unwrap).collect();
            all.push((*batch.header(), records));
        }
    }
    all
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Offset, key and value of every record of clients, fillers left out.
fn records(log: &Log) -> Vec<(Offset, String, Option<String>)> {
    let all = batches(log).into_iter().filter(|(header, _)| !header.is_control());
    let records = all.flat_map(|(_, records)| records);
    let parts = |record: Record| {
        (record.offset, text(&record.key.unwrap()), record.value.as_deref().map(text))
    };
    records.map(parts).filter(|(_, key, _)| key != "filler").collect()
}

fn value(offset: Offset, key: &str, value: &str) -> (Offset, String, Option<String>) {
    (offset, key.to_owned(), Some(value.to_owned()))
}

async fn put(store: &Store, log: &Arc<Log>, key: &str, value: Option<&str>) -> Offset {
    let batch = keyed(Compression::None, NOW, &[(key, value)]);
    append(store, log, batch).await.unwrap().base
}

#[tokio::test]
async fn a_cleaner_that_rests_for_long_can_be_told_to_look_sooner() {
    let mut fixture = Fixture::new();
    fixture.options.cleaner.backoff = Duration::from_secs(3600);
    let store = fixture.open();
    let log = opened(&store);
    put(&store, &log, "a", Some("old")).await;
    let newest = put(&store, &log, "a", Some("new")).await;
    let end = close_segment(&store, &log).await;
    assert_eq!(log.status().compacted, 0);
    let backoff = Some(Duration::from_millis(1));
    store.tune(Tuning { cleaner_backoff: backoff, ..Tuning::default() });
    wait_until_compacted(&log, end);
    assert_eq!(records(&log), [value(newest, "a", "new")]);
}

#[tokio::test]
async fn the_newest_record_of_each_key_stays_at_its_offset() {
    let fixture = fixture();
    let store = fixture.open();
    let log = opened(&store);
    for round in 0..5 {
        for key in ["a", "b", "c"] {
            put(&store, &log, key, Some(&format!("{key}{round}"))).await;
        }
    }
    put(&store, &log, "d", Some("d0")).await;
    let end = close_segment(&store, &log).await;
    wait_until_compacted(&log, end);
    let newest =
        [value(12, "a", "a4"), value(13, "b", "b4"), value(14, "c", "c4"), value(15, "d", "d0")];
    assert_eq!(records(&log), newest);
    assert_eq!(log.range(), 0..end + 1);
    // What is asked for in a gap is answered with what comes after it.
    for offset in 0..=12 {
        let read = log.read(offset, 1, Offset::MAX).unwrap();
        assert_eq!(read.batches().next().unwrap().unwrap().header().base_offset, 12);
        assert_eq!(log.read(offset, 1, 12).unwrap().len(), 0, "but not with what is not asked for");
    }
    assert!(matches!(log.read(end + 2, 1, Offset::MAX), Err(ReadError::OutOfRange { .. })));
    drop((log, store));
    let store = fixture.open();
    let log = opened(&store);
    assert_eq!(records(&log), newest);
    assert_eq!(log.status().compacted, end);
    let files = files(&fixture.dir.path().join("segments").join(format!("{:016x}", 1)));
    let named = |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(
        files.iter().map(named).filter(|name| name.ends_with(".log")).collect::<Vec<_>>(),
        ["00000000000000000000-1.log", "00000000000000000016.log"]
    );
}

#[tokio::test]
async fn a_record_keeps_its_headers_its_time_and_its_codec() {
    let fixture = fixture();
    let store = fixture.open();
    let log = opened(&store);
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    for (number, codec) in codecs.into_iter().enumerate() {
        let key = format!("of {number}");
        let mut builder = BatchBuilder::new(codec);
        for (time, key) in [(10, "all"), (20, key.as_str()), (30, "all")] {
            let headers: &[(&[u8], Option<&[u8]>)] =
                &[(b"h", Some(b"1")), (b"h", None), (b"", Some(b""))];
            builder.push(&store::batch::NewRecord {
                timestamp: NOW + time,
                key: Some(key.as_bytes()),
                value: Some(b"value"),
                headers,
            });
        }
        append(&store, &log, builder.build().unwrap()).await.unwrap();
    }
    let before: Vec<_> = batches(&log).into_iter().flat_map(|(_, records)| records).collect();
    let end = close_segment(&store, &log).await;
    wait_until_compacted(&log, end);
    let after = batches(&log);
    for ((header, records), (number, codec)) in after.iter().zip(codecs.into_iter().enumerate()) {
        assert_eq!(header.compression(), Ok(codec));
        let at = number * 3 + 1;
        let (kept, newest) = if number == 4 { (at..at + 2, 30) } else { (at..at + 1, 20) };
        assert_eq!(records, &before[kept]);
        assert_eq!((header.base_offset, header.last_offset_delta), (number as i64 * 3, 2));
        assert_eq!(header.max_timestamp, NOW + newest);
    }
    assert_eq!(log.find_time(NOW + 15).unwrap(), Some((1, NOW + 20)));
    assert_eq!(log.find_time(NOW + 25).unwrap(), Some((14, NOW + 30)));
    assert_eq!(log.find_latest_time().unwrap(), Some((14, NOW + 30)));
}

#[tokio::test]
async fn a_deletion_mark_stays_for_its_time_after_it_was_first_compacted() {
    let fixture = fixture();
    let store = fixture.open();
    let log = opened(&store);
    put(&store, &log, "a", Some("1")).await;
    put(&store, &log, "b", Some("1")).await;
    let mark = put(&store, &log, "a", None).await;
    let end = close_segment(&store, &log).await;
    wait_until_compacted(&log, end);
    let deleted = (mark, "a".to_owned(), None);
    assert_eq!(records(&log), [value(1, "b", "1"), deleted.clone()]);
    let (header, kept) = batches(&log).swap_remove(1);
    assert_eq!(header.delete_horizon(), Some(NOW + 1000));
    assert_eq!((kept[0].timestamp, header.max_timestamp), (NOW, NOW), "its own time is as it was");
    // Compacted again before that time, it stays, and the time does not move.
    fixture.clock.advance(999);
    let end = close_segment(&store, &log).await;
    wait_until_compacted(&log, end);
    assert_eq!(records(&log), [value(1, "b", "1"), deleted]);
    assert_eq!(batches(&log)[1].0.delete_horizon(), Some(NOW + 1000));
    fixture.clock.advance(1);
    let end = close_segment(&store, &log).await;
    wait_until_compacted(&log, end);
    assert_eq!(records(&log), [value(1, "b", "1")]);
}

#[tokio::test]
async fn the_segment_that_is_added_to_is_left_alone_until_it_is_closed() {
    let fixture = fixture();
    let store = fixture.open();
    let log = store.open_log(LogId(1), LogOptions { segment_ms: 500, ..options() });
    for number in 0..4 {
        put(&store, &log, "a", Some(&number.to_string())).await;
    }
    flush(&store, &log);
    let other = store.open_log(LogId(2), options());
    put(&store, &other, "a", Some("1")).await;
    put(&store, &other, "a", Some("2")).await;
    let end = close_segment(&store, &other).await;
    wait_until_compacted(&other, end);
    assert_eq!(records(&log).len(), 4, "when another log was compacted");
    // Time closes it, even if nothing is added.
    fixture.clock.advance(500);
    wait_until_compacted(&log, 4);
    assert_eq!(records(&log), [value(3, "a", "3")]);
    // What comes next goes to another one.
    put(&store, &log, "b", Some("1")).await;
    flush(&store, &log);
    assert_eq!(log.status().segments, 2);
    assert_eq!(records(&log), [value(3, "a", "3"), value(4, "b", "1")]);
}

#[tokio::test]
async fn a_log_is_compacted_when_enough_of_it_is_new_or_something_waits_for_too_long() {
    let fixture = fixture();
    let store = fixture.open();
    let set = |dirty_ppm, max_lag_ms, min_lag_ms| {
        let compaction = Compaction { dirty_ppm, max_lag_ms, min_lag_ms, ..eager() };
        store.open_log(LogId(1), LogOptions { compaction: Some(compaction), ..options() })
    };
    let other = store.open_log(LogId(2), options());
    let other = async |number: &str| {
        put(&store, &other, "a", Some(number)).await;
        let end = close_segment(&store, &other).await;
        wait_until_compacted(&other, end);
    };
    let log = set(0, i64::MAX, 0);
    let large = "x".repeat(1900);
    for key in ["b", "c", "d", "e"] {
        put(&store, &log, key, Some(&large)).await;
    }
    let first = close_segment(&store, &log).await;
    wait_until_compacted(&log, first);
    // A filler and little else is new then, a quarter of all.
    set(500_000, i64::MAX, 0);
    put(&store, &log, "a", Some("1")).await;
    put(&store, &log, "a", Some("2")).await;
    let second = close_segment(&store, &log).await;
    other("1").await;
    assert_eq!(log.status().compacted, first, "not enough is new");
    // It has waited for long enough; but not if it must wait longer.
    set(1_000_000, 100, 200);
    fixture.clock.advance(150);
    other("2").await;
    assert_eq!(log.status().compacted, first, "too young");
    fixture.clock.advance(100);
    wait_until_compacted(&log, second);
    assert_eq!(records(&log).last(), Some(&value(6, "a", "2")));
}

#[tokio::test]
async fn small_segments_become_one() {
    let fixture = fixture();
    let store = fixture.open();
    let log = opened(&store);
    let mut end = 0;
    for number in 0..6 {
        put(&store, &log, &format!("key {number}"), Some("1")).await;
        end = close_segment(&store, &log).await;
    }
    wait_until_compacted(&log, end);
    // In the next round there are only small ones left.
    let end = close_segment(&store, &log).await;
    wait_until_compacted(&log, end);
    assert_eq!(records(&log).len(), 6);
    assert!(log.status().segments <= 4, "{:?}", log.status());
    assert_eq!(log.read(0, 1 << 20, Offset::MAX).unwrap().batches().count(), 5, "of one segment");
}

#[tokio::test]
async fn a_table_too_small_for_all_keys_takes_several_rounds_to_the_same_end() {
    for keys_at_once in [1, 3, 1000] {
        let mut fixture = fixture();
        fixture.options.cleaner.table_bytes = keys_at_once * KEY_BYTES;
        let store = fixture.open();
        let log = opened(&store);
        for round in 0..4 {
            let texts: Vec<_> = (0..20).map(|key| format!("{}", key * (round + 1) % 20)).collect();
            let pairs: Vec<_> = texts.iter().map(|key| (key.as_str(), Some("1"))).collect();
            append(&store, &log, keyed(Compression::Lz4, NOW, &pairs)).await.unwrap();
        }
        let all = records(&log);
        let end = close_segment(&store, &log).await;
        wait_until_compacted(&log, end);
        let newest = |(at, key, _): &&(Offset, String, Option<String>)| {
            all.iter().all(|(later, other, _)| later <= at || other != key)
        };
        let expected: Vec<_> = all.iter().filter(newest).cloned().collect();
        assert_eq!(records(&log), expected, "{keys_at_once} keys at once");
    }
}

#[tokio::test]
async fn records_of_aborted_transactions_go_and_their_markers_follow() {
    let fixture = fixture();
    let store = fixture.open();
    let log = opened(&store);
    let in_transaction = |producer, sequence, key: &str, value: &str| {
        let batch = keyed(Compression::None, NOW, &[(key, Some(value))]);
        by_producer(&batch, producer, 0, sequence, true)
    };
    let marker = |producer, marker| BatchBuilder::marker(producer, 0, marker, NOW).unwrap();
    put(&store, &log, "a", Some("old")).await;
    for batch in [
        in_transaction(7, 0, "a", "aborted"),
        in_transaction(8, 0, "b", "committed"),
        marker(7, Marker::Abort),
        marker(8, Marker::Commit),
        // Each producer's last batch stays, if only as an empty one.
        in_transaction(7, 1, "c", "committed"),
        in_transaction(8, 1, "d", "aborted"),
        marker(7, Marker::Commit),
        marker(8, Marker::Abort),
    ] {
        append(&store, &log, batch).await.unwrap();
    }
    let first = close_segment(&store, &log).await;
    wait_until_compacted(&log, first);
    let left = [value(0, "a", "old"), value(2, "b", "committed"), value(5, "c", "committed")];
    assert_eq!(records(&log), left, "what was taken back supersedes nothing");
    let offsets = |log: &Log| -> Vec<_> {
        batches(log).iter().map(|(h, records)| (h.base_offset, records.len())).collect()
    };
    let stay = [(0, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 0), (7, 1), (8, 1), (9, 1)];
    assert_eq!(offsets(&log), stay, "markers stay with their records");
    let aborted = |log: &Log| -> Vec<_> {
        let read = log.read(0, 1 << 20, Offset::MAX).unwrap();
        read.aborted.iter().map(|a| (a.first, a.last)).collect()
    };
    assert_eq!(aborted(&log), [(1, 3), (6, 8)]);
    // The marker of a transaction of which nothing is left stays for its time.
    let second = close_segment(&store, &log).await;
    wait_until_compacted(&log, second);
    assert_eq!(batches(&log)[2].0.delete_horizon(), Some(NOW + 1000));
    assert_eq!(aborted(&log), [(6, 8)]);
    fixture.clock.advance(1000);
    let third = close_segment(&store, &log).await;
    wait_until_compacted(&log, third);
    let stay = [(0, 1), (2, 1), (4, 1), (5, 1), (6, 0), (7, 1), (8, 1)];
    assert_eq!(offsets(&log)[..7], stay);
    assert_eq!(records(&log), left);
    // What came last of a producer is known, and what follows is taken.
    let again = append(&store, &log, in_transaction(8, 1, "d", "aborted")).await.unwrap();
    assert_eq!(again.base, 6);
    append(&store, &log, in_transaction(8, 2, "d", "next")).await.unwrap();
}

#[tokio::test]
async fn an_open_transaction_stops_compaction_before_it() {
    let fixture = fixture();
    let store = fixture.open();
    let log = opened(&store);
    put(&store, &log, "a", Some("1")).await;
    put(&store, &log, "a", Some("2")).await;
    let first = close_segment(&store, &log).await;
    let open = by_producer(&keyed(Compression::None, NOW, &[("a", Some("3"))]), 7, 0, 0, true);
    append(&store, &log, open).await.unwrap();
    put(&store, &log, "a", Some("4")).await;
    let second = close_segment(&store, &log).await;
    // The filler's segment, too, which ends where the transaction begins.
    wait_until_compacted(&log, first + 1);
    let all = [value(1, "a", "2"), value(3, "a", "3"), value(4, "a", "4")];
    assert_eq!(records(&log), all);
    assert_eq!((log.status().compacted, log.stable_end()), (3, 3));
    let marker = BatchBuilder::marker(7, 0, Marker::Commit, NOW).unwrap();
    append(&store, &log, marker).await.unwrap();
    let third = close_segment(&store, &log).await;
    wait_until_compacted(&log, third);
    assert!(second < third);
    assert_eq!(records(&log), [value(4, "a", "4")]);
}

#[tokio::test]
async fn a_reader_gets_to_the_end_of_a_log_whose_last_records_are_gone() {
    let fixture = fixture();
    let store = fixture.open();
    let log = store.open_log(LogId(1), LogOptions { segment_ms: 500, ..options() });
    put(&store, &log, "a", Some("1")).await;
    let aborted = by_producer(&keyed(Compression::None, NOW, &[("a", Some("2"))]), 7, 0, 0, true);
    append(&store, &log, aborted).await.unwrap();
    append(&store, &log, BatchBuilder::marker(7, 0, Marker::Abort, NOW).unwrap()).await.unwrap();
    put(&store, &log, "b", None).await;
    flush(&store, &log);
    fixture.clock.advance(500);
    wait_until_compacted(&log, 4);
    put(&store, &log, "c", Some("1")).await;
    flush(&store, &log);
    fixture.clock.advance(5000);
    wait_until_compacted(&log, 5);
    let ends: Vec<_> = batches(&log).iter().map(|(header, _)| header.next_offset()).collect();
    assert_eq!(ends.last(), Some(&5));
    assert_eq!(records(&log), [value(0, "a", "1"), value(4, "c", "1")]);
}

#[tokio::test]
async fn what_is_not_compacted_stays_whole() {
    let fixture = fixture();
    let store = fixture.open();
    let plain = store.open_log(LogId(3), LogOptions { compaction: None, ..options() });
    put(&store, &plain, "a", Some("1")).await;
    append(&store, &plain, batch(NOW, &["without a key"])).await.unwrap();
    put(&store, &plain, "a", Some("2")).await;
    let end = close_segment(&store, &plain).await;
    let other = opened(&store);
    put(&store, &other, "a", Some("1")).await;
    let other_end = close_segment(&store, &other).await;
    wait_until_compacted(&other, other_end);
    assert_eq!(batches(&plain).len(), 4);
    // From when it is to be compacted, what has no key goes.
    store.open_log(LogId(3), options());
    wait_until_compacted(&plain, end);
    assert_eq!(records(&plain), [value(2, "a", "2")]);
    // Deletion by age and size works on what is left.
    let keep = LogOptions { retention_ms: Some(DAY), ..options() };
    store.open_log(LogId(3), keep);
    fixture.clock.advance(2 * DAY);
    look_up(&store);
    drop((plain, other, store));
    let mut fixture = fixture;
    fixture.options.retention_interval = Duration::from_millis(1);
    let store = fixture.open();
    let plain = store.open_log(LogId(3), keep);
    eventually("old segments are deleted", || plain.range().is_empty());
}

#[tokio::test]
async fn a_damaged_segment_is_left_as_it_is() {
    let mut fixture = fixture();
    fixture.options.cleaner.enabled = false;
    let store = fixture.open();
    let log = opened(&store);
    for number in 0..3 {
        put(&store, &log, "a", Some(&format!("number {number}"))).await;
    }
    close_segment(&store, &log).await;
    drop((log, store));
    let dir = fixture.dir.path().join("segments").join(format!("{:016x}", 1));
    let file = dir.join("00000000000000000000.log");
    edit(&file, |bytes| bytes[80] ^= 1);
    let before = std::fs::read(&file).unwrap();
    fixture.options.cleaner.enabled = true;
    let store = fixture.open();
    let log = opened(&store);
    let other = store.open_log(LogId(2), options());
    put(&store, &other, "a", Some("1")).await;
    let end = close_segment(&store, &other).await;
    wait_until_compacted(&other, end);
    assert_eq!(log.status().compacted, 0);
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[tokio::test]
async fn a_batch_that_nobody_can_unpack_is_kept_as_it_is() {
    let fixture = fixture();
    let store = fixture.open();
    let log = opened(&store);
    put(&store, &log, "a", Some("1")).await;
    let mut bytes = keyed(Compression::Zstd, NOW, &[("a", Some("2"))]).bytes().to_vec();
    bytes[61..].fill(7);
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes[21..]);
    bytes[17..21].copy_from_slice(&u32::try_from(crc).unwrap().to_be_bytes());
    let odd = store::batch::Batch::parse(bytes.into()).unwrap();
    append(&store, &log, odd.clone()).await.unwrap();
    put(&store, &log, "a", Some("3")).await;
    let end = close_segment(&store, &log).await;
    wait_until_compacted(&log, end);
    let read = log.read(0, 1, Offset::MAX).unwrap();
    assert_eq!(read.slices[0][21..], odd.bytes()[21..], "the first is gone, the second is there");
}

#[tokio::test]
async fn a_log_that_is_deleted_while_it_is_compacted_leaves_nothing() {
    let mut fixture = fixture();
    // Slow enough to be met at it.
    fixture.options.cleaner.bytes_per_second = Some(20_000);
    let store = fixture.open();
    for id in 1..4 {
        let log = store.open_log(LogId(id), options());
        let mut end = 0;
        for number in 0..4 {
            put(&store, &log, "a", Some(&number.to_string())).await;
            end = close_segment(&store, &log).await;
        }
        eventually("some of it is compacted", || {
            log.status().segments < 4 || log.status().compacted == end
        });
        store.delete_log(LogId(id));
    }
    drop(store);
    let store = fixture.open();
    assert_eq!(store.log_ids(), []);
    let folder = fixture.dir.path().join("segments");
    eventually("the folders are gone", || files(&folder).is_empty());
}
