//! Shared subscriptions: one consumer has a record at a time, and one that was accepted never comes
//! again.

use std::collections::BTreeMap;

use base::Offset;

/// What is known of one record.
#[derive(Debug, Default, Clone)]
struct Record {
    /// It was accepted or rejected, durably: the process that said so.
    done: Option<u64>,
    /// A consumer asked for that and has no answer.
    maybe_done: bool,
    /// A request to give it back is on its way, and may be carried out at any time.
    loose: bool,
    /// Who has it, in which process, and until when for certain.
    held: Option<(u64, u64, u64)>,
    /// Deliveries that consumers saw, and the count that they were told last.
    seen: u64,
    count: u64,
}

/// One subscription of one partition.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    records: BTreeMap<Offset, Record>,
    /// Answers that were lost: each may have delivered any record.
    lost: u64,
    /// Requests that have no answer yet: so may theirs, which may be on their way.
    asking: u64,
}

/// Who takes records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taker {
    /// The consumer.
    pub(crate) consumer: u64,
    /// The process that answered.
    pub(crate) process: u64,
    /// When it asked, and when it was answered, in nanoseconds.
    pub(crate) asked: u64,
    pub(crate) answered: u64,
}

impl Shared {
    /// A consumer got a record, for the so-manyth time as it is told; it has it for `lease`
    /// nanoseconds.
    pub(crate) fn got(
        &mut self,
        offset: Offset,
        deliveries: u16,
        by: Taker,
        lease: u64,
    ) -> Result<(), String> {
        let unseen = self.lost + self.asking;
        let record = self.records.entry(offset).or_default();
        if let Some(process) = record.done {
            if by.process < process {
                // Delivered by a process that has died since: the answer was late.
                record.seen += 1;
                return Ok(());
            }
            return Err(format!("record {offset} was done and is delivered again"));
        }
        if let Some((holder, process, until)) = record.held
            && holder != by.consumer
            && process == by.process
            && by.answered < until
            && !record.loose
        {
            return Err(format!(
                "record {offset} is held by {holder} and given to {}",
                by.consumer
            ));
        }
        record.seen += 1;
        let count = u64::from(deliveries);
        let same_process = record.held.is_some_and(|(_, process, _)| process == by.process);
        if count > record.seen + unseen {
            return Err(format!(
                "record {offset} is said to be delivered {count} times, but was {} times",
                record.seen
            ));
        }
        if same_process && count <= record.count {
            let before = record.count;
            return Err(format!("record {offset}: delivery {count} comes after {before}"));
        }
        record.count = count;
        record.held = Some((by.consumer, by.process, by.asked + lease));
        Ok(())
    }

    /// A consumer asks for records. Then comes [`Self::answered`] or [`Self::lost`].
    pub(crate) fn asks(&mut self) {
        self.asking += 1;
    }

    /// It has an answer.
    pub(crate) fn answered(&mut self) {
        self.asking -= 1;
    }

    /// An answer with records may have been lost.
    pub(crate) fn lost(&mut self) {
        self.asking -= 1;
        self.lost += 1;
    }

    /// A consumer is about to say that it is done with a record, or gives it back.
    pub(crate) fn settles(&mut self, offset: Offset, done: bool) {
        let record = self.records.entry(offset).or_default();
        record.maybe_done |= done;
        if !done && let Some((_, _, until)) = &mut record.held {
            *until = 0;
        }
    }

    /// It has no answer to that.
    pub(crate) fn unsettled(&mut self, offset: Offset) {
        self.records.entry(offset).or_default().loose = true;
    }

    /// It was told that this is durable, by this process.
    pub(crate) fn settled(&mut self, offset: Offset, done: bool, process: u64) {
        let record = self.records.entry(offset).or_default();
        if done {
            record.done = Some(record.done.map_or(process, |before| before.min(process)));
        }
    }

    /// Whether a record was done, or may have been, or may have been given up.
    pub(crate) fn is_accounted_for(&self, offset: Offset, deliveries_max: u64) -> bool {
        self.records.get(&offset).is_some_and(|record| {
            record.done.is_some() || record.maybe_done || record.seen + self.lost >= deliveries_max
        })
    }
}
