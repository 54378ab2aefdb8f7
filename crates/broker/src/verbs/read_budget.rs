//! How much of what was read from disk may wait in memory for clients to take it. One who asks for a
//! lot and reads nothing holds it until the door gives up on them; many of them must not hold more
//! than this together. While little is left, whoever reads gets less at once, a batch at least.

use std::sync::{Arc, LazyLock};

use base::limits::DISK_READS_HELD_MAX;
use bytes::Bytes;
use store::ReadBatches;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What permits count.
const UNIT: usize = 1024;

/// Who finds less than this free gets so much all the same.
const LEAST: usize = 64 * UNIT;

static FREE: LazyLock<Arc<Semaphore>> =
    LazyLock::new(|| Arc::new(Semaphore::new(DISK_READS_HELD_MAX / UNIT)));

/// Room for a read.
pub(super) struct Grant {
    bytes: usize,
    permit: Option<OwnedSemaphorePermit>,
}

/// Bytes and the room that they take, which is free again when nobody needs them any more.
struct Held {
    bytes: Bytes,
    _room: Arc<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Grant {
    /// Room for so many bytes, or for as many as there is room for.
    pub(super) fn of(wanted: usize) -> Self {
        Self::from(&FREE, wanted)
    }

    fn from(free: &Arc<Semaphore>, wanted: usize) -> Self {
        let mut bytes = wanted.min(DISK_READS_HELD_MAX);
        while bytes > LEAST {
            let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
            if let Ok(permit) = Arc::clone(free).try_acquire_many_owned(units) {
                return Self { bytes, permit: Some(permit) };
            }
            bytes /= 2;
        }
        Self { bytes: wanted.min(LEAST), permit: None }
    }

    /// How much may be read. One batch that is larger may be read all the same.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What was read, which holds the room that it takes; the rest is given back.
    pub(super) fn hold(self, mut read: ReadBatches) -> ReadBatches {
        let Some(mut permit) = self.permit else { return read };
        let kept = permit.split(read.len().div_ceil(UNIT).min(permit.num_permits()));
        let Some(room) = kept.map(Arc::new) else { return read };
        for slice in &mut read.slices {
            let bytes = std::mem::take(slice);
            *slice = Bytes::from_owner(Held { bytes, _room: Arc::clone(&room) });
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: usize) -> ReadBatches {
        ReadBatches { slices: vec![Bytes::from(vec![0; bytes])], ..ReadBatches::default() }
    }

    #[test]
    fn what_is_held_leaves_less_to_others_until_it_is_let_go() {
        let free = Arc::new(Semaphore::new(1024));
        let grant = Grant::from(&free, 1 << 20);
        assert_eq!((grant.bytes(), free.available_permits()), (1 << 20, 0));
        let held = grant.hold(read(700 * UNIT));
        assert_eq!(free.available_permits(), 324, "what was not read is given back");
        let part = held.slices[0].slice(5..9);
        drop(held);
        let less = Grant::from(&free, 1 << 20);
        assert_eq!(less.bytes(), 256 * UNIT, "as much as there is room for");
        let least = Grant::from(&free, 1 << 20);
        assert_eq!(least.bytes(), LEAST, "nobody gets nothing");
        assert_eq!(least.hold(read(10)).len(), 10);
        drop(part);
        drop(less);
        assert_eq!(free.available_permits(), 1024);
    }
}
