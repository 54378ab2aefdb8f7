//! The notes that scripts leave about what they sent and read: fields parted by tabs, read by the
//! tests that compare them.

use std::path::Path;

/// The lines of a file of notes, each split at its tabs.
pub(crate) fn read(path: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// A number in a note.
pub(crate) fn number(field: &str) -> i64 {
    field.parse().unwrap_or_else(|e| panic!("{field:?} is no number: {e}"))
}
