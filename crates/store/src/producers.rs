//! What a log remembers of idempotent producers, to store each batch once and in order.
//!
//! Behaviour as in KIP-98 and KIP-360: the last five batches of a producer are remembered; sending
//! one of them again is answered with its first result; a gap is refused; a higher epoch fences the
//! lower one; a producer that is not known (any more) may begin at any number.

use std::collections::{BTreeMap, HashMap, VecDeque};

use base::{Millis, Offset};

use crate::batch::{Batch, BatchHeader};
use crate::error::AppendError;

/// Batches remembered for each producer: as many as a client may have in flight.
const REMEMBERED: usize = 5;

/// One stored batch of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) first_sequence: i32,
    pub(crate) last_sequence: i32,
    pub(crate) base_offset: Offset,
}

/// One producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) epoch: i16,
    pub(crate) last_seen: Millis,
    /// Oldest first.
    pub(crate) sent: VecDeque<Sent>,
}

/// What a log knows of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerStatus {
    /// Its id.
    pub id: i64,
    /// Its newest epoch here.
    pub epoch: i16,
    /// The sequence number of its last record; `None` if only a marker is known of it.
    pub last_sequence: Option<i32>,
    /// When it was last heard of.
    pub last_seen: Millis,
    /// Offset of the first record of its open transaction.
    pub open_from: Option<Offset>,
}

/// All producers of one log.
#[derive(Debug, Default)]
pub(crate) struct Producers {
    pub(crate) known: HashMap<i64, Producer>,
}

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Store it.
    New,
    /// It is stored already, at this offset.
    Duplicate(Offset),
}

impl Producers {
    /// Judges a batch that is about to be stored.
    pub(crate) fn check(&self, batch: &BatchHeader) -> Result<Verdict, AppendError> {
        let Some(producer) = self.known.get(&batch.producer_id) else {
            return Ok(Verdict::New);
        };
        if batch.producer_epoch < producer.epoch {
            return Err(AppendError::Fenced {
                producer: batch.producer_id,
                found: batch.producer_epoch,
                current: producer.epoch,
            });
        }
        let expected = match producer.sent.back() {
            Some(last) if batch.producer_epoch == producer.epoch => {
                crate::batch_sequence_after(last.last_sequence)
            }
            _ => 0,
        };
        if batch.base_sequence == expected {
            return Ok(Verdict::New);
        }
        let again = producer.sent.iter().find(|sent| {
            batch.producer_epoch == producer.epoch
                && sent.first_sequence == batch.base_sequence
                && sent.last_sequence == batch.last_sequence()
        });
        match again {
            Some(sent) => Ok(Verdict::Duplicate(sent.base_offset)),
            None => Err(AppendError::OutOfOrder {
                producer: batch.producer_id,
                found: batch.base_sequence,
                expected,
            }),
        }
    }

    /// Judges all batches of one entry, which are stored together or not at all, and remembers
    /// those that are new. They get offsets from `next` on.
    pub(crate) fn admit(
        &mut self,
        batches: &[Batch],
        mut next: Offset,
        now: Millis,
    ) -> Result<Vec<Verdict>, AppendError> {
        let mut changed = Self::default();
        let mut verdicts = Vec::with_capacity(batches.len());
        for batch in batches {
            let header = batch.header();
            let mut verdict = Verdict::New;
            if header.is_control() {
                if let Some(producer) = self.known.get(&header.producer_id) {
                    let producer = || producer.clone();
                    changed.known.entry(header.producer_id).or_insert_with(producer);
                }
                changed.mark(header, now);
            } else if header.is_idempotent() {
                if let Some(producer) = self.known.get(&header.producer_id) {
                    let producer = || producer.clone();
                    changed.known.entry(header.producer_id).or_insert_with(producer);
                }
                verdict = changed.check(header)?;
                if verdict == Verdict::New {
                    changed.record(header, next, now);
                }
            }
            if verdict == Verdict::New {
                next += header.offsets();
            }
            verdicts.push(verdict);
        }
        self.known.extend(changed.known);
        Ok(verdicts)
    }

    /// Takes notice of a marker: it may come with a higher epoch, which fences the lower ones and
    /// starts its own count.
    pub(crate) fn mark(&mut self, marker: &BatchHeader, now: Millis) {
        let epoch = marker.producer_epoch;
        let new = || Producer { epoch, last_seen: now, sent: VecDeque::new() };
        let producer = self.known.entry(marker.producer_id).or_insert_with(new);
        producer.last_seen = now;
        if epoch > producer.epoch {
            producer.epoch = epoch;
            producer.sent.clear();
        }
    }

    /// Remembers a batch that is stored at `base_offset`.
    pub(crate) fn record(&mut self, batch: &BatchHeader, base_offset: Offset, now: Millis) {
        let producer = self.known.entry(batch.producer_id).or_insert_with(|| Producer {
            epoch: batch.producer_epoch,
            last_seen: now,
            sent: VecDeque::with_capacity(REMEMBERED),
        });
        if producer.epoch != batch.producer_epoch {
            producer.epoch = batch.producer_epoch;
            producer.sent.clear();
        }
        if producer.sent.len() == REMEMBERED {
            producer.sent.pop_front();
        }
        producer.last_seen = now;
        producer.sent.push_back(Sent {
            first_sequence: batch.base_sequence,
            last_sequence: batch.last_sequence(),
            base_offset,
        });
    }

    /// All of them, for operators, with the first offsets of their open transactions.
    pub(crate) fn describe(&self, open: &BTreeMap<i64, Offset>) -> Vec<ProducerStatus> {
        let describe = |(id, producer): (&i64, &Producer)| ProducerStatus {
            id: *id,
            epoch: producer.epoch,
            last_sequence: producer.sent.back().map(|sent| sent.last_sequence),
            last_seen: producer.last_seen,
            open_from: open.get(id).copied(),
        };
        let mut all: Vec<_> = self.known.iter().map(describe).collect();
        all.sort_unstable_by_key(|producer| producer.id);
        all
    }

    /// Forgets producers not heard of since `before`.
    pub(crate) fn expire(&mut self, before: Millis) {
        self.known.retain(|_, producer| producer.last_seen >= before);
    }
}
