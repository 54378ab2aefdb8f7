//! Rust clients, tested with the tests in their crates: workspaces of their own, of which only the
//! test programs are kept.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Tool, librdkafka};
use crate::{Failure, process};

/// A crate whose tests are built.
#[derive(Clone, Copy)]
struct Crate {
    tool: &'static str,
    name: &'static str,
    version: &'static str,
    /// What is switched on and off of it.
    flags: &'static [&'static str],
    /// Whether librdkafka is linked, by the crate or by its tests.
    links: bool,
    tests: &'static [&'static str],
    /// Tables of its manifest that these tests do not need and that cost time.
    unused: &'static [&'static str],
    /// Dependencies whose version in its lock file does not build any more.
    stale: &'static [&'static str],
}

const CRATES: [Crate; 3] = [
    Crate {
        tool: "suite-rdkafka",
        name: "rdkafka",
        version: "0.39.0",
        flags: &["--features", "dynamic-linking"],
        links: true,
        tests: &[
            "test_admin",
            "test_high_consumers",
            "test_high_producers",
            "test_low_consumers",
            "test_low_producers",
            "test_metadata",
            "test_transactions",
        ],
        unused: &[],
        stale: &[],
    },
    Crate {
        tool: "suite-rskafka",
        name: "rskafka",
        version: "0.6.0",
        flags: &["--features", "rdkafka/dynamic-linking"],
        links: true,
        tests: &["client", "consumer", "producer", "produce_consume"],
        unused: &[
            "[[bench]]",
            "[dev-dependencies.criterion]",
            "[dev-dependencies.proptest]",
            "[dev-dependencies.proptest-derive]",
        ],
        stale: &["rsasl"],
    },
    Crate {
        tool: "suite-lapin",
        name: "lapin",
        version: "4.12.3",
        // Without TLS, whose code is large.
        flags: &["--no-default-features", "--features", "tokio,smol"],
        links: false,
        // Not those that bring a broker of their own, or want none.
        tests: &[
            "ack_after_close",
            "channel_closed_by_broker",
            "conn_wrong_vhost",
            "connection",
            "connection_tasks",
            "publisher_confirms",
            "recovery_qos",
            "runtime_isolation",
            "smol",
            "tokio",
        ],
        unused: &[],
        stale: &[],
    },
];

/// The crates' test programs, each crate a tool with them in `tests`.
pub(super) fn tools(root: &Path) -> Vec<Tool> {
    let tool = |wanted: Crate| {
        let root = root.to_owned();
        let library = if wanted.links { librdkafka::stamp() } else { String::new() };
        Tool {
            name: wanted.tool,
            stamp: format!("{} {}, {library}, 1", wanted.name, wanted.version),
            install: Box::new(move |folder| {
                let library = wanted.links.then(|| librdkafka::place(&root)).transpose()?;
                install(folder, library.as_deref(), wanted)
            }),
        }
    };
    CRATES.into_iter().map(tool).collect()
}

fn install(folder: &Path, library: Option<&Path>, wanted: Crate) -> Result<(), Failure> {
    let (source, build) = (folder.join("source"), folder.join("build"));
    let fetched = fetch(&folder.join("fetch"), wanted)?;
    process::output(Command::new("cp").arg("-r").arg(fetched).arg(&source))?;
    process::output(Command::new("chmod").args(["-R", "u+w"]).arg(&source))?;
    std::fs::remove_file(source.join("rust-toolchain.toml")).ok();
    let manifest = source.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).map_err(|e| format!("{manifest:?}: {e}"))?;
    std::fs::write(&manifest, trimmed(&text, wanted.unused)).map_err(|e| e.to_string())?;
    for name in wanted.stale {
        process::output(cargo(&source).args(["update", "--quiet", "--package", name]))?;
    }
    let mut test = cargo(&source);
    test.args(["test", "--no-run", "--quiet", "--message-format=json"]);
    test.args(wanted.flags).arg("--target-dir").arg(&build);
    for name in wanted.tests {
        test.args(["--test", name]);
    }
    if let Some(library) = library {
        test.env("PKG_CONFIG_PATH", library.join("lib/pkgconfig"));
        test.env("LD_LIBRARY_PATH", library.join("lib"));
    }
    // Nobody debugs them.
    test.env("CARGO_PROFILE_DEV_DEBUG", "false").env("CARGO_PROFILE_TEST_DEBUG", "false");
    let built = process::output(&mut test)?;
    keep(&built, &folder.join("tests"))?;
    for leftover in ["source", "build", "fetch"] {
        std::fs::remove_dir_all(folder.join(leftover)).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Has Cargo fetch the crate, as a dependency of an empty one; returns where it is.
fn fetch(folder: &Path, wanted: Crate) -> Result<PathBuf, Failure> {
    std::fs::create_dir_all(folder.join("src")).map_err(|e| e.to_string())?;
    let manifest = format!(
        "[package]\nname = \"fetch\"\nedition = \"2024\"\n[workspace]\n\
         [dependencies]\n{} = \"={}\"\n",
        wanted.name, wanted.version
    );
    std::fs::write(folder.join("Cargo.toml"), manifest).map_err(|e| e.to_string())?;
    std::fs::write(folder.join("src/lib.rs"), "").map_err(|e| e.to_string())?;
    let metadata = process::output(cargo(folder).args(["metadata", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|e| e.to_string())?;
    let mut packages = metadata["packages"].as_array().into_iter().flatten();
    let found = packages.find(|package| package["name"] == wanted.name);
    let manifest = found.and_then(|package| package["manifest_path"].as_str());
    let folder = manifest.and_then(|path| Path::new(path).parent());
    folder.map(Path::to_owned).ok_or_else(|| format!("cargo did not fetch {}", wanted.name))
}

fn cargo(folder: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(folder);
    cargo
}

/// A manifest without some of its tables, and in a workspace of its own.
fn trimmed(manifest: &str, unused: &[&str]) -> String {
    let mut kept = String::new();
    let mut keep = true;
    for line in manifest.lines() {
        if line.starts_with('[') {
            keep = !unused.contains(&line);
        }
        if keep {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept + "\n[workspace]\n"
}

/// Copies the programs that Cargo says it built, named after their tests.
fn keep(built: &str, folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|e| e.to_string())?;
    let messages = built.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    for message in messages {
        let (name, program) = (&message["target"]["name"], &message["executable"]);
        if let (Some(name), Some(program)) = (name.as_str(), program.as_str()) {
            std::fs::copy(program, folder.join(name)).map_err(|e| format!("{program}: {e}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_are_not_needed_are_cut_whole() {
        let manifest = "[package]\nname = \"x\"\n\n[dev-dependencies.big]\nversion = \"1\"\n\
                        features = [\n    \"a\",\n]\n\n[features]\nb = []\n";
        let kept = trimmed(manifest, &["[dev-dependencies.big]"]);
        assert_eq!(kept, "[package]\nname = \"x\"\n\n[features]\nb = []\n\n[workspace]\n");
    }
}
