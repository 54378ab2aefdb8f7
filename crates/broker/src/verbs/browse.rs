//! Looking at what is in a topic: messages one by one, for those who want to see them and not to consume them all.

use std::sync::Arc;
use std::time::Duration;

use base::{Millis, Offset};
use store::ReadError;
use store::batch::Batch;

use super::fetch::{FetchError, Fetched, headers, is_aborted};
use crate::topics::OpenTopic;
use crate::{Broker, Fetch, FetchLimits, Message};

/// Largest record that is unpacked to be looked at, in bytes.
const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How much is looked at, and how long it is waited for.
#[derive(Debug, Clone, Copy)]
pub struct BrowseLimits {
    /// At most so many messages.
    pub messages: usize,
    /// No more is read when this many bytes are reached; compressed, where they are.
    pub bytes: usize,
    /// Where there is none yet, it is waited for one so long.
    pub wait: Duration,
}

/// A message where it lies.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its offset.
    pub offset: Offset,
    /// Its time.
    pub timestamp: Millis,
    /// Itself.
    pub message: Message,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Browsed {
    /// Messages, in order.
    pub found: Vec<Found>,
    /// Where to go on.
    pub next: Offset,
    /// First offset of the partition.
    pub start: Offset,
    /// What is committed ends here.
    pub end: Offset,
}

impl Broker {
    /// The messages of a partition from an offset on, as readers of committed records see them. Before the first offset is the
    /// first, and what is damaged is left out.
    ///
    /// # Errors
    /// See [`FetchError`]; an offset behind the end is out of range.
    pub async fn browse(
        &self,
        topic: &Arc<OpenTopic>,
        partition: i32,
        offset: Offset,
        limits: BrowseLimits,
    ) -> Result<Browsed, FetchError> {
        let log = topic.log(partition).ok_or(FetchError::NoPartition)?;
        let offset = offset.max(log.range().start);
        let entry =
            Fetch { topic: Arc::clone(topic), partition, offset, max_bytes: limits.bytes.max(1) };
        let reading = FetchLimits {
            min_bytes: 1,
            max_wait: limits.wait,
            max_bytes: limits.bytes.max(1),
            committed: true,
        };
        let outcome = self.fetch(&[entry], reading).await.pop();
        let fetched = match outcome.unwrap_or(Err(FetchError::NoPartition)) {
            Ok(fetched) => fetched,
            Err(FetchError::Read(ReadError::Damaged { to, .. })) => {
                let range = log.range();
                let (start, end) = (range.start, range.end);
                return Ok(Browsed { found: Vec::new(), next: to, start, end });
            }
            Err(error) => return Err(error),
        };
        // Unpacking takes its time and its memory.
        let work = move || open(&fetched, offset, limits.messages);
        self.open_batches(work).await.map_err(|error| FetchError::Read(ReadError::Io(error)))
    }
}

fn open(fetched: &Fetched, offset: Offset, messages: usize) -> Browsed {
    let read = &fetched.read;
    let mut browsed =
        Browsed { found: Vec::new(), next: offset, start: read.start, end: fetched.stable };
    for (header, mut bytes) in headers(read) {
        if !header.is_control() && !is_aborted(&header, &fetched.aborted) {
            let batch = Batch::take(&mut bytes);
            // What cannot be unpacked, or has no end, is not shown; it is somebody else's to read.
            let records = batch.and_then(|batch| batch.records_within(RECORD_BYTES_MAX));
            for record in records.into_iter().flatten().map_while(Result::ok) {
                if record.offset < offset {
                    continue;
                }
                if browsed.found.len() >= messages {
                    return browsed;
                }
                browsed.next = record.offset + 1;
                browsed.found.push(Found {
                    offset: record.offset,
                    timestamp: record.timestamp,
                    message: Message::from_record(&record),
                });
            }
        }
        browsed.next = browsed.next.max(header.next_offset());
    }
    browsed
}
