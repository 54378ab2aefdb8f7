//! CoAP's wire formats, without I/O: messages in datagrams (RFC 7252 §3), in streams and in WebSockets (RFC 8323 §3),
//! and what is in some of them: block descriptors (RFC 7959), links (RFC 6690), CBOR (RFC 8949).
//!
//! What is read borrows from the message; nothing is copied or allocated. Every length is checked before it is believed.

pub(crate) mod block;
pub(crate) mod cbor;
pub(crate) mod code;
pub(crate) mod datagram;
pub(crate) mod format;
pub(crate) mod frame;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
pub(crate) mod link;
pub(crate) mod number;
pub(crate) mod option;

#[cfg(test)]
mod differential;
#[cfg(test)]
mod tests;

use code::Code;
use option::Options;

/// Why a message cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    /// It ends too early.
    #[error("it ends too early")]
    Short,
    /// It is of another version, whose receiver must be silent about it (RFC 7252 §3).
    #[error("version {0} of the protocol")]
    Version(u8),
    /// The length of a token that is reserved.
    #[error("a token of {0} bytes")]
    Token(u8),
    /// An empty message that is not empty (RFC 7252 §4.1).
    #[error("an empty message with something in it")]
    NotEmpty,
    /// An option that has no form, or a number that there is not.
    #[error("an option that cannot be read")]
    Option,
    /// More options than anybody needs.
    #[error("too many options")]
    TooManyOptions,
    /// A payload marker without a payload (RFC 7252 §3).
    #[error("a payload marker without a payload")]
    NoPayload,
    /// It is longer than messages may be.
    #[error("a message of {0} bytes is too large")]
    TooLarge(usize),
}

/// What tells a response to its request: up to eight bytes that mean something to the client (RFC 7252 §5.3.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Token {
    length: u8,
    bytes: [u8; Token::BYTES_MAX],
}

impl Token {
    pub(crate) const BYTES_MAX: usize = 8;

    /// From its bytes. `None`: there are too many.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        let mut token = Self { length: u8::try_from(bytes.len()).ok()?, ..Self::default() };
        token.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(token)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({:02x?})", self.as_bytes())
    }
}

/// What every transport carries: a code, a token, options and a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) code: Code,
    pub(crate) token: Token,
    pub(crate) options: Options<'a>,
    /// Empty where there is none: the format knows no other empty payload.
    pub(crate) payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads what stands behind the header: token, options, payload.
    fn decode(code: Code, token_length: u8, rest: &'a [u8]) -> Result<Self, WireError> {
        if usize::from(token_length) > Token::BYTES_MAX {
            return Err(WireError::Token(token_length));
        }
        let (token, rest) = rest.split_at_checked(token_length.into()).ok_or(WireError::Short)?;
        let token = Token::new(token).ok_or(WireError::Token(token_length))?;
        let (options, payload) = Options::decode(rest)?;
        Ok(Self { code, token, options, payload })
    }
}

/// As many bytes as a length says. None of these is larger than the address space.
#[inline]
pub(crate) fn to_usize(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
