//! Frames (RFC 6455, section 5.2).

/// Longest payload of a control frame.
pub(super) const CONTROL_BYTES_MAX: usize = 125;

/// Longest head of a frame: two bytes, a length of eight, and the mask.
pub(super) const HEAD_BYTES_MAX: usize = 14;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Kind {
    fn parse(opcode: u8) -> Option<Self> {
        Some(match opcode {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    fn opcode(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The head of a frame from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) is_last: bool,
    pub(super) length: u64,
    pub(super) mask: [u8; 4],
}

impl Head {
    /// Reads a head and how many bytes it takes. None if it is not all there.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, &'static str> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err("a reserved bit is set, but no extension was agreed on");
        }
        let kind = Kind::parse(first & 0x0f).ok_or("a frame of an unknown kind")?;
        let is_last = first & 0x80 != 0;
        if second & 0x80 == 0 {
            return Err("a frame without a mask");
        }
        let (length, taken) = match second & 0x7f {
            126 => match rest.first_chunk::<2>() {
                Some(length) => (u64::from(u16::from_be_bytes(*length)), 2),
                None => return Ok(None),
            },
            127 => match rest.first_chunk::<8>() {
                Some(length) => (u64::from_be_bytes(*length), 8),
                None => return Ok(None),
            },
            short => (u64::from(short), 0),
        };
        if kind.is_control() && (!is_last || length > CONTROL_BYTES_MAX as u64) {
            return Err("a control frame that is long or in pieces");
        }
        let Some(mask) = rest[taken..].first_chunk::<4>() else { return Ok(None) };
        Ok(Some((Self { kind, is_last, length, mask: *mask }, 2 + taken + 4)))
    }
}

/// Takes the mask off bytes that begin at `offset` of their frame's payload.
pub(super) fn unmask(bytes: &mut [u8], mask: [u8; 4], offset: u64) {
    let turn = usize::try_from(offset % 4).unwrap_or(0);
    // Eight at a time, which the compiler makes one operation of.
    let wide: [u8; 8] = std::array::from_fn(|at| mask[(turn + at) % 4]);
    let mut chunks = bytes.chunks_exact_mut(8);
    for chunk in &mut chunks {
        for (byte, mask) in chunk.iter_mut().zip(&wide) {
            *byte ^= mask;
        }
    }
    for (byte, mask) in chunks.into_remainder().iter_mut().zip(&wide) {
        *byte ^= mask;
    }
}

/// Appends a whole frame from the server: not masked, in one piece.
pub(super) fn encode(kind: Kind, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | kind.opcode());
    match payload.len() {
        length @ 0..=125 => out.push(u8::try_from(length).unwrap_or(0)),
        length => match u16::try_from(length) {
            Ok(length) => {
                out.push(126);
                out.extend_from_slice(&length.to_be_bytes());
            }
            Err(_) => {
                out.push(127);
                out.extend_from_slice(&(length as u64).to_be_bytes());
            }
        },
    }
    out.extend_from_slice(payload);
}
