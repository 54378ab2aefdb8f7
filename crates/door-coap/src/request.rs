//! A request that was read: its options checked, its numbers at hand.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;

use crate::limits::OBSERVED_BYTES_MAX;
use crate::response::{Etag, Response};
use crate::wire::block::Block;
use crate::wire::code::Code;
use crate::wire::number::{self, is_critical, shape};
use crate::wire::option::{Options, uint};

/// A request, whatever way it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Code,
    /// The options as they came.
    options: Bytes,
    pub(crate) payload: Bytes,
    pub(crate) fields: Fields,
}

/// What a request asks for, borrowed from it: its options, and those of them that are numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) options: Options<'a>,
    pub(crate) fields: Fields,
}

impl<'a> Head<'a> {
    /// Reads the options of a request.
    ///
    /// # Errors
    /// See [`Request::new`].
    pub(crate) fn new(options: Options<'a>) -> Result<Self, Box<Response>> {
        let mut last = None;
        let mut fields = Fields::default();
        for (number, value) in options.iter() {
            let shape = shape(number);
            let is_good = shape.is_some_and(|shape| {
                shape.lengths.contains(&value.len()) && (shape.repeats || last != Some(number))
            });
            last = Some(number);
            if is_good && is_text(number, value) {
                fields.take(number, value)?;
            } else if is_critical(number) {
                return Err(Response::refusal(Code::BAD_OPTION, format!("option {number}")));
            }
        }
        Ok(Self { options, fields })
    }

    /// The segments of its path.
    pub(crate) fn path(self) -> impl Iterator<Item = &'a str> {
        self.options.all(number::URI_PATH).filter_map(|value| std::str::from_utf8(value).ok())
    }

    /// Whether its client has this representation already (RFC 7252 §5.10.6.2).
    pub(crate) fn has_etag(self, etag: &Etag) -> bool {
        self.fields.etag && self.options.all(number::ETAG).any(|value| value == etag.as_bytes())
    }
}

/// The options that are numbers, and which others there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fields {
    pub(crate) observe: Option<u32>,
    pub(crate) content_format: Option<u16>,
    pub(crate) accept: Option<u16>,
    pub(crate) max_age: Option<u32>,
    pub(crate) block1: Option<Block>,
    pub(crate) block2: Option<Block>,
    pub(crate) size1: Option<u32>,
    /// The client asks how much there is (RFC 7959 §4).
    pub(crate) wants_size: bool,
    /// Classes of responses that the client does not want (RFC 7967 §2.1).
    pub(crate) no_response: u8,
    pub(crate) if_none_match: bool,
    pub(crate) if_match: bool,
    pub(crate) etag: bool,
    pub(crate) echo: bool,
}

impl Request {
    /// Reads the options of a request.
    ///
    /// # Errors
    /// The response for one that cannot be served: 4.02 for a critical option that is not known, may not be repeated
    /// or has a wrong length (RFC 7252 §5.4), 4.05 for a method that there is not, 5.05 for a proxy's.
    pub(crate) fn new(method: Code, options: Bytes, payload: Bytes) -> Result<Self, Box<Response>> {
        let fields = Head::new(Options::checked(&options))?.fields;
        let is_known = (Code::GET.0..=Code::IPATCH.0).contains(&method.0);
        match is_known {
            true => Ok(Self { method, options, payload, fields }),
            false => {
                Err(Response::refusal(Code::METHOD_NOT_ALLOWED, format!("no method {method:?}")))
            }
        }
    }

    fn options(&self) -> Options<'_> {
        Options::checked(&self.options)
    }

    /// What it asks for.
    pub(crate) fn head(&self) -> Head<'_> {
        Head { options: self.options(), fields: self.fields }
    }

    /// The segments of its path.
    pub(crate) fn path(&self) -> impl Iterator<Item = &str> {
        self.head().path()
    }

    /// Its arguments.
    pub(crate) fn queries(&self) -> impl Iterator<Item = &str> {
        self.options().all(number::URI_QUERY).filter_map(|value| std::str::from_utf8(value).ok())
    }

    /// The value of its Echo option.
    pub(crate) fn echo(&self) -> Option<&[u8]> {
        self.options().all(number::ECHO).next()
    }

    /// Whether what it asks for may be done to what is there (RFC 7252 §5.10.8).
    pub(crate) fn allows(&self, current: Option<&Etag>) -> bool {
        if self.fields.if_none_match && current.is_some() {
            return false;
        }
        if !self.fields.if_match {
            return true;
        }
        let Some(current) = current else { return false };
        // An empty one is: whatever is there.
        let mut wanted = self.options().all(number::IF_MATCH);
        wanted.any(|value| value.is_empty() || value == current.as_bytes())
    }

    /// Whether that depends on what is there.
    pub(crate) fn is_conditional(&self) -> bool {
        self.fields.if_match || self.fields.if_none_match
    }

    /// The same without a payload, as it can be kept for long. `None`: it has too much in it.
    pub(crate) fn kept(&self) -> Option<Self> {
        let options = (self.options.len() <= OBSERVED_BYTES_MAX)
            .then(|| Bytes::copy_from_slice(&self.options))?;
        Some(Self { options, payload: Bytes::new(), ..*self })
    }

    /// What is the same for requests of one client for pieces of the same body: the method, and all options but those
    /// that say which piece, and what need not be the same (RFC 7959 §2.4 and 2.5, RFC 9175 §3.3).
    pub(crate) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.method.0.hash(&mut hasher);
        for (number, value) in self.options().iter() {
            let is_apart = matches!(
                number,
                number::BLOCK1
                    | number::BLOCK2
                    | number::OBSERVE
                    | number::ETAG
                    | number::IF_MATCH
                    | number::IF_NONE_MATCH
                    | number::NO_RESPONSE
            );
            // NoCacheKey (RFC 7252 §5.4.6): sizes, Echo.
            if !is_apart && number & 0x1e != 0x1c {
                (number, value).hash(&mut hasher);
            }
        }
        hasher.finish()
    }
}

/// Whether an option that must be text is.
fn is_text(number: u16, value: &[u8]) -> bool {
    let wants = matches!(number, number::URI_PATH | number::URI_QUERY | number::URI_HOST);
    !wants || std::str::from_utf8(value).is_ok()
}

impl Fields {
    fn take(&mut self, number: u16, value: &[u8]) -> Result<(), Box<Response>> {
        let long = uint(value).unwrap_or(0);
        let short = u16::try_from(long).ok();
        match number {
            number::IF_MATCH => self.if_match = true,
            number::ETAG => self.etag = true,
            number::IF_NONE_MATCH => self.if_none_match = true,
            number::OBSERVE => self.observe = Some(long),
            number::CONTENT_FORMAT => self.content_format = short,
            number::ACCEPT => self.accept = short,
            number::MAX_AGE => self.max_age = Some(long),
            number::BLOCK1 => self.block1 = Some(Block::from_value(long)),
            number::BLOCK2 => self.block2 = Some(Block::from_value(long)),
            number::SIZE1 => self.size1 = Some(long),
            number::SIZE2 => self.wants_size = true,
            number::NO_RESPONSE => self.no_response = u8::try_from(long).unwrap_or(0),
            number::ECHO => self.echo = true,
            // RFC 8768 §3.
            number::HOP_LIMIT if long == 0 => {
                return Err(Response::refusal(Code::BAD_REQUEST, "a hop limit of zero".into()));
            }
            number::PROXY_URI | number::PROXY_SCHEME => {
                return Err(Response::refusal(Code::NO_PROXYING, "this is no proxy".into()));
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether it is all about one message and its answer: nothing to observe, no pieces, no answer that is not wanted, and
    /// nothing that shows where its client is.
    pub(crate) fn is_plain(&self) -> bool {
        let plain = Self {
            content_format: self.content_format,
            accept: self.accept,
            max_age: self.max_age,
            if_none_match: self.if_none_match,
            if_match: self.if_match,
            etag: self.etag,
            ..Self::default()
        };
        *self == plain
    }

    /// Whether the client wants a response of this class (RFC 7967 §2.1).
    pub(crate) fn wants(&self, code: Code) -> bool {
        let class = code.class();
        class == 0 || self.no_response >> (class - 1) & 1 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::option::Writer;

    pub(crate) fn request(
        method: Code,
        options: &[(u16, &[u8])],
    ) -> Result<Request, Box<Response>> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        options.iter().for_each(|(number, value)| writer.option(*number, value));
        Request::new(method, bytes.into(), Bytes::new())
    }

    #[test]
    fn critical_options_that_are_wrong_are_refused_and_others_left_out() {
        let refused =
            |options: &[(u16, &[u8])]| request(Code::GET, options).expect_err("refused").code;
        // OSCORE, which is not spoken here; one of no meaning; too long; twice; not text.
        let twice: &[(u16, &[u8])] = &[(number::ACCEPT, &[0]), (number::ACCEPT, &[1])];
        for options in [
            &[(9, &b""[..])][..],
            &[(65_001, b"")],
            &[(number::ACCEPT, &[0, 0, 0])],
            twice,
            &[(number::URI_PATH, &[0xff])],
            &[(number::URI_HOST, b"")],
        ] {
            assert_eq!(refused(options), Code::BAD_OPTION, "{options:?}");
        }
        assert_eq!(refused(&[(number::PROXY_URI, b"coap://a")]), Code::NO_PROXYING);
        assert_eq!(refused(&[(number::HOP_LIMIT, &[0])]), Code::BAD_REQUEST);
        let unknown = request(Code::new(0, 8), &[]).expect_err("refused");
        assert_eq!(unknown.code, Code::METHOD_NOT_ALLOWED);
        let ignored: &[(u16, &[u8])] =
            &[(number::OBSERVE, &[0; 4]), (number::CONTENT_FORMAT, &[50]), (65_000, b"what?")];
        let read = request(Code::GET, ignored).expect("a request");
        assert_eq!((read.fields.observe, read.fields.content_format), (None, Some(50)));
        let twice: &[(u16, &[u8])] = &[(number::MAX_AGE, &[1]), (number::MAX_AGE, &[2])];
        let read = request(Code::GET, twice).expect("a request");
        assert_eq!(read.fields.max_age, Some(1), "the second is as if it were not known");
    }

    #[test]
    fn pieces_of_one_body_are_known_by_what_they_have_in_common() {
        let base: &[(u16, &[u8])] = &[(number::URI_PATH, b"a"), (number::BLOCK1, &[0x0e])];
        let next: &[(u16, &[u8])] =
            &[(number::URI_PATH, b"a"), (number::BLOCK1, &[0x16]), (number::SIZE1, &[9])];
        let other: &[(u16, &[u8])] = &[(number::URI_PATH, b"b"), (number::BLOCK1, &[0x16])];
        let tagged: &[(u16, &[u8])] =
            &[(number::URI_PATH, b"a"), (number::BLOCK1, &[0x16]), (number::REQUEST_TAG, b"t")];
        let digest = |options| request(Code::PUT, options).expect("a request").digest();
        assert_eq!(digest(base), digest(next));
        assert_ne!(digest(base), digest(other));
        assert_ne!(digest(base), digest(tagged));
    }

    #[test]
    fn conditions_are_as_the_rfc_has_them() {
        let etag = Etag::of(Some(0), b"x");
        let with =
            |number, value: &[u8]| request(Code::PUT, &[(number, value)]).expect("a request");
        assert!(with(number::IF_MATCH, b"").allows(Some(&etag)));
        assert!(!with(number::IF_MATCH, b"").allows(None));
        assert!(with(number::IF_MATCH, etag.as_bytes()).allows(Some(&etag)));
        assert!(!with(number::IF_MATCH, b"other").allows(Some(&etag)));
        assert!(with(number::IF_NONE_MATCH, b"").allows(None));
        assert!(!with(number::IF_NONE_MATCH, b"").allows(Some(&etag)));
        let read = with(number::NO_RESPONSE, &[0b10]).fields;
        assert!(!read.wants(Code::CHANGED) && read.wants(Code::NOT_FOUND));
        let read = with(number::NO_RESPONSE, &[26]).fields;
        assert!(!read.wants(Code::CHANGED) && !read.wants(Code::NOT_FOUND));
        assert!(!read.wants(Code::UNAVAILABLE));
    }
}
