//! How long a client waits: the field `grpc-timeout` ("gRPC over HTTP2", Timeout).

use std::time::Duration;

/// What it says; `None` if it says nothing that can be understood.
pub(crate) fn parse(text: &[u8]) -> Option<Duration> {
    let (unit, digits) = text.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_secs(number * 3600)),
        b'M' => Some(Duration::from_secs(number * 60)),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_has_eight_digits_at_most_and_a_unit() {
        assert_eq!(parse(b"100m"), Some(Duration::from_millis(100)));
        assert_eq!(parse(b"99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        assert_eq!(parse(b"1S"), Some(Duration::from_secs(1)));
        assert_eq!(parse(b"0n"), Some(Duration::ZERO));
        for bad in [&b""[..], b"S", b"123456789S", b"1", b"1s", b"+1S", b"-1S", b"1.5S", b" 1S"] {
            assert_eq!(parse(bad), None, "{}", bad.escape_ascii());
        }
    }
}
