//! What fuzzing needs of the inside of this crate: a data folder made of the fuzzer's bytes with its
//! checksums set right, so that what lies behind them is reached, and everything that reads one.
//! Only there with the cargo feature `fuzzing`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Disk, LogId, Offset};
use bytes::{Buf, BufMut, Bytes};

use crate::batch::{Batch, BatchError};
use crate::checkpoint::Checkpoint;
use crate::error::OpenError;
use crate::frame::{ALIGN, Frame, crc};
use crate::log::Log;
use crate::recovery::recover;
use crate::segment::{Segment, SegmentFiles};

/// A section whose checksums are left as they are.
const AS_IT_IS: u8 = 0x80;
/// Bytes in front of a section: what it is, and its length.
const SECTION_BYTES: usize = 3;
/// Most bytes that are read of one log.
const READ_MAX: usize = 1 << 20;

/// Makes a data folder. `input` is sections: a byte that says what it is, a length of two bytes, and
/// the content:
///
/// - 0: a new file of the write-ahead log: first sequence u64, incarnation u64
/// - 1: a frame in the newest such file, from its checksums on
/// - 2, 3: data and index of a segment: log u8, base offset u8, and the bytes
/// - 4: the checkpoint, from its version on
///
/// # Errors
/// When files cannot be written.
pub fn make_folder(input: &[u8], dir: &Path) -> io::Result<()> {
    for part in ["wal", "segments"] {
        fs::create_dir_all(dir.join(part))?;
    }
    let mut wal: Option<File> = None;
    let mut rest = input;
    while let Some((kind, content)) = section(&mut rest) {
        let fix = kind & AS_IT_IS == 0;
        match kind & !AS_IT_IS {
            0 => wal = Some(wal_file(dir, content, fix)?),
            1 => {
                if let Some(file) = &mut wal {
                    file.write_all(&frame(content, fix))?;
                }
            }
            2 => segment_file(dir, "log", content)?,
            3 => segment_file(dir, "index", content)?,
            4 => fs::write(dir.join("checkpoint"), checkpoint(content, fix))?,
            _ => {}
        }
    }
    Ok(())
}

/// The folder as sections, from which [`make_folder`] makes the same again: for first inputs.
///
/// # Errors
/// When files cannot be read.
pub fn take_apart(dir: &Path) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut wal: Vec<PathBuf> = list(&dir.join("wal"))?;
    wal.sort();
    for path in wal {
        let file = Bytes::from(fs::read(path)?);
        put(&mut out, 0, file.get(12..28).unwrap_or_default());
        let mut at = ALIGN;
        while let Some(rest) = file.get(at..)
            && let Some(length) = rest.get(48..52).map(|mut field| field.get_u32() as usize)
            && let Some(content) = rest.get(12..length)
        {
            put(&mut out, 1, content);
            at += length.next_multiple_of(ALIGN);
        }
    }
    for folder in list(&dir.join("segments"))? {
        let log = named(&folder, 16);
        for file in list(&folder)? {
            let kind = if file.extension().is_some_and(|e| e == "log") { 2 } else { 3 };
            let mut content = vec![log, named(&file, 10)];
            content.extend(fs::read(&file)?);
            put(&mut out, kind, &content);
        }
    }
    if let Ok(checkpoint) = fs::read(dir.join("checkpoint")) {
        put(&mut out, 4, checkpoint.get(8..).unwrap_or_default());
    }
    Ok(out)
}

/// Recovers a folder as a start does, and reads all that it holds in every way there is.
///
/// # Errors
/// What a start would say.
pub fn open_folder(dir: &Path) -> Result<(), OpenError> {
    let files = Arc::new(SegmentFiles::new(Disk::System, dir.join("segments")));
    let recovery = recover(&Disk::System, dir, &files)?;
    let segments = |id: LogId| recovery.logs.get(&id).map(|log| segments(log));
    // Removes what is no segment's; what it cannot remove it says.
    let _ = files.sweep(segments);
    for (id, log) in &recovery.logs {
        read(log);
        for segment in segments(*id).unwrap_or_default() {
            scan(&files, *id, &segment);
        }
    }
    Ok(())
}

/// Reads a whole log, what is in memory and what is in segments, and looks times up.
fn read(log: &Arc<Log>) {
    let range = log.range();
    let (mut at, mut left) = (range.start, READ_MAX);
    while at < range.end && left > 0 {
        let Ok(read) = log.read(at, left, Offset::MAX) else { break };
        left = left.saturating_sub(read.len());
        for batch in read.batches() {
            let _ = batch.map(|batch| batch.records().map(Iterator::count));
        }
        match read.next_offset() {
            Some(next) if next > at => at = next,
            _ => break,
        }
    }
    let _ = log.read_memory(range.start, READ_MAX, Offset::MAX);
    let _ = log.find_time(0);
    let _ = log.find_time(i64::MAX);
    let _ = log.find_latest_time();
    let _ = (log.status(), log.producers(), log.stable_end());
}

/// Reads a segment as compaction does, and searches it.
fn scan(files: &SegmentFiles, log: LogId, segment: &Segment) {
    if let Ok(mut batches) = files.batches(log, segment, segment.bytes) {
        while let Ok(Some((_, bytes))) = batches.next() {
            let _ = Batch::parse(bytes);
        }
    }
    for offset in [segment.base, segment.next.saturating_sub(1), segment.next] {
        if let Ok(Some(found)) = files.find_offset(log, segment, offset) {
            let _ = files.read(log, segment, found, READ_MAX, segment.next);
        }
    }
    let _ = files.before_time(log, segment, 0);
}

fn segments(log: &Log) -> Vec<Segment> {
    log.with_state(|state| state.segments.clone())
}

/// A batch with every other of its records, with new times and without any, as compaction makes it.
///
/// # Errors
/// When it cannot be read.
pub fn rewrite(batch: &Batch) -> Result<(), BatchError> {
    let mut records = batch.records()?;
    let mut kept = Vec::new();
    while let Some(record) = records.next_with_bytes() {
        kept.push(record?.1);
    }
    let some: Vec<_> = kept.into_iter().step_by(2).collect();
    for horizon in [None, Some(1_000)] {
        let rewritten = batch.with_records(&some, 0, horizon)?;
        let read = rewritten.records()?.filter(Result::is_ok).count();
        assert_eq!(read, some.len(), "records that stay can be read");
    }
    batch.without_records()?;
    let _ = batch.with_horizon(1_000);
    let _ = crate::batch::marker(batch.bytes());
    Ok(())
}

/// One frame and one checkpoint of exactly these bytes.
pub fn decode(input: &Bytes) {
    let _ = Frame::decode(&Bytes::from(frame(input, true)));
    let _ = Frame::decode(input);
    let _ = Checkpoint::parse(Path::new("checkpoint"), &Bytes::from(checkpoint(input, true)));
    let _ = Checkpoint::parse(Path::new("checkpoint"), input);
}

fn section<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let mut front = rest.get(..SECTION_BYTES)?;
    let (kind, length) = (front.get_u8(), usize::from(front.get_u16()));
    let body = rest.get(SECTION_BYTES..)?;
    let (content, after) = body.split_at(length.min(body.len()));
    *rest = after;
    Some((kind, content))
}

fn put(out: &mut Vec<u8>, kind: u8, content: &[u8]) {
    // What is longer is cut: a first input need not be whole.
    let length = u16::try_from(content.len()).unwrap_or(u16::MAX);
    out.put_u8(kind);
    out.put_u16(length);
    out.extend(content.iter().take(usize::from(length)));
}

/// What is in a folder; nothing, if there is none.
fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| entry.map(|entry| entry.path())).collect(),
    }
}

fn named(path: &Path, radix: u32) -> u8 {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    u8::from_str_radix(stem.trim_start_matches('0'), radix).unwrap_or(0)
}

fn wal_file(dir: &Path, content: &[u8], fix: bool) -> io::Result<File> {
    let mut block = b"ENWL\0\0\0\0\0\x01\0\0".to_vec();
    block.extend(content.iter().take(16));
    block.resize(ALIGN, 0);
    if fix {
        stamp(&mut block, 4, 8);
    }
    let first = block.get(12..20).map_or(0, |mut first| first.get_u64());
    let path = dir.join("wal").join(format!("{first:020}.wal"));
    let mut file = File::create(path)?;
    file.write_all(&block)?;
    Ok(file)
}

/// A frame, padded, whose length says how long it is and whose checksums are right.
fn frame(content: &[u8], fix: bool) -> Vec<u8> {
    let mut frame = b"ENFR\0\0\0\0\0\0\0\0".to_vec();
    frame.extend_from_slice(content);
    frame.resize(frame.len().max(64), 0);
    let length = frame.len();
    if fix {
        put_u32(&mut frame, 48, u32::try_from(length).unwrap_or(u32::MAX));
        let runs = frame.get(52..56).map_or(0, |mut runs| runs.get_u32() as usize);
        let index_end = runs.saturating_mul(48).saturating_add(64).min(length);
        let data = crc(frame.get(index_end..).unwrap_or_default());
        put_u32(&mut frame, 8, data);
        let header = crc(frame.get(8..index_end).unwrap_or_default());
        put_u32(&mut frame, 4, header);
    }
    frame.resize(length.next_multiple_of(ALIGN), 0);
    frame
}

fn segment_file(dir: &Path, suffix: &str, content: &[u8]) -> io::Result<()> {
    let Some((&[log, base], bytes)) = content.split_first_chunk::<2>() else { return Ok(()) };
    let folder = dir.join("segments").join(LogId(u64::from(log)).to_string());
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{base:020}.{suffix}"));
    OpenOptions::new().create(true).append(true).open(path)?.write_all(bytes)
}

fn checkpoint(content: &[u8], fix: bool) -> Vec<u8> {
    let mut checkpoint = b"ENCP\0\0\0\0".to_vec();
    checkpoint.extend_from_slice(content);
    if fix {
        stamp(&mut checkpoint, 4, 8);
    }
    checkpoint
}

/// Writes the checksum of everything from `from` on.
fn stamp(bytes: &mut [u8], at: usize, from: usize) {
    let checksum = crc(bytes.get(from..).unwrap_or_default());
    put_u32(bytes, at, checksum);
}

fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    if let Some(mut field) = bytes.get_mut(at..at + 4) {
        field.put_u32(value);
    }
}

/// Gives a record batch's front the format's number, the length that it has and the checksum of
/// what follows.
pub fn seal_batch(bytes: &mut [u8]) {
    let Ok(length) = i32::try_from(bytes.len().saturating_sub(12)) else { return };
    if let Some(mut field) = bytes.get_mut(8..12) {
        field.put_i32(length);
    }
    if let Some(magic) = bytes.get_mut(16) {
        *magic = 2;
    }
    stamp(bytes, 17, 21);
}

/// The checksum of a message of the old formats, over what follows it.
pub fn message_checksum(body: &[u8]) -> u32 {
    crate::batch::old::checksum(body)
}
