//! Between CoAP's names, formats and errors and those of the core.
//!
//! A path is a subject: each segment is a level. A segment is text, so a level that is none is written `%x` and its bytes
//! in hexadecimal; what looks so but is meant as it stands has `%25` for its `%`, and a zero byte is `%00`.

use base::subject::{Escape, Rules, Step};
use base::{ErrorKind, Filter, Millis, Subject};
use broker::{FetchError, Message, Original, ProduceError, Properties, PublisherId};
use bytes::Bytes;

use crate::limits::{LEVELS_MAX, NAME_BYTES_MAX};
use crate::response::Response;
use crate::wire::code::Code;
use crate::wire::{format, link};

/// How paths are written: segments with a zero byte between them, which none of them can have.
pub(crate) static NAMES: Escape = Escape::new(Rules {
    slot: 4,
    separator: 0,
    introducer: b'%',
    doubled: None,
    forbidden: b"\0",
    empty_levels: true,
    wildcards: &[],
    many_only_last: true,
    utf8: true,
    skips_hidden: true,
});

/// The subject of a path. `None`: it is none, or it is too long.
pub(crate) fn subject<'a>(segments: impl IntoIterator<Item = &'a str>) -> Option<Subject> {
    let mut name = Vec::new();
    for (number, segment) in segments.into_iter().enumerate() {
        if number > 0 {
            name.push(0);
        }
        if segment.contains('\0') || number >= LEVELS_MAX {
            return None;
        }
        name.extend_from_slice(segment.as_bytes());
    }
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    NAMES.subject(&name).ok()
}

/// The path of a subject as URIs have it. `None`: no URI can say it, for a segment would be a step within the path.
pub(crate) fn uri(subject: &Subject) -> Option<String> {
    let mut out = String::new();
    for segment in NAMES.name(subject).split(|byte| *byte == 0) {
        if matches!(segment, b"." | b"..") {
            return None;
        }
        link::put_segment(segment, &mut out);
    }
    // The root is no subject.
    (out != "/").then_some(out)
}

/// The filter of one subject.
pub(crate) fn filter(subject: &Subject) -> Option<Filter> {
    let levels: Vec<_> = subject.levels().collect();
    Filter::from_steps(levels.iter().map(|level| Step::Literal(level.as_ref().into())))
}

/// The filter of all subjects, but for the broker's own.
pub(crate) fn everything() -> Option<Filter> {
    Some(Filter::from_steps([Step::OneOrMore])?.skipping_hidden(true))
}

/// What is to be published.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct New {
    /// None clears what is there.
    pub(crate) value: Option<Bytes>,
    pub(crate) format: Option<u16>,
    /// For how many seconds it is good.
    pub(crate) max_age: Option<u32>,
}

/// A message for the core.
pub(crate) fn message(new: &New, publisher: PublisherId, now: Millis) -> Message {
    let content_type = new.format.and_then(format::media_type);
    let properties = Properties {
        content_type: content_type.map(|text| Bytes::from_static(text.as_bytes())),
        expires_at: new.max_age.map(|seconds| now + 1000 * Millis::from(seconds)),
        ..Properties::default()
    };
    let own = new.format.map(|format| Bytes::copy_from_slice(&format.to_be_bytes()));
    let original = Some(Original { door: door(), bytes: own.unwrap_or_default() });
    let value = new.value.clone();
    Message { value, properties, original, publisher, guaranteed: true, ..Message::default() }
}

fn door() -> u8 {
    u8::try_from(NAMES.rules().slot).unwrap_or(0)
}

/// The format of a message: what its publisher said here, or what another protocol's media type is.
pub(crate) fn format(message: &Message) -> Option<u16> {
    let original = message.original.as_ref().and_then(|original| original.of(&NAMES));
    match original {
        Some(bytes) => Some(u16::from_be_bytes(bytes.first_chunk().copied()?)),
        None => message.properties.content_type.as_deref().and_then(format::number),
    }
}

/// For how many seconds a message is good, if that is known.
pub(crate) fn max_age(message: &Message, now: Millis) -> Option<u32> {
    let expires_at = message.properties.expires_at?;
    Some(u32::try_from((expires_at - now).max(0) / 1000).unwrap_or(u32::MAX))
}

/// What a client is told of a message that could not be stored.
pub(crate) fn refusal(error: &ProduceError) -> Box<Response> {
    let code = match error {
        ProduceError::TooLarge { .. } => Code::ENTITY_TOO_LARGE,
        _ => code(error.kind()),
    };
    told(code, error.to_string())
}

/// What a client is told of something that could not be read.
pub(crate) fn unreadable(error: &FetchError) -> Box<Response> {
    told(code(error.kind()), error.to_string())
}

fn told(code: Code, why: String) -> Box<Response> {
    let max_age = (code == Code::UNAVAILABLE).then_some(1);
    Box::new(Response { max_age, payload: why.into(), ..Response::new(code) })
}

fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Invalid => Code::BAD_REQUEST,
        ErrorKind::NotFound => Code::NOT_FOUND,
        ErrorKind::Conflict => Code::CONFLICT,
        ErrorKind::Unavailable => Code::UNAVAILABLE,
        ErrorKind::Corrupt | ErrorKind::Storage => Code::INTERNAL_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use base::subject::TEXT;

    use super::*;

    #[test]
    fn paths_are_subjects_and_come_back() {
        let cases: [(&[&str], &str); 6] = [
            (&["sensors", "room1"], "sensors.room1"),
            (&["a.b", "c"], "a//b.c"),
            (&["a", "", "b"], "a./.b"),
            (&["a/b"], "a/b"),
            (&["living room"], "living/20room"),
            (&["*", ">"], "/*./>"),
        ];
        for (segments, text) in cases {
            let subject = subject(segments.iter().copied()).expect("a subject");
            assert_eq!(subject.to_string(), text);
            let name = NAMES.name(&subject);
            assert!(name.split(|byte| *byte == 0).eq(segments.iter().map(|one| one.as_bytes())));
        }
        assert_eq!(subject(["a\0b"]), None);
        assert_eq!(subject(std::iter::repeat_n("a", LEVELS_MAX + 1)), None);
        for levels in [&[&b"\xff"[..], b"a"][..], &[b"%xFF"], &[b"a\0b"], &[b"%00"], &[b"\x01"]] {
            let subject = Subject::from_levels(levels);
            let name = NAMES.name(&subject);
            let segments = name.split(|byte| *byte == 0);
            let text: Vec<_> =
                segments.map(|one| std::str::from_utf8(one).expect("text")).collect();
            assert_eq!(super::subject(text), Some(subject.clone()), "{levels:?}");
        }
        let uri_of = |text: &str| uri(&TEXT.subject(text.as_bytes()).expect("a subject"));
        assert_eq!(uri_of("a.b").as_deref(), Some("/a/b"));
        assert_eq!(uri_of("a/b").as_deref(), Some("/a%2Fb"));
        assert_eq!(uri_of("a.//"), None, "a level of one dot");
        assert_eq!(uri_of("/"), None, "one empty level");
    }
}
