//! Options: each as the difference to the number before, a length, and so many bytes (RFC 7252 §3.1).

use super::WireError;

/// Between options and payload.
pub(crate) const MARKER: u8 = 0xff;
/// Most options of one message: a path of many levels, and a dozen others.
pub(crate) const OPTIONS_MAX: usize = 256;

/// The options of a message, which were checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Options<'a>(&'a [u8]);

impl<'a> Options<'a> {
    /// Reads options up to the payload, and gives that, too.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), WireError> {
        let (mut rest, mut number, mut count) = (bytes, 0, 0);
        loop {
            match rest.split_first() {
                None => return Ok((Self(bytes), rest)),
                Some((&MARKER, [])) => return Err(WireError::NoPayload),
                Some((&MARKER, payload)) => {
                    let options = bytes.get(..bytes.len() - rest.len()).unwrap_or_default();
                    return Ok((Self(options), payload));
                }
                Some(_) => {}
            }
            let (next, _, after) = take(number, rest)?;
            (number, rest) = (next, after);
            count += 1;
            if count > OPTIONS_MAX {
                return Err(WireError::TooManyOptions);
            }
        }
    }

    /// From bytes that were options before.
    pub(crate) fn checked(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Number and value of each, in the order of their numbers.
    pub(crate) fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let (mut rest, mut number) = (self.0, 0);
        std::iter::from_fn(move || {
            // What was checked can be read; what was not ends here.
            let (next, value, after) = (!rest.is_empty()).then(|| take(number, rest).ok())??;
            (number, rest) = (next, after);
            Some((number, value))
        })
    }

    /// The values of one number.
    pub(crate) fn all(self, number: u16) -> impl Iterator<Item = &'a [u8]> {
        let numbered = self.iter().skip_while(move |(n, _)| *n < number);
        numbered.take_while(move |(n, _)| *n == number).map(|(_, value)| value)
    }
}

/// Takes an option off the front: its number, its value, what follows.
#[inline]
fn take(number: u16, bytes: &[u8]) -> Result<(u16, &[u8], &[u8]), WireError> {
    let (&first, rest) = bytes.split_first().ok_or(WireError::Short)?;
    let (delta, rest) = extended(first >> 4, rest)?;
    let (length, rest) = extended(first & 15, rest)?;
    let next = u32::from(number) + delta;
    let number = u16::try_from(next).map_err(|_| WireError::Option)?;
    let (value, rest) = rest.split_at_checked(super::to_usize(length)).ok_or(WireError::Short)?;
    Ok((number, value, rest))
}

/// A number of four bits, or one that is continued behind it.
#[inline]
fn extended(nibble: u8, rest: &[u8]) -> Result<(u32, &[u8]), WireError> {
    match nibble {
        13 => {
            let (byte, rest) = rest.split_first().ok_or(WireError::Short)?;
            Ok((u32::from(*byte) + 13, rest))
        }
        14 => {
            let (bytes, rest) = rest.split_first_chunk().ok_or(WireError::Short)?;
            Ok((u32::from(u16::from_be_bytes(*bytes)) + 269, rest))
        }
        15 => Err(WireError::Option),
        nibble => Ok((nibble.into(), rest)),
    }
}

/// A number as it is in an option: no zero byte in front (RFC 7252 §3.2). Leading zeros are read all the same.
/// `None`: more than four bytes.
pub(crate) fn uint(value: &[u8]) -> Option<u32> {
    (value.len() <= 4).then(|| value.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
}

/// Writes options, in the order of their numbers, and a payload.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    last: u16,
}

impl<'a> Writer<'a> {
    /// Appends to `out`.
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, last: 0 }
    }

    /// Appends an option, whose number is not lower than that of the last. One that is longer than the format
    /// allows is left out.
    pub(crate) fn option(&mut self, number: u16, value: &[u8]) {
        debug_assert!(number >= self.last, "option {number} after {}", self.last);
        let Ok(length) = u16::try_from(value.len()) else { return };
        let (delta, delta_more) = split(number.saturating_sub(self.last));
        let (length, length_more) = split(length);
        self.last = number;
        self.out.push(delta << 4 | length);
        self.out.extend_from_slice(delta_more.as_slice());
        self.out.extend_from_slice(length_more.as_slice());
        self.out.extend_from_slice(value);
    }

    /// Appends an option that is a number.
    pub(crate) fn uint(&mut self, number: u16, value: u32) {
        let bytes = value.to_be_bytes();
        let zeros = usize::try_from(value.leading_zeros() / 8).unwrap_or(0);
        self.option(number, bytes.get(zeros..).unwrap_or_default());
    }

    /// Appends the payload, if there is one, and ends.
    pub(crate) fn payload(self, payload: &[u8]) {
        if !payload.is_empty() {
            self.out.push(MARKER);
            self.out.extend_from_slice(payload);
        }
    }
}

/// Up to two bytes that continue a number.
#[derive(Clone, Copy)]
struct More {
    bytes: [u8; 2],
    from: usize,
}

impl More {
    fn as_slice(&self) -> &[u8] {
        self.bytes.get(self.from..).unwrap_or_default()
    }
}

/// The reverse of [`extended`].
fn split(value: u16) -> (u8, More) {
    match value {
        0..13 => (value.to_be_bytes()[1], More { bytes: [0; 2], from: 2 }),
        13..269 => (13, More { bytes: (value - 13).to_be_bytes(), from: 1 }),
        _ => (14, More { bytes: (value - 269).to_be_bytes(), from: 0 }),
    }
}
