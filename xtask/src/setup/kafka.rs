//! Apache Kafka from Maven Central: the peer that the benchmarks run against.

use std::path::Path;
use std::process::Command;

use super::Tool;
use crate::{Failure, process};

/// Kafka's broker and tools, with all that they need, as `bench/kafka/pom.xml` names them.
///
/// # Errors
/// When that file cannot be read.
pub(super) fn tool(root: &Path) -> Result<Tool, Failure> {
    let pom = root.join("bench/kafka/pom.xml");
    let stamp = std::fs::read_to_string(&pom).map_err(|e| format!("{pom:?}: {e}"))?;
    let install = Box::new(move |folder: &Path| install(&pom, folder));
    Ok(Tool { name: "kafka", stamp, install })
}

fn install(pom: &Path, folder: &Path) -> Result<(), Failure> {
    let lib = folder.join("lib");
    let mut maven = Command::new("mvn");
    maven.args(["--batch-mode", "--quiet", "--file"]).arg(pom);
    maven.args(["dependency:copy-dependencies", "-DincludeScope=runtime"]);
    maven.arg(format!("-DoutputDirectory={}", lib.display()));
    process::output(&mut maven)?;
    let mut version = Command::new("java");
    version.arg("-cp").arg(format!("{}/*", lib.display())).args(["kafka.Kafka", "--version"]);
    process::output(&mut version).map(drop)
}
