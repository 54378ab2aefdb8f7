//! What a caller should do about an error, whatever its details.

/// The kind of a failure, said in terms of what the caller must do. Every error type of the core
/// has a `kind()`; doors map kinds they have no better word for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong and will be wrong again: do not retry.
    Invalid,
    /// What it names does not exist (yet).
    NotFound,
    /// Somebody else was first, or holds it: read again, then decide.
    Conflict,
    /// Not now: retry later, the request was not carried out.
    Unavailable,
    /// Stored data cannot be read back as it was written: an operator must look.
    Corrupt,
    /// The disk, or another device, failed: an operator must look.
    Storage,
}
