//! Access rules as Kafka's `AclAuthorizer` keeps them in ZooKeeper: a node for each pattern, and a
//! node for each change, which tells those who watch where to look.

use std::sync::Arc;

use base::Millis;
use broker::access::{Effect, Operation, Pattern, ResourceKind, Rule, Rules};
use bytes::Bytes;

use super::json;
use crate::limits::{RULE_CHANGES_MAX, RULE_CHANGES_MS};
use crate::tree::Tree;
use crate::write::carry_out::check_path;

/// Patterns of one name, and the one that stands for all (`*`).
const LITERAL: &str = "/kafka-acl";
/// The nodes that tell of their changes.
const LITERAL_CHANGES: &str = "/kafka-acl-changes";
/// Patterns of other types, each type below a node of its own. There is one.
const EXTENDED: &str = "/kafka-acl-extended";
const PREFIXED: &str = "/kafka-acl-extended/prefixed";
const EXTENDED_CHANGES: &str = "/kafka-acl-extended-changes";

/// All nodes that have something of rules below them.
pub(crate) const ROOTS: [&str; 4] = [LITERAL, EXTENDED, LITERAL_CHANGES, EXTENDED_CHANGES];

/// What the name of a node begins with that tells of a change; a number of ten digits follows.
const CHANGE: &str = "acl_changes_";

/// Brings the tree from `old` rules (none: nothing yet) to the new ones. Changes are told of, but
/// not those from before the tree showed any.
pub(super) fn apply(tree: &mut Tree, old: Option<&Arc<Rules>>, new: &Arc<Rules>, now: Millis) {
    let Some(old) = old else {
        found(tree, now);
        for (kind, pattern, rules) in new.changed_since(&Rules::default()) {
            put(tree, kind, &pattern, &rules, now);
        }
        return;
    };
    if Arc::ptr_eq(old, new) {
        return;
    }
    let mut literal = Vec::new();
    let mut extended = Vec::new();
    for (kind, pattern, rules) in new.changed_since(old) {
        if !put(tree, kind, &pattern, &rules, now) {
            continue;
        }
        let name = written(kind, &pattern);
        if is_extended(&pattern) {
            extended.push(json::change_of_rules(kind_in_capitals(kind), name, "PREFIXED"));
        } else {
            literal.push(format!("{}:{name}", kind_in_capitals(kind)).into());
        }
    }
    tell(tree, LITERAL_CHANGES, literal, now);
    tell(tree, EXTENDED_CHANGES, extended, now);
}

/// The nodes that are always there.
fn found(tree: &mut Tree, now: Millis) {
    for path in [LITERAL, LITERAL_CHANGES, EXTENDED, EXTENDED_CHANGES, PREFIXED] {
        tree.create(path, None, 0, now);
    }
    for kind in ResourceKind::ALL {
        for root in [LITERAL, PREFIXED] {
            tree.create(&format!("{root}/{}", kind_name(*kind)), None, 0, now);
        }
    }
}

/// Shows the rules of one pattern; none: it has no node. False where a name cannot be that of a
/// node. Kafka refuses such rules.
fn put(
    tree: &mut Tree,
    kind: ResourceKind,
    pattern: &Pattern,
    rules: &[Rule],
    now: Millis,
) -> bool {
    let name = written(kind, pattern);
    let root = if is_extended(pattern) { PREFIXED } else { LITERAL };
    let path = format!("{root}/{}/{name}", kind_name(kind));
    if name.contains('/') || check_path(&path).is_err() {
        return false;
    }
    if rules.is_empty() {
        tree.delete(&path);
        return true;
    }
    let data = Some(json::rules(rules));
    if tree.get(&path).is_some() {
        tree.set(&path, data);
    } else {
        tree.create(&path, data, 0, now);
    }
    true
}

/// Tells of changes, and forgets those that were told of long ago, as Kafka does it: when there is
/// a new one.
fn tell(tree: &mut Tree, root: &str, changes: Vec<Bytes>, now: Millis) {
    if changes.is_empty() {
        return;
    }
    let told = tree.get(root).map(|node| node.children.iter().cloned().collect());
    let told: Vec<Box<str>> = told.unwrap_or_default();
    let surplus = (told.len() + changes.len()).saturating_sub(RULE_CHANGES_MAX);
    for (index, name) in told.iter().enumerate() {
        let path = format!("{root}/{name}");
        let told_at = tree.get(&path).map_or(0, |node| node.body.stat.ctime);
        if index < surplus || now.saturating_sub(told_at) >= RULE_CHANGES_MS {
            tree.delete(&path);
        }
    }
    // The revision is what a restart does not set back. Several patterns may have one.
    let last = told.last().and_then(|name| name.strip_prefix(CHANGE)?.parse().ok());
    let count = i64::try_from(changes.len()).unwrap_or(i64::MAX);
    let first = (tree.zxid() - count + 1).max(last.map_or(0, |last: i64| last + 1));
    let newest = changes.len().saturating_sub(RULE_CHANGES_MAX);
    for (number, data) in (first..).zip(changes).skip(newest) {
        tree.create(&format!("{root}/{CHANGE}{number:010}"), Some(data), 0, now);
    }
}

fn is_extended(pattern: &Pattern) -> bool {
    matches!(pattern, Pattern::Prefix(_))
}

/// A pattern's name, as Kafka writes it. There is one cluster, which has another name there.
fn written(kind: ResourceKind, pattern: &Pattern) -> &str {
    match pattern {
        Pattern::Any => "*",
        Pattern::Literal(_) if kind == ResourceKind::Cluster => "kafka-cluster",
        Pattern::Literal(name) | Pattern::Prefix(name) => name,
    }
}

/// A kind of resources as part of a path.
fn kind_name(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Topic => "Topic",
        ResourceKind::Group => "Group",
        ResourceKind::Cluster => "Cluster",
        ResourceKind::Transaction => "TransactionalId",
        ResourceKind::Token => "DelegationToken",
        ResourceKind::User => "User",
    }
}

/// A kind of resources where a change is told of.
fn kind_in_capitals(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Topic => "TOPIC",
        ResourceKind::Group => "GROUP",
        ResourceKind::Cluster => "CLUSTER",
        ResourceKind::Transaction => "TRANSACTIONAL_ID",
        ResourceKind::Token => "DELEGATION_TOKEN",
        ResourceKind::User => "USER",
    }
}

/// An operation, as Kafka writes it.
pub(super) fn operation_name(operation: Operation) -> &'static str {
    match operation {
        Operation::Everything => "All",
        Operation::Read => "Read",
        Operation::Write => "Write",
        Operation::Create => "Create",
        Operation::Delete => "Delete",
        Operation::Alter => "Alter",
        Operation::Describe => "Describe",
        Operation::ClusterAction => "ClusterAction",
        Operation::DescribeConfigs => "DescribeConfigs",
        Operation::AlterConfigs => "AlterConfigs",
        Operation::IdempotentWrite => "IdempotentWrite",
        Operation::CreateTokens => "CreateTokens",
        Operation::DescribeTokens => "DescribeTokens",
        Operation::TwoPhaseCommit => "TwoPhaseCommit",
    }
}

/// What a rule does, as Kafka writes it.
pub(super) fn effect_name(effect: Effect) -> &'static str {
    match effect {
        Effect::Allow => "Allow",
        Effect::Deny => "Deny",
    }
}
