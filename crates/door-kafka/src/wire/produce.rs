//! Produce by hand: the request's records stay slices of its frame, and decoding it allocates
//! nothing but the vectors of topics and partitions.
//!
//! Versions 0 to 2 carry message sets of the formats before record batches, which are opaque bytes
//! here: the door converts them.

use bytes::Bytes;

use super::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint,
};
use super::{Reader, Str, TaggedFields, WireError, Writer};

const FLEXIBLE_FROM: i16 = 9;
const TOPIC_IDS_FROM: i16 = 13;
const VERSIONS: std::ops::RangeInclusive<i16> = 0..=13;

fn check_version(name: &'static str, version: i16) -> Result<(), WireError> {
    if VERSIONS.contains(&version) {
        return Ok(());
    }
    Err(WireError::UnknownVersion { name, version })
}

/// `ProduceRequest` (versions 0-13).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProduceRequest {
    /// Set by a producer that uses transactions (versions 3+).
    pub transactional_id: Option<Str>,
    /// 0: no response at all, 1: the leader has it, -1: all replicas in sync have it.
    pub acks: i16,
    /// How long to wait for the replicas, in milliseconds.
    pub timeout_ms: i32,
    /// What to append, by topic.
    pub topics: Vec<ProduceTopic>,
}

/// One topic of a [`ProduceRequest`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProduceTopic {
    /// Its name (versions 0-12).
    pub name: Str,
    /// Its id (versions 13+).
    pub topic_id: [u8; 16],
    /// What to append, by partition.
    pub partitions: Vec<ProducePartition>,
}

/// One partition of a [`ProduceTopic`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProducePartition {
    /// Its number.
    pub index: i32,
    /// Record batches, or a message set before version 3: a slice of the frame.
    pub records: Option<Bytes>,
}

impl ProduceRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// When the version is not known or the bytes do not fit it.
    pub fn decode(r: &mut Reader, version: i16) -> Result<Self, WireError> {
        check_version("ProduceRequest", version)?;
        let flexible = version >= FLEXIBLE_FROM;
        let transactional_id = if version >= 3 { r.nullable_str(flexible)? } else { None };
        let acks = r.i16()?;
        let timeout_ms = r.i32()?;
        let topics = r.array(flexible, |r| ProduceTopic::decode(r, version, flexible))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { transactional_id, acks, timeout_ms, topics })
    }
}

impl ProduceTopic {
    fn decode(r: &mut Reader, version: i16, flexible: bool) -> Result<Self, WireError> {
        let (mut name, mut topic_id) = (Str::default(), [0; 16]);
        if version >= TOPIC_IDS_FROM {
            topic_id = r.uuid()?;
        } else {
            name = r.str(flexible)?;
        }
        let partitions = r.array(flexible, |r| {
            let index = r.i32()?;
            let records = r.nullable_bytes(flexible)?;
            if flexible {
                r.skip_tagged_fields()?;
            }
            Ok(ProducePartition { index, records })
        })?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { name, topic_id, partitions })
    }
}

/// `ProduceResponse` (versions 0-13).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProduceResponse {
    /// What became of the request's partitions, by topic.
    pub topics: Vec<ProducedTopic>,
    /// For how long a quota held the request back, in milliseconds (versions 1+).
    pub throttle_time_ms: i32,
    /// Where the leaders named in [`ProducedPartition::current_leader`] are (versions 10+).
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// One topic of a [`ProduceResponse`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProducedTopic {
    /// Its name (versions 0-12).
    pub name: Str,
    /// Its id (versions 13+).
    pub topic_id: [u8; 16],
    /// What became of its partitions.
    pub partitions: Vec<ProducedPartition>,
}

/// One partition of a [`ProducedTopic`].
#[derive(Debug, Clone, PartialEq)]
pub struct ProducedPartition {
    /// Its number.
    pub index: i32,
    /// 0, or why nothing was appended.
    pub error_code: i16,
    /// The offset of the first record, or -1.
    pub base_offset: i64,
    /// When the broker appended it, in milliseconds since 1970, or -1 where the topic keeps the
    /// producer's times (versions 2+).
    pub log_append_time_ms: i64,
    /// The partition's first offset, or -1 (versions 5+).
    pub log_start_offset: i64,
    /// The records that caused the error (versions 8+).
    pub record_errors: Vec<BatchIndexAndErrorMessage>,
    /// The error in words (versions 8+).
    pub error_message: Option<String>,
    /// Who leads the partition, told to a producer that asked the wrong broker (versions 10+).
    pub current_leader: Option<LeaderIdAndEpoch>,
}

impl Default for ProducedPartition {
    fn default() -> Self {
        Self {
            index: 0,
            error_code: 0,
            base_offset: -1,
            log_append_time_ms: -1,
            log_start_offset: -1,
            record_errors: Vec::new(),
            error_message: None,
            current_leader: None,
        }
    }
}

impl ProduceResponse {
    /// Writes the response.
    ///
    /// # Errors
    /// When the version is not known or a text is too long.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), WireError> {
        check_version("ProduceResponse", version)?;
        let flexible = version >= FLEXIBLE_FROM;
        w.array(&self.topics, flexible, |w, topic| topic.encode(w, version, flexible))?;
        if version >= 1 {
            w.i32(self.throttle_time_ms);
        }
        if !flexible {
            return Ok(());
        }
        let mut tags = TaggedFields::default();
        if version >= 10 && !self.node_endpoints.is_empty() {
            tags.add(0, |w| w.array(&self.node_endpoints, true, |w, e| e.encode(w, version)))?;
        }
        w.tagged_fields(&tags);
        Ok(())
    }
}

impl ProducedTopic {
    fn encode(&self, w: &mut Writer, version: i16, flexible: bool) -> Result<(), WireError> {
        if version >= TOPIC_IDS_FROM {
            w.uuid(&self.topic_id);
        } else {
            w.string(&self.name, flexible)?;
        }
        w.array(&self.partitions, flexible, |w, partition| partition.encode(w, version, flexible))?;
        if flexible {
            w.no_tagged_fields();
        }
        Ok(())
    }
}

impl ProducedPartition {
    fn encode(&self, w: &mut Writer, version: i16, flexible: bool) -> Result<(), WireError> {
        w.i32(self.index);
        w.i16(self.error_code);
        w.i64(self.base_offset);
        if version >= 2 {
            w.i64(self.log_append_time_ms);
        }
        if version >= 5 {
            w.i64(self.log_start_offset);
        }
        if version >= 8 {
            w.array(&self.record_errors, flexible, |w, error| error.encode(w, version))?;
            w.nullable_string(self.error_message.as_deref(), flexible)?;
        }
        if !flexible {
            return Ok(());
        }
        match &self.current_leader {
            Some(leader) if version >= 10 => {
                let mut tags = TaggedFields::default();
                tags.add(0, |w| leader.encode(w, version))?;
                w.tagged_fields(&tags);
            }
            _ => w.no_tagged_fields(),
        }
        Ok(())
    }
}
