//! Data folders as each version of the formats wrote them, whole and hurt: every later version must
//! read them the same way. `STORE_WRITE_GOLDEN=1 cargo test -p store golden` writes those of the
//! newest version anew; that is right only before a release, or for a new version's folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{LogId, Offset};
use store::batch::{BatchBuilder, Compression, Marker};
use store::{Append, LogOptions, OpenError, ReadError, Store};

use crate::support::*;

/// Version 2 came with compaction.
const VERSIONS: [&str; 2] = ["v1", "v2"];
const NEWEST: &str = "v2";

fn golden(version: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(version).join(name)
}

/// A copy of a golden folder, to be opened.
fn folder(version: &str, name: &str) -> Fixture {
    let mut fixture = Fixture::new();
    fixture.options.wal_file_bytes = 32 * 1024;
    copy(&golden(version, name), fixture.dir.path()).unwrap();
    fixture
}

fn small(store: &Store, id: u64) -> Arc<store::Log> {
    let options = LogOptions { retention_ms: None, segment_bytes: 40_000, ..LogOptions::default() };
    store.open_log(LogId(id), options)
}

fn text(id: u64, number: i64) -> String {
    format!("log {id} number {number}")
}

/// Two logs, of which one is trimmed: records in segments (with an index), then in frames.
async fn write_good() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.options.wal_file_bytes = 32 * 1024;
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    for part in 0..2 {
        let store = fixture.open();
        for number in part * 5..part * 5 + 5 {
            let codec = codecs[usize::try_from(number % 5).unwrap()];
            let entries = [1, 2].map(|id| {
                let texts = [text(id, number * 2), text(id, number * 2 + 1)];
                let texts = [texts[0].as_str(), texts[1].as_str()];
                let packed = packed(codec, NOW + number * 1000, &texts);
                Append { log: small(&store, id), batches: vec![packed], epoch: 3 }
            });
            store.append(entries.into()).await.unwrap().await;
        }
        if part == 0 {
            let padding = "x".repeat(9000);
            for _ in 0..3 {
                append(&store, &small(&store, 3), batch(NOW, &[&padding])).await.unwrap();
            }
        }
        let sequence = i32::try_from(part).unwrap() * 2;
        append(&store, &small(&store, 4), numbered(7, 1, sequence, &["a", "b"])).await.unwrap();
        store.trim(&small(&store, 2), part * 3 + 3).await.unwrap();
        if part == 1 {
            return fixture.crash_image();
        }
    }
    fixture
}

async fn write_all() {
    let good = write_good().await;
    let found = frames(&good);
    let current = found.last().unwrap().incarnation;
    let frame = |number: usize| {
        let mut own = found.iter().filter(|frame| frame.incarnation == current);
        own.nth(number).unwrap().clone()
    };
    let save = |name: &str, hurt: &dyn Fn(&Path)| {
        let to = golden(NEWEST, name);
        let _ = fs::remove_dir_all(&to);
        fs::create_dir_all(&to).unwrap();
        copy(good.dir.path(), &to).unwrap();
        fs::remove_file(to.join("LOCK")).unwrap();
        hurt(&to);
    };
    let flip = |folder: &Path, frame: &FoundFrame, at: usize| {
        let path = folder.join("wal").join(frame.path.file_name().unwrap());
        edit(&path, |bytes| bytes[frame.position + at] ^= 1);
    };
    save("good", &|_| {});
    save("torn-tail", &|folder| {
        let last = frame(6);
        let path = folder.join("wal").join(last.path.file_name().unwrap());
        edit(&path, |bytes| bytes[last.position + 80..last.position + BLOCK].fill(0));
    });
    // In the first log's batch of the second frame: its value.
    save("flipped-data", &|folder| flip(folder, &frame(1), 64 + 2 * 48 + 70));
    save("flipped-header", &|folder| flip(folder, &frame(1), 20));
    let checkpoint_only = |folder: &Path| {
        fs::remove_dir_all(folder.join("wal")).unwrap();
        fs::remove_dir_all(folder.join("segments")).unwrap();
    };
    save("flipped-checkpoint", &|folder| {
        checkpoint_only(folder);
        edit(&folder.join("checkpoint"), |bytes| bytes[30] ^= 1);
    });
    save("unknown-version", &|folder| {
        checkpoint_only(folder);
        edit(&folder.join("checkpoint"), |bytes| {
            bytes[8..10].fill(0xff);
            let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes[8..]);
            bytes[4..8].copy_from_slice(&u32::try_from(crc).unwrap().to_be_bytes());
        });
    });
    let compacted = write_compacted().await;
    let to = golden(NEWEST, "compacted");
    let _ = fs::remove_dir_all(&to);
    fs::create_dir_all(&to).unwrap();
    copy(compacted.dir.path(), &to).unwrap();
    fs::remove_file(to.join("LOCK")).unwrap();
}

fn check(store: &Store, id: u64, numbers: std::ops::Range<i64>) {
    let log = small(store, id);
    let expected: Vec<_> = numbers.clone().map(|number| (number, text(id, number))).collect();
    let read = values(&log, log.range().start).into_iter();
    assert_eq!(read.filter(|(at, _)| numbers.contains(at)).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn golden_folders_are_read_as_they_were_written() {
    if std::env::var("STORE_WRITE_GOLDEN").is_ok() {
        write_all().await;
    }
    for version in VERSIONS {
        good(version).await;
        torn_tail(version);
        flipped_data(version);
        let refusal = |name| folder(version, name).try_open().unwrap_err();
        match refusal("flipped-header") {
            OpenError::Damaged { position, detail, .. } => {
                assert_eq!(position, 2 * BLOCK as u64);
                assert!(detail.contains("missing or unreadable"), "{detail}");
            }
            other => panic!("{other}"),
        }
        let error = refusal("flipped-checkpoint");
        assert!(error.to_string().ends_with("its checksum is wrong"), "{error}");
    }
    let unknown = folder(NEWEST, "unknown-version").try_open().unwrap_err();
    assert!(matches!(unknown, OpenError::Version { found: 0xffff, .. }));
    compacted();
}

/// Small enough that fillers close segments, large enough for an index.
fn compacted_log(store: &Store) -> Arc<store::Log> {
    let compaction = store::Compaction {
        min_lag_ms: 0,
        max_lag_ms: i64::MAX,
        dirty_ppm: 0,
        delete_retention_ms: 1000,
    };
    let compaction = Some(compaction);
    let options = LogOptions { segment_bytes: 30_000, compaction, ..LogOptions::default() };
    store.open_log(LogId(1), options)
}

/// A log that was compacted: a record of each key, a deletion mark that has its time, a marker
/// without its transaction; and an open segment.
async fn write_compacted() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.options.wal_file_bytes = 128 * 1024;
    fixture.options.cleaner.backoff = std::time::Duration::from_millis(1);
    let store = fixture.open();
    let log = compacted_log(&store);
    let large = "x".repeat(9000);
    for (key, value) in [
        ("a", Some("1")),
        ("b", Some(large.as_str())),
        ("c", Some(large.as_str())),
        ("a", Some("2")),
        ("d", Some("1")),
        ("d", None),
    ] {
        append(&store, &log, keyed(Compression::Gzip, NOW, &[(key, value)])).await.unwrap();
        append(&store, &log, keyed(Compression::None, NOW, &[(key, value)])).await.unwrap();
    }
    let aborted = by_producer(&keyed(Compression::None, NOW, &[("a", Some("3"))]), 7, 0, 0, true);
    append(&store, &log, aborted).await.unwrap();
    let marker = BatchBuilder::marker(7, 0, Marker::Abort, NOW).unwrap();
    append(&store, &log, marker).await.unwrap();
    let filler = "x".repeat(31_000);
    append(&store, &log, keyed(Compression::Zstd, NOW, &[("e", Some(&filler))])).await.unwrap();
    flush(&store, &log);
    append(&store, &log, keyed(Compression::None, NOW, &[("e", Some(&filler))])).await.unwrap();
    flush(&store, &log);
    eventually("it is compacted", || log.status().compacted == 15);
    append(&store, &log, keyed(Compression::None, NOW, &[("a", Some("4"))])).await.unwrap();
    fixture.crash_image()
}

fn compacted() {
    let mut fixture = folder(NEWEST, "compacted");
    fixture.options.cleaner.enabled = false;
    let store = fixture.open();
    let log = compacted_log(&store);
    let status = log.status();
    assert_eq!((log.range(), status.compacted, status.segments), (0..17, 15, 2));
    let mut found = Vec::new();
    let mut next = 0;
    while next < 17 {
        let read = log.read(next, 1, Offset::MAX).unwrap();
        for batch in read.batches() {
            let batch = batch.unwrap();
            let header = batch.header();
            let key = batch.records().unwrap().next().map(|record| record.unwrap().key.unwrap());
            let key = key.map(|key| String::from_utf8_lossy(&key).into_owned());
            found.push((header.base_offset, key, header.delete_horizon()));
            next = header.next_offset();
        }
    }
    let key = |key: &str| Some(key.to_owned());
    assert_eq!(
        found,
        [
            (3, key("b"), None),
            (5, key("c"), None),
            (7, key("a"), None),
            (11, key("d"), Some(NOW + 1000)),
            (12, None, None),
            (13, Some("\0\0\0\0".to_owned()), None),
            (14, key("e"), None),
            (15, key("e"), None),
            (16, key("a"), None),
        ]
    );
    assert_eq!(log.read(6, 1, Offset::MAX).unwrap().next_offset(), Some(8), "by the index");
}

async fn good(version: &str) {
    let fixture = folder(version, "good");
    let store = fixture.open();
    assert_eq!(store.recovered().frames, 7);
    assert_eq!((store.recovered().torn.as_ref(), store.recovered().logs), (None, 4));
    assert_eq!(small(&store, 1).range(), 0..20);
    assert_eq!(small(&store, 2).range(), 6..20);
    check(&store, 1, 0..20);
    check(&store, 2, 6..20);
    assert_eq!(texts(&small(&store, 4)), ["a", "b", "a", "b"]);
    let status = small(&store, 3).status();
    assert_eq!((status.end, status.segments), (3, 1));
    assert_eq!(small(&store, 3).read(2, 1, Offset::MAX).unwrap().len(), 9072, "found by the index");
    assert_eq!(small(&store, 1).find_time(NOW + 7500).unwrap(), Some((16, NOW + 8000)));
    // The producer is remembered, from the checkpoint and from the frames.
    let again = append(&store, &small(&store, 4), numbered(7, 1, 2, &["a", "b"])).await;
    assert_eq!(again.unwrap().base, 2);
    let first = append(&store, &small(&store, 4), numbered(7, 1, 0, &["a", "b"])).await;
    assert_eq!(first.unwrap().base, 0);
    let read = small(&store, 1).read(0, usize::MAX, Offset::MAX).unwrap();
    assert!(read.batches().all(|batch| batch.unwrap().header().leader_epoch == 3));
}

fn torn_tail(version: &str) {
    let fixture = folder(version, "torn-tail");
    let store = fixture.open();
    assert_eq!(store.recovered().frames, 6);
    assert!(store.recovered().torn.is_some());
    assert_eq!(small(&store, 1).range(), 0..20);
    assert_eq!(small(&store, 2).range(), 3..20, "the last frame was a trim");
}

fn flipped_data(version: &str) {
    let fixture = folder(version, "flipped-data");
    let store = fixture.open();
    assert_eq!(store.recovered().damaged, [(LogId(1), 12..14)]);
    let error = small(&store, 1).read(13, 100, Offset::MAX).unwrap_err();
    assert!(matches!(error, ReadError::Damaged { from: 12, to: 14 }), "{error}");
    let after: Vec<_> = values(&small(&store, 1), 14).into_iter().map(|(at, _)| at).collect();
    assert_eq!(after, (14..20).collect::<Vec<_>>());
    check(&store, 2, 6..20);
}
