//! Java clients: what the programs in each folder of `tests/java` run with, as its `pom.xml` says.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Tool, debian};
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

/// The same for one file.
const COPY_ONE: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy";

/// What generates classes of `.proto` files, as a program. Its plugin for services comes from Debian's packages.
const COMPILER: &str = "com.google.protobuf:protoc:4.33.5:exe:linux-x86_64";

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
    tools.push(grpc(root)?);
    Ok(tools)
}

/// What the programs for the gRPC door run with, and beside it, compiled, what is generated of our `.proto` files.
fn grpc(root: &Path) -> Result<Tool, Failure> {
    let (pom, protos) = (root.join("tests/java/grpc/pom.xml"), root.join("proto"));
    let wanted = std::fs::read_to_string(&pom).map_err(|e| format!("{pom:?}: {e}"))?;
    let stamp = format!("{COPY}\n{}\n{wanted}{}", COMPILER, super::protos(root)?);
    let install = move |folder: &Path| {
        libraries(folder, &pom)?;
        let source = folder.join("source");
        std::fs::create_dir(&source).map_err(|e| e.to_string())?;
        let (protoc, plugin) = (compiler(&source)?, debian::grpc_java_plugin(&source)?);
        let mut compile = Command::new(protoc);
        compile.arg("-I").arg(&protos).arg(format!("--java_out={}", source.display()));
        compile.arg(format!("--plugin=protoc-gen-grpc-java={}", plugin.display()));
        compile.arg(format!("--grpc-java_out={}", source.display()));
        compile.args(super::PROTOS.map(|name| format!("entrepot/v1/{name}.proto")));
        process::output(&mut compile)?;
        let (classes, generated) = (folder.join("classes"), source.join("entrepot/v1"));
        let files = std::fs::read_dir(&generated).map_err(|e| format!("{generated:?}: {e}"))?;
        let mut javac = Command::new("javac");
        javac
            .args(["-nowarn", "-proc:none", "-cp"])
            .arg(folder.join("lib/*"))
            .arg("-d")
            .arg(&classes);
        javac.args(files.filter_map(|file| Some(file.ok()?.path())));
        process::output(&mut javac)?;
        let mut jar = Command::new("jar");
        jar.args(["--create", "--file"]).arg(folder.join("lib/entrepot-v1.jar")).arg("-C");
        process::output(jar.arg(&classes).arg("."))?;
        std::fs::remove_dir_all(source).map_err(|e| e.to_string())
    };
    Ok(Tool { name: "jvm-grpc", stamp, install: Box::new(install) })
}

/// Downloads the compiler into a folder.
fn compiler(folder: &Path) -> Result<PathBuf, Failure> {
    let mut maven = Command::new("mvn");
    maven.args(["--quiet", "--batch-mode", COPY_ONE, "-Dmdep.useBaseVersion=true"]);
    maven.arg(format!("-Dartifact={COMPILER}"));
    maven.arg(format!("-DoutputDirectory={}", folder.display()));
    process::output(&mut maven)?;
    let mut parts = COMPILER.split(':').skip(1);
    let (name, version) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let program = folder.join(format!("{name}-{version}-linux-x86_64.exe"));
    process::output(Command::new("chmod").arg("u+x").arg(&program))?;
    Ok(program)
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
