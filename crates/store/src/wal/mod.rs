//! The local write-ahead log: preallocated files of frames in `wal/`.
//!
//! A file begins with a block of [`ALIGN`] bytes: magic "ENWL", checksum u32, version u16, flags
//! u16, first sequence u64, incarnation u64. Frames follow, each at a multiple of [`ALIGN`]. A file
//! whose frames are all in segments is used again under a new name: its old frames carry another
//! incarnation or lower sequence numbers, so they are never taken for new ones. The incarnation is
//! a random number for each run, so that no client can plant a frame in its records.

mod replay;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use base::disk::{BLOCK_BYTES, Disk, File, Folder, Open};
use base::planted::{self, Bug};
use bytes::{Buf, BufMut, Bytes};

use crate::error::OpenError;
use crate::frame::{ALIGN, crc};
use crate::sink::CommitSink;

pub(crate) use replay::{Replay, replay};

// Frames can be written past the system's cache.
const _: () = assert!(ALIGN.is_multiple_of(BLOCK_BYTES));

const MAGIC: &[u8; 4] = b"ENWL";
const VERSION: u16 = 1;
const SUFFIX: &str = "wal";
/// What is written ahead of small frames.
static ZEROS: Block<{ 1024 * 1024 }> = Block([0; 1024 * 1024]);

/// Bytes as they can be written past the system's cache.
#[repr(align(4096))]
struct Block<const BYTES: usize>([u8; BYTES]);
/// Used-up files kept for reuse; more are deleted.
const SPARES_MAX: usize = 2;

/// What the first block of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) first_sequence: u64,
    pub(crate) incarnation: u64,
}

impl FileHeader {
    fn encode(self) -> Vec<u8> {
        let mut block = Vec::with_capacity(ALIGN);
        block.put_slice(MAGIC);
        block.put_u32(0);
        block.put_u16(VERSION);
        block.put_u16(0);
        block.put_u64(self.first_sequence);
        block.put_u64(self.incarnation);
        block.resize(ALIGN, 0);
        let checksum = crc(block.get(8..).unwrap_or_default());
        if let Some(mut field) = block.get_mut(4..8) {
            field.put_u32(checksum);
        }
        block
    }

    /// `None` if the block is not a whole header; the version if it is one we do not know.
    fn decode(mut block: &[u8]) -> Option<Result<Self, u16>> {
        let checked = crc(block.get(8..ALIGN)?);
        if !block.starts_with(MAGIC) {
            return None;
        }
        block.advance(4);
        if block.get_u32() != checked {
            return None;
        }
        let version = block.get_u16();
        block.advance(2);
        let header = Self { first_sequence: block.get_u64(), incarnation: block.get_u64() };
        Some(if version == VERSION { Ok(header) } else { Err(version) })
    }
}

/// The name of the file that begins with the very first frame.
pub(crate) fn first_file_name() -> String {
    file_name(0)
}

fn file_name(first_sequence: u64) -> String {
    format!("{first_sequence:020}.{SUFFIX}")
}

/// The files, and the one that is written.
#[derive(Debug)]
pub(crate) struct LocalWal {
    disk: Disk,
    dir: PathBuf,
    dir_handle: Folder,
    file_bytes: u64,
    incarnation: u64,
    current: Option<Current>,
    /// Full files, oldest first, each with the sequence number after its last frame.
    full: VecDeque<(PathBuf, u64)>,
    /// Full files with frames that were not synced yet. The next sync must reach them, too: a
    /// frame is of no use without those before it.
    unsynced: Vec<(File, u64)>,
    spares: Vec<PathBuf>,
}

#[derive(Debug)]
struct Current {
    file: File,
    /// The same file, written past the system's cache: what is written is read again only after a
    /// crash, and the cache costs a copy and the work of writing it back. None where the file
    /// system cannot.
    direct: Option<File>,
    path: PathBuf,
    position: u64,
    capacity: u64,
    /// Sequence number after the last frame written.
    next: u64,
    /// Has frames that were not synced.
    dirty: bool,
    /// Everything below was written to before, if only with zeros.
    touched: u64,
}

impl Current {
    /// Writing to space that was only allocated makes the file system note each time that it is in
    /// use now, in the sync that an append waits for. So zeros go ahead of small frames, many
    /// frames' worth at once. Files that are used again are spared this.
    fn touch_ahead(&mut self, frame: &Bytes) -> io::Result<()> {
        let end = self.position + frame.len() as u64;
        let zeros = &ZEROS.0;
        let small = frame.len() < zeros.len() / 16;
        if small && end > self.touched && end < self.capacity {
            let length = zeros.len().min(usize::try_from(self.capacity - end).unwrap_or(0));
            let length = length - length % ALIGN;
            self.write(zeros.get(..length).unwrap_or_default(), end)?;
            self.touched = end + length as u64;
        }
        Ok(())
    }

    fn write(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        let aligned = bytes.as_ptr().addr().is_multiple_of(BLOCK_BYTES)
            && bytes.len().is_multiple_of(BLOCK_BYTES);
        let direct = self.direct.as_ref().filter(|_| aligned);
        direct.unwrap_or(&self.file).write_all_at(bytes, position)
    }
}

impl LocalWal {
    /// Continues in `dir` with a new file; `replayed` are the files there already, which are kept
    /// until their frames are released.
    pub(crate) fn open(
        disk: Disk,
        dir: &Path,
        file_bytes: u64,
        incarnation: u64,
        replayed: Vec<(PathBuf, u64)>,
    ) -> io::Result<Self> {
        Ok(Self {
            dir: dir.to_path_buf(),
            dir_handle: disk.open_dir(dir)?,
            disk,
            file_bytes,
            incarnation,
            current: None,
            full: replayed.into(),
            unsynced: Vec::new(),
            spares: Vec::new(),
        })
    }

    /// Closes the current file and starts the next, which can hold a frame of `bytes`.
    fn roll(&mut self, first_sequence: u64, bytes: u64) -> io::Result<()> {
        let path = self.dir.join(file_name(first_sequence));
        let capacity = self.file_bytes.max(bytes + ALIGN as u64);
        let spare = if capacity == self.file_bytes { self.spares.pop() } else { None };
        let touched = if spare.is_some() { capacity } else { 0 };
        let file = match spare {
            Some(spare) => {
                self.disk.rename(&spare, &path)?;
                self.disk.open(&path, Open::Write)?
            }
            None => self.disk.open(&path, Open::Anew)?,
        };
        let header = FileHeader { first_sequence, incarnation: self.incarnation };
        // Space for all of it, so that a full disk is noticed now and not in the middle of a frame.
        let prepared = file
            .allocate(capacity)
            .and_then(|()| file.write_all_at(&header.encode(), 0))
            .and_then(|()| file.sync_all())
            .and_then(|()| match planted::is(Bug::FolderNotSynced) {
                true => Ok(()),
                false => self.dir_handle.sync(),
            });
        if let Err(error) = prepared {
            // Best effort: a half-made file is told by its header, and swept at the next start.
            let _ = self.disk.remove_file(&path);
            return Err(error);
        }
        // A file of this name that was found at start held no frame, or this one would not bear it.
        self.full.retain(|(full, _)| *full != path);
        let position = ALIGN as u64;
        let next = first_sequence;
        let direct = self.disk.open(&path, Open::Direct);
        let direct = direct.inspect_err(|error| tracing::debug!(%error, "no direct writes")).ok();
        let new = Current { file, direct, path, position, capacity, next, dirty: false, touched };
        if let Some(old) = self.current.replace(new) {
            if old.dirty {
                self.unsynced.push((old.file, old.next));
            }
            self.full.push_back((old.path, old.next));
        }
        Ok(())
    }
}

impl CommitSink for LocalWal {
    fn reserve(&mut self, sequence: u64, bytes: usize) -> io::Result<()> {
        let bytes = bytes as u64;
        match &self.current {
            Some(current) if current.position + bytes <= current.capacity => Ok(()),
            _ => self.roll(sequence, bytes),
        }
    }

    fn write(&mut self, sequence: u64, frame: &Bytes) -> io::Result<()> {
        let current = self.current.as_mut().ok_or(io::ErrorKind::NotFound)?;
        current.dirty = true;
        current.touch_ahead(frame)?;
        current.write(frame, current.position)?;
        current.position += frame.len() as u64;
        current.next = sequence + 1;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        for (file, _) in &self.unsynced {
            file.sync_data()?;
        }
        self.unsynced.clear();
        if let Some(current) = &mut self.current {
            let synced = current.file.sync_data();
            if !planted::is(Bug::LostSyncError) {
                synced?;
            }
            current.dirty = false;
        }
        Ok(())
    }

    fn release(&mut self, below: u64) {
        self.unsynced.retain(|(_, next)| *next > below);
        while self.full.front().is_some_and(|(_, next)| *next <= below) {
            let Some((path, _)) = self.full.pop_front() else { break };
            let reusable = self.disk.length(&path).is_ok_and(|length| length == self.file_bytes);
            if reusable && self.spares.len() < SPARES_MAX {
                self.spares.push(path);
            } else if let Err(error) = self.disk.remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove a used-up log file");
            }
        }
    }

    fn incarnation(&self) -> u64 {
        self.incarnation
    }
}

/// A file of the log.
struct WalFile {
    path: PathBuf,
    /// The first sequence number in its name.
    named: u64,
    header: FileHeader,
}

/// The log's files. Files without a header that hold no frame were cut short in the making: the
/// header is synced before the first frame is written. They are removed.
fn list(disk: &Disk, dir: &Path) -> Result<Vec<WalFile>, OpenError> {
    let mut files = Vec::new();
    for path in disk.read_dir(dir).map_err(OpenError::io("reading", dir))? {
        if path.extension().is_none_or(|extension| extension != SUFFIX) {
            continue;
        }
        let damaged = |detail: &str| {
            let (path, detail) = (path.clone(), detail.to_owned());
            Err(OpenError::Damaged { path, position: 0, detail })
        };
        let name = path.file_stem().and_then(|stem| stem.to_str());
        let Some(named) = name.and_then(|stem| stem.parse().ok()) else {
            return damaged("its name is not that of a log file");
        };
        let mut block = vec![0; ALIGN];
        let file = disk.open(&path, Open::Read).map_err(OpenError::io("opening", &path))?;
        let whole = file.read_exact_at(&mut block, 0).is_ok();
        match whole.then(|| FileHeader::decode(&block)).flatten() {
            Some(Ok(header)) => files.push(WalFile { path, named, header }),
            Some(Err(found)) => return Err(OpenError::Version { path, found }),
            None if is_unused(&file, &block).map_err(OpenError::io("reading", &path))? => {
                disk.remove_file(&path).map_err(OpenError::io("removing", &path))?;
            }
            None => return damaged("its first block is not that of a log file"),
        }
    }
    Ok(files)
}

/// A file whose making was cut short: no header, and no frame behind it.
fn is_unused(file: &File, block: &[u8]) -> io::Result<bool> {
    let length = file.length()?;
    if length < 2 * ALIGN as u64 {
        // No frame fits. A part of the header may be there: its block was torn.
        return Ok(true);
    }
    let mut position = ALIGN as u64;
    let mut magic = [0; 4];
    while position + ALIGN as u64 <= length {
        file.read_exact_at(&mut magic, position)?;
        if magic != [0; 4] {
            return Ok(false);
        }
        position += ALIGN as u64;
    }
    Ok(block.iter().all(|byte| *byte == 0))
}

#[cfg(test)]
mod tests;
