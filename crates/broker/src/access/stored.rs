//! How rules stand in the metadata store: one key for each pattern, `access/KIND/PATTERN/NAME`,
//! whose value is a JSON list of rules. What cannot be read closes what it is about: a rule that
//! is not understood may be a denial.

use std::sync::Arc;

use base::Principal;
use serde::{Deserialize, Serialize};

use super::index::{Entries, Rules};
use super::rule::{Effect, Operation, Pattern, ResourceKind, Rule};

/// What all keys of rules begin with.
pub(crate) const PREFIX: &str = "access/";

const ANY: &str = "any";
const LITERAL: &str = "literal";
const PREFIXED: &str = "prefix";

/// Bytes of a key that are not the resource's name.
const KEY_BYTES_MAX: usize = 64;

/// Longest name in a rule, in bytes: what the metadata store's keys leave for it.
pub(crate) const NAME_BYTES_MAX: usize = cluster::limits::META_KEY_BYTES_MAX - KEY_BYTES_MAX;

/// One rule of a pattern.
#[derive(Debug, Serialize, Deserialize)]
struct RuleValue {
    principal: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    operation: String,
    effect: String,
}

/// The key of a pattern's rules.
pub(crate) fn key(kind: ResourceKind, pattern: &Pattern) -> String {
    let (word, name) = match pattern {
        Pattern::Any => (ANY, ""),
        Pattern::Literal(name) => (LITERAL, &**name),
        Pattern::Prefix(name) => (PREFIXED, &**name),
    };
    format!("{PREFIX}{kind}/{word}/{name}")
}

/// The value of a pattern's rules.
pub(crate) fn value(rules: &[Rule]) -> Vec<u8> {
    let value = |rule: &Rule| RuleValue {
        principal: rule.principal.to_string(),
        host: rule.host.as_deref().map(ToOwned::to_owned),
        operation: rule.operation.as_str().to_owned(),
        effect: rule.effect.as_str().to_owned(),
    };
    crate::metadata::keys::encode(&rules.iter().map(value).collect::<Vec<_>>())
}

/// The rules in a value; `None` if it cannot be read.
pub(crate) fn entries(value: &[u8]) -> Option<Entries> {
    let rules: Vec<RuleValue> = serde_json::from_slice(value).ok()?;
    let mut entries = Entries::default();
    for rule in rules {
        let principal = Principal::parse(&rule.principal)?;
        let operation = Operation::parse(&rule.operation)?;
        let effect = Effect::parse(&rule.effect)?;
        entries.insert(&principal, rule.host.map(Arc::from).as_ref(), operation, effect);
    }
    Some(entries)
}

/// What the rest of a key stands for.
enum Place {
    Pattern(ResourceKind, Pattern),
    /// A pattern that this version does not know, of a kind that it does.
    Unknown(ResourceKind),
    /// A kind that this version does not know, and so never asks for.
    Foreign,
}

fn place(rest: &str) -> Place {
    let mut parts = rest.splitn(3, '/');
    let kind = parts.next().and_then(ResourceKind::parse);
    let Some(kind) = kind else { return Place::Foreign };
    match (parts.next(), parts.next()) {
        (Some(ANY), Some("")) => Place::Pattern(kind, Pattern::Any),
        (Some(LITERAL), Some(name)) => Place::Pattern(kind, Pattern::Literal(name.into())),
        (Some(PREFIXED), Some(name)) => Place::Pattern(kind, Pattern::Prefix(name.into())),
        _ => Place::Unknown(kind),
    }
}

/// Takes a key that was put into the rules.
pub(crate) fn put(rules: &mut Rules, rest: &str, value: &[u8]) {
    match place(rest) {
        Place::Pattern(kind, pattern) => {
            let entries = entries(value).unwrap_or_else(|| {
                tracing::error!(%kind, ?pattern, "cannot read these access rules: closed to all");
                Entries::closed()
            });
            rules.put(kind, pattern, Some(entries));
        }
        Place::Unknown(kind) => {
            tracing::error!(%kind, key = rest, "access rules of an unknown form: closed to all");
            rules.close(kind, rest);
        }
        Place::Foreign => tracing::warn!(key = rest, "access rules of a kind not known here"),
    }
}

/// Takes a key that was deleted out of the rules.
pub(crate) fn delete(rules: &mut Rules, rest: &str) {
    match place(rest) {
        Place::Pattern(kind, pattern) => rules.put(kind, pattern, None),
        Place::Unknown(kind) => rules.open(kind, rest),
        Place::Foreign => {}
    }
}
