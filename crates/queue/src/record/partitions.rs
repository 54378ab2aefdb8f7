//! Partitions of topics, read and written.
//!
//! A `u32` number of topics, and for each its id (16 bytes), a `u32` number of partitions and so
//! many `i32`; topics and partitions in ascending order.

use base::TopicId;
use bytes::{BufMut, BytesMut};

use super::RecordError;
use super::wire::{Reader, put_len};
use crate::consumer_group::Partitions;

/// Any other order than the one in which they are written is damage.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Partitions, RecordError> {
    let mut partitions = Partitions::new();
    let mut last = None;
    for _ in 0..reader.u32()? {
        let (high, low) = (reader.i64()?.cast_unsigned(), reader.i64()?.cast_unsigned());
        let topic = TopicId(u128::from(high) << 64 | u128::from(low));
        let count = reader.u32()?;
        if count == 0 || last.is_some_and(|(before, _)| before >= topic) {
            return Err(RecordError::Inconsistent);
        }
        for _ in 0..count {
            let partition = (topic, reader.i32()?);
            if last.is_some_and(|last| last >= partition) {
                return Err(RecordError::Inconsistent);
            }
            last = Some(partition);
            partitions.insert(partition);
        }
    }
    Ok(partitions)
}

pub(super) fn put(out: &mut BytesMut, partitions: &Partitions) {
    let partitions: Vec<_> = partitions.iter().collect();
    let topics = || partitions.chunk_by(|a, b| a.0 == b.0);
    put_len(out, topics().count());
    for topic in topics() {
        let Some((id, _)) = topic.first() else { continue };
        out.put_slice(&id.to_bytes());
        put_len(out, topic.len());
        for (_, partition) in topic {
            out.put_i32(*partition);
        }
    }
}
