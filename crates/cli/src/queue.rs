//! `entrepot queue` and `entrepot exchange`: by the management API of the AMQP door, for Kafka's protocol knows no queues.

use clap::{Args, Subcommand};
use door::http::escape;
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::client::management::Management;
use crate::output::{Output, Row};
use crate::{CliError, Connect};

/// Where the management API is, and which virtual host is meant.
#[derive(Debug, Args)]
pub(crate) struct Where {
    #[command(flatten)]
    pub(crate) connect: Connect,
    /// Where the management API is; port 15672 of the first --server if not said
    #[arg(
        long,
        global = true,
        value_name = "HOST:PORT",
        env = "ENTREPOT_MANAGEMENT",
        help_heading = "Connection"
    )]
    management: Option<String>,
    /// The virtual host; where things are listed, all of them if not said
    #[arg(long, global = true, value_name = "NAME")]
    virtual_host: Option<String>,
}

impl Where {
    pub(crate) fn management(&self) -> Result<Management, CliError> {
        self.connect.management(self.management.as_deref())
    }

    /// The path of all things of a kind.
    pub(crate) fn all(&self, kind: &str) -> String {
        match &self.virtual_host {
            None => kind.to_owned(),
            Some(host) => format!("{kind}/{}", escape(host.as_bytes())),
        }
    }

    /// The path of one.
    pub(crate) fn one(&self, kind: &str, name: &str) -> String {
        let host = self.virtual_host.as_deref().unwrap_or("/");
        format!("{kind}/{}/{}", escape(host.as_bytes()), escape(name.as_bytes()))
    }
}

/// `entrepot queue`
#[derive(Debug, Args)]
pub struct Queue {
    #[command(flatten)]
    at: Where,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List queues: how many messages wait, and how many consumers have
    List,
    /// Show how queues were declared, what is bound to them and who consumes
    Describe {
        /// Names of the queues
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Show the first messages of a queue, which stay there
    Peek {
        /// Name of the queue
        name: String,
        /// How many, 1000 at most
        #[arg(long, value_name = "COUNT", default_value_t = 10)]
        max: u32,
    },
    /// Pause queues: nobody gets anything of them, and what is published waits
    Pause {
        /// Names of the queues
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Let queues go on that were paused
    Resume {
        /// Names of the queues
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Delete the messages that wait in queues
    Purge {
        /// Names of the queues
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Delete queues and their messages
    Delete {
        /// Names of the queues
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Leave a queue that has messages
        #[arg(long)]
        if_empty: bool,
        /// Leave a queue that has consumers
        #[arg(long)]
        if_unused: bool,
        /// Do not fail if a queue does not exist
        #[arg(long)]
        if_exists: bool,
    },
}

impl Queue {
    pub(crate) fn run(self) -> Result<(), CliError> {
        let (management, mut output) = (self.at.management()?, self.at.connect.output());
        match &self.action {
            Action::List => {
                let listed = management.get(&self.at.all("queues"), "queues")?;
                let rows: Vec<QueueRow> = items(&listed).map(QueueRow::of).collect();
                output.rows(&rows)?;
            }
            Action::Describe { names } => {
                for name in names {
                    describe(&management, &mut output, &self.at.one("queues", name), name)?;
                }
            }
            Action::Peek { name, max } => {
                let path = format!("{}/peek?count={max}", self.at.one("queues", name));
                let found = management.get(&path, &format!("queue {name}"))?;
                let rows: Vec<MessageRow> = items(&found).map(MessageRow::of).collect();
                output.rows(&rows)?;
            }
            Action::Pause { names } => each(names, |name| self.put(&management, name, "pause"))?,
            Action::Resume { names } => each(names, |name| self.put(&management, name, "resume"))?,
            Action::Purge { names } => each(names, |name| {
                let path = format!("{}/contents", self.at.one("queues", name));
                let refused = management.ask("DELETE", &path)?.refused(&format!("queue {name}"));
                refused.map_or_else(|| Ok(format!("purged queue {name}")), Err)
            })?,
            Action::Delete { names, if_empty, if_unused, if_exists } => each(names, |name| {
                let path = self.at.one("queues", name);
                let path = format!("{path}?if-empty={if_empty}&if-unused={if_unused}");
                let answer = management.ask("DELETE", &path)?;
                if answer.status == 404 && *if_exists {
                    return Ok(format!("queue {name} does not exist"));
                }
                let refused = answer.refused(&format!("queue {name}"));
                refused.map_or_else(|| Ok(format!("deleted queue {name}")), Err)
            })?,
        }
        Ok(output.flush()?)
    }
}

impl Queue {
    /// Pauses a queue, or lets it go on.
    fn put(&self, management: &Management, name: &str, how: &str) -> Result<String, CliError> {
        let path = format!("{}/{how}", self.at.one("queues", name));
        let refused = management.ask("PUT", &path)?.refused(&format!("queue {name}"));
        refused.map_or_else(|| Ok(format!("{how}d queue {name}")), Err)
    }
}

/// Does something with each, says what became of it, and fails with the last failure.
pub(crate) fn each(
    names: &[String],
    act: impl Fn(&str) -> Result<String, CliError>,
) -> Result<(), CliError> {
    let mut failed: Option<CliError> = None;
    for name in names {
        match act(name) {
            Ok(done) => eprintln!("{done}"),
            Err(error) => {
                if let Some(earlier) = failed.replace(error) {
                    eprintln!("error: {earlier}");
                }
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

/// What is in a list.
pub(crate) fn items(json: &Json) -> impl Iterator<Item = &Json> {
    json.as_array().into_iter().flatten()
}

pub(crate) fn text(json: &Json, name: &str) -> String {
    json[name].as_str().unwrap_or_default().to_owned()
}

fn number(json: &Json, name: &str) -> u64 {
    json[name].as_u64().unwrap_or_default()
}

fn yes(is: bool) -> String {
    if is { "yes" } else { "" }.to_owned()
}

#[derive(Debug, PartialEq, Serialize)]
struct QueueRow {
    virtual_host: String,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    durable: bool,
    ready: u64,
    unacknowledged: u64,
    consumers: u64,
    paused: bool,
    policy: String,
}

impl QueueRow {
    fn of(json: &Json) -> Self {
        Self {
            virtual_host: text(json, "vhost"),
            name: text(json, "name"),
            kind: text(json, "type"),
            durable: json["durable"] == true,
            ready: number(json, "messages_ready"),
            unacknowledged: number(json, "messages_unacknowledged"),
            consumers: number(json, "consumers"),
            paused: json["state"] == "paused",
            policy: text(json, "policy"),
        }
    }
}

impl Row for QueueRow {
    const COLUMNS: &'static [&'static str] =
        &["VHOST", "NAME", "TYPE", "DURABLE", "READY", "UNACKED", "CONSUMERS", "PAUSED", "POLICY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.virtual_host.clone(),
            self.name.clone(),
            self.kind.clone(),
            yes(self.durable),
            self.ready.to_string(),
            self.unacknowledged.to_string(),
            self.consumers.to_string(),
            yes(self.paused),
            self.policy.clone(),
        ]
    }
}

#[derive(Debug, PartialEq, Serialize)]
struct MessageRow {
    exchange: String,
    routing_key: String,
    redelivered: bool,
    bytes: u64,
    properties: Json,
    /// Text, or Base64, as `encoding` says.
    payload: String,
    encoding: String,
}

impl MessageRow {
    fn of(json: &Json) -> Self {
        Self {
            exchange: text(json, "exchange"),
            routing_key: text(json, "routing_key"),
            redelivered: json["redelivered"] == true,
            bytes: number(json, "payload_bytes"),
            properties: json["properties"].clone(),
            payload: text(json, "payload"),
            encoding: text(json, "payload_encoding"),
        }
    }
}

impl Row for MessageRow {
    const COLUMNS: &'static [&'static str] =
        &["EXCHANGE", "ROUTING KEY", "REDELIVERED", "BYTES", "PAYLOAD"];

    fn cells(&self) -> Vec<String> {
        let exchange = if self.exchange.is_empty() { "(default)" } else { &self.exchange };
        let payload = match &*self.encoding {
            "base64" => format!("base64:{}", self.payload),
            _ => self.payload.escape_debug().to_string(),
        };
        vec![
            exchange.to_owned(),
            self.routing_key.clone(),
            yes(self.redelivered),
            self.bytes.to_string(),
            payload,
        ]
    }
}

#[derive(Debug, PartialEq, Serialize)]
struct BindingRow {
    exchange: String,
    routing_key: String,
    arguments: Json,
}

impl Row for BindingRow {
    const COLUMNS: &'static [&'static str] = &["EXCHANGE", "ROUTING KEY", "ARGUMENTS"];

    fn cells(&self) -> Vec<String> {
        let exchange = if self.exchange.is_empty() { "(default)" } else { &self.exchange };
        vec![exchange.to_owned(), self.routing_key.clone(), self.arguments.to_string()]
    }
}

#[derive(Debug, PartialEq, Serialize)]
struct ConsumerRow {
    tag: String,
    channel: String,
    prefetch: u64,
    acknowledges: bool,
}

impl Row for ConsumerRow {
    const COLUMNS: &'static [&'static str] = &["CONSUMER", "CHANNEL", "PREFETCH", "ACKNOWLEDGES"];

    fn cells(&self) -> Vec<String> {
        let prefetch =
            if self.prefetch == 0 { "any".to_owned() } else { self.prefetch.to_string() };
        vec![self.tag.clone(), self.channel.clone(), prefetch, yes(self.acknowledges)]
    }
}

fn describe(
    management: &Management,
    output: &mut Output,
    path: &str,
    name: &str,
) -> Result<(), CliError> {
    let what = format!("queue {name}");
    let queue = management.get(path, &what)?;
    let bindings = management.get(&format!("{path}/bindings"), &what)?;
    let binding = |json: &Json| BindingRow {
        exchange: text(json, "source"),
        routing_key: text(json, "routing_key"),
        arguments: json["arguments"].clone(),
    };
    let consumer = |json: &Json| ConsumerRow {
        tag: text(json, "consumer_tag"),
        channel: text(&json["channel_details"], "name"),
        prefetch: number(json, "prefetch_count"),
        acknowledges: json["ack_required"] == true,
    };
    let bindings: Vec<BindingRow> = items(&bindings).map(binding).collect();
    let consumers: Vec<ConsumerRow> = items(&queue["consumer_details"]).map(consumer).collect();
    let row = QueueRow::of(&queue);
    if output.is_json() {
        let all = json!({
            "queue": row, "arguments": queue["arguments"], "bindings": bindings, "consumers": consumers,
        });
        return Ok(output.json(&all)?);
    }
    output.line(format!("queue {name}, declared with {}", queue["arguments"]))?;
    output.rows(&[row])?;
    output.line("")?;
    output.rows(&bindings)?;
    output.line("")?;
    output.rows(&consumers)?;
    Ok(output.line("")?)
}

/// `entrepot exchange`
#[derive(Debug, Args)]
pub struct Exchange {
    #[command(flatten)]
    at: Where,
    #[command(subcommand)]
    action: ExchangeAction,
}

#[derive(Debug, Subcommand)]
enum ExchangeAction {
    /// List exchanges
    List,
}

#[derive(Debug, PartialEq, Serialize)]
struct ExchangeRow {
    virtual_host: String,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    durable: bool,
    auto_delete: bool,
    internal: bool,
}

impl Row for ExchangeRow {
    const COLUMNS: &'static [&'static str] =
        &["VHOST", "NAME", "TYPE", "DURABLE", "AUTO-DELETE", "INTERNAL"];

    fn cells(&self) -> Vec<String> {
        let name = if self.name.is_empty() { "(default)" } else { &self.name };
        vec![
            self.virtual_host.clone(),
            name.to_owned(),
            self.kind.clone(),
            yes(self.durable),
            yes(self.auto_delete),
            yes(self.internal),
        ]
    }
}

impl Exchange {
    pub(crate) fn run(self) -> Result<(), CliError> {
        let (management, mut output) = (self.at.management()?, self.at.connect.output());
        let ExchangeAction::List = self.action;
        let listed = management.get(&self.at.all("exchanges"), "exchanges")?;
        let row = |json: &Json| ExchangeRow {
            virtual_host: text(json, "vhost"),
            name: text(json, "name"),
            kind: text(json, "type"),
            durable: json["durable"] == true,
            auto_delete: json["auto_delete"] == true,
            internal: json["internal"] == true,
        };
        let rows: Vec<ExchangeRow> = items(&listed).map(row).collect();
        output.rows(&rows)?;
        Ok(output.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_read_as_the_management_api_shows_it() {
        let shown = json!({
            "name": "q", "vhost": "/", "type": "quorum", "durable": true, "messages_ready": 3,
            "messages_unacknowledged": 2, "consumers": 1, "state": "paused", "policy": "p", "more": [],
        });
        let row = QueueRow::of(&shown);
        assert_eq!(row.cells(), ["/", "q", "quorum", "yes", "3", "2", "1", "yes", "p"]);
        assert_eq!(QueueRow::of(&json!({})).cells(), ["", "", "", "", "0", "0", "0", "", ""]);
    }
}
