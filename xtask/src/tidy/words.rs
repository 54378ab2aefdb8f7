//! Words that must not stand in some places: protocols in the core, sockets below the doors, an
//! async runtime in a codec.

use std::path::Path;

use super::{Finding, TextFile};
use crate::source::{has_word, lines};
use crate::workspace::Crate;

/// The layer of `door`: from here up, sockets are allowed.
const DOOR_LAYER: u64 = 5;

/// Crates that know no protocol by name.
const CORE: [&str; 7] = ["base", "observe", "store", "router", "queue", "cluster", "broker"];

const PROTOCOLS: [&str; 8] =
    ["kafka", "amqp", "mqtt", "nats", "stomp", "coap", "zookeeper", "rabbitmq"];

const SOCKETS: [&str; 6] =
    ["TcpStream", "TcpListener", "TcpSocket", "UdpSocket", "UnixStream", "UnixListener"];

/// The core names no protocol, not even in a comment: a core that knows one leans towards it.
pub(super) fn protocols(file: &TextFile) -> Vec<Finding> {
    let core = file.crate_name().is_some_and(|name| CORE.contains(&name));
    // The batch on disk is that protocol's, on purpose: it passes through unopened.
    let batch = file.path.to_str().is_some_and(|p| p.starts_with("crates/store/src/batch"));
    if !core || batch {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (number, line) in lines(&file.text) {
        let lower = line.to_lowercase();
        for word in PROTOCOLS.iter().filter(|word| lower.contains(*word)) {
            let text = format!(
                "names the protocol `{word}` in the core; say what it means in the \
                                core's own words, or move it to a door"
            );
            findings.push(Finding::new(&file.path, number, text));
        }
    }
    findings
}

/// Nothing below the doors opens a socket.
pub(super) fn sockets(file: &TextFile, crates: &[Crate]) -> Vec<Finding> {
    let owner = crates.iter().find(|c| file.path.starts_with(&c.dir));
    if owner.and_then(|c| c.layer).is_none_or(|layer| layer >= DOOR_LAYER) {
        return Vec::new();
    }
    find_words(file, &SOCKETS, "below layer 5; only doors and what stands on them do network I/O")
}

/// Only doors and the server use the runtime's sockets; the command line uses the standard ones.
pub(super) fn async_net(file: &TextFile) -> Vec<Finding> {
    let allowed = file.crate_name().is_none_or(|name| name.starts_with("door") || name == "server");
    let Some(rust) = file.rust.as_ref().filter(|_| !allowed) else { return Vec::new() };
    let mut findings = Vec::new();
    let mut inside_use = false;
    for (number, line) in lines(&rust.code) {
        inside_use |= line.contains("use tokio::{");
        if line.contains("tokio::net") || (inside_use && has_word(line, "net")) {
            let text = "uses tokio's net; only door* and server do, so that the core stays free of \
                        I/O on sockets";
            findings.push(Finding::new(&file.path, number, text));
        }
        inside_use &= !line.contains(';');
    }
    findings
}

/// A codec does no I/O and knows no runtime: bytes in, values out.
pub(super) fn wire(file: &TextFile) -> Vec<Finding> {
    let wire = file.path.components().any(|part| part.as_os_str() == "wire")
        || file.path.file_name() == Path::new("wire.rs").file_name();
    if !wire {
        return Vec::new();
    }
    let why = "in a wire/ module; codecs are plain functions, I/O belongs in session.rs";
    let mut findings = find_words(file, &["tokio", "async", "await"], why);
    findings.extend(find_words(file, &SOCKETS, why));
    findings
}

fn find_words(file: &TextFile, words: &[&str], why: &str) -> Vec<Finding> {
    let Some(rust) = &file.rust else { return Vec::new() };
    let mut findings = Vec::new();
    for (number, line) in lines(&rust.code) {
        for word in words.iter().filter(|word| has_word(line, word)) {
            findings.push(Finding::new(&file.path, number, format!("`{word}` {why}")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(check: fn(&TextFile) -> Vec<Finding>, path: &str, text: &str) -> Vec<usize> {
        check(&TextFile::new(path, text)).iter().map(|f| f.line).collect()
    }

    #[test]
    fn a_protocol_in_the_core_is_found_in_code_comments_and_manifests() {
        let path = "crates/queue/src/lib.rs";
        assert_eq!(
            found(protocols, path, "fn a() {}\n// as Kafka does\nstruct MqttSession;"),
            [2, 3]
        );
        assert_eq!(found(protocols, "crates/base/Cargo.toml", "rabbitmq = \"1\""), [1]);
    }

    #[test]
    fn a_protocol_is_fine_in_a_door_and_in_the_batch() {
        assert!(found(protocols, "crates/door-kafka/src/lib.rs", "// Kafka").is_empty());
        assert!(found(protocols, "crates/store/src/batch/header.rs", "// Kafka").is_empty());
        assert_eq!(found(protocols, "crates/store/src/wal.rs", "// Kafka"), [1]);
    }

    #[test]
    fn a_socket_below_the_doors_is_found() {
        let krate = |name: &str, layer| Crate {
            name: name.to_owned(),
            dir: Path::new("crates").join(name),
            layer: Some(layer),
            deps: Vec::new(),
            targets: Vec::new(),
        };
        let crates = [krate("store", 2), krate("door", 5)];
        let text = "// a TcpStream\nuse std::net::TcpStream;\n";
        let low = sockets(&TextFile::new("crates/store/src/lib.rs", text), &crates);
        assert_eq!(low.iter().map(|f| f.line).collect::<Vec<_>>(), [2]);
        assert!(sockets(&TextFile::new("crates/door/src/lib.rs", text), &crates).is_empty());
    }

    #[test]
    fn the_runtimes_sockets_are_found_outside_the_doors() {
        let path = "crates/broker/src/lib.rs";
        assert_eq!(found(async_net, path, "use tokio::net::TcpStream;"), [1]);
        assert_eq!(
            found(async_net, path, "use tokio::{\n    net::TcpStream,\n    sync,\n};\n"),
            [2]
        );
        assert!(found(async_net, path, "use tokio::{sync};\nlet net = 1;").is_empty());
        assert!(found(async_net, "crates/server/src/lib.rs", "use tokio::net::X;").is_empty());
    }

    #[test]
    fn a_runtime_in_a_codec_is_found_in_code_only() {
        let path = "crates/door-kafka/src/wire/fetch.rs";
        assert_eq!(
            found(wire, path, "//! No async here.\nuse tokio::io;\nasync fn f() {}"),
            [2, 3]
        );
        assert!(found(wire, "crates/door-kafka/src/session.rs", "async fn f() {}").is_empty());
    }
}
