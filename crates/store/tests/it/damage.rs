//! Data folders that were damaged, or cut short by a crash.

use std::fs;
use std::sync::Arc;

use base::{LogId, Offset};
use store::{Append, Durability, LogOptions, OpenError, ReadError, Store};

use crate::support::*;

/// One frame holding these batches of two logs.
async fn one_frame(store: &Store, round: usize) {
    let entries = [1, 2].map(|id| {
        let texts: Vec<String> =
            (0..3).map(|n| format!("log {id} round {round} {n} {}", "x".repeat(700))).collect();
        let batches = texts.iter().map(|text| batch(NOW, &[text])).collect();
        Append { log: log(store, id), batches, epoch: 0 }
    });
    for outcome in store.append(entries.into()).await.unwrap().await {
        outcome.unwrap();
    }
}

async fn three_frames() -> Fixture {
    let fixture = Fixture::new();
    let store = fixture.open();
    for round in 0..3 {
        one_frame(&store, round).await;
    }
    let image = fixture.crash_image();
    assert_eq!(frames(&image).len(), 3);
    assert!(frames(&image)[0].length > 4096, "more than one block");
    image
}

#[tokio::test]
async fn a_torn_last_frame_is_cut_wherever_it_was_torn() {
    let image = three_frames().await;
    let last = frames(&image)[2].clone();
    for torn_at in (0..last.length).step_by(512) {
        let image = image.crash_image();
        let name = last.path.file_name().unwrap();
        let path = image.dir.path().join("wal").join(name);
        edit(&path, |bytes| {
            let end = last.position + last.length.next_multiple_of(BLOCK);
            bytes[last.position + torn_at..end].fill(0);
        });
        let store = image.open();
        assert_eq!(store.recovered().frames, 2, "torn at {torn_at}");
        let known = torn_at > 0;
        assert_eq!(store.recovered().torn.is_some(), known, "torn at {torn_at}");
        assert_eq!(log(&store, 1).range(), 0..6);
        // Writing goes on behind the cut, a second crash finds that …
        one_frame(&store, 7).await;
        one_frame(&store, 8).await;
        let again = image.crash_image();
        drop(store);
        let store = again.open();
        assert_eq!(store.recovered().frames, 4);
        assert_eq!(log(&store, 2).range(), 0..12);
        assert!(texts(&log(&store, 2))[6].starts_with("log 2 round 7"));
        // … and a third one, with nothing written in between, too.
        let third = again.crash_image();
        assert_eq!(log(&third.open(), 2).range(), 0..12);
    }
}

#[tokio::test]
async fn a_flipped_bit_in_data_damages_that_batch_only() {
    let image = three_frames().await;
    let middle = frames(&image)[1].clone();
    let data = middle.position + 64 + 48 * middle.runs;
    // Six batches of one size; the second of the first log, at every field of its header and some
    // of its body. Its epoch (bytes 12 to 15) can be wrong without harm to any record.
    let size = (middle.length - (data - middle.position)) / 6;
    for at in (0..12).chain(16..120).chain([size - 1]) {
        let image = image.crash_image();
        let path = image.dir.path().join("wal").join(middle.path.file_name().unwrap());
        edit(&path, |bytes| bytes[data + size + at] ^= 1);
        let store = image.open();
        let hurt = store.recovered().damaged.clone();
        assert_eq!(hurt.len(), 1, "byte {at}: {hurt:?}");
        let (id, range) = hurt[0].clone();
        assert_eq!(range, 4..5, "byte {at}");
        assert_eq!(files(&image.dir.path().join("quarantine")).len(), 1);
        check_damaged(&store, id, at);
        // It stays so in segments, and after restarts.
        drop(store);
        let store = image.open();
        assert_eq!(store.recovered().frames, 0);
        check_damaged(&store, id, at);
        one_frame(&store, 9).await;
        assert_eq!(log(&store, id.0).range(), 0..12);
        drop(store);
        check_damaged(&image.open(), id, at);
    }
}

fn check_damaged(store: &Store, id: LogId, at: usize) {
    let hurt = log(store, id.0);
    let error = hurt.read(4, 1 << 20, Offset::MAX).unwrap_err();
    assert!(matches!(error, ReadError::Damaged { from: 4, to: 5 }), "byte {at}: {error}");
    let before = hurt.read(0, 1 << 20, Offset::MAX).unwrap();
    let last = before.batches().map(Result::unwrap).last().unwrap();
    assert_eq!(last.header().next_offset(), 4, "reads stop before the damage");
    assert!(values(&hurt, 5)[0].1.contains("round 1 2"), "what follows is whole");
    let other = log(store, 3 - id.0);
    assert_eq!(values(&other, 0).len() as i64, other.range().end);
}

#[tokio::test]
async fn a_damaged_header_or_index_of_a_committed_frame_refuses_to_open() {
    let image = three_frames().await;
    let middle = frames(&image)[1].clone();
    for at in (0..64).chain([70, 64 + 48 * middle.runs - 1]) {
        let image = image.crash_image();
        let path = image.dir.path().join("wal").join(middle.path.file_name().unwrap());
        edit(&path, |bytes| bytes[middle.position + at] ^= 4);
        // The data's checksum is checked together with the data: then it is the data that seems
        // damaged, unless all batches prove it wrong.
        match image.try_open().map(|store| store.recovered().damaged.len()) {
            Ok(damaged) => assert!((4..12).contains(&at) && damaged == 0, "byte {at}"),
            Err(OpenError::Damaged { path: found, position, detail }) => {
                assert_eq!((found, position), (path, middle.position as u64), "byte {at}");
                assert!(detail.contains("frame 1 is missing"), "{detail}");
            }
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
}

#[tokio::test]
async fn damage_in_frames_that_are_in_segments_already_loses_nothing() {
    let fixture = Fixture::new();
    let store = fixture.open();
    for round in 0..3 {
        one_frame(&store, round).await;
    }
    // In the same file, so not by a restart.
    flush(&store, &log(&store, 1));
    for round in 3..6 {
        one_frame(&store, round).await;
    }
    for hurt in 0..3 {
        let image = fixture.crash_image();
        let frame = frames(&image)[hurt].clone();
        edit(&frame.path, |bytes| bytes[frame.position + 20] ^= 1);
        let store = image.open();
        // Not all six (the flusher may have looked once more than it had to).
        assert!(store.recovered().frames <= 3);
        assert_eq!(log(&store, 1).range(), 0..18);
        assert_eq!(texts(&log(&store, 1)).len(), 18);
    }
}

#[tokio::test]
async fn frames_that_only_the_operating_system_had_may_be_lost_and_their_places_used_again() {
    let mut fixture = Fixture::new();
    fixture.options.wal_file_bytes = 64 * 1024;
    let store = fixture.open();
    let os = log_with(&store, 1, Durability::Os);
    let text = "x".repeat(9000);
    for _ in 0..15 {
        append(&store, &os, batch(NOW, &[&text])).await.unwrap();
    }
    let image = fixture.crash_image();
    assert!(image.wal_files().len() > 2);
    // A power cut loses the third frame; later ones, in later files, got to the disk by themselves.
    let lost = frames(&image)[2].clone();
    edit(&lost.path, |bytes| bytes[lost.position..lost.position + 512].fill(0));
    let store = image.open();
    let os = log_with(&store, 1, Durability::Os);
    assert_eq!(os.range(), 0..2);
    // New frames get the numbers of the lost ones. The old ones must never come back, however far
    // the new ones got when it stops again.
    for more in 1..14 {
        append(&store, &os, batch(NOW, &[&format!("new {more}")])).await.unwrap();
        let again = image.crash_image();
        let store = again.open();
        let os = log_with(&store, 1, Durability::Os);
        assert_eq!(os.range(), 0..2 + more);
        assert_eq!(texts(&os).last().unwrap(), &format!("new {more}"));
    }
}

#[tokio::test]
async fn thousands_of_half_lost_frames_do_not_exhaust_the_stack() {
    let mut fixture = Fixture::new();
    fixture.options.wal_file_bytes = 32 << 20;
    let store = fixture.open();
    let os = log_with(&store, 1, Durability::Os);
    let text = "x".repeat(6000);
    for _ in 0..3000 {
        append(&store, &os, batch(NOW, &[&text])).await.unwrap();
    }
    let image = fixture.crash_image();
    let found = frames(&image);
    edit(&found[0].path, |bytes| {
        for frame in &found {
            bytes[frame.position + BLOCK..][..BLOCK].fill(0);
        }
    });
    let store = image.open();
    assert_eq!(store.recovered().frames, 0);
    assert!(store.recovered().torn.is_some());
}

#[tokio::test]
async fn a_record_that_looks_like_a_frame_is_not_taken_for_one() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let target = log(&store, 1);
    // A copy of a real frame of another store, once in every block of a large record.
    let (other, forged) = {
        let other = Fixture::new();
        let store = other.open();
        for _ in 0..3 {
            append(&store, &log(&store, 1), batch(NOW, &["forged"])).await.unwrap();
        }
        // It says of the frames before it that they were synced.
        let frame = frames(&other)[2].clone();
        let bytes = fs::read(&frame.path).unwrap();
        (other, bytes[frame.position..frame.position + frame.length].to_vec())
    };
    drop(other);
    let mut value = vec![b'x'; 16 * BLOCK];
    // Behind the headers of frame, run, batch and record it starts at a block.
    let value_at = 64 + 48 + 61 + 10;
    for block in 1..15 {
        let at = block * BLOCK - value_at;
        value[at..at + forged.len()].copy_from_slice(&forged);
    }
    let mut builder = store::batch::BatchBuilder::new(store::batch::Compression::None);
    builder.push(&store::batch::NewRecord { value: Some(&value), ..Default::default() });
    append(&store, &target, builder.build().unwrap()).await.unwrap();
    let image = fixture.crash_image();
    assert_eq!(frames(&image).len(), 15, "they are where frames would be");
    // The true one's first block is lost in a power cut.
    let frame = frames(&image)[0].clone();
    assert_eq!(frame.position, BLOCK);
    edit(&frame.path, |bytes| bytes[frame.position..frame.position + BLOCK].fill(0));
    let store = image.open();
    assert_eq!(store.recovered().frames, 0);
    assert_eq!(log(&store, 1).range(), 0..0);
}

#[tokio::test]
async fn a_damaged_or_missing_checkpoint_is_said_and_nothing_is_removed() {
    let fixture = Fixture::new();
    let store = fixture.open();
    one_frame(&store, 0).await;
    drop(store);
    let checkpoint = fixture.dir.path().join("checkpoint");
    let length = fs::read(&checkpoint).unwrap().len();
    for at in 0..length {
        let image = fixture.crash_image();
        edit(&image.dir.path().join("checkpoint"), |bytes| bytes[at] ^= 16);
        match image.try_open().unwrap_err() {
            OpenError::Damaged { path, .. } => assert!(path.ends_with("checkpoint")),
            other => panic!("byte {at}: {other}"),
        }
    }
    // While the log goes back to the first frame, the checkpoint is not needed.
    let image = fixture.crash_image();
    fs::remove_file(image.dir.path().join("checkpoint")).unwrap();
    assert_eq!(log(&image.open(), 1).range(), 0..3);
    // Later it is.
    let store = fixture.open();
    one_frame(&store, 1).await;
    drop(store);
    fs::remove_file(&checkpoint).unwrap();
    for path in fixture.wal_files() {
        if path.ends_with("00000000000000000000.wal") {
            fs::remove_file(path).unwrap();
        }
    }
    let error = fixture.try_open().unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("missing"), "{error}");
    for path in fixture.wal_files() {
        fs::remove_file(path).unwrap();
    }
    let error = fixture.try_open().unwrap_err();
    assert!(error.to_string().contains("only it says where to find"), "{error}");
    assert_eq!(files(&fixture.dir.path().join("segments")).len(), 2, "nothing was removed");
}

#[tokio::test]
async fn a_later_format_version_is_refused_by_name() {
    let image = three_frames().await;
    let reseal = |bytes: &mut [u8], version_at: usize, checked_to: usize| {
        bytes[version_at + 1] = 9;
        let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes[8..checked_to]);
        bytes[4..8].copy_from_slice(&u32::try_from(crc).unwrap().to_be_bytes());
    };
    let version_of = |image: &Fixture| match image.try_open().unwrap_err() {
        OpenError::Version { path, found: 9 } => path.file_name().unwrap().to_owned(),
        other => panic!("{other}"),
    };
    let file = image.crash_image();
    edit(&file.wal_files()[0], |bytes| reseal(&mut bytes[..BLOCK], 8, BLOCK));
    assert_eq!(version_of(&file), *file.wal_files()[0].file_name().unwrap());

    let frame = image.crash_image();
    let last = frames(&frame)[2].clone();
    edit(&last.path, |bytes| reseal(&mut bytes[last.position..], 12, 64 + 48 * last.runs));
    assert_eq!(version_of(&frame), *last.path.file_name().unwrap());

    let checkpoint = image.crash_image();
    drop(checkpoint.open());
    let path = checkpoint.dir.path().join("checkpoint");
    edit(&path, |bytes| {
        let length = bytes.len();
        reseal(bytes, 8, length);
    });
    assert_eq!(version_of(&checkpoint), "checkpoint");
}

#[tokio::test]
async fn a_log_file_with_a_damaged_header_is_not_thrown_away() {
    let image = three_frames().await;
    let file = image.wal_files()[0].clone();
    for change in [|bytes: &mut [u8]| bytes[20] ^= 1, |bytes: &mut [u8]| bytes[..BLOCK].fill(0)] {
        let image = image.crash_image();
        let path = image.dir.path().join("wal").join(file.file_name().unwrap());
        edit(&path, |bytes| change(bytes));
        let error = image.try_open().unwrap_err();
        assert!(matches!(error, OpenError::Damaged { position: 0, .. }), "{error}");
        assert!(path.exists());
    }
    // One that was cut short in the making is.
    let unfinished = image.dir.path().join("wal/00000000000000000003.wal");
    fs::write(&unfinished, vec![0; 64 * 1024]).unwrap();
    drop(image.open());
    assert!(!unfinished.exists());
    // So is one of which a sector of the header is all that is there.
    let header = fs::read(&file).unwrap()[..512].to_vec();
    fs::write(&unfinished, header).unwrap();
    drop(image.open());
    assert!(!unfinished.exists());
}

#[tokio::test]
async fn a_lost_index_or_segment_is_neither_a_wrong_answer_nor_an_endless_search() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let target = log(&store, 1);
    let text = "x".repeat(1000);
    for round in 0..100 {
        append(&store, &target, batch(NOW + round, &[&text])).await.unwrap();
    }
    drop((store, target));
    let folder = fixture.dir.path().join("segments").join(LogId(1).to_string());
    let index = folder.join("00000000000000000000.index");
    let good = fs::read(&index).unwrap();
    assert!(good.len() >= 5 * 24, "some entries");
    for at in 0..=good.len() {
        if at == good.len() {
            fs::remove_file(&index).unwrap();
        } else {
            let mut bad = good.clone();
            bad[at] ^= 0x55;
            fs::write(&index, bad).unwrap();
        }
        let store = fixture.open();
        let target = log(&store, 1);
        for offset in [0, 17, 50, 99] {
            let read = target.read(offset, 1, Offset::MAX).unwrap();
            let found = read.batches().next().unwrap().unwrap();
            assert_eq!(found.header().base_offset, offset, "index byte {at}");
            let time = NOW + offset;
            assert_eq!(target.find_time(time).unwrap(), Some((offset, time)), "index byte {at}");
        }
    }
    fs::remove_file(folder.join("00000000000000000000.log")).unwrap();
    let store = fixture.open();
    let target = log(&store, 1);
    assert!(matches!(target.read(5, 1, Offset::MAX), Err(ReadError::Io(_))));
    assert!(matches!(target.find_time(NOW), Err(ReadError::Io(_))));
    // What comes now is kept, in a segment of its own.
    append(&store, &target, batch(NOW, &["after"])).await.unwrap();
    drop((store, target));
    let store = fixture.open();
    assert_eq!(values(&log(&store, 1), 100), [(100, "after".to_owned())]);
}

#[test]
fn a_folder_belongs_to_one_store_at_a_time() {
    let fixture = Fixture::new();
    let store = fixture.open();
    assert!(matches!(fixture.try_open().unwrap_err(), OpenError::InUse { .. }));
    drop(store);
    drop(fixture.open());
}

#[tokio::test]
async fn retention_spares_logs_that_the_broker_has_not_opened_yet() {
    let mut fixture = Fixture::new();
    let store = fixture.open();
    one_frame(&store, 0).await;
    drop(store);
    fixture.clock.advance(365 * 24 * 3600 * 1000);
    fixture.options.retention_interval = std::time::Duration::from_millis(5);
    let store = fixture.open();
    let opened = Arc::clone(&log(&store, 2));
    eventually("the opened log is empty", || opened.range() == (3..3));
    drop((store, opened));
    let store = fixture.open();
    let keep = LogOptions { retention_ms: None, ..LogOptions::default() };
    assert_eq!(store.open_log(LogId(1), keep).range(), 0..3);
}
