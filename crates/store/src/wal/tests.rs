use base::LogId;
use std::fs;
use tempfile::TempDir;

use super::*;
use crate::frame::{Frame, FrameHeader, FrameWriter, RunKind, size_on_disk};

const FILE: u64 = 64 * 1024;

fn frame(wal: &LocalWal, sequence: u64, synced: u64, size: usize) -> Bytes {
    let mut frame = FrameWriter::new(1, size);
    frame.begin_run(LogId(1), RunKind::Append, 0, 1);
    frame.batch(&vec![7; size], 0, 0);
    let incarnation = wal.incarnation();
    frame.finish(&FrameHeader { sequence, incarnation, synced, written_at: 5 })
}

fn write(wal: &mut LocalWal, sequence: u64, synced: u64, size: usize) {
    let frame = frame(wal, sequence, synced, size);
    wal.reserve(sequence, size_on_disk(1, size)).unwrap();
    wal.write(sequence, &frame).unwrap();
}

fn read(dir: &Path, from: u64) -> (Vec<u64>, Replay) {
    let mut read = Vec::new();
    let found = replay(&Disk::System, dir, from, |_, _, frame: Frame| {
        read.push(frame.header.sequence);
        Ok(())
    });
    (read, found.unwrap())
}

#[test]
fn a_sync_reaches_full_files_whose_frames_were_not_synced() {
    let dir = TempDir::new().unwrap();
    let mut wal = LocalWal::open(Disk::System, dir.path(), FILE, 1, Vec::new()).unwrap();
    for sequence in 0..20 {
        write(&mut wal, sequence, 0, 10_000);
    }
    assert_eq!(wal.unsynced.len(), 3, "five frames a file");
    wal.sync().unwrap();
    assert!(wal.unsynced.is_empty());
    assert!(!wal.current.as_ref().unwrap().dirty);
    // A file whose frames were synced needs no more of it, nor one whose frames are in segments.
    write(&mut wal, 20, 20, 10_000);
    assert_eq!(wal.full.len(), 4);
    assert!(wal.unsynced.is_empty());
    for sequence in 21..26 {
        write(&mut wal, sequence, 20, 10_000);
    }
    assert_eq!(wal.unsynced.len(), 1);
    wal.release(25);
    assert!(wal.unsynced.is_empty());
}

#[test]
fn used_up_files_are_used_again_and_their_old_frames_never_read() {
    let dir = TempDir::new().unwrap();
    let mut wal = LocalWal::open(Disk::System, dir.path(), FILE, 1, Vec::new()).unwrap();
    for sequence in 0..200 {
        write(&mut wal, sequence, sequence, if sequence % 3 == 0 { 100 } else { 10_000 });
        wal.release(sequence.saturating_sub(10));
        let from = sequence.saturating_sub(10);
        let (read, found) = read(dir.path(), from);
        assert_eq!(read, (from..=sequence).collect::<Vec<_>>());
        assert_eq!(found.next_sequence, sequence + 1);
        assert_eq!(found.torn, None, "a stale frame is not a torn one");
    }
    assert!(list(&Disk::System, dir.path()).unwrap().len() <= 6, "files do not pile up");
}

#[test]
fn a_frame_larger_than_a_file_gets_its_own_and_spares_are_not_lost_over_it() {
    let dir = TempDir::new().unwrap();
    let mut wal = LocalWal::open(Disk::System, dir.path(), FILE, 1, Vec::new()).unwrap();
    for sequence in 0..20 {
        write(&mut wal, sequence, sequence, 10_000);
    }
    wal.release(19);
    assert_eq!(wal.spares.len(), 2);
    write(&mut wal, 20, 20, 200_000);
    assert_eq!(wal.spares.len(), 2);
    write(&mut wal, 21, 21, 10_000);
    assert_eq!(wal.spares.len(), 1);
    assert_eq!(read(dir.path(), 19).0, [19, 20, 21]);
}

#[test]
fn a_stop_between_renaming_a_file_and_writing_its_header_is_harmless() {
    let dir = TempDir::new().unwrap();
    let mut wal = LocalWal::open(Disk::System, dir.path(), FILE, 1, Vec::new()).unwrap();
    for sequence in 0..10 {
        write(&mut wal, sequence, sequence, 10_000);
    }
    // The first file's frames are in segments; it was renamed for frame 10.
    fs::rename(dir.path().join(file_name(0)), dir.path().join(file_name(10))).unwrap();
    let (frames, found) = read(dir.path(), 5);
    assert_eq!(frames, [5, 6, 7, 8, 9]);
    let mut wal = LocalWal::open(Disk::System, dir.path(), FILE, 2, found.files).unwrap();
    write(&mut wal, 10, 10, 10_000);
    assert_eq!(read(dir.path(), 5).0, [5, 6, 7, 8, 9, 10]);
}

#[test]
fn a_run_that_stopped_before_its_first_frame_leaves_a_file_that_is_used_again() {
    let dir = TempDir::new().unwrap();
    let mut wal = LocalWal::open(Disk::System, dir.path(), FILE, 1, Vec::new()).unwrap();
    write(&mut wal, 0, 0, 100);
    for incarnation in 2..5 {
        let (frames, found) = read(dir.path(), 0);
        assert_eq!((frames, found.next_sequence), (vec![0], 1));
        let mut wal =
            LocalWal::open(Disk::System, dir.path(), FILE, incarnation, found.files).unwrap();
        wal.reserve(1, 4096).unwrap();
        assert!(wal.full.iter().all(|(path, _)| *path != wal.current.as_ref().unwrap().path));
    }
    let found = read(dir.path(), 0).1;
    let mut wal = LocalWal::open(Disk::System, dir.path(), FILE, 9, found.files).unwrap();
    write(&mut wal, 1, 1, 100);
    wal.release(1);
    assert_eq!(read(dir.path(), 1).0, [1]);
}
