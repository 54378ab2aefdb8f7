//! The inputs that fuzzing found, read once more. In one test: what a case takes of memory is
//! measured for the whole process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, helpers of tests too"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fuzz::{TARGETS, seeds};

fn list(path: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> =
        std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

#[test]
fn what_fuzzing_found_is_read_within_its_bounds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let folders = list(&corpus);
    let names: BTreeSet<_> =
        folders.iter().map(|f| f.file_name().unwrap().to_str().unwrap()).collect();
    let targets: BTreeSet<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names, targets, "a folder for each target");
    let first = seeds();
    let first_names: BTreeSet<_> = first.iter().map(|(name, _)| *name).collect();
    assert_eq!(first_names, targets, "first inputs for each target");
    for target in TARGETS {
        for (name, inputs) in first.iter().filter(|(name, _)| *name == target.name) {
            for (number, input) in inputs.iter().enumerate() {
                eprintln!("{name}: first input {number}");
                target.check(input);
            }
        }
        for path in list(&corpus.join(target.name)) {
            // Shown when it fails.
            eprintln!("{}", path.display());
            target.check(&std::fs::read(&path).unwrap());
        }
    }
}
