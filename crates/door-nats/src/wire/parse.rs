//! What a client sends, one operation at a time.

use memchr::memchr;

/// Longest verb with the blank after it, and the line's end: what a line may have besides its
/// fields.
const VERB_BYTES_MAX: usize = "CONNECT \r\n".len();

/// Most digits of a length or a count. What has more is no number that anybody means.
const DIGITS_MAX: usize = 9;

/// An operation, as slices of what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op<'a> {
    /// `CONNECT {json}`.
    Connect(&'a [u8]),
    /// `PUB` or `HPUB`.
    Publish(Publish<'a>),
    /// `SUB subject [queue] sid`.
    Subscribe {
        subject: &'a [u8],
        queue: Option<&'a [u8]>,
        sid: &'a [u8],
    },
    /// `UNSUB sid [max]`; a maximum of nothing is none.
    Unsubscribe {
        sid: &'a [u8],
        max: Option<u64>,
    },
    Ping,
    Pong,
    /// What only a server has reason to send: `+OK`, `INFO`. It means nothing here.
    Nothing,
    /// `-ERR text`: the client gives up.
    Error(&'a [u8]),
}

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Publish<'a> {
    pub(crate) subject: &'a [u8],
    pub(crate) reply: Option<&'a [u8]>,
    /// The header block as it came, with the empty line that ends it; none in a `PUB`.
    pub(crate) headers: Option<&'a [u8]>,
    pub(crate) payload: &'a [u8],
}

/// The control line of a `PUB`, where it was read. Most publishers say the same one again and again, and what is the same
/// needs no second look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    /// With its end.
    bytes: &'a [u8],
    subject: &'a [u8],
    /// Bytes of the payload that it announces.
    size: usize,
}

impl<'a> Line<'a> {
    /// Of a message that takes so many bytes of this buffer. None if it is not a plain one.
    pub(crate) fn of(buffer: &'a [u8], publish: &Publish<'a>, used: usize) -> Option<Self> {
        let Publish { subject, reply: None, headers: None, payload } = *publish else {
            return None;
        };
        let bytes = buffer.get(..used.checked_sub(payload.len() + 2)?)?;
        Some(Self { bytes, subject, size: payload.len() })
    }

    /// The message that a buffer begins with, if its control line is the same and all of it is there, and how many bytes
    /// it takes.
    #[inline]
    pub(crate) fn again(&self, buffer: &'a [u8]) -> Option<(Publish<'a>, usize)> {
        let rest = buffer.strip_prefix(self.bytes)?;
        let (payload, rest) = rest.split_at_checked(self.size)?;
        rest.starts_with(b"\r\n").then_some(())?;
        let publish = Publish { subject: self.subject, reply: None, headers: None, payload };
        Some((publish, self.bytes.len() + self.size + 2))
    }
}

/// What the beginning of a buffer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parsed<'a> {
    /// An operation, and how many bytes it takes.
    Op(Op<'a>, usize),
    /// Not all of one yet: there must be so many bytes at least.
    More(usize),
}

/// Why what a client sent is not understood. The connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParseError {
    /// No verb, or wrong fields, or a payload without its end.
    #[error("Unknown Protocol Operation")]
    Unknown,
    /// A control line is longer than may be.
    #[error("maximum control line exceeded")]
    ControlLine,
    /// A payload is announced that is larger than may be.
    #[error("Maximum Payload Violation")]
    Payload,
}

/// What is too much.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Longest control line, in bytes after the verb.
    pub(crate) control_line_bytes_max: usize,
    /// Largest payload with its headers, in bytes.
    pub(crate) payload_bytes_max: usize,
}

/// Takes the first operation of a buffer apart. It is the same whether the bytes came at once or one
/// by one, and an error shows as soon as it can.
///
/// # Errors
/// See [`ParseError`].
pub(crate) fn parse<'a>(buffer: &'a [u8], bounds: &Bounds) -> Result<Parsed<'a>, ParseError> {
    let Some((verb, at)) = verb(buffer)? else { return Ok(Parsed::More(buffer.len() + 1)) };
    let line_bytes_max = bounds.control_line_bytes_max + VERB_BYTES_MAX;
    let Some(end) = memchr(b'\n', &buffer[at..buffer.len().min(line_bytes_max + 1)]) else {
        if buffer.len() > line_bytes_max {
            return Err(ParseError::ControlLine);
        }
        return Ok(Parsed::More(buffer.len() + 1));
    };
    let line = &buffer[at..at + end];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > bounds.control_line_bytes_max + 1 {
        return Err(ParseError::ControlLine);
    }
    let after = at + end + 1;
    let op = match verb {
        Verb::Pub => return publish(buffer, line, after, bounds),
        Verb::Hpub => return publish_headers(buffer, line, after, bounds),
        Verb::Connect => Op::Connect(trim(line)),
        Verb::Sub => subscribe(line)?,
        Verb::Unsub => unsubscribe(line)?,
        Verb::Ping => Op::Ping,
        Verb::Pong => Op::Pong,
        Verb::Ok | Verb::Info => Op::Nothing,
        Verb::Err => Op::Error(trim(line)),
    };
    Ok(Parsed::Op(op, after))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Pub,
    Hpub,
    Sub,
    Unsub,
    Ping,
    Pong,
    Connect,
    Info,
    Ok,
    Err,
}

/// Each verb in capitals, and whether a blank must follow it.
const VERBS: [(Verb, &[u8], bool); 10] = [
    (Verb::Pub, b"PUB", true),
    (Verb::Hpub, b"HPUB", true),
    (Verb::Sub, b"SUB", true),
    (Verb::Unsub, b"UNSUB", true),
    (Verb::Ping, b"PING", false),
    (Verb::Pong, b"PONG", false),
    (Verb::Connect, b"CONNECT", false),
    (Verb::Info, b"INFO", false),
    (Verb::Ok, b"+OK", false),
    (Verb::Err, b"-ERR", false),
];

/// The verb and where it ends. None if there may be one once there are more bytes.
fn verb(buffer: &[u8]) -> Result<Option<(Verb, usize)>, ParseError> {
    // What nearly every operation is.
    if let [b'P', b'U', b'B', b' ', ..] = buffer {
        return Ok(Some((Verb::Pub, 3)));
    }
    for (verb, name, wants_blank) in VERBS {
        let seen = &buffer[..buffer.len().min(name.len())];
        if !seen.eq_ignore_ascii_case(&name[..seen.len()]) {
            continue;
        }
        return match buffer.get(name.len()) {
            // One is the beginning of none of the others.
            None => Ok(None),
            Some(b' ' | b'\t') => Ok(Some((verb, name.len()))),
            Some(_) if wants_blank => Err(ParseError::Unknown),
            Some(_) => Ok(Some((verb, name.len()))),
        };
    }
    Err(ParseError::Unknown)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trim(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|byte| !is_blank(*byte)).unwrap_or(line.len());
    &line[start..]
}

/// The fields of a line: `N` at most.
struct Fields<'a, const N: usize> {
    all: [&'a [u8]; N],
    count: usize,
}

impl<'a, const N: usize> Fields<'a, N> {
    fn of(line: &'a [u8]) -> Result<Self, ParseError> {
        let mut fields = Self { all: [&[]; N], count: 0 };
        let mut start = None;
        for (at, byte) in line.iter().enumerate() {
            match (start, is_blank(*byte)) {
                (None, false) => start = Some(at),
                (Some(from), true) => {
                    fields.push(&line[from..at])?;
                    start = None;
                }
                _ => {}
            }
        }
        if let Some(from) = start {
            fields.push(&line[from..])?;
        }
        Ok(fields)
    }

    fn push(&mut self, field: &'a [u8]) -> Result<(), ParseError> {
        let place = self.all.get_mut(self.count).ok_or(ParseError::Unknown)?;
        *place = field;
        self.count += 1;
        Ok(())
    }

    fn as_slice(&self) -> &[&'a [u8]] {
        &self.all[..self.count]
    }
}

fn number(digits: &[u8]) -> Result<usize, ParseError> {
    if digits.is_empty() || digits.len() > DIGITS_MAX {
        return Err(ParseError::Unknown);
    }
    let mut number = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(ParseError::Unknown);
        }
        number = number * 10 + usize::from(digit - b'0');
    }
    Ok(number)
}

/// A length of a payload. One with too many digits for a number is too large.
fn length(digits: &[u8], bounds: &Bounds) -> Result<usize, ParseError> {
    if digits.len() > DIGITS_MAX && digits.iter().all(u8::is_ascii_digit) {
        return Err(ParseError::Payload);
    }
    let length = number(digits)?;
    if length > bounds.payload_bytes_max {
        return Err(ParseError::Payload);
    }
    Ok(length)
}

fn publish<'a>(
    buffer: &'a [u8],
    line: &'a [u8],
    at: usize,
    bounds: &Bounds,
) -> Result<Parsed<'a>, ParseError> {
    let fields = Fields::<3>::of(line)?;
    let (subject, reply, size) = match *fields.as_slice() {
        [subject, size] => (subject, None, size),
        [subject, reply, size] => (subject, Some(reply), size),
        _ => return Err(ParseError::Unknown),
    };
    let size = length(size, bounds)?;
    let Some(payload) = payload(buffer, at, size)? else { return Ok(Parsed::More(at + size + 2)) };
    let publish = Publish { subject, reply, headers: None, payload };
    Ok(Parsed::Op(Op::Publish(publish), at + size + 2))
}

fn publish_headers<'a>(
    buffer: &'a [u8],
    line: &'a [u8],
    at: usize,
    bounds: &Bounds,
) -> Result<Parsed<'a>, ParseError> {
    let fields = Fields::<4>::of(line)?;
    let (subject, reply, head, size) = match *fields.as_slice() {
        [subject, head, size] => (subject, None, head, size),
        [subject, reply, head, size] => (subject, Some(reply), head, size),
        _ => return Err(ParseError::Unknown),
    };
    let (size, head) = (length(size, bounds)?, number(head)?);
    if head > size {
        return Err(ParseError::Unknown);
    }
    let Some(payload) = payload(buffer, at, size)? else { return Ok(Parsed::More(at + size + 2)) };
    let (headers, payload) = payload.split_at(head);
    let publish = Publish { subject, reply, headers: Some(headers), payload };
    Ok(Parsed::Op(Op::Publish(publish), at + size + 2))
}

/// The payload at `at`, once it is there with the end of line that must follow it.
fn payload(buffer: &[u8], at: usize, size: usize) -> Result<Option<&[u8]>, ParseError> {
    let end = at + size;
    match (buffer.get(end), buffer.get(end + 1)) {
        (Some(b'\r'), Some(b'\n')) => Ok(Some(&buffer[at..end])),
        (None, _) | (Some(b'\r'), None) => Ok(None),
        _ => Err(ParseError::Unknown),
    }
}

fn subscribe(line: &[u8]) -> Result<Op<'_>, ParseError> {
    let fields = Fields::<3>::of(line)?;
    match *fields.as_slice() {
        [subject, sid] => Ok(Op::Subscribe { subject, queue: None, sid }),
        [subject, queue, sid] => Ok(Op::Subscribe { subject, queue: Some(queue), sid }),
        _ => Err(ParseError::Unknown),
    }
}

fn unsubscribe(line: &[u8]) -> Result<Op<'_>, ParseError> {
    let fields = Fields::<2>::of(line)?;
    match *fields.as_slice() {
        [sid] => Ok(Op::Unsubscribe { sid, max: None }),
        // What is no number is taken for none, as clients have come to rely on.
        [sid, max] => {
            let max = number(max).ok().and_then(|max| u64::try_from(max).ok());
            Ok(Op::Unsubscribe { sid, max: max.filter(|max| *max > 0) })
        }
        _ => Err(ParseError::Unknown),
    }
}
