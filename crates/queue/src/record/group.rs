//! The value of a group's state.

use base::Millis;
use bytes::{BufMut, Bytes, BytesMut};

use super::RecordError;
use super::wire::{Reader, put_bytes, put_len, put_optional_text, put_text};
use crate::Name;
use crate::group::Protocol;

const VERSION: u8 = 1;

/// A group as it was when it last became stable, or empty. A group without members is empty.
///
/// | bytes | field |
/// |---|---|
/// | u8 | version, 1 |
/// | i32 | generation |
/// | i64 | when it became stable or empty, ms |
/// | optional text | protocol type |
/// | optional text | protocol chosen |
/// | optional text | member id of the leader |
/// | u32 | number of members; per member: |
/// | text | .. member id |
/// | optional text | .. instance id |
/// | text | .. client id |
/// | text | .. client host |
/// | i64 | .. session timeout, ms |
/// | i64 | .. rebalance timeout, ms |
/// | u32 | .. number of protocols, the preferred one first; per protocol: |
/// | text | .. .. name |
/// | bytes | .. .. the member's subscription under that protocol |
/// | bytes | .. assignment |
///
/// All protocols are kept, not just the one chosen, so that a member that joins again after a
/// restart is recognised as unchanged and causes no rebalance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupValue {
    /// The generation.
    pub generation: i32,
    /// Since when the group is stable, or empty.
    pub state_since: Millis,
    /// What kind of group it is, as its members call it.
    pub protocol_type: Option<Name>,
    /// The assignment protocol chosen.
    pub protocol: Option<Name>,
    /// The leader's member id.
    pub leader: Option<Name>,
    /// The members.
    pub members: Vec<MemberValue>,
}

/// One member of a [`GroupValue`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberValue {
    /// The member's id.
    pub member_id: Name,
    /// The instance id of a static member.
    pub instance_id: Option<Name>,
    /// What the client calls itself.
    pub client_id: Name,
    /// Where the client connects from.
    pub client_host: Name,
    /// In milliseconds.
    pub session_timeout: Millis,
    /// In milliseconds.
    pub rebalance_timeout: Millis,
    /// The protocols that the member supports.
    pub protocols: Vec<Protocol>,
    /// What the leader assigned to it.
    pub assignment: Bytes,
}

impl GroupValue {
    /// The value's bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64 + self.members.len() * 256);
        out.put_u8(VERSION);
        out.put_i32(self.generation);
        out.put_i64(self.state_since);
        put_optional_text(&mut out, self.protocol_type.as_deref());
        put_optional_text(&mut out, self.protocol.as_deref());
        put_optional_text(&mut out, self.leader.as_deref());
        put_len(&mut out, self.members.len());
        for member in &self.members {
            member.encode(&mut out);
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
            generation: reader.i32()?,
            state_since: reader.i64()?,
            protocol_type: reader.optional_text()?,
            protocol: reader.optional_text()?,
            leader: reader.optional_text()?,
            members: Vec::new(),
        };
        // No capacity from the count: it may be damaged, and a push is checked by what is there.
        for _ in 0..reader.u32()? {
            value.members.push(MemberValue::decode(&mut reader)?);
        }
        reader.end()?;
        Ok(value)
    }
}

impl MemberValue {
    fn encode(&self, out: &mut BytesMut) {
        put_text(out, &self.member_id);
        put_optional_text(out, self.instance_id.as_deref());
        put_text(out, &self.client_id);
        put_text(out, &self.client_host);
        out.put_i64(self.session_timeout);
        out.put_i64(self.rebalance_timeout);
        put_len(out, self.protocols.len());
        for protocol in &self.protocols {
            put_text(out, &protocol.name);
            put_bytes(out, &protocol.metadata);
        }
        put_bytes(out, &self.assignment);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        let mut member = Self {
            member_id: reader.text()?,
            instance_id: reader.optional_text()?,
            client_id: reader.text()?,
            client_host: reader.text()?,
            session_timeout: reader.i64()?,
            rebalance_timeout: reader.i64()?,
            protocols: Vec::new(),
            assignment: Bytes::new(),
        };
        for _ in 0..reader.u32()? {
            member.protocols.push(Protocol { name: reader.text()?, metadata: reader.bytes()? });
        }
        member.assignment = reader.bytes()?;
        Ok(member)
    }
}
