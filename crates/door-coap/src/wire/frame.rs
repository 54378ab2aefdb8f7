//! A message in a stream (RFC 8323 §3.2): the length of options and payload in four bits and up to four bytes, the code,
//! then token, options and payload. In a WebSocket the length is zero, whatever follows (§4.2); such a frame is a
//! message of its own.

use super::code::Code;
use super::{Message, Token, WireError, to_usize};

/// What is added to a length of one, of two and of four bytes.
const LENGTHS: [u32; 3] = [13, 269, 65_805];

/// The beginning of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    code: Code,
    token_length: u8,
    /// Bytes of the header.
    size: usize,
    /// Bytes of options and payload.
    length: usize,
}

impl Header {
    /// Reads what messages begin with. `None`: not all of it is there.
    ///
    /// # Errors
    /// The message has more bytes than `max`, or a token that there is not.
    pub(crate) fn decode(bytes: &[u8], max: usize) -> Result<Option<Self>, WireError> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        let token_length = first & 15;
        if usize::from(token_length) > Token::BYTES_MAX {
            return Err(WireError::Token(token_length));
        }
        let width = match first >> 4 {
            13 => 1,
            14 => 2,
            15 => 4,
            _ => 0,
        };
        let Some((length, [code, ..])) = rest.split_at_checked(width) else { return Ok(None) };
        let more = length.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
        let length = match first >> 4 {
            short @ 0..13 => short.into(),
            long => {
                let base = LENGTHS.get(usize::from(long) - 13).copied().unwrap_or(0);
                more.checked_add(base).ok_or(WireError::TooLarge(usize::MAX))?
            }
        };
        let (size, length) = (2 + width, to_usize(length));
        let total = size.saturating_add(token_length.into()).saturating_add(length);
        if total > max {
            return Err(WireError::TooLarge(total));
        }
        Ok(Some(Self { code: Code(*code), token_length, size, length }))
    }

    /// Bytes of the whole message.
    pub(crate) fn total(&self) -> usize {
        self.size + usize::from(self.token_length) + self.length
    }

    /// The message that begins with this header.
    pub(crate) fn message<'a>(&self, bytes: &'a [u8]) -> Result<Message<'a>, WireError> {
        let rest = bytes.get(self.size..self.total()).ok_or(WireError::Short)?;
        Message::decode(self.code, self.token_length, rest)
    }
}

/// Reads a message that is a WebSocket's.
pub(crate) fn decode_web(bytes: &[u8]) -> Result<Message<'_>, WireError> {
    let (&[first, code], rest) = bytes.split_first_chunk().ok_or(WireError::Short)?;
    // The length is that of the WebSocket's message; a receiver need not look at what is here (RFC 8323 §4.2).
    Message::decode(Code(code), first & 15, rest)
}

/// Appends a message whose options and payload are `body`, as they are.
pub(crate) fn put(code: Code, token: Token, body: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let [one, two, four] = LENGTHS;
    let token_length = token.length;
    match length {
        _ if length < one => out.push(u8::try_from(length).unwrap_or(0) << 4 | token_length),
        _ if length < two => {
            out.extend([13 << 4 | token_length, u8::try_from(length - one).unwrap_or(0)]);
        }
        _ if length < four => {
            out.push(14 << 4 | token_length);
            out.extend(u16::try_from(length - two).unwrap_or(0).to_be_bytes());
        }
        _ => {
            out.push(15 << 4 | token_length);
            out.extend((length - four).to_be_bytes());
        }
    }
    out.push(code.0);
    out.extend_from_slice(token.as_bytes());
    out.extend_from_slice(body);
}

/// Appends a message that is a WebSocket's.
pub(crate) fn put_web(code: Code, token: Token, body: &[u8], out: &mut Vec<u8>) {
    out.extend([token.length, code.0]);
    out.extend_from_slice(token.as_bytes());
    out.extend_from_slice(body);
}
