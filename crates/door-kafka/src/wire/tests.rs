//! Tests over all messages.

use bytes::Bytes;

mod fetch;
mod golden;
mod hostile;
mod primitives;
mod produce;
mod round_trip;
mod share_fetch;

/// Bytes from hexadecimal digits; `-` is none.
fn unhex(text: &str) -> Bytes {
    let digits = text.trim_matches('-').as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}
