//! Frames, methods, headers and tables, as bytes and back.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::frame::{self, BadFrame, Frame, FrameError, Kind, Parsed};
use super::method::*;
use super::properties::{ContentHeader, Properties};
use super::reader::{FieldKind, Long, Reader, Short};
use super::reply::Reply;
use super::table::{Array, ArrayBuf, DEPTH_MAX, Table, TableBuf, Value};
use super::{PROTOCOL_HEADER, SyntaxError};

const FRAME_MAX: u32 = 131_072;

/// The frames that bytes consist of.
fn frames(mut bytes: &[u8]) -> Vec<Frame<'_>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let Ok(Parsed::Frame(frame, used)) = frame::parse(bytes, FRAME_MAX) else {
            panic!("no frame: {bytes:?}");
        };
        frames.push(frame);
        bytes = &bytes[used..];
    }
    frames
}

/// Any value, to a depth of three.
pub(super) fn value() -> impl Strategy<Value = Owned> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..12);
    let leaf = prop_oneof![
        any::<bool>().prop_map(Owned::Bool),
        any::<i8>().prop_map(Owned::I8),
        any::<u8>().prop_map(Owned::U8),
        any::<i16>().prop_map(Owned::I16),
        any::<u16>().prop_map(Owned::U16),
        any::<i32>().prop_map(Owned::I32),
        any::<u32>().prop_map(Owned::U32),
        any::<i64>().prop_map(Owned::I64),
        any::<f32>().prop_filter("it equals itself", |f| !f.is_nan()).prop_map(Owned::F32),
        any::<f64>().prop_filter("it equals itself", |f| !f.is_nan()).prop_map(Owned::F64),
        (any::<u8>(), any::<u32>()).prop_map(|(scale, digits)| Owned::Decimal(scale, digits)),
        bytes().prop_map(Owned::String),
        bytes().prop_map(Owned::Bytes),
        any::<u64>().prop_map(Owned::Timestamp),
        Just(Owned::Void),
    ];
    leaf.prop_recursive(3, 24, 4, move |inner| {
        let named = ("[a-d]{0,2}", inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Owned::Array),
            prop::collection::vec(named, 0..4).prop_map(Owned::Table),
        ]
    })
}

/// A value that owns what it is made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Owned {
    Bool(bool),
    I8(i8),
    U8(u8),
    I16(i16),
    U16(u16),
    I32(i32),
    U32(u32),
    I64(i64),
    F32(f32),
    F64(f64),
    Decimal(u8, u32),
    String(Vec<u8>),
    Bytes(Vec<u8>),
    Timestamp(u64),
    Array(Vec<Owned>),
    Table(Vec<(String, Owned)>),
    Void,
}

impl Owned {
    fn with(&self, with: &mut dyn FnMut(Value<'_>)) {
        match self {
            Self::Bool(value) => with(Value::Bool(*value)),
            Self::I8(value) => with(Value::I8(*value)),
            Self::U8(value) => with(Value::U8(*value)),
            Self::I16(value) => with(Value::I16(*value)),
            Self::U16(value) => with(Value::U16(*value)),
            Self::I32(value) => with(Value::I32(*value)),
            Self::U32(value) => with(Value::U32(*value)),
            Self::I64(value) => with(Value::I64(*value)),
            Self::F32(value) => with(Value::F32(*value)),
            Self::F64(value) => with(Value::F64(*value)),
            Self::Decimal(scale, digits) => with(Value::Decimal { scale: *scale, digits: *digits }),
            Self::String(value) => with(Value::String(value)),
            Self::Bytes(value) => with(Value::Bytes(value)),
            Self::Timestamp(value) => with(Value::Timestamp(*value)),
            Self::Array(values) => {
                let mut array = ArrayBuf::default();
                values.iter().for_each(|value| value.with(&mut |value| array.push(value)));
                with(Value::Array(array.array()));
            }
            Self::Table(entries) => with(Value::Table(table(entries).table())),
            Self::Void => with(Value::Void),
        }
    }

    /// With each name once and in order, wherever tables are within it.
    pub(super) fn canonical(self) -> Self {
        match self {
            Self::Array(values) => Self::Array(values.into_iter().map(Self::canonical).collect()),
            Self::Table(entries) => {
                let canonical = |(name, value): (String, Self)| (name, value.canonical());
                let entries: BTreeMap<_, _> = entries.into_iter().map(canonical).collect();
                Self::Table(entries.into_iter().collect())
            }
            other => other,
        }
    }

    fn read(value: &Value<'_>) -> Self {
        match *value {
            Value::Bool(value) => Self::Bool(value),
            Value::I8(value) => Self::I8(value),
            Value::U8(value) => Self::U8(value),
            Value::I16(value) => Self::I16(value),
            Value::U16(value) => Self::U16(value),
            Value::I32(value) => Self::I32(value),
            Value::U32(value) => Self::U32(value),
            Value::I64(value) => Self::I64(value),
            Value::F32(value) => Self::F32(value),
            Value::F64(value) => Self::F64(value),
            Value::Decimal { scale, digits } => Self::Decimal(scale, digits),
            Value::String(value) => Self::String(value.to_vec()),
            Value::Bytes(value) => Self::Bytes(value.to_vec()),
            Value::Timestamp(value) => Self::Timestamp(value),
            Value::Array(array) => Self::Array(array.values().map(|v| Self::read(&v)).collect()),
            Value::Table(table) => Self::Table(entries(table)),
            Value::Void => Self::Void,
        }
    }
}

/// A table of these.
pub(super) fn table(entries: &[(String, Owned)]) -> TableBuf {
    let mut table = TableBuf::default();
    for (name, value) in entries {
        value.with(&mut |value| table.push(name.as_bytes(), value));
    }
    table
}

fn entries(table: Table<'_>) -> Vec<(String, Owned)> {
    let text = |name| String::from_utf8_lossy(name).into_owned();
    table.entries().map(|(name, value)| (text(name), Owned::read(&value))).collect()
}

/// The arguments of some method, as bytes. Names in tables come once and in order.
pub(super) fn method() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(Method::signatures()).prop_flat_map(|(class, method, kinds)| {
        let fields: Vec<BoxedStrategy<Field>> = kinds.into_iter().map(field).collect();
        fields.prop_map(move |fields| {
            let mut out = [class.to_be_bytes(), method.to_be_bytes()].concat();
            let mut bits = 0;
            for field in fields {
                match field {
                    Field::Bit(bit) => {
                        if bits == 0 {
                            out.push(0);
                        }
                        *out.last_mut().unwrap() |= u8::from(bit) << bits;
                        bits += 1;
                    }
                    Field::Bytes(bytes) => {
                        bits = 0;
                        out.extend(bytes);
                    }
                }
            }
            out
        })
    })
}

#[derive(Debug, Clone)]
enum Field {
    Bit(bool),
    Bytes(Vec<u8>),
}

fn field(kind: FieldKind) -> BoxedStrategy<Field> {
    let bytes = |count| prop::collection::vec(any::<u8>(), count).prop_map(Field::Bytes).boxed();
    match kind {
        FieldKind::Bit => any::<bool>().prop_map(Field::Bit).boxed(),
        FieldKind::Octet => bytes(1),
        FieldKind::Short => bytes(2),
        FieldKind::Long => bytes(4),
        FieldKind::LongLong => bytes(8),
        FieldKind::ShortString => "[a-z.]{0,20}"
            .prop_map(|text| Field::Bytes([&[text.len() as u8], text.as_bytes()].concat()))
            .boxed(),
        FieldKind::LongString => prop::collection::vec(any::<u8>(), 0..20)
            .prop_map(|bytes| {
                Field::Bytes([&(bytes.len() as u32).to_be_bytes(), &bytes[..]].concat())
            })
            .boxed(),
        FieldKind::Table => {
            prop::collection::btree_map("[a-z-]{1,9}", value().prop_map(Owned::canonical), 0..4)
                .prop_map(|entries| {
                    let bytes = table(&entries.into_iter().collect::<Vec<_>>()).into_bytes();
                    Field::Bytes([&(bytes.len() as u32).to_be_bytes(), &bytes[..]].concat())
                })
                .boxed()
        }
    }
}

proptest! {
    #[test]
    fn a_table_keeps_order_types_and_duplicates(
        wanted in prop::collection::vec(("[a-c]{0,2}", value()), 0..8),
    ) {
        let made = table(&wanted);
        let read = Table::new(made.table().bytes()).unwrap();
        prop_assert_eq!(entries(read), wanted);
    }

    #[test]
    fn a_method_is_written_as_it_was_read(payload in method(), channel in any::<u16>()) {
        let read = Method::decode(&payload).unwrap();
        let mut out = Vec::new();
        read.put_frame(channel, &mut out);
        prop_assert_eq!(frames(&out), [Frame { kind: Kind::Method, channel, payload: &payload }]);
        let (class, method) = read.id();
        prop_assert_eq!(&payload[..4], [class.to_be_bytes(), method.to_be_bytes()].concat());
    }

    #[test]
    fn a_method_that_ends_too_early_or_too_late_is_refused(
        payload in method(),
        at in any::<prop::sample::Index>(),
    ) {
        let short = &payload[..at.index(payload.len())];
        prop_assert_eq!(Method::decode(short).unwrap_err(), SyntaxError::TooShort);
        let long = [&payload[..], &[0]].concat();
        prop_assert_eq!(Method::decode(&long).unwrap_err(), SyntaxError::TooLong);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = frame::parse(&bytes, 64);
        let _ = (Method::decode(&bytes), ContentHeader::decode(&bytes));
        let _ = (Properties::decode(&bytes), Table::new(&bytes), Array::new(&bytes));
    }

    #[test]
    fn frames_are_found_wherever_the_bytes_are_cut(
        payload in prop::collection::vec(any::<u8>(), 0..300),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut out = Vec::new();
        let method = BasicPublish { routing_key: Short(b"q"), ..Default::default() };
        frame::put_content((7, 64), &method, &[], &payload, &mut out);
        prop_assert!(out.len() <= frame::content_bytes_max(64, &[], &payload));
        let all = frames(&out);
        let body: Vec<u8> = all[2..].iter().flat_map(|frame| frame.payload).copied().collect();
        prop_assert_eq!(body, payload);
        prop_assert!(all.iter().all(|frame| frame.payload.len() + frame::OVERHEAD <= 64));
        let mut rest = &out[..cut.index(out.len())];
        let mut found = 0;
        loop {
            match frame::parse(rest, 64).unwrap() {
                Parsed::Frame(frame, used) => {
                    prop_assert_eq!(frame, all[found]);
                    found += 1;
                    rest = &rest[used..];
                }
                Parsed::More(wanted) => {
                    prop_assert!(wanted > rest.len());
                    break;
                }
            }
        }
    }
}

#[test]
fn a_frame_is_laid_out_as_the_specification_says() {
    let mut out = Vec::new();
    frame::put_method(1, &BasicAck { delivery_tag: 5, multiple: true }, &mut out);
    assert_eq!(out, b"\x01\0\x01\0\0\0\x0d\0\x3c\0\x50\0\0\0\0\0\0\0\x05\x01\xce");
    out.clear();
    frame::put_heartbeat(&mut out);
    assert_eq!(out, b"\x08\0\0\0\0\0\0\xce");
    assert_eq!(&PROTOCOL_HEADER, b"AMQP\0\0\x09\x01");
}

#[test]
fn a_frame_that_breaks_the_rules_is_refused_as_soon_as_it_says_so() {
    let large = b"\x01\0\x02\0\0\x10\0";
    let error = FrameError::TooLarge { size: 4096, max: 4088 };
    let bad = BadFrame { kind: 1, channel: 2, payload: &[], error };
    assert_eq!(frame::parse(large, 4096), Err(bad));
    assert_eq!(frame::parse(large, 4104), Ok(Parsed::More(4104)));
    let torn = b"\x03\0\x01\0\0\0\x01a\xcf";
    let bad = BadFrame { kind: 3, channel: 1, payload: b"a", error: FrameError::End(0xcf) };
    assert_eq!(frame::parse(torn, FRAME_MAX), Err(bad));
    assert_eq!(frame::parse(b"GET", FRAME_MAX).unwrap_err().error, FrameError::Kind(b'G'));
    let unknown = b"\x04\0\x01\0\0\0\0\xce";
    assert_eq!(frame::parse(unknown, FRAME_MAX).unwrap_err().error, FrameError::Kind(4));
}

#[test]
fn bits_share_an_octet_and_anything_else_ends_it() {
    let declare =
        QueueDeclare { queue: Short(b"q"), durable: true, nowait: true, ..QueueDeclare::default() };
    let mut out = Vec::new();
    frame::put_method(3, &declare, &mut out);
    assert_eq!(out[7..out.len() - 1], *b"\0\x32\0\x0a\0\0\x01q\x12\0\0\0\0");
    let Ok(Method::QueueDeclare(read)) = Method::decode(frames(&out)[0].payload) else {
        panic!("another method");
    };
    assert_eq!(read, declare);
    let mut reader = Reader::new(b"\x02\x01");
    assert_eq!((reader.field(), reader.field()), (Ok(false), Ok(true)));
    assert_eq!(reader.field(), Ok(1_u8), "not the third bit of the first");
}

#[test]
fn a_method_that_there_is_not_is_named() {
    let error = SyntaxError::Method { class: 60, method: 99 };
    assert_eq!(Method::decode(b"\0\x3c\0\x63"), Err(error));
    assert_eq!(error.to_string(), "unknown method 99 of class 60");
    assert_eq!(Method::decode(b"\0\x14\0\x29").unwrap().name(), "channel.close_ok");
}

#[test]
fn properties_are_what_the_flags_say() {
    let headers = TableBuf::default().with(b"a", Value::I32(1));
    let properties = Properties {
        content_type: Some(Short(b"t")),
        headers: Some(headers.table()),
        delivery_mode: Some(2),
        timestamp: Some(7),
        cluster_id: Some(Short(b"")),
        ..Properties::default()
    };
    let mut out = Vec::new();
    properties.encode(&mut out);
    assert_eq!(out[..2], 0b1011_0000_0100_0100_u16.to_be_bytes());
    assert_eq!(out[2..], *b"\x01t\0\0\0\x07\x01aI\0\0\0\x01\x02\0\0\0\0\0\0\0\x07\0");
    assert_eq!(Properties::decode(&out), Ok(properties));
    assert_eq!(Properties::decode(&[]), Properties::decode(&[0, 0]));
    out.push(0);
    assert_eq!(Properties::decode(&out), Err(SyntaxError::TooLong));
    assert_eq!(Properties::decode(&[0, 2]), Err(SyntaxError::PropertyFlags));
    assert_eq!(Properties::decode(&[0x80, 0]), Err(SyntaxError::TooShort));
}

#[test]
fn a_message_without_properties_has_a_header_that_says_so() {
    let mut out = Vec::new();
    frame::put_content((1, FRAME_MAX), &BasicDeliver::default(), &[], b"", &mut out);
    let frames = frames(&out);
    assert_eq!(frames.len(), 2, "no frame for what is empty");
    assert_eq!(frames[1].payload, b"\0\x3c\0\0\0\0\0\0\0\0\0\0\0\0");
    let header = ContentHeader::decode(frames[1].payload).unwrap();
    assert_eq!((header.class, header.body_bytes, header.properties), (60, 0, &[0, 0][..]));
}

#[test]
fn tables_are_no_deeper_than_anybody_needs() {
    let nested = |depth: usize| {
        let mut table = TableBuf::default();
        for _ in 1..depth {
            table = TableBuf::default().with(b"", Value::Table(table.table()));
        }
        table.into_bytes()
    };
    assert!(Table::new(&nested(DEPTH_MAX)).is_ok());
    assert_eq!(Table::new(&nested(DEPTH_MAX + 1)), Err(SyntaxError::TooDeep));
}

#[test]
fn a_value_of_an_unknown_type_is_refused_and_both_letters_of_a_long_are_read() {
    assert_eq!(Table::new(b"\x01aZ"), Err(SyntaxError::ValueType(b'Z')));
    for table in
        [b"\x01aL\xff\xff\xff\xff\xff\xff\xff\xfe", b"\x01al\xff\xff\xff\xff\xff\xff\xff\xfe"]
    {
        let table = Table::new(table).unwrap();
        assert_eq!(table.get(b"a"), Some(Value::I64(-2)));
        assert_eq!(table.get(b"a").unwrap().integer(), Some(-2));
    }
    assert_eq!(Value::String(b"5").integer(), None);
}

#[test]
fn the_first_of_two_values_of_a_name_counts() {
    let table = TableBuf::default().with(b"x", Value::Void).with(b"x", Value::Bool(true));
    assert_eq!(table.table().get(b"x"), Some(Value::Void));
    assert_eq!(table.table().entries().count(), 2);
}

#[test]
fn texts_that_are_too_long_are_cut_and_their_frames_stay_whole() {
    let text = [b'x'; 300];
    let close = ChannelClose { reply_text: Short(&text), ..ChannelClose::default() };
    let mut out = Vec::new();
    frame::put_method(1, &close, &mut out);
    let Ok(Method::ChannelClose(read)) = Method::decode(frames(&out)[0].payload) else {
        panic!("another method");
    };
    assert_eq!(read.reply_text.len(), 255);
    let long = ConnectionSecure { challenge: Long(&text) };
    out.clear();
    frame::put_method(0, &long, &mut out);
    assert_eq!(frames(&out)[0].payload.len(), 4 + 4 + 300);
}

#[test]
fn what_ends_a_connection_is_told_from_what_ends_a_channel() {
    let hard = [Reply::ConnectionForced, Reply::InvalidPath, Reply::FrameError, Reply::NotAllowed];
    let soft = [Reply::AccessRefused, Reply::NotFound, Reply::ResourceLocked];
    assert!(hard.iter().all(|reply| reply.is_hard()));
    assert!(!soft.iter().any(|reply| reply.is_hard()));
    assert!(!Reply::PreconditionFailed.is_hard() && !Reply::NoRoute.is_hard());
    assert_eq!(
        Reply::NotFound.text("no queue 'q' in vhost '/'"),
        "NOT_FOUND - no queue 'q' in vhost '/'"
    );
    assert_eq!(Reply::InternalError.code(), 541);
}

/// What pika 1.3.2 writes.
mod pika {
    pub(super) const DECLARE: &[u8] =
        b"\x01\0\x01\0\0\0\x8a\x002\0\x0a\0\0\x04work\x02\0\0\0z\x0cx-max-lengthI\0\0\0\x05\x0ax-ove\
        rflowS\0\0\0\x0ereject-publish\x03bigl\0\0\x01\0\0\0\0\0\x03negI\xff\xff\xff\xff\x03yest\
        \x01\x04noneV\x04listA\0\0\0\x0bI\0\0\0\x01S\0\0\0\x01a\x05tableF\0\0\0\x08\x01fS\0\0\0\
        \x01g\xce";
    pub(super) const HEADER: &[u8] =
        b"\x02\0\x01\0\0\0i\0<\0\0\0\0\0\0\0\0\0\x07\xbf\xfc\x0atext/plain\0\0\0,\x01aI\0\0\0\x01\
        \x04whenT\0\0\0\0eS\xf1\0\x05priceD\x02\0\0\x07\xcf\x03rawx\0\0\0\x02\0\xff\x02\x03\x01c\
        \x01r\x0560000\x01m\0\0\0\0eS\xf1\0\x01t\x01u\x03app\x01k\xce";
    pub(super) const NACK: &[u8] = b"\x01\0\x02\0\0\0\x0d\0<\0x\0\0\0\0\0\0\0\x09\x03\xce";
    pub(super) const CONSUME: &[u8] =
        b"\x01\0\x01\0\0\0\x0f\0<\0\x14\0\0\x01q\x01c\x06\0\0\0\0\xce";
    pub(super) const PUBLISH: &[u8] = b"\x01\0\x01\0\0\0\x0d\0<\0(\0\0\x01x\x03a.b\x01\xce";
}

#[test]
fn what_pika_writes_is_read_as_it_was_meant_and_written_as_it_was_read() {
    let mut array = ArrayBuf::default();
    array.push(Value::I32(1));
    array.push(Value::String(b"a"));
    let inner = TableBuf::default().with(b"f", Value::String(b"g"));
    let arguments = TableBuf::default()
        .with(b"x-max-length", Value::I32(5))
        .with(b"x-overflow", Value::String(b"reject-publish"))
        .with(b"big", Value::I64(1 << 40))
        .with(b"neg", Value::I32(-1))
        .with(b"yes", Value::Bool(true))
        .with(b"none", Value::Void)
        .with(b"list", Value::Array(array.array()))
        .with(b"table", Value::Table(inner.table()));
    let arguments = arguments.table();
    let declare =
        QueueDeclare { queue: Short(b"work"), durable: true, arguments, ..Default::default() };
    let consume = BasicConsume {
        queue: Short(b"q"),
        consumer_tag: Short(b"c"),
        no_ack: true,
        exclusive: true,
        ..BasicConsume::default()
    };
    let publish = BasicPublish {
        exchange: Short(b"x"),
        routing_key: Short(b"a.b"),
        mandatory: true,
        ..BasicPublish::default()
    };
    let nack = BasicNack { delivery_tag: 9, multiple: true, requeue: true };
    let all = [
        (pika::DECLARE, 1, Method::QueueDeclare(declare)),
        (pika::CONSUME, 1, Method::BasicConsume(consume)),
        (pika::PUBLISH, 1, Method::BasicPublish(publish)),
        (pika::NACK, 2, Method::BasicNack(nack)),
    ];
    for (bytes, channel, method) in all {
        let [frame] = frames(bytes)[..] else { panic!("more than one frame") };
        assert_eq!((frame.channel, Method::decode(frame.payload)), (channel, Ok(method)));
        let mut out = Vec::new();
        method.put_frame(channel, &mut out);
        assert_eq!(out, bytes);
    }
}

#[test]
fn the_properties_that_pika_writes_are_read_as_they_were_meant() {
    let header = ContentHeader::decode(frames(pika::HEADER)[0].payload).unwrap();
    assert_eq!((header.class, header.body_bytes), (60, 7));
    let properties = Properties::decode(header.properties).unwrap();
    let headers = TableBuf::default()
        .with(b"a", Value::I32(1))
        .with(b"when", Value::Timestamp(1_700_000_000))
        .with(b"price", Value::Decimal { scale: 2, digits: 1999 })
        .with(b"raw", Value::Bytes(b"\0\xff"));
    let text = |text: &'static str| Some(Short(text.as_bytes()));
    let wanted = Properties {
        content_type: text("text/plain"),
        content_encoding: None,
        headers: Some(headers.table()),
        delivery_mode: Some(2),
        priority: Some(3),
        correlation_id: text("c"),
        reply_to: text("r"),
        expiration: text("60000"),
        message_id: text("m"),
        timestamp: Some(1_700_000_000),
        kind: text("t"),
        user_id: text("u"),
        app_id: text("app"),
        cluster_id: text("k"),
    };
    assert_eq!(properties, wanted);
}
