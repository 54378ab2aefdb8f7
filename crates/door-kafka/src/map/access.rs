//! Access rules in the protocol's words (KIP-11, KIP-290).

use std::net::IpAddr;
use std::sync::Arc;

use base::Principal;
use broker::access::{
    CLUSTER, Effect, Operation, Operations, Pattern, PatternFilter, ResourceKind, Rule, RuleFilter,
};

/// The protocol's numbers of operations.
pub(crate) const OPERATIONS: [(Operation, i8); 14] = [
    (Operation::Everything, 2),
    (Operation::Read, 3),
    (Operation::Write, 4),
    (Operation::Create, 5),
    (Operation::Delete, 6),
    (Operation::Alter, 7),
    (Operation::Describe, 8),
    (Operation::ClusterAction, 9),
    (Operation::DescribeConfigs, 10),
    (Operation::AlterConfigs, 11),
    (Operation::IdempotentWrite, 12),
    (Operation::CreateTokens, 13),
    (Operation::DescribeTokens, 14),
    (Operation::TwoPhaseCommit, 15),
];

/// The protocol's numbers of kinds of resources.
const KINDS: [(ResourceKind, i8); 6] = [
    (ResourceKind::Topic, 2),
    (ResourceKind::Group, 3),
    (ResourceKind::Cluster, 4),
    (ResourceKind::Transaction, 5),
    (ResourceKind::Token, 6),
    (ResourceKind::User, 7),
];

const EFFECTS: [(Effect, i8); 2] = [(Effect::Deny, 2), (Effect::Allow, 3)];

const PATTERNS: [(PatternFilter, i8); 4] = [
    (PatternFilter::Any, 1),
    (PatternFilter::Match, 2),
    (PatternFilter::Literal, LITERAL),
    (PatternFilter::Prefix, PREFIXED),
];

const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;

/// "Any", of kinds, operations and effects.
const ANY: i8 = 1;

/// The cluster's name as a resource.
const CLUSTER_NAME: &str = "kafka-cluster";
/// What stands for all names, and for all hosts.
const WILDCARD: &str = "*";

/// A set of operations as the protocol's bits.
pub(crate) fn operations(operations: Operations) -> i32 {
    let has = |(operation, _): &&(Operation, i8)| operations.has(*operation);
    OPERATIONS.iter().filter(has).fold(0, |bits, (_, number)| bits | (1 << number))
}

fn of<T: Copy + PartialEq>(table: &[(T, i8)], number: i8) -> Option<T> {
    table.iter().find(|(_, n)| *n == number).map(|(value, _)| *value)
}

fn number<T: Copy + PartialEq>(table: &[(T, i8)], value: T) -> i8 {
    table.iter().find(|(v, _)| *v == value).map_or(0, |(_, number)| *number)
}

/// A rule in the protocol's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Acl {
    pub(crate) kind: i8,
    pub(crate) name: String,
    pub(crate) pattern: i8,
    pub(crate) principal: String,
    pub(crate) host: String,
    pub(crate) operation: i8,
    pub(crate) permission: i8,
}

impl Acl {
    pub(crate) fn of(rule: Rule) -> Self {
        let (pattern, name) = match rule.pattern {
            Pattern::Any => (LITERAL, WILDCARD.to_owned()),
            Pattern::Literal(name) => (LITERAL, translate(rule.kind, &name).to_owned()),
            Pattern::Prefix(name) => (PREFIXED, translate(rule.kind, &name).to_owned()),
        };
        Self {
            kind: number(&KINDS, rule.kind),
            name,
            pattern,
            principal: rule.principal.to_string(),
            host: rule.host.as_deref().unwrap_or(WILDCARD).to_owned(),
            operation: number(&OPERATIONS, rule.operation),
            permission: number(&EFFECTS, rule.effect),
        }
    }

    /// The rule; the text says why it is none.
    pub(crate) fn rule(&self) -> Result<Rule, String> {
        let kind = of(&KINDS, self.kind).ok_or("the kind of resource is not one")?;
        let pattern = match self.pattern {
            LITERAL if self.name == WILDCARD => Pattern::Any,
            LITERAL => Pattern::Literal(translate(kind, &self.name).into()),
            PREFIXED => Pattern::Prefix(translate(kind, &self.name).into()),
            _ => return Err("a pattern must be LITERAL or PREFIXED".to_owned()),
        };
        let principal = Principal::parse(&self.principal);
        Ok(Rule {
            kind,
            pattern,
            principal: principal.ok_or("a principal is written as type:name, as User:alice")?,
            host: host(&self.host),
            operation: of(&OPERATIONS, self.operation).ok_or("the operation is not one")?,
            effect: of(&EFFECTS, self.permission).ok_or("a permission must be ALLOW or DENY")?,
        })
    }
}

/// A name of ours as clients know it, and a client's as we know it: the cluster has another name
/// on either side, and either side's is nobody's on the other.
fn translate(kind: ResourceKind, name: &str) -> &str {
    match name {
        _ if kind != ResourceKind::Cluster => name,
        CLUSTER_NAME => CLUSTER,
        CLUSTER => CLUSTER_NAME,
        name => name,
    }
}

/// An address as it is compared: all ways to write it are one.
fn host(text: &str) -> Option<Arc<str>> {
    if text == WILDCARD {
        return None;
    }
    Some(
        text.parse()
            .map_or_else(|_| text.into(), |ip: IpAddr| ip.to_canonical().to_string().into()),
    )
}

/// A filter in the protocol's form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AclFilter<'a> {
    pub(crate) kind: i8,
    pub(crate) name: Option<&'a str>,
    pub(crate) pattern: i8,
    pub(crate) principal: Option<&'a str>,
    pub(crate) host: Option<&'a str>,
    pub(crate) operation: i8,
    pub(crate) permission: i8,
}

impl AclFilter<'_> {
    /// Filters that find together what this one means; the text says why it means nothing.
    pub(crate) fn filters(&self) -> Result<Vec<RuleFilter>, String> {
        fn any_or<T: Copy + PartialEq>(
            table: &[(T, i8)],
            number: i8,
            what: &str,
        ) -> Result<Option<T>, String> {
            match of(table, number) {
                Some(value) => Ok(Some(value)),
                None if number == ANY => Ok(None),
                None => Err(format!("the {what} of the filter is not one")),
            }
        }
        let kind = any_or(&KINDS, self.kind, "kind of resource")?;
        let pattern = of(&PATTERNS, self.pattern).ok_or("the pattern of the filter is not one")?;
        let operation = any_or(&OPERATIONS, self.operation, "operation")?;
        let effect = any_or(&EFFECTS, self.permission, "permission")?;
        let principal = match self.principal.map(Principal::parse) {
            // What is not a principal is nobody's.
            Some(None) => return Ok(Vec::new()),
            Some(principal) => principal,
            None => None,
        };
        let kinds = kind.as_slice();
        let kinds = if kinds.is_empty() { ResourceKind::ALL } else { kinds };
        let filter = |kind: &ResourceKind| RuleFilter {
            kind: Some(*kind),
            pattern,
            name: self.name.map(|name| translate(*kind, name).to_owned()),
            principal: principal.clone(),
            host: self.host.map(|text| host(text).as_deref().unwrap_or(WILDCARD).to_owned()),
            operation,
            effect,
        };
        Ok(kinds.iter().map(filter).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_comes_back_as_it_was_written() {
        for kind in 2..=7 {
            for (name, pattern) in [("*", 3), ("kafka-cluster", 3), ("cluster", 4), ("*", 4)] {
                for (operation, permission) in (2..=15).zip([2, 3].into_iter().cycle()) {
                    let acl = Acl {
                        kind,
                        name: name.into(),
                        pattern,
                        principal: "User:CN=a,O=b:c".into(),
                        host: "10.0.0.1".into(),
                        operation,
                        permission,
                    };
                    assert_eq!(Acl::of(acl.rule().unwrap()), acl);
                }
            }
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        let good = Acl {
            kind: 2,
            name: "t".into(),
            pattern: 3,
            principal: "User:a".into(),
            host: "*".into(),
            operation: 3,
            permission: 3,
        };
        assert!(good.rule().is_ok());
        for bad in [
            Acl { kind: 1, ..good.clone() },
            Acl { kind: 8, ..good.clone() },
            Acl { pattern: 1, ..good.clone() },
            Acl { pattern: 2, ..good.clone() },
            Acl { principal: "alice".into(), ..good.clone() },
            Acl { operation: 1, ..good.clone() },
            Acl { operation: 16, ..good.clone() },
            Acl { permission: 1, ..good },
        ] {
            assert!(bad.rule().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn one_address_is_the_same_however_it_is_written() {
        for text in ["::1", "0:0:0:0:0:0:0:1"] {
            assert_eq!(host(text).as_deref(), Some("::1"));
        }
        assert_eq!(host("::ffff:10.0.0.1").as_deref(), Some("10.0.0.1"));
        assert_eq!(host("*"), None);
    }
}
