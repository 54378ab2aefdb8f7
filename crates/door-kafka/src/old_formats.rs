//! What clients older than record batches (Kafka 0.8 to 0.10) send and read: message sets of the
//! formats v0 and v1, converted on their way in and out. `broker::store::batch::old` knows the
//! bytes; here stands when, how much at once, and which errors such clients know.

use std::time::Duration;

use base::Offset;
use broker::store::ReadBatches;
use broker::store::batch::old::{self, DownConvertError, DownConverter, Format};
use broker::{Broker, Fetch, FetchLimits, OpenTopic};
use bytes::Bytes;
use door::CloseReason;
use tokio::time::Instant;

use crate::map;
use crate::wire::ErrorCode;

/// Fetch brings messages with timestamps from this version on (KIP-32).
const TIMESTAMPS_FROM: i16 = 2;

/// A message without key and value takes 34 bytes, as a record 7: a set is at most so many times
/// larger than the batch that it becomes.
const SHRINKS: usize = 5;

/// What became of one partition's read.
type Outcome = Result<ReadBatches, ErrorCode>;

/// The error that a client of that age knows.
fn known(code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::InvalidRecord => ErrorCode::CorruptMessage,
        ErrorCode::KafkaStorageError => ErrorCode::NotLeaderOrFollower,
        code => code,
    }
}

/// [`known`], by number.
pub(crate) fn known_number(code: i16) -> i16 {
    let unknown = [ErrorCode::InvalidRecord, ErrorCode::KafkaStorageError];
    let unknown = unknown.into_iter().find(|unknown| unknown.number() == code);
    unknown.map_or(code, |unknown| known(unknown).number())
}

/// The record batch for a produced message set.
pub(crate) fn up_convert(topic: &OpenTopic, set: &Bytes) -> Result<Bytes, ErrorCode> {
    // What would surely be refused is not unpacked first. (What is not compressed may still fit.)
    if set.len() > topic.config.max_message_bytes.saturating_mul(SHRINKS) {
        return Err(ErrorCode::MessageTooLarge);
    }
    let batch = old::up_convert(set).map_err(|error| map::batch_error(&error))?;
    Ok(batch.bytes().clone())
}

/// Reads like [`Broker::fetch`], but message sets for a Fetch of this version. One outcome per
/// entry.
pub(crate) async fn fetch(
    broker: &Broker,
    version: i16,
    mut entries: Vec<Fetch>,
    limits: FetchLimits,
) -> Result<Vec<Outcome>, CloseReason> {
    let format = if version < TIMESTAMPS_FROM { Format::V0 } else { Format::V1 };
    // A batch is read whole, and cut to what was asked for when it is converted. Before version 3
    // every partition got as much as it was asked for, so none may wait for another to be empty.
    let asked: Vec<_> = entries.iter().map(|entry| entry.max_bytes).collect();
    for entry in &mut entries {
        entry.max_bytes = entry.max_bytes.max(entry.topic.config.max_message_bytes);
    }
    let deadline = Instant::now() + limits.max_wait;
    loop {
        let max_wait = deadline.saturating_duration_since(Instant::now());
        let read = broker.fetch(&entries, FetchLimits { max_wait, ..limits }).await;
        let mut outcomes = Vec::with_capacity(read.len());
        let (mut left, mut skipped) = (limits.max_bytes, false);
        for ((entry, asked), read) in entries.iter_mut().zip(&asked).zip(read) {
            let from = entry.offset;
            let outcome = match read {
                Ok(fetched) if left == 0 => Ok(ReadBatches { slices: Vec::new(), ..fetched.read }),
                Ok(fetched) => {
                    let max_bytes = left.min(*asked);
                    down_convert(broker, format, entry, fetched.read, max_bytes).await?
                }
                Err(error) => Err(map::fetch_error(&error)),
            };
            left = left.saturating_sub(outcome.as_ref().map_or(0, ReadBatches::len));
            skipped |= entry.offset != from;
            outcomes.push(outcome.map_err(known));
        }
        let told = |outcome: &Outcome| outcome.as_ref().map_or(true, |read| !read.is_empty());
        // Where there were only markers, the wait goes on behind them.
        if !skipped || outcomes.iter().any(told) || Instant::now() >= deadline {
            return Ok(outcomes);
        }
    }
}

/// One partition's batches as a message set. Where they are all markers of the broker's own, what
/// comes after them is read: an old client would ask for the same offset again, for ever.
async fn down_convert(
    broker: &Broker,
    format: Format,
    entry: &mut Fetch,
    mut read: ReadBatches,
    max_bytes: usize,
) -> Result<Outcome, CloseReason> {
    while !read.is_empty() {
        let (from, start, end) = (entry.offset, read.start, read.end);
        let work = move || message_set(format, from, max_bytes, &read);
        let (set, next) = match broker.open_batches(work).await? {
            Ok(converted) => converted,
            Err(code) => return Ok(Err(code)),
        };
        if !set.is_empty() || next <= from {
            let slices = vec![set];
            return Ok(Ok(ReadBatches { slices, start, end, ..ReadBatches::default() }));
        }
        entry.offset = next;
        let at_once = FetchLimits {
            min_bytes: 0,
            max_wait: Duration::ZERO,
            max_bytes: entry.max_bytes,
            committed: false,
        };
        read = match broker.fetch(std::slice::from_ref(entry), at_once).await.pop() {
            Some(Ok(fetched)) => fetched.read,
            Some(Err(error)) => return Ok(Err(map::fetch_error(&error))),
            None => ReadBatches { start, end, ..ReadBatches::default() },
        };
    }
    Ok(Ok(ReadBatches { slices: Vec::new(), ..read }))
}

/// The message set, and the offset after the last batch that was read for it.
fn message_set(
    format: Format,
    from: Offset,
    max_bytes: usize,
    read: &ReadBatches,
) -> Result<(Bytes, Offset), ErrorCode> {
    let mut converter = DownConverter::new(format, from, max_bytes);
    let mut next = from;
    for batch in read.batches() {
        let added = batch.map_err(DownConvertError::from).and_then(|batch| {
            next = batch.header().next_offset();
            converter.push(&batch)
        });
        match added {
            Ok(()) if !converter.is_full() => {}
            // What came before it goes out; the error is told when it is asked for.
            Err(error) if converter.is_empty() => return Err(fetch_error(error)),
            _ => break,
        }
    }
    Ok((converter.finish(), next))
}

fn fetch_error(error: DownConvertError) -> ErrorCode {
    match error {
        DownConvertError::Zstd => ErrorCode::UnsupportedCompressionType,
        DownConvertError::Batch(_) => ErrorCode::CorruptMessage,
    }
}
