//! What is written down of sessions: records of a log that is compacted by key. All begin with a letter and the number
//! of the session, eight bytes.
//!
//! ```text
//! key                                        value
//! 's' number                                 expiry i64 (-1: never), the session's name
//! 'p' number                                 what the door wrote down
//! 'f' number skips-hidden u8 filter          no-echo u8, what the door says of it
//! 'a' number                                 floor i64, then what is settled above it: i64 each
//! ```

use base::{Filter, Millis, Offset};
use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::Interest;

/// What a record says of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stored {
    Session { id: Bytes, expires_at: Option<Millis> },
    State(Bytes),
    Filter(Filter, Interest),
    Settled { floor: Offset, above: Vec<Offset> },
}

fn key(letter: u8, number: u64) -> BytesMut {
    let mut key = BytesMut::with_capacity(64);
    key.put_u8(letter);
    key.put_u64(number);
    key
}

pub(super) fn filter_key(number: u64, filter: &Filter) -> Bytes {
    let mut key = key(b'f', number);
    key.put_u8(u8::from(filter.skips_hidden()));
    key.put_slice(filter.bytes());
    key.freeze()
}

/// The keys that every session has, but for its filters.
pub(super) fn keys_of(number: u64) -> Vec<Bytes> {
    b"spa".iter().map(|letter| key(*letter, number).freeze()).collect()
}

impl Stored {
    pub(super) fn encode(&self, number: u64) -> (Bytes, Option<Bytes>) {
        let mut value = BytesMut::new();
        let key = match self {
            Self::Session { id, expires_at } => {
                value.put_i64(expires_at.unwrap_or(-1));
                value.put_slice(id);
                key(b's', number).freeze()
            }
            Self::State(state) => {
                value.put_slice(state);
                key(b'p', number).freeze()
            }
            Self::Filter(filter, want) => {
                value.put_u8(u8::from(want.no_echo));
                value.put_slice(&want.options);
                filter_key(number, filter)
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
            b's' if value.len() >= 8 => {
                let expires_at = Some(value.get_i64()).filter(|at| *at >= 0);
                Self::Session { id: value, expires_at }
            }
            b'p' => Self::State(value),
            b'f' if !key.is_empty() && !value.is_empty() => {
                let skips = key.get_u8() == 1;
                let filter = Filter::from_bytes(key)?.skipping_hidden(skips);
                let no_echo = value.get_u8() == 1;
                Self::Filter(filter, Interest { options: value, no_echo })
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
