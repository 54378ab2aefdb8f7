//! Java clients: what the programs in each folder of `tests/java` run with, as its `pom.xml` says.

use std::path::Path;
use std::process::Command;

use super::Tool;
use crate::{Failure, process};

/// The tools and their folders. Apart, because they need different releases of the same libraries.
const FOLDERS: [(&str, &str); 5] = [
    ("jvm-amqp", "amqp"),
    ("jvm-clients", "clients"),
    ("jvm-tools", "tools"),
    ("jvm-flink", "flink"),
    ("jvm-spark", "spark"),
];

/// What copies the libraries, by its full name, so that it is the same everywhere.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// One tool for each folder.
///
/// # Errors
/// When a `pom.xml` cannot be read.
pub(super) fn tools(root: &Path) -> Result<Vec<Tool>, Failure> {
    let mut tools = Vec::new();
    for (name, folder) in FOLDERS {
        let pom = root.join("tests/java").join(folder).join("pom.xml");
        let wanted = std::fs::read_to_string(&pom).map_err(|e| format!("{pom:?}: {e}"))?;
        let install = Box::new(move |place: &Path| libraries(place, &pom));
        tools.push(Tool { name, stamp: format!("{COPY}\n{wanted}"), install });
    }
    Ok(tools)
}

fn libraries(folder: &Path, pom: &Path) -> Result<(), Failure> {
    if !process::exists("javac") || !process::exists("mvn") {
        return Err("a Java development kit from 17 on and Maven are needed \
                    (on Debian: default-jdk-headless, maven)"
            .to_owned());
    }
    let mut output = std::ffi::OsString::from("-DoutputDirectory=");
    output.push(folder.join("lib"));
    let mut maven = Command::new("mvn");
    maven.args(["--quiet", "--batch-mode", "--file"]).arg(pom).arg(COPY);
    maven.arg(output).arg("-DincludeScope=runtime");
    process::output(&mut maven).map(drop)
}
