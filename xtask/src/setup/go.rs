//! Go clients, tested with the tests in their modules; only the test programs are kept.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::Tool;
use crate::{Failure, process};

/// The module, and its package whose tests are built.
const FRANZ: (&str, &str) = ("github.com/twmb/franz-go@v1.22.3", "pkg/kgo");

/// Its tests are changed: `tests/suites/sarama` has what stands in for five brokers in containers, and
/// tests of ours.
const SARAMA: &str = "github.com/IBM/sarama@v1.61.1";

/// Its tests ask a service for servers, so they are as they are.
const NATS: &str = "github.com/nats-io/nats.go@v1.55.0";

/// Its tests of whole connections talk to a broker on port 1883 of a host that they are told.
const PAHO: &str = "github.com/eclipse/paho.mqtt.golang@v1.5.1";

/// What our program for the gRPC door is built with, …
const GRPC: &str = "google.golang.org/grpc@v1.85.0";
/// … what generates code for it, and a client that asks the door itself what can be called.
const GRPC_TOOLS: [&str; 3] = [
    "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12",
    "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2",
    "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4",
];

/// The modules' test programs, each a tool.
///
/// # Errors
/// When our own tests cannot be read.
pub(super) fn tools(root: &Path) -> Result<Vec<Tool>, Failure> {
    Ok(vec![franz(), sarama(root)?, nats(root)?, paho(), grpc(root)?])
}

fn franz() -> Tool {
    let stamp = format!("{} {}, 1", FRANZ.0, FRANZ.1);
    let install = |folder: &Path| {
        let package = download(folder, FRANZ.0)?.join(FRANZ.1);
        let mut test = go(&package);
        test.args(["test", "-vet=off", "-c", "-o"]).arg(folder.join("kgo.test")).arg(".");
        process::output(&mut test).map(drop)
    };
    Tool { name: "suite-franz-go", stamp, install: Box::new(install) }
}

fn sarama(root: &Path) -> Result<Tool, Failure> {
    let mut ours: Vec<PathBuf> = Vec::new();
    let folder = root.join("tests/suites/sarama");
    let entries = std::fs::read_dir(&folder).map_err(|e| format!("{folder:?}: {e}"))?;
    for entry in entries {
        ours.push(entry.map_err(|e| format!("{folder:?}: {e}"))?.path());
    }
    ours.retain(|path| path.extension().is_some_and(|extension| extension == "go"));
    ours.sort();
    let mut stamp = SARAMA.to_owned();
    for file in &ours {
        stamp += &std::fs::read_to_string(file).map_err(|e| format!("{file:?}: {e}"))?;
    }
    let install = move |place: &Path| {
        let module = download(place, SARAMA)?;
        let source = place.join("source");
        // The module's own place is not to be written to.
        process::output(Command::new("cp").arg("-r").arg(module).arg(&source))?;
        process::output(Command::new("chmod").args(["-R", "u+w"]).arg(&source))?;
        for file in &ours {
            let name = match file.file_name().and_then(|name| name.to_str()) {
                Some("environment_test.go") => "functional_test.go".to_owned(),
                name => format!("entrepot_{}", name.unwrap_or_default()),
            };
            std::fs::copy(file, source.join(name)).map_err(|e| format!("{file:?}: {e}"))?;
        }
        let mut test = go(&source);
        test.args(["test", "-vet=off", "-tags=functional", "-c", "-o"]);
        process::output(test.arg(place.join("sarama.test")).arg("."))?;
        std::fs::remove_dir_all(source).map_err(|e| e.to_string())
    };
    Ok(Tool { name: "suite-sarama", stamp, install: Box::new(install) })
}

/// nats.go's tests, with the files that they read; and a program of ours that uses it, `client`.
fn nats(root: &Path) -> Result<Tool, Failure> {
    let program = root.join("tests/suites/nats-go/client.go");
    let text = std::fs::read_to_string(&program).map_err(|e| format!("{program:?}: {e}"))?;
    let install = move |folder: &Path| {
        let module = download(folder, NATS)?;
        let mut test = go(&module);
        // The module that its tests need more for has a file of its own.
        test.args(["test", "-modfile=go_test.mod", "-tags=internal_testing", "-vet=off", "-c"]);
        process::output(test.arg("-o").arg(folder.join("nats.test")).arg("./test"))?;
        let files = module.join("test");
        process::output(Command::new("cp").arg("-r").arg(files).arg(folder.join("test")))?;
        process::output(Command::new("chmod").args(["-R", "u+w"]).arg(folder.join("test")))?;
        let source = folder.join("source");
        std::fs::create_dir(&source).map_err(|e| e.to_string())?;
        std::fs::copy(&program, source.join("client.go")).map_err(|e| e.to_string())?;
        process::output(go(&source).args(["mod", "init", "client"]))?;
        process::output(go(&source).args(["get", NATS]))?;
        process::output(go(&source).arg("build").arg("-o").arg(folder.join("client")).arg("."))?;
        std::fs::remove_dir_all(source).map_err(|e| e.to_string())
    };
    let stamp = format!("{NATS}, 1\n{text}");
    Ok(Tool { name: "suite-nats-go", stamp, install: Box::new(install) })
}

/// A program of ours with grpc-go and what its tools generate of our `.proto` files, `client`; and grpcurl.
fn grpc(root: &Path) -> Result<Tool, Failure> {
    let (program, protos) = (root.join("tests/suites/grpc-go/client.go"), root.join("proto"));
    let text = std::fs::read_to_string(&program).map_err(|e| format!("{program:?}: {e}"))?;
    let python = root.join("target/deps/py-grpc/bin/python");
    let stamp = format!("{GRPC}, {}, 1\n{text}{}", GRPC_TOOLS.join(", "), super::protos(root)?);
    let install = move |folder: &Path| {
        for tool in GRPC_TOOLS {
            process::output(go(folder).env("GOBIN", folder.join("bin")).args(["install", tool]))?;
        }
        let source = folder.join("source");
        std::fs::create_dir(&source).map_err(|e| e.to_string())?;
        // The compiler of the Python tools, which runs other languages' generators, too.
        let mut compile = Command::new(&python);
        compile.args(["-m", "grpc_tools.protoc", "-I"]).arg(&protos);
        for plugin in ["go", "go-grpc"] {
            let program = folder.join(format!("bin/protoc-gen-{plugin}"));
            compile.arg(format!("--plugin=protoc-gen-{plugin}={}", program.display()));
            compile.arg(format!("--{plugin}_out={}", source.display()));
            compile.arg(format!("--{plugin}_opt=paths=source_relative"));
        }
        compile.args(super::PROTOS.map(|name| format!("entrepot/v1/{name}.proto")));
        process::output(&mut compile).map_err(|e| format!("{e}\npy-grpc is needed"))?;
        std::fs::copy(&program, source.join("client.go")).map_err(|e| e.to_string())?;
        process::output(go(&source).args(["mod", "init", "client"]))?;
        process::output(go(&source).args(["get", GRPC]))?;
        process::output(go(&source).args(["mod", "tidy"]))?;
        process::output(go(&source).arg("build").arg("-o").arg(folder.join("client")).arg("."))?;
        std::fs::remove_dir_all(source).map_err(|e| e.to_string())
    };
    Ok(Tool { name: "suite-grpc-go", stamp, install: Box::new(install) })
}

fn paho() -> Tool {
    let install = |folder: &Path| {
        let module = download(folder, PAHO)?;
        let mut test = go(&module);
        test.args(["test", "-vet=off", "-c", "-o"]).arg(folder.join("paho.test")).arg(".");
        process::output(&mut test).map(drop)
    };
    Tool { name: "suite-paho-golang", stamp: format!("{PAHO}, 1"), install: Box::new(install) }
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
