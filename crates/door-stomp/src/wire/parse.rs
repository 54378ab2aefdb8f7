//! What a client sends: a command, headers, a body, a zero byte; and line ends between frames, which are heart-beats. Zero
//! bytes there mean nothing: some clients end a frame twice.

use std::borrow::Cow;

use thiserror::Error;

use super::{Version, escape};

/// What a frame may be at most. RabbitMQ's: 100 headers, 4 MiB of body and more; ours are settings of the door.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Headers of a frame.
    pub(crate) headers_max: usize,
    /// Bytes of the command, and of all headers together.
    pub(crate) head_bytes_max: usize,
    /// Bytes of the body.
    pub(crate) body_bytes_max: usize,
}

/// Why it is no frame. The connection is over then: nobody knows where the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum ParseError {
    /// Neither a command of a client's, nor the beginning of one.
    #[error("unknown command")]
    Command,
    /// A header without a colon, or without a name, or with a zero byte, where clients that it is for would see a frame end.
    #[error("a header line without a name and a colon, or with a zero byte")]
    Header,
    /// An escape that the version does not have.
    #[error("undefined escape sequence")]
    Escape,
    /// More headers than [`Bounds::headers_max`].
    #[error("too many headers")]
    TooManyHeaders,
    /// More than [`Bounds::head_bytes_max`].
    #[error("the headers are too long")]
    HeadTooLong,
    /// More than [`Bounds::body_bytes_max`].
    #[error("the body is too long")]
    BodyTooLong,
    /// `content-length` is no number.
    #[error("content-length is not a number")]
    Length,
    /// No zero byte where the body ends.
    #[error("the frame does not end with a zero byte")]
    End,
}

/// What a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Connect,
    Send,
    Subscribe,
    Unsubscribe,
    Ack,
    Nack,
    Begin,
    Commit,
    Abort,
    Disconnect,
}

impl Command {
    const ALL: [(&'static [u8], Self); 11] = [
        (b"SEND", Self::Send),
        (b"ACK", Self::Ack),
        (b"NACK", Self::Nack),
        (b"BEGIN", Self::Begin),
        (b"COMMIT", Self::Commit),
        (b"ABORT", Self::Abort),
        (b"SUBSCRIBE", Self::Subscribe),
        (b"UNSUBSCRIBE", Self::Unsubscribe),
        (b"CONNECT", Self::Connect),
        (b"STOMP", Self::Connect),
        (b"DISCONNECT", Self::Disconnect),
    ];

    fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, command)| *command)
    }

    /// Whether it could become one.
    fn may_begin(name: &[u8]) -> bool {
        Self::ALL.iter().any(|(known, _)| known.starts_with(name.trim_ascii_end()))
    }
}

/// A frame, as slices of what was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) command: Command,
    pub(crate) headers: Headers<'a>,
    pub(crate) body: &'a [u8],
}

/// The headers of a frame, in order, duplicates included. Every escape is known to be one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Headers<'a> {
    /// Whole lines.
    block: &'a [u8],
    version: Version,
}

impl<'a> Headers<'a> {
    /// Lines that [`super::encode::put_line`] wrote.
    pub(crate) fn kept(block: &'a [u8]) -> Self {
        Self { block, version: Version::V1_2 }
    }

    /// All of them.
    pub(crate) fn iter(self) -> impl Iterator<Item = (Cow<'a, [u8]>, Cow<'a, [u8]>)> {
        let decode = move |text| escape::decode(self.version, text).unwrap_or(Cow::Borrowed(text));
        lines(self.block).filter_map(move |line| {
            let (name, value) = field(self.version, line)?;
            Some((decode(name), decode(value)))
        })
    }

    /// The value of a header; of several of one name the first counts (1.2, "Repeated Header Entries").
    pub(crate) fn get(self, name: &str) -> Option<Cow<'a, [u8]>> {
        let wanted = name.as_bytes();
        self.iter().find(|(name, _)| name.as_ref() == wanted).map(|(_, value)| value)
    }
}

/// What stands at the beginning of what was read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Parsed<'a> {
    /// So many bytes must be there to go on.
    More(usize),
    /// So many bytes between frames: the client is there.
    Beats(usize),
    /// A frame, which took so many bytes.
    Frame(Frame<'a>, usize),
}

/// How far a frame that is not whole was looked at, so that one that comes byte by byte costs no more than its bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Looked {
    /// Bytes of a body without a length that are known to be it.
    body: usize,
}

/// Reads one frame, or the line ends before it. Never looks further than what the bounds allow. `looked` is that of the
/// connection.
///
/// # Errors
/// See [`ParseError`].
pub(crate) fn parse<'a>(
    input: &'a [u8],
    version: Version,
    bounds: &Bounds,
    looked: &mut Looked,
) -> Result<Parsed<'a>, ParseError> {
    let beats = input.iter().take_while(|byte| matches!(byte, b'\n' | b'\r' | 0)).count();
    if beats > 0 {
        return Ok(Parsed::Beats(beats));
    }
    let Some(end) = memchr::memchr(b'\n', input) else {
        let is_sound = Command::may_begin(input);
        return if is_sound { Ok(Parsed::More(input.len() + 1)) } else { Err(ParseError::Command) };
    };
    let command = Command::parse(line(&input[..end])).ok_or(ParseError::Command)?;
    // Nothing is escaped in what agrees on a version (1.1 and 1.2, "Value Encoding").
    let version = if command == Command::Connect { Version::V1_0 } else { version };
    let block = &input[end + 1..];
    let Some((head, rest)) = split_head(block, bounds)? else {
        return Ok(Parsed::More(input.len() + 1));
    };
    let head = Headers { block: &block[..head], version };
    let length = check(head, bounds)?;
    let before = input.len() - block.len() + rest;
    match body(&input[before..], length, bounds, looked.body)? {
        Err(more) => {
            looked.body = if length.is_none() { more - 1 } else { 0 };
            Ok(Parsed::More(before + more))
        }
        Ok(body) => {
            *looked = Looked::default();
            let used = before + body.len() + 1;
            Ok(Parsed::Frame(Frame { command, headers: head, body }, used))
        }
    }
}

/// Where the header lines end, and where the body begins.
fn split_head(block: &[u8], bounds: &Bounds) -> Result<Option<(usize, usize)>, ParseError> {
    let mut at = 0;
    for end in memchr::memchr_iter(b'\n', block) {
        if at > bounds.head_bytes_max {
            break;
        }
        if line(&block[at..end]).is_empty() {
            return Ok(Some((at, end + 1)));
        }
        at = end + 1;
    }
    if block.len() > bounds.head_bytes_max { Err(ParseError::HeadTooLong) } else { Ok(None) }
}

/// Looks at every header once; returns the length of the body, if it is said.
fn check(headers: Headers<'_>, bounds: &Bounds) -> Result<Option<usize>, ParseError> {
    let mut length = None;
    for (number, line) in lines(headers.block).enumerate() {
        if number >= bounds.headers_max {
            return Err(ParseError::TooManyHeaders);
        }
        let (name, value) = field(headers.version, line).ok_or(ParseError::Header)?;
        if memchr::memchr(0, line).is_some() {
            return Err(ParseError::Header);
        }
        for text in [name, value] {
            escape::check(headers.version, text).map_err(|_| ParseError::Escape)?;
        }
        if name == b"content-length" && length.is_none() {
            length = Some(number_of(value).ok_or(ParseError::Length)?);
        }
    }
    Ok(length)
}

/// The body, or how many bytes must be there.
fn body<'a>(
    rest: &'a [u8],
    length: Option<usize>,
    bounds: &Bounds,
    looked: usize,
) -> Result<Result<&'a [u8], usize>, ParseError> {
    if let Some(length) = length {
        if length > bounds.body_bytes_max {
            return Err(ParseError::BodyTooLong);
        }
        return match rest.get(length) {
            None => Ok(Err(length + 1)),
            Some(0) => Ok(Ok(&rest[..length])),
            Some(_) => Err(ParseError::End),
        };
    }
    let known = looked.min(rest.len());
    match memchr::memchr(0, &rest[known..]).map(|end| known + end) {
        Some(end) if end <= bounds.body_bytes_max => Ok(Ok(&rest[..end])),
        None if rest.len() <= bounds.body_bytes_max => Ok(Err(rest.len() + 1)),
        _ => Err(ParseError::BodyTooLong),
    }
}

fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    block
        .split_inclusive(|byte| *byte == b'\n')
        .map(|one| line(one.strip_suffix(b"\n").unwrap_or(one)))
}

/// A line without the carriage return that 1.2 allows and that older clients send as well.
fn line(text: &[u8]) -> &[u8] {
    text.strip_suffix(b"\r").unwrap_or(text)
}

fn field(version: Version, line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let (name, value) = match version {
        Version::V1_0 => (name.trim_ascii(), value.trim_ascii()),
        _ => (name, value),
    };
    (!name.is_empty()).then_some((name, value))
}

fn number_of(text: &[u8]) -> Option<usize> {
    let text = text.trim_ascii();
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}
