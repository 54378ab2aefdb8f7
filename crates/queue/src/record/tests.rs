use bytes::Bytes;
use proptest::prelude::*;

use base::TopicId;

use super::{
    ConsumerGroupValue, ConsumerMemberValue, CurrentAssignmentValue, GroupValue, Key, MemberKey,
    MemberValue, OffsetKey, OffsetValue, RecordError, TargetAssignmentValue,
};
use crate::Name;
use crate::consumer_group::{MemberState, Partitions};
use crate::group::Protocol;

fn name() -> impl Strategy<Value = Name> {
    "[a-zäü0-9.-]{0,12}".prop_map(Name::from)
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from)
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        name().prop_map(Key::Group),
        (name(), name(), any::<i32>()).prop_map(|(group, topic, partition)| Key::Offset(
            OffsetKey { group, topic, partition }
        )),
    ]
}

fn member_key() -> impl Strategy<Value = MemberKey> {
    (name(), name()).prop_map(|(group, member_id)| MemberKey { group, member_id })
}

fn consumer_key() -> impl Strategy<Value = Key> {
    prop_oneof![
        name().prop_map(Key::ConsumerGroup),
        member_key().prop_map(Key::ConsumerMember),
        member_key().prop_map(Key::TargetAssignment),
        member_key().prop_map(Key::CurrentAssignment),
    ]
}

fn consumer_group() -> impl Strategy<Value = ConsumerGroupValue> {
    (any::<i32>(), any::<i32>(), any::<i64>(), name()).prop_map(
        |(epoch, target_epoch, changed_at, assignor)| ConsumerGroupValue {
            epoch,
            target_epoch,
            changed_at,
            assignor,
        },
    )
}

fn consumer_member() -> impl Strategy<Value = ConsumerMemberValue> {
    let optional = || prop::option::of(name());
    let names = (optional(), optional(), name(), name());
    let topics = prop::collection::vec(name(), 0..4);
    (names, any::<i64>(), optional(), optional(), topics).prop_map(
        |(names, rebalance_timeout, assignor, pattern, topics)| {
            let (instance_id, rack, client_id, client_host) = names;
            ConsumerMemberValue {
                instance_id,
                rack,
                client_id,
                client_host,
                rebalance_timeout,
                assignor,
                pattern,
                topics,
            }
        },
    )
}

fn partitions() -> impl Strategy<Value = Partitions> {
    let topic = prop_oneof![(0u128..3).prop_map(TopicId), any::<u128>().prop_map(TopicId)];
    prop::collection::btree_set((topic, any::<i32>()), 0..12)
}

fn current() -> impl Strategy<Value = CurrentAssignmentValue> {
    let state = prop::sample::select(vec![
        MemberState::Stable,
        MemberState::Unrevoked,
        MemberState::Unreleased,
    ]);
    (any::<i32>(), any::<i32>(), state, partitions(), partitions()).prop_map(
        |(epoch, previous_epoch, state, assigned, revoking)| CurrentAssignmentValue {
            epoch,
            previous_epoch,
            state,
            assigned,
            revoking,
        },
    )
}

fn offset() -> impl Strategy<Value = OffsetValue> {
    let expires = prop::option::of(0..i64::MAX);
    (any::<i64>(), any::<i32>(), name(), any::<i64>(), expires).prop_map(
        |(offset, leader_epoch, note, committed_at, expires_at)| OffsetValue {
            offset,
            leader_epoch,
            note,
            committed_at,
            expires_at,
        },
    )
}

fn member() -> impl Strategy<Value = MemberValue> {
    let protocol = (name(), bytes()).prop_map(|(name, metadata)| Protocol { name, metadata });
    let protocols = prop::collection::vec(protocol, 0..3);
    let names = (name(), prop::option::of(name()), name(), name());
    (names, any::<i64>(), any::<i64>(), protocols, bytes()).prop_map(
        |(names, session_timeout, rebalance_timeout, protocols, assignment)| {
            let (member_id, instance_id, client_id, client_host) = names;
            MemberValue {
                member_id,
                instance_id,
                client_id,
                client_host,
                session_timeout,
                rebalance_timeout,
                protocols,
                assignment,
            }
        },
    )
}

fn group() -> impl Strategy<Value = GroupValue> {
    let optional = || prop::option::of(name());
    let members = prop::collection::vec(member(), 0..4);
    (any::<i32>(), any::<i64>(), optional(), optional(), optional(), members).prop_map(
        |(generation, state_since, protocol_type, protocol, leader, members)| GroupValue {
            generation,
            state_since,
            protocol_type,
            protocol,
            leader,
            members,
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read(key in key(), group in group(), offset in offset()) {
        prop_assert_eq!(Key::decode(&key.encode()), Ok(key));
        prop_assert_eq!(GroupValue::decode(&group.encode()), Ok(group));
        prop_assert_eq!(OffsetValue::decode(&offset.encode()), Ok(offset));
    }

    #[test]
    fn what_is_written_of_consumer_groups_is_read(
        key in consumer_key(),
        group in consumer_group(),
        member in consumer_member(),
        target in partitions(),
        current in current(),
    ) {
        prop_assert_eq!(Key::decode(&key.encode()), Ok(key));
        prop_assert_eq!(ConsumerGroupValue::decode(&group.encode()), Ok(group));
        prop_assert_eq!(ConsumerMemberValue::decode(&member.encode()), Ok(member));
        let target = TargetAssignmentValue { partitions: target };
        prop_assert_eq!(TargetAssignmentValue::decode(&target.encode()), Ok(target));
        prop_assert_eq!(CurrentAssignmentValue::decode(&current.encode()), Ok(current));
    }

    #[test]
    fn damage_to_what_a_member_owns_is_an_error_or_another_value(
        current in current(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = current.encode().to_vec();
        prop_assert!(CurrentAssignmentValue::decode(&bytes[..at.index(bytes.len())]).is_err());
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = CurrentAssignmentValue::decode(&bytes) {
            prop_assert_eq!(read.encode(), bytes);
        }
    }

    #[test]
    fn nothing_cut_or_lengthened_is_read(
        group in group(),
        offset in offset(),
        at in any::<prop::sample::Index>(),
    ) {
        let (group, offset) = (group.encode(), offset.encode());
        prop_assert!(GroupValue::decode(&group[..at.index(group.len())]).is_err());
        prop_assert!(OffsetValue::decode(&offset[..at.index(offset.len())]).is_err());
        let longer = |bytes: &[u8]| [bytes, &[0]].concat();
        prop_assert_eq!(GroupValue::decode(&longer(&group)), Err(RecordError::Trailing));
        prop_assert_eq!(OffsetValue::decode(&longer(&offset)), Err(RecordError::Trailing));
    }

    #[test]
    fn damage_is_an_error_or_another_value_but_no_panic(
        group in group(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = group.encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = GroupValue::decode(&bytes) {
            prop_assert_eq!(read.encode(), bytes);
        }
    }

    #[test]
    fn noise_is_no_record(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Key::decode(&bytes);
        let _ = GroupValue::decode(&bytes);
        let _ = OffsetValue::decode(&bytes);
        let _ = ConsumerGroupValue::decode(&bytes);
        let _ = ConsumerMemberValue::decode(&bytes);
        let _ = TargetAssignmentValue::decode(&bytes);
        let _ = CurrentAssignmentValue::decode(&bytes);
    }
}

#[test]
fn the_bytes_of_consumer_groups_are_these() {
    let member = MemberKey { group: "g".into(), member_id: "m".into() };
    let key = |kind: u8| [&[1, kind], &b"\0\0\0\x01g\0\0\0\x01m"[..]].concat();
    assert_eq!(&Key::ConsumerGroup("g".into()).encode()[..], b"\x01\x03\0\0\0\x01g");
    assert_eq!(Key::ConsumerMember(member.clone()).encode(), key(4));
    assert_eq!(Key::TargetAssignment(member.clone()).encode(), key(5));
    assert_eq!(Key::CurrentAssignment(member).encode(), key(6));
    let group =
        ConsumerGroupValue { epoch: 3, target_epoch: 2, changed_at: 9, assignor: "u".into() };
    let expected = b"\x01\0\0\0\x03\0\0\0\x02\0\0\0\0\0\0\0\x09\0\0\0\x01u";
    assert_eq!(&group.encode()[..], expected);
    let about = ConsumerMemberValue {
        instance_id: Some("i".into()),
        rack: None,
        client_id: "c".into(),
        client_host: "h".into(),
        rebalance_timeout: 5,
        assignor: None,
        pattern: Some("p".into()),
        topics: vec!["t".into()],
    };
    let expected = [
        &b"\x01\0\0\0\x01i\xff\xff\xff\xff\0\0\0\x01c\0\0\0\x01h"[..],
        b"\0\0\0\0\0\0\0\x05\xff\xff\xff\xff\0\0\0\x01p\0\0\0\x01\0\0\0\x01t",
    ];
    assert_eq!(about.encode(), expected.concat());
    let current = CurrentAssignmentValue {
        epoch: 4,
        previous_epoch: 3,
        state: MemberState::Unrevoked,
        assigned: [(TopicId(7), 0), (TopicId(7), 2)].into(),
        revoking: Partitions::new(),
    };
    let id = [&[0; 15][..], &[7]].concat();
    let expected = [
        &b"\x01\0\0\0\x04\0\0\0\x03\x01\0\0\0\x01"[..],
        &id,
        b"\0\0\0\x02\0\0\0\0\0\0\0\x02\0\0\0\0",
    ];
    assert_eq!(current.encode(), expected.concat());
    let target = TargetAssignmentValue { partitions: [(TopicId(7), 1)].into() };
    let expected = [&b"\x01\0\0\0\x01"[..], &id, b"\0\0\0\x01\0\0\0\x01"];
    assert_eq!(target.encode(), expected.concat());
}

#[test]
fn the_bytes_are_these() {
    let key = Key::Offset(OffsetKey { group: "g".into(), topic: "t".into(), partition: 7 });
    assert_eq!(&key.encode()[..], b"\x01\x02\0\0\0\x01g\0\0\0\x01t\0\0\0\x07");
    assert_eq!(&Key::Group("g".into()).encode()[..], b"\x01\x01\0\0\0\x01g");
    let offset = OffsetValue {
        offset: 5,
        leader_epoch: -1,
        note: "n".into(),
        committed_at: 9,
        expires_at: None,
    };
    let expected =
        b"\x01\0\0\0\0\0\0\0\x05\xff\xff\xff\xff\0\0\0\0\0\0\0\x09\x80\0\0\0\0\0\0\0\0\0\0\x01n";
    assert_eq!(&offset.encode()[..], expected);
    let group = GroupValue {
        generation: 2,
        state_since: 3,
        protocol_type: Some("c".into()),
        protocol: None,
        leader: Some("m".into()),
        members: vec![MemberValue {
            member_id: "m".into(),
            instance_id: None,
            client_id: "d".into(),
            client_host: "h".into(),
            session_timeout: 4,
            rebalance_timeout: 5,
            protocols: vec![Protocol { name: "p".into(), metadata: Bytes::from_static(b"xy") }],
            assignment: Bytes::from_static(b"z"),
        }],
    };
    let expected = [
        &b"\x01\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0\x01c\xff\xff\xff\xff\0\0\0\x01m\0\0\0\x01"[..],
        b"\0\0\0\x01m\xff\xff\xff\xff\0\0\0\x01d\0\0\0\x01h",
        b"\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\x05\0\0\0\x01\0\0\0\x01p\0\0\0\x02xy\0\0\0\x01z",
    ];
    assert_eq!(group.encode(), expected.concat());
}

#[test]
fn unknown_kinds_and_versions_are_errors() {
    assert_eq!(Key::decode(b"\x02\x01\0\0\0\0"), Err(RecordError::UnknownVersion(2)));
    assert_eq!(Key::decode(b"\x01\x07\0\0\0\0"), Err(RecordError::UnknownKind(7)));
    assert_eq!(Key::decode(b"\x01\x01\0\0\0\x01\xff"), Err(RecordError::NotText));
    assert_eq!(GroupValue::decode(b"\x00"), Err(RecordError::UnknownVersion(0)));
    assert_eq!(OffsetValue::decode(b""), Err(RecordError::Truncated));
    assert_eq!(RecordError::Truncated.kind(), base::ErrorKind::Corrupt);
}
