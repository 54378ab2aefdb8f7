//! kcat, ZooKeeper and mosquitto from Debian's packages, unpacked rather than installed, so that root is not
//! needed.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Tool;
use crate::{Failure, process};

/// Never unpacked: the C library must be the one that the system's loader belongs to.
const SYSTEM: [&str; 3] = ["libc6", "libgcc-s1", "gcc-"];

/// kcat and the libraries it needs.
pub(super) fn kcat() -> Tool {
    // Debian's release decides the version (12: 1.7.1).
    Tool { name: "kcat", stamp: "kcat, unpacked, 1".to_owned(), install: Box::new(install) }
}

fn install(folder: &Path) -> Result<(), Failure> {
    unpack(folder, &|options| with_libraries(options, &["kcat"]))?;
    script(folder, "kcat", &STARTED.replace("PROGRAM", "bin/kcat"))?;
    process::output(Command::new(folder.join("bin/kcat")).arg("-V")).map(drop)
}

/// strace, with which the benchmarks count system calls.
pub(super) fn strace() -> Tool {
    let install = |folder: &Path| {
        unpack(folder, &|options| with_libraries(options, &["strace"]))?;
        script(folder, "strace", &STARTED.replace("PROGRAM", "bin/strace"))?;
        process::output(Command::new(folder.join("bin/strace")).arg("-V")).map(drop)
    };
    Tool { name: "strace", stamp: "strace, unpacked, 1".to_owned(), install: Box::new(install) }
}

/// libcoap's client, and the server to compare with.
pub(super) fn libcoap() -> Tool {
    // Debian's release decides the version (12: 4.3.1).
    let install = |folder: &Path| {
        unpack(folder, &|options| with_libraries(options, &["libcoap3-bin"]))?;
        for name in ["coap-client", "coap-server"] {
            script(folder, name, &STARTED.replace("PROGRAM", &format!("bin/{name}-notls")))?;
            // It knows no option that only says what it is, and says so with its version.
            let said = Command::new(folder.join("bin").join(name)).arg("-?").output();
            let said = said.map_err(|e| format!("{name}: {e}"))?;
            let text = String::from_utf8_lossy(&said.stderr).into_owned();
            if !text.contains(name) {
                return Err(format!("{name}: {text}"));
            }
        }
        let secure = STARTED.replace("PROGRAM", "bin/coap-client-gnutls");
        script(folder, "coap-client-secure", &secure)
    };
    Tool { name: "libcoap", stamp: "libcoap, unpacked, 5".to_owned(), install: Box::new(install) }
}

/// Prometheus, and its tool that checks what it would read. Both are static.
pub(super) fn prometheus() -> Tool {
    // Debian's release decides the version (12: 2.42).
    let install = |folder: &Path| {
        unpack(folder, &|_options| Ok(vec!["prometheus".to_owned()]))?;
        for (name, program) in [("prometheus", "bin/prometheus"), ("promtool", "bin/promtool")] {
            script(folder, name, &STARTED.replace("PROGRAM", program))?;
        }
        process::output(Command::new(folder.join("bin/promtool")).arg("--version")).map(drop)
    };
    let stamp = "prometheus, unpacked, 1".to_owned();
    Tool { name: "prometheus", stamp, install: Box::new(install) }
}

/// The plugin of the compiler of `.proto` files that writes Java's services, in a folder; returns the program.
pub(super) fn grpc_java_plugin(folder: &Path) -> Result<PathBuf, Failure> {
    // Debian's release decides the version (12: 1.41.3).
    unpack(folder, &|options| with_libraries(options, &["protobuf-compiler-grpc-java-plugin"]))?;
    let name = "grpc_java_plugin";
    script(folder, name, &STARTED.replace("PROGRAM", &format!("bin/{name}")))?;
    Ok(folder.join("bin").join(name))
}

/// Burrow, which watches over Kafka's consumer groups.
pub(super) fn burrow() -> Tool {
    // Debian's release decides the version (12: 1.2.1). The library is all that it is linked with; what else its package
    // depends on is for a system that starts it.
    let install = |folder: &Path| {
        unpack(folder, &|_options| Ok(["burrow", "libzstd1"].map(str::to_owned).to_vec()))?;
        script(folder, "burrow", &STARTED.replace("PROGRAM", "bin/Burrow"))?;
        process::output(Command::new(folder.join("bin/burrow")).arg("--help")).map(drop)
    };
    let stamp = "burrow, unpacked, 1".to_owned();
    Tool { name: "burrow", stamp, install: Box::new(install) }
}

/// Packages and the libraries that they need.
pub(super) fn with_libraries(options: &[String], wanted: &[&str]) -> Result<Vec<String>, Failure> {
    let mut depends = Command::new("apt-cache");
    depends.args(options).args(["depends", "--recurse", "--no-recommends", "--no-suggests"]);
    depends.args(["--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances"]);
    let packages = needed(&process::output(depends.args(wanted))?);
    match wanted.iter().find(|wanted| !packages.iter().any(|name| name == *wanted)) {
        None => Ok(packages),
        Some(missing) => Err(format!("apt knows no package {missing}")),
    }
}

/// mosquitto's clients, the broker to compare with, and in `source` its source with its tests.
pub(super) fn mosquitto() -> Tool {
    // Debian's release decides the version (12: 2.0.11).
    let stamp = "mosquitto and its source, unpacked, 2".to_owned();
    Tool { name: "mosquitto", stamp, install: Box::new(install_mosquitto) }
}

fn install_mosquitto(folder: &Path) -> Result<(), Failure> {
    // Of the broker's package the broker alone: what else it depends on is for a system that starts it.
    unpack(folder, &|options| {
        let mut packages = with_libraries(options, &["mosquitto-clients"])?;
        packages.push("mosquitto".to_owned());
        packages.extend(BROKER_LIBRARIES.map(str::to_owned));
        Ok(packages)
    })?;
    for (name, program) in MOSQUITTO {
        script(folder, name, &STARTED.replace("PROGRAM", program))?;
    }
    for (program, argument) in [("mosquitto_pub", "--version"), ("mosquitto", "-h")] {
        // It ends with a failure after it has said its version.
        let said = Command::new(folder.join("bin").join(program)).arg(argument).output();
        let said = said.map_err(|e| format!("{program}: {e}"))?;
        if !String::from_utf8_lossy(&said.stdout).contains("version") {
            return Err(format!("{program}: {}", String::from_utf8_lossy(&said.stderr)));
        }
    }
    source(folder, "mosquitto")
}

const MOSQUITTO: [(&str, &str); 4] = [
    ("mosquitto", "sbin/mosquitto"),
    ("mosquitto_pub", "bin/mosquitto_pub"),
    ("mosquitto_sub", "bin/mosquitto_sub"),
    ("mosquitto_rr", "bin/mosquitto_rr"),
];

/// What the broker is linked with, beside the libraries of its clients.
const BROKER_LIBRARIES: [&str; 3] = ["libdlt2", "libwebsockets17", "libwrap0"];

/// Unpacks a package's original source into `source`.
fn source(folder: &Path, package: &str) -> Result<(), Failure> {
    let downloads = folder.join("source");
    std::fs::create_dir_all(&downloads).map_err(|e| e.to_string())?;
    let lists = folder.join("sources.list");
    std::fs::write(&lists, source_lists()?).map_err(|e| e.to_string())?;
    let mut options = own_options(folder)?;
    let list = format!("Dir::Etc::sourcelist={}", lists.display());
    options.extend([
        "-o".to_owned(),
        list,
        "-o".to_owned(),
        "Dir::Etc::sourceparts=/dev/null".to_owned(),
    ]);
    process::output(Command::new("apt-get").args(&options).arg("update"))?;
    let mut download = Command::new("apt-get");
    download.current_dir(&downloads).args(&options);
    process::output(download.args(["source", "--download-only", package]))?;
    for entry in std::fs::read_dir(&downloads).map_err(|e| e.to_string())?.flatten() {
        // Debian's own changes and descriptions beside it are not wanted.
        if !entry.file_name().to_string_lossy().contains(".orig.tar.") {
            std::fs::remove_file(entry.path()).map_err(|e| e.to_string())?;
        }
    }
    std::fs::remove_dir_all(folder.join("apt")).ok();
    super::unpack(&downloads, "", 1)
}

/// The system's lists of packages, as lists of their sources: one line each.
fn source_lists() -> Result<String, Failure> {
    let mut lines = String::new();
    let folder = std::fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    let files = folder.map(|entry| entry.path()).chain(["/etc/apt/sources.list".into()]);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => lines.push_str(&source_lines(&text)),
            Some("sources") => lines.push_str(&source_stanzas(&text)),
            _ => {}
        }
    }
    if lines.is_empty() { Err("apt has no list of packages".to_owned()) } else { Ok(lines) }
}

/// From lines `deb [options] uri suite components`.
fn source_lines(text: &str) -> String {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("deb "));
    lines.map(|rest| format!("deb-src {rest}\n")).collect()
}

/// From stanzas of `Key: value`.
fn source_stanzas(text: &str) -> String {
    let mut lines = String::new();
    for stanza in text.split("\n\n") {
        let value = |key: &str| {
            let mut pairs = stanza.lines().filter_map(|line| line.split_once(':'));
            pairs.find(|(name, _)| *name == key).map_or("", |(_, value)| value.trim())
        };
        if !value("Types").split_whitespace().any(|kind| kind == "deb") {
            continue;
        }
        let signed = match value("Signed-By") {
            "" => String::new(),
            key => format!("[signed-by={key}] "),
        };
        for uri in value("URIs").split_whitespace() {
            for suite in value("Suites").split_whitespace() {
                let components = value("Components");
                lines.push_str(&format!("deb-src {signed}{uri} {suite} {components}\n"));
            }
        }
    }
    lines
}

/// Names the packages to unpack, given options for apt.
type Wanted<'a> = &'a dyn Fn(&[String]) -> Result<Vec<String>, Failure>;

/// Unpacks packages into a folder.
pub(super) fn unpack(folder: &Path, wanted: Wanted<'_>) -> Result<(), Failure> {
    if !process::exists("apt-get") || !process::exists("dpkg") {
        return Err("apt-get and dpkg are needed: this comes from Debian's packages".to_owned());
    }
    let downloads = folder.join("downloads");
    std::fs::create_dir_all(&downloads).map_err(|e| e.to_string())?;
    // The system's package lists may be absent (a fresh container) or out of date. Then lists of
    // our own do, which needs no root either.
    if fetch(&downloads, &[], wanted).is_err() {
        let (own, updated) = own_lists(folder)?;
        // Hooks of the system that need root may fail the update although the lists are there.
        let why = updated.err().unwrap_or_default();
        fetch(&downloads, &own, wanted).map_err(|e| format!("{why}\n{e}"))?;
    }
    for package in archives(&downloads)? {
        process::output(Command::new("dpkg").arg("-x").arg(package).arg(folder))?;
    }
    for leftover in [downloads, folder.join("apt")] {
        std::fs::remove_dir_all(leftover).ok();
    }
    Ok(())
}

/// Downloads packages.
fn fetch(downloads: &Path, options: &[String], wanted: Wanted<'_>) -> Result<(), Failure> {
    let mut download = Command::new("apt-get");
    download.current_dir(downloads).args(options).args(["-o", "APT::Sandbox::User=root"]);
    process::output(download.arg("download").args(wanted(options)?)).map(drop)
}

/// The packages to unpack, from what `apt-cache depends` printed.
fn needed(depends: &str) -> Vec<String> {
    // A package stands at the start of a line; its dependencies are indented; `<…>` is virtual.
    let named = depends.lines().filter(|line| line.starts_with(char::is_alphanumeric));
    named
        .filter(|name| !SYSTEM.iter().any(|system| name.starts_with(system)))
        .map(|name| name.split(':').next().unwrap_or(name).to_owned())
        .collect()
}

/// Fetches package lists into the tool's own folder; returns the options that use them, and how
/// the update went.
fn own_lists(folder: &Path) -> Result<(Vec<String>, Result<String, Failure>), Failure> {
    let options = own_options(folder)?;
    let updated = process::output(Command::new("apt-get").args(&options).arg("update"));
    Ok((options, updated))
}

/// Options for lists in the tool's own folder.
fn own_options(folder: &Path) -> Result<Vec<String>, Failure> {
    let apt = folder.join("apt");
    for part in ["lists/partial", "cache/archives/partial"] {
        std::fs::create_dir_all(apt.join(part)).map_err(|e| e.to_string())?;
    }
    let option = |key: &str, part: &str| format!("{key}={}", apt.join(part).display());
    let mut options = Vec::new();
    for value in [
        option("Dir::State::lists", "lists"),
        option("Dir::Cache", "cache"),
        "APT::Sandbox::User=root".to_owned(),
    ] {
        options.extend(["-o".to_owned(), value]);
    }
    Ok(options)
}

fn archives(downloads: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(downloads).map_err(|e| e.to_string())?;
    let mut found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    found.retain(|path| path.extension().is_some_and(|e| e == "deb"));
    Ok(found)
}

/// Starts a program with its own libraries, wherever the folder is.
const STARTED: &str = "#!/bin/sh\n\
    here=$(dirname \"$(readlink -f \"$0\")\")/..\n\
    for lib in \"$here\"/usr/lib/*-linux-gnu* \"$here\"/lib/*-linux-gnu*; do\n\
    \x20 LD_LIBRARY_PATH=$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}\n\
    done\n\
    export LD_LIBRARY_PATH\n\
    exec \"$here/usr/PROGRAM\" \"$@\"\n";

/// Starts a ZooKeeper server as its configuration file, the only argument, says. Its log goes to
/// standard error.
const ZOOKEEPER: &str = "#!/bin/sh\n\
    jars=$(dirname \"$(readlink -f \"$0\")\")/../usr/share/java\n\
    for jar in zookeeper zookeeper-jute slf4j-api slf4j-simple metrics-core snappy-java netty-buffer \\\n\
    \x20 netty-codec netty-common netty-handler netty-resolver netty-transport \\\n\
    \x20 netty-transport-native-epoll netty-transport-native-unix-common; do\n\
    \x20 path=$path:$jars/$jar.jar\n\
    done\n\
    exec java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx256m -cp \"$path\" \\\n\
    \x20 org.apache.zookeeper.server.quorum.QuorumPeerMain \"$1\"\n";

/// What that runs with. Debian's package depends on much more: a desktop's Java, other logs.
const ZOOKEEPER_PACKAGES: [&str; 5] = [
    "libzookeeper-java",
    "libnetty-java",
    "libslf4j-java",
    "libdropwizard-metrics-java",
    "libsnappy-java",
];

/// A ZooKeeper server.
pub(super) fn zookeeper() -> Tool {
    // Debian's release decides the version (12: 3.8.0).
    let stamp = "zookeeper, unpacked, 2".to_owned();
    Tool { name: "zookeeper", stamp, install: Box::new(install_zookeeper) }
}

fn install_zookeeper(folder: &Path) -> Result<(), Failure> {
    if !process::exists("java") {
        return Err("a Java runtime is needed (on Debian: default-jre-headless)".to_owned());
    }
    unpack(folder, &|_| Ok(ZOOKEEPER_PACKAGES.map(str::to_owned).to_vec()))?;
    script(folder, "zookeeper", ZOOKEEPER)?;
    let jar = folder.join("usr/share/java/zookeeper.jar");
    if jar.exists() { Ok(()) } else { Err(format!("{} is missing", jar.display())) }
}

/// What RabbitMQ runs with. Debian's package also wants a user, a service and a log rotation of its own.
const RABBITMQ_PACKAGES: [&str; 16] = [
    "rabbitmq-server",
    "erlang-base",
    "erlang-asn1",
    "erlang-crypto",
    "erlang-eldap",
    "erlang-inets",
    "erlang-mnesia",
    "erlang-os-mon",
    "erlang-parsetools",
    "erlang-public-key",
    "erlang-runtime-tools",
    "erlang-ssl",
    "erlang-syntax-tools",
    "erlang-tools",
    "erlang-xmerl",
    "libsctp1",
];

/// Erlang, wherever the folder is.
const ERL: &str = "#!/bin/sh\n\
    here=$(dirname \"$(readlink -f \"$0\")\")/..\n\
    export ROOTDIR=$here/usr/lib/erlang EMU=beam PROGNAME=erl\n\
    BINDIR=$(echo \"$ROOTDIR\"/erts-*/bin)\n\
    export BINDIR\n\
    exec \"$BINDIR/erlexec\" \"$@\"\n";

/// Erlang's table of nodes, which would else start by itself and stay.
const EPMD: &str = "#!/bin/sh\n\
    here=$(dirname \"$(readlink -f \"$0\")\")/..\n\
    exec \"$(echo \"$here\"/usr/lib/erlang/erts-*/bin)/epmd\" \"$@\"\n";

/// RabbitMQ's own script, with that Erlang; the environment says the rest.
const RABBITMQ: &str = "#!/bin/sh\n\
    here=$(dirname \"$(readlink -f \"$0\")\")/..\n\
    PATH=$here/bin:$PATH\n\
    export PATH\n\
    exec \"$(echo \"$here\"/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin)/rabbitmq-server\" \"$@\"\n";

/// A RabbitMQ server.
pub(super) fn rabbitmq() -> Tool {
    // Debian's release decides the version (12: 3.10.8).
    let stamp = "rabbitmq-server, unpacked, 1".to_owned();
    Tool { name: "rabbitmq", stamp, install: Box::new(install_rabbitmq) }
}

fn install_rabbitmq(folder: &Path) -> Result<(), Failure> {
    unpack(folder, &|_| Ok(RABBITMQ_PACKAGES.map(str::to_owned).to_vec()))?;
    for (name, text) in [("erl", ERL), ("epmd", EPMD), ("rabbitmq-server", RABBITMQ)] {
        script(folder, name, text)?;
    }
    let mut erlang = Command::new(folder.join("bin/erl"));
    process::output(erlang.args(["-noshell", "-eval", "ok = crypto:start(), halt()."])).map(drop)
}

/// Writes a program into `bin`.
pub(super) fn script(folder: &Path, name: &str, text: &str) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let bin = folder.join("bin");
    let script = bin.join(name);
    std::fs::create_dir_all(&bin).map_err(|e| e.to_string())?;
    std::fs::write(&script, text).map_err(|e| e.to_string())?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))
        .map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_unpacked_but_never_the_c_library() {
        let text = "kcat\n  Depends: libc6\n  Depends: librdkafka1\nlibc6\nlibgcc-s1\n\
                    gcc-12-base\n<virtual>\nlibrdkafka1\nlibssl3:amd64\n";
        assert_eq!(needed(text), ["kcat", "librdkafka1", "libssl3"]);
    }

    #[test]
    fn lists_of_sources_are_made_of_lists_of_packages() {
        let lines = "# comment\ndeb [arch=amd64] uri one main\ndeb-src uri one main\n";
        assert_eq!(source_lines(lines), "deb-src [arch=amd64] uri one main\n");
        let stanzas = "Types: deb\nURIs: uri\nSuites: one two\nComponents: main\nSigned-By: /key\n\n\
                       Types: deb-src\nURIs: uri\nSuites: one\nComponents: main\n";
        let expected =
            "deb-src [signed-by=/key] uri one main\ndeb-src [signed-by=/key] uri two main\n";
        assert_eq!(source_stanzas(stanzas), expected);
    }
}
