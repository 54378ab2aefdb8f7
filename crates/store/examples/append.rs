//! What the log costs on this machine: appends at several depths, beside a bare loop of 4 KiB
//! writes with fdatasync in the same run, and reads from segments.
//!
//! `cargo run --release -p store --example append -- [seconds per case, default 2] [folder]`
//!
//! Figures of different runs cannot be compared (disks and neighbours change by the minute); the
//! ratios within one run can.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement stops at the first surprise"
)]

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base::{LogId, SystemClock};
use bytes::Bytes;
use store::batch::{Batch, BatchBuilder, Compression, NewRecord};
use store::{Append, CommitSink, Log, LogOptions, Store, StoreOptions};

/// Counts what goes through.
struct Counting(Box<dyn CommitSink>, Arc<Counts>);

#[derive(Default)]
struct Counts {
    frames: AtomicU64,
    bytes: AtomicU64,
    syncs: AtomicU64,
    nanoseconds: AtomicU64,
}

impl CommitSink for Counting {
    fn reserve(&mut self, sequence: u64, bytes: usize) -> io::Result<()> {
        self.0.reserve(sequence, bytes)
    }

    fn write(&mut self, sequence: u64, frame: &Bytes) -> io::Result<()> {
        self.1.frames.fetch_add(1, Ordering::Relaxed);
        self.1.bytes.fetch_add(frame.len() as u64, Ordering::Relaxed);
        let start = Instant::now();
        let written = self.0.write(sequence, frame);
        self.1.nanoseconds.fetch_add(nanoseconds(start), Ordering::Relaxed);
        written
    }

    fn sync(&mut self) -> io::Result<()> {
        self.1.syncs.fetch_add(1, Ordering::Relaxed);
        let start = Instant::now();
        let synced = self.0.sync();
        self.1.nanoseconds.fetch_add(nanoseconds(start), Ordering::Relaxed);
        synced
    }

    fn release(&mut self, below: u64) {
        self.0.release(below);
    }

    fn incarnation(&self) -> u64 {
        self.0.incarnation()
    }
}

fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap()
}

fn batch_of(bytes: usize) -> Batch {
    let value = vec![7; bytes];
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(&NewRecord { value: Some(&value), ..NewRecord::default() });
    builder.build().unwrap()
}

/// The bare loop: 4 KiB over preallocated and written space, or appended, fdatasync each.
fn raw(dir: &Path, overwrite: bool, time: Duration) -> f64 {
    let path = dir.join("raw");
    let file = File::create(&path).unwrap();
    let block = [7; 4096];
    let blocks = 2048;
    if overwrite {
        file.write_all_at(&vec![0; 4096 * blocks], 0).unwrap();
        file.sync_all().unwrap();
    }
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < time {
        let at = if overwrite { count % blocks } else { count };
        file.write_all_at(&block, at as u64 * 4096).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    std::fs::remove_file(path).unwrap();
    count as f64 / start.elapsed().as_secs_f64()
}

struct Case {
    name: &'static str,
    tasks: u64,
    in_flight: usize,
    bytes: usize,
}

async fn append(store: &Arc<Store>, case: &Case, time: Duration) -> (u64, f64) {
    let start = Instant::now();
    let tasks = (0..case.tasks).map(|task| {
        let store = Arc::clone(store);
        let (in_flight, bytes) = (case.in_flight, case.bytes);
        tokio::spawn(async move {
            let log = open(&store, task);
            let batch = batch_of(bytes);
            let mut flying = std::collections::VecDeque::new();
            let mut done = 0;
            while start.elapsed() < time {
                let entry =
                    Append { log: Arc::clone(&log), batches: vec![batch.clone()], epoch: 0 };
                flying.push_back(store.append(vec![entry]).await.unwrap());
                if flying.len() >= in_flight {
                    flying.pop_front().unwrap().await.pop().unwrap().unwrap();
                    done += 1;
                }
            }
            for pending in flying {
                pending.await.pop().unwrap().unwrap();
                done += 1;
            }
            done
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.unwrap();
    }
    (done, start.elapsed().as_secs_f64())
}

fn open(store: &Store, id: u64) -> Arc<Log> {
    store.open_log(LogId(id), LogOptions::default())
}

fn read_cold(log: &Log) -> (f64, f64) {
    let range = log.range();
    let start = Instant::now();
    let (mut at, mut bytes) = (range.start, 0);
    while at < range.end {
        let read = log.read(at, 1 << 20, i64::MAX).unwrap();
        bytes += read.len();
        at = read.batches().last().unwrap().unwrap().header().next_offset();
    }
    let whole = bytes as f64 / start.elapsed().as_secs_f64() / 1e6;
    let (start, mut found) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_millis(300) {
        let offset = range.start + (found * 7919) % (range.end - range.start);
        assert!(!log.read(offset, 1, i64::MAX).unwrap().is_empty());
        found += 1;
    }
    (whole, found as f64 / start.elapsed().as_secs_f64())
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(2.0, |text| text.parse().unwrap());
    let time = Duration::from_secs_f64(seconds);
    let dir = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = tempfile::TempDir::new_in(dir).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let raw_before = raw(dir.path(), true, time);
    println!("raw 4 KiB overwrite + fdatasync: {raw_before:.0}/s");
    println!("raw 4 KiB append    + fdatasync: {:.0}/s", raw(dir.path(), false, time));
    let counts = Arc::new(Counts::default());
    let start = Instant::now();
    let store = {
        let counts = Arc::clone(&counts);
        let options = StoreOptions::new(dir.path().join("data"));
        Arc::new(
            Store::open_with_sink(options, Arc::new(SystemClock), |sink| {
                Box::new(Counting(sink, counts))
            })
            .unwrap(),
        )
    };
    println!("open of an empty folder: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    let cases = [
        Case { name: "1 task, 1 in flight, 1 KiB", tasks: 1, in_flight: 1, bytes: 1000 },
        Case { name: "1 task, 64 in flight, 1 KiB", tasks: 1, in_flight: 64, bytes: 1000 },
        Case { name: "64 tasks, 1 in flight, 1 KiB", tasks: 64, in_flight: 1, bytes: 1000 },
        Case { name: "16 tasks, 64 in flight, 1 KiB", tasks: 16, in_flight: 64, bytes: 1000 },
        Case { name: "16 tasks, 4 in flight, 64 KiB", tasks: 16, in_flight: 4, bytes: 65_000 },
        Case { name: "1 task, 1 in flight, 1 KiB", tasks: 1, in_flight: 1, bytes: 1000 },
    ];
    for case in cases {
        let before = [&counts.syncs, &counts.frames, &counts.bytes, &counts.nanoseconds]
            .map(|count| count.load(Ordering::SeqCst));
        let (done, seconds) = runtime.block_on(append(&store, &case, time));
        let [syncs, frames, bytes, nanoseconds] =
            [&counts.syncs, &counts.frames, &counts.bytes, &counts.nanoseconds]
                .map(|count| count.load(Ordering::SeqCst) as f64);
        let rate = done as f64 / seconds;
        println!(
            "{:30} {rate:8.0}/s {:7.1} MB/s, {:.3} syncs each, {:.1} KiB a frame, disk {:.0} %, \
             x {:.2} of raw",
            case.name,
            rate * case.bytes as f64 / 1e6,
            (syncs - before[0] as f64) / done as f64,
            (bytes - before[2] as f64) / (frames - before[1] as f64) / 1024.0,
            (nanoseconds - before[3] as f64) / seconds / 1e7,
            rate / raw_before,
        );
    }
    println!("raw 4 KiB overwrite + fdatasync: {:.0}/s", raw(dir.path(), true, time));
    store.close();
    let (whole, single) = read_cold(&open(&store, 0));
    println!("read from segments: {whole:.0} MB/s by the megabyte, {single:.0} look-ups/s");
}
