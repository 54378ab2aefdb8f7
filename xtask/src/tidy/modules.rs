//! Every Rust file is compiled: a file that no `mod` names is dead, however good it looks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Finding, TextFile};
use crate::workspace::Crate;

pub(super) fn check(crates: &[Crate], files: &[TextFile]) -> Vec<Finding> {
    let sources: BTreeMap<&Path, &TextFile> =
        files.iter().filter(|f| f.rust.is_some()).map(|f| (f.path.as_path(), f)).collect();
    let roots = crates.iter().flat_map(|c| &c.targets);
    let mut open: Vec<(PathBuf, bool)> = roots.map(|root| (root.clone(), true)).collect();
    let mut reached = BTreeSet::new();
    while let Some((path, is_root)) = open.pop() {
        let Some(file) = sources.get(path.as_path()) else { continue };
        if reached.insert(path.clone()) {
            open.extend(children(file, is_root).into_iter().map(|child| (child, false)));
        }
    }
    let dead = sources.keys().filter(|path| !reached.contains(**path));
    dead.map(|path| Finding::new(path, 0, "no `mod` names this file; declare it or delete it"))
        .collect()
}

/// The files that this file's `mod` declarations may mean; those that do not exist do no harm.
fn children(file: &TextFile, is_root: bool) -> Vec<PathBuf> {
    let Some(rust) = &file.rust else { return Vec::new() };
    let folder = file.path.parent().unwrap_or(Path::new(""));
    let own_folder = is_root || file.path.file_name().is_some_and(|name| name == "mod.rs");
    let home = if own_folder { folder.to_path_buf() } else { file.path.with_extension("") };
    let mut found: Vec<PathBuf> = explicit_paths(&file.text, &rust.code, folder);
    // Inline modules, by the depth of braces at which they opened.
    let (mut inline, mut depth): (Vec<(usize, String)>, usize) = (Vec::new(), 0);
    for piece in rust.code.split_inclusive(['{', '}', ';']) {
        let name = declared(piece);
        match (piece.chars().last(), name) {
            (Some('{'), name) => {
                inline.extend(name.map(|name| (depth, name)));
                depth += 1;
            }
            (Some('}'), _) => {
                depth = depth.saturating_sub(1);
                inline.retain(|(at, _)| *at < depth);
            }
            (Some(';'), Some(name)) => {
                let dir = inline.iter().fold(home.clone(), |dir, (_, part)| dir.join(part));
                found.push(dir.join(format!("{name}.rs")));
                found.push(dir.join(name).join("mod.rs"));
            }
            _ => {}
        }
    }
    found
}

/// The module that a statement or the head of a block declares.
fn declared(piece: &str) -> Option<String> {
    let mut words = piece.trim_end_matches(['{', ';']).split_whitespace().rev();
    let name = words.next()?;
    let plain = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    (plain && words.next() == Some("mod")).then(|| name.to_owned())
}

/// The files named by `#[path = "…"]`, whose text the code half leaves blank.
fn explicit_paths(text: &str, code: &str, folder: &Path) -> Vec<PathBuf> {
    let named = text.lines().zip(code.lines()).filter(|(_, code)| code.contains("#[path = "));
    named.filter_map(|(line, _)| Some(folder.join(line.split('"').nth(1)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(files: &[(&str, &str)]) -> Vec<String> {
        let krate = Crate {
            name: "a".to_owned(),
            dir: "crates/a".into(),
            layer: Some(0),
            deps: Vec::new(),
            targets: vec!["crates/a/src/lib.rs".into()],
        };
        let path = |name: &str| format!("crates/a/src/{name}");
        let files: Vec<TextFile> =
            files.iter().map(|(name, text)| TextFile::new(path(name), *text)).collect();
        let findings = check(&[krate], &files);
        findings.iter().filter_map(|f| Some(f.path.file_name()?.to_str()?.to_owned())).collect()
    }

    #[test]
    fn a_file_that_no_module_names_is_found() {
        assert_eq!(dead(&[("lib.rs", "mod x;\n"), ("x.rs", ""), ("y.rs", "")]), ["y.rs"]);
        assert_eq!(dead(&[("lib.rs", "// mod y;\n"), ("y.rs", "")]), ["y.rs"]);
        assert_eq!(dead(&[("lib.rs", "mod x;"), ("x.rs", ""), ("z/x.rs", "")]), ["x.rs"]);
    }

    #[test]
    fn modules_are_followed_through_folders_blocks_and_paths() {
        let files = [
            ("lib.rs", "#[cfg(unix)]\npub(crate) mod x;\nmod b { mod c; fn f() {} }\nmod d;"),
            ("x.rs", "pub mod y;\n#[path = \"odd/name.rs\"]\nmod other;"),
            ("x/y.rs", ""),
            ("odd/name.rs", ""),
            ("b/c.rs", ""),
            ("d/mod.rs", "mod e;"),
            ("d/e.rs", "#[cfg(test)]\nmod tests;"),
            ("d/e/tests.rs", ""),
        ];
        assert!(dead(&files).is_empty(), "{:?}", dead(&files));
    }

    #[test]
    fn a_module_after_a_closed_block_is_not_inside_it() {
        let files = [("lib.rs", "mod a { fn f() { g(); } }\nmod b;"), ("b.rs", ""), ("a/b.rs", "")];
        assert_eq!(dead(&files), ["b.rs"], "a/b.rs is dead, b.rs is not");
    }
}
