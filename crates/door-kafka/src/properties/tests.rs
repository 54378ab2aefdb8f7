use proptest::prelude::*;

use super::*;

fn pairs(text: &str) -> Vec<(String, String)> {
    let (entries, malformed) = parse(text.as_bytes());
    assert_eq!(malformed, [], "in {text:?}");
    entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
}

fn pair(key: &str, value: &str) -> Vec<(String, String)> {
    vec![(key.to_owned(), value.to_owned())]
}

#[test]
fn any_of_the_three_separators_ends_a_key() {
    for text in ["a=b", "a:b", "a b", "a\tb", "a = b", "a : b", "  a\t=\tb", "a  b", "a\x0cb"] {
        assert_eq!(pairs(text), pair("a", "b"), "{text:?}");
    }
    assert_eq!(pairs("a==b"), pair("a", "=b"), "only one separator is taken");
    assert_eq!(pairs("a : =b"), pair("a", "=b"));
    assert_eq!(pairs("a"), pair("a", ""));
    assert_eq!(pairs("a="), pair("a", ""));
    assert_eq!(pairs("=b"), pair("", "b"));
    assert_eq!(pairs("a=b  "), pair("a", "b  "), "trailing space belongs to the value");
}

#[test]
fn comments_and_blank_lines_are_skipped() {
    assert_eq!(pairs("# x=1\n! y=2\n\n \t\n   # z=3\na=b#c\n"), pair("a", "b#c"));
    assert_eq!(pairs("# a comment is not continued \\\na=b"), pair("a", "b"));
}

#[test]
fn a_backslash_at_the_end_continues_the_line() {
    assert_eq!(pairs("a=b,\\\n    c"), pair("a", "b,c"));
    assert_eq!(pairs("a=b\\\r\n  c"), pair("a", "bc"));
    assert_eq!(pairs("a\\\n  b=c"), pair("ab", "c"));
    assert_eq!(pairs("a=b\\\\\nc=d").len(), 2, "an escaped backslash does not continue");
    assert_eq!(pairs("a=b\\\n#c"), pair("a", "b#c"), "a continuation is never a comment");
    assert_eq!(pairs("a=b\\\n\nc=d").len(), 2, "a blank continuation ends the entry");
    assert_eq!(pairs("\\\n#c\na=b"), pair("a", "b"));
    assert_eq!(pairs("a=b\\"), pair("a", "b"));
}

#[test]
fn escapes_are_resolved_on_both_sides() {
    assert_eq!(pairs(r"a\ b\=c\:d=\t\n\r\f\q\\"), pair("a b=c:d", "\t\n\r\x0cq\\"));
    assert_eq!(pairs(r"a=\u0041\u00e9\ud83d\ude00"), pair("a", "Aé😀"));
}

#[test]
fn a_broken_unicode_escape_is_reported_with_its_line_and_the_rest_is_read() {
    let (entries, malformed) = parse(b"a=1\nb=\\u12\nc=\\ud83d\nd=2");
    let read: Vec<_> = entries.iter().map(|entry| (entry.key.as_str(), entry.line)).collect();
    assert_eq!(read, [("a", 1), ("d", 4)]);
    assert_eq!(malformed.iter().map(|bad| bad.line).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn a_line_number_is_that_of_the_key() {
    let (entries, _) = parse(b"# one\r\n\r\na=\\\r\n b\rc=d\ne=f");
    let lines: Vec<_> = entries.iter().map(|entry| (entry.key.as_str(), entry.line)).collect();
    assert_eq!(lines, [("a", 3), ("c", 5), ("e", 6)]);
}

#[test]
fn bytes_that_are_not_utf8_are_read_as_latin_1() {
    let (entries, _) = parse(b"a=caf\xe9");
    assert_eq!(entries[0].value, "café");
}

/// Writes a text so that reading it gives it back, as `Properties.store` does.
fn escape(text: &str, key: bool) -> String {
    let mut out = String::new();
    for (index, c) in text.chars().enumerate() {
        match c {
            ' ' if key || index == 0 => out.push_str("\\ "),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\x0c' => out.push_str("\\f"),
            '=' | ':' | '#' | '!' | '\\' => out.extend(['\\', c]),
            c if (c as u32) < 0x20 || (c as u32) > 0x7e => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            }
            c => out.push(c),
        }
    }
    out
}

proptest! {
    #[test]
    fn what_is_written_escaped_is_read_back(
        wanted in proptest::collection::vec(("\\PC{1,12}|[ =:#!\\\\\t\n\r]{1,4}", "\\PC{0,20}|[ =:#!\\\\\t\n\r\x0c]{0,6}"), 0..8),
    ) {
        let text: String = wanted
            .iter()
            .map(|(key, value)| format!("{}={}\n", escape(key, true), escape(value, false)))
            .collect();
        prop_assert_eq!(pairs(&text), wanted);
    }

    #[test]
    fn no_input_makes_it_panic_and_every_line_number_exists(
        bytes in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(b'\\'), Just(b'\n'), Just(b'\r'), Just(b'='), Just(b'u'), Just(b' '), Just(b'#')],
            0..64,
        ),
    ) {
        let (entries, malformed) = parse(&bytes);
        let last = bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 1;
        for line in entries.iter().map(|e| e.line).chain(malformed.iter().map(|m| m.line)) {
            prop_assert!((1..=last).contains(&line));
        }
    }
}
