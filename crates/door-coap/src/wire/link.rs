//! Links (RFC 6690): what there is here, as clients ask for it.

use std::fmt::Write;

/// Attributes that hold several values with blanks between them (RFC 6690 §4.1).
const LISTS: [&str; 3] = ["rt", "if", "rel"];

/// A resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Link {
    /// Where it is: a path, as URIs have it.
    pub(crate) target: String,
    /// Names and values. One without a value just is there.
    pub(crate) attributes: Vec<(&'static str, Option<String>)>,
}

impl Link {
    pub(crate) fn new(target: String) -> Self {
        Self { target, attributes: Vec::new() }
    }

    /// The same with an attribute.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Option<String>>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    /// Whether it is one that a filter asks for.
    pub(crate) fn matches(&self, filter: &Filter<'_>) -> bool {
        if filter.name == "href" {
            return filter.matches(&self.target);
        }
        let mut named = self.attributes.iter().filter(|(name, _)| *name == filter.name);
        named.any(|(name, value)| {
            let value = value.as_deref().unwrap_or_default();
            if LISTS.contains(name) || *name == "ct" {
                return value.split(' ').any(|one| filter.matches(one));
            }
            filter.matches(value)
        })
    }

    /// Appends it as it is written, behind others if there are any.
    pub(crate) fn put(&self, out: &mut String) {
        if !out.is_empty() {
            out.push(',');
        }
        // Writing to a string does not fail.
        let _ = write!(out, "<{}>", self.target);
        for (name, value) in &self.attributes {
            let _ = write!(out, ";{name}");
            match value {
                None => {}
                // Numbers stand without quotes (RFC 7252 §7.2.1), a list of them does not.
                Some(value) if *name == "ct" && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                    let _ = write!(out, "={value}");
                }
                Some(value) => {
                    out.push_str("=\"");
                    for char in value.chars() {
                        if matches!(char, '"' | '\\') {
                            out.push('\\');
                        }
                        out.push(char);
                    }
                    out.push('"');
                }
            }
        }
    }
}

/// What a client asks for (RFC 6690 §4.1): an attribute, and its value or how that begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Filter<'a> {
    name: &'a str,
    value: &'a str,
    is_prefix: bool,
}

impl<'a> Filter<'a> {
    /// From an argument of a request. `None`: it is none.
    pub(crate) fn parse(query: &'a str) -> Option<Self> {
        let (name, value) = query.split_once('=')?;
        let prefix = value.strip_suffix('*');
        Some(Self { name, value: prefix.unwrap_or(value), is_prefix: prefix.is_some() })
    }

    /// The attribute.
    pub(crate) fn name(&self) -> &'a str {
        self.name
    }

    fn matches(&self, value: &str) -> bool {
        if self.is_prefix { value.starts_with(self.value) } else { value == self.value }
    }
}

/// Appends a segment of a path as URIs have it (RFC 3986 §3.3).
pub(crate) fn put_segment(segment: &[u8], out: &mut String) {
    out.push('/');
    for byte in segment {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(byte);
        if is_plain {
            out.push(char::from(*byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// The segments of an absolute path as URIs have it. `None`: it is none, or a segment is not text.
pub(crate) fn segments(path: &str) -> Option<Vec<String>> {
    let path = path.strip_prefix('/')?;
    if path.contains(['?', '#']) {
        return None;
    }
    path.split('/').map(unescape).collect()
}

fn unescape(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (pair, after) = rest.split_first_chunk::<2>()?;
        let digits = std::str::from_utf8(pair).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sensor() -> Link {
        let title = "a \"quoted\\\" one".to_owned();
        let link = Link::new("/sensors/temp".into()).with("rt", "temperature-c room".to_owned());
        link.with("ct", "50".to_owned()).with("title", title).with("obs", None)
    }

    #[test]
    fn links_are_written_as_the_rfc_has_them() {
        let mut out = String::new();
        sensor().put(&mut out);
        Link::new("/a".into()).with("ct", "0 50".to_owned()).put(&mut out);
        let title = r#"a \"quoted\\\" one"#;
        let wanted = format!(
            "</sensors/temp>;rt=\"temperature-c room\";ct=50;title=\"{title}\";obs,</a>;ct=\"0 50\""
        );
        assert_eq!(out, wanted);
    }

    #[test]
    fn filters_find_what_they_ask_for() {
        let cases = [
            ("rt=temperature-c", true),
            ("rt=room", true),
            ("rt=temp", false),
            ("rt=temp*", true),
            ("rt=*", true),
            ("if=*", false),
            ("href=/sensors/temp", true),
            ("href=/sens*", true),
            ("href=/sens", false),
            ("ct=50", true),
            ("ct=5", false),
            ("obs=", true),
        ];
        for (query, wanted) in cases {
            let filter = Filter::parse(query).expect("a filter");
            assert_eq!(sensor().matches(&filter), wanted, "{query}");
        }
        assert_eq!(Filter::parse("page"), None);
    }

    #[test]
    fn paths_are_written_and_read_back() {
        let all = ["a b/c".as_bytes(), "\u{e4}".as_bytes(), b"", b"100%", b"x,y"];
        let mut out = String::new();
        all.iter().for_each(|segment| put_segment(segment, &mut out));
        assert_eq!(out, "/a%20b%2Fc/%C3%A4//100%25/x,y");
        let read = segments(&out).expect("a path");
        assert!(read.iter().map(String::as_bytes).eq(all));
        for bad in ["a", "", "/%", "/%zz", "/%ff", "/a?b", "coap://x/a"] {
            assert_eq!(segments(bad), None, "{bad}");
        }
    }
}
