//! `cargo xtask setup`: the real clients that the tests talk with, in `target/deps/<tool>`.
//!
//! Nothing outside that folder is touched and root is not needed. A tool is installed beside its
//! place and renamed into it when it works, so a broken download leaves nothing behind; a stamp in
//! the folder says what it was made from, so a second run finds nothing to do.
//!
//! A tool that cannot be had leaves `target/deps/<tool>.missing` with the reason. Tests that need
//! it then report themselves as skipped; with CI=true it is a failure here already.

mod chromium;
mod debian;
mod go;
mod java;
mod kafka;
mod librdkafka;
mod node;
mod python;
mod rust;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::{Failure, process};

/// cargo-deny's version, part of its stamp.
const DENY: &str = "0.20.2";

/// Installs a tool into the folder given, and tries it there.
type Install = Box<dyn Fn(&Path) -> Result<(), Failure>>;

/// Something to install.
struct Tool {
    name: &'static str,
    /// What it is made from; a different text means it is installed anew.
    stamp: String,
    install: Install,
}

/// Installs every client that the tests need; or, of those and of what is only measured or compared, what has one of
/// `names` in its name.
///
/// # Errors
/// When a tool cannot be installed and CI=true; otherwise it is only reported.
pub(crate) fn run(root: &Path, names: &[&str]) -> Result<(), Failure> {
    let mut tools = python::tools(root)?;
    tools.push(debian::kcat());
    tools.push(debian::zookeeper());
    tools.push(debian::mosquitto());
    tools.push(debian::libcoap());
    tools.push(debian::prometheus());
    tools.push(debian::burrow());
    tools.push(chromium::tool());
    tools.push(librdkafka::tool());
    tools.extend(rust::tools(root));
    tools.extend(go::tools(root)?);
    tools.extend(node::tools(root)?);
    tools.extend(java::tools(root)?);
    if !names.is_empty() {
        tools.extend([kafka::tool(root)?, librdkafka::performance(), debian::strace()]);
        tools.extend([python::nats_server(), debian::rabbitmq()]);
    }
    tools.retain(|tool| names.is_empty() || names.iter().any(|name| tool.name.contains(name)));
    let deps = root.join("target/deps");
    let mut missing = Vec::new();
    for tool in tools {
        let note = deps.join(format!("{}.missing", tool.name));
        match ensure(&deps, &tool) {
            Ok(()) => drop(std::fs::remove_file(&note)),
            Err(failure) => {
                eprintln!("setup: {} is missing: {failure}", tool.name);
                std::fs::write(&note, &failure).map_err(|e| format!("{note:?}: {e}"))?;
                missing.push(tool.name);
            }
        }
    }
    if !missing.is_empty() && in_ci() {
        return Err(format!("setup: missing {}", missing.join(", ")));
    }
    Ok(())
}

/// Installs Apache Kafka and what it is measured with, which only the benchmarks need.
///
/// # Errors
/// When something cannot be installed.
pub(crate) fn kafka(root: &Path) -> Result<(), Failure> {
    let deps = root.join("target/deps");
    let tools = [kafka::tool(root)?, librdkafka::performance(), debian::strace()];
    tools.iter().try_for_each(|tool| ensure(&deps, tool))
}

/// Installs nats-server, which only the benchmarks need.
///
/// # Errors
/// When it cannot be installed.
pub(crate) fn nats_server(root: &Path) -> Result<(), Failure> {
    ensure(&root.join("target/deps"), &python::nats_server())
}

/// Installs RabbitMQ, which only comparisons need.
///
/// # Errors
/// When it cannot be installed.
pub(crate) fn rabbitmq(root: &Path) -> Result<(), Failure> {
    ensure(&root.join("target/deps"), &debian::rabbitmq())
}

/// Installs mosquitto.
///
/// # Errors
/// When it cannot be installed.
pub(crate) fn mosquitto(root: &Path) -> Result<(), Failure> {
    ensure(&root.join("target/deps"), &debian::mosquitto())
}

/// Installs libcoap's client and server.
///
/// # Errors
/// When they cannot be installed.
pub(crate) fn libcoap(root: &Path) -> Result<(), Failure> {
    ensure(&root.join("target/deps"), &debian::libcoap())
}

/// Installs cargo-deny and returns its path.
///
/// # Errors
/// When it cannot be built.
pub(crate) fn cargo_deny(root: &Path) -> Result<PathBuf, Failure> {
    let install = |folder: &Path| {
        // The dev profile: it builds in less than half the time, and runs for a second.
        let mut cargo = Command::new("cargo");
        cargo.args(["install", "cargo-deny", "--locked", "--debug", "--quiet", "--version", DENY]);
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "false").arg("--root").arg(folder);
        process::output(&mut cargo).map(drop)
    };
    let tool = Tool { name: "cargo-deny", stamp: DENY.to_owned(), install: Box::new(install) };
    let deps = root.join("target/deps");
    ensure(&deps, &tool)?;
    Ok(deps.join("cargo-deny/bin/cargo-deny"))
}

/// The files of the gRPC door, in `proto/entrepot/v1`.
const PROTOS: [&str; 6] = ["message", "publish", "subscribe", "request", "admin", "discover"];

/// Their text.
fn protos(root: &Path) -> Result<String, Failure> {
    let text = |name| {
        let file = root.join(format!("proto/entrepot/v1/{name}.proto"));
        std::fs::read_to_string(&file).map_err(|e| format!("{file:?}: {e}"))
    };
    PROTOS.into_iter().map(text).collect()
}

/// Whether this is the run that decides: then nothing may be left out.
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

fn ensure(deps: &Path, tool: &Tool) -> Result<(), Failure> {
    let place = deps.join(tool.name);
    let installed = std::fs::read_to_string(place.join("stamp")).ok();
    if installed.as_deref() == Some(tool.stamp.as_str()) {
        return Ok(());
    }
    let begun = Instant::now();
    let beside = deps.join(format!(".{}.{}", tool.name, std::process::id()));
    clear(&beside)?;
    std::fs::create_dir_all(&beside).map_err(|e| format!("{beside:?}: {e}"))?;
    let done = (tool.install)(&beside).and_then(|()| {
        std::fs::write(beside.join("stamp"), &tool.stamp).map_err(|e| e.to_string())?;
        clear(&place)?;
        std::fs::rename(&beside, &place).map_err(|e| format!("{place:?}: {e}"))
    });
    if done.is_err() {
        clear(&beside)?;
    } else {
        println!("setup: {} installed in {:.1} s", tool.name, begun.elapsed().as_secs_f64());
    }
    done
}

/// Unpacks the only archive in a folder there: what is below `part` of it, whose path has `levels`
/// names.
fn unpack(folder: &Path, part: &str, levels: u32) -> Result<(), Failure> {
    let mut entries = std::fs::read_dir(folder).map_err(|e| format!("{folder:?}: {e}"))?;
    let archive = entries.next().ok_or("nothing was downloaded")?.map_err(|e| e.to_string())?;
    let mut tar = Command::new("tar");
    tar.args(["--extract", &format!("--strip-components={levels}"), "--file"]);
    tar.arg(archive.path()).arg("--directory").arg(folder);
    if !part.is_empty() {
        tar.arg(part);
    }
    process::output(&mut tar).map(drop)
}

fn clear(folder: &Path) -> Result<(), Failure> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(format!("{folder:?}: {e}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    fn tool(stamp: &str, runs: &Rc<Cell<u32>>, works: bool) -> Tool {
        let runs = Rc::clone(runs);
        let install = move |folder: &Path| {
            runs.set(runs.get() + 1);
            std::fs::write(folder.join("program"), "x").map_err(|e| e.to_string())?;
            if works { Ok(()) } else { Err("no such package".to_owned()) }
        };
        Tool { name: "thing", stamp: stamp.to_owned(), install: Box::new(install) }
    }

    #[test]
    fn a_tool_is_installed_once_a_stamp_and_never_half() {
        let deps = std::env::temp_dir().join(format!("xtask-setup-{}", std::process::id()));
        clear(&deps).expect("no leftovers");
        let runs = Rc::new(Cell::new(0));
        ensure(&deps, &tool("1", &runs, false)).expect_err("it does not install");
        assert_eq!(std::fs::read_dir(&deps).expect("listed").count(), 0, "nothing is left");
        for stamp in ["1", "1", "2"] {
            ensure(&deps, &tool(stamp, &runs, true)).expect("it installs");
        }
        assert_eq!(runs.get(), 3, "the second run with the same stamp did nothing");
        assert!(deps.join("thing/program").exists());
        ensure(&deps, &tool("3", &runs, false)).expect_err("it does not install");
        assert!(deps.join("thing/program").exists(), "the one that worked is kept");
        clear(&deps).expect("removed");
    }
}
