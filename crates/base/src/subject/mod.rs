//! Names of what messages are about: a [`Subject`] is a list of levels, a [`Filter`] a pattern over them. Each
//! protocol writes them in its own way; [`Escape`] converts, without loss in either direction.

mod escape;
mod filter;

use std::borrow::Cow;
use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

pub use escape::{Escape, FILTERS, KEYS, NotAFilter, NotASubject, Rules, TEXT, Wildcard};
pub use filter::{Filter, Step};

/// Between levels.
const END: u8 = 0;
/// Begins the two bytes that stand for a byte which has a meaning here.
const MARK: u8 = 1;
/// What follows [`MARK`]: one of these two bytes, or a wildcard of a filter.
const IS_END: u8 = 1;
const IS_MARK: u8 = 2;
const IS_ONE: u8 = 3;
const IS_ZERO_OR_MORE: u8 = 4;
const IS_ONE_OR_MORE: u8 = 5;

/// What a message is about: at least one level, each any bytes, the empty ones too.
///
/// Held as one string of bytes: levels with a zero byte between them; inside a level, a zero byte is `1 1`
/// and a one is `1 2`. So two subjects are equal if and only if these bytes are, and most subjects are
/// a copy of what was received with another separator. A clone shares the bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Subject(Bytes);

impl Subject {
    /// The subject with these levels; without any, the one with an empty level.
    pub fn from_levels<L: AsRef<[u8]>>(levels: impl IntoIterator<Item = L>) -> Self {
        let mut bytes = BytesMut::new();
        for (number, level) in levels.into_iter().enumerate() {
            if number > 0 {
                bytes.put_u8(END);
            }
            put_level(&mut bytes, level.as_ref());
        }
        Self(bytes.freeze())
    }

    /// From [`Subject::as_bytes`]. `None` if the bytes are no subject's.
    pub fn from_bytes(bytes: Bytes) -> Option<Self> {
        let mut rest = bytes.iter();
        while let Some(byte) = rest.next() {
            if *byte == MARK && !matches!(rest.next(), Some(&(IS_END | IS_MARK))) {
                return None;
            }
        }
        Some(Self(bytes))
    }

    /// The string of bytes that it is.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same, shared.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The levels, as they are meant.
    pub fn levels(&self) -> impl Iterator<Item = Cow<'_, [u8]>> {
        self.raw_levels().map(level)
    }

    /// The levels, as they stand in the bytes: equal where the levels are.
    pub fn raw_levels(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == END)
    }

    /// Whether the first level begins with `$`: such subjects are the broker's own, and filters can be told
    /// not to match them by accident ([`Filter::skips_hidden`]).
    pub fn is_hidden(&self) -> bool {
        self.0.first() == Some(&b'$')
    }
}

/// As people read it: see [`TEXT`].
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&TEXT.name(self)))
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject({self})")
    }
}

/// Appends a level as it stands in a subject's bytes.
fn put_level(to: &mut BytesMut, level: &[u8]) {
    let mut rest = level;
    while let Some(at) = rest.iter().position(|byte| *byte <= MARK) {
        to.put_slice(&rest[..at]);
        to.put_slice(if rest[at] == END { &[MARK, IS_END] } else { &[MARK, IS_MARK] });
        rest = &rest[at + 1..];
    }
    to.put_slice(rest);
}

/// A level as it is meant, from what stands in a subject's bytes.
fn level(raw: &[u8]) -> Cow<'_, [u8]> {
    if !raw.contains(&MARK) {
        return Cow::Borrowed(raw);
    }
    let mut level = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        let meant = if byte == MARK { bytes.next().map_or(MARK, |code| code - 1) } else { byte };
        level.push(meant);
    }
    Cow::Owned(level)
}

#[cfg(test)]
mod tests;
