//! Looking at messages, which stay as they are.

use std::sync::Arc;

use base::{Millis, Offset};

use super::lane::Item;
use super::queue::Queue;
use super::types::{Delivered, QueueError};

/// Most messages that are looked at at once, …
pub(super) const MESSAGES_MAX: usize = 1000;
/// … and most bytes of their payloads, but for the last one.
const BYTES_MAX: u64 = 4 << 20;
/// Bytes that are read at once.
const READ_BYTES: usize = 256 * 1024;

impl Queue {
    /// The first messages that are ready, in the order in which they would be delivered, as far as consumers leave it at
    /// that: so many, 1,000 at most, or fewer where they take more than four megabytes. Nothing becomes of them: nobody has
    /// them, so that their ids settle nothing, and it does not count as a delivery. A queue that is paused shows them, too.
    ///
    /// # Errors
    /// [`QueueError::NotFound`], [`QueueError::Unavailable`].
    pub async fn peek(self: &Arc<Self>, most: usize) -> Result<Vec<Delivered>, QueueError> {
        let most = most.min(MESSAGES_MAX);
        let (count, first) = {
            let state = self.state.lock();
            if state.is_deleted {
                return Err(QueueError::NotFound);
            }
            // A stream has none, and one log.
            (state.lanes.len().max(1), state.next_lane)
        };
        let by_priority = self.spec().settings.priorities > 0;
        let (mut lanes, mut left) = (Vec::with_capacity(count), most);
        for step in 0..count {
            let lane = if by_priority { count - 1 - step } else { (first + step) % count };
            let Ok(lane) = u16::try_from(lane) else { continue };
            let found = self.peek_lane(lane, left).await?;
            if by_priority {
                left -= found.len();
            }
            lanes.push(found.into_iter());
        }
        if by_priority {
            return Ok(lanes.into_iter().flatten().collect());
        }
        // One of each in turn, as they are delivered.
        let mut all = Vec::new();
        while all.len() < most {
            let before = all.len();
            all.extend(lanes.iter_mut().filter_map(Iterator::next));
            if all.len() == before {
                break;
            }
        }
        all.truncate(most);
        Ok(all)
    }

    async fn peek_lane(&self, number: u16, most: usize) -> Result<Vec<Delivered>, QueueError> {
        let mut shown = Shown { all: Vec::new(), most, bytes: 0, now: self.now() };
        if let Some(stream) = &self.stream {
            let mut from = 0;
            while let Some(reading) = stream.reading(from).filter(|_| shown.has_room()) {
                let (items, next) = self.read_log(&reading, READ_BYTES).await?.into_items();
                items.iter().for_each(|(at, item)| shown.add(self, 0, *at, item, 0));
                from = next.max(reading.from + 1);
            }
            return Ok(shown.all);
        }
        let mut from = 0;
        while shown.has_room() {
            let reading = {
                let mut state = self.state.lock();
                let Some(lane) = state.lane(number) else { break };
                let Some(reading) = lane.reading_from(from) else {
                    for (at, item) in lane.in_memory_items() {
                        shown.add(self, number, at, item, lane.ledger.deliveries(at).into());
                    }
                    break;
                };
                reading
            };
            let (items, next) = self.read_log(&reading, READ_BYTES).await?.into_items();
            let mut state = self.state.lock();
            let Some(lane) = state.lane(number) else { break };
            // What was taken meanwhile is not shown.
            for (at, item) in items.iter().filter(|(at, _)| lane.ledger.is_available(*at)) {
                shown.add(self, number, *at, item, lane.ledger.deliveries(*at).into());
            }
            from = next.max(reading.from + 1);
        }
        Ok(shown.all)
    }
}

/// What is to be shown.
struct Shown {
    all: Vec<Delivered>,
    most: usize,
    bytes: u64,
    now: Millis,
}

impl Shown {
    fn has_room(&self) -> bool {
        self.all.len() < self.most && self.bytes < BYTES_MAX
    }

    fn add(&mut self, queue: &Queue, lane: u16, at: Offset, item: &Item, deliveries: u32) {
        if self.has_room() && !item.is_over(self.now) {
            self.bytes += item.bytes();
            self.all.push(queue.delivered((lane, at), item, deliveries, self.now));
        }
    }
}
