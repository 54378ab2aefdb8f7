//! What can be wrong with bytes from the wire, or with a message that is to go there.

/// Why a message could not be read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The frame ends before the value does.
    #[error("{needed} bytes expected, {left} left")]
    Truncated {
        /// Bytes that the value takes.
        needed: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// A length below -1, or -1 where null has no meaning.
    #[error("length {0} is not possible")]
    BadLength(i32),
    /// A varint of more than 32 bits.
    #[error("a varint has more than 32 bits")]
    LongVarint,
    /// A string that is not UTF-8.
    #[error("a string is not UTF-8")]
    NotUtf8,
    /// A string of more than 32,767 bytes.
    #[error("a string of {0} bytes is too long")]
    LongString(usize),
    /// Null in a field that this version does not let be null.
    #[error("null in a field that cannot be null")]
    UnexpectedNull,
    /// More array elements than one request may have.
    #[error("an array of {0} elements is more than a request may have")]
    TooManyElements(usize),
    /// More tagged fields than one struct may have.
    #[error("{0} tagged fields are too many")]
    TooManyTags(u32),
    /// A tagged field whose value is shorter than it says.
    #[error("tagged field {0} has the wrong size")]
    TagSize(u32),
    /// An API key that is not known here.
    #[error("API key {0} is unknown")]
    UnknownApi(i16),
    /// A version of a message that is not known here.
    #[error("{name} has no version {version}")]
    UnknownVersion {
        /// The message.
        name: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// On writing: a field is null that this version does not let be null.
    #[error("{0} cannot be null in this version")]
    MissingField(&'static str),
    /// On writing: a length or a whole frame of more than 2 GiB.
    #[error("{0} bytes or elements are too many to write")]
    TooLong(usize),
}
