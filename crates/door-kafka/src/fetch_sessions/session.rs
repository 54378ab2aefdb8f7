//! One fetch session: what its client reads, and what it was told last.

use std::collections::{BTreeSet, HashMap};

use base::Offset;
use broker::access::Grounds;
use broker::{Broker, Fetch, FetchLimits, Fetched, Reader};

use crate::map;
use crate::wire::fetch::{FetchPartition, FetchTopic, FetchedTopic, ForgottenTopic};
use crate::wire::{ErrorCode, Str};

/// A topic as its client names it: by name, or by id.
pub(crate) type TopicKey = (Str, [u8; 16]);

/// One outcome that a client must be told.
pub(crate) struct Told {
    pub(crate) topic: TopicKey,
    pub(crate) index: i32,
    pub(crate) outcome: Result<Fetched, ErrorCode>,
}

/// A client's partitions.
#[derive(Debug, Default)]
pub(crate) struct Session {
    by_id: bool,
    slots: HashMap<TopicKey, HashMap<i32, usize>>,
    parts: Vec<Option<Part>>,
    /// Empty slots.
    free: Vec<usize>,
    /// What can be read. The partitions have the slots that they have here.
    reader: Reader,
    /// Slots of partitions that are looked up, again, before the next read: new ones, and those
    /// that cannot be read.
    doubtful: BTreeSet<usize>,
    /// What it rested on that the others may be read.
    grounds: Option<Grounds>,
}

#[derive(Debug)]
struct Part {
    topic: TopicKey,
    asked: FetchPartition,
    /// Its high watermark and its first offset, as the client knows them.
    known: Option<(Offset, Offset)>,
}

impl Session {
    /// With the partitions of a first request.
    pub(crate) fn new(by_id: bool, topics: &[FetchTopic]) -> Self {
        let mut session = Self { by_id, ..Self::default() };
        session.put(topics);
        session
    }

    pub(crate) fn by_id(&self) -> bool {
        self.by_id
    }

    /// How many partitions it has.
    pub(crate) fn len(&self) -> usize {
        self.parts.len() - self.free.len()
    }

    /// Adds partitions, or changes what is asked of them.
    pub(crate) fn put(&mut self, topics: &[FetchTopic]) {
        for topic in topics {
            let key = self.key(&topic.name, topic.topic_id);
            for asked in &topic.partitions {
                let slot = self.slot(&key, asked.index);
                let former = self.parts.get_mut(slot).and_then(Option::take);
                let known = former.and_then(|part| part.known);
                let part = Part { topic: key.clone(), asked: asked.clone(), known };
                if let Some(place) = self.parts.get_mut(slot) {
                    *place = Some(part);
                }
                self.doubtful.insert(slot);
            }
        }
    }

    /// The key of a topic. Names are copied once: a slice would keep its whole frame.
    fn key(&self, name: &Str, id: [u8; 16]) -> TopicKey {
        match self.slots.get_key_value(&(name.clone(), id)) {
            Some((known, _)) => known.clone(),
            None => (Str::from(name.as_str()), id),
        }
    }

    fn slot(&mut self, topic: &TopicKey, index: i32) -> usize {
        let indexes = self.slots.entry(topic.clone()).or_default();
        *indexes.entry(index).or_insert_with(|| {
            self.free.pop().unwrap_or_else(|| {
                self.parts.push(None);
                self.parts.len() - 1
            })
        })
    }

    /// Drops partitions.
    pub(crate) fn forget(&mut self, topics: &[ForgottenTopic]) {
        for topic in topics {
            let key = (topic.name.clone(), topic.topic_id);
            let Some(indexes) = self.slots.get_mut(&key) else { continue };
            for index in &topic.partitions {
                let Some(slot) = indexes.remove(index) else { continue };
                if let Some(place) = self.parts.get_mut(slot) {
                    *place = None;
                }
                self.free.push(slot);
                self.reader.remove(slot);
                self.doubtful.remove(&slot);
            }
            if indexes.is_empty() {
                self.slots.remove(&key);
            }
        }
    }

    /// Notes what the answer to the first request says, so that it is not said again.
    pub(crate) fn note(&mut self, topics: &[FetchedTopic]) {
        for topic in topics {
            let Some(indexes) = self.slots.get(&(topic.name.clone(), topic.topic_id)) else {
                continue;
            };
            for told in &topic.partitions {
                let slot = indexes.get(&told.index);
                let part = slot.and_then(|slot| self.parts.get_mut(*slot)?.as_mut());
                if let Some(part) = part
                    && told.error_code == ErrorCode::None.number()
                {
                    part.known = Some((told.high_watermark, told.log_start_offset));
                }
            }
        }
    }

    /// Reads what may have changed; returns what the client must be told.
    pub(crate) async fn read(
        &mut self,
        broker: &Broker,
        grounds: Grounds,
        limits: FetchLimits,
        find: impl Fn(&TopicKey, &FetchPartition) -> Result<Fetch, ErrorCode>,
    ) -> Vec<Told> {
        let mut told = Vec::new();
        if self.grounds.as_ref() != Some(&grounds) {
            // Other rules, or somebody else: what was allowed may not be.
            let parts = self.parts.iter().enumerate();
            self.doubtful.extend(parts.filter_map(|(slot, part)| part.as_ref().map(|_| slot)));
            self.grounds = Some(grounds);
        }
        self.look_up(find, &mut told);
        // An error is told at once, not after the wait.
        let max_wait = if told.is_empty() { limits.max_wait } else { std::time::Duration::ZERO };
        let read = broker.read(&mut self.reader, FetchLimits { max_wait, ..limits }).await;
        for (slot, outcome) in read {
            let Some(part) = self.parts.get_mut(slot).and_then(Option::as_mut) else { continue };
            let state = outcome.as_ref().ok().map(|f| (f.read.end, f.read.start));
            let is_news = state.is_none() || state != part.known;
            part.known = state;
            let has_records = outcome.as_ref().is_ok_and(|fetched| !fetched.read.is_empty());
            if outcome.is_err() {
                // It may be gone: the next request looks it up.
                self.doubtful.insert(slot);
            }
            if is_news || has_records {
                let (topic, index) = (part.topic.clone(), part.asked.index);
                let outcome = outcome.map_err(|error| map::fetch_error(&error));
                told.push(Told { topic, index, outcome });
            }
        }
        told
    }

    /// Looks up what is new or could not be read the last time.
    fn look_up(
        &mut self,
        find: impl Fn(&TopicKey, &FetchPartition) -> Result<Fetch, ErrorCode>,
        told: &mut Vec<Told>,
    ) {
        let Self { parts, reader, doubtful, .. } = self;
        doubtful.retain(|slot| {
            let Some(part) = parts.get_mut(*slot).and_then(Option::as_mut) else { return false };
            match find(&part.topic, &part.asked) {
                Ok(entry) => {
                    reader.set(*slot, entry);
                    false
                }
                Err(code) => {
                    reader.remove(*slot);
                    part.known = None;
                    let (topic, index) = (part.topic.clone(), part.asked.index);
                    told.push(Told { topic, index, outcome: Err(code) });
                    true
                }
            }
        });
    }
}
