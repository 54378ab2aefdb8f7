//! Files behind an enum, so that a deterministic simulation can replace the disk.
//!
//! An enum and not a generic parameter: every file operation is a system call, beside which a
//! branch that always goes the same way costs nothing, and nothing above has to name a type.

use std::fmt::Debug;
use std::fs::{self, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
#[cfg(target_os = "linux")]
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};
use rustix::io::Errno;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// To be read; it must be there.
    Read,
    /// To be read and written; it must be there.
    Write,
    /// To be read and written; made if it is missing, kept as it is if not.
    Create,
    /// To be read and written; made, or emptied if it is there.
    Anew,
    /// To be written past the system's cache; it must be there. Positions, lengths and the addresses
    /// of what is written must be multiples of [`BLOCK_BYTES`]. Fails where the file system cannot.
    Direct,
}

/// What [`Open::Direct`] asks for; no disk that we know has larger blocks.
pub const BLOCK_BYTES: usize = 4096;

/// Pieces that one call of the system takes (`IOV_MAX`).
const PIECES_MAX: usize = 1024;

/// A simulation's disk. Errors are those of the operating system.
#[allow(missing_docs, reason = "as the methods of the same names of `Disk`")]
pub trait SimulatedDisk: Send + Sync + Debug {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn SimulatedFile>>;
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    fn read_dir(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    fn exists(&self, path: &Path) -> bool;
    fn length(&self, path: &Path) -> io::Result<u64>;
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    fn sync_file_system(&self) -> io::Result<()>;
}

/// An open file on a simulation's disk.
#[allow(missing_docs, reason = "as the methods of the same names of `File`")]
pub trait SimulatedFile: Send + Sync + Debug {
    fn read_exact_at(&self, out: &mut [u8], position: u64) -> io::Result<()>;
    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()>;
    fn sync_data(&self) -> io::Result<()>;
    fn sync_all(&self) -> io::Result<()>;
    fn allocate(&self, bytes: u64) -> io::Result<()>;
    fn set_length(&self, bytes: u64) -> io::Result<()>;
    fn length(&self) -> io::Result<u64>;
    fn try_lock(&self) -> io::Result<bool>;
    fn unlock(&self) -> io::Result<()>;
}

/// Where files are.
#[derive(Debug, Clone, Default)]
pub enum Disk {
    /// The operating system's.
    #[default]
    System,
    /// A simulation's.
    Simulated(Arc<dyn SimulatedDisk>),
}

/// An open file.
#[derive(Debug)]
pub enum File {
    /// The operating system's.
    System(fs::File),
    /// A simulation's.
    Simulated(Box<dyn SimulatedFile>),
}

/// Every method blocks, and fails as the system call that it is.
impl Disk {
    /// Opens a file.
    pub fn open(&self, path: &Path, how: Open) -> io::Result<File> {
        match self {
            Self::System => {
                let mut options = OpenOptions::new();
                options.read(true).write(how != Open::Read).truncate(how == Open::Anew);
                options.create(matches!(how, Open::Create | Open::Anew));
                if how == Open::Direct {
                    direct(&mut options)?;
                }
                options.open(path).map(File::System)
            }
            Self::Simulated(disk) => disk.open(path, how).map(File::Simulated),
        }
    }

    /// Makes a folder, and those that it lies in.
    pub fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::System => fs::create_dir_all(path),
            Self::Simulated(disk) => disk.create_dir_all(path),
        }
    }

    /// What lies in a folder.
    pub fn read_dir(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        match self {
            Self::System => fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect(),
            Self::Simulated(disk) => disk.read_dir(path),
        }
    }

    /// Gives a file another name, in the place of what had that name.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self {
            Self::System => fs::rename(from, to),
            Self::Simulated(disk) => disk.rename(from, to),
        }
    }

    /// Removes a file. Who has it open goes on reading it.
    pub fn remove_file(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::System => fs::remove_file(path),
            Self::Simulated(disk) => disk.remove_file(path),
        }
    }

    /// Removes a folder and what lies in it.
    pub fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::System => fs::remove_dir_all(path),
            Self::Simulated(disk) => disk.remove_dir_all(path),
        }
    }

    /// Whether there is a file or folder of this name, as far as the system says.
    pub fn exists(&self, path: &Path) -> bool {
        match self {
            Self::System => path.exists(),
            Self::Simulated(disk) => disk.exists(path),
        }
    }

    /// Length of a file in bytes.
    pub fn length(&self, path: &Path) -> io::Result<u64> {
        match self {
            Self::System => fs::metadata(path).map(|metadata| metadata.len()),
            Self::Simulated(disk) => disk.length(path),
        }
    }

    /// All of a file.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if let Self::System = self {
            return fs::read(path);
        }
        let file = self.open(path, Open::Read)?;
        let mut bytes = vec![0; usize::try_from(file.length()?).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Makes a folder's entries durable.
    pub fn sync_dir(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::System => fs::File::open(path)?.sync_all(),
            Self::Simulated(disk) => disk.sync_dir(path),
        }
    }

    /// Opens a folder, to sync it or the file system that it lies on.
    pub fn open_dir(&self, path: &Path) -> io::Result<Folder> {
        let file = match self {
            Self::System => Some(fs::File::open(path)?),
            Self::Simulated(_) => None,
        };
        Ok(Folder { disk: self.clone(), path: path.to_path_buf(), file })
    }
}

/// An open folder. Kept open, it is told of errors that the system meets at any time after.
#[derive(Debug)]
pub struct Folder {
    disk: Disk,
    path: PathBuf,
    file: Option<fs::File>,
}

impl Folder {
    /// Makes its entries durable.
    pub fn sync(&self) -> io::Result<()> {
        match &self.file {
            Some(file) => file.sync_all(),
            None => self.disk.sync_dir(&self.path),
        }
    }

    /// Makes everything on its file system durable.
    pub fn sync_file_system(&self) -> io::Result<()> {
        match &self.file {
            Some(file) => rustix::fs::syncfs(file).map_err(io::Error::from),
            None => match &self.disk {
                Disk::System => Err(io::ErrorKind::Unsupported.into()),
                Disk::Simulated(disk) => disk.sync_file_system(),
            },
        }
    }
}

#[cfg(target_os = "linux")]
fn direct(options: &mut OpenOptions) -> io::Result<()> {
    let flag = rustix::fs::OFlags::DIRECT.bits();
    options.custom_flags(i32::try_from(flag).map_err(io::Error::other)?);
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn direct(_: &mut OpenOptions) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Every method blocks, and fails as the system call that it is.
impl File {
    /// Fills `out` from a position.
    pub fn read_exact_at(&self, out: &mut [u8], position: u64) -> io::Result<()> {
        match self {
            Self::System(file) => file.read_exact_at(out, position),
            Self::Simulated(file) => file.read_exact_at(out, position),
        }
    }

    /// Writes at a position.
    pub fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        match self {
            Self::System(file) => file.write_all_at(bytes, position),
            Self::Simulated(file) => file.write_all_at(bytes, position),
        }
    }

    /// Writes pieces one behind the other, from a position.
    pub fn write_pieces_at(&self, pieces: &[Bytes], mut position: u64) -> io::Result<()> {
        let Self::System(file) = self else {
            for piece in pieces {
                self.write_all_at(piece, position)?;
                position += piece.len() as u64;
            }
            return Ok(());
        };
        for pieces in pieces.chunks(PIECES_MAX) {
            let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            let mut left = slices.as_mut_slice();
            // Skips pieces without a byte.
            IoSlice::advance_slices(&mut left, 0);
            while !left.is_empty() {
                let written = match rustix::io::pwritev(file, left, position) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Err(Errno::INTR) => continue,
                    written => written?,
                };
                position += written as u64;
                IoSlice::advance_slices(&mut left, written);
            }
        }
        Ok(())
    }

    /// Makes what was written durable.
    pub fn sync_data(&self) -> io::Result<()> {
        match self {
            Self::System(file) => file.sync_data(),
            Self::Simulated(file) => file.sync_data(),
        }
    }

    /// Makes what was written, and everything about the file, durable.
    pub fn sync_all(&self) -> io::Result<()> {
        match self {
            Self::System(file) => file.sync_all(),
            Self::Simulated(file) => file.sync_all(),
        }
    }

    /// Takes the space for so many bytes, so that a full disk is noticed now. Not every file system
    /// can; there only the length is set.
    pub fn allocate(&self, bytes: u64) -> io::Result<()> {
        match self {
            Self::System(file) => match fallocate(file, FallocateFlags::empty(), 0, bytes) {
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(bytes),
                other => other.map_err(io::Error::from),
            },
            Self::Simulated(file) => file.allocate(bytes),
        }
    }

    /// Cuts the file, or lengthens it with zeros.
    pub fn set_length(&self, bytes: u64) -> io::Result<()> {
        match self {
            Self::System(file) => file.set_len(bytes),
            Self::Simulated(file) => file.set_length(bytes),
        }
    }

    /// Its length in bytes.
    pub fn length(&self) -> io::Result<u64> {
        match self {
            Self::System(file) => file.metadata().map(|metadata| metadata.len()),
            Self::Simulated(file) => file.length(),
        }
    }

    /// Locks the file against other processes; `false` if one of them has it.
    pub fn try_lock(&self) -> io::Result<bool> {
        match self {
            Self::System(file) => match flock(file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => Ok(true),
                Err(Errno::WOULDBLOCK) => Ok(false),
                Err(errno) => Err(errno.into()),
            },
            Self::Simulated(file) => file.try_lock(),
        }
    }

    /// Lets others lock it.
    pub fn unlock(&self) -> io::Result<()> {
        match self {
            Self::System(file) => flock(file, FlockOperation::Unlock).map_err(io::Error::from),
            Self::Simulated(file) => file.unlock(),
        }
    }
}
