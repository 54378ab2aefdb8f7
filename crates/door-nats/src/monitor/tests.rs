use super::figures::{duration, time};

#[test]
fn times_are_written_as_the_standard_says() {
    assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
    assert_eq!(time(951_782_400_123), "2000-02-29T00:00:00.123Z");
    assert_eq!(time(1_796_000_000_000), "2026-11-30T00:53:20.000Z");
    assert_eq!(time(4_107_542_399_999), "2100-02-28T23:59:59.999Z");
    assert_eq!(time(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
}

#[test]
fn durations_are_written_as_nats_server_writes_them() {
    assert_eq!(duration(999), "0s");
    assert_eq!(duration(61_000), "1m1s");
    assert_eq!(duration(3_600_000), "1h0m0s");
    assert_eq!(duration(90_061_000), "1d1h1m1s");
}
