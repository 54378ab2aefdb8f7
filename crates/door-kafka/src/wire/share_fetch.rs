//! The response to ShareFetch by hand: it goes out as a list of parts, so that records are never
//! copied.

use bytes::Bytes;

use super::fetch::Parts;
use super::header::encode_response_header;
use super::messages::share_fetch_response::AcquiredRecords;
use super::{ApiKey, WireError};

/// Bytes of a response besides records and acquired ranges: for the frame, for each topic or
/// partition, and for each range.
const FRAME_BYTES: usize = 64;
const PARTITION_BYTES: usize = 64;
const RANGE_BYTES: usize = 19;

/// `ShareFetchResponse` (versions 1-2). It never names other brokers: this one has all partitions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ShareFetchResponse {
    /// For how long the client is throttled, in milliseconds.
    pub throttle_time_ms: i32,
    /// 0, or why the whole request failed.
    pub error_code: i16,
    /// Why, in words.
    pub error_message: Option<String>,
    /// How long a consumer may keep records, in milliseconds.
    pub lock_timeout_ms: i32,
    /// What was acquired, by topic.
    pub topics: Vec<ShareFetchedTopic>,
}

/// One topic of a [`ShareFetchResponse`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ShareFetchedTopic {
    /// Its id.
    pub topic_id: [u8; 16],
    /// What was acquired of its partitions.
    pub partitions: Vec<ShareFetchedPartition>,
}

/// One partition of a [`ShareFetchedTopic`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ShareFetchedPartition {
    /// Its number.
    pub index: i32,
    /// 0, or why nothing was acquired.
    pub error_code: i16,
    /// Why, in words.
    pub error_message: Option<String>,
    /// 0, or why the acknowledgements that came with the request failed.
    pub acknowledge_error_code: i16,
    /// Why, in words.
    pub acknowledge_error_message: Option<String>,
    /// Record batches, one after the other on the wire.
    pub records: Vec<Bytes>,
    /// Which of the records were acquired.
    pub acquired: Vec<AcquiredRecords>,
}

impl ShareFetchResponse {
    /// The whole frame, length and header included, as pieces to be sent in this order.
    ///
    /// # Errors
    /// When the version is not known or the frame is longer than a length can say.
    pub fn into_parts(self, version: i16, correlation_id: i32) -> Result<Vec<Bytes>, WireError> {
        if !ApiKey::ShareFetch.has_version(version) {
            return Err(WireError::UnknownVersion { name: "ShareFetchResponse", version });
        }
        let partitions = || self.topics.iter().flat_map(|topic| &topic.partitions);
        let ranges: usize = partitions().map(|partition| partition.acquired.len()).sum();
        let count = partitions().count() + self.topics.len();
        let capacity = FRAME_BYTES + PARTITION_BYTES * count + RANGE_BYTES * ranges;
        let mut parts = Parts::new(capacity, count);
        encode_response_header(&mut parts.w, ApiKey::ShareFetch, version, correlation_id);
        parts.w.i32(self.throttle_time_ms);
        parts.w.i16(self.error_code);
        parts.w.nullable_string(self.error_message.as_deref(), true)?;
        parts.w.i32(self.lock_timeout_ms);
        parts.w.long_length(Some(self.topics.len()), true)?;
        for topic in self.topics {
            parts.w.uuid(&topic.topic_id);
            parts.w.long_length(Some(topic.partitions.len()), true)?;
            for partition in topic.partitions {
                partition.encode(&mut parts, version)?;
            }
            parts.w.no_tagged_fields();
        }
        parts.w.long_length(Some(0), true)?;
        parts.w.no_tagged_fields();
        parts.finish()
    }
}

impl ShareFetchedPartition {
    fn encode(self, parts: &mut Parts, version: i16) -> Result<(), WireError> {
        let w = &mut parts.w;
        w.i32(self.index);
        w.i16(self.error_code);
        w.nullable_string(self.error_message.as_deref(), true)?;
        w.i16(self.acknowledge_error_code);
        w.nullable_string(self.acknowledge_error_message.as_deref(), true)?;
        w.i32(0); // the leader, told only by one that is not
        w.i32(0);
        w.no_tagged_fields();
        parts.records(self.records, true)?;
        parts.w.array(&self.acquired, true, |w, range| range.encode(w, version))?;
        parts.w.no_tagged_fields();
        Ok(())
    }
}
