//! What was found lately, for everybody: a subject that many publish to is looked up once.

use std::collections::HashMap;
use std::sync::Arc;

use base::Subject;
use parking_lot::Mutex;

use crate::Matches;
use crate::hash::Seeded;

const SHARDS: usize = 64;
/// Subjects of a shard. When it is full it is emptied: what is in use comes back at once.
const SUBJECTS: usize = 1024;
/// Longer subjects are looked up each time.
const SUBJECT_BYTES_MAX: usize = 1024;

type Shard<S> = HashMap<Subject, (u64, Arc<Matches<S>>), Seeded>;

#[derive(Debug)]
pub(crate) struct Cache<S> {
    shards: Box<[Mutex<Shard<S>>]>,
    seed: Seeded,
}

impl<S> Cache<S> {
    pub(crate) fn new(seed: Seeded) -> Self {
        let shard = |_| Mutex::new(HashMap::with_hasher(seed));
        Self { shards: (0..SHARDS).map(shard).collect(), seed }
    }

    fn shard(&self, subject: &Subject) -> Option<&Mutex<Shard<S>>> {
        let hash = self.seed.of(subject.as_bytes()) >> 32;
        let shard = usize::try_from(hash).unwrap_or_default() % SHARDS;
        self.shards.get(shard).filter(|_| subject.as_bytes().len() <= SUBJECT_BYTES_MAX)
    }

    pub(crate) fn get(&self, subject: &Subject, stamp: u64) -> Option<Arc<Matches<S>>> {
        let shard = self.shard(subject)?.lock();
        let (known, matches) = shard.get(subject)?;
        (*known == stamp).then(|| Arc::clone(matches))
    }

    pub(crate) fn put(&self, subject: &Subject, stamp: u64, matches: &Arc<Matches<S>>) {
        let Some(shard) = self.shard(subject) else { return };
        let mut gone = None;
        let mut shard = shard.lock();
        if shard.len() >= SUBJECTS && !shard.contains_key(subject) {
            gone = Some(std::mem::replace(&mut *shard, HashMap::with_hasher(self.seed)));
        }
        let old = shard.insert(subject.clone(), (stamp, Arc::clone(matches)));
        drop(shard);
        // Without the lock: subscribers may end with it.
        drop((gone, old));
    }

    pub(crate) fn forget(&self, subject: &Subject) {
        let forgotten = self.shard(subject).and_then(|shard| shard.lock().remove(subject));
        drop(forgotten);
    }
}
