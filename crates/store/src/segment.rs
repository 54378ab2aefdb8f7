//! Segments: a partition's older records, batch after batch, as clients read them.
//!
//! `segments/<log>/<base offset>.log` holds batches verbatim; one that was compacted has the number
//! of its generation behind the offset, `<base offset>-<generation>.log`. An `.index` beside it holds
//! one entry of 24 bytes for every [`INDEX_INTERVAL`] bytes: a batch's offset i64, the largest
//! timestamp before it i64, its position u32, and a checksum u32 of these with the base offset. A file may be longer than the checkpoint
//! says: what lies beyond was not finished, and is written again.

mod writer;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use base::disk::{Disk, File, Open};
use base::{LogId, Millis, Offset};
use bytes::{Buf, BufMut, Bytes};
use parking_lot::Mutex;

use self::writer::Unfinished;
pub(crate) use self::writer::{SegmentWriter, WrittenSegment};

use crate::batch::{BatchHeader, HEADER_BYTES};
use crate::figures::Reads;
use crate::frame::crc;

/// Bytes between two index entries.
pub(crate) const INDEX_INTERVAL: u64 = 16 * 1024;
pub(crate) const INDEX_ENTRY: u64 = 24;
/// Segment files kept open between uses.
const OPEN_FILES_MAX: usize = 512;
/// Bytes read at once when all of a segment is read.
const READ_BYTES: u64 = 1024 * 1024;
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
    /// How often what it holds was compacted; part of its name. Nothing is added to one that was.
    pub(crate) generation: u32,
}

impl Segment {
    pub(crate) fn new(base: Offset, created_at: Millis) -> Self {
        Self {
            generation: 0,
            base,
            next: base,
            bytes: 0,
            index_bytes: 0,
            since_index: 0,
            max_timestamp: Millis::MIN,
            created_at,
        }
    }

    /// The files of the same name.
    pub(crate) fn is(&self, other: &Self) -> bool {
        (self.base, self.generation) == (other.base, other.generation)
    }

    /// Where its first batch is.
    pub(crate) fn start(&self) -> Place {
        Place { position: 0, offset: self.base, exact: self.generation == 0 }
    }

    /// The place behind a batch that was found at `place`.
    ///
    /// # Errors
    /// What is there cannot be what was written: a header's first 16 bytes are not part of the batch's
    /// checksum, so that a wrong bit in them must be seen here.
    pub(crate) fn after(&self, place: Place, header: &BatchHeader) -> io::Result<Place> {
        let Place { position, offset, exact } = place;
        let fits = header.base_offset == offset || (header.base_offset > offset && !exact);
        let position = position + header.size as u64;
        if !fits || header.next_offset() > self.next || position > self.bytes {
            return Err(damaged(&format!("no batch of these offsets at {}", place.position)));
        }
        Ok(Place { position, offset: header.next_offset(), exact: false })
    }

    /// When the newest of it was written, as far as its times tell.
    pub(crate) fn newest(&self) -> Option<Millis> {
        Some(self.max_timestamp).filter(|newest| *newest >= 0)
    }
}

/// A place in a segment where a batch begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) position: u64,
    /// The batch's first offset is this, or a later one.
    pub(crate) offset: Offset,
    /// It is exactly this.
    exact: bool,
}

/// A batch found in a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) position: u64,
    pub(crate) header: BatchHeader,
    /// What comes after it.
    pub(crate) next: Place,
}

#[derive(Debug, Clone, Copy)]
struct IndexEntry {
    offset: Offset,
    /// Largest timestamp before it.
    max_timestamp: Millis,
    position: u32,
}

impl IndexEntry {
    fn encode(&self, base: Offset, to: &mut Vec<u8>) {
        let start = to.len();
        to.put_i64(self.offset);
        to.put_i64(self.max_timestamp);
        to.put_u32(self.position);
        to.put_u32(Self::checksum(base, to.get(start..).unwrap_or_default()));
    }

    fn decode(base: Offset, mut bytes: &[u8]) -> Option<Self> {
        let checked = Self::checksum(base, bytes.get(..20)?);
        let offset = bytes.try_get_i64().ok()?;
        let max_timestamp = bytes.try_get_i64().ok()?;
        let position = bytes.try_get_u32().ok()?;
        (bytes.try_get_u32().ok()? == checked).then_some(Self { offset, max_timestamp, position })
    }

    /// With the base, so that an entry of another segment is not taken for one of this.
    fn checksum(base: Offset, entry: &[u8]) -> u32 {
        let mut checked = [0; 28];
        if let Some(mut to) = checked.get_mut(..8) {
            to.put_i64(base);
        }
        if let Some(to) = checked.get_mut(8..) {
            to.copy_from_slice(entry);
        }
        crc(&checked)
    }
}

/// Opens segment files and keeps the most recently used ones open.
#[derive(Debug)]
pub(crate) struct SegmentFiles {
    pub(crate) disk: Disk,
    dir: PathBuf,
    open: Mutex<OpenFiles>,
    /// Those that logs are written to.
    unfinished: Mutex<Unfinished>,
    /// What consumers read.
    pub(crate) reads: Reads,
}

type FileKey = (LogId, Offset, u32);

#[derive(Debug, Default)]
struct OpenFiles {
    files: HashMap<FileKey, Arc<File>>,
    /// Oldest first; a file used again is not moved, only opened again later. Good enough for a
    /// cache of descriptors.
    order: VecDeque<FileKey>,
    /// Counts removals: a file opened before one may be a removed one, and is not kept.
    removals: u64,
}

impl SegmentFiles {
    pub(crate) fn new(disk: Disk, dir: PathBuf) -> Self {
        let (unfinished, reads) = (Mutex::new(Unfinished::new(&disk)), Reads::default());
        Self { disk, dir, open: Mutex::default(), unfinished, reads }
    }

    pub(crate) fn log_dir(&self, log: LogId) -> PathBuf {
        self.dir.join(log.to_string())
    }

    fn path(&self, log: LogId, segment: &Segment, suffix: &str) -> PathBuf {
        let name = match (segment.base, segment.generation) {
            (base, 0) => format!("{base:020}.{suffix}"),
            (base, generation) => format!("{base:020}-{generation}.{suffix}"),
        };
        self.log_dir(log).join(name)
    }

    fn data_path(&self, log: LogId, segment: &Segment) -> PathBuf {
        self.path(log, segment, "log")
    }

    fn index_path(&self, log: LogId, segment: &Segment) -> PathBuf {
        self.path(log, segment, "index")
    }

    /// The data file, for reading.
    fn data(&self, log: LogId, segment: &Segment) -> io::Result<Arc<File>> {
        let key = (log, segment.base, segment.generation);
        let removals = {
            let open = self.open.lock();
            if let Some(file) = open.files.get(&key) {
                return Ok(Arc::clone(file));
            }
            open.removals
        };
        let file = Arc::new(self.disk.open(&self.data_path(log, segment), Open::Read)?);
        let mut open = self.open.lock();
        if open.removals != removals {
            return Ok(file);
        }
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

    /// Removes a segment's files. Readers that have them open go on reading.
    pub(crate) fn remove(&self, log: LogId, segment: &Segment) {
        self.unfinished.lock().close_segment(log, segment);
        self.forget(|key| *key == (log, segment.base, segment.generation));
        for path in [self.data_path(log, segment), self.index_path(log, segment)] {
            match self.disk.remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), %error, "cannot remove a segment");
                }
                _ => {}
            }
        }
    }

    /// Removes everything of a log.
    pub(crate) fn remove_log(&self, log: LogId) {
        self.unfinished.lock().close(log);
        self.forget(|key| key.0 == log);
        match self.disk.remove_dir_all(&self.log_dir(log)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%log, %error, "cannot remove a deleted log's folder");
            }
            _ => {}
        }
    }

    /// Removes folders of logs that are not `known`, and files that are none of a log's segments.
    /// Says where one of those is missing or shorter than it was.
    pub(crate) fn sweep(&self, known: impl Fn(LogId) -> Option<Vec<Segment>>) -> io::Result<()> {
        for folder in self.disk.read_dir(&self.dir)? {
            let name = folder.file_name().and_then(|name| name.to_str());
            let name = name.filter(|name| name.len() == 16);
            let id = name.and_then(|name| u64::from_str_radix(name, 16).ok()).map(LogId);
            let Some(id) = id else { continue };
            let Some(segments) = known(id) else {
                self.remove_log(id);
                continue;
            };
            for file in self.disk.read_dir(&folder)? {
                let named = file.file_stem().and_then(|stem| parse_name(stem.to_str()?));
                let is = |(base, generation)| {
                    segments.iter().any(|s| (s.base, s.generation) == (base, generation))
                };
                if named.is_some_and(|named| !is(named)) {
                    self.disk.remove_file(&file)?;
                }
            }
            for segment in segments {
                let path = self.data_path(id, &segment);
                let length = self.disk.length(&path).unwrap_or(0);
                if length < segment.bytes {
                    let (path, expected) = (path.display(), segment.bytes);
                    tracing::error!(%path, length, expected, "a segment lost records");
                }
            }
        }
        Ok(())
    }

    fn forget(&self, which: impl Fn(&FileKey) -> bool) {
        let mut open = self.open.lock();
        open.removals += 1;
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
        let from = self.index_floor(log, segment, |entry| entry.offset <= offset)?;
        self.scan(log, segment, from, |header| header.next_offset() > offset)
    }

    /// A position before which `segment` has no record with a timestamp of `time` or later.
    pub(crate) fn before_time(
        &self,
        log: LogId,
        segment: &Segment,
        time: Millis,
    ) -> io::Result<Place> {
        self.index_floor(log, segment, |entry| entry.max_timestamp < time)
    }

    /// Walks batch headers from `from` to the first that matches.
    pub(crate) fn scan(
        &self,
        log: LogId,
        segment: &Segment,
        from: Place,
        mut matches: impl FnMut(&BatchHeader) -> bool,
    ) -> io::Result<Option<Found>> {
        let file = self.data(log, segment)?;
        let mut place = from;
        let mut chunk = Bytes::new();
        while place.position < segment.bytes {
            let position = place.position;
            if chunk.len() < HEADER_BYTES {
                let length = SCAN_BYTES.min(segment.bytes - position);
                chunk = read_exact(&file, position, length)?;
            }
            let header = BatchHeader::decode(&chunk)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            place = segment.after(place, &header)?;
            if matches(&header) {
                return Ok(Some(Found { position, header, next: place }));
            }
            chunk.advance(header.size.min(chunk.len()));
        }
        Ok(None)
    }

    /// Position of the last index entry that satisfies `before` (entries that do stand first), or
    /// 0. An index is a hint: a damaged or missing one costs a longer search, never a wrong answer.
    fn index_floor(
        &self,
        log: LogId,
        segment: &Segment,
        before: impl Fn(&IndexEntry) -> bool,
    ) -> io::Result<Place> {
        match self.search_index(log, segment, before) {
            Ok(floor) => Ok(floor),
            Err(error) => {
                // A segment that is gone altogether is not a damaged index.
                self.data(log, segment)?;
                tracing::warn!(%log, base = segment.base, %error, "damaged index; searching without");
                Ok(segment.start())
            }
        }
    }

    fn search_index(
        &self,
        log: LogId,
        segment: &Segment,
        before: impl Fn(&IndexEntry) -> bool,
    ) -> io::Result<Place> {
        let entries = segment.index_bytes / INDEX_ENTRY;
        if entries == 0 {
            return Ok(segment.start());
        }
        let file = self.disk.open(&self.index_path(log, segment), Open::Read)?;
        let (mut low, mut high, mut floor) = (0, entries, segment.start());
        while low < high {
            let middle = low + (high - low) / 2;
            let entry = read_exact(&file, middle * INDEX_ENTRY, INDEX_ENTRY)?;
            let entry = IndexEntry::decode(segment.base, &entry)
                .filter(|entry| u64::from(entry.position) < segment.bytes)
                .ok_or(io::ErrorKind::InvalidData)?;
            if before(&entry) {
                low = middle + 1;
                let position = u64::from(entry.position);
                floor = Place { position, offset: entry.offset, exact: true };
            } else {
                high = middle;
            }
        }
        Ok(floor)
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
        let file = self.data(log, segment)?;
        let available = segment.bytes - found.position;
        let length = (max_bytes.max(found.header.size) as u64).min(available);
        let bytes = read_exact(&file, found.position, length)?;
        if bytes.len() < found.header.size {
            return Err(damaged(&format!("no whole batch at {}", found.position)));
        }
        // The first was looked at when it was found.
        let (mut whole, mut header, mut place) = (0, found.header, found.next);
        while header.base_offset < until {
            whole += header.size;
            let rest = bytes.get(whole..).unwrap_or_default();
            header = match BatchHeader::decode(rest) {
                Ok(header) if header.size <= rest.len() => header,
                _ => break,
            };
            // Whoever reads on from there is told.
            let Ok(after) = segment.after(place, &header) else { break };
            place = after;
        }
        Ok(bytes.slice(..whole))
    }
}

/// Base offset and generation, if a file's name without its suffix says them.
fn parse_name(stem: &str) -> Option<(Offset, u32)> {
    match stem.split_once('-') {
        None => Some((stem.parse().ok()?, 0)),
        Some((base, generation)) => Some((base.parse().ok()?, generation.parse().ok()?)),
    }
}

/// Reads a segment's batches one after the other.
#[derive(Debug)]
pub(crate) struct BatchReader {
    file: Arc<File>,
    segment: Segment,
    place: Place,
    end: u64,
    buffer: Bytes,
}

impl SegmentFiles {
    /// Reads `segment` from its start to position `end`.
    pub(crate) fn batches(
        &self,
        log: LogId,
        segment: &Segment,
        end: u64,
    ) -> io::Result<BatchReader> {
        let file = self.data(log, segment)?;
        let (segment, place) = (*segment, segment.start());
        Ok(BatchReader { file, segment, place, end, buffer: Bytes::new() })
    }
}

impl BatchReader {
    /// Where the next batch begins.
    pub(crate) fn position(&self) -> u64 {
        self.place.position
    }

    /// The next batch's header and bytes, unverified; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<(BatchHeader, Bytes)>> {
        if self.place.position >= self.end {
            return Ok(None);
        }
        self.fill(HEADER_BYTES)?;
        let header = BatchHeader::decode(&self.buffer)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.fill(header.size)?;
        self.place = self.segment.after(self.place, &header)?;
        Ok(Some((header, self.buffer.split_to(header.size))))
    }

    /// Makes sure that so many bytes are in the buffer.
    fn fill(&mut self, bytes: usize) -> io::Result<()> {
        if self.buffer.len() >= bytes {
            return Ok(());
        }
        let left = self.end.saturating_sub(self.place.position);
        if bytes as u64 > left {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let length = (bytes as u64).max(READ_BYTES).min(left);
        self.buffer = read_exact(&self.file, self.place.position, length)?;
        Ok(())
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn read_exact(file: &File, position: u64, length: u64) -> io::Result<Bytes> {
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, position)?;
    Ok(bytes.into())
}
