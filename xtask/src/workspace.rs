//! What the workspace consists of: its crates as Cargo sees them, its files as git sees them.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::{Failure, process};

/// One crate of ours.
#[derive(Debug, Clone)]
pub(crate) struct Crate {
    /// Its name, which is its folder's name too.
    pub(crate) name: String,
    /// Its folder, relative to the root.
    pub(crate) dir: PathBuf,
    /// `package.metadata.entrepot.layer`: it may depend on lower layers only.
    pub(crate) layer: Option<u64>,
    /// What it depends on directly.
    pub(crate) deps: Vec<Dep>,
    /// The files that Cargo compiles: lib.rs, main.rs, tests, build scripts; relative to the root.
    pub(crate) targets: Vec<PathBuf>,
}

/// One direct dependency.
#[derive(Debug, Clone)]
pub(crate) struct Dep {
    /// The crate that it names.
    pub(crate) name: String,
    /// Whether only tests use it.
    pub(crate) dev: bool,
    /// Whether it is a crate of this workspace.
    pub(crate) ours: bool,
}

/// The workspace's root folder.
///
/// # Errors
/// When not run by Cargo.
pub(crate) fn root() -> Result<PathBuf, Failure> {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").ok_or("run it as `cargo xtask`")?;
    let root = Path::new(&here).parent().ok_or("xtask/ has no parent folder")?;
    Ok(root.to_path_buf())
}

/// Our crates, sorted by layer and name.
///
/// # Errors
/// When `cargo metadata` fails or prints something unexpected.
pub(crate) fn crates(root: &Path) -> Result<Vec<Crate>, Failure> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root).args(["metadata", "--format-version", "1", "--no-deps"]);
    let text = process::output(&mut cargo)?;
    let metadata: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    parse_metadata(&metadata).ok_or_else(|| "cargo metadata: unexpected shape".to_owned())
}

fn parse_metadata(metadata: &Value) -> Option<Vec<Crate>> {
    let root = Path::new(metadata["workspace_root"].as_str()?);
    let relative = |path: &Value| Some(Path::new(path.as_str()?).strip_prefix(root).ok()?.into());
    let mut crates = Vec::new();
    for package in metadata["packages"].as_array()? {
        let manifest: PathBuf = relative(&package["manifest_path"])?;
        let mut deps = Vec::new();
        for dep in package["dependencies"].as_array()? {
            deps.push(Dep {
                name: dep["name"].as_str()?.to_owned(),
                dev: dep["kind"].as_str() == Some("dev"),
                ours: dep.get("path").is_some_and(Value::is_string),
            });
        }
        let targets = package["targets"].as_array()?;
        crates.push(Crate {
            name: package["name"].as_str()?.to_owned(),
            dir: manifest.parent()?.into(),
            layer: package["metadata"]["entrepot"]["layer"].as_u64(),
            deps,
            targets: targets.iter().map(|t| relative(&t["src_path"])).collect::<Option<_>>()?,
        });
    }
    crates.sort_by(|a, b| (a.layer, &a.name).cmp(&(b.layer, &b.name)));
    Some(crates)
}

/// Every file that is, or is about to be, part of the repository: tracked, or new and not ignored.
///
/// # Errors
/// When git cannot list them.
pub(crate) fn files(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listed = process::output(&mut git)?;
    let mut files: Vec<PathBuf> =
        listed.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    files.sort();
    files.dedup();
    // A tracked file that was just deleted is still listed.
    files.retain(|file| root.join(file).is_file());
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_has_layers_files_and_targets() {
        let root = root().expect("run by cargo");
        let crates = crates(&root).expect("cargo metadata");
        let base = crates.iter().find(|c| c.name == "base").expect("base is there");
        assert_eq!(base.layer, Some(0));
        assert_eq!(base.dir, Path::new("crates/base"));
        assert_eq!(base.targets, [Path::new("crates/base/src/lib.rs")]);
        let files = files(&root).expect("git ls-files");
        assert!(files.contains(&PathBuf::from("xtask/src/workspace.rs")));
        assert!(!files.iter().any(|f| f.starts_with("target")));
    }

    #[test]
    fn metadata_of_another_shape_is_refused() {
        assert!(parse_metadata(&serde_json::json!({"packages": 1})).is_none());
    }
}
