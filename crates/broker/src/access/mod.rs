//! Who may do what: access rules, for all doors.
//!
//! A rule allows or denies a principal, from a host, one operation on the resources that a pattern
//! names. Rules stand in the metadata store, so every broker has the same, and in its picture as an
//! index ([`Rules`]). Doors ask an [`Actor`], which one connection holds; it remembers what it was
//! told for as long as the rules do not change.
//!
//! A denial outweighs every permission. Super users may do everything. Where no rule names a
//! resource, nobody else may touch it, unless the configuration says otherwise.

mod actor;
mod index;
mod rule;
pub(crate) mod stored;
#[cfg(test)]
mod tests;

use base::Principal;

pub use actor::{Actor, Grounds};
pub(crate) use index::Entries;
pub use index::Rules;
pub use rule::{
    Effect, Operation, Operations, Pattern, PatternFilter, ResourceKind, Rule, RuleFilter,
};

/// Most rules of a cluster. Each takes some hundred bytes of memory.
pub const RULES_MAX: usize = 100_000;

/// The name of the one resource of the kind [`ResourceKind::Cluster`].
pub const CLUSTER: &str = "cluster";

/// How access is controlled.
#[derive(Debug, Clone, Default)]
pub struct AccessOptions {
    /// Whether rules are enforced. If not, everybody may do everything.
    pub enforce: bool,
    /// Who may do everything, whatever the rules say.
    pub super_users: Vec<Principal>,
    /// Everybody may do everything with resources that no rule names.
    pub allow_if_no_rule: bool,
}
