//! Records of topics as messages.

use std::sync::Arc;

use base::Offset;
use base::subject::TEXT;
use broker::store::batch::{Batch, BatchHeader, Record};
use broker::store::{Aborted, ReadBatches};
use broker::{Message, OpenTopic};
use bytes::Bytes;
use tonic::Status;

use crate::{map, pb};

/// A message that is kept, and about how many bytes it takes.
pub(crate) struct Kept {
    pub(crate) offset: Offset,
    pub(crate) message: pb::Message,
    pub(crate) bytes: usize,
}

/// What was read of a partition.
pub(crate) struct Found {
    pub(crate) messages: Vec<Kept>,
    /// The next offset to read.
    pub(crate) next: Offset,
}

/// The messages of what was read, from an offset on.
///
/// # Errors
/// DATA_LOSS: it cannot be unpacked.
pub(crate) fn read(
    topic: &Arc<OpenTopic>,
    read: &ReadBatches,
    aborted: &[Aborted],
    from: Offset,
) -> Result<Found, Status> {
    let mut found = Found { messages: Vec::new(), next: from };
    let own = map::NAMES.name(&topic.subject());
    for slice in &read.slices {
        let mut rest = slice.clone();
        while !rest.is_empty() {
            let Ok(batch) = Batch::take(&mut rest) else { break };
            take_batch((topic, &own), &batch, aborted, &mut found)?;
        }
    }
    Ok(found)
}

/// The messages of one batch.
///
/// # Errors
/// DATA_LOSS: it cannot be unpacked.
pub(crate) fn read_batch(
    topic: &Arc<OpenTopic>,
    bytes: &Bytes,
    from: Offset,
) -> Result<Found, Status> {
    let mut found = Found { messages: Vec::new(), next: from };
    let batch = Batch::parse(bytes.clone()).map_err(|error| unreadable(topic, &error))?;
    let own = map::NAMES.name(&topic.subject());
    take_batch((topic, &own), &batch, &[], &mut found)?;
    Ok(found)
}

/// `own`: the topic's own subject, as it is told.
fn take_batch(
    (topic, own): (&Arc<OpenTopic>, &Bytes),
    batch: &Batch,
    aborted: &[Aborted],
    found: &mut Found,
) -> Result<(), Status> {
    let header = batch.header();
    if !header.is_control() && !is_aborted(header, aborted) {
        let records = batch.records().map_err(|error| unreadable(topic, &error))?;
        for record in records {
            let record = record.map_err(|error| unreadable(topic, &error))?;
            if record.offset >= found.next {
                found.messages.push(keep((topic, own), &record));
            }
        }
    }
    found.next = found.next.max(header.next_offset());
    Ok(())
}

fn unreadable(topic: &OpenTopic, error: &dyn std::fmt::Display) -> Status {
    Status::data_loss(format!("records of topic '{}': {error}", topic.topic.name))
}

/// Whether a batch's transaction was taken back.
fn is_aborted(header: &BatchHeader, aborted: &[Aborted]) -> bool {
    let is_it = |one: &Aborted| {
        one.producer == header.producer_id && (one.first..=one.last).contains(&header.base_offset)
    };
    header.is_transactional() && aborted.iter().any(is_it)
}

fn keep((topic, own): (&Arc<OpenTopic>, &Bytes), record: &Record) -> Kept {
    let subject = subject((topic, own), record.key.as_deref());
    let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
    let message = map::tell(&Message::from_record(record), subject.as_ref());
    let headers = message.headers.iter().map(|header| header.name.len() + length(&header.value));
    let bytes = length(&record.key) + length(&record.value) + headers.sum::<usize>();
    Kept { offset: record.offset, message, bytes }
}

/// What a record is about: the subject that is its key, if the topic keeps that; else the topic.
fn subject((topic, own): (&OpenTopic, &Bytes), key: Option<&[u8]>) -> Option<Bytes> {
    if topic.config.is_queue {
        return None;
    }
    let key = key.filter(|_| !topic.config.bind.is_empty());
    let subject = key.and_then(|key| TEXT.subject(key).ok());
    let kept = subject.filter(|subject| topic.filters().iter().any(|one| one.matches(subject)));
    Some(kept.map_or_else(|| own.clone(), |subject| map::NAMES.name(&subject)))
}
