//! Kills a process in the middle of its transactions, many times over, and looks whether all that
//! it had been told was done is still there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use cluster::{Embedded, MetaStore, Op, Options, Txn};
use tempfile::TempDir;

const FOLDER: &str = "ENTREPOT_TEST_META_FOLDER";
const ROUNDS: u64 = 12;
const TASKS: u64 = 8;

/// Not a test by itself: what the process that is killed does. Each task counts up two keys of
/// its own in one transaction and says so after the answer, never before.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let store = Arc::new(Embedded::open(Path::new(&folder), Options::default()).unwrap());
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..TASKS {
            tasks.spawn(count(Arc::clone(&store), task));
        }
        while tasks.join_next().await.is_some() {}
    });
}

async fn count(store: Arc<Embedded>, task: u64) {
    let mut count: u64 = match store.get(format!("a{task}").as_bytes()).await.unwrap() {
        Some(kv) => std::str::from_utf8(&kv.value).unwrap().trim().parse().unwrap(),
        None => 0,
    };
    loop {
        count += 1;
        // Values of many sizes, so that pages split, merge and are freed.
        let value = format!("{count}{}", " ".repeat(usize::try_from(count * 97 % 3000).unwrap()));
        let txn = Txn::new()
            .then(Op::put(format!("a{task}"), value.clone()))
            .then(Op::put(format!("b{task}"), value))
            .then(Op::put(format!("c{task}/{}", count % 20), "x".repeat(200)))
            .then(Op::delete(format!("c{task}/{}", (count + 7) % 20)));
        let revision = store.txn(txn).await.unwrap().revision;
        let line = format!("ack {task} {count} {revision}\n");
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let folder = TempDir::new().unwrap();
    let mut acknowledged: BTreeMap<u64, u64> = BTreeMap::new();
    let mut highest = 0;
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // After so many acknowledgements, whatever it is doing then.
        let until = 1 + round * round * 5;
        let mut seen = 0;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines.by_ref() {
            seen += u64::from(note(&line.unwrap(), &mut acknowledged, &mut highest));
            if seen == until {
                break;
            }
        }
        assert_eq!(seen, until, "the child ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said before it died counts too; the last line may be cut off.
        lines.map_while(Result::ok).for_each(|line| {
            note(&line, &mut acknowledged, &mut highest);
        });
        check(folder.path(), &acknowledged, highest);
    }
}

fn note(line: &str, acknowledged: &mut BTreeMap<u64, u64>, highest: &mut u64) -> bool {
    let Some(line) = line.find("ack ").map(|at| &line[at..]) else { return false };
    let numbers: Vec<u64> = line.split(' ').skip(1).filter_map(|n| n.parse().ok()).collect();
    let [task, count, revision] = numbers[..] else { return false };
    let before = acknowledged.insert(task, count);
    assert!(before.is_none_or(|before| before < count), "task {task} went back to {count}");
    *highest = revision.max(*highest);
    true
}

fn check(folder: &Path, acknowledged: &BTreeMap<u64, u64>, highest: u64) {
    let store = Embedded::open(folder, Options::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let held = store.range(b"", 0, b"").await.unwrap();
        assert!(held.revision >= highest, "revision {} after {highest}", held.revision);
        for task in 0..TASKS {
            let count = |name: &str| {
                let key = format!("{name}{task}");
                let kv = held.kvs.iter().find(|kv| kv.key == key)?;
                std::str::from_utf8(&kv.value).unwrap().trim().parse::<u64>().ok()
            };
            assert_eq!(count("a"), count("b"), "half of a transaction of task {task}");
            let told = acknowledged.get(&task).copied();
            assert!(count("a") >= told, "task {task}: told {told:?}, found {:?}", count("a"));
        }
    });
}
