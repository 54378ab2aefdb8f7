//! The rules of a cluster, arranged by what is asked: which rules are about this resource, and
//! what do they say of this principal?

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use base::Principal;

use super::rule::implied_by;
use super::rule::{Effect, Operation, Operations, Pattern, ResourceKind, Rule, RuleFilter};

/// All rules of a cluster, at one revision. A change copies the map of resources, not what
/// stands in it.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    kinds: [Kind; ResourceKind::ALL.len()],
    count: usize,
}

/// The rules about one kind of resources.
#[derive(Debug, Clone, Default)]
struct Kind {
    any: Option<Arc<Entries>>,
    literals: HashMap<Arc<str>, Arc<Entries>>,
    prefixes: HashMap<Arc<str>, Arc<Entries>>,
    /// How many of the prefixes have each length: names are cut to these, so that a look-up costs
    /// as many steps as there are lengths, not as there are prefixes.
    lengths: BTreeMap<usize, usize>,
    /// Patterns of a form that this version does not know. As long as there are any, nobody may
    /// touch anything of this kind.
    unknown: BTreeSet<String>,
}

/// The rules of one pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entries {
    by_principal: HashMap<Principal, Vec<Entry>>,
    /// The rules of this pattern cannot be read, so nobody may touch what it names.
    closed: bool,
}

/// What the rules of one pattern say of one principal from one host, or any.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    host: Option<Arc<str>>,
    allow: Operations,
    deny: Operations,
}

impl Entries {
    /// Entries that deny everything to everybody.
    pub(crate) fn closed() -> Self {
        Self { closed: true, ..Self::default() }
    }

    /// Adds a rule of this pattern; returns whether it is new.
    pub(crate) fn insert(
        &mut self,
        principal: &Principal,
        host: Option<&Arc<str>>,
        operation: Operation,
        effect: Effect,
    ) -> bool {
        let entries = self.by_principal.entry(principal.clone()).or_default();
        let at = entries.iter().position(|entry| entry.host.as_ref() == host);
        let at = at.unwrap_or_else(|| {
            let host = host.cloned();
            entries.push(Entry { host, allow: Operations::NONE, deny: Operations::NONE });
            entries.len() - 1
        });
        let Some(entry) = entries.get_mut(at) else { return false };
        let set = match effect {
            Effect::Allow => &mut entry.allow,
            Effect::Deny => &mut entry.deny,
        };
        let is_new = !set.has(operation);
        set.insert(operation);
        is_new
    }

    /// The rules, if they are those of this pattern.
    pub(crate) fn rules(&self, kind: ResourceKind, pattern: &Pattern) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (principal, entries) in &self.by_principal {
            for entry in entries {
                let rule = |effect| {
                    move |operation| Rule {
                        kind,
                        pattern: pattern.clone(),
                        principal: principal.clone(),
                        host: entry.host.clone(),
                        operation,
                        effect,
                    }
                };
                rules.extend(entry.allow.iter().map(rule(Effect::Allow)));
                rules.extend(entry.deny.iter().map(rule(Effect::Deny)));
            }
        }
        rules.sort_unstable();
        rules
    }

    fn count(&self) -> usize {
        let entries = self.by_principal.values().flatten();
        entries.map(|entry| entry.allow.iter().count() + entry.deny.iter().count()).sum()
    }
}

/// What the rules say of one request, while they are gone through.
#[derive(Default)]
struct Findings {
    allow: Operations,
    deny: Operations,
    /// There are rules about the resource, if not about the principal.
    found: bool,
}

impl Findings {
    fn add(&mut self, entries: &Entries, who: &Who<'_>) {
        self.found = true;
        if entries.closed {
            self.add_denial();
        }
        for principal in [who.principal, who.everybody] {
            for entry in entries.by_principal.get(principal).into_iter().flatten() {
                if entry.host.as_deref().is_none_or(|host| host == who.host) {
                    self.allow = self.allow.join(entry.allow);
                    self.deny = self.deny.join(entry.deny);
                }
            }
        }
    }

    /// Nobody may do anything.
    fn add_denial(&mut self) {
        self.found = true;
        self.deny.insert(Operation::Everything);
    }

    /// What may be done in the end.
    fn operations(self, allow_if_no_rule: bool) -> Operations {
        if !self.found {
            return if allow_if_no_rule { Operations::every() } else { Operations::NONE };
        }
        if self.deny.has(Operation::Everything) {
            return Operations::NONE;
        }
        let allowed = |operation: &Operation| {
            self.allow.has(Operation::Everything)
                || self.allow.has(*operation)
                || implied_by(*operation).iter().any(|greater| self.allow.has(*greater))
        };
        let allowed = Operation::ALL.iter().copied().filter(allowed).collect::<Operations>();
        allowed.without(self.deny)
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Who<'a> {
    pub(super) principal: &'a Principal,
    /// [`Rule::everybody`], made once by whoever asks often.
    pub(super) everybody: &'a Principal,
    pub(super) host: &'a str,
}

impl Kind {
    fn put(&mut self, pattern: Pattern, entries: Option<Arc<Entries>>) -> Option<Arc<Entries>> {
        match (pattern, entries) {
            (Pattern::Any, entries) => std::mem::replace(&mut self.any, entries),
            (Pattern::Literal(name), Some(entries)) => self.literals.insert(name, entries),
            (Pattern::Literal(name), None) => self.literals.remove(&name),
            (Pattern::Prefix(name), Some(entries)) => {
                let length = name.len();
                let old = self.prefixes.insert(name, entries);
                if old.is_none() {
                    *self.lengths.entry(length).or_default() += 1;
                }
                old
            }
            (Pattern::Prefix(name), None) => {
                let old = self.prefixes.remove(&name)?;
                if let Some(count) = self.lengths.get_mut(&name.len()) {
                    *count -= 1;
                    if *count == 0 {
                        self.lengths.remove(&name.len());
                    }
                }
                Some(old)
            }
        }
    }

    fn get(&self, pattern: &Pattern) -> Option<&Arc<Entries>> {
        match pattern {
            Pattern::Any => self.any.as_ref(),
            Pattern::Literal(name) => self.literals.get(name),
            Pattern::Prefix(name) => self.prefixes.get(name),
        }
    }

    /// The entries of all prefixes of this name.
    fn prefixes_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Arc<Entries>> {
        let lengths = self.lengths.range(..=name.len()).map(|(length, _)| *length);
        // A length that cuts a character in two is that of no prefix of this name.
        lengths.filter_map(|length| self.prefixes.get(name.get(..length)?))
    }

    fn no_findings(&self) -> Findings {
        let mut findings = Findings::default();
        if !self.unknown.is_empty() {
            findings.add_denial();
        }
        findings
    }

    fn findings(&self, name: &str, who: &Who<'_>) -> Findings {
        let mut findings = self.no_findings();
        let named = self.literals.get(name).into_iter().chain(&self.any);
        named.chain(self.prefixes_of(name)).for_each(|entries| findings.add(entries, who));
        findings
    }

    /// What the rules say of all names that begin so, as far as they say the same.
    fn findings_below(&self, prefix: &str, who: &Who<'_>) -> Findings {
        let mut findings = self.no_findings();
        self.any.iter().chain(self.prefixes_of(prefix)).for_each(|e| findings.add(e, who));
        findings
    }

    fn patterns(&self) -> impl Iterator<Item = (Pattern, &Arc<Entries>)> {
        let any = self.any.iter().map(|entries| (Pattern::Any, entries));
        let literals = self.literals.iter().map(|(n, e)| (Pattern::Literal(Arc::clone(n)), e));
        let prefixes = self.prefixes.iter().map(|(n, e)| (Pattern::Prefix(Arc::clone(n)), e));
        any.chain(literals).chain(prefixes)
    }
}

impl Rules {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Replaces the rules of one pattern; none removes them.
    pub(crate) fn put(&mut self, kind: ResourceKind, pattern: Pattern, entries: Option<Entries>) {
        self.count += entries.as_ref().map_or(0, Entries::count);
        let entries = entries.map(Arc::new);
        let old = self.kind_mut(kind).and_then(|kind| kind.put(pattern, entries));
        self.count -= old.map_or(0, |old| old.count());
    }

    /// Closes a kind of resources to all, because of a pattern of unknown form.
    pub(crate) fn close(&mut self, kind: ResourceKind, pattern: &str) {
        if let Some(kind) = self.kind_mut(kind) {
            kind.unknown.insert(pattern.to_owned());
        }
    }

    /// Ends that: the pattern is gone.
    pub(crate) fn open(&mut self, kind: ResourceKind, pattern: &str) {
        if let Some(kind) = self.kind_mut(kind) {
            kind.unknown.remove(pattern);
        }
    }

    /// The rules that a filter finds, in order.
    pub fn find(&self, filter: &RuleFilter) -> Vec<Rule> {
        let mut found = Vec::new();
        for kind in ResourceKind::ALL {
            let patterns = self.kind(*kind).into_iter().flat_map(Kind::patterns);
            for (pattern, entries) in patterns {
                if filter.finds_resource(*kind, &pattern) {
                    let rules = entries.rules(*kind, &pattern).into_iter();
                    found.extend(rules.filter(|rule| filter.finds(rule)));
                }
            }
        }
        found.sort_unstable();
        found
    }

    /// The patterns whose rules are not what they were in `old`, in order, and the rules that they
    /// have now: none where there are none any more, or none that can be read. Costs a look-up for
    /// each pattern that did not change.
    pub fn changed_since(&self, old: &Self) -> Vec<(ResourceKind, Pattern, Vec<Rule>)> {
        let mut changed = Vec::new();
        for kind in ResourceKind::ALL {
            let (Some(old), Some(new)) = (old.kind(*kind), self.kind(*kind)) else { continue };
            for (pattern, entries) in new.patterns() {
                let same = |before: &Arc<_>| Arc::ptr_eq(before, entries) || before == entries;
                if !old.get(&pattern).is_some_and(same) {
                    let rules = entries.rules(*kind, &pattern);
                    changed.push((*kind, pattern, rules));
                }
            }
            let gone = old.patterns().filter(|(pattern, _)| new.get(pattern).is_none());
            changed.extend(gone.map(|(pattern, _)| (*kind, pattern, Vec::new())));
        }
        changed.sort_unstable_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        changed
    }

    /// What somebody may do with a resource.
    pub(super) fn operations(
        &self,
        who: &Who<'_>,
        kind: ResourceKind,
        name: &str,
        allow_if_no_rule: bool,
    ) -> Operations {
        let findings = self.kind(kind).map(|kind| kind.findings(name, who)).unwrap_or_default();
        findings.operations(allow_if_no_rule)
    }

    /// Whether there is any resource of a kind, existing or not, with which somebody may do
    /// something. Goes through the rules of that kind.
    pub(super) fn any_allows(
        &self,
        who: &Who<'_>,
        operation: Operation,
        kind: ResourceKind,
        allow_if_no_rule: bool,
    ) -> bool {
        let Some(kind) = self.kind(kind) else { return allow_if_no_rule };
        let allows = |findings: Findings| findings.operations(allow_if_no_rule).has(operation);
        allows(kind.findings_below("", who))
            || kind.literals.keys().any(|name| allows(kind.findings(name, who)))
            || kind.prefixes.keys().any(|prefix| allows(kind.findings_below(prefix, who)))
    }

    fn kind(&self, kind: ResourceKind) -> Option<&Kind> {
        self.kinds.get(kind as usize)
    }

    fn kind_mut(&mut self, kind: ResourceKind) -> Option<&mut Kind> {
        self.kinds.get_mut(kind as usize)
    }
}

impl FromIterator<Rule> for Rules {
    fn from_iter<I: IntoIterator<Item = Rule>>(rules: I) -> Self {
        let mut by_place: BTreeMap<_, Entries> = BTreeMap::new();
        for rule in rules {
            let Rule { kind, pattern, principal, host, operation, effect } = rule;
            let entries = by_place.entry((kind, pattern)).or_default();
            entries.insert(&principal, host.as_ref(), operation, effect);
        }
        let mut all = Self::default();
        for ((kind, pattern), entries) in by_place {
            all.put(kind, pattern, Some(entries));
        }
        all
    }
}
