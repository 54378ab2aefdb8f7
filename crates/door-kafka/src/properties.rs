//! The `.properties` format, read as `java.util.Properties.load` reads it: comments (`#`, `!`),
//! `=`, `:` or white space between key and value, lines continued by a backslash, and escapes.
//!
//! One deliberate difference: bytes that are valid UTF-8 are read as UTF-8, and only others as
//! ISO 8859-1, which is what Java assumes for every file.

use std::borrow::Cow;

/// One `key = value` of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key, with its escapes resolved.
    pub key: String,
    /// The value, with its escapes resolved. Trailing white space belongs to it.
    pub value: String,
    /// The line on which the key begins; the first line is 1.
    pub line: usize,
}

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// The line on which the entry begins.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

/// Reads a whole file: every entry in order (duplicates included) and every malformed line.
pub fn parse(bytes: &[u8]) -> (Vec<Entry>, Vec<Malformed>) {
    let text = decode(bytes);
    let mut entries = Vec::new();
    let mut malformed = Vec::new();
    for (line, logical) in logical_lines(&text) {
        match split(&logical) {
            Ok((key, value)) => entries.push(Entry { key, value, line }),
            Err(what) => malformed.push(Malformed { line, what }),
        }
    }
    (entries, malformed)
}

fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().map(|byte| char::from(*byte)).collect()),
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c')
}

/// Joins continued lines and drops comments and blank lines. The backslash that continues a line
/// is removed; all other escapes are still in the text.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut current = String::new();
    let mut begun_at = 0;
    for (index, natural) in natural_lines(text).into_iter().enumerate() {
        let trimmed = natural.trim_start_matches(is_space);
        if current.is_empty() {
            // As in Java, a comment is recognised wherever the logical line is still empty.
            if trimmed.starts_with(['#', '!']) || trimmed.is_empty() {
                continue;
            }
            begun_at = index + 1;
        }
        let backslashes = trimmed.chars().rev().take_while(|c| *c == '\\').count();
        if backslashes % 2 == 1 {
            current.push_str(&trimmed[..trimmed.len() - 1]);
        } else {
            current.push_str(trimmed);
            lines.push((begun_at, std::mem::take(&mut current)));
        }
    }
    if !current.is_empty() {
        lines.push((begun_at, current));
    }
    lines
}

/// The lines of the file; each may end in LF, CR or CR LF.
fn natural_lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.find(['\n', '\r']) {
        lines.push(&rest[..end]);
        let ending = if rest[end..].starts_with("\r\n") { 2 } else { 1 };
        rest = &rest[end + ending..];
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

/// Splits a logical line at the first unescaped separator and resolves the escapes of both sides.
fn split(line: &str) -> Result<(String, String), &'static str> {
    let mut escaped = false;
    let mut key_end = line.len();
    for (index, c) in line.char_indices() {
        if !escaped && (is_space(c) || c == '=' || c == ':') {
            key_end = index;
            break;
        }
        escaped = c == '\\' && !escaped;
    }
    let rest = line[key_end..].trim_start_matches(is_space);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(is_space);
    Ok((unescape(&line[..key_end])?, unescape(value)?))
}

fn unescape(text: &str) -> Result<String, &'static str> {
    if !text.contains('\\') {
        return Ok(text.to_owned());
    }
    // UTF-16, because `\uXXXX` names one half of a character beyond the basic plane.
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    let mut buffer = [0; 2];
    while let Some(c) = chars.next() {
        let c = if c != '\\' {
            c
        } else {
            match chars.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\x0c',
                Some('u') => {
                    units.push(unicode_escape(&mut chars)?);
                    continue;
                }
                Some(other) => other,
                None => break,
            }
        };
        units.extend_from_slice(c.encode_utf16(&mut buffer));
    }
    String::from_utf16(&units).map_err(|_| "a \\u escape names half a character")
}

fn unicode_escape(chars: &mut std::str::Chars<'_>) -> Result<u16, &'static str> {
    let mut unit: u16 = 0;
    for _ in 0..4 {
        let digit = chars.next().and_then(|c| c.to_digit(16));
        let digit = digit.ok_or("\\u must be followed by four hexadecimal digits")?;
        unit = (unit << 4) | u16::try_from(digit).unwrap_or_default();
    }
    Ok(unit)
}

#[cfg(test)]
mod tests;
