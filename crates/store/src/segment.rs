//! Segments: a partition's older records, batch after batch, as clients read them.
//!
//! `segments/<log>/<base offset>.log` holds batches verbatim; `<base offset>.index` beside it holds
//! one entry of 16 bytes for every [`INDEX_INTERVAL`] bytes: offset counted from the base u32,
//! position u32, and the largest timestamp before it i64. A file may be longer than the checkpoint
//! says: what lies beyond was not finished, and is written again.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{LogId, Millis, Offset};
use bytes::{Buf, BufMut, Bytes};
use parking_lot::Mutex;

use crate::batch::{BatchHeader, HEADER_BYTES};

/// Bytes between two index entries.
pub(crate) const INDEX_INTERVAL: u64 = 16 * 1024;
pub(crate) const INDEX_ENTRY: u64 = 16;
/// Segment files kept open between uses.
const OPEN_FILES_MAX: usize = 512;
/// Bytes read at once when looking for a batch.
const SCAN_BYTES: u64 = 64 * 1024;

/// What is known of a segment without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Offset of its first record; its name.
    pub(crate) base: Offset,
    /// Offset after its last record.
    pub(crate) next: Offset,
    /// Valid bytes of the data file.
    pub(crate) bytes: u64,
    /// Valid bytes of the index file.
    pub(crate) index_bytes: u64,
    /// Bytes since the last index entry was written.
    pub(crate) since_index: u64,
    /// Largest timestamp in it.
    pub(crate) max_timestamp: Millis,
    /// When it was begun.
    pub(crate) created_at: Millis,
}

impl Segment {
    pub(crate) fn new(base: Offset, created_at: Millis) -> Self {
        Self {
            base,
            next: base,
            bytes: 0,
            index_bytes: 0,
            since_index: 0,
            max_timestamp: Millis::MIN,
            created_at,
        }
    }
}

/// A batch found in a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) position: u64,
    pub(crate) header: BatchHeader,
}

#[derive(Debug, Clone, Copy)]
struct IndexEntry {
    offset_delta: u32,
    position: u32,
    max_timestamp: Millis,
}

/// Opens segment files and keeps the most recently used ones open.
#[derive(Debug)]
pub(crate) struct SegmentFiles {
    dir: PathBuf,
    open: Mutex<OpenFiles>,
}

type FileKey = (LogId, Offset);

#[derive(Debug, Default)]
struct OpenFiles {
    files: HashMap<FileKey, Arc<File>>,
    /// Oldest first; a file used again is not moved, only opened again later. Good enough for a
    /// cache of descriptors.
    order: VecDeque<FileKey>,
}

impl SegmentFiles {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir, open: Mutex::default() }
    }

    pub(crate) fn log_dir(&self, log: LogId) -> PathBuf {
        self.dir.join(log.to_string())
    }

    fn path(&self, log: LogId, base: Offset, suffix: &str) -> PathBuf {
        self.log_dir(log).join(format!("{base:020}.{suffix}"))
    }

    pub(crate) fn data_path(&self, log: LogId, base: Offset) -> PathBuf {
        self.path(log, base, "log")
    }

    fn index_path(&self, log: LogId, base: Offset) -> PathBuf {
        self.path(log, base, "index")
    }

    /// The data file, for reading.
    fn data(&self, log: LogId, base: Offset) -> io::Result<Arc<File>> {
        let key = (log, base);
        if let Some(file) = self.open.lock().files.get(&key) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(File::open(self.data_path(log, base))?);
        let mut open = self.open.lock();
        if open.files.len() >= OPEN_FILES_MAX
            && let Some(oldest) = open.order.pop_front()
        {
            open.files.remove(&oldest);
        }
        if open.files.insert(key, Arc::clone(&file)).is_none() {
            open.order.push_back(key);
        }
        Ok(file)
    }

    /// Both files, for writing after `segment`'s valid bytes. Made if missing; longer ones are cut.
    pub(crate) fn writer(&self, log: LogId, segment: Segment) -> io::Result<SegmentWriter> {
        if segment.bytes == 0 {
            fs::create_dir_all(self.log_dir(log))?;
        }
        let options = || {
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false);
            options
        };
        let data = options().open(self.data_path(log, segment.base))?;
        if data.metadata()?.len() > segment.bytes {
            data.set_len(segment.bytes)?;
        }
        let index_path = self.index_path(log, segment.base);
        Ok(SegmentWriter { segment, data, index_path, entries: Vec::new(), buffer: Vec::new() })
    }

    /// Removes a segment's files. Readers that have them open go on reading.
    pub(crate) fn remove(&self, log: LogId, base: Offset) {
        self.forget(|key| *key == (log, base));
        for path in [self.data_path(log, base), self.index_path(log, base)] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), %error, "cannot remove a segment");
                }
                _ => {}
            }
        }
    }

    /// Removes everything of a log.
    pub(crate) fn remove_log(&self, log: LogId) {
        self.forget(|key| key.0 == log);
        match fs::remove_dir_all(self.log_dir(log)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%log, %error, "cannot remove a deleted log's folder");
            }
            _ => {}
        }
    }

    fn forget(&self, which: impl Fn(&FileKey) -> bool) {
        let mut open = self.open.lock();
        open.files.retain(|key, _| !which(key));
        open.order.retain(|key| !which(key));
    }

    /// The first batch of `segment` that ends after `offset`.
    pub(crate) fn find_offset(
        &self,
        log: LogId,
        segment: &Segment,
        offset: Offset,
    ) -> io::Result<Option<Found>> {
        let from = self.index_floor(log, segment, |entry| {
            segment.base + Offset::from(entry.offset_delta) <= offset
        })?;
        self.scan(log, segment, from, |header| header.next_offset() > offset)
    }

    /// The first batch of `segment` with a timestamp of `time` or later.
    pub(crate) fn find_time(
        &self,
        log: LogId,
        segment: &Segment,
        time: Millis,
    ) -> io::Result<Option<Found>> {
        let from = self.index_floor(log, segment, |entry| entry.max_timestamp < time)?;
        self.scan(log, segment, from, |header| header.max_timestamp >= time)
    }

    /// Walks batch headers from `position` to the first that matches.
    fn scan(
        &self,
        log: LogId,
        segment: &Segment,
        from: u64,
        matches: impl Fn(&BatchHeader) -> bool,
    ) -> io::Result<Option<Found>> {
        let file = self.data(log, segment.base)?;
        let mut position = from;
        let mut chunk = Bytes::new();
        while position < segment.bytes {
            if chunk.len() < HEADER_BYTES {
                let length = SCAN_BYTES.min(segment.bytes - position);
                chunk = read_exact(&file, position, length)?;
            }
            let header = BatchHeader::decode(&chunk)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if matches(&header) {
                return Ok(Some(Found { position, header }));
            }
            position += header.size as u64;
            chunk.advance(header.size.min(chunk.len()));
        }
        Ok(None)
    }

    /// Position of the last index entry that satisfies `before` (entries that do stand first), or 0.
    fn index_floor(
        &self,
        log: LogId,
        segment: &Segment,
        before: impl Fn(&IndexEntry) -> bool,
    ) -> io::Result<u64> {
        let entries = segment.index_bytes / INDEX_ENTRY;
        if entries == 0 {
            return Ok(0);
        }
        let file = File::open(self.index_path(log, segment.base))?;
        let read = |number: u64| -> io::Result<IndexEntry> {
            let mut entry = read_exact(&file, number * INDEX_ENTRY, INDEX_ENTRY)?;
            Ok(IndexEntry {
                offset_delta: entry.get_u32(),
                position: entry.get_u32(),
                max_timestamp: entry.get_i64(),
            })
        };
        let (mut low, mut high) = (0, entries);
        while low < high {
            let middle = low + (high - low) / 2;
            if before(&read(middle)?) { low = middle + 1 } else { high = middle }
        }
        if low == 0 {
            return Ok(0);
        }
        let entry = read(low - 1)?;
        self.trusted(log, segment, entry)
    }

    /// An index is a hint: it is believed only where the batch it names stands. A damaged one
    /// costs a longer search, never a wrong answer.
    fn trusted(&self, log: LogId, segment: &Segment, entry: IndexEntry) -> io::Result<u64> {
        let position = u64::from(entry.position);
        if position + HEADER_BYTES as u64 <= segment.bytes {
            let file = self.data(log, segment.base)?;
            let bytes = read_exact(&file, position, HEADER_BYTES as u64)?;
            let expected = segment.base + Offset::from(entry.offset_delta);
            if BatchHeader::decode(&bytes).is_ok_and(|header| header.base_offset == expected) {
                return Ok(position);
            }
        }
        tracing::warn!(%log, base = segment.base, "a segment's index is damaged; searching without");
        Ok(0)
    }

    /// Whole batches from `found` on, at most `max_bytes` of them but at least one, ending before
    /// offset `until`.
    pub(crate) fn read(
        &self,
        log: LogId,
        segment: &Segment,
        found: Found,
        max_bytes: usize,
        until: Offset,
    ) -> io::Result<Bytes> {
        let file = self.data(log, segment.base)?;
        let available = segment.bytes - found.position;
        let length = (max_bytes.max(found.header.size) as u64).min(available);
        let bytes = read_exact(&file, found.position, length)?;
        let mut whole = 0;
        while let Some(rest) = bytes.get(whole..)
            && let Ok(header) = BatchHeader::decode(rest)
            && header.size <= rest.len()
            && header.base_offset < until
        {
            whole += header.size;
        }
        Ok(bytes.slice(..whole))
    }
}

fn read_exact(file: &File, position: u64, length: u64) -> io::Result<Bytes> {
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, position)?;
    Ok(bytes.into())
}

/// Appends to one segment. Nothing counts until the caller has synced and recorded it.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    pub(crate) segment: Segment,
    pub(crate) data: File,
    index_path: PathBuf,
    entries: Vec<u8>,
    buffer: Vec<u8>,
}

impl SegmentWriter {
    /// Adds a batch behind the others; written by [`SegmentWriter::finish`].
    pub(crate) fn push(&mut self, header: &BatchHeader, bytes: &[u8]) {
        let segment = &mut self.segment;
        if segment.since_index >= INDEX_INTERVAL {
            let delta = u32::try_from(header.base_offset - segment.base).unwrap_or(u32::MAX);
            self.entries.put_u32(delta);
            self.entries.put_u32(u32::try_from(segment.bytes).unwrap_or(u32::MAX));
            self.entries.put_i64(segment.max_timestamp);
            segment.since_index = 0;
        }
        self.buffer.extend_from_slice(bytes);
        segment.bytes += bytes.len() as u64;
        segment.since_index += bytes.len() as u64;
        segment.next = header.next_offset();
        segment.max_timestamp = segment.max_timestamp.max(header.max_timestamp);
    }

    /// Writes what was pushed. Returns the files to sync.
    pub(crate) fn finish(mut self) -> io::Result<(Segment, Vec<File>)> {
        let at = self.segment.bytes - self.buffer.len() as u64;
        self.data.write_all_at(&self.buffer, at)?;
        let mut files = vec![self.data];
        if !self.entries.is_empty() {
            let index =
                File::options().write(true).create(true).truncate(false).open(&self.index_path)?;
            index.write_all_at(&self.entries, self.segment.index_bytes)?;
            self.segment.index_bytes += self.entries.len() as u64;
            files.push(index);
        }
        Ok((self.segment, files))
    }
}

/// Makes a folder's entries durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
