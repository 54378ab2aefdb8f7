use proptest::collection::vec;
use proptest::prelude::*;

use super::escape::Rules;
use super::*;

/// A syntax with other rules in every respect.
static SLASHES: Escape = Escape::new(Rules {
    slot: 1,
    separator: b'/',
    introducer: b'%',
    doubled: None,
    forbidden: b"+#\0",
    empty_levels: true,
    wildcards: &[(b'+', Wildcard::One), (b'#', Wildcard::ZeroOrMore)],
    many_only_last: true,
    utf8: true,
    skips_hidden: true,
});

/// Bytes that mean something somewhere, and some that do not.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        8 => prop::sample::select(&b"/%.+#*> \t\r\n\x0c\0\x01\x02\x03\x04\x05x02F5aB$"[..]),
        1 => any::<u8>(),
    ]
}

fn levels() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(vec(byte(), 0..12), 1..6)
}

/// Every name that the text form has: no empty level, no byte that it forbids, no wildcard.
fn text_name() -> impl Strategy<Value = Vec<u8>> {
    let byte = byte().prop_filter("legal", |byte| !b". \t\r\n\x0c\0".contains(byte));
    let level = vec(byte, 1..12).prop_filter("no wildcard", |l| l != b"*" && l != b">");
    vec(level, 1..6).prop_map(|levels| levels.join(&b'.'))
}

fn slashes_name() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec!["/", "%", "25", "2F", "2B", "00", "x", "E9", "C3A9", "a", ".", "é", " ", "$"]),
        1 => Just("\u{1}\u{2}"),
    ];
    vec(piece, 0..20).prop_map(|pieces| pieces.concat().into_bytes())
}

fn dots_name() -> impl Strategy<Value = Vec<u8>> {
    let wild = |name: &Vec<u8>| !name.split(|b| *b == b'.').any(|l| l == b"*" || l == b"#");
    vec(byte(), 0..24).prop_filter("no wildcard", wild)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_subject_is_its_levels(levels in levels()) {
        let subject = Subject::from_levels(&levels);
        prop_assert_eq!(subject.levels().map(Cow::into_owned).collect::<Vec<_>>(), levels);
        prop_assert_eq!(Subject::from_bytes(subject.bytes().clone()), Some(subject));
    }

    #[test]
    fn every_subject_has_a_name_in_every_syntax_and_comes_back(levels in levels()) {
        let subject = Subject::from_levels(&levels);
        for escape in [&TEXT, &FILTERS, &SLASHES, &KEYS] {
            let name = escape.name(&subject);
            prop_assert_eq!(escape.subject(&name), Ok(subject.clone()), "{:?}", name);
            let filter = Filter::exact(&subject);
            let name = escape.filter_name(&filter);
            prop_assert_eq!(escape.filter(&name), Ok(filter), "{:?}", name);
        }
    }

    #[test]
    fn every_name_comes_back_as_text(name in text_name()) {
        let subject = TEXT.subject(&name).unwrap();
        prop_assert_eq!(&TEXT.name(&subject)[..], &name[..], "{:?}", subject);
    }

    #[test]
    fn every_name_comes_back_with_slashes(name in slashes_name()) {
        let subject = SLASHES.subject(&name).unwrap();
        prop_assert_eq!(&SLASHES.name(&subject)[..], &name[..], "{:?}", subject);
    }

    #[test]
    fn every_name_comes_back_with_dots(name in dots_name()) {
        let subject = KEYS.subject(&name).unwrap();
        prop_assert_eq!(&KEYS.name(&subject)[..], &name[..], "{:?}", subject);
    }

    #[test]
    fn a_filter_comes_back_from_its_bytes(levels in levels(), wild in vec(0..4u8, 6)) {
        let steps = levels.iter().zip(wild).map(|(level, wild)| match wild {
            0 => Step::One,
            1 => Step::ZeroOrMore,
            _ => Step::Literal(level.into()),
        });
        let filter = Filter::from_steps(steps).unwrap();
        prop_assert_eq!(Filter::from_bytes(filter.bytes().clone()), Some(filter.clone()));
        for escape in [&FILTERS, &KEYS] {
            let name = escape.filter_name(&filter);
            prop_assert_eq!(escape.filter(&name), Ok(filter.clone()), "{:?}", name);
        }
        let again = Filter::from_steps(filter.steps());
        prop_assert_eq!(again, Some(filter));
    }

    #[test]
    fn filters_intersect_where_a_subject_matches_both(
        subject in vec(0..2u8, 1..5), left in vec(0..5u8, 1..5), right in vec(0..5u8, 1..5),
    ) {
        let subject = Subject::from_levels(subject.iter().map(|level| [b'a' + level]));
        let (left, right) = (filter(&left), filter(&right));
        if left.matches(&subject) && right.matches(&subject) {
            prop_assert!(left.intersects(&right), "{left} {right} {subject}");
        }
        prop_assert_eq!(left.intersects(&right), right.intersects(&left));
    }

    #[test]
    fn filters_that_intersect_have_a_subject_in_common(
        left in vec(0..5u8, 1..4), right in vec(0..5u8, 1..4),
    ) {
        let (left, right) = (filter(&left), filter(&right));
        let mut subjects = vec![vec![]];
        let mut common = false;
        for _ in 0..7 {
            let longer = |levels: &Vec<u8>| b"ab".map(|l| [levels.clone(), vec![l]].concat());
            subjects = subjects.iter().flat_map(longer).collect();
            common |= subjects.iter().any(|levels| {
                let subject = Subject::from_levels(levels.iter().map(|level| [*level]));
                left.matches(&subject) && right.matches(&subject)
            });
        }
        prop_assert_eq!(left.intersects(&right), common, "{} {}", left, right);
    }
}

/// 0 and 1 are levels, 2 is any one, 3 any number, 4 one or more where it is last.
fn filter(steps: &[u8]) -> Filter {
    let last = steps.len() - 1;
    let step = |(at, step): (usize, &u8)| match step {
        2 => Step::One,
        4 if at == last => Step::OneOrMore,
        3 | 4 => Step::ZeroOrMore,
        level => Step::Literal(vec![b'a' + level].into()),
    };
    Filter::from_steps(steps.iter().enumerate().map(step)).unwrap()
}

#[test]
fn names_are_escaped_as_they_are_known_to_be() {
    let cases: [(&str, &str); 13] = [
        ("a/b/c", "a.b.c"),
        ("a.b/c", "a//b.c"),
        ("/a", "/.a"),
        ("a/", "a./"),
        ("a//b", "a./.b"),
        ("a..b", "a////b"),
        ("a%2Fb", "a/b"),
        ("living room", "living/20room"),
        ("living\x0croom", "living/0Croom"),
        ("*", "/*"),
        ("%2F", "/2F"),
        ("100%", "100%"),
        ("a%252Fb", "a%2Fb"),
    ];
    for (slashes, text) in cases {
        let subject = SLASHES.subject(slashes.as_bytes()).unwrap();
        assert_eq!(subject.to_string(), text, "{slashes}");
        assert_eq!(TEXT.subject(text.as_bytes()), Ok(subject), "{text}");
    }
}

#[test]
fn what_is_no_name_is_refused() {
    for wrong in ["", ".", "a.", ".a", "a..b", "a b", "a.*", ">", "a\r", "a\x0c"] {
        assert!(TEXT.subject(wrong.as_bytes()).is_err(), "{wrong:?}");
    }
    for wrong in ["a.>.b", "a..*", "", "> "] {
        assert!(TEXT.filter(wrong.as_bytes()).is_err(), "{wrong:?}");
    }
    for wrong in [&b"a+"[..], b"+", b"#", b"a/#", b"a\0", b"\xff"] {
        assert!(SLASHES.subject(wrong).is_err(), "{wrong:?}");
    }
    for wrong in [&b"a+/b"[..], b"#/a", b"a#", b"a/\xff"] {
        assert!(SLASHES.filter(wrong).is_err(), "{wrong:?}");
    }
    assert!(Subject::from_bytes(Bytes::from_static(b"a\x01\x03")).is_none());
    assert!(Subject::from_bytes(Bytes::from_static(b"a\x01")).is_none());
    assert!(Filter::from_bytes(Bytes::from_static(b"\x01\x05\0a")).is_none());
}

#[test]
fn filters_match_as_their_protocols_say() {
    let slashes = |filter: &str| SLASHES.filter(filter.as_bytes()).unwrap();
    let text = |filter: &str| TEXT.filter(filter.as_bytes()).unwrap();
    let subject = |name: &str| SLASHES.subject(name.as_bytes()).unwrap();
    assert!(slashes("a/#").matches(&subject("a")), "the parent, too");
    assert!(slashes("a/#").matches(&subject("a/b/c")));
    assert!(!slashes("+").matches(&subject("/a")));
    assert!(slashes("+/+").matches(&subject("/a")));
    assert!(!slashes("#").matches(&subject("$SYS/x")));
    assert!(!slashes("+/x").matches(&subject("$SYS/x")));
    assert!(slashes("$SYS/#").matches(&subject("$SYS/x")));
    assert!(!text("a.>").matches(&subject("a")), "one at least");
    assert!(text("a.>").matches(&subject("a/b/c")));
    assert!(text(">").matches(&subject("$SYS/x")));
    let dots = KEYS.filter(b"#.b.#").unwrap();
    assert!(dots.matches(&subject("b")) && dots.matches(&subject("a/b/c/d")));
    assert!(!dots.matches(&subject("a/c")));
    assert!(!slashes("#").intersects(&text("$JS.>")));
    assert!(!slashes("+/a").is_exact() && slashes("a/b").is_exact());
    let zero = Subject::from_levels([b"\0a"]);
    assert!(Filter::exact(&zero).is_exact());
}

#[test]
fn what_a_filter_s_subjects_begin_with_is_told_in_text() {
    let head = |text: &str| TEXT.filter(text.as_bytes()).unwrap().head();
    assert_eq!(head("a.b"), "a.b");
    assert_eq!(
        (head("a.*.b"), head("a.>"), head("*.a")),
        ("a.".into(), "a.".into(), String::new())
    );
    let escaped = Filter::from_steps([Step::Literal(b"a.b"[..].into()), Step::One]).unwrap();
    let name = Subject::from_levels([b"a.b"]).to_string();
    assert_eq!(escaped.head(), format!("{name}."));
}
