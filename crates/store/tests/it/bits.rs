//! One bit is wrong, anywhere on the disk: what is read is what was written, or is said to be lost.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base::{LogId, Offset};
use store::{LogOptions, OpenError, ReadError, Store};

use crate::support::*;

const LOGS: [u64; 2] = [1, 2];

/// Everything of a log, by offset.
type Written = BTreeMap<Offset, String>;

/// What became of a folder with a wrong bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// It does not open, and says which file is damaged.
    Refused,
    /// Something cannot be read, and whoever reads it is told.
    Told,
    /// Everything is there.
    Whole,
}

fn options() -> LogOptions {
    LogOptions { segment_bytes: 30_000, ..LogOptions::default() }
}

/// Three segments of each log, and four frames that are in no segment yet.
async fn written() -> (Fixture, BTreeMap<u64, Written>) {
    let fixture = Fixture::new();
    let store = fixture.open();
    let mut all = BTreeMap::new();
    for round in 0..40 {
        for id in LOGS {
            let log = store.open_log(LogId(id), options());
            let text = |n| format!("log {id} round {round} record {n} {}", "x".repeat(700));
            let texts = [text(0), text(1), text(2)];
            let batch = batch(NOW + round, &texts.each_ref().map(String::as_str));
            let at = append(&store, &log, batch).await.unwrap().base;
            let written: &mut Written = all.entry(id).or_default();
            written.extend((at..).zip(texts));
        }
        if round == 35 {
            for id in LOGS {
                flush(&store, &store.open_log(LogId(id), options()));
            }
        }
    }
    let image = fixture.crash_image();
    drop(store);
    (image, all)
}

/// Every file that holds something, and up to where.
fn places(folder: &Path) -> Vec<(PathBuf, usize)> {
    let mut found = Vec::new();
    for path in files(folder) {
        if path.is_dir() {
            found.extend(places(&path));
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
            found.push((path, last + 1));
        }
    }
    found
}

fn outcome(image: &Fixture, hurt: &Path, all: &BTreeMap<u64, Written>) -> Outcome {
    let store = match image.try_open() {
        Ok(store) => store,
        Err(OpenError::Damaged { path, .. } | OpenError::Version { path, .. }) => {
            assert!(path == hurt || path.parent() == hurt.parent(), "{path:?} is named");
            return Outcome::Refused;
        }
        Err(other) => panic!("{other}"),
    };
    all.iter().map(|(id, written)| read_all(&store, *id, written)).min().unwrap()
}

/// Reads a log as a consumer does, who stops where it is told that something is wrong.
fn read_all(store: &Store, id: u64, written: &Written) -> Outcome {
    let log = store.open_log(LogId(id), options());
    let (mut next, mut told) = (0, false);
    while next < log.range().end {
        let read = match log.read(next, 1 << 20, Offset::MAX) {
            Ok(read) => read,
            Err(ReadError::Damaged { to, .. }) => {
                (next, told) = (to, true);
                continue;
            }
            Err(ReadError::Io(_)) => return Outcome::Told,
            Err(other) => panic!("log {id} at {next}: {other}"),
        };
        assert!(!read.is_empty(), "log {id}: nothing at {next}, and nothing said");
        for batch in read.batches() {
            // Clients check the checksum, too.
            let Ok(batch) = batch else { return Outcome::Told };
            for record in batch.records().unwrap() {
                let record = record.unwrap();
                assert_eq!(record.offset, next, "log {id}");
                let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                assert_eq!(Some(&value), written.get(&next), "log {id} at {next}");
                next += 1;
            }
        }
    }
    // Of the last frame, a wrong bit cannot be told from one that a crash left unfinished.
    let cut = store.recovered().torn.is_some();
    assert!(cut || next == written.len() as Offset, "log {id} ends at {next}");
    if told || cut { Outcome::Told } else { Outcome::Whole }
}

#[tokio::test]
async fn a_wrong_bit_is_never_read_as_something_else() {
    let (image, all) = written().await;
    let root = image.dir.path();
    let places = places(root);
    let kinds: Vec<_> = places.iter().filter_map(|(path, _)| path.extension()).collect();
    assert!(["log", "index", "wal"].iter().all(|kind| kinds.contains(&(*kind).as_ref())));
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |end: usize| {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        usize::try_from(chance % end as u64).unwrap()
    };
    let mut outcomes: BTreeMap<Outcome, u32> = BTreeMap::new();
    let rounds = std::env::var("ENTREPOT_BIT_ROUNDS").ok().and_then(|n| n.parse().ok());
    for _ in 0..rounds.unwrap_or(100) {
        let (path, length) = &places[below(places.len())];
        // Half of them where headers are.
        let at = if below(2) == 0 { below(*length) } else { below((*length).min(200)) };
        let bit = below(8);
        let copy = image.crash_image();
        let hurt = copy.dir.path().join(path.strip_prefix(root).unwrap());
        edit(&hurt, |bytes| bytes[at] ^= 1 << bit);
        println!("{} byte {at} bit {bit}", hurt.display());
        *outcomes.entry(outcome(&copy, &hurt, &all)).or_default() += 1;
    }
    println!("{outcomes:?}");
    assert_eq!(outcomes.len(), 3);
}
