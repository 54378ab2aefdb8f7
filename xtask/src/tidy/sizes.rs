//! What is too large to be read or kept. The size of a function is Clippy's `too_many_lines`.

use std::path::{Path, PathBuf};

use super::{Finding, TextFile};

const FILE_LINES_MAX: usize = 800;
const TEST_LINES_MAX: usize = 1_200;
const BLOB_BYTES_MAX: u64 = 512 * 1024;

/// A Rust file is short enough to be read in one go.
pub(super) fn lines(file: &TextFile) -> Option<Finding> {
    let max = if file.is_test() { TEST_LINES_MAX } else { FILE_LINES_MAX };
    let count = file.text.lines().count();
    let too_long = file.rust.is_some() && count > max;
    too_long.then(|| {
        let text = format!("{count} lines, {max} at most; split it by what it is about");
        Finding::new(&file.path, max, text)
    })
}

/// A large file stays in every clone for ever.
pub(super) fn blobs(root: &Path, files: &[PathBuf]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in files {
        let bytes = std::fs::metadata(root.join(path)).map_or(0, |m| m.len());
        if bytes > BLOB_BYTES_MAX {
            let text = format!(
                "{bytes} bytes, {BLOB_BYTES_MAX} at most; generate it, or take it \
                                from a package"
            );
            findings.push(Finding::new(path, 0, text));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_found_and_a_test_may_be_longer() {
        let text = "\n".repeat(801);
        assert!(lines(&TextFile::new("crates/a/src/lib.rs", text.clone())).is_some());
        assert!(lines(&TextFile::new("crates/a/src/lib.rs", "\n".repeat(800))).is_none());
        assert!(lines(&TextFile::new("crates/a/src/b/tests.rs", text.clone())).is_none());
        assert!(lines(&TextFile::new("crates/a/tests/it.rs", "\n".repeat(1_201))).is_some());
        assert!(lines(&TextFile::new("docs/long.md", text)).is_none());
    }

    #[test]
    fn a_large_blob_is_found() {
        let dir = std::env::temp_dir().join(format!("xtask-blob-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a temporary folder");
        let size = usize::try_from(BLOB_BYTES_MAX).expect("fits");
        std::fs::write(dir.join("small"), vec![0; size]).expect("written");
        std::fs::write(dir.join("large"), vec![0; size + 1]).expect("written");
        let found = blobs(&dir, &["small".into(), "large".into()]);
        assert_eq!(
            found.iter().map(|f| f.path.as_path()).collect::<Vec<_>>(),
            [Path::new("large")]
        );
        std::fs::remove_dir_all(&dir).expect("removed");
    }
}
