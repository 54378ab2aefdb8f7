//! Appending to segments. The files of those that more will be written to stay open.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use base::disk::{Disk, File, Open};
use base::{LogId, Offset};
use bytes::{Bytes, BytesMut};
use rustix::process::{Resource, getrlimit};

use super::{INDEX_ENTRY, INDEX_INTERVAL, IndexEntry, Segment, SegmentFiles};
use crate::batch::BatchHeader;

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 1024 * 1024;
/// Batches smaller than this are copied together; a larger one is a piece of the write by itself.
const PIECE_BYTES_MIN: usize = 4 * 1024;
/// Index entries wait until there are so many bytes of them, or the segment is complete: an index
/// is a hint, and looking further for want of the last few costs less than opening it for each.
const ENTRIES_BYTES_MIN: usize = 4 * INDEX_ENTRY as usize;

/// Which part of the files that the process may open these may be.
const OPEN_SHARE: u64 = 4;
/// More are not kept open, however many the process may open.
const OPEN_MAX: u64 = 16 * 1024;
/// In a simulation few, so that it has some that were closed.
const OPEN_SIMULATED: usize = 3;

/// The last segments of logs, between two writes.
#[derive(Debug)]
pub(super) struct Unfinished {
    places: HashMap<LogId, usize>,
    segments: Vec<(LogId, OpenSegment)>,
    max: usize,
    turn: usize,
}

#[derive(Debug)]
struct OpenSegment {
    base: Offset,
    /// Bytes of the data file, which may be more than count: then it is of no use.
    bytes: u64,
    data: Arc<File>,
    /// Index entries that are not written yet.
    entries: Vec<u8>,
}

impl Unfinished {
    pub(super) fn new(disk: &Disk) -> Self {
        let max = match disk {
            Disk::System => {
                let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
                usize::try_from((files / OPEN_SHARE).min(OPEN_MAX)).unwrap_or(0)
            }
            Disk::Simulated(_) => OPEN_SIMULATED,
        };
        Self { places: HashMap::new(), segments: Vec::new(), max, turn: 0 }
    }

    /// The file to go on with, if it is exactly as long as the segment.
    fn take(&mut self, log: LogId, segment: &Segment) -> Option<OpenSegment> {
        if segment.generation > 0 {
            return None; // the cleaner's
        }
        let open = self.forget(log)?;
        ((open.base, open.bytes) == (segment.base, segment.bytes)).then_some(open)
    }

    fn keep(&mut self, log: LogId, open: OpenSegment) {
        self.forget(log);
        if self.segments.len() >= self.max {
            // Not the one used longest ago: where logs are written in turn, that is the one needed
            // next, always. A step that has no divisor in common with most lengths.
            self.turn = self.turn.wrapping_add(7919);
            let Some(victim) = self.turn.checked_rem(self.segments.len()) else { return };
            if let Some((victim, _)) = self.segments.get(victim) {
                self.forget(*victim);
            }
        }
        self.places.insert(log, self.segments.len());
        self.segments.push((log, open));
    }

    /// Closes a log's.
    pub(super) fn close(&mut self, log: LogId) {
        self.forget(log);
    }

    fn forget(&mut self, log: LogId) -> Option<OpenSegment> {
        let place = self.places.remove(&log)?;
        let (_, open) = self.segments.swap_remove(place);
        if let Some((moved, _)) = self.segments.get(place) {
            self.places.insert(*moved, place);
        }
        Some(open)
    }

    /// Closes this one.
    pub(super) fn close_segment(&mut self, log: LogId, segment: &Segment) {
        let place = self.places.get(&log).and_then(|place| self.segments.get(*place));
        if segment.generation == 0 && place.is_some_and(|(_, open)| open.base == segment.base) {
            self.forget(log);
        }
    }
}

impl SegmentFiles {
    /// Both files, for writing after `segment`'s valid bytes. Those of a new segment are made, and
    /// longer ones are cut. One that is missing or too short is an error of kind `NotFound` or
    /// `UnexpectedEof`.
    pub(crate) fn writer(&self, log: LogId, segment: Segment) -> io::Result<SegmentWriter> {
        let open = self.unfinished.lock().take(log, &segment);
        let (data, entries) = match open {
            Some(open) => (open.data, open.entries),
            None => (Arc::new(self.open_data(log, &segment)?), Vec::new()),
        };
        let index_path = self.index_path(log, &segment);
        let is_new = segment.bytes == 0;
        Ok(SegmentWriter {
            disk: self.disk.clone(),
            segment,
            data,
            index_path,
            entries,
            pieces: Vec::new(),
            gathered: BytesMut::new(),
            waiting: 0,
            is_new,
        })
    }

    fn open_data(&self, log: LogId, segment: &Segment) -> io::Result<File> {
        // Not for one that is compacted: its log's folder was there, and is gone if the log is.
        if segment.bytes == 0 && segment.generation == 0 {
            self.disk.create_dir_all(&self.log_dir(log))?;
        }
        let how = if segment.bytes == 0 { Open::Create } else { Open::Write };
        let data = self.disk.open(&self.data_path(log, segment), how)?;
        match data.length()?.cmp(&segment.bytes) {
            Ordering::Less => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ordering::Equal => {}
            Ordering::Greater => data.set_length(segment.bytes)?,
        }
        Ok(data)
    }

    /// As [`SegmentWriter::finish`], for a segment that more will be written to.
    pub(crate) fn pause(
        &self,
        log: LogId,
        mut writer: SegmentWriter,
    ) -> io::Result<WrittenSegment> {
        let few = writer.entries.len() < ENTRIES_BYTES_MIN;
        let entries = if few { std::mem::take(&mut writer.entries) } else { Vec::new() };
        let data = Arc::clone(&writer.data);
        let written = writer.finish()?;
        let Segment { base, bytes, .. } = written.segment;
        self.unfinished.lock().keep(log, OpenSegment { base, bytes, data, entries });
        Ok(written)
    }
}

/// Appends to one segment. Nothing counts until the caller has synced and recorded it.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    disk: Disk,
    pub(crate) segment: Segment,
    data: Arc<File>,
    index_path: PathBuf,
    entries: Vec<u8>,
    /// The end of the segment, not written yet: pieces, the last of them still growing.
    pieces: Vec<Bytes>,
    gathered: BytesMut,
    waiting: usize,
    is_new: bool,
}

/// What a flush wrote.
#[derive(Debug)]
pub(crate) struct WrittenSegment {
    pub(crate) segment: Segment,
    /// Files to sync.
    pub(crate) files: Vec<Arc<File>>,
    /// A file was made, so that the folder is to be synced, too.
    pub(crate) made: bool,
}

impl SegmentWriter {
    /// Adds a batch behind the others.
    pub(crate) fn push(&mut self, header: &BatchHeader, bytes: Bytes) -> io::Result<()> {
        let segment = &mut self.segment;
        if segment.since_index >= INDEX_INTERVAL {
            let entry = IndexEntry {
                offset: header.base_offset,
                max_timestamp: segment.max_timestamp,
                position: u32::try_from(segment.bytes).map_err(io::Error::other)?,
            };
            entry.encode(segment.base, &mut self.entries);
            segment.since_index = 0;
        }
        segment.bytes += bytes.len() as u64;
        segment.since_index += bytes.len() as u64;
        segment.next = header.next_offset();
        // A batch that lost its records in a compaction tells the time of one that is gone.
        if header.count > 0 {
            segment.max_timestamp = segment.max_timestamp.max(header.max_timestamp);
        }
        self.waiting += bytes.len();
        if bytes.len() < PIECE_BYTES_MIN {
            self.gathered.extend_from_slice(&bytes);
        } else {
            self.end_gathered();
            self.pieces.push(bytes);
        }
        if self.waiting >= WRITE_BYTES { self.write() } else { Ok(()) }
    }

    fn end_gathered(&mut self) {
        if !self.gathered.is_empty() {
            self.pieces.push(self.gathered.split().freeze());
        }
    }

    fn write(&mut self) -> io::Result<()> {
        self.end_gathered();
        let at = self.segment.bytes - self.waiting as u64;
        self.data.write_pieces_at(&self.pieces, at)?;
        self.pieces.clear();
        // The next sync of the log, which others wait for, is to find no more than this before it.
        let much = self.waiting >= WRITE_BYTES;
        self.waiting = 0;
        if much { self.data.sync_data() } else { Ok(()) }
    }

    /// Writes what is left.
    pub(crate) fn finish(mut self) -> io::Result<WrittenSegment> {
        self.write()?;
        let Self { disk, mut segment, data, index_path, entries, is_new, .. } = self;
        let mut made = is_new;
        let mut files = vec![data];
        if !entries.is_empty() {
            let index = disk.open(&index_path, Open::Create)?;
            index.write_all_at(&entries, segment.index_bytes)?;
            made |= segment.index_bytes == 0;
            segment.index_bytes += entries.len() as u64;
            files.push(Arc::new(index));
        }
        Ok(WrittenSegment { segment, files, made })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::batch::{BatchBuilder, Compression, NewRecord};

    const LOG: LogId = LogId(7);

    fn files() -> (TempDir, SegmentFiles) {
        let dir = tempfile::tempdir().unwrap();
        let files = SegmentFiles::new(Disk::System, dir.path().to_path_buf());
        (dir, files)
    }

    /// Adds a batch of one record of 10 KiB, and pauses.
    fn add(files: &SegmentFiles, log: LogId, segment: Segment) -> io::Result<Segment> {
        let mut builder = BatchBuilder::new(Compression::None);
        let value = vec![0; 10 * 1024];
        builder.push(&NewRecord { value: Some(&value), ..NewRecord::default() });
        let batch = builder.build().unwrap();
        let header = BatchHeader { base_offset: segment.next, ..*batch.header() };
        let mut writer = files.writer(log, segment)?;
        writer.push(&header, batch.bytes().clone())?;
        files.pause(log, writer).map(|written| written.segment)
    }

    #[test]
    fn an_unfinished_segment_stays_open() {
        let (_dir, files) = files();
        let first = add(&files, LOG, Segment::new(0, 0)).unwrap();
        // Somewhere else it is found only by whoever has it open.
        let (path, moved) = (files.data_path(LOG, &first), files.dir.join("moved"));
        fs::rename(&path, &moved).unwrap();
        let second = add(&files, LOG, first).unwrap();
        assert!(!path.exists());
        assert_eq!(fs::metadata(&moved).unwrap().len(), second.bytes);
        files.remove(LOG, &second);
        assert_eq!(add(&files, LOG, second).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_does_not_count_is_written_again() {
        let (_dir, files) = files();
        let first = add(&files, LOG, Segment::new(0, 0)).unwrap();
        let second = add(&files, LOG, first).unwrap();
        add(&files, LOG, second).unwrap();
        // As after a flush of which another part failed.
        assert_eq!(add(&files, LOG, first).unwrap(), second);
        assert_eq!(fs::metadata(files.data_path(LOG, &second)).unwrap().len(), second.bytes);
    }

    #[test]
    fn index_entries_are_written_together_and_all_of_them_at_the_end() {
        let (_dir, files) = files();
        let mut segment = Segment::new(0, 0);
        // An entry stands before every second batch from the third on.
        for (batches, entries) in [(8, 0), (1, 4), (7, 4), (1, 8)] {
            for _ in 0..batches {
                segment = add(&files, LOG, segment).unwrap();
            }
            assert_eq!(segment.index_bytes, entries * INDEX_ENTRY, "at {}", segment.next);
        }
        segment = add(&files, LOG, segment).unwrap();
        segment = add(&files, LOG, segment).unwrap();
        let finished = files.writer(LOG, segment).unwrap().finish().unwrap().segment;
        assert_eq!(finished.index_bytes, 9 * INDEX_ENTRY);
        let index = fs::metadata(files.index_path(LOG, &finished)).unwrap();
        assert_eq!(index.len(), finished.index_bytes);
    }

    #[test]
    fn no_more_stay_open_than_may() {
        let (_dir, files) = files();
        files.unfinished.lock().max = 3;
        let mut segments = [Segment::new(0, 0); 10];
        for _ in 0..5 {
            for (number, segment) in segments.iter_mut().enumerate() {
                *segment = add(&files, LogId(number as u64), *segment).unwrap();
                let open = files.unfinished.lock();
                assert!(open.segments.len() <= 3);
                for (place, (log, _)) in open.segments.iter().enumerate() {
                    assert_eq!(open.places.get(log), Some(&place));
                }
                assert_eq!(open.places.len(), open.segments.len());
            }
        }
        for (number, segment) in segments.iter().enumerate() {
            let file = fs::metadata(files.data_path(LogId(number as u64), segment)).unwrap();
            assert_eq!((segment.next, file.len()), (5, segment.bytes));
        }
    }
}
