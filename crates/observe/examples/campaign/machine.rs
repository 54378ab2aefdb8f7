//! Its disk, and what the operating system gives it.

use observe::families;
use observe::state::{Node, NodeKind};

use crate::broker::Second;
use crate::dice::Dice;

const GIB: f64 = (1_u64 << 30) as f64;
const MILLI: f64 = 1_000_000.0;

/// How often retention deletes segments, in seconds.
const RETENTION: u64 = 300;

/// A time in which a device is busy with something else.
#[derive(Debug, Default)]
struct Busy {
    until: u64,
    times: f64,
}

#[derive(Debug)]
pub(crate) struct Machine {
    /// Nanoseconds, of half of the syncs.
    sync: f64,
    commits: f64,
    busy: Busy,
    /// Nanoseconds, of half of the reads.
    read: f64,
    reads_until: u64,
    disk_size: f64,
    /// What is used after retention has deleted, and how much comes until it does again.
    used: f64,
    traffic: f64,
    /// What something else wrote.
    other: f64,
    memory_limit: f64,
    memory_usual: f64,
    memory: f64,
    files_limit: f64,
    files_usual: f64,
    /// What grew because of a fault, as parts of the limits.
    grown: (f64, f64),
    /// Nanoseconds that the wall clock is off.
    pub(crate) leap: f64,
    drift: f64,
}

impl Machine {
    pub(crate) fn new(dice: &mut Dice) -> Self {
        let disk_size = dice.scale(50.0, 4000.0) * GIB;
        let memory_limit = dice.scale(1.0, 64.0) * GIB;
        let memory_usual = dice.between(0.1, 0.65) * memory_limit;
        let files_limit = dice.scale(16_384.0, 1_048_576.0);
        Self {
            sync: dice.scale(0.2, 8.0) * MILLI,
            commits: dice.scale(0.5, 500.0),
            busy: Busy::default(),
            read: dice.scale(0.1, 8.0) * MILLI,
            reads_until: 0,
            disk_size,
            used: dice.between(0.1, 0.85) * disk_size,
            // In the time between two deletions at most a hundredth and a half of the disk.
            traffic: dice.scale(1e-5, 0.015) * disk_size / RETENTION as f64,
            other: 0.0,
            memory_limit,
            memory_usual,
            memory: memory_usual,
            files_limit,
            files_usual: dice.between(0.02, 0.3) * files_limit,
            grown: (0.0, 0.0),
            leap: 0.0,
            drift: dice.between(-20_000.0, 20_000.0),
        }
    }

    pub(crate) fn node(&self) -> Node {
        Node::new(NodeKind::Store, "/data")
    }

    /// Whether nearly all file descriptors are open.
    pub(crate) fn is_out_of_files(&self) -> bool {
        self.files_usual / self.files_limit + self.grown.1 > 0.98
    }

    pub(crate) fn step(&mut self, second: &mut Second<'_>, connections: u64) {
        self.store(second);
        self.disk(second);
        self.process(second, connections);
        self.clock(second);
    }

    fn store(&mut self, second: &mut Second<'_>) {
        let Second { number, registry, dice, faults, .. } = second;
        registry.gauge(&families::HEALTHY, []).set(i64::from(!faults.storage_failed));
        registry.gauge(&families::DISK_FULL, []).set(i64::from(faults.disk_full));
        // Where there is no room, segments cannot be written either.
        let failures = faults.flush_failures + if faults.disk_full { 0.2 } else { 0.0 };
        registry.counter(&families::FLUSH_FAILURES, []).add(dice.count(failures));
        if dice.once_in(1800.0) {
            let until = *number + dice.whole(2, 15);
            self.busy = Busy { until, times: dice.between(3.0, 15.0) };
        }
        let busy = if *number < self.busy.until { self.busy.times } else { 1.0 };
        let syncs = registry.histogram(&families::SYNC_TIME, []);
        if !faults.storage_failed {
            for _ in 0..dice.count(self.commits).min(40) {
                let median = self.sync * busy * faults.sync_times.max(1.0);
                syncs.record(dice.around(median, 0.4) as u64);
            }
            // What every device does now and then.
            if dice.once_in(900.0) {
                syncs.record(dice.between(100.0 * MILLI, 600.0 * MILLI) as u64);
            }
        }
        // Somebody who was away reads what is not in memory any more.
        if dice.once_in(7200.0) {
            self.reads_until = *number + dice.whole(20, 400);
        }
        let reads = registry.histogram(&families::READ_TIME, []);
        if *number < self.reads_until || faults.read_times > 0.0 {
            for _ in 0..dice.count(20.0) {
                let median = self.read * busy * faults.read_times.max(1.0);
                reads.record(dice.around(median, 0.5) as u64);
            }
        }
    }

    fn disk(&mut self, second: &mut Second<'_>) {
        let Second { number, registry, faults, .. } = second;
        // Who looks after it makes room when it is over.
        self.other = if faults.fill > 0.0 { self.other + faults.fill } else { 0.0 };
        let since = *number % RETENTION;
        let used = self.used + self.traffic * since as f64 + self.other;
        let free = (self.disk_size - used).max(0.001 * self.disk_size);
        let free = if faults.disk_full { 0.0 } else { free };
        registry.gauge(&families::DISK_SIZE, []).set(self.disk_size as i64);
        registry.gauge(&families::DISK_FREE, []).set(free as i64);
    }

    /// Nanoseconds that half of the syncs take, if nothing is wrong.
    pub(crate) fn usual_sync(&self) -> f64 {
        self.sync
    }

    /// The same of reads.
    pub(crate) fn usual_read(&self) -> f64 {
        self.read
    }

    /// Bytes of the disk that are free.
    pub(crate) fn free(&self) -> f64 {
        self.disk_size - self.used
    }

    /// The part of each limit that nothing uses: of memory and of file descriptors.
    pub(crate) fn unused(&self) -> (f64, f64) {
        let of = |used: f64, limit: f64| 1.0 - used / limit;
        (of(self.memory_usual, self.memory_limit), of(self.files_usual, self.files_limit))
    }

    fn process(&mut self, second: &mut Second<'_>, connections: u64) {
        let Second { registry, dice, faults, .. } = second;
        let back = 0.02 * (self.memory_usual - self.memory);
        self.memory += back + dice.between(-0.01, 0.01) * self.memory_limit;
        let grow = |grown: f64, by: f64| if by > 0.0 { grown + by } else { 0.0 };
        self.grown = (grow(self.grown.0, faults.memory), grow(self.grown.1, faults.files));
        let memory = self.memory + self.grown.0 * self.memory_limit;
        let memory = memory.clamp(0.05 * self.memory_limit, 0.98 * self.memory_limit);
        registry.gauge(&families::MEMORY, []).set(memory as i64);
        registry.gauge(&families::MEMORY_LIMIT, []).set(self.memory_limit as i64);
        // Some come and go with segments that are read.
        let files = self.files_usual * dice.around(1.0, 0.02) + connections as f64;
        let files = (files + self.grown.1 * self.files_limit).min(0.99 * self.files_limit);
        registry.gauge(&families::OPEN_FILES, []).set(files as i64);
        registry.gauge(&families::MAX_FILES, []).set(self.files_limit as i64);
        registry.counter(&families::SERIES_LEFT_OUT, []).add(dice.count(faults.left_out));
    }

    fn clock(&mut self, second: &mut Second<'_>) {
        let Second { registry, dice, .. } = second;
        self.drift = (self.drift + dice.between(-500.0, 500.0)).clamp(-50_000.0, 50_000.0);
        // It is slewed back, as far as it is a little.
        let back = if self.leap.abs() < 1000.0 * MILLI { self.leap * 0.002 } else { 0.0 };
        self.leap += self.drift - back;
        // Time synchronisation that steps a little.
        if dice.once_in(20_000.0) {
            self.leap += dice.between(-400.0, 400.0) * MILLI;
        }
        registry.gauge(&families::CLOCK_LEAP, []).set(self.leap as i64);
    }
}
