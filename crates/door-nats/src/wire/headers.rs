//! The header block of a message: `NATS/1.0`, then lines `Name: value`, then an empty line (ADR-4).

/// What every block begins with.
const VERSION: &[u8] = b"NATS/1.0";

/// The fields of a block, in order, duplicates included. Lines that are no fields are passed over, for
/// a publisher's block is not checked when it arrives.
pub(crate) fn fields(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut lines = lines(block);
    let has_version = lines.next().is_some_and(|first| first.starts_with(VERSION));
    lines.take_while(|line| !line.is_empty()).filter(move |_| has_version).filter_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        (!name.is_empty()).then(|| (name, value.trim_ascii()))
    })
}

fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    block.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// Whether a field can be written: what would end its line, or be taken for another name, cannot.
pub(crate) fn is_writable(name: &[u8], value: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_graphic() && *byte != b':';
    let ends = |byte: &u8| matches!(byte, b'\r' | b'\n');
    !name.is_empty()
        && name.iter().all(is_name)
        && !value.iter().any(ends)
        && value.trim_ascii().len() == value.len()
}

/// A block that is being written.
#[derive(Debug)]
pub(crate) struct Block<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Block<'a> {
    /// Begins one.
    pub(crate) fn begin(out: &'a mut Vec<u8>) -> Self {
        out.extend_from_slice(VERSION);
        out.extend_from_slice(b"\r\n");
        Self { out }
    }

    /// Begins one with a status.
    pub(crate) fn with_status(status: &[u8], out: &'a mut Vec<u8>) -> Self {
        out.extend_from_slice(VERSION);
        out.push(b' ');
        out.extend_from_slice(status);
        out.extend_from_slice(b"\r\n");
        Self { out }
    }

    /// Adds a field. It must be writable.
    pub(crate) fn field(&mut self, name: &[u8], value: &[u8]) {
        self.out.extend_from_slice(name);
        self.out.extend_from_slice(b": ");
        self.out.extend_from_slice(value);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Ends it.
    pub(crate) fn end(self) {
        self.out.extend_from_slice(b"\r\n");
    }
}
