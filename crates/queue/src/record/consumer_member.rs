//! The value of what a member of a consumer group says about itself.

use base::Millis;
use bytes::{BufMut, Bytes, BytesMut};

use super::RecordError;
use super::wire::{Reader, put_len, put_optional_text, put_text};
use crate::Name;

const VERSION: u8 = 1;

/// A member of a consumer group, as it describes itself.
///
/// | bytes | field |
/// |---|---|
/// | u8 | version, 1 |
/// | optional text | instance id |
/// | optional text | rack |
/// | text | client id |
/// | text | client host |
/// | i64 | rebalance timeout, ms |
/// | optional text | the assignor that it prefers |
/// | optional text | the pattern that it subscribes to |
/// | u32 | number of topics that it subscribes to by name; per topic: |
/// | text | .. name |
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsumerMemberValue {
    /// The instance id of a static member.
    pub instance_id: Option<Name>,
    /// Where the client stands.
    pub rack: Option<Name>,
    /// What the client calls itself.
    pub client_id: Name,
    /// Where the client connects from.
    pub client_host: Name,
    /// How long it may take to give partitions back, in milliseconds.
    pub rebalance_timeout: Millis,
    /// The assignor that it prefers.
    pub assignor: Option<Name>,
    /// The pattern of topic names that it subscribes to.
    pub pattern: Option<Name>,
    /// The topics that it subscribes to by name, in order.
    pub topics: Vec<Name>,
}

impl ConsumerMemberValue {
    /// The value's bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(128 + self.topics.len() * 32);
        out.put_u8(VERSION);
        put_optional_text(&mut out, self.instance_id.as_deref());
        put_optional_text(&mut out, self.rack.as_deref());
        put_text(&mut out, &self.client_id);
        put_text(&mut out, &self.client_host);
        out.put_i64(self.rebalance_timeout);
        put_optional_text(&mut out, self.assignor.as_deref());
        put_optional_text(&mut out, self.pattern.as_deref());
        put_len(&mut out, self.topics.len());
        for topic in &self.topics {
            put_text(&mut out, topic);
        }
        out.freeze()
    }

    /// Reads a value.
    ///
    /// # Errors
    /// When the bytes are not a value that [`Self::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let mut value = Self {
            instance_id: reader.optional_text()?,
            rack: reader.optional_text()?,
            client_id: reader.text()?,
            client_host: reader.text()?,
            rebalance_timeout: reader.i64()?,
            assignor: reader.optional_text()?,
            pattern: reader.optional_text()?,
            topics: Vec::new(),
        };
        // No capacity from the count: it may be damaged, and a push is checked by what is there.
        for _ in 0..reader.u32()? {
            value.topics.push(reader.text()?);
        }
        reader.end()?;
        Ok(value)
    }
}
