//! Reading by somebody who comes back: only the partitions that have news are looked at, so that
//! thousands of idle ones cost nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use store::{News, Seen, Watching};
use tokio::time::Instant;

use super::fetch::{Outcome, is_enough};
use crate::{Broker, Fetch, FetchLimits};

/// Positions in many partitions, each in a slot that its owner chose.
///
/// A position *rests* when all of it was read; its partition tells when it changes. Whatever else
/// moves a partition (another owner, its deletion) must wake its log, too.
#[derive(Debug, Default)]
pub struct Reader {
    /// By slot.
    places: Vec<Option<Place>>,
    /// The slots that do not rest, by their turns.
    awake: BTreeMap<u64, usize>,
    /// The next turn. A position that was served goes to the end, so that none starves.
    turns: u64,
    news: Arc<News>,
}

#[derive(Debug)]
struct Place {
    entry: Fetch,
    turn: u64,
    /// On its log, while it rests or a read waits.
    watching: Option<Watching>,
}

impl Reader {
    /// Puts a position into a slot, and looks at it the next time. A new one is the last in turn.
    /// Slots should be small numbers.
    pub fn set(&mut self, slot: usize, entry: Fetch) {
        if self.places.len() <= slot {
            self.places.resize_with(slot + 1, || None);
        }
        let Some(place) = self.places.get_mut(slot) else { return };
        let turn = place.as_ref().map_or(self.turns, |place| place.turn);
        self.turns += u64::from(place.is_none());
        *place = Some(Place { entry, turn, watching: None });
        self.awake.insert(turn, slot);
    }

    /// Empties a slot.
    pub fn remove(&mut self, slot: usize) {
        if let Some(place) = self.places.get_mut(slot).and_then(Option::take) {
            self.awake.remove(&place.turn);
        }
    }

    /// How many do not rest.
    #[cfg(test)]
    pub(crate) fn awake(&self) -> usize {
        self.awake.len()
    }

    fn place(&mut self, slot: usize) -> Option<&mut Place> {
        self.places.get_mut(slot)?.as_mut()
    }

    /// Wakes those that have news. One that was emptied meanwhile has none.
    fn wake(&mut self) {
        for slot in self.news.take() {
            if let Some(turn) = self.place(slot).map(|place| place.turn) {
                self.awake.insert(turn, slot);
            }
        }
    }

    /// Has the partition tell when it is not as it was `seen` any more.
    fn watch(&mut self, slot: usize, seen: &Seen) {
        let news = Arc::clone(&self.news);
        if let Some(place) = self.place(slot)
            && let Some(log) = place.entry.topic.log(place.entry.partition)
        {
            // The former watch first, or both would tell.
            place.watching = None;
            place.watching = Some(log.watch_once(seen, &news, slot));
        }
    }

    /// After a read: what was read to its end rests; if the read `waits`, all are watched.
    fn settle(&mut self, slot: usize, outcome: &Outcome, committed: bool, waits: bool) {
        let Ok(fetched) = outcome else { return };
        let Some(place) = self.place(slot) else { return };
        let (turn, offset) = (place.turn, place.entry.offset);
        let rests = offset >= if committed { fetched.stable } else { fetched.read.end };
        if rests {
            self.awake.remove(&turn);
        }
        if rests || waits {
            let (start, end) = (fetched.read.start, fetched.read.end);
            // The stable end was asked for before the others: what was appended in between is in them already, and none of
            // it was read.
            self.watch(slot, &Seen { start, end, stable: fetched.stable });
        }
    }

    /// What was served is last in turn.
    fn move_to_end(&mut self, slot: usize) {
        let last = self.turns;
        let Some(place) = self.place(slot) else { return };
        let turn = std::mem::replace(&mut place.turn, last);
        self.turns += 1;
        if self.awake.remove(&turn).is_some() {
            self.awake.insert(last, slot);
        }
    }
}

impl Broker {
    /// Reads like [`Broker::fetch`], but only what does not rest, in turn. One outcome for each
    /// slot that was looked at, the ones that had nothing included: their partitions may have
    /// changed all the same.
    pub async fn read(&self, reader: &mut Reader, limits: FetchLimits) -> Vec<(usize, Outcome)> {
        let deadline = Instant::now() + limits.max_wait;
        let mut seen = BTreeMap::new();
        loop {
            reader.wake();
            let entry = |(turn, slot): (&u64, &usize)| {
                let place = reader.places.get(*slot)?.as_ref()?;
                Some(((*turn, *slot), place.entry.clone()))
            };
            let (awake, entries): (Vec<(u64, usize)>, Vec<Fetch>) =
                reader.awake.iter().filter_map(entry).unzip();
            let outcomes = self.read_all(&entries, limits).await;
            let waits = !limits.max_wait.is_zero() && !is_enough(&outcomes, limits.min_bytes);
            for ((turn, slot), outcome) in awake.into_iter().zip(outcomes) {
                reader.settle(slot, &outcome, limits.committed, waits);
                seen.insert(turn, (slot, outcome));
            }
            let news = Arc::clone(&reader.news);
            if !waits || tokio::time::timeout_at(deadline, news.wait()).await.is_err() {
                break;
            }
        }
        for (slot, outcome) in seen.values() {
            if outcome.as_ref().is_ok_and(|fetched| !fetched.read.is_empty()) {
                reader.move_to_end(*slot);
                if let Some(place) = reader.place(*slot) {
                    self.inner.was_read(&place.entry, outcome);
                }
            }
        }
        seen.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use store::ReadBatches;

    use super::*;
    use crate::Message;
    use crate::tests::Fixture;
    use crate::verbs::fetch::Fetched;

    #[tokio::test]
    async fn what_is_appended_while_a_reader_looks_is_told() {
        let fixture = Fixture::start().await;
        let topic = fixture.topic("t", 1, &[]).await;
        let mut reader = Reader::default();
        let (at, max_bytes) = (Arc::clone(&topic), 1 << 20);
        reader.set(0, Fetch { topic: at, partition: 0, offset: 0, max_bytes });
        fixture.broker.publish(&topic, &[Message::default()]).await.unwrap();
        // It had asked for the stable end before that, and for the end after it.
        let read = ReadBatches { end: 1, ..ReadBatches::default() };
        let outcome = Ok(Fetched { read, stable: 0, ..Fetched::default() });
        reader.settle(0, &outcome, true, true);
        let max_wait = Duration::from_secs(60);
        let limits = FetchLimits { min_bytes: 1, max_wait, max_bytes, committed: true };
        let begun = Instant::now();
        let read = fixture.broker.read(&mut reader, limits).await;
        assert!(begun.elapsed() < max_wait, "it did not wait for a word");
        let [(0, Ok(fetched))] = &read[..] else { panic!("{read:?}") };
        assert_eq!(fetched.stable, 1);
    }
}
