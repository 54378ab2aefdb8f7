//! Reading the write-ahead log back at start.
//!
//! Frames follow each other in sequence. Where the next one is missing there are two cases. A
//! later frame that says "everything below me was on stable storage" proves that the missing one
//! was acknowledged: then the disk lost it, and we say so and stop. Otherwise it was never
//! acknowledged (the machine stopped while it was being written): the log ends there.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{FileHeader, list};
use crate::error::OpenError;
use crate::frame::{ALIGN, Frame, NoFrame};

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// Sequence number that the next frame gets.
    pub(crate) next_sequence: u64,
    /// Larger than any incarnation seen.
    pub(crate) next_incarnation: u64,
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

/// Calls `apply` with each frame from sequence number `from` on.
pub(crate) fn replay(
    dir: &Path,
    from: u64,
    mut apply: impl FnMut(&Path, u64, Frame) -> Result<(), OpenError>,
) -> Result<Replay, OpenError> {
    let readers = open_all(dir)?;
    let mut found = Replay { next_sequence: from, next_incarnation: 1, ..Replay::default() };
    for reader in &readers {
        found.next_incarnation = found.next_incarnation.max(reader.header.incarnation + 1);
    }
    let mut unread = Vec::new();
    for reader in &readers {
        let mut expected = reader.header.first_sequence;
        let mut position = ALIGN as u64;
        while let Some(frame) = reader.frame(position, expected)? {
            let after = position + (frame.bytes.len() as u64).next_multiple_of(ALIGN as u64);
            if expected == found.next_sequence {
                apply(&reader.path, position, frame)?;
                found.next_sequence += 1;
                found.torn = None;
            }
            expected += 1;
            position = after;
        }
        found.files.push((reader.path.clone(), expected));
        if expected == found.next_sequence && reader.begins_frame(position) {
            found.torn = Some((reader.path.clone(), position));
        }
        unread.push((reader, expected, position));
    }
    // What was read whole needs no second look; the rest may hold the proof of a loss.
    let missing = found.next_sequence;
    unread.retain(|(_, expected, _)| *expected >= missing);
    refuse_if_lost(&unread, missing)?;
    Ok(found)
}

fn open_all(dir: &Path) -> Result<Vec<Reader>, OpenError> {
    let mut readers = Vec::new();
    for (path, header) in list(dir).map_err(OpenError::io("reading", dir))? {
        let header = header.map_err(|found| OpenError::Version { path: path.clone(), found })?;
        let file = File::open(&path).map_err(OpenError::io("opening", &path))?;
        let length = file.metadata().map_err(OpenError::io("reading", &path))?.len();
        readers.push(Reader { path, file, length, header });
    }
    Ok(readers)
}

/// Looks for a frame after the end that proves that the end was not the end.
fn refuse_if_lost(unread: &[(&Reader, u64, u64)], missing: u64) -> Result<(), OpenError> {
    for (reader, expected, end) in unread {
        let mut position = if *expected > missing { ALIGN as u64 } else { *end };
        while position < reader.length {
            let frame = reader.any_frame(position)?;
            if let Some(frame) = frame.filter(|frame| frame.header.synced > missing) {
                let detail = format!(
                    "frame {missing} is missing or unreadable, but frame {} follows it and says \
                     that it was on stable storage",
                    frame.header.sequence
                );
                return Err(OpenError::Damaged { path: reader.path.clone(), position, detail });
            }
            position += ALIGN as u64;
        }
    }
    Ok(())
}

impl Reader {
    /// The frame at `position`, if it is the one with this sequence number.
    fn frame(&self, position: u64, sequence: u64) -> Result<Option<Frame>, OpenError> {
        let frame = self.any_frame(position)?;
        Ok(frame.filter(|frame| frame.header.sequence == sequence))
    }

    /// The frame at `position`, if there is one of this file's incarnation. One whose data is
    /// damaged counts only if it was not the last to be written (then it is torn, not damaged);
    /// the caller of [`replay`] decides what to do with it.
    fn any_frame(&self, position: u64) -> Result<Option<Frame>, OpenError> {
        let io = || OpenError::io("reading", &self.path);
        let Some(length) = self.frame_length(position).map_err(io())? else { return Ok(None) };
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, position).map_err(io())?;
        match Frame::decode(&Bytes::from(bytes)) {
            Ok(frame) if frame.header.incarnation != self.header.incarnation => Ok(None),
            Ok(frame) if frame.data_damaged && !self.is_followed(position, &frame)? => Ok(None),
            Ok(frame) => Ok(Some(frame)),
            Err(NoFrame::Torn) => Ok(None),
            Err(NoFrame::Version(found)) => {
                Err(OpenError::Version { path: self.path.clone(), found })
            }
        }
    }

    /// A whole frame follows this one and says that this one was on stable storage.
    fn is_followed(&self, position: u64, frame: &Frame) -> Result<bool, OpenError> {
        let after = position + (frame.bytes.len() as u64).next_multiple_of(ALIGN as u64);
        let Some(next) = self.any_frame(after)? else { return Ok(false) };
        Ok(next.header.synced > frame.header.sequence)
    }

    /// Bytes of the frame at `position`, if a frame begins there and fits the file.
    fn frame_length(&self, position: u64) -> io::Result<Option<usize>> {
        if position + ALIGN as u64 > self.length {
            return Ok(None);
        }
        let mut first = [0; 64];
        self.file.read_exact_at(&mut first, position)?;
        Ok(Frame::length(&first).filter(|length| position + *length as u64 <= self.length))
    }

    fn begins_frame(&self, position: u64) -> bool {
        let mut first = [0; 64];
        self.file.read_exact_at(&mut first, position).is_ok() && Frame::length(&first).is_some()
    }
}
