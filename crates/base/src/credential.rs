//! What is kept of a user's password: salted, and of no use to whoever steals it from here.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

/// The hash that a credential was made with (RFC 5802, RFC 7677).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PasswordHash {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl PasswordHash {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// Bytes of its output.
    pub fn bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// A salted credential as RFC 5802 has it: enough to check a login, not enough to make one.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// How often the password was hashed.
    pub iterations: u32,
    /// The salt.
    pub salt: Arc<[u8]>,
    /// What a client's proof is checked with.
    pub stored_key: Arc<[u8]>,
    /// What proves to the client that it talks to who knows it.
    pub server_key: Arc<[u8]>,
}

/// The keys belong into no log.
impl Debug for Credential {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}
