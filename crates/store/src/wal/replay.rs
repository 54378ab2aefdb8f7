//! Reading the write-ahead log back at start.
//!
//! Frames follow each other in sequence. A file holds those from its first sequence number up to
//! that of the next file. Where a frame is missing or damaged there are two cases. A later frame
//! that says "everything below me was on stable storage" proves that it was: then the disk lost
//! it, and we say so. Otherwise it was still being written when the machine stopped: the log ends
//! there, and what lies behind is set aside.

use std::io;
use std::path::{Path, PathBuf};

use base::disk::{Disk, File, Open};
use bytes::Bytes;

use super::{FileHeader, WalFile, list};
use crate::error::OpenError;
use crate::frame::{ALIGN, Frame, NoFrame, Peeked};

/// Where files go that lie behind the end of the log.
const SET_ASIDE: &str = "set-aside";

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// Sequence number that the next frame gets.
    pub(crate) next_sequence: u64,
    /// The files, each with the sequence number after its last frame.
    pub(crate) files: Vec<(PathBuf, u64)>,
    /// Where the log ended in half a frame, if it did.
    pub(crate) torn: Option<(PathBuf, u64)>,
}

/// One file being read.
struct Reader {
    path: PathBuf,
    file: File,
    length: u64,
    header: FileHeader,
}

/// Where the chain of frames ends, as far as it has been followed.
#[derive(Clone, Copy)]
struct Place {
    reader: usize,
    position: u64,
    /// Sequence number that would come next.
    expected: u64,
}

/// The largest "everything below was on stable storage" that stands at or after a place.
#[derive(Clone, Copy, Default)]
struct Proof {
    below: u64,
    /// Sequence number of the frame that says so.
    by: u64,
}

struct Replayer<'a, F> {
    readers: &'a [Reader],
    from: u64,
    apply: F,
    /// Looked for once: what stands further on can prove no less about what is missing there.
    proof: Option<Proof>,
    torn: Option<(PathBuf, u64)>,
}

/// Calls `apply` with each frame from sequence number `from` on.
pub(crate) fn replay(
    disk: &Disk,
    dir: &Path,
    from: u64,
    apply: impl FnMut(&Path, u64, Frame) -> Result<(), OpenError>,
) -> Result<Replay, OpenError> {
    let (readers, leftovers) = open_all(disk, dir)?;
    let mut found = Replay { next_sequence: from, ..Replay::default() };
    // Not in use: free from the start.
    found.files.extend(leftovers.into_iter().map(|path| (path, 0)));
    let mut replayer = Replayer { readers: &readers, from, apply, proof: None, torn: None };
    for (number, reader) in readers.iter().enumerate() {
        let until = readers.get(number + 1).map_or(u64::MAX, |next| next.header.first_sequence);
        if until <= from {
            found.files.push((reader.path.clone(), until));
            continue;
        }
        if reader.header.first_sequence > found.next_sequence {
            let position = ALIGN as u64;
            let gap = Place { reader: number, position, expected: found.next_sequence };
            replayer.refuse_if_proven(gap)?;
            set_aside(disk, dir, readers.get(number..).unwrap_or_default())?;
            break;
        }
        found.next_sequence = replayer.read_file(number, until)?.max(from);
        found.files.push((reader.path.clone(), found.next_sequence));
        // A frame that the operating system had, but not the disk, must not be lost once frames
        // that follow it say that it was there. All were written anew just now: after a failed sync
        // the system takes what it has for written, and would sync nothing.
        reader.file.sync_data().map_err(OpenError::io("syncing", &reader.path))?;
    }
    found.torn = replayer.torn;
    Ok(found)
}

impl<F: FnMut(&Path, u64, Frame) -> Result<(), OpenError>> Replayer<'_, F> {
    /// Follows the chain through one file, up to `until`; returns the number it got to.
    fn read_file(&mut self, number: usize, until: u64) -> Result<u64, OpenError> {
        let Some(reader) = self.readers.get(number) else { return Ok(until) };
        let expected = reader.header.first_sequence;
        let mut at = Place { reader: number, position: ALIGN as u64, expected };
        self.torn = None;
        while at.expected < until {
            let frame = match reader.frame(at.position)? {
                Some(frame) if frame.header.sequence == at.expected => frame,
                _ if at.expected < self.from => match reader.skip_to(at, self.from)? {
                    Some(further) => {
                        at = further;
                        continue;
                    }
                    // Nothing from here on is needed, or what is needed is missing.
                    None => {
                        at.expected = self.from;
                        break;
                    }
                },
                _ => break,
            };
            if at.expected >= self.from {
                if frame.data_damaged && self.proof(at)?.below <= at.expected {
                    break;
                }
                let rewritten = reader.file.write_all_at(&frame.bytes, at.position);
                rewritten.map_err(OpenError::io("writing", &reader.path))?;
                let after = at.position + frame.size_on_disk();
                (self.apply)(&reader.path, at.position, frame)?;
                at = Place { position: after, expected: at.expected + 1, ..at };
            } else {
                at.position += frame.size_on_disk();
                at.expected += 1;
            }
        }
        if at.expected < until {
            self.refuse_if_proven(at)?;
            if reader.is_torn(at).map_err(OpenError::io("reading", &reader.path))? {
                self.torn = Some((reader.path.clone(), at.position));
            }
        }
        Ok(at.expected)
    }

    fn refuse_if_proven(&mut self, at: Place) -> Result<(), OpenError> {
        let proof = self.proof(at)?;
        if proof.below <= at.expected {
            return Ok(());
        }
        let detail = format!(
            "frame {} is missing or unreadable, but frame {} says that it was on stable storage",
            at.expected, proof.by
        );
        let path = self.readers.get(at.reader).map(|reader| reader.path.clone());
        let path = path.unwrap_or_default();
        Err(OpenError::Damaged { path, position: at.position, detail })
    }

    fn proof(&mut self, from: Place) -> Result<Proof, OpenError> {
        if let Some(proof) = self.proof {
            return Ok(proof);
        }
        let mut proof = Proof::default();
        let mut position = from.position;
        for reader in self.readers.get(from.reader..).unwrap_or_default() {
            while position < reader.length {
                if let Some(frame) = reader.frame(position)?
                    && frame.header.synced > proof.below
                {
                    proof = Proof { below: frame.header.synced, by: frame.header.sequence };
                }
                position += ALIGN as u64;
            }
            position = ALIGN as u64;
        }
        self.proof = Some(proof);
        Ok(proof)
    }
}

/// The files in the order of their frames, and those that hold none.
fn open_all(disk: &Disk, dir: &Path) -> Result<(Vec<Reader>, Vec<PathBuf>), OpenError> {
    let mut readers = Vec::new();
    let mut leftovers = Vec::new();
    for WalFile { path, named, header } in list(disk, dir)? {
        // Renamed to be used again, but the machine stopped before its header was written.
        if named != header.first_sequence {
            leftovers.push(path);
            continue;
        }
        let file = disk.open(&path, Open::Write).map_err(OpenError::io("opening", &path))?;
        let length = file.length().map_err(OpenError::io("reading", &path))?;
        readers.push(Reader { path, file, length, header });
    }
    readers.sort_by_key(|reader| reader.header.first_sequence);
    Ok((readers, leftovers))
}

/// Moves files away whose frames lie behind the end of the log: they were never synced, and must
/// not be taken for what will be written in their place.
fn set_aside(disk: &Disk, dir: &Path, readers: &[Reader]) -> Result<(), OpenError> {
    let to = dir.join(SET_ASIDE);
    disk.create_dir_all(&to).map_err(OpenError::io("making", &to))?;
    for Reader { path, header, .. } in readers {
        let name = format!("{:020}-{:016x}", header.first_sequence, header.incarnation);
        tracing::warn!(path = %path.display(), name, "unsynced frames behind the end of the log");
        disk.rename(path, &to.join(name)).map_err(OpenError::io("setting aside", path))?;
    }
    disk.sync_dir(&to).and_then(|()| disk.sync_dir(dir)).map_err(OpenError::io("syncing", dir))
}

impl Reader {
    /// The frame at `position`, if one of this file's incarnation with a whole header and index
    /// is there. Its data may be damaged.
    fn frame(&self, position: u64) -> Result<Option<Frame>, OpenError> {
        let io = || OpenError::io("reading", &self.path);
        // The incarnation cannot be guessed, so no client can plant a frame in its records.
        let Some(peeked) = self.peek(position).map_err(io())? else { return Ok(None) };
        let mut bytes = vec![0; peeked.length];
        self.file.read_exact_at(&mut bytes, position).map_err(io())?;
        match Frame::decode(&Bytes::from(bytes)) {
            Ok(frame) => Ok(Some(frame)),
            Err(NoFrame::Torn) => Ok(None),
            Err(NoFrame::Version(found)) => {
                Err(OpenError::Version { path: self.path.clone(), found })
            }
        }
    }

    /// What seems to begin at `position`: of this incarnation, and inside the file.
    fn peek(&self, position: u64) -> io::Result<Option<Peeked>> {
        if position + ALIGN as u64 > self.length {
            return Ok(None);
        }
        let mut first = [0; 64];
        self.file.read_exact_at(&mut first, position)?;
        Ok(Peeked::of(&first).filter(|peeked| {
            peeked.incarnation == self.header.incarnation
                && position + peeked.length as u64 <= self.length
        }))
    }

    /// The next frame that can be read after `at`, no further than number `to`: what lies before
    /// is in segments, so that damage there does no harm.
    fn skip_to(&self, at: Place, to: u64) -> Result<Option<Place>, OpenError> {
        let mut position = at.position + ALIGN as u64;
        while position < self.length {
            if let Some(frame) = self.frame(position)?
                && frame.header.sequence > at.expected
            {
                let expected = frame.header.sequence;
                return Ok((expected <= to).then_some(Place { position, expected, ..at }));
            }
            position += ALIGN as u64;
        }
        Ok(None)
    }

    /// Half of the expected frame stands there.
    fn is_torn(&self, at: Place) -> io::Result<bool> {
        Ok(self.peek(at.position)?.is_some_and(|peeked| peeked.sequence == at.expected))
    }
}
