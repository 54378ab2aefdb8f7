//! A connection on which one thing is said after the other.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of one answer that are believed: ours are small.
const ANSWER_BYTES_MAX: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Link {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Link {
    pub(super) fn open(address: &str) -> io::Result<Self> {
        let stream = connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, read: Vec::new() })
    }

    /// How long an answer may take, if not as long as usual.
    pub(super) fn be_patient(&mut self, patience: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(patience))
    }

    pub(super) fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// So many bytes. What has come of them by the time that patience ends is there for the next time.
    pub(super) fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.read.len() < count {
            self.more()?;
        }
        Ok(self.read.drain(..count).collect())
    }

    /// Everything up to and with this byte.
    pub(super) fn until(&mut self, last: u8) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.read.iter().position(|byte| *byte == last) {
                return Ok(self.read.drain(..=at).collect());
            }
            self.more()?;
        }
    }

    fn more(&mut self) -> io::Result<()> {
        let mut space = [0; 4096];
        let count = self.stream.read(&mut space)?;
        if count == 0 || self.read.len() > ANSWER_BYTES_MAX {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.read.extend_from_slice(&space[..count]);
        Ok(())
    }
}

/// Connects to the first of a name's addresses that answers.
pub(super) fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::from(ErrorKind::NotFound);
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Nothing came in time.
pub(super) fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// The peer did not say what it should have.
pub(super) fn unexpected(what: &str, said: &[u8]) -> io::Error {
    let said = &said[..said.len().min(200)];
    io::Error::new(ErrorKind::InvalidData, format!("{what}: {}", said.escape_ascii()))
}
