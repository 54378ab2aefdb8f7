//! Our reading of frames beside that of another library, `amq-protocol`: sound ones and damaged ones. What both read
//! they write as the same bytes; where only one reads a frame, it is in one of the lists below, with the reason.

use amq_protocol::frame::{AMQPFrame, WriteContext, gen_frame, parse_frame};
use amq_protocol::protocol::{AMQPClass, basic, exchange, queue};
use proptest::prelude::*;

use super::frame::{self, Kind, Parsed};
use super::method::*;
use super::properties::{ContentHeader, Properties};
use super::tests::{Owned, method, table, value};

const FRAME_MAX: u32 = 131_072;

/// A frame around a payload.
fn framed(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[kind as u8, 0, 1][..], &length, payload, &[frame::END]].concat()
}

/// What they make of a frame: as they write it again.
fn theirs(bytes: &[u8]) -> Option<(AMQPFrame, Vec<u8>)> {
    let (rest, frame) = parse_frame(bytes).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let written = gen_frame(&frame)(WriteContext::from(Vec::new())).ok()?;
    Some((frame, written.into_inner().0))
}

/// What we make of a frame: as we write it again.
fn ours(bytes: &[u8]) -> Option<Vec<u8>> {
    let Ok(Parsed::Frame(frame, used)) = frame::parse(bytes, FRAME_MAX) else { return None };
    if used != bytes.len() {
        return None;
    }
    let mut out = Vec::new();
    match frame.kind {
        Kind::Method => Method::decode(frame.payload).ok()?.put_frame(frame.channel, &mut out),
        Kind::Header => {
            let header = ContentHeader::decode(frame.payload).ok()?;
            let mut properties = Vec::new();
            Properties::decode(header.properties).ok()?.encode(&mut properties);
            let length = frame.payload.len() - header.properties.len();
            out = framed(Kind::Header, &[&frame.payload[..length], &properties].concat());
        }
        Kind::Body | Kind::Heartbeat => out.extend_from_slice(bytes),
    }
    Some(out)
}

fn properties() -> impl Strategy<Value = Vec<u8>> {
    let text = || prop::option::of("[ -~]{0,9}");
    let octet = || prop::option::of(any::<u8>());
    let value = value().prop_map(Owned::canonical);
    let headers = prop::option::of(prop::collection::btree_map("[a-z-]{1,9}", value, 0..4));
    let texts = prop::array::uniform9(text());
    (headers, octet(), octet(), prop::option::of(any::<u64>()), texts, any::<u64>()).prop_map(
        |(headers, delivery_mode, priority, timestamp, texts, body_bytes)| {
            let entries: Option<Vec<(String, Owned)>> =
                headers.map(|map| map.into_iter().collect());
            let headers = entries.map(|entries| table(&entries));
            let text = |index: usize| {
                texts[index].as_ref().map(|text| super::reader::Short(text.as_bytes()))
            };
            let properties = Properties {
                content_type: text(0),
                content_encoding: text(1),
                headers: headers.as_ref().map(super::table::TableBuf::table),
                delivery_mode,
                priority,
                correlation_id: text(2),
                reply_to: text(3),
                expiration: text(4),
                message_id: text(5),
                timestamp,
                kind: text(6),
                user_id: text(7),
                app_id: text(8),
                cluster_id: None,
            };
            let mut out = [&[0, 60, 0, 0][..], &body_bytes.to_be_bytes()].concat();
            properties.encode(&mut out);
            out
        },
    )
}

/// Methods that they do not know: of old, or only a server's.
fn is_unknown_to_them(payload: &[u8]) -> bool {
    payload.starts_with(&[0, 30])
}

/// Arguments that are reserved or never used, which they drop, and we keep: zero in what is compared.
fn without_reserved(payload: &[u8]) -> Vec<u8> {
    match Method::decode(payload) {
        Ok(method) => {
            let mut out = Vec::new();
            let zeroed = zeroed(method);
            zeroed.put_frame(1, &mut out);
            out[frame::HEADER_BYTES..out.len() - 1].to_vec()
        }
        Err(_) => payload.to_vec(),
    }
}

fn zeroed(mut method: Method<'_>) -> Method<'_> {
    match &mut method {
        Method::ConnectionOpen(open) => {
            (open.capabilities, open.insist) = Default::default();
        }
        Method::ConnectionOpenOk(open) => open.known_hosts = Default::default(),
        Method::ChannelOpen(open) => open.out_of_band = Default::default(),
        Method::ChannelOpenOk(open) => open.channel_id = Default::default(),
        Method::ExchangeDeclare(declare) => declare.ticket = 0,
        Method::ExchangeDelete(delete) => delete.ticket = 0,
        Method::ExchangeBind(bind) => bind.ticket = 0,
        Method::ExchangeUnbind(unbind) => unbind.ticket = 0,
        Method::QueueDeclare(declare) => declare.ticket = 0,
        Method::QueueBind(bind) => bind.ticket = 0,
        Method::QueuePurge(purge) => purge.ticket = 0,
        Method::QueueDelete(delete) => delete.ticket = 0,
        Method::QueueUnbind(unbind) => unbind.ticket = 0,
        Method::BasicQos(qos) => qos.prefetch_size = 0,
        Method::BasicConsume(consume) => consume.ticket = 0,
        Method::BasicPublish(publish) => publish.ticket = 0,
        Method::BasicGet(get) => get.ticket = 0,
        Method::BasicGetEmpty(empty) => empty.cluster_id = Default::default(),
        _ => {}
    }
    method
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn a_method_is_understood_as_another_library_understands_it(payload in method()) {
        let payload = without_reserved(&payload);
        let bytes = framed(Kind::Method, &payload);
        prop_assert_eq!(ours(&bytes), Some(bytes.clone()));
        if !is_unknown_to_them(&payload) {
            let (_, written) = theirs(&bytes).expect("they read it");
            prop_assert_eq!(written, bytes);
        }
    }

    #[test]
    fn a_header_is_understood_as_another_library_understands_it(payload in properties()) {
        let bytes = framed(Kind::Header, &payload);
        prop_assert_eq!(ours(&bytes), Some(bytes.clone()));
        let (_, written) = theirs(&bytes).expect("they read it");
        prop_assert_eq!(written, bytes);
    }

    #[test]
    fn what_is_damaged_and_we_read_they_read(
        payload in method(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cuts in any::<bool>(),
    ) {
        let mut payload = without_reserved(&payload);
        let at = at.index(payload.len());
        if cuts { payload.truncate(at) } else { payload[at] = byte }
        let bytes = framed(Kind::Method, &payload);
        if ours(&bytes).is_some() && !is_unknown_to_them(&payload) && !has_what_they_refuse(&payload) {
            prop_assert!(theirs(&bytes).is_some(), "we read {payload:?}");
        }
    }

    #[test]
    fn arguments_of_the_same_type_are_not_mixed_up(
        texts in prop::array::uniform4("[a-z]{0,9}"),
        bits in any::<[bool; 5]>(),
    ) {
        let [a, b, c, _] = &texts;
        let short = |text: &str| text.to_owned().into();
        let read = |method: &Method<'_>| {
            let mut out = Vec::new();
            method.put_frame(1, &mut out);
            match theirs(&out) {
                Some((AMQPFrame::Method(1, class), _)) => class,
                other => panic!("{other:?}"),
            }
        };
        let text = |text: &'_ String| super::reader::Short(Box::leak(text.clone().into_boxed_str()).as_bytes());
        let publish = Method::BasicPublish(BasicPublish {
            ticket: 0, exchange: text(a), routing_key: text(b), mandatory: bits[0], immediate: bits[1],
        });
        let wanted = basic::Publish { exchange: short(a), routing_key: short(b), mandatory: bits[0], immediate: bits[1] };
        prop_assert_eq!(read(&publish), AMQPClass::Basic(basic::AMQPMethod::Publish(wanted)));
        let declare = Method::QueueDeclare(QueueDeclare {
            ticket: 0, queue: text(a), passive: bits[0], durable: bits[1], exclusive: bits[2],
            auto_delete: bits[3], nowait: bits[4], arguments: Default::default(),
        });
        let wanted = queue::Declare {
            queue: short(a), passive: bits[0], durable: bits[1], exclusive: bits[2],
            auto_delete: bits[3], nowait: bits[4], arguments: Default::default(),
        };
        prop_assert_eq!(read(&declare), AMQPClass::Queue(queue::AMQPMethod::Declare(wanted)));
        let bind = Method::ExchangeBind(ExchangeBind {
            ticket: 0, destination: text(a), source: text(b), routing_key: text(c), nowait: bits[0],
            arguments: Default::default(),
        });
        let wanted = exchange::Bind {
            destination: short(a), source: short(b), routing_key: short(c), nowait: bits[0],
            arguments: Default::default(),
        };
        prop_assert_eq!(read(&bind), AMQPClass::Exchange(exchange::AMQPMethod::Bind(wanted)));
        let bind = Method::QueueBind(QueueBind {
            ticket: 0, queue: text(a), exchange: text(b), routing_key: text(c), nowait: bits[0],
            arguments: Default::default(),
        });
        let wanted = queue::Bind {
            queue: short(a), exchange: short(b), routing_key: short(c), nowait: bits[0],
            arguments: Default::default(),
        };
        prop_assert_eq!(read(&bind), AMQPClass::Queue(queue::AMQPMethod::Bind(wanted)));
        let consume = Method::BasicConsume(BasicConsume {
            ticket: 0, queue: text(a), consumer_tag: text(b), no_local: bits[0], no_ack: bits[1],
            exclusive: bits[2], nowait: bits[3], arguments: Default::default(),
        });
        let wanted = basic::Consume {
            queue: short(a), consumer_tag: short(b), no_local: bits[0], no_ack: bits[1],
            exclusive: bits[2], nowait: bits[3], arguments: Default::default(),
        };
        prop_assert_eq!(read(&consume), AMQPClass::Basic(basic::AMQPMethod::Consume(wanted)));
    }
}

/// What we read and they refuse: texts that are not UTF-8, which RabbitMQ takes; and `L`, of some clients.
fn has_what_they_refuse(payload: &[u8]) -> bool {
    std::str::from_utf8(payload).is_err() || payload.contains(&b'L')
}
