//! Many logs: what they cost. Figures are printed, not asserted; for ten thousand logs:
//! `STORE_MANY_LOGS=10000 cargo test --release -p store --test it many -- --nocapture`

use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use store::Append;

use crate::support::*;

const CHILD_DIR: &str = "STORE_MANY_CHILD_DIR";

fn count() -> u64 {
    std::env::var("STORE_MANY_LOGS").map_or(500, |text| text.parse().unwrap())
}

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    let kilobytes = line.split_whitespace().nth(1).and_then(|text| text.parse().ok());
    kilobytes.unwrap_or(0) * 1024
}

#[tokio::test]
async fn many_logs_are_opened_at_once() {
    let count = count();
    let mut fixture = Fixture::new();
    fixture.options.wal_file_bytes = 32 << 20;
    let store = fixture.open();
    let start = Instant::now();
    let logs: Vec<_> = (0..count).map(|id| log(&store, id)).collect();
    for round in 0..3 {
        for part in logs.chunks(1000) {
            let entries = part.iter().map(|log| Append {
                log: Arc::clone(log),
                batches: vec![batch(NOW + round, &["a few", "records"])],
                epoch: 0,
            });
            let outcomes = store.append(entries.collect()).await.unwrap().await;
            assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap().base == round * 2));
        }
    }
    println!("append 3 batches to each of {count} logs: {:?}", start.elapsed());
    let image = fixture.crash_image();
    let start = Instant::now();
    drop((store, logs));
    println!("close, with a flush to {count} segments: {:?}", start.elapsed());

    for (what, fixture) in [("segments", &fixture), ("the write-ahead log", &image)] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["many::child", "--exact", "--nocapture"])
            .env(CHILD_DIR, fixture.dir.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = said.lines().find(|line| line.starts_with("open")).unwrap().to_owned();
        println!("from {what}: {said}");
    }
}

/// Not a test of its own: a process that holds nothing but the store, to see its memory.
#[test]
fn child() {
    let Ok(dir) = std::env::var(CHILD_DIR) else { return };
    let mut fixture = Fixture::new();
    fixture.options.dir = dir.into();
    let before = resident();
    let start = Instant::now();
    let store = fixture.open();
    let elapsed = start.elapsed();
    let each = resident().saturating_sub(before) as u64 / count();
    println!("open in {elapsed:?}, {each} bytes of memory a log");
    assert_eq!(store.recovered().logs as u64, count());
    for id in (0..count()).step_by(97) {
        assert_eq!(log(&store, id).range(), 0..6);
        assert_eq!(texts(&log(&store, id)).len(), 6);
    }
}
