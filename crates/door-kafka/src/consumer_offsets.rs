//! `__consumer_offsets`: the groups' journal in Kafka's own format, for tools that watch over groups by reading it
//! (Burrow, kminion, the formatters of `kafka-console-consumer`).
//!
//! The formats are those of `OffsetCommitKey`, `OffsetCommitValue`, `GroupMetadataKey` and `GroupMetadataValue`, in
//! the newest version that such tools read as well as Kafka does. Groups of the new protocol (KIP-848) have their
//! committed offsets there, and not their members.

use broker::groups::GroupsTopic;
use broker::queue::record::{GroupValue, Key, MemberValue, OffsetKey, OffsetValue, Record};
use bytes::Bytes;

use crate::wire::{WireError, Writer};

/// The topic's name, as Kafka's clients know it.
pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";

/// `OffsetCommitKey`: versions 0 and 1 are the same.
const OFFSET_KEY: i16 = 1;
/// `OffsetCommitValue`, when the client asked for a retention of its own: the last version that has a field for it.
const OFFSET_VALUE_THAT_EXPIRES: i16 = 1;
/// `OffsetCommitValue` otherwise.
const OFFSET_VALUE: i16 = 3;
/// `GroupMetadataKey`.
const GROUP_KEY: i16 = 2;
/// `GroupMetadataValue`, the newest version that Burrow reads, …
const GROUP_VALUE: i16 = 1;
/// … and the one for static members, who have instance ids.
const GROUP_VALUE_WITH_INSTANCES: i16 = 3;

/// Writes the topic's records.
#[derive(Debug, Clone, Copy)]
pub struct ConsumerOffsets;

impl GroupsTopic for ConsumerOffsets {
    fn name(&self) -> &'static str {
        CONSUMER_OFFSETS
    }

    fn show(&self, key: &Key, value: Option<&[u8]>) -> Option<Record> {
        // Names that are too long for the format, or a value that cannot be read, are nobody's loss: the journal has them.
        record(key, value).ok().flatten()
    }
}

fn record(key: &Key, value: Option<&[u8]>) -> Result<Option<Record>, WireError> {
    Ok(match key {
        Key::Offset(key) => match value.map(OffsetValue::decode) {
            None => Some(Record { key: offset_key(key)?, value: None }),
            Some(Ok(value)) => {
                Some(Record { key: offset_key(key)?, value: Some(offset_value(&value)?) })
            }
            Some(Err(_)) => None,
        },
        Key::Group(group) => match value.map(GroupValue::decode) {
            None => Some(Record { key: group_key(group)?, value: None }),
            Some(Ok(value)) => {
                Some(Record { key: group_key(group)?, value: Some(group_value(&value)?) })
            }
            Some(Err(_)) => None,
        },
        Key::ConsumerGroup(_)
        | Key::ConsumerMember(_)
        | Key::TargetAssignment(_)
        | Key::CurrentAssignment(_) => None,
    })
}

fn offset_key(key: &OffsetKey) -> Result<Bytes, WireError> {
    let mut out = Writer::with_capacity(10 + key.group.len() + key.topic.len());
    out.i16(OFFSET_KEY);
    out.string(&key.group, false)?;
    out.string(&key.topic, false)?;
    out.i32(key.partition);
    Ok(out.finish())
}

fn offset_value(value: &OffsetValue) -> Result<Bytes, WireError> {
    let mut out = Writer::with_capacity(32 + value.note.len());
    out.i16(if value.expires_at.is_some() { OFFSET_VALUE_THAT_EXPIRES } else { OFFSET_VALUE });
    out.i64(value.offset);
    if value.expires_at.is_none() {
        out.i32(value.leader_epoch);
    }
    out.string(&value.note, false)?;
    out.i64(value.committed_at);
    if let Some(expires_at) = value.expires_at {
        out.i64(expires_at);
    }
    Ok(out.finish())
}

fn group_key(group: &str) -> Result<Bytes, WireError> {
    let mut out = Writer::with_capacity(4 + group.len());
    out.i16(GROUP_KEY);
    out.string(group, false)?;
    Ok(out.finish())
}

fn group_value(value: &GroupValue) -> Result<Bytes, WireError> {
    let mut out = Writer::with_capacity(64 + value.members.len() * 256);
    let has_instances = value.members.iter().any(|member| member.instance_id.is_some());
    out.i16(if has_instances { GROUP_VALUE_WITH_INSTANCES } else { GROUP_VALUE });
    out.string(value.protocol_type.as_deref().unwrap_or_default(), false)?;
    out.i32(value.generation);
    out.nullable_string(value.protocol.as_deref(), false)?;
    out.nullable_string(value.leader.as_deref(), false)?;
    if has_instances {
        out.i64(value.state_since);
    }
    let protocol = value.protocol.as_deref();
    let write = |out: &mut Writer, member: &MemberValue| {
        out.string(&member.member_id, false)?;
        if has_instances {
            out.nullable_string(member.instance_id.as_deref(), false)?;
        }
        rest_of(out, member, protocol)
    };
    out.array(&value.members, false, write)?;
    Ok(out.finish())
}

fn rest_of(
    out: &mut Writer,
    member: &MemberValue,
    protocol: Option<&str>,
) -> Result<(), WireError> {
    let millis = |millis: i64| i32::try_from(millis).unwrap_or(i32::MAX);
    out.string(&member.client_id, false)?;
    out.string(&member.client_host, false)?;
    out.i32(millis(member.rebalance_timeout));
    out.i32(millis(member.session_timeout));
    // What it wants, in the words of the protocol that was chosen.
    let chosen = member.protocols.iter().find(|one| Some(&*one.name) == protocol);
    out.bytes(&chosen.map(|one| one.metadata.clone()).unwrap_or_default(), false)?;
    out.bytes(&member.assignment, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Put together by hand from the definitions of the formats.
    #[test]
    fn offsets_are_in_kafkas_format() {
        let key = OffsetKey { group: "g".into(), topic: "tt".into(), partition: 3 };
        let value = OffsetValue {
            offset: 7,
            leader_epoch: 5,
            note: "n".into(),
            committed_at: 0x0102,
            expires_at: None,
        };
        let shown = ConsumerOffsets.show(&Key::Offset(key.clone()), Some(&value.encode()));
        let shown = shown.expect("it is shown");
        assert_eq!(&shown.key[..], b"\0\x01\0\x01g\0\x02tt\0\0\0\x03");
        let wanted = b"\0\x03\0\0\0\0\0\0\0\x07\0\0\0\x05\0\x01n\0\0\0\0\0\0\x01\x02";
        assert_eq!(shown.value.as_deref(), Some(&wanted[..]));

        let value = OffsetValue { expires_at: Some(9), ..value };
        let shown = ConsumerOffsets.show(&Key::Offset(key.clone()), Some(&value.encode()));
        let wanted = b"\0\x01\0\0\0\0\0\0\0\x07\0\x01n\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x09";
        assert_eq!(shown.and_then(|shown| shown.value).as_deref(), Some(&wanted[..]));

        let gone = ConsumerOffsets.show(&Key::Offset(key), None).expect("it is shown");
        assert_eq!((&gone.key[..4], gone.value), (&b"\0\x01\0\x01"[..], None));
    }

    #[test]
    fn groups_are_in_kafkas_format() {
        let protocols = vec![
            broker::queue::group::Protocol { name: "range".into(), metadata: "r".into() },
            broker::queue::group::Protocol { name: "sticky".into(), metadata: "ss".into() },
        ];
        let member = MemberValue {
            member_id: "m".into(),
            instance_id: None,
            client_id: "c".into(),
            client_host: "/h".into(),
            session_timeout: 6,
            rebalance_timeout: 8,
            protocols,
            assignment: "a".into(),
        };
        let mut value = GroupValue {
            generation: 4,
            state_since: 2,
            protocol_type: Some("consumer".into()),
            protocol: Some("sticky".into()),
            leader: Some("m".into()),
            members: vec![member],
        };
        let shown = ConsumerOffsets.show(&Key::Group("g".into()), Some(&value.encode()));
        let shown = shown.expect("it is shown");
        assert_eq!(&shown.key[..], b"\0\x02\0\x01g");
        let head = b"\0\x08consumer\0\0\0\x04\0\x06sticky\0\x01m";
        let (since, members) = (b"\0\0\0\0\0\0\0\x02", b"\0\0\0\x01\0\x01m");
        let rest = b"\0\x01c\0\x02/h\0\0\0\x08\0\0\0\x06\0\0\0\x02ss\0\0\0\x01a";
        let wanted = [b"\0\x01", &head[..], members, rest].concat();
        assert_eq!(shown.value.as_deref(), Some(&wanted[..]));

        value.members[0].instance_id = Some("i".into());
        let shown = ConsumerOffsets.show(&Key::Group("g".into()), Some(&value.encode()));
        let wanted = [b"\0\x03", &head[..], since, members, b"\0\x01i", rest].concat();
        assert_eq!(shown.and_then(|shown| shown.value).as_deref(), Some(&wanted[..]));
    }

    #[test]
    fn what_cannot_be_read_or_has_no_record_there_is_not_shown() {
        assert_eq!(ConsumerOffsets.show(&Key::Group("g".into()), Some(b"\xff")), None);
        assert_eq!(ConsumerOffsets.show(&Key::ConsumerGroup("g".into()), None), None);
        let long: String = "g".repeat(40_000);
        assert_eq!(ConsumerOffsets.show(&Key::Group(long.as_str().into()), None), None);
    }
}
