//! Random use of a compacted log against a model, with crashes at any moment: who reads it from the
//! start gets for each key what was written last, nothing that was taken back, and each record as it
//! was written.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use base::{LogId, Offset};
use proptest::prelude::*;
use store::batch::{BatchBuilder, Compression, Marker};
use store::{Compaction, KEY_BYTES, Log, LogOptions, Store};

use crate::support::*;

#[derive(Debug, Clone)]
enum Step {
    /// Appends a batch: plain, or in a producer's transaction, which begins if none is open.
    Put {
        producer: Option<u8>,
        codec: u8,
        records: Vec<(u8, Option<u8>)>,
    },
    /// Ends a producer's transaction, if one is open.
    End {
        producer: u8,
        commit: bool,
    },
    Trim {
        at: u8,
    },
    Advance(u16),
    /// Has the tail moved to segments.
    Flush,
    /// Waits until a round has been made.
    Settle,
    Restart,
    Crash,
}

const PRODUCERS: u8 = 3;

fn step() -> impl Strategy<Value = Step> {
    let record = (0u8..6, prop::option::weighted(0.8, 0u8..200));
    let records = prop::collection::vec(record, 1..5);
    let producer = prop::option::of(0..PRODUCERS);
    prop_oneof![
        12 => (producer, 0u8..5, records)
            .prop_map(|(producer, codec, records)| Step::Put { producer, codec, records }),
        4 => (0..PRODUCERS, any::<bool>())
            .prop_map(|(producer, commit)| Step::End { producer, commit }),
        1 => any::<u8>().prop_map(|at| Step::Trim { at }),
        3 => (0u16..400).prop_map(Step::Advance),
        3 => Just(Step::Flush),
        2 => Just(Step::Settle),
        1 => Just(Step::Restart),
        2 => Just(Step::Crash),
    ]
}

/// A record as it was written.
#[derive(Debug, Clone, PartialEq)]
struct Written {
    key: String,
    value: Option<String>,
    time: i64,
    counts: Counts,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Counts {
    Yes,
    /// Part of this producer's open transaction.
    Open(u8),
    TakenBack,
}

#[derive(Default)]
struct Model {
    start: Offset,
    end: Offset,
    records: BTreeMap<Offset, Written>,
    sequences: HashMap<u8, i32>,
}

impl Model {
    fn stable_end(&self) -> Offset {
        let open = self.records.iter().filter(|(_, r)| matches!(r.counts, Counts::Open(_)));
        open.map(|(at, _)| *at).next().unwrap_or(self.end)
    }

    fn end(&mut self, producer: u8, commit: bool) {
        let of_it = self.records.values_mut().filter(|r| r.counts == Counts::Open(producer));
        let counts = if commit { Counts::Yes } else { Counts::TakenBack };
        of_it.for_each(|record| record.counts = counts);
        self.end += 1; // the marker
    }

    /// What was written last of each key, as far as it is known that it counts.
    fn newest(&self) -> BTreeMap<&str, (Offset, &Written)> {
        let stable = self.stable_end();
        let counts = |(at, record): &(&Offset, &Written)| {
            (self.start..stable).contains(*at) && record.counts == Counts::Yes
        };
        let newest = self.records.iter().filter(counts);
        newest.map(|(at, record)| (record.key.as_str(), (*at, record))).collect()
    }

    fn check(&self, log: &Log) -> Result<(), TestCaseError> {
        prop_assert_eq!(log.range(), self.start..self.end);
        prop_assert_eq!(log.stable_end(), self.stable_end());
        let read = read(log, &self.records)?;
        for (key, (at, record)) in self.newest() {
            let found = read.iter().rfind(|(_, read)| read.key == key);
            // A deletion mark may have gone, and all that it deleted before it.
            let gone = record.value.is_none() && found.is_none();
            prop_assert!(gone || found == Some(&(at, record.clone())), "{} {:?}", key, found);
        }
        for (at, record) in &read {
            prop_assert_eq!(record.counts, Counts::Yes, "{}: {:?}", at, record);
        }
        Ok(())
    }
}

/// Reads as a consumer does that wants committed records only; each must be as it was written.
fn read(
    log: &Log,
    written: &BTreeMap<Offset, Written>,
) -> Result<Vec<(Offset, Written)>, TestCaseError> {
    let mut all = Vec::new();
    let (start, until) = (log.range().start, log.stable_end());
    let mut next = start;
    while next < until {
        let read = log.read(next, 2000, until).unwrap();
        prop_assert!(!read.is_empty(), "nothing at {} of {:?}", next, log.range());
        let mut aborted = read.aborted.clone();
        for batch in read.batches() {
            let batch = batch.unwrap();
            let header = *batch.header();
            prop_assert!(header.next_offset() > next, "going backwards");
            next = header.next_offset();
            let producer = header.producer_id;
            let mut of_it = aborted.iter().filter(|a| a.producer == producer);
            let dropped = of_it.any(|a| (a.first..=a.last).contains(&header.last_offset()));
            if header.is_control() {
                aborted.retain(|a| a.producer != producer || a.last > header.base_offset);
                continue;
            }
            for record in batch.records().unwrap().map(Result::unwrap) {
                let text = |bytes: &bytes::Bytes| String::from_utf8(bytes.to_vec()).unwrap();
                let own = &written[&record.offset];
                prop_assert_eq!(text(record.key.as_ref().unwrap()), own.key.clone());
                prop_assert_eq!(record.value.as_ref().map(text), own.value.clone());
                prop_assert_eq!(record.timestamp, own.time);
                prop_assert_eq!(record.headers.len(), 2);
                if !dropped && record.offset >= start {
                    all.push((record.offset, own.clone()));
                }
            }
        }
    }
    prop_assert!(all.is_sorted_by_key(|(offset, _)| *offset));
    Ok(all)
}

fn opened(store: &Store) -> Arc<Log> {
    let compaction =
        Compaction { min_lag_ms: 0, max_lag_ms: 1000, dirty_ppm: 0, delete_retention_ms: 300 };
    let options = LogOptions {
        segment_bytes: 1500,
        segment_ms: 600,
        retention_ms: None,
        compaction: Some(compaction),
        ..LogOptions::default()
    };
    store.open_log(LogId(1), options)
}

async fn put(
    store: &Store,
    model: &mut Model,
    now: i64,
    producer: Option<u8>,
    codec: u8,
    records: &[(u8, Option<u8>)],
) -> Result<(), TestCaseError> {
    let codec = ["none", "gzip", "snappy", "lz4", "zstd"][usize::from(codec)];
    let codec = Compression::from_name(codec).unwrap();
    let texts: Vec<_> = (model.end..)
        .zip(records)
        .map(|(at, (key, length))| {
            let value = length.map(|length| format!("{at} {}", "x".repeat(length.into())));
            (format!("key {key}"), value)
        })
        .collect();
    let pairs: Vec<_> = texts.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
    let mut batch = keyed(codec, now, &pairs);
    if let Some(producer) = producer {
        let sequence = model.sequences.entry(producer).or_default();
        batch = by_producer(&batch, producer.into(), 0, *sequence, true);
        *sequence += i32::try_from(records.len()).unwrap();
    }
    let base = append(store, &opened(store), batch).await.unwrap().base;
    prop_assert_eq!(base, model.end);
    let counts = producer.map_or(Counts::Yes, Counts::Open);
    for (at, (key, value)) in (base..).zip(texts) {
        model.records.insert(at, Written { key, value, time: now, counts });
        model.end = at + 1;
    }
    Ok(())
}

async fn run(steps: Vec<Step>, table_keys: usize) -> Result<(), TestCaseError> {
    let mut fixture = Fixture::new();
    fixture.options.flush_bytes = 2000;
    fixture.options.flush_after = Duration::from_millis(1);
    fixture.options.wal_file_bytes = 64 * 1024;
    fixture.options.cleaner.backoff = Duration::from_millis(1);
    fixture.options.cleaner.table_bytes = table_keys * KEY_BYTES;
    let mut store = fixture.open();
    let mut model = Model::default();
    let mut now = NOW;
    for step in steps {
        match step {
            Step::Put { producer, codec, records } => {
                put(&store, &mut model, now, producer, codec, &records).await?;
            }
            Step::End { producer, commit } => {
                let is_open = |r: &Written| r.counts == Counts::Open(producer);
                if model.records.values().any(is_open) {
                    let marker = if commit { Marker::Commit } else { Marker::Abort };
                    let marker = BatchBuilder::marker(producer.into(), 0, marker, now).unwrap();
                    let base = append(&store, &opened(&store), marker).await.unwrap().base;
                    prop_assert_eq!(base, model.end);
                    model.end(producer, commit);
                }
            }
            Step::Trim { at } => {
                let to = model.start + (model.stable_end() - model.start) * Offset::from(at) / 2550;
                prop_assert_eq!(store.trim(&opened(&store), to).await, Ok(to));
                model.start = to;
            }
            Step::Advance(by) => {
                now += i64::from(by);
                fixture.clock.advance(by.into());
            }
            Step::Flush if model.end > 0 => flush(&store, &opened(&store)),
            Step::Flush => {}
            Step::Settle => {
                let log = opened(&store);
                let before = log.status().compacted;
                // poll: until it gets on, or a while has passed in which it had nothing to do
                for _ in 0..20 {
                    if log.status().compacted > before {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(1)); // poll: at most 20 times
                }
            }
            Step::Restart => {
                drop(store);
                store = fixture.open();
            }
            Step::Crash => {
                let image = fixture.crash_image();
                drop(store);
                fixture = image;
                store = fixture.open();
            }
        }
        model.check(&opened(&store))?;
    }
    drop(store);
    model.check(&opened(&fixture.open()))
}

proptest! {
    #![proptest_config(ProptestConfig {
        // More with STORE_MODEL_CASES.
        cases: std::env::var("STORE_MODEL_CASES").map_or(40, |cases| cases.parse().unwrap()),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_compacted_log_reads_as_its_newest_records(
        steps in prop::collection::vec(step(), 1..80),
        table_keys in prop_oneof![Just(2usize), Just(4), Just(1000)],
    ) {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(run(steps, table_keys))?;
    }
}
