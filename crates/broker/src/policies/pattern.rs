//! Patterns of names.

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ast::parse::Parser;

/// Longest pattern, in bytes.
const TEXT_BYTES_MAX: usize = 4096;
/// Largest that it may become, in bytes.
const COMPILED_BYTES_MAX: usize = 1 << 20;
/// Begins what is common and no regular expression: what a name must not begin with, before what it must match.
const UNLESS: &str = "^(?!";

/// A regular expression that is looked for anywhere in a name. One that begins with `^(?!…)` excludes names that begin
/// so; there is no other looking around, and no looking back.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    like: Regex,
    unless: Option<Regex>,
}

impl Pattern {
    /// Reads it.
    ///
    /// # Errors
    /// Says why it is none.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(format!("a pattern has {TEXT_BYTES_MAX} bytes at most"));
        }
        let (unless, like) = match split(text) {
            Some((unless, like)) => (Some(format!("^(?:{unless})")), format!("^{like}")),
            None => (None, text.to_owned()),
        };
        let unless = unless.map(|unless| compile(&unless)).transpose()?;
        Ok(Self { text: text.to_owned(), like: compile(&like)?, unless })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a name matches.
    pub fn matches(&self, name: &[u8]) -> bool {
        self.unless.as_ref().is_none_or(|unless| !unless.is_match(name)) && self.like.is_match(name)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

fn compile(text: &str) -> Result<Regex, String> {
    // As it is: parentheses that do not match are to have no meaning below.
    Parser::new().parse(text).map_err(|error| error.to_string())?;
    // Names are bytes, and `.` is any of them. It is looked for from the beginning on, since what is not bound to one may keep
    // many megabytes of texts to look for, which no limit bounds.
    let mut builder = RegexBuilder::new(&format!(r"\A(?s:.)*?(?:{text})"));
    let built = builder.unicode(false).size_limit(COMPILED_BYTES_MAX).build();
    built.map_err(|error| error.to_string())
}

/// What a name must not begin with, and what the whole of it must match, if the pattern says both.
fn split(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix(UNLESS)?;
    let (mut depth, mut end, mut is_escaped, mut is_class) = (0_usize, None, false, false);
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'[' => is_class = true,
            b']' => is_class = false,
            _ if is_class => {}
            b'(' => depth += 1,
            b')' if depth > 0 => depth -= 1,
            b')' => end = end.or(Some(at)),
            // An alternative to all of it does not exclude anything.
            b'|' if end.is_some() && depth == 0 => return None,
            _ => {}
        }
    }
    let end = end?;
    Some((&rest[..end], &rest[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_looked_for_anywhere_in_a_name() {
        let matches = |text: &str, name: &str| Pattern::new(text).unwrap().matches(name.as_bytes());
        assert!(matches("work", "my.work.queue") && !matches("^work", "my.work"));
        assert!(matches(".*", "") && matches("", "x") && matches("^\\w+$", "a_b"));
        assert!(Pattern::new("^.$").unwrap().matches(b"\xff"), "names are bytes");
        assert!(matches("^(a|b)\\.", "b.c") && !matches("^(a|b)\\.", "bc"));
    }

    #[test]
    fn names_that_begin_so_can_be_excluded() {
        let matches = |text: &str, name: &str| Pattern::new(text).unwrap().matches(name.as_bytes());
        let usual = "^(?!sys\\.).*";
        assert!(matches(usual, "work") && matches(usual, "system") && !matches(usual, "sys.gen-1"));
        let more = "^(?!(sys|tmp)[.)]|x)a";
        assert!(matches(more, "ab") && !matches(more, "sys.a") && !matches(more, "sys)a"));
        assert!(!matches(more, "xa") && !matches(more, "b"));
    }

    #[test]
    fn a_compiled_pattern_is_bound_to_a_beginning_whatever_it_says() {
        let matches = |text: &str, name: &str| Pattern::new(text).unwrap().matches(name.as_bytes());
        assert!(matches("a\nb$", "x\na\nb") && !matches("^b", "a\nb") && matches("(?m)^b", "a\nb"));
        assert!(matches("(?i)B", "ab") && matches("a|^b|c$", "xc") && !matches("a|^b|c$", "xbx"));
        assert!(matches("\\Ba", "ba") && !matches("\\ba", "ba"));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for text in ["(", "a(?=b)", "(a)\\1", "^(?!a", "^(?!a)b|c", "[z-a]"] {
            assert!(Pattern::new(text).is_err(), "{text}");
        }
        assert!(Pattern::new(&"a".repeat(TEXT_BYTES_MAX + 1)).is_err());
        assert!(Pattern::new("(?:(?:a{999}){999}){999}").is_err(), "it would be too large");
    }
}
