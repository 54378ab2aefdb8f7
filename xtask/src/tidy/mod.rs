//! `cargo xtask tidy`: the rules that no compiler checks. Each finding says where, what, and the
//! remedy. There is no list of exceptions to any of them: a rule that needs one is the wrong rule.

mod layers;
mod leftovers;
mod markdown;
mod modules;
mod sizes;
mod words;

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use crate::Failure;
use crate::source::{self, Halves};
use crate::workspace::{self, Crate};

/// One breach of a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    path: PathBuf,
    /// Counted from 1; 0 means the file as a whole.
    line: usize,
    /// What is wrong and what to do instead.
    text: String,
}

impl Finding {
    fn new(path: &Path, line: usize, text: impl Into<String>) -> Self {
        Self { path: path.to_path_buf(), line, text: text.into() }
    }
}

impl Display for Finding {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.text)
    }
}

/// A file of the repository that holds text.
#[derive(Debug)]
pub(crate) struct TextFile {
    /// Relative to the root.
    path: PathBuf,
    text: String,
    /// Code and comments apart, for Rust files.
    rust: Option<Halves>,
}

impl TextFile {
    fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let rust = path.extension().is_some_and(|e| e == "rs").then(|| source::split(&text));
        Self { path, text, rust }
    }

    fn has_extension(&self, extension: &str) -> bool {
        self.path.extension().is_some_and(|e| e == extension)
    }

    /// Whether the file as a whole is a test or part of one.
    fn is_test(&self) -> bool {
        let folder = self.path.components().any(|part| part.as_os_str() == "tests");
        folder || self.path.file_name().is_some_and(|name| name == "tests.rs")
    }

    /// The folder under `crates/` that the file lies in.
    fn crate_name(&self) -> Option<&str> {
        self.path.strip_prefix("crates").ok()?.iter().next()?.to_str()
    }
}

/// Checks the whole repository.
///
/// # Errors
/// With every finding, when there is one.
pub(crate) fn run(root: &Path) -> Result<(), Failure> {
    let crates = workspace::crates(root)?;
    let files = workspace::files(root)?;
    let mut findings = sizes::blobs(root, &files);
    let texts = read(root, &files, &mut findings)?;
    findings.extend(layers::check(&crates));
    findings.extend(modules::check(&crates, &texts));
    for file in &texts {
        findings.extend(check_file(file, &crates));
        findings.extend(markdown::links(root, file));
    }
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    for finding in &findings {
        eprintln!("{finding}");
    }
    if !findings.is_empty() {
        return Err(format!("tidy: {} findings", findings.len()));
    }
    println!("tidy: {} files, {} crates, no findings", texts.len(), crates.len());
    Ok(())
}

fn check_file(file: &TextFile, crates: &[Crate]) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(words::protocols(file));
    findings.extend(words::sockets(file, crates));
    findings.extend(words::async_net(file));
    findings.extend(words::wire(file));
    findings.extend(sizes::lines(file));
    findings.extend(leftovers::macros(file));
    findings.extend(leftovers::marks(file));
    findings.extend(leftovers::blanks(file));
    findings.extend(leftovers::paths(file));
    findings.extend(leftovers::hosts(file));
    findings.extend(leftovers::sleeps(file));
    findings.extend(markdown::title(file));
    findings
}

/// The files that are text by their name. Anything else (golden data folders) is bytes to us.
fn read(
    root: &Path,
    files: &[PathBuf],
    findings: &mut Vec<Finding>,
) -> Result<Vec<TextFile>, Failure> {
    const EXTENSIONS: [&str; 14] = [
        "rs",
        "toml",
        "md",
        "py",
        "sh",
        "txt",
        "yml",
        "yaml",
        "json",
        "properties",
        "html",
        "css",
        "js",
        "lock",
    ];
    let mut texts = Vec::new();
    for path in files {
        let named = path.extension().and_then(|e| e.to_str());
        let is_text = named.map_or(path.starts_with(".ci"), |e| EXTENSIONS.contains(&e));
        if !is_text {
            continue;
        }
        let bytes = std::fs::read(root.join(path)).map_err(|e| format!("{path:?}: {e}"))?;
        match String::from_utf8(bytes) {
            Ok(text) => texts.push(TextFile::new(path, text)),
            Err(_) => findings.push(Finding::new(path, 0, "not UTF-8; save it as UTF-8")),
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_as_file_and_line() {
        let finding = Finding::new(Path::new("a/b.rs"), 7, "no");
        assert_eq!(finding.to_string(), "a/b.rs:7: no");
    }

    #[test]
    fn a_text_file_that_is_no_text_is_found() {
        let dir = std::env::temp_dir().join(format!("xtask-tidy-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a temporary folder");
        std::fs::write(dir.join("bad.md"), b"\xff\xfe").expect("written");
        std::fs::write(dir.join("golden.bin"), b"\xff\xfe").expect("written");
        let mut findings = Vec::new();
        let texts = read(&dir, &["bad.md".into(), "golden.bin".into()], &mut findings);
        assert!(texts.expect("readable").is_empty());
        assert_eq!(findings.len(), 1, "{findings:?}");
        std::fs::remove_dir_all(&dir).expect("removed");
    }

    #[test]
    fn tests_and_crates_are_known_by_their_paths() {
        assert!(TextFile::new("crates/store/src/wal/tests.rs", "").is_test());
        assert!(TextFile::new("tests/src/lib.rs", "").is_test());
        assert!(!TextFile::new("crates/store/src/wal.rs", "").is_test());
        assert_eq!(TextFile::new("crates/store/src/wal.rs", "").crate_name(), Some("store"));
        assert_eq!(TextFile::new("tests/src/lib.rs", "").crate_name(), None);
    }
}
