use std::collections::BTreeMap;
use std::fs;

use base::ManualClock;
use tempfile::TempDir;

use super::*;
use crate::batch::BatchBuilder;
use crate::batch::{Compression, NewRecord};
use crate::flusher::Flusher;
use crate::log::{State, TailBatch};
use crate::options::{LogOptions, StoreOptions};
use crate::segment::SegmentFiles;
use crate::shared::{CommittedFrame, Deleted, Shared};

fn sample() -> Checkpoint {
    let sent = Sent { first_sequence: 3, last_sequence: 9, base_offset: 40 };
    let producer = Producer { epoch: 2, last_seen: 77, sent: VecDeque::from([sent, sent]) };
    let segment =
        Segment { bytes: 5, index_bytes: 24, since_index: 6, generation: 3, ..Segment::new(1, 2) };
    Checkpoint {
        sequence: 12,
        deleted: vec![(LogId(4), 15)],
        logs: vec![
            LogCheckpoint {
                id: LogId(9),
                start: 1,
                end: 50,
                compacted: 30,
                segments: vec![segment, Segment { base: 2, next: 50, ..segment }],
                damaged: vec![3..4, 7..9],
                producers: vec![(8, producer)],
                transactions: Transactions {
                    open: [(8, 41), (9, 2)].into(),
                    aborted: vec![Aborted { producer: 8, first: 2, last: 30 }],
                    ..Transactions::default()
                },
            },
            LogCheckpoint {
                id: LogId(10),
                start: 0,
                end: 0,
                compacted: 0,
                segments: vec![],
                damaged: vec![],
                producers: vec![],
                transactions: Transactions::default(),
            },
        ],
    }
}

/// What is done to segments.
type Change = fn(&mut [Segment]);

#[test]
fn segments_that_overlap_or_are_larger_than_disks_are_refused() {
    let with = |change: Change| {
        let mut checkpoint = sample();
        change(&mut checkpoint.logs[0].segments);
        let bytes = Bytes::from(checkpoint.encode());
        Checkpoint::parse(Path::new(NAME), &bytes).map(|read| assert_eq!(read, checkpoint))
    };
    with(|_| {}).unwrap();
    let changes: [Change; 6] = [
        |segments| segments[1] = segments[0],
        |segments| segments.swap(0, 1),
        |segments| segments[0].next = 3,
        |segments| segments[1].next = 1,
        |segments| segments[1].bytes = u64::MAX,
        |segments| segments.iter_mut().for_each(|segment| segment.index_bytes = u64::MAX / 4 + 1),
    ];
    for change in changes {
        let refused = with(change).unwrap_err();
        assert!(refused.to_string().contains("it contradicts itself"), "{refused}");
    }
}

fn tail(base: Offset, count: usize) -> TailBatch {
    let mut builder = BatchBuilder::new(Compression::None);
    (0..count).for_each(|_| builder.push(&NewRecord::default()));
    let batch = builder.build().unwrap();
    let header = crate::batch::BatchHeader { base_offset: base, ..*batch.header() };
    TailBatch { header, bytes: batch.bytes().clone() }
}

fn log(dir: &Path, id: u64) -> Arc<Log> {
    let files = Arc::new(SegmentFiles::new(Disk::System, dir.join("segments")));
    Arc::new(Log::new(LogId(id), files, LogOptions::default(), State::default()))
}

#[test]
fn what_is_written_is_read_back_and_what_is_cut_is_not() {
    let dir = TempDir::new().unwrap();
    assert!(Checkpoint::read(&Disk::System, dir.path()).unwrap().is_none());
    sample().write(&Disk::System, dir.path()).unwrap();
    assert_eq!(Checkpoint::read(&Disk::System, dir.path()).unwrap(), Some(sample()));
    let bytes = fs::read(dir.path().join(NAME)).unwrap();
    for length in 0..bytes.len() {
        fs::write(dir.path().join(NAME), &bytes[..length]).unwrap();
        assert!(Checkpoint::read(&Disk::System, dir.path()).is_err(), "cut at {length}");
        // Nor does the decoder rely on the checksum.
        let rest = Bytes::copy_from_slice(bytes.get(12..length).unwrap_or_default());
        assert_eq!(Checkpoint::decode(rest, VERSION), None);
    }
}

/// The frames after a checkpoint can be lost, and then what they did must not be half remembered.
#[test]
fn a_log_is_recorded_as_it_was_at_the_last_flush() {
    let dir = TempDir::new().unwrap();
    let log = log(dir.path(), 1);
    log.publish([tail(0, 10), tail(10, 10)]);
    log.with_state_mut(|state| state.damaged = vec![3..4, 15..16]);
    for offset in [0, 10] {
        let header = crate::batch::BatchHeader {
            producer_id: 7,
            producer_epoch: 0,
            base_sequence: i32::try_from(offset).unwrap(),
            ..tail(offset, 10).header
        };
        log.producers.lock().record(&header, offset, 0);
    }
    log.trim(20);
    let before = LogCheckpoint::of(&log);
    assert_eq!((before.start, before.end), (0, 0));
    assert_eq!((before.damaged, before.producers), (vec![], vec![]));
    log.flushed(&[], 10);
    let between = LogCheckpoint::of(&log);
    assert_eq!((between.start, between.end), (10, 10));
    assert_eq!(between.damaged, std::slice::from_ref(&(3..4)));
    assert_eq!(between.producers[0].1.sent.len(), 1);
}

#[test]
fn a_trim_below_the_start_or_above_the_end_is_harmless() {
    let dir = TempDir::new().unwrap();
    let log = log(dir.path(), 1);
    // As in a replay: the checkpoint knows of a later trim already.
    log.with_state_mut(|state| state.start = 100);
    log.publish([tail(0, 60)]);
    log.trim(60);
    log.trim(500);
    assert_eq!((log.range().start, log.range().end), (100, 60));
}

/// A flush whose checkpoint finds the disk full has moved the batches all the same. The next
/// checkpoint, whatever it is for, must say so of frames and logs alike.
#[test]
fn frames_and_logs_agree_after_a_checkpoint_that_failed() {
    let dir = TempDir::new().unwrap();
    fs::create_dir_all(dir.path().join("segments")).unwrap();
    let shared = Arc::new(Shared::new(StoreOptions::new(dir.path()), 0, 1));
    let files = Arc::new(SegmentFiles::new(Disk::System, dir.path().join("segments")));
    let log = log(dir.path(), 1);
    log.publish([tail(0, 10)]);
    *shared.logs.write() = BTreeMap::from([(LogId(1), Arc::clone(&log))]);
    let clock = Arc::new(ManualClock::at(0));
    let expired = Vec::new();
    let mut flusher = Flusher { shared: Arc::clone(&shared), files, clock, flushed: 0, expired };
    std::os::unix::fs::symlink("/dev/full", dir.path().join("checkpoint.tmp")).unwrap();
    let frame = || CommittedFrame { sequence: 0, logs: vec![(Arc::clone(&log), 10)], bytes: 1 };
    assert!(!flusher.flush(vec![frame()]));
    assert!(shared.health.is_full() && shared.health.check().is_ok());
    assert_eq!(shared.flushed.load(std::sync::atomic::Ordering::SeqCst), 0, "still needed");
    fs::remove_file(dir.path().join("checkpoint.tmp")).unwrap();
    flusher.checkpoint().unwrap();
    let written = Checkpoint::read(&Disk::System, dir.path()).unwrap().unwrap();
    assert_eq!((written.sequence, written.logs[0].end), (1, 10));
    assert!(flusher.flush(vec![frame()]));
    assert!(!shared.health.is_full());
    let written = Checkpoint::read(&Disk::System, dir.path()).unwrap().unwrap();
    assert_eq!((written.sequence, written.logs[0].end), (1, 10));
}

#[test]
fn deleted_logs_are_named_as_long_as_frames_may_mention_them() {
    let dir = TempDir::new().unwrap();
    fs::create_dir_all(dir.path().join("segments")).unwrap();
    let shared = Arc::new(Shared::new(StoreOptions::new(dir.path()), 0, 8));
    let files = Arc::new(SegmentFiles::new(Disk::System, dir.path().join("segments")));
    *shared.logs.write() = BTreeMap::from([(LogId(1), log(dir.path(), 1))]);
    shared.deleted.lock().push(Deleted { id: LogId(4), below: 10, removed: false });
    let clock = Arc::new(ManualClock::at(0));
    let expired = Vec::new();
    let mut flusher = Flusher { shared: Arc::clone(&shared), files, clock, flushed: 7, expired };
    let deleted = |flusher: &mut Flusher| {
        flusher.checkpoint().unwrap();
        Checkpoint::read(&Disk::System, dir.path()).unwrap().unwrap().deleted
    };
    assert_eq!(deleted(&mut flusher), [(LogId(4), 10)]);
    flusher.flushed = 9;
    assert_eq!(deleted(&mut flusher), [(LogId(4), 10)]);
    flusher.flushed = 10;
    assert_eq!(deleted(&mut flusher), []);
    assert!(shared.deleted.lock().is_empty());
}
