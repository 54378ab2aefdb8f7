//! A certificate's subject as text (RFC 2253), letter for letter as Java writes it, because rules
//! that name principals were written against that.

use std::fmt::Write;

use super::der::{Der, EXPLICIT_0, OID, SEQUENCE, SET, oid};

/// Characters that stand behind a backslash wherever they are.
const ESCAPED: &str = ",=+<>#;\"\\";

/// The types that RFC 2253 has a name for. All others are written as numbers.
const TYPES: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

/// The subject of a certificate. `None` if the bytes are not a certificate.
pub(crate) fn subject(certificate: &[u8]) -> Option<String> {
    let mut body = Der(certificate).expect(SEQUENCE)?.expect(SEQUENCE)?;
    if body.0.first() == Some(&EXPLICIT_0) {
        body.next()?;
    }
    // Number, algorithm, issuer and validity come before the subject.
    for _ in 0..4 {
        body.next()?;
    }
    let mut names = body.expect(SEQUENCE)?;
    let mut parts = Vec::new();
    while !names.is_empty() {
        parts.push(relative_name(names.expect(SET)?)?);
    }
    // Most significant first in the certificate, last in the text.
    parts.reverse();
    Some(parts.join(","))
}

fn relative_name(mut set: Der<'_>) -> Option<String> {
    let mut text = String::new();
    while !set.is_empty() {
        let mut pair = set.expect(SEQUENCE)?;
        let kind = oid(pair.expect(OID)?.0)?;
        let value = pair.next()?;
        if !text.is_empty() {
            text.push('+');
        }
        let name = TYPES.iter().find(|(number, _)| *number == kind).map(|(_, name)| *name);
        match (name, string(value.tag, value.content)) {
            (Some(name), Some(value)) => {
                text.push_str(name);
                text.push('=');
                escape(&value, &mut text);
            }
            _ => {
                let name = name.unwrap_or(&kind);
                // Writing to a string cannot fail.
                let _ = write!(text, "{name}=#");
                for byte in value.whole {
                    let _ = write!(text, "{byte:02x}");
                }
            }
        }
    }
    Some(text)
}

/// The text of a value, if it is a kind of text.
fn string(tag: u8, content: &[u8]) -> Option<String> {
    match tag {
        // UTF8String, PrintableString, IA5String, GeneralString.
        0x0c | 0x13 | 0x16 | 0x1b => String::from_utf8(content.to_vec()).ok(),
        // TeletexString, in practice ISO 8859-1.
        0x14 => Some(content.iter().map(|byte| char::from(*byte)).collect()),
        // BMPString.
        0x1e => {
            let units = content.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            String::from_utf16(&units.collect::<Vec<_>>()).ok()
        }
        _ => None,
    }
}

fn escape(value: &str, out: &mut String) {
    let inner = value.trim_matches(' ');
    let leading = value.len() - value.trim_start_matches(' ').len();
    let trailing = value.len() - leading - inner.len();
    out.push_str(&"\\ ".repeat(leading));
    for c in inner.chars() {
        match c {
            '\0' => out.push_str("\\00"),
            c if ESCAPED.contains(c) => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.push_str(&"\\ ".repeat(trailing));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], &length[..], content].concat()
    }

    fn attribute(oid: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
        element(SEQUENCE, &[element(OID, oid), element(tag, value)].concat())
    }

    /// A certificate as far as the subject, of names with one or more attributes each.
    fn certificate(names: &[Vec<Vec<u8>>]) -> Vec<u8> {
        let names: Vec<_> = names.iter().map(|name| element(SET, &name.concat())).collect();
        let before = [
            element(EXPLICIT_0, &[2, 1, 2]),
            element(2, &[1]),
            element(SEQUENCE, &[]),
            element(SEQUENCE, &[]),
            element(SEQUENCE, &[]),
        ];
        let body = [before.concat(), element(SEQUENCE, &names.concat())].concat();
        element(SEQUENCE, &element(SEQUENCE, &body))
    }

    const CN: [u8; 3] = [0x55, 4, 3];
    const O: [u8; 3] = [0x55, 4, 10];
    const EMAIL: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];

    #[test]
    fn a_subject_reads_from_the_most_special_name_on() {
        let given = certificate(&[
            vec![attribute(&O, 0x13, b"Acme, Inc.")],
            vec![attribute(&CN, 0x0c, "zoë".as_bytes()), attribute(&O, 0x0c, b"x")],
        ]);
        assert_eq!(subject(&given).as_deref(), Some("CN=zoë+O=x,O=Acme\\, Inc."));
        assert_eq!(subject(&certificate(&[])).as_deref(), Some(""));
    }

    #[test]
    fn what_means_something_in_a_name_is_escaped() {
        for (value, text) in [
            ("a=b+c", "a\\=b\\+c"),
            ("  x ", "\\ \\ x\\ "),
            ("<#>;\"\\", "\\<\\#\\>\\;\\\"\\\\"),
            ("a b", "a b"),
            (" ", "\\ "),
            ("", ""),
            ("\0", "\\00"),
        ] {
            let given = certificate(&[vec![attribute(&CN, 0x0c, value.as_bytes())]]);
            assert_eq!(subject(&given), Some(format!("CN={text}")), "{value:?}");
        }
    }

    #[test]
    fn types_without_a_name_are_numbers_and_their_values_too() {
        let given = certificate(&[vec![attribute(&EMAIL, 0x16, b"a@b")]]);
        let text = "1.2.840.113549.1.9.1=#168200036140 62".replace(' ', "");
        assert_eq!(subject(&given), Some(text));
        let bits = certificate(&[vec![attribute(&CN, 0x03, b"\0\x01")]]);
        assert_eq!(subject(&bits).as_deref(), Some("CN=#038200020001"));
        let wide = certificate(&[vec![attribute(&CN, 0x1e, b"\0h\0i")]]);
        assert_eq!(subject(&wide).as_deref(), Some("CN=hi"));
    }

    #[test]
    fn a_damaged_certificate_has_no_subject() {
        let given = certificate(&[vec![attribute(&CN, 0x0c, b"alice")]]);
        for cut in 0..given.len() {
            assert_eq!(subject(&given[..cut]), None, "cut at {cut}");
        }
        for index in 0..given.len() {
            let mut bad = given.clone();
            bad[index] ^= 0xff;
            // Whatever it says, it must not panic.
            let _ = subject(&bad);
        }
    }
}
