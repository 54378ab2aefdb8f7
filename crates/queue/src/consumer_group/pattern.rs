//! Patterns of topic names: regular expressions in RE2's syntax, matched in linear time.

use std::fmt::Write;

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::parse::Parser;

use crate::GroupError;

/// Longest pattern, in bytes. Clients join several patterns into one.
const PATTERN_BYTES_MAX: usize = 8 * 1024;
/// Most memory of a compiled pattern, in bytes, and of its lazily built automaton as well.
const PROGRAM_BYTES_MAX: usize = 1024 * 1024;

/// A pattern that has to match whole names.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles one.
    ///
    /// # Errors
    /// [`GroupError::InvalidPattern`].
    pub fn new(pattern: &str) -> Result<Self, GroupError> {
        compile(pattern).map(Self)
    }

    /// Whether it matches all of a name.
    pub fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

/// Compiles a pattern that has to match whole names.
///
/// # Errors
/// [`GroupError::InvalidPattern`].
pub(super) fn compile(pattern: &str) -> Result<Regex, GroupError> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(GroupError::InvalidPattern);
    }
    let pattern = unquote(pattern);
    // First as it is: wrapping must not give a meaning to parentheses that do not match. It is only read: to compile what is
    // not bound to a beginning may take many megabytes for the texts that it begins with, which no limit bounds.
    Parser::new().parse(&pattern).map_err(|_| GroupError::InvalidPattern)?;
    let mut builder = RegexBuilder::new(&format!(r"\A(?:{pattern})\z"));
    builder.size_limit(PROGRAM_BYTES_MAX).dfa_size_limit(PROGRAM_BYTES_MAX);
    builder.build().map_err(|_| GroupError::InvalidPattern)
}

/// RE2 reads `\Q…\E` as literal text, which our library does not know.
fn unquote(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        if let Some(quoted) = escape.strip_prefix(r"\Q") {
            let (literal, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            // Writing to a string cannot fail.
            let _ = write!(out, "{}", regex::escape(literal));
            rest = after;
        } else {
            let len = escape.chars().take(2).map(char::len_utf8).sum();
            let (escape, after) = escape.split_at(len);
            out.push_str(escape);
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names_only() {
        let pattern = compile("a|ab|^x.*").unwrap();
        for (name, matches) in [("a", true), ("ab", true), ("abc", false), ("xyz", true)] {
            assert_eq!(pattern.is_match(name), matches, "{name}");
        }
        assert!(!compile("orders").unwrap().is_match("orders2"));
        assert!(compile("(?i)ORDERS-[0-9]+").unwrap().is_match("orders-17"));
    }

    #[test]
    fn quoted_text_is_literal() {
        assert!(compile(r"\Qa.b\E.*").unwrap().is_match("a.bc"));
        assert!(!compile(r"\Qa.b\E.*").unwrap().is_match("axbc"));
        assert!(compile(r"\Qa+(").unwrap().is_match("a+("));
        assert!(compile(r"\\Q").unwrap().is_match(r"\Q"));
    }

    #[test]
    fn what_cannot_be_read_or_is_too_large_is_refused() {
        for pattern in ["(", "a)|(b", "*", "[z-a]", r"\", r"(?=a)", r"(a)\1", "(?x)a #"] {
            assert_eq!(compile(pattern).unwrap_err(), GroupError::InvalidPattern, "{pattern}");
        }
        assert!(compile(&"a".repeat(PATTERN_BYTES_MAX + 1)).is_err());
        assert!(compile("(?:a{1000}){1000}").is_err());
    }
}
