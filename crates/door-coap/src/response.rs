//! A response that is to be sent.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;

use crate::wire::block::Block;
use crate::wire::code::Code;
use crate::wire::number;
use crate::wire::option::Writer;

/// Names a representation: another one has another, but for chance (RFC 7252 §5.10.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Etag([u8; 8]);

impl Etag {
    /// That of a value in a format. The same on every broker, as long as it is the same program.
    pub(crate) fn of(format: Option<u16>, value: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        (format, value).hash(&mut hasher);
        Self(hasher.finish().to_be_bytes())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A response, whole; what of it is sent in one message is decided later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) code: Code,
    pub(crate) etag: Option<Etag>,
    pub(crate) observe: Option<u32>,
    /// Segments of where something was created.
    pub(crate) location: Vec<String>,
    pub(crate) format: Option<u16>,
    /// Seconds; 60 if it does not say.
    pub(crate) max_age: Option<u32>,
    pub(crate) block2: Option<Block>,
    pub(crate) block1: Option<Block>,
    pub(crate) size2: Option<u32>,
    pub(crate) size1: Option<u32>,
    pub(crate) echo: Option<Bytes>,
    pub(crate) payload: Bytes,
}

impl Response {
    /// One with nothing in it.
    pub(crate) fn new(code: Code) -> Self {
        Self {
            code,
            etag: None,
            observe: None,
            location: Vec::new(),
            format: None,
            max_age: None,
            block2: None,
            block1: None,
            size2: None,
            size1: None,
            echo: None,
            payload: Bytes::new(),
        }
    }

    /// One with a representation.
    pub(crate) fn content(format: Option<u16>, payload: Bytes) -> Self {
        let etag = Some(Etag::of(format, &payload));
        Self { format, payload, etag, ..Self::new(Code::CONTENT) }
    }

    /// One that says what is wrong, to people (RFC 7252 §5.5.2).
    pub(crate) fn refusal(code: Code, why: String) -> Box<Self> {
        Box::new(Self { payload: why.into(), ..Self::new(code) })
    }

    /// Options and payload.
    pub(crate) fn body(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32 + self.payload.len());
        self.write(&mut out);
        out
    }

    /// Appends options and payload.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut writer = Writer::new(out);
        if let Some(etag) = &self.etag {
            writer.option(number::ETAG, etag.as_bytes());
        }
        let mut number = |number, value: Option<u32>| {
            if let Some(value) = value {
                writer.uint(number, value);
            }
        };
        number(number::OBSERVE, self.observe);
        for segment in &self.location {
            writer.option(number::LOCATION_PATH, segment.as_bytes());
        }
        let mut number = |number, value: Option<u32>| {
            if let Some(value) = value {
                writer.uint(number, value);
            }
        };
        number(number::CONTENT_FORMAT, self.format.map(u32::from));
        number(number::MAX_AGE, self.max_age);
        number(number::BLOCK2, self.block2.map(Block::value));
        number(number::BLOCK1, self.block1.map(Block::value));
        number(number::SIZE2, self.size2);
        number(number::SIZE1, self.size1);
        if let Some(echo) = &self.echo {
            writer.option(number::ECHO, echo);
        }
        writer.payload(&self.payload);
    }
}
