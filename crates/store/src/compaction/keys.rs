//! The newest offset of every key, in a table of bounded size.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;

use base::Offset;

use crate::options::KEY_BYTES;

/// No record has it.
const EMPTY: Offset = -1;

/// A key, as 128 bits that nobody outside can foresee: two keyed hashes. That two of a billion keys
/// get the same has a chance of less than one in 10^20.
type Print = [u64; 2];

/// Maps keys to offsets. Open addressing with linear probing, at most nine tenths full.
#[derive(Debug)]
pub(super) struct Keys {
    slots: Vec<(Print, Offset)>,
    used: usize,
    most: usize,
    hashers: [RandomState; 2],
}

const _: () = assert!(size_of::<(Print, Offset)>() == KEY_BYTES);

impl Keys {
    /// A table for `wanted` keys, or for fewer if they would take more than `bytes_max`.
    pub(super) fn new(wanted: u64, bytes_max: usize) -> io::Result<Self> {
        let allowed = (bytes_max / KEY_BYTES).max(2);
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        let count = wanted.saturating_add(wanted / 9).saturating_add(2).min(allowed);
        let mut slots = Vec::new();
        slots.try_reserve_exact(count).map_err(|_| io::ErrorKind::OutOfMemory)?;
        slots.resize(count, ([0; 2], EMPTY));
        let most = (count - count.div_ceil(10)).max(1);
        Ok(Self { slots, used: 0, most, hashers: [RandomState::new(), RandomState::new()] })
    }

    /// Remembers a newer offset of a key. `false` if there is no room for another key.
    pub(super) fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        let print = self.print(key);
        let at = self.find(&print);
        let full = self.used >= self.most;
        let Some(slot) = self.slots.get_mut(at) else { return false };
        if slot.1 == EMPTY {
            if full {
                return false;
            }
            self.used += 1;
        }
        *slot = (print, offset);
        true
    }

    /// The offset that was put last for a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<Offset> {
        let (_, offset) = self.slots.get(self.find(&self.print(key)))?;
        Some(*offset).filter(|offset| *offset != EMPTY)
    }

    fn print(&self, key: &[u8]) -> Print {
        let [first, second] = &self.hashers;
        [first.hash_one(key), second.hash_one(key)]
    }

    /// The key's slot, or the empty one where it would go. There always is an empty one.
    fn find(&self, print: &Print) -> usize {
        let count = self.slots.len();
        let scaled = (u128::from(print[0]) * count as u128) >> 64;
        let mut at = usize::try_from(scaled).unwrap_or(0);
        while self.slots.get(at).is_some_and(|(held, at)| *at != EMPTY && held != print) {
            at = (at + 1) % count;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_offset_of_each_key_is_found() {
        let mut keys = Keys::new(1000, usize::MAX).unwrap();
        for offset in 0..3000i64 {
            assert!(keys.put(&(offset % 1000).to_be_bytes(), offset));
        }
        for key in 0..1000i64 {
            assert_eq!(keys.get(&key.to_be_bytes()), Some(2000 + key));
        }
        assert_eq!(keys.get(b"another"), None);
        assert_eq!(keys.used, 1000);
    }

    #[test]
    fn a_full_table_takes_no_new_key_but_newer_offsets() {
        for bytes in [0, 5 * KEY_BYTES, 100 * KEY_BYTES] {
            let mut keys = Keys::new(u64::MAX, bytes).unwrap();
            let held = (0..i64::MAX).find(|key| !keys.put(&key.to_be_bytes(), 1)).unwrap();
            assert!(held >= 1, "every round gets on");
            assert!(keys.slots.len() * KEY_BYTES <= bytes.max(2 * KEY_BYTES));
            assert!(keys.put(&0i64.to_be_bytes(), 5));
            assert_eq!(keys.get(&0i64.to_be_bytes()), Some(5));
            assert_eq!(keys.get(&held.to_be_bytes()), None);
        }
    }
}
