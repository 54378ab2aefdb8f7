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
fn what_an_argument_cannot_be_is_refused() {
    for line in [
        "x-message-ttl:soon",
        "x-message-ttl:-1",
        "x-expires:0",
        "x-max-priority:256",
        "x-overflow:spill",
        "x-queue-type:stream",
        "x-single-active-consumer:maybe",
        "x-dead-letter-routing-key:k",
    ] {
        let fault = of(&format!("{line}\n")).unwrap_err();
        assert_eq!(fault.message, "precondition_failed", "{line}");
    }
}
