//! Processes that are killed, and machines that lose power, at any moment.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use base::{LogId, Random, SystemRandom};
use store::{Append, Durability, LogOptions, Store};

use crate::support::*;

const CHILD_DIR: &str = "STORE_CRASH_CHILD_DIR";
const CHILD_ROUND: &str = "STORE_CRASH_CHILD_ROUND";
const ROUNDS: u64 = 12;
const LOGS: u64 = 4;

fn busy(dir: std::path::PathBuf) -> Fixture {
    let mut fixture = Fixture::new();
    fixture.options.dir = dir;
    fixture.options.flush_bytes = 30_000;
    fixture.options.flush_after = Duration::from_millis(2);
    fixture.options.wal_file_bytes = 128 * 1024;
    fixture.options.tail_bytes_max = 200_000;
    fixture.options.retention_interval = Duration::from_millis(3);
    fixture
}

fn opened(store: &Store, id: u64) -> Arc<store::Log> {
    let durability = if id.is_multiple_of(2) { Durability::Os } else { Durability::Fsync };
    let options = LogOptions {
        durability,
        segment_bytes: 20_000,
        retention_ms: None,
        retention_bytes: (id == 3).then_some(60_000),
        ..LogOptions::default()
    };
    store.open_log(LogId(id), options)
}

/// Not a test of its own: what [`killed_processes_lose_nothing_acknowledged`] starts and kills.
#[test]
fn child() {
    let Ok(dir) = std::env::var(CHILD_DIR) else { return };
    let round: u64 = std::env::var(CHILD_ROUND).unwrap().parse().unwrap();
    let fixture = busy(dir.into());
    let store = Arc::new(fixture.open());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    for task in 0..6 {
        let store = Arc::clone(&store);
        runtime.spawn(async move {
            for number in 0u64.. {
                let entries = (0..LOGS).filter(|id| (number + id + task) % 3 != 0).map(|id| {
                    let size = usize::try_from(number * 37 % 900).unwrap();
                    let text = format!("{round}.{task}.{number} {}", "x".repeat(size));
                    Append {
                        log: opened(&store, id),
                        batches: vec![batch(NOW, &[&text])],
                        epoch: 0,
                    }
                });
                let entries: Vec<_> = entries.collect();
                let logs: Vec<_> = entries.iter().map(|entry| entry.log.id().0).collect();
                let outcomes = store.append(entries).await.unwrap().await;
                let mut said = String::new();
                for (log, outcome) in logs.iter().zip(outcomes) {
                    let base = outcome.unwrap().base;
                    said += &format!("acked {log} {base} {round}.{task}.{number} \n");
                }
                std::io::stdout().write_all(said.as_bytes()).unwrap();
            }
        });
    }
    runtime.block_on(async {
        for number in 0.. {
            // Logs that come and go, and one that is trimmed.
            let short = opened(&store, 1000 + round * 100_000 + number);
            for _ in 0..4 {
                append(&store, &short, batch(NOW, &["short"])).await.unwrap();
            }
            store.delete_log(short.id());
            let trimmed = opened(&store, 2);
            store.trim(&trimmed, trimmed.range().end / 2).await.unwrap();
        }
    });
}

#[test]
fn killed_processes_lose_nothing_acknowledged() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut acked: HashMap<u64, HashMap<i64, String>> = HashMap::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["crash::child", "--exact", "--nocapture"])
            .env(CHILD_DIR, dir.path())
            .env(CHILD_ROUND, round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = 1 + SystemRandom.next_u64() % 3000;
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut count = 0;
        while let Some(Ok(line)) = said.next() {
            count += 1;
            if count == lines {
                child.kill().unwrap();
            }
            let words: Vec<_> = line.split(' ').collect();
            // A line that was cut short lacks the space at its end.
            if let ["acked", log, offset, text, ""] = words[..] {
                let log = acked.entry(log.parse().unwrap()).or_default();
                log.insert(offset.parse().unwrap(), text.to_owned());
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(count >= lines, "the child stopped by itself");
        let mut fixture = busy(dir.path().to_path_buf());
        fixture.options.flush_after = Duration::from_secs(3600);
        // Not while we look.
        fixture.options.retention_interval = Duration::from_secs(3600);
        let store = fixture.open();
        assert_eq!(store.recovered().damaged, []);
        for id in 0..LOGS {
            check(&opened(&store, id), acked.get(&id), round);
        }
    }
}

/// Everything acknowledged is at its offset; there are no gaps; nothing is there twice, or was
/// never sent, or comes before what its sender had sent before it.
fn check(log: &store::Log, acked: Option<&HashMap<i64, String>>, round: u64) {
    let range = log.range();
    let stored: Vec<_> = values(log, range.start)
        .into_iter()
        .map(|(offset, text)| (offset, text.split(' ').next().unwrap().to_owned()))
        .filter(|(offset, _)| *offset >= range.start)
        .collect();
    assert_eq!(stored.len() as i64, range.end - range.start);
    let mut seen = HashSet::new();
    let mut newest: HashMap<(u64, u64), u64> = HashMap::new();
    for ((offset, text), expected) in stored.iter().zip(range.clone()) {
        assert_eq!(*offset, expected);
        assert!(seen.insert(text), "{text} twice");
        let parts: Vec<u64> = text.split('.').map(|part| part.parse().unwrap()).collect();
        assert!(parts[0] <= round);
        let before = newest.insert((parts[0], parts[1]), parts[2]);
        assert!(before.is_none_or(|before| before < parts[2]), "{text} after {before:?}");
    }
    for (offset, text) in acked.into_iter().flatten().filter(|(o, _)| **o >= range.start) {
        let found = usize::try_from(offset - range.start).ok().and_then(|at| stored.get(at));
        assert_eq!(found, Some(&(*offset, text.clone())), "acknowledged in or before {round}");
    }
}

/// Small and repeatable; the seed is in every failure message.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Loses what no sync had covered: whole frames, or sectors of them, in any order.
fn cut_power(image: &Fixture, faults: &Faults, dice: &mut Dice) {
    let incarnation = faults.incarnation.load(SeqCst);
    let synced = faults.synced.load(SeqCst);
    for frame in frames(image) {
        if frame.sequence < synced || frame.incarnation != incarnation {
            continue;
        }
        let style = dice.below(3);
        edit(&frame.path, |bytes| {
            let end = frame.position + frame.length.next_multiple_of(BLOCK);
            for sector in bytes[frame.position..end].chunks_mut(512) {
                if style == 0 || style == 1 && dice.below(2) == 0 {
                    sector.fill(0);
                }
            }
        });
    }
}

async fn lose_power_again_and_again(seed: u64) {
    let mut dice = Dice(seed);
    let mut fixture = Fixture::new();
    fixture.options.wal_file_bytes = 64 * 1024;
    let durability = [Durability::Memory, Durability::Os, Durability::Fsync];
    let mut sent: Vec<Vec<String>> = vec![Vec::new(); 3];
    let mut durable = [0; 3];
    for round in 0..6 {
        let faults = Arc::new(Faults::default());
        let store = fixture.open_faulty(&faults);
        let logs: Vec<_> = (0..3).map(|id| log_with(&store, id as u64, durability[id])).collect();
        for (id, log) in logs.iter().enumerate() {
            let stored = texts(log);
            assert!(stored.len() >= durable[id], "seed {seed} round {round} log {id}");
            assert_eq!(stored, sent[id][..stored.len()], "seed {seed} round {round} log {id}");
            sent[id].truncate(stored.len());
            // Replay synced it.
            durable[id] = stored.len();
        }
        for number in 0..dice.below(60) {
            let mut pending = Vec::new();
            let mut strict = false;
            for part in 0..=dice.below(3) {
                let of = if dice.below(10) < 7 { 2 } else { 3 };
                let id = dice.below(of) as usize;
                strict |= id == 2;
                let size = dice.below(6000) as usize;
                let text = format!("{round}.{number}.{part} {}", "x".repeat(size));
                let batches = vec![batch(NOW, &[&text])];
                sent[id].push(text);
                let append = Append { log: Arc::clone(&logs[id]), batches, epoch: 0 };
                pending.push(store.append(vec![append]).await.unwrap());
            }
            for pending in pending {
                pending.await.pop().unwrap().unwrap();
            }
            if strict {
                // The last of them may have come after the one that was synced.
                let first = sent.iter().map(|log| {
                    log.iter()
                        .filter(|text| !text.starts_with(&format!("{round}.{number}.")))
                        .count()
                });
                durable = first.collect::<Vec<_>>().try_into().unwrap();
                durable[2] = sent[2].len();
            }
        }
        // Frames that asked for memory alone are written after they are acknowledged.
        store.append(vec![]).await.unwrap().await;
        let image = fixture.crash_image();
        cut_power(&image, &faults, &mut dice);
        if dice.below(4) == 0 {
            // Everything goes to segments, and then on.
            drop((store, logs));
            durable = [0, 1, 2].map(|id| sent[id].len());
        } else {
            fixture = image;
        }
    }
}

#[tokio::test]
async fn machines_that_lose_power_lose_nothing_that_was_synced() {
    // More with `STORE_SEEDS=from..to`, and faster with TMPDIR in memory.
    let seeds = std::env::var("STORE_SEEDS").unwrap_or_else(|_| "0..40".to_owned());
    let (from, to) = seeds.split_once("..").unwrap();
    for seed in from.parse().unwrap()..to.parse().unwrap() {
        lose_power_again_and_again(seed).await;
    }
}
