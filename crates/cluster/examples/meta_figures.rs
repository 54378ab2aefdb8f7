//! Prints the figures of `docs/decisions/0004-metadata-store.md`:
//! `cargo run -p cluster --example meta_figures -- FOLDER`, with an empty folder on a real disk.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a program")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use cluster::{Embedded, MetaStore, Op, Options, Txn};
use tokio::task::JoinSet;

const KEYS: usize = 10_000;
const SEQUENTIAL: usize = 1_000;

fn resident(what: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?");
        line.trim().to_owned()
    };
    println!("{what}: resident {}, of it anonymous {}", line("VmRSS:"), line("RssAnon:"));
}

fn key(n: usize) -> String {
    format!("topics/a-topic-name-of-usual-length-{n:06}")
}

fn open(folder: &Path, what: &str) -> Arc<Embedded> {
    let start = Instant::now();
    let store = Arc::new(Embedded::open(folder, Options::default()).unwrap());
    println!("open {what}: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    store
}

async fn put(store: &Embedded, n: usize) {
    store.txn(Txn::new().then(Op::put(key(n), vec![b'v'; 300]))).await.unwrap();
}

async fn fill(folder: &Path) {
    let store = open(folder, "of nothing");
    resident("empty");
    for waiting in [1, 16, 128, KEYS] {
        let count = if waiting == 1 { SEQUENTIAL } else { KEYS };
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for task in 0..waiting {
            let store = Arc::clone(&store);
            tasks.spawn(async move {
                for n in (task..count).step_by(waiting) {
                    put(&store, n).await;
                }
            });
        }
        tasks.join_all().await;
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{waiting} at once: {:.0} txn/s ({count} in {seconds:.2} s)",
            count as f64 / seconds
        );
    }
    resident("after 31,000 transactions");
    // Without closing the file, so that the next open finds what a kill leaves.
    std::process::exit(0);
}

async fn read(folder: &Path) {
    resident("before open");
    let store = open(folder, "of 10,000 keys of 300 bytes");
    resident("with them");
    let start = Instant::now();
    let found = store.range(b"topics/", 0, b"").await.unwrap().kvs.len();
    println!("range of {found}: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    let start = Instant::now();
    for n in 0..KEYS {
        assert!(store.get(key(n).as_bytes()).await.unwrap().is_some());
    }
    println!("get: {:.2} us", start.elapsed().as_secs_f64() * 1e6 / KEYS as f64);
    put(&store, 0).await;
    resident("after a range and a transaction");
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, ..] = &arguments[..] else {
        println!("which folder?");
        return;
    };
    // Each in a process of its own, for the memory figures.
    match arguments.get(1).map(String::as_str) {
        Some("fill") => fill(Path::new(folder)).await,
        Some("read") => read(Path::new(folder)).await,
        _ => {
            for step in ["fill", "read", "read"] {
                let program = std::env::current_exe().unwrap();
                std::process::Command::new(program).args([folder, step]).status().unwrap();
            }
        }
    }
}
