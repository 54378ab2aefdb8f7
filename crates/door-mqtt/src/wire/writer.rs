//! Writing fields. A packet's length stands before it, so that packets whose length is not known
//! beforehand are written first and then moved behind it: [`packet`].

use super::property;

/// Bytes that [`varint`] writes.
#[inline]
pub(crate) fn varint_len(value: usize) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        _ => 4,
    }
}

/// Writes a number of up to 28 bits, seven in each byte.
#[inline]
pub(crate) fn varint(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let byte = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            return out.push(byte);
        }
        out.push(byte | 0x80);
    }
}

/// Writes bytes behind their length. What is longer than 65,535 is cut: nothing that is written
/// here is, for it came from such a field or is ours.
#[inline]
pub(crate) fn binary(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes.get(..length.into()).unwrap_or(bytes));
}

/// Writes a packet: its first byte, the length of what `body` writes, and that.
pub(crate) fn packet(out: &mut Vec<u8>, first: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(first);
    measured(out, body);
}

/// Writes what `body` writes, behind its length.
pub(crate) fn measured(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    body(out);
    let length = out.len() - start;
    let mut size = Vec::with_capacity(4);
    varint(&mut size, length);
    out.splice(start..start, size);
}

/// Writes a text as a property.
pub(crate) fn text_property(out: &mut Vec<u8>, id: u8, text: &str) {
    out.push(id);
    binary(out, text.as_bytes());
}

/// Writes a reason in words, if there is one.
pub(crate) fn reason_string(out: &mut Vec<u8>, text: Option<&str>) {
    if let Some(text) = text {
        text_property(out, property::REASON_STRING, text);
    }
}
