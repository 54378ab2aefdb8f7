//! Random use against a model: what is read is what was appended, wherever it lies by then.

use std::collections::HashMap;
use std::time::Duration;

use base::{LogId, Offset};
use proptest::prelude::*;
use store::batch::Batch;
use store::{Append, Durability, LogOptions, ReadBatches, Store};

use crate::support::*;

#[derive(Debug, Clone)]
enum Step {
    /// Appends to logs, each some batches of so many records of about so many bytes.
    Append(Vec<(u64, Vec<(u8, u16)>)>),
    Read {
        log: u64,
        /// Where between the log's start and end, in 256ths.
        at: u8,
        max_bytes: usize,
        until: Option<u8>,
    },
    Trim {
        log: u64,
        at: u8,
    },
    Restart,
}

const LOGS: u64 = 3;

fn step() -> impl Strategy<Value = Step> {
    let batches = prop::collection::vec((1u8..4, 0u16..3000), 1..4);
    let log = 0..LOGS;
    prop_oneof![
        6 => prop::collection::vec((log.clone(), batches), 1..4).prop_map(Step::Append),
        6 => (log.clone(), any::<u8>(), 0usize..20_000, prop::option::of(any::<u8>()))
            .prop_map(|(log, at, max_bytes, until)| Step::Read { log, at, max_bytes, until }),
        1 => (log, any::<u8>()).prop_map(|(log, at)| Step::Trim { log, at }),
        1 => Just(Step::Restart),
    ]
}

#[derive(Default)]
struct Model {
    start: Offset,
    /// First offset, last offset and bytes of every batch, as they must be read.
    batches: Vec<(Offset, Offset, Vec<u8>)>,
}

impl Model {
    fn end(&self) -> Offset {
        self.batches.last().map_or(0, |(_, last, _)| last + 1)
    }

    fn place(&self, at: u8) -> Offset {
        self.start + (self.end() - self.start) * Offset::from(at) / 255
    }

    /// Those batches were read that should have been.
    fn check(
        &self,
        read: &ReadBatches,
        offset: Offset,
        max_bytes: usize,
        until: Offset,
    ) -> Result<(), TestCaseError> {
        let mut first = self.batches.partition_point(|(_, last, _)| *last < offset);
        let mut length = 0;
        for slice in &read.slices {
            let mut rest = slice.as_ref();
            while !rest.is_empty() {
                let (base, _, bytes) = &self.batches[first];
                prop_assert!(rest.starts_with(bytes), "batch at {}", base);
                prop_assert!(*base < until);
                rest = &rest[bytes.len()..];
                length += bytes.len();
                prop_assert!(length <= max_bytes || length == bytes.len());
                first += 1;
            }
        }
        let some = self.batches.iter().any(|(base, last, _)| *last >= offset && *base < until);
        prop_assert_eq!(length > 0, some, "at {} of {}", offset, self.end());
        Ok(())
    }

    fn push(&mut self, batch: &Batch) {
        let base = self.end();
        let mut bytes = batch.bytes().to_vec();
        bytes[..8].copy_from_slice(&base.to_be_bytes());
        bytes[12..16].copy_from_slice(&7i32.to_be_bytes());
        self.batches.push((base, base + batch.header().last_offset(), bytes));
    }
}

fn opened(store: &Store, id: u64) -> std::sync::Arc<store::Log> {
    let durability = [Durability::Memory, Durability::Os, Durability::Fsync];
    let options = LogOptions {
        durability: durability[usize::try_from(id).unwrap()],
        segment_bytes: 8000,
        ..LogOptions::default()
    };
    store.open_log(LogId(id), options)
}

async fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut fixture = Fixture::new();
    fixture.options.flush_bytes = 10_000;
    fixture.options.flush_after = Duration::from_millis(1);
    fixture.options.wal_file_bytes = 64 * 1024;
    fixture.options.tail_bytes_max = 100_000;
    let mut store = fixture.open();
    let mut models: HashMap<u64, Model> = (0..LOGS).map(|id| (id, Model::default())).collect();
    let mut counter = 0;
    for step in steps {
        match step {
            Step::Append(logs) => {
                let mut entries = Vec::new();
                let mut bases = Vec::new();
                for (id, batches) in logs {
                    let batches: Vec<_> = batches
                        .into_iter()
                        .map(|(records, size)| {
                            counter += 1;
                            let text = format!("{counter} {}", "x".repeat(size.into()));
                            batch(counter, &vec![text.as_str(); records.into()])
                        })
                        .collect();
                    let model = models.get_mut(&id).unwrap();
                    bases.push(model.end());
                    batches.iter().for_each(|batch| model.push(batch));
                    entries.push(Append { log: opened(&store, id), batches, epoch: 7 });
                }
                for (outcome, base) in
                    store.append(entries).await.unwrap().await.into_iter().zip(bases)
                {
                    prop_assert_eq!(outcome.unwrap().base, base);
                }
            }
            Step::Read { log, at, max_bytes, until } => {
                let model = &models[&log];
                let offset = model.place(at);
                let until = until.map_or(Offset::MAX, |at| model.place(at));
                let read = opened(&store, log).read(offset, max_bytes, until).unwrap();
                prop_assert_eq!((read.start, read.end), (model.start, model.end()));
                model.check(&read, offset, max_bytes, until)?;
            }
            Step::Trim { log, at } => {
                let to = models[&log].place(at);
                prop_assert_eq!(store.trim(&opened(&store, log), to).await, Ok(to));
                models.get_mut(&log).unwrap().start = to;
            }
            Step::Restart => {
                drop(store);
                store = fixture.open();
            }
        }
    }
    drop(store);
    let store = fixture.open();
    for (id, model) in models {
        prop_assert_eq!(opened(&store, id).range(), model.start..model.end());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reads_equal_what_was_appended(steps in prop::collection::vec(step(), 1..60)) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run(steps))?;
    }
}
