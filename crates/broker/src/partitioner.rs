//! Which partition a message goes to, for producers that do not choose: by hash, range, list, or in
//! turn. Set per topic (`entrepot.partitioner`).

use std::sync::atomic::{AtomicU32, Ordering};

/// How keys map to partitions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Partitioner {
    /// By the key's hash, the same one that producers use by default, so that a key lands where
    /// they would put it. Messages without a key go in turn.
    #[default]
    Hash,
    /// In turn, whatever the key.
    RoundRobin,
    /// By the key's place in an order: keys below the first bound go to partition 0, below the
    /// second to 1, and so on; the others to the partition after the last bound.
    Range(Vec<Vec<u8>>),
    /// By name: each listed key has its partition; the others go by hash.
    List(Vec<(Vec<u8>, u32)>),
}

/// Why a text is not a partitioner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a partitioner: use hash, round-robin, range:<bound>,<bound>… or list:<key>=<partition>,…"
)]
pub struct NotAPartitioner(String);

impl Partitioner {
    /// From its configuration value: `hash`, `round-robin`, `range:f,m,t` (four partitions) or
    /// `list:red=0,green=1`. Bounds must ascend.
    ///
    /// # Errors
    /// When the text is none of these.
    pub fn parse(text: &str) -> Result<Self, NotAPartitioner> {
        let wrong = || NotAPartitioner(text.to_owned());
        match text.split_once(':') {
            None if text == "hash" => Ok(Self::Hash),
            None if text == "round-robin" => Ok(Self::RoundRobin),
            Some(("range", bounds)) => {
                let bounds: Vec<_> = bounds.split(',').map(|b| b.as_bytes().to_vec()).collect();
                let ascending = bounds.windows(2).all(|pair| pair.first() < pair.last());
                let named = bounds.iter().all(|bound| !bound.is_empty());
                if ascending && named { Ok(Self::Range(bounds)) } else { Err(wrong()) }
            }
            Some(("list", entries)) => {
                let entry = |entry: &str| {
                    let (key, partition) = entry.rsplit_once('=')?;
                    Some((key.as_bytes().to_vec(), partition.parse().ok()?))
                };
                let entries = entries.split(',').map(entry).collect::<Option<Vec<_>>>();
                entries.map(Self::List).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }

    /// The partition for a message, of `partitions` (at least one). `turn` counts the messages
    /// that go in turn.
    pub fn pick(&self, key: Option<&[u8]>, partitions: u32, turn: &AtomicU32) -> u32 {
        let last = partitions.max(1) - 1;
        let in_turn = || turn.fetch_add(1, Ordering::Relaxed) % (last + 1);
        let Some(key) = key else { return in_turn() };
        match self {
            Self::RoundRobin => in_turn(),
            Self::Hash => hash_partition(key, last + 1),
            Self::Range(bounds) => {
                let place = bounds.partition_point(|bound| bound.as_slice() <= key);
                u32::try_from(place).unwrap_or(u32::MAX).min(last)
            }
            Self::List(entries) => match entries.iter().find(|(listed, _)| listed == key) {
                Some((_, partition)) => (*partition).min(last),
                None => hash_partition(key, last + 1),
            },
        }
    }
}

/// The partition of a key by hash.
pub fn hash_partition(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions.max(1)
}

/// MurmurHash2, 32 bits, seeded as common clients seed it.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    let mut hash = SEED ^ u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut word = [0; 4];
        word.copy_from_slice(chunk);
        let mut k = u32::from_le_bytes(word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let tail = chunks.remainder();
    if !tail.is_empty() {
        for (place, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values published with the hash that common producers use: a key must land where they would
    /// put it.
    #[test]
    fn hash_is_the_one_that_producers_use() {
        let known: [(&[u8], i32); 7] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
            (b"", 275_646_681),
        ];
        for (key, hash) in known {
            assert_eq!(murmur2(key).cast_signed(), hash, "{}", String::from_utf8_lossy(key));
        }
    }

    #[test]
    fn keys_without_partitioner_go_in_turn() {
        let turn = AtomicU32::new(0);
        let picked: Vec<_> = (0..6).map(|_| Partitioner::Hash.pick(None, 3, &turn)).collect();
        assert_eq!(picked, [0, 1, 2, 0, 1, 2]);
        let picked: Vec<_> =
            (0..3).map(|_| Partitioner::RoundRobin.pick(Some(b"same"), 3, &turn)).collect();
        assert_eq!(picked, [0, 1, 2]);
    }

    #[test]
    fn ranges_and_lists_place_keys() {
        let turn = AtomicU32::new(0);
        let range = Partitioner::parse("range:f,m").unwrap();
        let place = |key: &str| range.pick(Some(key.as_bytes()), 3, &turn);
        assert_eq!([place("a"), place("f"), place("lz"), place("m"), place("z")], [0, 1, 1, 2, 2]);
        let list = Partitioner::parse("list:red=2,a=b=1").unwrap();
        assert_eq!(list.pick(Some(b"red"), 3, &turn), 2);
        assert_eq!(list.pick(Some(b"a=b"), 3, &turn), 1);
        assert_eq!(list.pick(Some(b"red"), 2, &turn), 1, "never past the last partition");
        assert_eq!(list.pick(Some(b"blue"), 3, &turn), hash_partition(b"blue", 3));
        for wrong in ["", "hash:x", "range:", "range:m,f", "list:red", "list:red=x", "sticky"] {
            assert!(Partitioner::parse(wrong).is_err(), "{wrong}");
        }
    }
}
