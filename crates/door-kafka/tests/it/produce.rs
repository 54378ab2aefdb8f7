//! Produce: what is refused, and how; what is stored.

use broker::store::batch::{Batch, BatchBuilder, Compression, NewRecord};
use bytes::{BufMut, Bytes, BytesMut};
use door_kafka::wire::ErrorCode;
use door_kafka::wire::messages::{InitProducerIdRequest, ProduceRequest};

use crate::records::{
    batch, changed, fetch, idempotent, plain, produce, produce_request, produce_to, values,
};
use crate::support::Fixture;

#[tokio::test]
async fn batches_that_cannot_be_stored_are_refused_for_good_or_to_be_sent_again() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let good = plain(&["a", "b"]);
    let flipped = {
        let mut bytes = BytesMut::from(good.as_ref());
        bytes[70] ^= 1;
        bytes.freeze()
    };
    let count = changed(&good, |bytes| (&mut bytes[57..61]).put_i32(3));
    let attributes = |bits: i16| changed(&good, |bytes| (&mut bytes[21..23]).put_i16(bits));
    let cases = [
        ("bad checksum", flipped, ErrorCode::CorruptMessage),
        ("cut off", good.slice(..good.len() - 1), ErrorCode::CorruptMessage),
        ("two batches", [&good[..], &good[..]].concat().into(), ErrorCode::InvalidRecord),
        ("no batch", Bytes::new(), ErrorCode::InvalidRecord),
        ("wrong count", count, ErrorCode::InvalidRecord),
        ("in no transaction", attributes(1 << 4), ErrorCode::InvalidProducerIdMapping),
        ("control", attributes(1 << 5), ErrorCode::InvalidRecord),
        ("broker's time", attributes(1 << 3), ErrorCode::InvalidTimestamp),
        ("unknown compression", attributes(7), ErrorCode::UnsupportedCompressionType),
        ("too large", plain(&[&"x".repeat(1_048_588)]), ErrorCode::MessageTooLarge),
    ];
    for (what, records, code) in cases {
        let refused = produce(&mut client, "t", records).await;
        assert_eq!(refused.error_code, code.number(), "{what}: {:?}", refused.error_message);
        assert_eq!(refused.base_offset, -1);
    }
    let old = changed(&good, |bytes| bytes[16] = 1);
    let refused = produce(&mut client, "t", old).await;
    assert_eq!(refused.error_code, ErrorCode::UnsupportedForMessageFormat.number());
    // Nothing of all that was stored.
    let stored = produce(&mut client, "t", good).await;
    assert_eq!((stored.error_code, stored.base_offset, stored.log_start_offset), (0, 0, 0));
    assert_eq!(stored.log_append_time_ms, -1);
}

#[tokio::test]
async fn what_is_not_there_is_unknown() {
    let fixture = Fixture::start().await;
    let id = fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let unknown = ErrorCode::UnknownTopicOrPartition.number();
    assert_eq!(produce(&mut client, "none", plain(&["a"])).await.error_code, unknown);
    for partition in [1, -1, i32::MAX] {
        let refused = produce_to(&mut client, "t", partition, plain(&["a"])).await;
        assert_eq!(refused.error_code, unknown);
    }
    let by_id = |id| {
        let mut request = produce_request("", 0, -1, plain(&["a"]));
        request.topic_data[0].topic_id = id;
        request
    };
    let stored = client.call(&by_id(id), 13).await;
    assert_eq!(stored.responses[0].topic_id, id);
    assert_eq!(stored.responses[0].partition_responses[0].error_code, 0);
    let refused = client.call(&by_id([7; 16]), 13).await.responses.remove(0);
    let code = refused.partition_responses[0].error_code;
    assert_eq!(code, ErrorCode::UnknownTopicId.number());
}

#[tokio::test]
async fn versions_of_older_formats_take_no_record_batches() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    for version in 0..3 {
        let request = produce_request("t", 0, 1, plain(&["a"]));
        let response = client.call(&request, version).await;
        let code = response.responses[0].partition_responses[0].error_code;
        assert_eq!(code, ErrorCode::CorruptMessage.number());
    }
}

#[tokio::test]
async fn acks_say_whether_there_is_an_answer() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    for acks in [2, -2] {
        let response = client.call(&produce_request("t", 0, acks, plain(&["a"])), 9).await;
        let code = response.responses[0].partition_responses[0].error_code;
        assert_eq!(code, ErrorCode::InvalidRequiredAcks.number());
    }
    client.send(&produce_request("t", 0, 0, plain(&["silent"])), 9).await;
    // The next answer is that of the next request, and comes after both were stored.
    let stored = produce(&mut client, "t", plain(&["loud"])).await;
    assert_eq!(stored.base_offset, 1);
    let all = values(&fetch(&mut client, "t", 0).await);
    assert_eq!(all, [(0, "silent".to_owned()), (1, "loud".to_owned())]);
    // Where there is no answer, the end of the connection says that it failed.
    client.send(&produce_request("none", 0, 0, plain(&["a"])), 9).await;
    assert_eq!(client.frame().await, None);
}

#[tokio::test]
async fn compressed_batches_come_back_as_they_went() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    for (round, codec) in (0..).zip(codecs) {
        let sent = batch(codec, &["a", "b"]);
        let stored = produce(&mut client, "t", sent.clone()).await;
        assert_eq!((stored.error_code, stored.base_offset), (0, 2 * round));
        let fetched = fetch(&mut client, "t", 2 * round).await;
        let records = fetched.records.clone().unwrap();
        assert_eq!(records[12 + 4..], sent[12 + 4..], "all but the stamps is untouched");
        assert_eq!(values(&fetched), [(2 * round, "a".into()), (2 * round + 1, "b".into())]);
    }
    let request = produce_request("t", 0, -1, batch(Compression::Zstd, &["a"]));
    let response = client.call(&request, 6).await;
    let code = response.responses[0].partition_responses[0].error_code;
    assert_eq!(code, ErrorCode::UnsupportedCompressionType.number(), "not before version 7");
}

#[tokio::test]
async fn idempotent_producers_are_held_to_their_sequence() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let given = client.call(&InitProducerIdRequest::default(), 4).await;
    assert_eq!((given.error_code, given.producer_epoch), (0, 0));
    let id = given.producer_id;
    let another = client.call(&InitProducerIdRequest::default(), 4).await;
    assert_ne!(another.producer_id, id);

    let first = produce(&mut client, "t", idempotent(&["a", "b"], (id, 1, 0))).await;
    assert_eq!((first.error_code, first.base_offset), (0, 0));
    let second = produce(&mut client, "t", idempotent(&["c"], (id, 1, 2))).await;
    assert_eq!((second.error_code, second.base_offset), (0, 2));
    let again = produce(&mut client, "t", idempotent(&["a", "b"], (id, 1, 0))).await;
    assert_eq!((again.error_code, again.base_offset), (0, 0), "stored once");
    let gap = produce(&mut client, "t", idempotent(&["e"], (id, 1, 4))).await;
    assert_eq!(gap.error_code, ErrorCode::OutOfOrderSequenceNumber.number());
    let old = produce(&mut client, "t", idempotent(&["z"], (id, 0, 0))).await;
    assert_eq!(old.error_code, ErrorCode::InvalidProducerEpoch.number());
    assert_eq!(values(&fetch(&mut client, "t", 0).await).len(), 3);

    // All of it holds over a restart, and identities do not come again.
    let fixture = fixture.restart().await;
    let mut client = fixture.client().await;
    let again = produce(&mut client, "t", idempotent(&["c"], (id, 1, 2))).await;
    assert_eq!((again.error_code, again.base_offset), (0, 2));
    let later = client.call(&InitProducerIdRequest::default(), 4).await;
    assert!(later.producer_id > another.producer_id);
}

#[tokio::test]
async fn entries_of_one_request_succeed_or_fail_by_themselves() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 2).await;
    let mut client = fixture.client().await;
    let mut request = produce_request("t", 0, -1, plain(&["a"]));
    for (partition, records) in [(9, plain(&["b"])), (1, plain(&["c"])), (0, plain(&["d"]))] {
        let more = produce_request("t", partition, -1, records).topic_data.remove(0);
        request.topic_data[0].partition_data.extend(more.partition_data);
    }
    let response: ProduceResponseOf = client.call::<ProduceRequest>(&request, 9).await;
    let outcomes: Vec<_> = response.responses[0]
        .partition_responses
        .iter()
        .map(|p| (p.index, p.error_code, p.base_offset))
        .collect();
    assert_eq!(outcomes, [(0, 0, 0), (9, 3, -1), (1, 0, 0), (0, 0, 1)]);
}

type ProduceResponseOf = door_kafka::wire::messages::ProduceResponse;

#[tokio::test]
async fn a_compacted_topic_takes_no_record_without_a_key() {
    let fixture = Fixture::start().await;
    let config = [("cleanup.policy".to_owned(), "compact".to_owned())];
    let (name, config) = ("t".to_owned(), config.into());
    let new = broker::NewTopic { name, partitions: Some(1), config };
    fixture.broker.create_topic(new).await.unwrap();
    let mut client = fixture.client().await;
    for codec in [Compression::None, Compression::Lz4] {
        let mut builder = BatchBuilder::new(codec);
        for key in [Some(b"a"), None, Some(b"b"), None] {
            let key = key.map(|key| &key[..]);
            builder.push(&NewRecord { key, value: Some(b"v"), ..NewRecord::default() });
        }
        let records = builder.build().unwrap().bytes().clone();
        let refused = produce(&mut client, "t", records).await;
        assert_eq!(refused.error_code, ErrorCode::InvalidRecord.number());
        let each: Vec<_> = refused.record_errors.iter().map(|one| one.batch_index).collect();
        assert_eq!(each, [1, 3]);
        let text = "Compacted topic cannot accept message without key in topic partition t-0.";
        assert_eq!(refused.record_errors[0].batch_index_error_message.as_deref(), Some(text));
        let summary = refused.error_message.unwrap();
        assert!(
            summary.starts_with("One or more records have been rejected due to 2 "),
            "{summary}"
        );
    }
    let mut builder = BatchBuilder::new(Compression::Zstd);
    builder.push(&NewRecord { key: Some(b"a"), ..NewRecord::default() });
    let good = builder.build().unwrap().bytes().clone();
    let stored = produce(&mut client, "t", good).await;
    assert_eq!((stored.error_code, stored.base_offset), (0, 0));
    // Unpacks to nothing that is a record.
    let odd = changed(&batch(Compression::Zstd, &["a"]), |bytes| bytes[61..].fill(7));
    let refused = produce(&mut client, "t", odd).await;
    assert_eq!(refused.error_code, ErrorCode::UnsupportedCompressionType.number());
    let published = fixture.broker.topic("t").unwrap();
    let message = broker::Message { value: Some(Bytes::new()), ..broker::Message::default() };
    let refused = fixture.broker.publish(&published, &[message]).await;
    assert!(matches!(refused, Err(broker::ProduceError::Records(_))));
}

async fn configured(fixture: &Fixture, name: &str, config: &[(&str, &str)]) {
    let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let (name, config) = (name.to_owned(), config.collect());
    let new = broker::NewTopic { name, partitions: Some(1), config };
    fixture.broker.create_topic(new).await.unwrap();
}

#[tokio::test]
async fn a_topic_may_ask_for_the_brokers_time() {
    let fixture = Fixture::start().await;
    configured(&fixture, "t", &[("message.timestamp.type", "LogAppendTime")]).await;
    let mut client = fixture.client().await;
    let before = fixture.broker.now();
    for codec in [Compression::None, Compression::Gzip] {
        let stored = produce(&mut client, "t", batch(codec, &["a", "b"])).await;
        assert_eq!(stored.error_code, 0);
        let time = stored.log_append_time_ms;
        assert!((before..=fixture.broker.now()).contains(&time), "{time}");
        let mut records = fetch(&mut client, "t", stored.base_offset).await.records.unwrap();
        let read = Batch::take(&mut records).unwrap();
        assert!(read.header().is_log_append_time());
        assert_eq!(read.header().compression(), Ok(codec));
        assert!(read.records().unwrap().all(|record| record.unwrap().timestamp == time));
        let topic = fixture.broker.topic("t").unwrap();
        let at = broker::Position::Time(time);
        let found = fixture.broker.find_offset(&topic, 0, at).await.unwrap();
        assert_eq!(found.unwrap().1, Some(time));
    }
    // A producer may not say so itself.
    let claimed = changed(&plain(&["a"]), |bytes| bytes[22] |= 1 << 3);
    let refused = produce(&mut client, "t", claimed).await;
    assert_eq!(refused.error_code, ErrorCode::InvalidTimestamp.number());
}

#[tokio::test]
async fn a_time_too_far_from_the_brokers_clock_is_refused() {
    let fixture = Fixture::start().await;
    let limits =
        [("message.timestamp.before.max.ms", "60000"), ("message.timestamp.after.max.ms", "60000")];
    configured(&fixture, "t", &limits).await;
    configured(&fixture, "default", &[]).await;
    let mut client = fixture.client().await;
    let now = fixture.broker.now();
    let made = |codec, times: &[i64]| {
        let mut builder = BatchBuilder::new(codec);
        for time in times {
            let record = NewRecord { timestamp: *time, value: Some(b"v"), ..NewRecord::default() };
            builder.push(&record);
        }
        builder.build().unwrap().bytes().clone()
    };
    let hour = 3_600_000;
    for codec in [Compression::None, Compression::Zstd] {
        let odd = made(codec, &[now, now - 100_000, -1, now + 100_000]);
        let refused = produce(&mut client, "t", odd.clone()).await;
        assert_eq!(refused.error_code, ErrorCode::InvalidTimestamp.number());
        let each: Vec<_> = refused.record_errors.iter().map(|one| one.batch_index).collect();
        assert_eq!(each, [1, 3]);
        let text = "One or more records have been rejected due to invalid timestamp";
        assert_eq!(refused.error_message.as_deref(), Some(text));
        assert_eq!(produce(&mut client, "t", made(codec, &[now, -1])).await.error_code, 0);
        // Without limits set, an hour ahead and any time behind.
        assert_eq!(produce(&mut client, "default", odd).await.error_code, 0);
        let late = produce(&mut client, "default", made(codec, &[5, now + 2 * hour])).await;
        assert_eq!(late.error_code, ErrorCode::InvalidTimestamp.number());
        assert_eq!(late.record_errors[0].batch_index, 1);
    }
    let promised = changed(&made(Compression::None, &[now]), |bytes| {
        (&mut bytes[35..43]).put_i64(now + 2 * hour);
    });
    let refused = produce(&mut client, "default", promised).await;
    assert_eq!(refused.error_code, ErrorCode::InvalidRecord.number());
}

#[tokio::test]
async fn a_topic_may_ask_for_a_codec() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let text = "entrepot ".repeat(200);
    for (name, codec) in [
        ("uncompressed", Compression::None),
        ("gzip", Compression::Gzip),
        ("snappy", Compression::Snappy),
        ("lz4", Compression::Lz4),
        ("zstd", Compression::Zstd),
    ] {
        configured(&fixture, name, &[("compression.type", name), ("max.message.bytes", "1500")])
            .await;
        for sent in [Compression::Gzip, Compression::Zstd] {
            let stored = produce(&mut client, name, batch(sent, &["a", "b"])).await;
            assert_eq!(stored.error_code, 0, "{name}");
            let read = fetch(&mut client, name, stored.base_offset).await;
            let kept = Batch::take(&mut read.records.clone().unwrap()).unwrap();
            assert_eq!(kept.header().compression(), Ok(codec));
            let base = stored.base_offset;
            assert_eq!(values(&read), [(base, "a".into()), (base + 1, "b".into())]);
        }
        // The limit is for what is stored.
        let stored = produce(&mut client, name, batch(Compression::Gzip, &[&text])).await;
        let fits = codec != Compression::None;
        let code = if fits { ErrorCode::None } else { ErrorCode::MessageTooLarge };
        assert_eq!(stored.error_code, code.number(), "{name}");
    }
    // Idempotent batches stay what they are.
    let again = idempotent(&["x"], (7, 0, 0));
    let first = produce(&mut client, "zstd", again.clone()).await;
    let second = produce(&mut client, "zstd", again).await;
    assert_eq!(second.base_offset, first.base_offset);
}
