//! What the broker sends.

use super::{Version, escape};

/// A frame that is being written.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    version: Version,
}

impl<'a> Writer<'a> {
    /// Begins a `MESSAGE`, `RECEIPT` or `ERROR`.
    pub(crate) fn begin(command: &str, version: Version, out: &'a mut Vec<u8>) -> Self {
        out.extend_from_slice(command.as_bytes());
        out.push(b'\n');
        Self { out, version }
    }

    /// Begins `CONNECTED`, in which nothing is escaped.
    pub(crate) fn connected(out: &'a mut Vec<u8>) -> Self {
        Self::begin("CONNECTED", Version::V1_0, out)
    }

    /// Adds a header; not one with a zero byte, with which the frame would end for clients that look for one.
    #[must_use]
    pub(crate) fn header(self, name: &[u8], value: &[u8]) -> Self {
        if [name, value].iter().any(|text| memchr::memchr(0, text).is_some()) {
            return self;
        }
        escape::encode(self.version, name, self.out);
        self.out.push(b':');
        escape::encode(self.version, value, self.out);
        self.out.push(b'\n');
        self
    }

    /// Ends it with a body, whose length is said: it may have zero bytes in it.
    pub(crate) fn body(self, body: &[u8]) {
        let ended = self.header(b"content-length", body.len().to_string().as_bytes());
        ended.out.push(b'\n');
        ended.out.extend_from_slice(body);
        ended.out.push(0);
        ended.out.push(b'\n');
    }

    /// Ends it without a body.
    pub(crate) fn end(self) {
        self.out.extend_from_slice(b"\n\0\n");
    }
}

/// Adds a header to lines that are kept, for [`super::parse::Headers::kept`]: as 1.2 writes them.
pub(crate) fn put_line(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    escape::encode(Version::V1_2, name, out);
    out.push(b':');
    escape::encode(Version::V1_2, value, out);
    out.push(b'\n');
}

/// A heart-beat.
pub(crate) const BEAT: &[u8] = b"\n";
