//! Which names are subjects: levels parted by dots, none of them empty, without blanks.

/// Whether it can be subscribed to: `*` may stand for a level, and `>` as the last one for all that
/// follow.
pub(crate) fn is_filter(name: &[u8]) -> bool {
    let mut levels = name.split(is_dot).peekable();
    while let Some(level) = levels.next() {
        let is_tail = level == b">";
        if level.is_empty() || level.iter().any(u8::is_ascii_whitespace) {
            return false;
        }
        if is_tail && levels.peek().is_some() {
            return false;
        }
    }
    true
}

/// Whether it can be published to: a filter without wildcards.
pub(crate) fn is_literal(name: &[u8]) -> bool {
    is_filter(name) && name.split(is_dot).all(|level| !matches!(level, b"*" | b">"))
}

/// Whether a filter matches a subject, both as they are written.
pub(crate) fn matches(filter: &[u8], subject: &[u8]) -> bool {
    let (mut wanted, mut levels) = (filter.split(is_dot), subject.split(is_dot));
    loop {
        match (wanted.next(), levels.next()) {
            (None, None) => return true,
            (Some(b">"), Some(_)) => return true,
            (Some(b"*"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
}

fn is_dot(byte: &u8) -> bool {
    *byte == b'.'
}
