//! Where frames become durable.

use std::io;

use bytes::Bytes;

/// Takes frames in order and makes them durable. One writer thread owns it. The local write-ahead
/// log is one; an object store (one PUT a frame) is to be another.
pub trait CommitSink: Send {
    /// Makes sure that a frame of up to `bytes` can be written, with sequence number `sequence`
    /// or later. Failing here (a full disk, say) is harmless: nothing was written.
    fn reserve(&mut self, sequence: u64, bytes: usize) -> io::Result<()>;

    /// Writes a frame that was reserved for. It need not be durable yet. Any error is final: the
    /// caller stops acknowledging.
    fn write(&mut self, sequence: u64, frame: &Bytes) -> io::Result<()>;

    /// Returns once all written frames are on stable storage. Any error is final.
    fn sync(&mut self) -> io::Result<()>;

    /// Frames below this sequence number are no longer needed.
    fn release(&mut self, below: u64);

    /// Number that ties this run's frames together; part of every frame's header.
    fn incarnation(&self) -> u64;
}
