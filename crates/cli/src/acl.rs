//! `entrepot acl`: access rules.

use clap::{Args, Subcommand};
use door_kafka::wire::messages::create_acls_request::AclCreation;
use door_kafka::wire::messages::delete_acls_request::DeleteAclsFilter;
use door_kafka::wire::messages::{CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest};
use serde::Serialize;

use crate::client::{Client, ClientError, NEWEST};
use crate::output::{Output, Row};
use crate::{CliError, Connect};

/// The words of rules and their numbers on the wire (KIP-11 and those after it).
type Words = [(&'static str, i8)];

const OPERATIONS: &Words = &[
    ("all", 2),
    ("read", 3),
    ("write", 4),
    ("create", 5),
    ("delete", 6),
    ("alter", 7),
    ("describe", 8),
    ("cluster-action", 9),
    ("describe-configs", 10),
    ("alter-configs", 11),
    ("idempotent-write", 12),
    ("create-tokens", 13),
    ("describe-tokens", 14),
    ("two-phase-commit", 15),
];
const KINDS: &Words = &[
    ("topic", TOPIC),
    ("group", GROUP),
    ("cluster", CLUSTER),
    ("transaction", TRANSACTION),
    ("token", TOKEN),
    ("user", USER),
];
const PATTERNS: &Words = &[("literal", LITERAL), ("prefixed", PREFIXED)];
const EFFECTS: &Words = &[("deny", DENY), ("allow", ALLOW)];

const TOPIC: i8 = 2;
const GROUP: i8 = 3;
const CLUSTER: i8 = 4;
const TRANSACTION: i8 = 5;
const TOKEN: i8 = 6;
const USER: i8 = 7;
const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;
const DENY: i8 = 2;
const ALLOW: i8 = 3;
/// "Any", in filters.
const ANY: i8 = 1;
/// In filters: every pattern that the name matches, however it is written.
const MATCH: i8 = 2;
/// What the cluster is called as a resource.
const CLUSTER_NAME: &str = "kafka-cluster";

fn word(words: &Words, number: i8) -> String {
    let found = words.iter().find(|(_, known)| *known == number);
    found.map_or_else(|| number.to_string(), |(word, _)| (*word).to_owned())
}

fn operation(text: &str) -> Result<i8, String> {
    let wanted = text.trim().to_ascii_lowercase().replace('_', "-");
    let found = OPERATIONS.iter().find(|(word, _)| *word == wanted);
    let names = || OPERATIONS.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    found.map(|(_, number)| *number).ok_or_else(|| format!("one of {}", names()))
}

/// `User:NAME`; a bare name is a user's.
fn principal(text: &str) -> Result<String, String> {
    match text.split_once(':') {
        _ if text.is_empty() => Err("User:NAME".to_owned()),
        None => Ok(format!("User:{text}")),
        Some((kind, name)) if !kind.is_empty() && !name.is_empty() => Ok(text.to_owned()),
        Some(_) => Err("User:NAME".to_owned()),
    }
}

/// `entrepot acl`
#[derive(Debug, Args)]
pub struct Acl {
    #[command(flatten)]
    connect: Connect,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add rules: one for each principal, operation, host and resource that is named
    Add {
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        what: What,
        /// Forbid it, whatever other rules allow
        #[arg(long)]
        deny: bool,
    },
    /// List rules; all, or those about what is named
    List {
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        what: What,
        /// Also rules for all names, and for prefixes, that the names fall under
        #[arg(long, conflicts_with = "prefix")]
        matching: bool,
    },
    /// Remove rules about what is named
    Remove {
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        what: What,
        /// Only rules that forbid
        #[arg(long)]
        deny: bool,
        /// All rules, if nothing else is named
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, Args)]
struct Who {
    /// Who: User:NAME, or User:* for everybody; may be repeated
    #[arg(long, short, value_name = "PRINCIPAL", value_parser = principal)]
    principal: Vec<String>,
    /// From which address; may be repeated. Otherwise from any
    #[arg(long, value_name = "ADDRESS")]
    host: Vec<String>,
    /// What they do: all, read, write, create, delete, alter, describe, cluster-action,
    /// describe-configs, alter-configs, idempotent-write, …; several separated by commas
    #[arg(
        long = "operation",
        short = 'O',
        value_name = "OPERATION",
        value_delimiter = ',',
        value_parser = operation
    )]
    operations: Vec<i8>,
}

#[derive(Debug, Args)]
struct What {
    /// With this topic, or * for all; may be repeated
    #[arg(long, short, value_name = "NAME")]
    topic: Vec<String>,
    /// With this group; may be repeated
    #[arg(long, short, value_name = "NAME")]
    group: Vec<String>,
    /// With this transactional id; may be repeated
    #[arg(long, value_name = "ID")]
    transaction: Vec<String>,
    /// With the cluster as such
    #[arg(long)]
    cluster: bool,
    /// With this delegation token; may be repeated
    #[arg(long, value_name = "ID")]
    token: Vec<String>,
    /// With this user as the owner of tokens; may be repeated
    #[arg(long, value_name = "PRINCIPAL")]
    owner: Vec<String>,
    /// The names are what names begin with
    #[arg(long)]
    prefix: bool,
}

impl What {
    fn resources(&self) -> Vec<(i8, &str)> {
        let lists = [
            (TOPIC, &self.topic),
            (GROUP, &self.group),
            (TRANSACTION, &self.transaction),
            (TOKEN, &self.token),
            (USER, &self.owner),
        ];
        let of_lists = lists
            .into_iter()
            .flat_map(|(kind, names)| names.iter().map(move |name| (kind, name.as_str())));
        let cluster = self.cluster.then_some((CLUSTER, CLUSTER_NAME));
        of_lists.chain(cluster).collect()
    }

    /// How the names are meant; there is one cluster, whose name is no prefix.
    fn pattern(&self, kind: i8) -> i8 {
        if self.prefix && kind != CLUSTER { PREFIXED } else { LITERAL }
    }
}

/// A rule as it is shown.
#[derive(Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct Listed {
    kind: String,
    name: String,
    pattern: String,
    principal: String,
    host: String,
    operation: String,
    effect: String,
}

impl Row for Listed {
    const COLUMNS: &'static [&'static str] =
        &["KIND", "NAME", "PATTERN", "PRINCIPAL", "HOST", "OPERATION", "EFFECT"];

    fn cells(&self) -> Vec<String> {
        let Self { kind, name, pattern, principal, host, operation, effect } = self;
        [kind, name, pattern, principal, host, operation, effect].map(Clone::clone).into()
    }
}

impl Acl {
    pub(crate) fn run(self) -> Result<(), CliError> {
        let mut client = self.connect.client()?;
        let mut output = self.connect.output();
        match self.action {
            Action::Add { who, what, deny } => add(&mut client, &who, &what, deny)?,
            Action::List { who, what, matching } => {
                let pattern = if matching { MATCH } else { ANY };
                let filters = filters(&who, &what, pattern, ANY);
                list(&mut client, &mut output, filters)?;
            }
            Action::Remove { who, what, deny, all } => {
                let names_nothing = who.principal.is_empty()
                    && who.host.is_empty()
                    && who.operations.is_empty()
                    && what.resources().is_empty();
                if names_nothing && !all {
                    return Err(CliError::usage("say which rules, or --all"));
                }
                // As they were added: a rule for a prefix is not removed by naming its text.
                let effect = if deny { DENY } else { ANY };
                remove(&mut client, &mut output, filters(&who, &what, LITERAL, effect))?;
            }
        }
        Ok(output.flush()?)
    }
}

fn add(client: &mut Client, who: &Who, what: &What, deny: bool) -> Result<(), CliError> {
    let resources = what.resources();
    if who.principal.is_empty() {
        return Err(CliError::usage("say who: --principal User:NAME"));
    }
    if who.operations.is_empty() {
        return Err(CliError::usage("say what they do: --operation read,write"));
    }
    if resources.is_empty() {
        return Err(CliError::usage("say with what: --topic, --group, --transaction, --cluster"));
    }
    let any = ["*".to_owned()];
    let hosts = if who.host.is_empty() { &any[..] } else { &who.host[..] };
    let mut creations = Vec::new();
    for (kind, name) in resources {
        for principal in &who.principal {
            for host in hosts {
                creations.extend(who.operations.iter().map(|operation| AclCreation {
                    resource_type: kind,
                    resource_name: name.to_owned(),
                    resource_pattern_type: what.pattern(kind),
                    principal: principal.clone(),
                    host: host.clone(),
                    operation: *operation,
                    permission_type: if deny { DENY } else { ALLOW },
                }));
            }
        }
    }
    let count = creations.len();
    let answer = client.call_controller(&CreateAclsRequest { creations }, NEWEST)?;
    for result in answer.results {
        ClientError::check("rule", result.error_code, result.error_message)?;
    }
    eprintln!("{count} {} added", if count == 1 { "rule" } else { "rules" });
    Ok(())
}

/// A filter for each combination of what is named. `pattern`: how names are meant that are not
/// said to be prefixes, where one is named.
fn filters(who: &Who, what: &What, pattern: i8, effect: i8) -> Vec<DeleteAclsFilter> {
    fn each<T: Clone>(named: &[T]) -> Vec<Option<T>> {
        if named.is_empty() { vec![None] } else { named.iter().cloned().map(Some).collect() }
    }
    let mut filters = Vec::new();
    for resource in each(&what.resources()) {
        for principal in each(&who.principal) {
            for host in each(&who.host) {
                filters.extend(each(&who.operations).into_iter().map(|operation| {
                    DeleteAclsFilter {
                        resource_type_filter: resource.map_or(ANY, |(kind, _)| kind),
                        resource_name_filter: resource.map(|(_, name)| name.to_owned()),
                        pattern_type_filter: match resource {
                            None if what.prefix => PREFIXED,
                            None => ANY,
                            Some((kind, _)) if what.pattern(kind) == PREFIXED => PREFIXED,
                            Some(_) => pattern,
                        },
                        principal_filter: principal.clone(),
                        host_filter: host.clone(),
                        operation: operation.unwrap_or(ANY),
                        permission_type: effect,
                    }
                }));
            }
        }
    }
    filters
}

fn list(
    client: &mut Client,
    output: &mut Output,
    filters: Vec<DeleteAclsFilter>,
) -> Result<(), CliError> {
    let mut rows = Vec::new();
    for filter in filters {
        let request = DescribeAclsRequest {
            resource_type_filter: filter.resource_type_filter,
            resource_name_filter: filter.resource_name_filter,
            pattern_type_filter: filter.pattern_type_filter,
            principal_filter: filter.principal_filter,
            host_filter: filter.host_filter,
            operation: filter.operation,
            permission_type: filter.permission_type,
        };
        let answer = client.call_controller(&request, NEWEST)?;
        ClientError::check("rules", answer.error_code, answer.error_message)?;
        for resource in answer.resources {
            rows.extend(resource.acls.into_iter().map(|acl| Listed {
                kind: word(KINDS, resource.resource_type),
                name: resource.resource_name.clone(),
                pattern: word(PATTERNS, resource.pattern_type),
                principal: acl.principal,
                host: acl.host,
                operation: word(OPERATIONS, acl.operation),
                effect: word(EFFECTS, acl.permission_type),
            }));
        }
    }
    rows.sort();
    rows.dedup();
    Ok(output.rows(&rows)?)
}

fn remove(
    client: &mut Client,
    output: &mut Output,
    filters: Vec<DeleteAclsFilter>,
) -> Result<(), CliError> {
    let answer = client.call_controller(&DeleteAclsRequest { filters }, NEWEST)?;
    let mut rows = Vec::new();
    for result in answer.filter_results {
        ClientError::check("rules", result.error_code, result.error_message)?;
        for acl in result.matching_acls {
            ClientError::check("rule", acl.error_code, acl.error_message)?;
            rows.push(Listed {
                kind: word(KINDS, acl.resource_type),
                name: acl.resource_name,
                pattern: word(PATTERNS, acl.pattern_type),
                principal: acl.principal,
                host: acl.host,
                operation: word(OPERATIONS, acl.operation),
                effect: word(EFFECTS, acl.permission_type),
            });
        }
    }
    if rows.is_empty() {
        return Err(CliError::new("there is no such rule").hint("entrepot acl list"));
    }
    rows.sort();
    rows.dedup();
    output.rows(&rows)?;
    output.flush()?;
    eprintln!("{} {} removed", rows.len(), if rows.len() == 1 { "rule" } else { "rules" });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_read_as_they_are_shown_and_as_others_write_them() {
        for (word, number) in OPERATIONS {
            assert_eq!(operation(word), Ok(*number));
        }
        assert_eq!(operation("DESCRIBE_CONFIGS"), operation("describe-configs"));
        assert!(operation("fly").unwrap_err().contains("two-phase-commit"));
    }

    #[test]
    fn a_bare_name_is_a_users() {
        assert_eq!(principal("alice"), Ok("User:alice".to_owned()));
        assert_eq!(principal("User:CN=a:b"), Ok("User:CN=a:b".to_owned()));
        for wrong in ["", "User:", ":alice"] {
            assert!(principal(wrong).is_err(), "{wrong}");
        }
    }

    fn what(topic: &[&str], cluster: bool, prefix: bool) -> What {
        let topic = topic.iter().map(|name| (*name).to_owned()).collect();
        let none = Vec::new;
        What {
            topic,
            cluster,
            prefix,
            group: none(),
            transaction: none(),
            token: none(),
            owner: none(),
        }
    }

    #[test]
    fn a_filter_names_what_was_named_and_leaves_the_rest_open() {
        let who = |operations: &[i8]| Who {
            principal: vec!["User:a".into()],
            host: Vec::new(),
            operations: operations.to_vec(),
        };
        let open = filters(&who(&[]), &what(&[], false, false), LITERAL, ANY);
        let [open] = open.as_slice() else { panic!("{open:?}") };
        assert_eq!(
            (open.resource_type_filter, open.pattern_type_filter, open.operation),
            (1, 1, 1)
        );
        assert_eq!(open.resource_name_filter, None);
        let named = filters(&who(&[3, 4]), &what(&["x", "y"], false, true), LITERAL, DENY);
        let of = |f: &DeleteAclsFilter| (f.resource_name_filter.clone(), f.operation);
        let named: Vec<_> = named.iter().map(of).collect();
        let x = || Some("x".to_owned());
        let y = || Some("y".to_owned());
        assert_eq!(named, [(x(), 3), (x(), 4), (y(), 3), (y(), 4)]);
    }

    #[test]
    fn the_clusters_name_is_never_a_prefix() {
        let what = what(&["t"], true, true);
        let patterns: Vec<_> =
            what.resources().iter().map(|(kind, name)| (*name, what.pattern(*kind))).collect();
        assert_eq!(patterns, [("t", PREFIXED), (CLUSTER_NAME, LITERAL)]);
    }
}
