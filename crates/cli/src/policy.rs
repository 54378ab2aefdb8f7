//! `entrepot policy`: settings of queues and exchanges by their names, by the management API.

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::CliError;
use crate::output::Row;
use crate::queue::{Where, each, items, text};

/// `entrepot policy`
#[derive(Debug, Args)]
pub struct Policy {
    #[command(flatten)]
    at: Where,
    /// Policies of operators, which bound those of users
    #[arg(long, global = true)]
    operator: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List policies
    List,
    /// Set a policy, in the place of the one that has its name
    Set {
        /// Name of the policy
        name: String,
        /// A regular expression: names with a match of it anywhere
        pattern: String,
        /// What it sets, as JSON: {"max-length": 1000}
        #[arg(value_parser = definition)]
        definition: Json,
        /// What it is for
        #[arg(long, value_enum, default_value_t = ApplyTo::All)]
        apply_to: ApplyTo,
        /// Of all policies that match, the one with the highest counts
        #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
        priority: i64,
    },
    /// Delete policies
    Delete {
        /// Names of the policies
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum ApplyTo {
    All,
    Queues,
    ClassicQueues,
    QuorumQueues,
    Streams,
    Exchanges,
}

fn definition(text: &str) -> Result<Json, String> {
    let json: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if json.is_object() { Ok(json) } else { Err("it is no JSON object".to_owned()) }
}

impl Policy {
    pub(crate) fn run(self) -> Result<(), CliError> {
        let (management, mut output) = (self.at.management()?, self.at.connect.output());
        let kind = if self.operator { "operator-policies" } else { "policies" };
        match &self.action {
            Action::List => {
                let listed = management.get(&self.at.all(kind), "policies")?;
                let rows: Vec<PolicyRow> = items(&listed).map(PolicyRow::of).collect();
                output.rows(&rows)?;
            }
            Action::Set { name, pattern, definition, apply_to, priority } => {
                let to = apply_to.to_possible_value();
                let to = to.as_ref().map_or("all", |value| value.get_name());
                let body = json!({
                    "pattern": pattern, "definition": definition, "apply-to": to, "priority": priority,
                });
                let path = self.at.one(kind, name);
                let answer = management.send("PUT", &path, &body.to_string())?;
                answer.refused(&format!("policy {name}")).map_or(Ok(()), Err)?;
                eprintln!("set policy {name}");
            }
            Action::Delete { names } => each(names, |name| {
                let answer = management.ask("DELETE", &self.at.one(kind, name))?;
                let refused = answer.refused(&format!("policy {name}"));
                refused.map_or_else(|| Ok(format!("deleted policy {name}")), Err)
            })?,
        }
        Ok(output.flush()?)
    }
}

#[derive(Debug, PartialEq, Serialize)]
struct PolicyRow {
    virtual_host: String,
    name: String,
    pattern: String,
    apply_to: String,
    priority: i64,
    definition: Json,
}

impl PolicyRow {
    fn of(json: &Json) -> Self {
        Self {
            virtual_host: text(json, "vhost"),
            name: text(json, "name"),
            pattern: text(json, "pattern"),
            apply_to: text(json, "apply-to"),
            priority: json["priority"].as_i64().unwrap_or_default(),
            definition: json["definition"].clone(),
        }
    }
}

impl Row for PolicyRow {
    const COLUMNS: &'static [&'static str] =
        &["VHOST", "NAME", "PATTERN", "APPLY TO", "PRIORITY", "DEFINITION"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.virtual_host.clone(),
            self.name.clone(),
            self.pattern.clone(),
            self.apply_to.clone(),
            self.priority.to_string(),
            self.definition.to_string(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_as_the_management_api_shows_it() {
        let shown = json!({
            "name": "p", "vhost": "/", "pattern": "^a", "apply-to": "queues", "priority": -1,
            "definition": { "max-length": 5 },
        });
        let cells = PolicyRow::of(&shown).cells();
        assert_eq!(cells, ["/", "p", "^a", "queues", "-1", "{\"max-length\":5}"]);
    }

    #[test]
    fn what_is_no_definition_is_refused_and_kinds_have_their_usual_names() {
        assert!(definition("{\"a\": 1}").is_ok());
        assert!(definition("[1]").is_err() && definition("{").is_err());
        let value = ApplyTo::ClassicQueues.to_possible_value().unwrap();
        assert_eq!(value.get_name(), "classic_queues");
    }
}
