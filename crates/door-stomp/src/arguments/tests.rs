use super::*;

fn of(lines: &str) -> Result<QueueArguments, Fault> {
    of_queue(Headers::kept(lines.as_bytes()), b"q", b"/")
}

#[test]
fn headers_are_settings_and_a_table_that_others_read() {
    let made =
        of("destination:/queue/q\nx-message-ttl:60000\nx-dead-letter-exchange:dlx\n").unwrap();
    assert_eq!(made.settings.message_ttl, Some(60_000));
    let to = DeadLetterTo { exchange: Bytes::from_static(b"dlx"), key: None };
    assert_eq!(made.settings.dead_letter, Some(to));
    assert_eq!(
        &made.table[..],
        b"\x16x-dead-letter-exchangeS\0\0\0\x03dlx\x0dx-message-ttll\0\0\0\0\0\0\xea\x60"
    );
    assert_eq!(of("destination:/queue/q\n").unwrap(), QueueArguments::default());
}

#[test]
fn a_quorum_queue_has_a_delivery_limit_unless_somebody_says_otherwise() {
    let limit = |lines: &str| of(lines).unwrap().settings.deliveries_max;
    assert_eq!(limit(""), None);
    assert_eq!(limit("x-queue-type:quorum\n"), Some(20));
    assert_eq!(limit("x-queue-type:quorum\nx-delivery-limit:-1\n"), None);
    assert_eq!(limit("x-delivery-limit:3\n"), Some(3));
}

#[test]
fn a_stream_has_its_own_settings() {
    let made = of("x-queue-type:stream\nx-max-age:2h\nx-max-length-bytes:9\n\
         x-stream-max-segment-size-bytes:1\n")
    .unwrap();
    let stream = StreamSettings {
        age_max: Some(7_200_000),
        bytes_max: Some(9),
        segment_bytes: Some(64 * 1024),
    };
    let settings = QueueSettings { stream: Some(stream), ..QueueSettings::default() };
    assert_eq!((made.kind, made.settings), (QueueKind::Stream, settings));
}

#[test]
fn a_stream_is_read_from_where_it_is_said() {
    let start = |said: &str| {
        let line = format!("x-stream-offset:{said}\n");
        stream_start(Headers::kept(line.as_bytes()))
    };
    assert_eq!(stream_start(Headers::kept(b"")), Some(StreamStart::Next));
    assert_eq!(start("first"), Some(StreamStart::First));
    assert_eq!(start("last"), Some(StreamStart::Last));
    assert_eq!(start("next"), Some(StreamStart::Next));
    assert_eq!(start("offset=40"), Some(StreamStart::Offset(40)));
    assert_eq!(start("timestamp=7"), Some(StreamStart::Time(7000)));
    for wrong in ["", "40", "offset=-1", "offset=", "timestamp=-1", "timestamp=x", "first=1"] {
        assert_eq!(start(wrong), None, "{wrong}");
    }
}

#[test]
fn what_an_argument_cannot_be_is_refused() {
    for line in [
        "x-message-ttl:soon",
        "x-message-ttl:-1",
        "x-expires:0",
        "x-max-priority:256",
        "x-overflow:spill",
        "x-queue-type:other",
        "x-queue-type:stream\nx-message-ttl:1",
        "x-queue-type:stream\nx-max-age:1x",
        "x-single-active-consumer:maybe",
        "x-dead-letter-routing-key:k",
    ] {
        let fault = of(&format!("{line}\n")).unwrap_err();
        assert_eq!(fault.message, "precondition_failed", "{line}");
    }
}
