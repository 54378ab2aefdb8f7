//! Frames, of all three versions of STOMP, without I/O: `parse.rs` reads what clients send, `encode.rs` writes what the
//! broker sends, `escape.rs` has what the versions escape and how.

pub(crate) mod encode;
mod escape;
pub(crate) mod parse;

#[cfg(test)]
mod tests;

/// A version of the protocol. Before `CONNECTED` nobody has agreed on one; frames are then read as 1.2 has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    /// Headers are what they are: nothing is escaped, blanks around names and values mean nothing.
    V1_0,
    /// Escapes `\n`, `\c`, `\\`.
    V1_1,
    /// Escapes `\r` as well; lines may end with a carriage return and a line feed.
    V1_2,
}

impl Version {
    /// All of them, the newest first.
    pub(crate) const ALL: [Self; 3] = [Self::V1_2, Self::V1_1, Self::V1_0];

    /// As headers have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        }
    }

    /// The newest of those that `accept-version` names: parted by commas; without the header it is 1.0.
    pub(crate) fn best(accepted: Option<&[u8]>) -> Option<Self> {
        let Some(accepted) = accepted else { return Some(Self::V1_0) };
        let names = |version: &Self| {
            let mut all = accepted.split(|byte| *byte == b',');
            all.any(|name| name.trim_ascii() == version.name().as_bytes())
        };
        Self::ALL.into_iter().find(names)
    }
}
