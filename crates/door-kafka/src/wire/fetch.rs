//! Fetch by hand: the response goes out as a list of parts, so that records are never copied.

use bytes::Bytes;

use super::header::encode_response_header;
use super::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, LeaderIdAndEpoch, NodeEndpoint, SnapshotId,
};
use super::{ApiKey, Reader, Str, TaggedFields, WireError, Writer};

const FLEXIBLE_FROM: i16 = 12;
const TOPIC_IDS_FROM: i16 = 13;
const VERSIONS: std::ops::RangeInclusive<i16> = 0..=18;

/// Bytes of a response besides records and names: for the frame, and for each partition.
const FRAME_BYTES: usize = 64;
const PARTITION_BYTES: usize = 64;

fn check_version(name: &'static str, version: i16) -> Result<(), WireError> {
    if VERSIONS.contains(&version) {
        return Ok(());
    }
    Err(WireError::UnknownVersion { name, version })
}

/// `FetchRequest` (versions 0-18). What only replicas say (their cluster, epoch, directory and
/// high watermark) is not kept.
#[derive(Debug, Clone, PartialEq)]
pub struct FetchRequest {
    /// -1 for a consumer (tagged in versions 15+).
    pub replica_id: i32,
    /// How long to wait for `min_bytes`, in milliseconds.
    pub max_wait_ms: i32,
    /// Bytes to wait for.
    pub min_bytes: i32,
    /// Most bytes of records in the response; the first batch goes out even if it is larger
    /// (versions 3+).
    pub max_bytes: i32,
    /// 0: all records, 1: those of committed transactions only (versions 4+).
    pub isolation_level: i8,
    /// The fetch session, 0 for none (versions 7+, KIP-227).
    pub session_id: i32,
    /// The request's number in the session: -1 ends it or means none, 0 starts one (versions 7+).
    pub session_epoch: i32,
    /// What to read, by topic.
    pub topics: Vec<FetchTopic>,
    /// What to drop from the session (versions 7+).
    pub forgotten: Vec<ForgottenTopic>,
    /// The rack of the consumer (versions 11+).
    pub rack_id: Str,
}

/// One topic of a [`FetchRequest`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FetchTopic {
    /// Its name (versions 0-12).
    pub name: Str,
    /// Its id (versions 13+).
    pub topic_id: [u8; 16],
    /// Where to read.
    pub partitions: Vec<FetchPartition>,
}

/// One partition of a [`FetchTopic`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FetchPartition {
    /// Its number.
    pub index: i32,
    /// The leader epoch that the client knows, or -1 (versions 9+).
    pub current_leader_epoch: i32,
    /// The first offset to read.
    pub fetch_offset: i64,
    /// The leader epoch of the last record read, or -1 (versions 12+).
    pub last_fetched_epoch: i32,
    /// The first offset that a replica has, or -1 (versions 5+).
    pub log_start_offset: i64,
    /// Most bytes of records from this partition.
    pub max_bytes: i32,
}

/// Partitions of one topic to drop from a fetch session.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ForgottenTopic {
    /// Its name (versions 7-12).
    pub name: Str,
    /// Its id (versions 13+).
    pub topic_id: [u8; 16],
    /// The partitions.
    pub partitions: Vec<i32>,
}

fn topic_key(r: &mut Reader, version: i16, flexible: bool) -> Result<(Str, [u8; 16]), WireError> {
    if version >= TOPIC_IDS_FROM {
        Ok((Str::default(), r.uuid()?))
    } else {
        Ok((r.str(flexible)?, [0; 16]))
    }
}

impl FetchRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// When the version is not known or the bytes do not fit it.
    pub fn decode(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        check_version("FetchRequest", version)?;
        let flexible = version >= FLEXIBLE_FROM;
        let mut replica_id = if version <= 14 { r.i32()? } else { -1 };
        let max_wait_ms = r.i32()?;
        let min_bytes = r.i32()?;
        let max_bytes = if version >= 3 { r.i32()? } else { i32::MAX };
        let isolation_level = if version >= 4 { r.i8()? } else { 0 };
        let (session_id, session_epoch) = if version >= 7 { (r.i32()?, r.i32()?) } else { (0, -1) };
        let topics = r.array(flexible, |r| FetchTopic::decode(r, version, flexible))?;
        let mut forgotten = Vec::new();
        if version >= 7 {
            forgotten = r.array(flexible, |r| ForgottenTopic::decode(r, version, flexible))?;
        }
        let rack_id = if version >= 11 { r.str(flexible)? } else { Str::default() };
        if flexible {
            r.tagged_fields(|r, tag| {
                if tag != 1 || version < 15 {
                    return Ok(false);
                }
                replica_id = r.i32()?;
                r.i64()?;
                r.skip_tagged_fields()?;
                Ok(true)
            })?;
        }
        Ok(Self {
            replica_id,
            max_wait_ms,
            min_bytes,
            max_bytes,
            isolation_level,
            session_id,
            session_epoch,
            topics,
            forgotten,
            rack_id,
        })
    }
}

impl FetchTopic {
    fn decode(r: &mut Reader, version: i16, flexible: bool) -> Result<Self, WireError> {
        let (name, topic_id) = topic_key(r, version, flexible)?;
        let partitions = r.array(flexible, |r| FetchPartition::decode(r, version, flexible))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { name, topic_id, partitions })
    }
}

impl FetchPartition {
    fn decode(r: &mut Reader, version: i16, flexible: bool) -> Result<Self, WireError> {
        let index = r.i32()?;
        let current_leader_epoch = if version >= 9 { r.i32()? } else { -1 };
        let fetch_offset = r.i64()?;
        let last_fetched_epoch = if version >= 12 { r.i32()? } else { -1 };
        let log_start_offset = if version >= 5 { r.i64()? } else { -1 };
        let max_bytes = r.i32()?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self {
            index,
            current_leader_epoch,
            fetch_offset,
            last_fetched_epoch,
            log_start_offset,
            max_bytes,
        })
    }
}

impl ForgottenTopic {
    fn decode(r: &mut Reader, version: i16, flexible: bool) -> Result<Self, WireError> {
        let (name, topic_id) = topic_key(r, version, flexible)?;
        let partitions = r.array(flexible, Reader::i32)?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { name, topic_id, partitions })
    }
}

/// `FetchResponse` (versions 0-18).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FetchResponse {
    /// For how long a quota held the request back, in milliseconds (versions 1+).
    pub throttle_time_ms: i32,
    /// 0, or why the whole request failed (versions 7+).
    pub error_code: i16,
    /// The fetch session, 0 for none (versions 7+).
    pub session_id: i32,
    /// What was read, by topic.
    pub topics: Vec<FetchedTopic>,
    /// Where the leaders named in [`FetchedPartition::current_leader`] are (versions 16+).
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// One topic of a [`FetchResponse`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FetchedTopic {
    /// Its name (versions 0-12).
    pub name: Str,
    /// Its id (versions 13+).
    pub topic_id: [u8; 16],
    /// What was read of its partitions.
    pub partitions: Vec<FetchedPartition>,
}

/// One partition of a [`FetchedTopic`].
#[derive(Debug, Clone, PartialEq)]
pub struct FetchedPartition {
    /// Its number.
    pub index: i32,
    /// 0, or why nothing was read.
    pub error_code: i16,
    /// The first offset that is not yet durable on all replicas in sync.
    pub high_watermark: i64,
    /// The first offset of a transaction that is still open, or the high watermark, or -1
    /// (versions 4+).
    pub last_stable_offset: i64,
    /// The partition's first offset, or -1 (versions 5+).
    pub log_start_offset: i64,
    /// Transactions whose records the consumer has to drop; none unless it asked for committed
    /// records only (versions 4+).
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// The replica that the consumer had better ask, or -1 (versions 11+).
    pub preferred_read_replica: i32,
    /// Where the reader's log parts from ours (versions 12+).
    pub diverging_epoch: Option<EpochEndOffset>,
    /// Who leads the partition, told to a client that asked the wrong broker (versions 12+).
    pub current_leader: Option<LeaderIdAndEpoch>,
    /// The snapshot to read instead (versions 12+).
    pub snapshot_id: Option<SnapshotId>,
    /// Record batches, or a message set before version 4, one after the other on the wire.
    pub records: Vec<Bytes>,
}

impl Default for FetchedPartition {
    fn default() -> Self {
        Self {
            index: 0,
            error_code: 0,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            aborted_transactions: None,
            preferred_read_replica: -1,
            diverging_epoch: None,
            current_leader: None,
            snapshot_id: None,
            records: Vec::new(),
        }
    }
}

/// What is written between records, and the records with their places in it.
pub(super) struct Parts {
    pub(super) w: Writer,
    records: Vec<(usize, Vec<Bytes>)>,
    records_bytes: usize,
}

impl Parts {
    /// A frame, of which the length is still to come.
    pub(super) fn new(capacity: usize, partitions: usize) -> Self {
        let mut w = Writer::with_capacity(capacity);
        w.i32(0);
        Self { w, records: Vec::with_capacity(partitions), records_bytes: 0 }
    }

    /// Records with their length. Empty rather than null where there are none: some clients take
    /// null for an error.
    pub(super) fn records(&mut self, records: Vec<Bytes>, flexible: bool) -> Result<(), WireError> {
        let length = records.iter().map(Bytes::len).sum();
        self.w.long_length(Some(length), flexible)?;
        if length > 0 {
            self.records.push((self.w.len(), records));
            self.records_bytes += length;
        }
        Ok(())
    }

    /// The frame in pieces: all that was written shares one allocation, records stay as they are.
    pub(super) fn finish(mut self) -> Result<Vec<Bytes>, WireError> {
        self.w.set_frame_length(self.records_bytes)?;
        let mut rest = self.w.finish();
        let mut parts = Vec::with_capacity(2 * self.records.len() + 1);
        let mut taken = 0;
        for (place, records) in self.records {
            parts.push(rest.split_to(place - taken));
            taken = place;
            parts.extend(records);
        }
        if !rest.is_empty() {
            parts.push(rest);
        }
        Ok(parts)
    }
}

impl FetchResponse {
    /// The whole frame, length and header included, as pieces to be sent in this order.
    ///
    /// # Errors
    /// When the version is not known or the frame is longer than a length can say.
    pub fn into_parts(self, version: i16, correlation_id: i32) -> Result<Vec<Bytes>, WireError> {
        check_version("FetchResponse", version)?;
        let flexible = version >= FLEXIBLE_FROM;
        let partitions: usize = self.topics.iter().map(|topic| topic.partitions.len()).sum();
        let names: usize = self.topics.iter().map(|topic| topic.name.len() + 24).sum();
        let capacity = FRAME_BYTES + names + PARTITION_BYTES * partitions;
        let mut parts = Parts::new(capacity, partitions);
        encode_response_header(&mut parts.w, ApiKey::Fetch, version, correlation_id);
        if version >= 1 {
            parts.w.i32(self.throttle_time_ms);
        }
        if version >= 7 {
            parts.w.i16(self.error_code);
            parts.w.i32(self.session_id);
        }
        parts.w.long_length(Some(self.topics.len()), flexible)?;
        for topic in self.topics {
            topic.encode(&mut parts, version, flexible)?;
        }
        if flexible {
            let mut tags = TaggedFields::default();
            if version >= 16 && !self.node_endpoints.is_empty() {
                tags.add(0, |w| w.array(&self.node_endpoints, true, |w, e| e.encode(w, version)))?;
            }
            parts.w.tagged_fields(&tags);
        }
        parts.finish()
    }
}

impl FetchedTopic {
    fn encode(self, parts: &mut Parts, version: i16, flexible: bool) -> Result<(), WireError> {
        if version >= TOPIC_IDS_FROM {
            parts.w.uuid(&self.topic_id);
        } else {
            parts.w.string(&self.name, flexible)?;
        }
        parts.w.long_length(Some(self.partitions.len()), flexible)?;
        for partition in self.partitions {
            partition.encode(parts, version, flexible)?;
        }
        if flexible {
            parts.w.no_tagged_fields();
        }
        Ok(())
    }
}

impl FetchedPartition {
    fn encode(self, parts: &mut Parts, version: i16, flexible: bool) -> Result<(), WireError> {
        let w = &mut parts.w;
        w.i32(self.index);
        w.i16(self.error_code);
        w.i64(self.high_watermark);
        if version >= 4 {
            w.i64(self.last_stable_offset);
        }
        if version >= 5 {
            w.i64(self.log_start_offset);
        }
        if version >= 4 {
            let aborted = self.aborted_transactions.as_deref();
            w.nullable_array(aborted, flexible, |w, one| one.encode(w, version))?;
        }
        if version >= 11 {
            w.i32(self.preferred_read_replica);
        }
        parts.records(self.records, flexible)?;
        if !flexible {
            return Ok(());
        }
        let w = &mut parts.w;
        let mut tags = TaggedFields::default();
        if let Some(epoch) = &self.diverging_epoch {
            tags.add(0, |w| epoch.encode(w, version))?;
        }
        if let Some(leader) = &self.current_leader {
            tags.add(1, |w| leader.encode(w, version))?;
        }
        if let Some(snapshot) = &self.snapshot_id {
            tags.add(2, |w| snapshot.encode(w, version))?;
        }
        w.tagged_fields(&tags);
        Ok(())
    }
}
