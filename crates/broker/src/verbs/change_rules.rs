//! Adding and removing access rules.

use std::collections::BTreeMap;

use base::ErrorKind;
use cluster::limits::{META_TXN_BYTES_MAX, META_VALUE_BYTES_MAX};
use cluster::{Compare, MetaError, Op, Txn};

use crate::Broker;
use crate::access::{Entries, Pattern, RULES_MAX, ResourceKind, Rule, RuleFilter, stored};

/// Patterns that are changed in one transaction.
const PATTERNS_AT_ONCE: usize = 32;

/// Why a rule was not added or removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The name cannot be that of a resource.
    #[error("the resource's name must have 1 to {} bytes", stored::NAME_BYTES_MAX)]
    Name,
    /// There is only one cluster.
    #[error("the only name of a resource of the kind cluster is '{}'", crate::access::CLUSTER)]
    Cluster,
    /// A limit is reached.
    #[error("there are {RULES_MAX} access rules, or as many as one resource can have: remove some")]
    TooMany,
    /// The rules of this pattern cannot be read, so they cannot be changed either.
    #[error("the rules of this resource were written by another version, and cannot be changed")]
    Unreadable,
    /// The metadata store failed.
    #[error("metadata: {0}")]
    Meta(#[from] MetaError),
}

impl RuleError {
    /// What the caller should do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Name | Self::Cluster | Self::TooMany => ErrorKind::Invalid,
            Self::Unreadable => ErrorKind::Corrupt,
            Self::Meta(error) => error.kind(),
        }
    }
}

type Place = (ResourceKind, Pattern);

impl Broker {
    /// The rules that a filter finds.
    pub fn find_rules(&self, filter: &RuleFilter) -> Vec<Rule> {
        self.metadata().access.find(filter)
    }

    /// Adds rules; those that are there already stay. Rules of different resources are not added
    /// all at once, so some may be added and others not. In force on this broker when it returns.
    ///
    /// # Errors
    /// See [`RuleError`], one outcome for each rule.
    pub async fn add_rules(&self, rules: Vec<Rule>) -> Vec<Result<(), RuleError>> {
        let mut outcomes: Vec<_> = rules.iter().map(check).collect();
        let mut by_place: BTreeMap<Place, Vec<usize>> = BTreeMap::new();
        for (index, (rule, outcome)) in rules.iter().zip(&outcomes).enumerate() {
            if outcome.is_ok() {
                by_place.entry((rule.kind, rule.pattern.clone())).or_default().push(index);
            }
        }
        let places: Vec<Place> = by_place.keys().cloned().collect();
        let add = |place: &Place, current: &mut Vec<Rule>| {
            let new = by_place.get(place).into_iter().flatten();
            current.extend(new.filter_map(|index| rules.get(*index).cloned()));
            current.sort_unstable();
            current.dedup();
        };
        let mut rest = places.as_slice();
        while !rest.is_empty() {
            let (done, outcome) = match self.change_rules(rest, add).await {
                Ok(changed) => (changed.places, Ok(())),
                // The first of them, at least, is what went wrong.
                Err(error) => (1, Err(error)),
            };
            let (these, others) = rest.split_at(done.min(rest.len()));
            for index in these.iter().filter_map(|place| by_place.get(place)).flatten() {
                if let Some(one) = outcomes.get_mut(*index) {
                    one.clone_from(&outcome);
                }
            }
            rest = others;
        }
        outcomes
    }

    /// Removes the rules that a filter finds; returns them. No longer in force on this broker when
    /// it returns.
    ///
    /// # Errors
    /// See [`RuleError`]; some rules may have been removed.
    pub async fn remove_rules(&self, filter: &RuleFilter) -> Result<Vec<Rule>, RuleError> {
        let mut places: Vec<Place> = Vec::new();
        for rule in self.find_rules(filter) {
            let place = (rule.kind, rule.pattern);
            if places.last() != Some(&place) {
                places.push(place);
            }
        }
        let keep = |_: &Place, current: &mut Vec<Rule>| current.retain(|r| !filter.finds(r));
        let mut removed = Vec::new();
        let mut rest = places.as_slice();
        while !rest.is_empty() {
            let changed = self.change_rules(rest, keep).await?;
            removed.extend(changed.before.into_iter().filter(|rule| filter.finds(rule)));
            rest = rest.get(changed.places..).unwrap_or_default();
        }
        Ok(removed)
    }

    /// Replaces the rules of the first of these patterns, as many as go into one transaction;
    /// again, until nobody else wrote in between.
    async fn change_rules(
        &self,
        places: &[Place],
        change: impl Fn(&Place, &mut Vec<Rule>),
    ) -> Result<Changed, RuleError> {
        loop {
            let mut txn = Txn::new();
            let mut changed = Changed::default();
            let mut growth = 0;
            for place in places.iter().take(PATTERNS_AT_ONCE) {
                let (old, new, one) = self.change_pattern(place, &change).await?;
                if changed.places > 0 && txn.bytes() + one.bytes() > META_TXN_BYTES_MAX {
                    break;
                }
                txn.compares.extend(one.compares);
                txn.then.extend(one.then);
                growth += new.saturating_sub(old.len());
                changed.places += 1;
                changed.before.extend(old);
            }
            if growth > 0 && self.metadata().access.count() + growth > RULES_MAX {
                return Err(RuleError::TooMany);
            }
            let answer = self.inner.meta.txn(txn).await?;
            if answer.succeeded {
                self.seen(answer.revision).await;
                return Ok(changed);
            }
        }
    }

    /// The rules of one pattern as they are, how many they will be, and what makes them so.
    async fn change_pattern(
        &self,
        place: &Place,
        change: impl Fn(&Place, &mut Vec<Rule>),
    ) -> Result<(Vec<Rule>, usize, Txn), RuleError> {
        let (kind, pattern) = place;
        let key = stored::key(*kind, pattern);
        let current = self.inner.meta.get(key.as_bytes()).await?;
        let revision = current.as_ref().map_or(0, |kv| kv.mod_revision);
        let old = match &current {
            Some(kv) => stored::entries(&kv.value).ok_or(RuleError::Unreadable)?,
            None => Entries::default(),
        };
        let old = old.rules(*kind, pattern);
        let mut new = old.clone();
        change(place, &mut new);
        let mut txn = Txn::new().when(Compare::mod_revision(key.clone(), revision));
        if new.is_empty() {
            txn = txn.then(Op::delete(key));
        } else if new != old {
            let value = stored::value(&new);
            if value.len() > META_VALUE_BYTES_MAX {
                return Err(RuleError::TooMany);
            }
            txn = txn.then(Op::put(key, value));
        }
        Ok((old, new.len(), txn))
    }
}

/// What one transaction changed.
#[derive(Default)]
struct Changed {
    /// How many patterns.
    places: usize,
    /// Their rules before.
    before: Vec<Rule>,
}

fn check(rule: &Rule) -> Result<(), RuleError> {
    let name = match &rule.pattern {
        Pattern::Any if rule.kind == ResourceKind::Cluster => return Err(RuleError::Cluster),
        Pattern::Any => return Ok(()),
        Pattern::Literal(name) | Pattern::Prefix(name) => name,
    };
    if name.is_empty() || name.len() > stored::NAME_BYTES_MAX {
        return Err(RuleError::Name);
    }
    if rule.kind == ResourceKind::Cluster && **name != *crate::access::CLUSTER {
        return Err(RuleError::Cluster);
    }
    Ok(())
}
