//! Java clients: programs in `tests/java/<folder>`, which print events as the Python scripts do.
//!
//! Each folder has a `pom.xml` with the libraries that its programs run with, which
//! `cargo xtask setup` copies to `target/deps/jvm-<folder>/lib`. The programs themselves are
//! compiled when a test needs them: then they are always those of this checkout.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::process::Process;
use crate::script::Script;
use crate::{PATIENCE, tools};

/// The programs of one folder, compiled.
#[derive(Debug)]
pub struct Java {
    folder: String,
    libraries: PathBuf,
    classes: TempDir,
}

impl Java {
    /// Compiles `tests/java/<folder>` together with what it needs of what all folders share. `None`
    /// when its libraries are not to be had here.
    ///
    /// # Panics
    /// When it does not compile.
    pub fn compiled(folder: &str) -> Option<Self> {
        let libraries = tools::tool(&format!("jvm-{folder}"))?.join("lib");
        let classes = tools::scratch();
        let this = Self { folder: folder.to_owned(), libraries, classes };
        let mut javac = Command::new("javac");
        javac.args(["-Xlint:all,-serial,-processing,-try", "-Werror", "-proc:none", "-cp"]);
        javac.arg(this.libraries.join("*")).arg("-d").arg(this.classes.path());
        let programs = tools::root().join("tests/java");
        javac.arg("-sourcepath").arg(programs.join("common"));
        javac.args(sources(&programs.join(folder)));
        let exit = Process::start(&format!("javac {folder}"), &mut javac).exit(PATIENCE * 2);
        assert!(exit.status.success(), "tests/java/{folder}:\n{}{}", exit.stdout, exit.stderr);
        Some(this)
    }

    /// The version of a library, such as `kafka-clients`.
    ///
    /// # Panics
    /// When the folder's programs do not run with it.
    pub fn version(&self, library: &str) -> String {
        let entries = std::fs::read_dir(&self.libraries).expect("the libraries are there");
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut versions = names.filter_map(|name| {
            let version = name.strip_prefix(library)?.strip_prefix('-')?.strip_suffix(".jar")?;
            version.starts_with(|c: char| c.is_ascii_digit()).then(|| version.to_owned())
        });
        versions.next().unwrap_or_else(|| panic!("tests/java/{}: no {library}", self.folder))
    }

    /// Starts a program.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(&self, main: &str, args: &[&str]) -> Script {
        let mut path = self.classes.path().as_os_str().to_owned();
        path.push(":");
        path.push(self.libraries.join("*"));
        let mut java = Command::new("java");
        // Short programs: what counts is the start.
        java.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx1g"]);
        java.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-Dlog4j2.level=FATAL"]);
        // What the libraries ask for: opened modules, for example.
        let options = tools::root().join("tests/java").join(&self.folder).join("options");
        if options.exists() {
            java.arg(format!("@{}", options.display()));
        }
        java.current_dir(self.classes.path()).arg("-cp").arg(path).arg(main).args(args);
        Script::of(&format!("java {main}"), &mut java)
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{folder:?}: {e}"));
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.filter(|path| path.extension().is_some_and(|e| e == "java")).collect()
}
