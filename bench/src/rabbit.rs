//! How a RabbitMQ server is started, away from whatever else runs on the machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use tests::{Process, tool};

/// Erlang's table of nodes, at this port: a server would else start one by itself, and leave it behind.
pub(crate) fn nodes(port: u16) -> Process {
    let mut table = Command::new(program("epmd"));
    table.args(["-address", "127.0.0.1", "-port", &port.to_string()]);
    Process::start("epmd", &mut table)
}

/// RabbitMQ's own script in the foreground, as it comes and without plugins. The ports are the clients', that of the table
/// of nodes, and one for other nodes.
pub(crate) fn server(home: &Path, data: &Path, [port, nodes, distribution]: [u16; 3]) -> Command {
    let plugins = home.join("plugins");
    std::fs::write(&plugins, "[].").expect("the scratch folder is writable");
    let mut server = Command::new(program("rabbitmq-server"));
    server
        .env("ERL_CRASH_DUMP", home.join("dump"))
        .env("HOME", home)
        .env("RABBITMQ_MNESIA_BASE", data);
    server.env("RABBITMQ_LOG_BASE", home.join("log")).env("RABBITMQ_ENABLED_PLUGINS_FILE", plugins);
    server
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
        .env("RABBITMQ_NODENAME", format!("n{port}@localhost"));
    server.env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1").env("RABBITMQ_NODE_PORT", port.to_string());
    server
        .env("ERL_EPMD_PORT", nodes.to_string())
        .env("RABBITMQ_DIST_PORT", distribution.to_string());
    // Then the script becomes the server, and does not wait for it.
    server.env("RABBITMQ_ALLOW_INPUT", "1");
    server
}

fn program(name: &str) -> PathBuf {
    tool("rabbitmq").expect("the setup installs it").join("bin").join(name)
}
