//! Clients for Node.js, each in a folder of its own with exactly the packages of a list of ours.

use std::path::Path;
use std::process::Command;

use super::{Tool, librdkafka};
use crate::{Failure, process};

/// The clients whose packages are installed, from `tests/suites/<client>/packages.txt`.
const CLIENTS: [(&str, &str); 6] = [
    ("suite-kafkajs", "kafkajs"),
    ("suite-platformatic", "platformatic"),
    ("suite-node-rdkafka", LINKED),
    ("suite-mqttjs", "mqttjs"),
    ("suite-amqplib", "amqplib"),
    ("suite-stompjs", "stompjs"),
];

/// The one that is linked with librdkafka; it would build one of its own.
const LINKED: &str = "node-rdkafka";

/// The clients, each a tool with its `node_modules`.
///
/// # Errors
/// When a list of packages cannot be read.
pub(super) fn tools(root: &Path) -> Result<Vec<Tool>, Failure> {
    // What is compiled is compiled for one version.
    let node = process::output(Command::new("node").arg("--version"));
    let node = node.unwrap_or_else(|_| "no node".to_owned());
    let mut tools = Vec::new();
    for (name, client) in CLIENTS {
        let list = root.join(format!("tests/suites/{client}/packages.txt"));
        let list = std::fs::read_to_string(&list).map_err(|e| format!("{list:?}: {e}"))?;
        let library = if client == LINKED { librdkafka::stamp() } else { String::new() };
        let (root, stamp) = (root.to_owned(), format!("{node}{list}{library}"));
        let install = move |folder: &Path| {
            let library = (client == LINKED).then(|| librdkafka::place(&root)).transpose()?;
            install(folder, &list, library.as_deref())
        };
        tools.push(Tool { name, stamp, install: Box::new(install) });
    }
    Ok(tools)
}

fn install(folder: &Path, list: &str, library: Option<&Path>) -> Result<(), Failure> {
    std::fs::write(folder.join("package.json"), "{\"private\": true}\n")
        .map_err(|e| e.to_string())?;
    let mut npm = Command::new("npm");
    npm.current_dir(folder).args(["install", "--no-audit", "--no-fund", "--loglevel=error"]);
    let packages = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    npm.args(packages.map(|package| package.replace("ARCH", architecture())));
    // Headers for what is compiled are beside the program `node`; they would be fetched otherwise.
    npm.env("npm_config_nodedir", node_home()?);
    if let Some(library) = library {
        let include = format!("-I{0} -I{0}/librdkafka", library.join("include").display());
        let libraries = format!("-L{}", library.join("lib").display());
        npm.env("BUILD_LIBRDKAFKA", "0").env("CXXFLAGS", include).env("LDFLAGS", libraries);
    }
    process::output(&mut npm).map(drop)
}

/// This machine, as packages are named.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The folder that Node.js is installed in.
fn node_home() -> Result<String, Failure> {
    const HOME: &str = "require('path').resolve(process.execPath, '../..')";
    process::output(Command::new("node").args(["--print", HOME])).map(|home| home.trim().to_owned())
}
