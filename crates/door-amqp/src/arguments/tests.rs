use super::*;
use crate::wire::reply::Reply;
use crate::wire::table::TableBuf;

const OF: Of<'_> = Of { queue: b"q", virtual_host: b"/" };

fn refused(name: &str, value: Value<'_>) -> String {
    let table = TableBuf::default().with(name.as_bytes(), value);
    let fault = of_queue(table.table(), OF).unwrap_err();
    assert_eq!(fault.reply, Reply::PreconditionFailed);
    fault.text
}

#[test]
fn every_argument_of_a_queue_is_understood() {
    let table = TableBuf::default()
        .with(b"x-queue-type", Value::String(b"quorum"))
        .with(b"x-message-ttl", Value::I32(1000))
        .with(b"x-expires", Value::I64(60_000))
        .with(b"x-max-length", Value::U8(5))
        .with(b"x-max-length-bytes", Value::I16(500))
        .with(b"x-overflow", Value::String(b"reject-publish-dlx"))
        .with(b"x-dead-letter-exchange", Value::String(b""))
        .with(b"x-dead-letter-routing-key", Value::String(b"dead"))
        .with(b"x-max-priority", Value::I8(9))
        .with(b"x-single-active-consumer", Value::Bool(true))
        .with(b"x-delayed-retry-type", Value::String(b"all"))
        .with(b"x-delayed-retry-min", Value::I32(10))
        .with(b"x-delayed-retry-max", Value::I32(100))
        .with(b"x-entrepot-order", Value::String(b"key"))
        .with(b"x-unknown", Value::Void);
    let settings = QueueSettings {
        message_ttl: Some(1000),
        expires: Some(60_000),
        length_max: Some(5),
        bytes_max: Some(500),
        overflow: Some(Overflow::RejectDeadLetter),
        dead_letter: Some(DeadLetterTo {
            exchange: Bytes::new(),
            key: Some(Bytes::from_static(b"dead")),
        }),
        priorities: 9,
        single_active: true,
        order_by_key: true,
        deliveries_max: Some(QUORUM_DELIVERIES_MAX),
        retry_delay: Some(RetryDelay { when: RetryWhen::All, min: 10, max: 100 }),
        ..QueueSettings::default()
    };
    let wanted = QueueArguments { kind: QueueKind::Quorum, settings };
    assert_eq!(of_queue(table.table(), OF), Ok(wanted));
    let none = of_queue(Table::default(), OF).unwrap();
    assert_eq!((none.kind, none.settings), (QueueKind::Classic, QueueSettings::default()));
}

#[test]
fn a_delivery_limit_is_off_where_it_is_said_to_be() {
    let table = TableBuf::default()
        .with(b"x-queue-type", Value::String(b"quorum"))
        .with(b"x-delivery-limit", Value::I32(-1));
    assert_eq!(of_queue(table.table(), OF).unwrap().settings.deliveries_max, None);
    let table = TableBuf::default().with(b"x-delivery-limit", Value::I32(3));
    let settings = of_queue(table.table(), OF).unwrap().settings;
    assert_eq!((settings.deliveries_max, settings.deliveries_said), (Some(3), true));
}

#[test]
fn what_an_argument_cannot_be_is_said() {
    assert_eq!(
        refused("x-message-ttl", Value::I32(-1)),
        "invalid arg 'x-message-ttl' for queue 'q' in vhost '/': {value_negative,-1}"
    );
    assert!(refused("x-expires", Value::I32(0)).ends_with("{value_zero,0}"));
    assert!(refused("x-max-priority", Value::I32(256)).ends_with("{value_too_big,256}"));
    for (name, value) in [
        ("x-message-ttl", Value::String(b"5")),
        ("x-max-length", Value::F64(1.0)),
        ("x-overflow", Value::String(b"explode")),
        ("x-queue-type", Value::String(b"odd")),
        ("x-dead-letter-exchange", Value::I32(1)),
        ("x-single-active-consumer", Value::String(b"true")),
        ("x-dead-letter-routing-key", Value::String(b"without an exchange")),
        ("x-consumer-timeout", Value::String(b"long")),
        ("x-delayed-retry-type", Value::String(b"odd")),
        ("x-entrepot-order", Value::String(b"odd")),
    ] {
        assert!(refused(name, value).contains(name), "{name}");
    }
}

#[test]
fn tables_that_ask_for_the_same_are_the_same() {
    let asked = TableBuf::default().with(b"x-a", Value::I32(5)).with(b"x-b", Value::Void);
    let known = TableBuf::default().with(b"x-b", Value::Void).with(b"x-a", Value::I64(5));
    assert_eq!(difference(asked.table(), known.table()), None);
    let less = TableBuf::default().with(b"x-b", Value::Void);
    let found = difference(less.table(), known.table()).unwrap();
    assert_eq!(found, ("x-a".to_owned(), "none".to_owned(), "the value '5'".to_owned()));
    assert!(difference(known.table(), less.table()).is_some());
    let other = TableBuf::default().with(b"comment", Value::Bool(true));
    assert_eq!(difference(other.table(), Table::default()), None, "it asks for nothing");
}

#[test]
fn a_stream_has_limits_and_nothing_else() {
    let stream = || TableBuf::default().with(b"x-queue-type", Value::String(b"stream"));
    let table = stream()
        .with(b"x-max-age", Value::String(b"7D"))
        .with(b"x-max-length-bytes", Value::I64(5_000))
        .with(b"x-stream-max-segment-size-bytes", Value::I32(1))
        .with(b"x-stream-filter-size-bytes", Value::I32(16));
    let wanted = StreamSettings {
        age_max: Some(7 * 24 * 3_600_000),
        bytes_max: Some(5_000),
        segment_bytes: Some(64 * 1024),
    };
    let settings = QueueSettings { stream: Some(wanted), ..QueueSettings::default() };
    let wanted = QueueArguments { kind: QueueKind::Stream, settings };
    assert_eq!(of_queue(table.table(), OF), Ok(wanted));
    for name in NOT_OF_STREAMS {
        let table = stream().with(name.as_bytes(), Value::I32(1));
        let text = of_queue(table.table(), OF).unwrap_err().text;
        let wanted = format!(
            "invalid arg '{name}' for queue 'q' in vhost '/' of queue type rabbit_stream_queue"
        );
        assert_eq!(text, wanted);
    }
    for age in ["", "7", "D", "7W", "-7D", "7 D", "99999999999999999999Y", "9223372036854775807s"] {
        let table = stream().with(b"x-max-age", Value::String(age.as_bytes()));
        let text = of_queue(table.table(), OF).unwrap_err().text;
        assert!(text.ends_with("invalid_max_age"), "{age}: {text}");
    }
}

#[test]
fn a_stream_is_read_from_where_a_consumer_says() {
    const NOW: Millis = 1_700_000_000_000;
    let start = |value| {
        let table = TableBuf::default().with(b"x-stream-offset", value);
        stream_start(&table.table(), OF, NOW)
    };
    assert_eq!(stream_start(&Table::default(), OF, NOW), Ok(StreamStart::Next));
    for (text, wanted) in [
        ("first", StreamStart::First),
        ("last", StreamStart::Last),
        ("next", StreamStart::Next),
        ("1h", StreamStart::Time(NOW - 3_600_000)),
        ("2m", StreamStart::Time(NOW - 120_000)),
    ] {
        assert_eq!(start(Value::String(text.as_bytes())), Ok(wanted), "{text}");
    }
    assert_eq!(start(Value::U8(7)), Ok(StreamStart::Offset(7)));
    assert_eq!(start(Value::I64(1 << 40)), Ok(StreamStart::Offset(1 << 40)));
    assert_eq!(start(Value::Timestamp(1_700)), Ok(StreamStart::Time(1_700_000)));
    assert_eq!(start(Value::Timestamp(u64::MAX)), Ok(StreamStart::Time(Millis::MAX)));
    for odd in [Value::String(b"soon"), Value::I32(-1), Value::Bool(true), Value::F64(1.0)] {
        let fault = start(odd).unwrap_err();
        assert_eq!(fault.reply, Reply::PreconditionFailed);
        let begins = "failed consuming from stream queue 'q' in vhost '/': invalid_";
        assert!(fault.text.starts_with(begins), "{}", fault.text);
    }
}

#[test]
fn a_queue_may_say_how_long_deliveries_may_be_out() {
    let table = TableBuf::default().with(b"x-consumer-timeout", Value::I32(5_000));
    let settings = of_queue(table.table(), OF).unwrap().settings;
    assert_eq!(settings.consumer_timeout, Some(5_000));
    assert_eq!(of_queue(Table::default(), OF).unwrap().settings.consumer_timeout, None);
}
