//! Identifiers. Numbers with a name, so that one is not taken for another.

use std::fmt::{self, Display, Formatter};

use crate::Random;

/// Position of a record in a partition: 0, 1, 2, … without gaps as they are assigned.
/// Signed because the wire formats that carry it use negative numbers for "unknown".
pub type Offset = i64;

/// A broker's number in the cluster, chosen by its operator (`broker.id`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerId(pub i32);

/// The identity of one log on disk: one partition of one topic, or one of the broker's own
/// journals. Allocated once and never reused, so a topic deleted and created again under the same
/// name can never see the old one's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub u64);

impl Display for LogId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The identity of a topic (a UUID): survives renames, differs after delete and create.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub u128);

impl TopicId {
    /// "No topic": what a request carries when it names topics by name.
    pub const NONE: Self = Self(0);

    /// A new random (version 4, RFC 9562 section 5.4) identifier.
    pub fn random(random: &dyn Random) -> Self {
        let bits = random.next_u128();
        Self((bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62))
    }

    /// The identifier's 16 bytes, most significant first.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The identifier from its 16 bytes, most significant first.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

impl Display for TopicId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g, h, i, rest @ ..] = self.to_bytes();
        write!(f, "{a:02x}{b:02x}{c:02x}{d:02x}-{e:02x}{g:02x}-{h:02x}{i:02x}-")?;
        for (index, byte) in rest.iter().enumerate() {
            if index == 2 {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemRandom;

    #[test]
    fn a_topic_id_is_printed_as_a_uuid_of_version_four() {
        let text = TopicId::random(&SystemRandom).to_string();
        assert_eq!(text.len(), 36);
        assert_eq!(&text[14..15], "4", "version nibble in {text}");
        assert!("89ab".contains(&text[19..20]), "variant bits in {text}");
        let fixed = TopicId(0x0123_4567_89ab_4def_8123_4567_89ab_cdef);
        assert_eq!(fixed.to_string(), "01234567-89ab-4def-8123-456789abcdef");
    }
}
