//! What `config show`, `config check` and `config default` print.

use std::fmt::Write;

use super::keys::{KEYS, Key};
use super::listeners::bracketed;
use super::model::{Config, Door};

/// One key with its value, for printing.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Shown {
    /// The key.
    pub key: &'static str,
    /// Its value, as it would be written.
    pub value: String,
    /// Where it came from.
    pub origin: String,
}

impl Config {
    /// Every key with its value and origin, in the order of the documentation.
    pub fn shown(&self) -> Vec<Shown> {
        let mut copy = self.clone();
        KEYS.iter()
            .map(|key| Shown {
                key: key.name,
                value: key.get(&mut copy),
                origin: self.origin(key.name).to_string(),
            })
            .collect()
    }

    /// All keys as TOML that can be read back, each with its origin behind it if asked for.
    pub fn to_toml(&self, with_origin: bool) -> String {
        let mut copy = self.clone();
        let lines: Vec<(String, String)> = KEYS
            .iter()
            .map(|key| {
                let value = quoted(key, &key.get(&mut copy));
                (format!("{} = {value}", key.name), self.origin(key.name).to_string())
            })
            .collect();
        let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or_default();
        let mut text = String::new();
        for (line, origin) in lines {
            if with_origin {
                let _ = writeln!(text, "{line:<width$}  # {origin}");
            } else {
                let _ = writeln!(text, "{line}");
            }
        }
        for scoped in &self.scoped {
            let Some(key) = KEYS.iter().find(|key| key.name == scoped.key) else { continue };
            let value = match key.is_secret() {
                true => string(super::security::HIDDEN),
                false => quoted(key, &scoped.value.0),
            };
            let name = string(&scoped.listener);
            let _ = write!(text, "listener.{name}.{} = {value}", key.name);
            let _ = match with_origin {
                true => writeln!(text, "  # {}", scoped.origin),
                false => writeln!(text),
            };
        }
        text
    }

    /// What a person wants to know first, one fact a line: said at start and by `config check`.
    pub fn summary(&self) -> Vec<String> {
        let mut lines = vec![
            format!("broker {}", self.broker.id),
            format!("data in {} ({})", self.storage.dir.display(), self.origin("storage.dir")),
        ];
        for listener in &self.listeners {
            let door = match listener.door {
                Door::Kafka => "Kafka",
                Door::Zookeeper => "ZooKeeper",
                Door::Amqp => "AMQP",
                Door::AmqpTls => "AMQP over TLS",
                Door::AmqpManagement => "AMQP management",
                Door::Http => "HTTP",
                Door::Mqtt => "MQTT",
                Door::MqttWebsocket => "MQTT over WebSocket",
                Door::Nats => "NATS",
                Door::NatsWebsocket => "NATS over WebSocket",
                Door::NatsMonitor => "NATS monitoring",
                Door::Stomp => "STOMP",
                Door::StompTls => "STOMP over TLS",
                Door::StompWebsocket => "STOMP over WebSocket",
                Door::Coap => "CoAP",
                Door::CoapWebsocket => "CoAP over WebSocket",
                Door::Grpc => "gRPC",
            };
            let reach =
                if listener.is_loopback() { ", for this machine only" } else { ", for everybody" };
            let port = match listener.port {
                0 => "any free port".to_owned(),
                port => port.to_string(),
            };
            let protection = match &listener.security[..] {
                "PLAINTEXT" => "",
                "SSL" => ", over TLS",
                "SASL_SSL" => ", over TLS, with logins",
                _ => ", with logins",
            };
            let host = bracketed(&listener.host);
            lines.push(format!("{door} on {host}:{port}{protection}{reach}"));
        }
        lines
    }
}

/// A TOML file that says nothing: every key with its meaning and its default, commented out.
pub fn default_toml() -> String {
    let mut text = String::from(
        "# Entrepot's configuration. Every line is commented out and shows the default.\n\
         # The environment and flags go before this file: storage.dir is also\n\
         # ENTREPOT_STORAGE__DIR and --set storage.dir=...\n",
    );
    let mut section = "";
    for key in KEYS {
        let (this, name) = key.name.split_once('.').unwrap_or(("", key.name));
        if this != section {
            section = this;
            let _ = write!(text, "\n[{section}]\n");
        }
        let _ = write!(text, "\n{}", comment(key));
        let _ = writeln!(text, "#{name} = {}", quoted(key, key.default));
    }
    text
}

fn comment(key: &Key) -> String {
    let mut text = String::new();
    let mut line = String::from("#");
    for word in format!("{} ({})", key.doc, key.allowed()).split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > 100 {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text + &line + "\n"
}

fn quoted(key: &Key, value: &str) -> String {
    if key.is_list() {
        let items: Vec<_> = super::keys::list(value).iter().map(|item| string(item)).collect();
        format!("[{}]", items.join(", "))
    } else if key.is_bare_in_toml() {
        value.to_owned()
    } else {
        string(value)
    }
}

fn string(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::sources::{Environment, Flags};
    use super::*;

    fn load(file: &std::path::Path) -> Config {
        let flags = Flags { config: Some(file.to_owned()), ..Flags::default() };
        Config::load(&flags, &Environment::default()).unwrap()
    }

    #[test]
    fn what_is_shown_can_be_read_back_as_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let first = folder.path().join("server.properties");
        std::fs::write(
            &first,
            "broker.id=7\nbroker.rack=r\"1\nlisteners=A://127.0.0.1:1,B://127.0.0.1:2\n\
             listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT\nlog.dirs=/data/a b\n\
             log.retention.ms=-1\n",
        )
        .unwrap();
        let config = load(&first);
        for with_origin in [false, true] {
            let second = folder.path().join("shown.toml");
            std::fs::write(&second, config.to_toml(with_origin)).unwrap();
            let values = |config: &Config| -> Vec<_> {
                config.shown().into_iter().map(|shown| (shown.key, shown.value)).collect()
            };
            assert_eq!(values(&load(&second)), values(&config));
        }
    }

    #[test]
    fn the_default_file_says_nothing_and_with_its_comments_opened_says_the_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("default.toml");
        let text = default_toml();
        std::fs::write(&file, &text).unwrap();
        let config = load(&file);
        assert!(config.origins.is_empty());

        let opened: String = text
            .lines()
            .filter(|line| !line.starts_with("#dir = "))
            .map(|line| {
                line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line)
            })
            .map(|line| format!("{line}\n"))
            .collect();
        std::fs::write(&file, opened).unwrap();
        let mut opened = load(&file);
        assert_eq!(opened.origins.len(), KEYS.len() - 1, "all keys but storage.dir were set");
        opened.origins.clear();
        assert_eq!(opened, config);
    }

    #[test]
    fn the_origin_of_each_value_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("server.properties");
        std::fs::write(&file, "# x\nbroker.id=7\nnum.partitions=3\nlog.retention.hours=1\n")
            .unwrap();
        let flags = Flags {
            config: Some(file.clone()),
            kafka_port: Some("19092".into()),
            set: vec!["topic.partitions=5".into()],
            ..Flags::default()
        };
        let mut environment = Environment::default();
        environment.variables.insert("ENTREPOT_GROUP__MAX_SIZE".into(), "9".into());
        let shown = Config::load(&flags, &environment).unwrap().shown();
        let of = |name: &str| {
            let shown = shown.iter().find(|shown| shown.key == name).unwrap();
            format!("{} {}", shown.value, shown.origin)
        };
        assert_eq!(of("broker.id"), format!("7 {}:2", file.display()));
        assert_eq!(of("topic.retention_ms"), format!("3600000 {}:4", file.display()));
        assert_eq!(of("topic.partitions"), "5 flag --set");
        assert_eq!(of("kafka.port"), "19092 flag --kafka-port");
        assert_eq!(of("group.max_size"), "9 environment ENTREPOT_GROUP__MAX_SIZE");
        assert_eq!(of("log.level"), "info default");
    }
}
