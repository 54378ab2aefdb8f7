//! As much of DER (ITU-T X.690) as finding a name in a certificate takes.

/// One element: its tag, its content, and both with the length between them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    pub(crate) whole: &'a [u8],
}

/// Reads elements one after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Der<'a>(pub(crate) &'a [u8]);

/// A sequence.
pub(crate) const SEQUENCE: u8 = 0x30;
/// A set.
pub(crate) const SET: u8 = 0x31;
/// An object identifier.
pub(crate) const OID: u8 = 0x06;
/// What stands before a certificate's number if its version is not the first one.
pub(crate) const EXPLICIT_0: u8 = 0xa0;

impl<'a> Der<'a> {
    /// The next element; `None` at the end, or where the bytes are not DER.
    pub(crate) fn next(&mut self) -> Option<Element<'a>> {
        let bytes = self.0;
        let tag = *bytes.first()?;
        let first = *bytes.get(1)?;
        let (length, start) = if first < 0x80 {
            (usize::from(first), 2)
        } else {
            // More than four bytes of length would be a certificate of gigabytes.
            let count = usize::from(first & 0x7f);
            let digits = bytes.get(2..2 + count).filter(|_| (1..=4).contains(&count))?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), 2 + count)
        };
        let end = start.checked_add(length)?;
        let whole = bytes.get(..end)?;
        self.0 = &bytes[end..];
        Some(Element { tag, content: &whole[start..], whole })
    }

    /// The next element's content, if it has this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Option<Der<'a>> {
        self.next().filter(|element| element.tag == tag).map(|element| Der(element.content))
    }

    /// Whether all was read.
    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

/// An object identifier in dotted form. `None` if it is not one.
pub(crate) fn oid(content: &[u8]) -> Option<String> {
    use std::fmt::Write;

    let mut text = String::new();
    let mut number: u64 = 0;
    for (index, byte) in content.iter().enumerate() {
        number = number.checked_mul(128)? | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            // Cut off in the middle of a number.
            if index + 1 == content.len() {
                return None;
            }
            continue;
        }
        // Writing to a string cannot fail.
        let _ = if text.is_empty() {
            // The first two numbers share one: the first is 0, 1 or 2.
            let first = (number / 40).min(2);
            write!(text, "{first}.{}", number - first * 40)
        } else {
            write!(text, ".{number}")
        };
        number = 0;
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_written_with_dots() {
        assert_eq!(oid(&[0x55, 4, 3]).as_deref(), Some("2.5.4.3"));
        let email = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];
        assert_eq!(oid(&email).as_deref(), Some("1.2.840.113549.1.9.1"));
        assert_eq!(oid(&[0x88, 0x37, 3]).as_deref(), Some("2.999.3"));
        for bad in [&[][..], &[0x55, 0x84], &[0xff; 12]] {
            assert_eq!(oid(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn lengths_are_not_believed() {
        for bad in [
            &[][..],
            &[0x30],
            &[0x30, 5, 1],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0],
            &[0x30, 0x80],
            &[0x30, 0x85, 0, 0, 0, 0, 1, 0],
            &[0x30, 0x88],
        ] {
            assert!(Der(bad).next().is_none(), "{bad:?}");
        }
        let mut long = vec![4, 0x81, 0x80];
        long.resize(3 + 128, 7);
        assert_eq!(Der(&long).next().map(|element| element.content.len()), Some(128));
    }
}
