//! Go clients, tested with the tests in their modules; only the test programs are kept.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::Tool;
use crate::{Failure, process};

/// The module, and its package whose tests are built.
const FRANZ: (&str, &str) = ("github.com/twmb/franz-go@v1.22.3", "pkg/kgo");

/// The modules' test programs, each a tool.
pub(super) fn tools() -> Vec<Tool> {
    let stamp = format!("{} {}, 1", FRANZ.0, FRANZ.1);
    let install = |folder: &Path| {
        let package = download(folder, FRANZ.0)?.join(FRANZ.1);
        let mut test = go(&package);
        test.args(["test", "-vet=off", "-c", "-o"]).arg(folder.join("kgo.test")).arg(".");
        process::output(&mut test).map(drop)
    };
    vec![Tool { name: "suite-franz-go", stamp, install: Box::new(install) }]
}

/// Has Go download a module; returns where it is.
fn download(folder: &Path, module: &str) -> Result<PathBuf, Failure> {
    let told = process::output(go(folder).args(["mod", "download", "-json", module]))?;
    let told: Value = serde_json::from_str(&told).map_err(|e| e.to_string())?;
    told["Dir"].as_str().map(PathBuf::from).ok_or_else(|| format!("go did not download {module}"))
}

fn go(folder: &Path) -> Command {
    let mut go = Command::new("go");
    go.current_dir(folder).env("GOTOOLCHAIN", "local");
    go
}
