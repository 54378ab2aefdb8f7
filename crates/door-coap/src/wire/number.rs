//! Options and what they may be: the registry of RFC 7252 §5.10 and of those that added to it.

/// Opaque, 0 to 8 bytes: only if the resource has this entity tag.
pub(crate) const IF_MATCH: u16 = 1;
/// Text, 1 to 255 bytes.
pub(crate) const URI_HOST: u16 = 3;
/// Opaque, 1 to 8 bytes: names a representation.
pub(crate) const ETAG: u16 = 4;
/// Empty: only if there is no such resource.
pub(crate) const IF_NONE_MATCH: u16 = 5;
/// A number of up to 3 bytes (RFC 7641 §2).
pub(crate) const OBSERVE: u16 = 6;
/// A number of up to 2 bytes.
pub(crate) const URI_PORT: u16 = 7;
/// Text of up to 255 bytes: a segment of where something was created.
pub(crate) const LOCATION_PATH: u16 = 8;
/// Text of up to 255 bytes: a segment of the path.
pub(crate) const URI_PATH: u16 = 11;
/// A number of up to 2 bytes.
pub(crate) const CONTENT_FORMAT: u16 = 12;
/// Seconds, up to 4 bytes.
pub(crate) const MAX_AGE: u16 = 14;
/// Text of up to 255 bytes: an argument.
pub(crate) const URI_QUERY: u16 = 15;
/// One byte, not zero (RFC 8768).
pub(crate) const HOP_LIMIT: u16 = 16;
/// A number of up to 2 bytes.
pub(crate) const ACCEPT: u16 = 17;
/// Up to 3 bytes (RFC 7959 §2.1).
pub(crate) const BLOCK2: u16 = 23;
/// Up to 3 bytes (RFC 7959 §2.1).
pub(crate) const BLOCK1: u16 = 27;
/// A number of up to 4 bytes (RFC 7959 §4).
pub(crate) const SIZE2: u16 = 28;
/// Text of 1 to 1034 bytes.
pub(crate) const PROXY_URI: u16 = 35;
/// Text of 1 to 255 bytes.
pub(crate) const PROXY_SCHEME: u16 = 39;
/// A number of up to 4 bytes (RFC 7959 §4).
pub(crate) const SIZE1: u16 = 60;
/// Opaque, 1 to 40 bytes (RFC 9175 §2.2).
pub(crate) const ECHO: u16 = 252;
/// Classes of responses that are not wanted, up to 1 byte (RFC 7967 §2).
pub(crate) const NO_RESPONSE: u16 = 258;
/// Opaque, 0 to 8 bytes (RFC 9175 §3.2).
pub(crate) const REQUEST_TAG: u16 = 292;

/// Options of signals; their numbers mean something for one code only (RFC 8323 §5).
pub(crate) mod signal {
    /// CSM: the largest message that its sender takes.
    pub(crate) const MAX_MESSAGE_SIZE: u16 = 2;
    /// CSM: its sender knows block-wise transfers with large blocks.
    pub(crate) const BLOCK_WISE: u16 = 4;
    /// Ping and Pong: what came before was handled.
    pub(crate) const CUSTODY: u16 = 2;
}

/// Whether whoever does not know an option must refuse its message (RFC 7252 §5.4.1).
pub(crate) const fn is_critical(number: u16) -> bool {
    number & 1 == 1
}

/// What an option of a request may be. `None`: this door does not know it.
pub(crate) const fn shape(number: u16) -> Option<Shape> {
    let (lengths, repeats) = match number {
        IF_MATCH | REQUEST_TAG => (0..=8, true),
        ETAG => (1..=8, true),
        URI_PATH | URI_QUERY => (0..=255, true),
        URI_HOST | PROXY_SCHEME => (1..=255, false),
        IF_NONE_MATCH => (0..=0, false),
        OBSERVE | BLOCK1 | BLOCK2 => (0..=3, false),
        URI_PORT | CONTENT_FORMAT | ACCEPT => (0..=2, false),
        MAX_AGE | SIZE1 | SIZE2 => (0..=4, false),
        HOP_LIMIT => (1..=1, false),
        PROXY_URI => (1..=1034, false),
        ECHO => (1..=40, false),
        NO_RESPONSE => (0..=1, false),
        _ => return None,
    };
    Some(Shape { lengths, repeats })
}

/// How long an option may be, and whether it may come more than once.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) lengths: std::ops::RangeInclusive<usize>,
    pub(crate) repeats: bool,
}
