//! What stands for what in headers (STOMP 1.2, "Value Encoding").

use std::borrow::Cow;

use super::Version;

/// An escape that the version does not know: fatal, as the specification has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Undefined;

fn meant(version: Version, sign: Option<u8>) -> Result<u8, Undefined> {
    match sign {
        Some(b'n') => Ok(b'\n'),
        Some(b'c') => Ok(b':'),
        Some(b'\\') => Ok(b'\\'),
        Some(b'r') if version == Version::V1_2 => Ok(b'\r'),
        _ => Err(Undefined),
    }
}

/// What a header's name or value means.
pub(super) fn decode(version: Version, text: &[u8]) -> Result<Cow<'_, [u8]>, Undefined> {
    if version == Version::V1_0 || memchr::memchr(b'\\', text).is_none() {
        return Ok(Cow::Borrowed(text));
    }
    let mut meaning = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        meaning.push(if byte == b'\\' { meant(version, rest.next())? } else { byte });
    }
    Ok(Cow::Owned(meaning))
}

/// Whether every escape in it is one.
pub(super) fn check(version: Version, text: &[u8]) -> Result<(), Undefined> {
    if version == Version::V1_0 {
        return Ok(());
    }
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        meant(version, rest.get(at + 1).copied())?;
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    Ok(())
}

/// Writes a name or a value. In 1.0 what would end the line or the name is left out, since it cannot be said.
pub(super) fn encode(version: Version, text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        let sign = match byte {
            b'\n' => b'n',
            b':' => b'c',
            b'\\' => b'\\',
            b'\r' => b'r',
            _ => {
                out.push(byte);
                continue;
            }
        };
        match version {
            Version::V1_0 if matches!(byte, b'\n' | b'\r') => {}
            Version::V1_0 => out.push(byte),
            // 1.1 has no escape for it, and lines there end at the line feed alone.
            Version::V1_1 if byte == b'\r' => out.push(byte),
            _ => out.extend_from_slice(&[b'\\', sign]),
        }
    }
}
