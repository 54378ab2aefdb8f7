//! Frames (§4.2.3): what everything on a connection is cut into, so that channels share it.

use super::method::Arguments;
use super::properties::ContentHeader;
use super::writer::{Put, Writer};

/// Bytes of a frame beside its payload: seven before it, one after it.
pub const OVERHEAD: usize = HEADER_BYTES + 1;

/// Bytes before the payload.
pub const HEADER_BYTES: usize = 7;

/// What every frame ends with (§4.2.3): where it is not, somebody lost count.
pub const END: u8 = 0xce;

/// Smallest frame that every peer takes (`frame-min-size`).
pub const MIN_BYTES: u32 = 4096;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A method.
    Method = 1,
    /// What a message has besides its payload.
    Header = 2,
    /// A part of a payload.
    Body = 3,
    /// A sign of life.
    Heartbeat = 8,
}

/// A frame, where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub kind: Kind,
    /// The channel that it belongs to; zero is the connection itself.
    pub channel: u16,
    /// Between the header and the end.
    pub payload: &'a [u8],
}

/// What bytes begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A frame, of so many bytes with all that belongs to it.
    Frame(Frame<'a>, usize),
    /// Part of one: so many bytes must be there to go on.
    More(usize),
}

/// What is no frame. All of them end the connection (501).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Nobody knows this kind.
    #[error("unknown frame type {0}")]
    Kind(u8),
    /// It is larger than was agreed.
    #[error("a payload of {size} bytes is larger than {max}")]
    TooLarge {
        /// Of the payload, as announced.
        size: u32,
        /// That it may be.
        max: u32,
    },
    /// It does not end where it said.
    #[error("invalid frame end marker {0}")]
    End(u8),
}

/// A frame that breaks the rules, and what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadFrame<'a> {
    /// Its type, as it says.
    pub kind: u8,
    /// Its channel, as it says.
    pub channel: u16,
    /// As much of its payload as is there.
    pub payload: &'a [u8],
    /// What is wrong.
    pub error: FrameError,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        [Self::Method, Self::Header, Self::Body, Self::Heartbeat]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// Reads the frame that `bytes` begin with, of `frame_max` bytes at most with its overhead. What is too large is
/// refused as soon as it says so: nobody waits for it to arrive.
///
/// # Errors
/// It is no frame.
pub fn parse(bytes: &[u8], frame_max: u32) -> Result<Parsed<'_>, BadFrame<'_>> {
    let Some(([kind, channel @ .., a, b, c, d], rest)) = bytes.split_first_chunk::<HEADER_BYTES>()
    else {
        // A type that nobody knows is no reason to wait for more of it.
        return match bytes.first() {
            Some(byte) if Kind::of(*byte).is_none() => {
                let error = FrameError::Kind(*byte);
                Err(BadFrame { kind: *byte, channel: 0, payload: &[], error })
            }
            _ => Ok(Parsed::More(HEADER_BYTES)),
        };
    };
    let channel = u16::from_be_bytes(*channel);
    let size = u32::from_be_bytes([*a, *b, *c, *d]);
    let max = frame_max.saturating_sub(u32::try_from(OVERHEAD).unwrap_or(0));
    let length = usize::try_from(size).unwrap_or(usize::MAX);
    let bad = |error| {
        let payload = rest.get(..length).unwrap_or(rest);
        BadFrame { kind: *kind, channel, payload, error }
    };
    let known = Kind::of(*kind).ok_or_else(|| bad(FrameError::Kind(*kind)))?;
    if size > max {
        return Err(bad(FrameError::TooLarge { size, max }));
    }
    let Some((payload, after)) = rest.split_at_checked(length) else {
        return Ok(Parsed::More(length + OVERHEAD));
    };
    match after.first() {
        Some(&END) => Ok(Parsed::Frame(Frame { kind: known, channel, payload }, length + OVERHEAD)),
        Some(other) => Err(bad(FrameError::End(*other))),
        None => Ok(Parsed::More(length + OVERHEAD)),
    }
}

/// Appends a frame whose payload `write` appends.
fn put(kind: Kind, channel: u16, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind as u8);
    out.extend_from_slice(&channel.to_be_bytes());
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let size = u32::try_from(out.len() - at - 4).unwrap_or(u32::MAX);
    if let Some(length) = out.get_mut(at..at + 4) {
        length.copy_from_slice(&size.to_be_bytes());
    }
    out.push(END);
}

/// Appends a method.
pub fn put_method<M: Arguments>(channel: u16, method: &M, out: &mut Vec<u8>) {
    put(Kind::Method, channel, out, |out| {
        let mut writer = Writer::new(out);
        M::CLASS.put(&mut writer);
        M::METHOD.put(&mut writer);
        method.put(&mut writer);
    });
}

/// Appends a message: the method that brings it, its header and its payload, in frames of `frame_max` bytes at most.
pub fn put_content<M: Arguments>(
    (channel, frame_max): (u16, u32),
    method: &M,
    properties: &[u8],
    payload: &[u8],
    out: &mut Vec<u8>,
) {
    put_method(channel, method, out);
    let header = ContentHeader {
        class: M::CLASS,
        body_bytes: u64::try_from(payload.len()).unwrap_or(u64::MAX),
        properties,
    };
    put(Kind::Header, channel, out, |out| header.put(&mut Writer::new(out)));
    let room = usize::try_from(frame_max).unwrap_or(usize::MAX).saturating_sub(OVERHEAD);
    for part in payload.chunks(room.max(1)) {
        put(Kind::Body, channel, out, |out| out.extend_from_slice(part));
    }
}

/// Most bytes that [`put_content`] appends.
pub fn content_bytes_max(frame_max: u32, properties: &[u8], payload: &[u8]) -> usize {
    /// Of the arguments of a method with five texts.
    const METHOD_BYTES: usize = 5 * 256 + 32;
    let room = usize::try_from(frame_max).unwrap_or(usize::MAX).saturating_sub(OVERHEAD);
    let frames = 3 + payload.len() / room.max(1);
    METHOD_BYTES + 14 + properties.len() + payload.len() + frames * OVERHEAD
}

/// Appends a sign of life.
pub fn put_heartbeat(out: &mut Vec<u8>) {
    put(Kind::Heartbeat, 0, out, |_| {});
}
