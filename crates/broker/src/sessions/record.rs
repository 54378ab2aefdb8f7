//! What is written down of sessions: records of a log that is compacted by key. All begin with a letter and the number
//! of the session, eight bytes.
//!
//! ```text
//! key                                        value
//! 's' number                                 expires-at i64, keep i64 (-1: never, for ever), sent i64, the session's name
//! 'p' number                                 what the door wrote down
//! 'f' number skips-hidden u8 group filter    no-echo and waits, bits of a u8; what the door says of it
//! 'a' number                                 floor i64, then what is settled above it: i64 each
//! ```
//!
//! What is before `sent` in the queue may have been sent; -1 while the session has a connection. A group is its length plus one in two bytes, and its name; none is two zero bytes. `'t'`, the number of a topic
//! (sixteen bytes) and a partition (i32) say up to which offset (i64) its records were forwarded to sessions.

use base::{Filter, Millis, Offset};
use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Interest, Wanted};

/// What a record says of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stored {
    Session { id: Bytes, expires_at: Option<Millis>, keep: Option<Millis>, sent: Option<Offset> },
    State(Bytes),
    Filter(Wanted, Interest),
    Settled { floor: Offset, above: Vec<Offset> },
}

fn key(letter: u8, number: u64) -> BytesMut {
    let mut key = BytesMut::with_capacity(64);
    key.put_u8(letter);
    key.put_u64(number);
    key
}

pub(super) fn filter_key(number: u64, wanted: &Wanted) -> Bytes {
    let mut key = key(b'f', number);
    key.put_u8(u8::from(wanted.filter.skips_hidden()));
    let group = wanted.group.as_ref();
    // No protocol has longer ones.
    let length = group.map_or(0, |name| u16::try_from(name.len() + 1).unwrap_or(u16::MAX));
    key.put_u16(length);
    let kept = usize::from(length).saturating_sub(1);
    key.put_slice(group.and_then(|name| name.get(..kept)).unwrap_or_default());
    key.put_slice(wanted.filter.bytes());
    key.freeze()
}

/// Bits of what is said of a filter.
const NO_ECHO: u8 = 1;
const WAITS: u8 = 2;

/// The keys that every session has, but for its filters.
pub(super) fn keys_of(number: u64) -> Vec<Bytes> {
    b"spa".iter().map(|letter| key(*letter, number).freeze()).collect()
}

impl Stored {
    pub(super) fn encode(&self, number: u64) -> (Bytes, Option<Bytes>) {
        let mut value = BytesMut::new();
        let key = match self {
            Self::Session { id, expires_at, keep, sent } => {
                value.put_i64(expires_at.unwrap_or(-1));
                value.put_i64(keep.unwrap_or(-1));
                value.put_i64(sent.unwrap_or(-1));
                value.put_slice(id);
                key(b's', number).freeze()
            }
            Self::State(state) => {
                value.put_slice(state);
                key(b'p', number).freeze()
            }
            Self::Filter(wanted, interest) => {
                let no_echo = if interest.no_echo { NO_ECHO } else { 0 };
                value.put_u8(no_echo | if interest.waits { WAITS } else { 0 });
                value.put_slice(&interest.options);
                filter_key(number, wanted)
            }
            Self::Settled { floor, above } => {
                value.put_i64(*floor);
                above.iter().for_each(|offset| value.put_i64(*offset));
                key(b'a', number).freeze()
            }
        };
        (key, Some(value.freeze()))
    }

    /// The session's number, and what is said of it. `None`: not written by us.
    pub(super) fn decode(key: &Bytes, mut value: Bytes) -> Option<(u64, Self)> {
        let mut key = key.clone();
        if key.len() < 9 {
            return None;
        }
        let (letter, number) = (key.get_u8(), key.get_u64());
        let stored = match letter {
            b's' if value.len() >= 24 => {
                let expires_at = Some(value.get_i64()).filter(|at| *at >= 0);
                let keep = Some(value.get_i64()).filter(|keep| *keep >= 0);
                let sent = Some(value.get_i64()).filter(|sent| *sent >= 0);
                Self::Session { id: value, expires_at, keep, sent }
            }
            b'p' => Self::State(value),
            b'f' if key.len() >= 3 && !value.is_empty() => {
                let skips = key.get_u8() == 1;
                let group = match usize::from(key.get_u16()) {
                    0 => None,
                    length if length <= key.len() + 1 => Some(key.split_to(length - 1)),
                    _ => return None,
                };
                let filter = Filter::from_bytes(key)?.skipping_hidden(skips);
                let bits = value.get_u8();
                let (no_echo, waits) = (bits & NO_ECHO != 0, bits & WAITS != 0);
                Self::Filter(Wanted { filter, group }, Interest { options: value, no_echo, waits })
            }
            b'a' if value.len() >= 8 && value.len().is_multiple_of(8) => {
                let floor = value.get_i64();
                let above = std::iter::from_fn(|| value.has_remaining().then(|| value.get_i64()));
                Self::Settled { floor, above: above.collect() }
            }
            _ => return None,
        };
        Some((number, stored))
    }
}
