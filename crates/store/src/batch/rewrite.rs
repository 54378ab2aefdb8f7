//! Writing a batch anew: with fewer of its records, as compaction does, or with another codec or the
//! broker's time, as topics may ask for. Its offsets and sequence numbers stay what they were, and so
//! do the bytes of each record that stays.

use base::Millis;
use bytes::{BufMut, Bytes, BytesMut};

use super::build::put_varint;
use super::header::HEADER_BYTES;
use super::records::{take_bytes, take_length, take_varint};
use super::{Batch, BatchError, Compression};

impl Batch {
    /// This batch with the broker's time for all of its records, which does not touch them.
    pub fn with_append_time(&self, time: Millis) -> Result<Self, BatchError> {
        let packed = self.bytes().slice(HEADER_BYTES..);
        Self::parse(self.header().with_append_time(time).encode(&packed)?)
    }

    /// This batch with its records packed by another codec, at a level of it.
    pub fn repacked(&self, codec: Compression, level: Option<i32>) -> Result<Self, BatchError> {
        let packed = self.bytes().slice(HEADER_BYTES..);
        let plain = self.header().compression()?.decompress(&packed)?;
        let packed = match codec {
            Compression::None => plain,
            codec => codec.compress_at(level, &plain)?.into(),
        };
        Self::parse(self.header().with_codec(codec).encode(&packed)?)
    }

    /// This batch with these of its records alone, each as [`super::Records::next_with_bytes`] gave
    /// it, the newest of which is of `newest`. Packed with the codec that it was packed with.
    ///
    /// With a `horizon` the batch says from then on when its deletion marks may go. It says so in
    /// the field that the records' times count from (KIP-534), so these are written anew.
    pub(crate) fn with_records(
        &self,
        kept: &[Bytes],
        newest: Millis,
        horizon: Option<Millis>,
    ) -> Result<Self, BatchError> {
        let mut header = *self.header();
        let later = match horizon {
            None => 0,
            Some(horizon) => {
                header = header.with_delete_horizon(horizon);
                self.header().base_timestamp.wrapping_sub(horizon)
            }
        };
        let mut records = BytesMut::with_capacity(kept.iter().map(Bytes::len).sum());
        for record in kept {
            if later == 0 {
                records.put_slice(record);
            } else {
                put_shifted(&mut records, record.clone(), later)?;
            }
        }
        header.count = i32::try_from(kept.len())
            .map_err(|_| BatchError::Malformed("it has more records than can be counted"))?;
        // The broker's time is that of all records, whichever of them are left.
        if !header.is_log_append_time() {
            header.max_timestamp = newest;
        }
        let packed = match header.compression()? {
            Compression::None => records.freeze(),
            codec => codec.compress(&records)?.into(),
        };
        Self::parse(header.encode(&packed)?)
    }

    /// This batch without records.
    pub(crate) fn without_records(&self) -> Result<Self, BatchError> {
        Self::parse(self.header().emptied().encode(&[])?)
    }

    /// This batch, a marker, with the time after which it may go.
    pub(crate) fn with_horizon(&self, horizon: Millis) -> Result<Self, BatchError> {
        let mut records = self.records()?;
        let mut kept = Vec::new();
        while let Some(record) = records.next_with_bytes() {
            kept.push(record?.1);
        }
        self.with_records(&kept, self.header().max_timestamp, Some(horizon))
    }
}

/// Writes a record whose time counts from another time, `later` milliseconds before.
fn put_shifted(to: &mut BytesMut, mut record: Bytes, later: Millis) -> Result<(), BatchError> {
    let length = take_length(&mut record)?;
    let mut body = take_bytes(&mut record, length)?;
    let attributes = take_bytes(&mut body, 1)?;
    let delta = take_varint(&mut body)?.wrapping_add(later);
    let mut number = BytesMut::with_capacity(10);
    put_varint(&mut number, delta);
    let length = attributes.len() + number.len() + body.len();
    put_varint(to, i64::try_from(length).unwrap_or(i64::MAX));
    to.put_slice(&attributes);
    to.put_slice(&number);
    to.put_slice(&body);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchBuilder, NewRecord, Record};

    const HORIZON: Millis = 9_000;

    fn batch(codec: Compression) -> Batch {
        let mut builder = BatchBuilder::new(codec);
        for number in 0..4u8 {
            builder.push(&NewRecord {
                timestamp: 1000 + Millis::from(number) * 10,
                key: Some(&[number]),
                value: (number != 2).then_some(b"value"),
                headers: &[(b"name", Some(b"one")), (b"name", None)],
            });
        }
        builder.build().unwrap()
    }

    fn records(batch: &Batch) -> Vec<Record> {
        batch.records().unwrap().map(Result::unwrap).collect()
    }

    fn raw(batch: &Batch) -> Vec<Bytes> {
        let mut records = batch.records().unwrap();
        std::iter::from_fn(|| records.next_with_bytes()).map(|r| r.unwrap().1).collect()
    }

    #[test]
    fn the_records_that_stay_stay_as_they_were_in_every_codec() {
        let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
        for codec in codecs.map(|name| Compression::from_name(name).unwrap()) {
            let whole = batch(codec);
            for horizon in [None, Some(HORIZON)] {
                let bytes = raw(&whole);
                let kept = [bytes[0].clone(), bytes[2].clone()];
                let less = whole.with_records(&kept, 1020, horizon).unwrap();
                let all = records(&whole);
                assert_eq!(records(&less), [all[0].clone(), all[2].clone()], "{codec:?}");
                let header = less.header();
                assert_eq!((header.count, header.last_offset_delta), (2, 3));
                assert_eq!(header.max_timestamp, 1020);
                assert_eq!(header.compression(), Ok(codec));
                assert_eq!(header.delete_horizon(), horizon);
                assert_eq!(raw(&less) == kept, horizon.is_none(), "only a horizon moves times");
            }
        }
    }

    #[test]
    fn another_codec_and_the_brokers_time_leave_the_records_alone() {
        let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
        let codecs = codecs.map(|name| Compression::from_name(name).unwrap());
        for from in codecs {
            for to in codecs {
                let before = batch(from);
                let after = before.repacked(to, Some(1)).unwrap();
                assert_eq!(after.header().compression(), Ok(to));
                assert_eq!(raw(&after), raw(&before));
                let stamped = after.with_append_time(77).unwrap();
                assert!(stamped.header().is_log_append_time());
                assert_eq!(raw(&stamped), raw(&before));
                assert!(records(&stamped).iter().all(|record| record.timestamp == 77));
            }
        }
    }

    #[test]
    fn a_batch_without_records_still_tells_offsets_and_sequence_numbers() {
        let marked = batch(Compression::Zstd);
        let marked = marked.with_records(&raw(&marked), 1030, Some(HORIZON)).unwrap();
        let empty = marked.without_records().unwrap();
        let (before, after) = (marked.header(), empty.header());
        assert_eq!((after.count, after.size), (0, HEADER_BYTES));
        assert_eq!(after.compression(), Ok(Compression::None));
        assert_eq!(after.delete_horizon(), None);
        assert_eq!(after.last_offset(), before.last_offset());
        assert_eq!(after.last_sequence(), before.last_sequence());
        assert_eq!(after.max_timestamp, before.max_timestamp);
        assert_eq!(records(&empty), []);
    }

    #[test]
    fn a_marker_with_a_horizon_is_the_same_marker() {
        use crate::batch::{Marker, marker};
        let before = BatchBuilder::marker(7, 3, Marker::Commit, 500).unwrap();
        let after = before.with_horizon(HORIZON).unwrap();
        assert_eq!(after.header().delete_horizon(), Some(HORIZON));
        assert_eq!(marker(after.bytes()), Some(Marker::Commit));
        assert_eq!(records(&after), records(&before));
    }
}
