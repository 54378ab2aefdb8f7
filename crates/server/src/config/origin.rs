//! Where a value came from, and what was wrong with it.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

/// Where a value came from. Later variants outrank earlier ones.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of the configuration file.
    File {
        /// The file, as it was named on the command line.
        path: PathBuf,
        /// The line; the first is 1.
        line: usize,
    },
    /// An environment variable, by name.
    Environment(String),
    /// A flag of the command line, by name.
    Flag(String),
}

impl Origin {
    /// How strongly this source binds, without the detail of where in it the value stands.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File { .. } => 1,
            Self::Environment(_) => 2,
            Self::Flag(_) => 3,
        }
    }
}

impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// Something that the operator should know about an accepted configuration: a key without effect
/// here, a value replaced, a risk taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The key, as the operator wrote it.
    pub key: String,
    /// Where it stands.
    pub origin: Origin,
    /// One sentence.
    pub text: String,
}

impl Display for Notice {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.origin, self.key, self.text)
    }
}

/// One thing wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot read the configuration file: {why}; give a readable file to --config", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        why: String,
    },
    /// The file's name says neither `.properties` nor `.toml`.
    #[error("{}: a configuration file must end in .properties or .toml", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// A line that is not of the file's format.
    #[error("{origin}: cannot be read: {what}")]
    Syntax {
        /// Where.
        origin: Origin,
        /// What is wrong.
        what: String,
    },
    /// A key that nobody knows.
    #[error("{origin}: unknown key {key}{}", suggestion(nearest.as_deref()))]
    UnknownKey {
        /// The key.
        key: String,
        /// Where it stands.
        origin: Origin,
        /// The known key that is most like it, if one is like it at all.
        nearest: Option<String>,
    },
    /// A value that its key does not allow.
    #[error("{origin}: {key} = {value:?} is not allowed: {allowed}")]
    BadValue {
        /// The key.
        key: String,
        /// The value, as written.
        value: String,
        /// What is allowed.
        allowed: String,
        /// Where it stands.
        origin: Origin,
    },
    /// A key that asks for something that we cannot do yet and that must not be left out silently.
    #[error("{origin}: {key} is not supported yet: {why}")]
    Unsupported {
        /// The key.
        key: String,
        /// Why leaving it out would be wrong, and what to do.
        why: String,
        /// Where it stands.
        origin: Origin,
    },
    /// Two values that cannot both hold.
    #[error("{origin}: {key} {why}")]
    Conflict {
        /// The key.
        key: String,
        /// What it contradicts.
        why: String,
        /// Where it stands.
        origin: Origin,
    },
}

impl ConfigError {
    /// Where it stands; `None` for a whole file.
    pub fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Unreadable { .. } | Self::UnknownFormat { .. } => None,
            Self::Syntax { origin, .. }
            | Self::UnknownKey { origin, .. }
            | Self::BadValue { origin, .. }
            | Self::Unsupported { origin, .. }
            | Self::Conflict { origin, .. } => Some(origin),
        }
    }
}

fn suggestion(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("; did you mean {nearest}?"),
        None => "; remove it, or see docs/configuration.md for the keys".to_owned(),
    }
}

/// Everything wrong with the configuration, reported together. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl Display for ConfigErrors {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "error" } else { "errors" };
        write!(f, "{} {plural} in the configuration", self.0.len())?;
        for error in &self.0 {
            write!(f, "\n  {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// The candidate most like `wanted`, if one is near enough to be a slip of the fingers or of the
/// memory.
pub(crate) fn nearest<'a>(
    wanted: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // A key is short; anything longer is not a slip, and would make the comparison slow.
    if wanted.len() > 100 {
        return None;
    }
    let lower = wanted.to_ascii_lowercase().replace(['_', '-'], ".");
    let (distance, best) = candidates
        .into_iter()
        .map(|candidate| (distance(&lower, &candidate.replace('_', ".")), candidate))
        .min()?;
    (distance <= wanted.chars().count() / 3).then_some(best)
}

/// Levenshtein distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_only_when_it_is_near() {
        let known = ["num.partitions", "num.io.threads", "log.dirs", "storage.dir"];
        assert_eq!(nearest("num.partition", known), Some("num.partitions"));
        assert_eq!(nearest("NUM_PARTITIONS", known), Some("num.partitions"));
        assert_eq!(nearest("log.dir", known), Some("log.dirs"));
        assert_eq!(nearest("confluent.license", known), None);
        assert_eq!(nearest(&"x".repeat(5000), known), None);
    }

    #[test]
    fn distance_counts_single_changes() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }

    #[test]
    fn all_errors_are_listed_with_their_places() {
        let origin = Origin::File { path: "server.properties".into(), line: 7 };
        let errors = ConfigErrors(vec![
            ConfigError::UnknownKey {
                key: "num.partition".into(),
                origin: origin.clone(),
                nearest: Some("num.partitions".into()),
            },
            ConfigError::BadValue {
                key: "broker.id".into(),
                value: "x".into(),
                allowed: "a number from 0 to 2147483647".into(),
                origin,
            },
        ]);
        assert_eq!(
            errors.to_string(),
            "2 errors in the configuration\n  \
             server.properties:7: unknown key num.partition; did you mean num.partitions?\n  \
             server.properties:7: broker.id = \"x\" is not allowed: a number from 0 to 2147483647"
        );
    }
}
