//! CBOR (RFC 8949), as much of it as the properties of topics need: definite lengths, numbers, bytes, text, arrays, maps
//! and tags. What is read borrows; how deep things nest is up to whoever reads them.

/// Why something cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the CBOR that is expected here")]
pub(crate) struct NotCbor;

/// What is left of an encoded item.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Major {
    Uint = 0,
    Negative = 1,
    Bytes = 2,
    Text = 3,
    Array = 4,
    Map = 5,
    Tag = 6,
    Simple = 7,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Nothing may follow.
    pub(crate) fn end(self) -> Result<(), NotCbor> {
        if self.0.is_empty() { Ok(()) } else { Err(NotCbor) }
    }

    /// What comes next, and its number: a value, a length, or a count.
    fn head(&mut self) -> Result<(Major, u64), NotCbor> {
        let (&first, rest) = self.0.split_first().ok_or(NotCbor)?;
        let width = match first & 31 {
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            0..24 => 0,
            // Reserved, or of no length that is known.
            _ => return Err(NotCbor),
        };
        let (more, rest) = rest.split_at_checked(width).ok_or(NotCbor)?;
        let more = more.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        self.0 = rest;
        let major = match first >> 5 {
            0 => Major::Uint,
            1 => Major::Negative,
            2 => Major::Bytes,
            3 => Major::Text,
            4 => Major::Array,
            5 => Major::Map,
            6 => Major::Tag,
            _ => Major::Simple,
        };
        Ok((major, if width == 0 { u64::from(first & 31) } else { more }))
    }

    fn expect(&mut self, wanted: Major) -> Result<u64, NotCbor> {
        let (major, number) = self.head()?;
        if major == wanted { Ok(number) } else { Err(NotCbor) }
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], NotCbor> {
        let length = usize::try_from(length).map_err(|_| NotCbor)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(NotCbor)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn uint(&mut self) -> Result<u64, NotCbor> {
        self.expect(Major::Uint)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], NotCbor> {
        let length = self.expect(Major::Bytes)?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, NotCbor> {
        let length = self.expect(Major::Text)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| NotCbor)
    }

    pub(crate) fn tag(&mut self) -> Result<u64, NotCbor> {
        self.expect(Major::Tag)
    }

    /// How many items an array has, which follow.
    pub(crate) fn array(&mut self) -> Result<u64, NotCbor> {
        self.expect(Major::Array)
    }

    /// How many pairs a map has, which follow.
    pub(crate) fn map(&mut self) -> Result<u64, NotCbor> {
        self.expect(Major::Map)
    }

    /// A number of seconds: an integer, or one with a fraction, which is dropped.
    pub(crate) fn seconds(&mut self) -> Result<i64, NotCbor> {
        let is_float = self.0.first() == Some(&0xfb);
        let (major, number) = self.head()?;
        match major {
            Major::Uint => i64::try_from(number).map_err(|_| NotCbor),
            Major::Negative => i64::try_from(number).map(|n| -1 - n).map_err(|_| NotCbor),
            Major::Simple if is_float => {
                let seconds = f64::from_bits(number).floor();
                // Beyond this an f64 has no whole seconds any more.
                let in_range = seconds.abs() < 9e15;
                #[allow(
                    clippy::cast_possible_truncation,
                    reason = "in range, and without a fraction"
                )]
                in_range.then_some(seconds as i64).ok_or(NotCbor)
            }
            _ => Err(NotCbor),
        }
    }
}

/// Appends what an item begins with, in its shortest form.
pub(crate) fn head(major: Major, number: u64, out: &mut Vec<u8>) {
    let first = (major as u8) << 5;
    let bytes = number.to_be_bytes();
    let width = match number {
        0..24 => {
            out.push(first | bytes[7]);
            return;
        }
        24..0x100 => 1,
        0x100..0x1_0000 => 2,
        0x1_0000..0x1_0000_0000 => 4,
        _ => 8,
    };
    // 24 to 27, for one, two, four and eight bytes.
    out.push(first | (24 + width_bits(width)));
    out.extend_from_slice(bytes.get(8 - width..).unwrap_or_default());
}

fn width_bits(width: usize) -> u8 {
    u8::try_from(width.trailing_zeros()).unwrap_or(0)
}

pub(crate) fn text(text: &str, out: &mut Vec<u8>) {
    head(Major::Text, text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn bytes(bytes: &[u8], out: &mut Vec<u8>) {
    head(Major::Bytes, bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Appends a time (RFC 8949 §3.4.2): seconds since 1970.
pub(crate) fn time(seconds: i64, out: &mut Vec<u8>) {
    head(Major::Tag, 1, out);
    match u64::try_from(seconds) {
        Ok(seconds) => head(Major::Uint, seconds, out),
        Err(_) => head(Major::Negative, (-1 - seconds).unsigned_abs(), out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of appendix A of RFC 8949.
    #[test]
    fn the_examples_of_the_rfc_are_read_and_written() {
        let numbers: [(u64, &[u8]); 7] = [
            (0, &[0x00]),
            (23, &[0x17]),
            (24, &[0x18, 0x18]),
            (1000, &[0x19, 0x03, 0xe8]),
            (1_000_000, &[0x1a, 0x00, 0x0f, 0x42, 0x40]),
            (1_000_000_000_000, &[0x1b, 0, 0, 0, 0xe8, 0xd4, 0xa5, 0x10, 0]),
            (u64::MAX, &[0x1b, 255, 255, 255, 255, 255, 255, 255, 255]),
        ];
        for (number, wanted) in numbers {
            let mut out = Vec::new();
            head(Major::Uint, number, &mut out);
            assert_eq!(out, wanted);
            assert_eq!(Reader::new(wanted).uint(), Ok(number));
        }
        let mut out = Vec::new();
        text("IETF", &mut out);
        bytes(&[1, 2, 3, 4], &mut out);
        time(1_363_896_240, &mut out);
        assert_eq!(
            out,
            [&b"\x64IETF\x44\x01\x02\x03\x04"[..], &[0xc1, 0x1a, 0x51, 0x4b, 0x67, 0xb0]].concat()
        );
        let mut reader = Reader::new(&out);
        assert_eq!(reader.text(), Ok("IETF"));
        assert_eq!(reader.bytes(), Ok(&[1, 2, 3, 4][..]));
        assert_eq!((reader.tag(), reader.seconds()), (Ok(1), Ok(1_363_896_240)));
        assert_eq!(reader.end(), Ok(()));
        let float = [0xc1, 0xfb, 0x41, 0xd4, 0x52, 0xd9, 0xec, 0x20, 0, 0];
        let mut reader = Reader::new(&float);
        assert_eq!((reader.tag(), reader.seconds()), (Ok(1), Ok(1_363_896_240)));
    }

    #[test]
    fn what_says_more_than_is_there_is_refused() {
        assert_eq!(Reader::new(&[0x7a, 255, 0, 0, 0]).text(), Err(NotCbor));
        assert_eq!(
            Reader::new(&[0x5b, 255, 255, 255, 255, 255, 255, 255, 255]).bytes(),
            Err(NotCbor)
        );
        assert_eq!(Reader::new(&[0x9f, 1, 0xff]).array(), Err(NotCbor), "of no length");
        assert_eq!(Reader::new(&[0x62, 0xff, 0xfe]).text(), Err(NotCbor), "no text");
        assert_eq!(Reader::new(&[0x41, 1]).text(), Err(NotCbor), "bytes are no text");
        assert_eq!(Reader::new(&[0x18]).uint(), Err(NotCbor));
        assert!(Reader::new(&[0]).end().is_err());
    }
}
