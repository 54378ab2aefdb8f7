//! Datagrams that are to be sent, one behind the other in one buffer, which is used again.

use crate::limits::DATAGRAM_BYTES_MAX;
use crate::remote::Remote;

/// What of the buffer is kept for what comes next.
const KEPT_BYTES: usize = 2 * DATAGRAM_BYTES_MAX;

/// Datagrams and whom they are for, in the order in which they are sent.
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    /// Whom each is for, and where it ends.
    all: Vec<(Remote, usize)>,
}

impl Output {
    /// Adds a datagram.
    pub(super) fn put(&mut self, to: Remote, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.all.push((to, self.bytes.len()));
    }

    /// Adds one that is written here, unless its writer says that it is not to be sent: whether it is.
    pub(super) fn write(&mut self, to: Remote, write: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        let from = self.bytes.len();
        let is_wanted = write(&mut self.bytes);
        match is_wanted {
            true => self.all.push((to, self.bytes.len())),
            false => self.bytes.truncate(from),
        }
        is_wanted
    }

    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Remote, &[u8])> {
        self.all.iter().scan(0, |from, (to, end)| {
            let bytes = self.bytes.get(*from..*end).unwrap_or_default();
            *from = *end;
            Some((*to, bytes))
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.all.clear();
    }
}
