//! Who acts: the identity that a login proves, and that access rules speak of.

use std::fmt::{self, Display, Formatter};
use std::sync::{Arc, LazyLock};

/// An identity, such as `User:alice`. Cheap to clone: every connection holds one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal {
    /// What it is; `User` for everybody who logs in.
    pub kind: Arc<str>,
    /// Its name within that kind. May contain anything, colons too.
    pub name: Arc<str>,
}

impl Principal {
    /// The kind of everybody who logs in.
    pub const USER: &str = "User";

    /// A user.
    pub fn user(name: &str) -> Self {
        Self { kind: Self::USER.into(), name: name.into() }
    }

    /// Who has not logged in: `User:ANONYMOUS`, the name that existing rule sets use for it.
    pub fn anonymous() -> Self {
        static ANONYMOUS: LazyLock<Principal> = LazyLock::new(|| Principal::user("ANONYMOUS"));
        ANONYMOUS.clone()
    }

    /// From `kind:name`. `None` without a colon, or with nothing on one of its sides.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once(':')?;
        let complete = !kind.is_empty() && !name.is_empty();
        complete.then(|| Self { kind: kind.into(), name: name.into() })
    }
}

impl Display for Principal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_reads_as_it_is_written() {
        for text in ["User:alice", "User:CN=a,OU=b:c", "Group:*"] {
            assert_eq!(Principal::parse(text).expect("a principal").to_string(), text);
        }
        for text in ["", "alice", ":alice", "User:"] {
            assert_eq!(Principal::parse(text), None, "{text:?}");
        }
        assert_eq!(Principal::anonymous().to_string(), "User:ANONYMOUS");
    }
}
