//! The ways of logging in, by their registered names.

use std::fmt::{self, Display, Formatter};

use base::PasswordHash;

/// A way of logging in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// Name and password as they are (RFC 4616): over TLS only, or among friends.
    Plain,
    /// A proof that one knows the password (RFC 5802, RFC 7677).
    ScramSha256,
    /// The same with SHA-512.
    ScramSha512,
    /// A token of an identity provider's (RFC 7628).
    OauthBearer,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Plain, Self::ScramSha256, Self::ScramSha512, Self::OauthBearer];

    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OauthBearer => "OAUTHBEARER",
        }
    }

    /// The mechanism of this name, in capitals.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }

    /// The hash of a mechanism that proves a password.
    pub fn hash(self) -> Option<PasswordHash> {
        match self {
            Self::ScramSha256 => Some(PasswordHash::Sha256),
            Self::ScramSha512 => Some(PasswordHash::Sha512),
            Self::Plain | Self::OauthBearer => None,
        }
    }
}

impl Display for Mechanism {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
