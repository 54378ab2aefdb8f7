//! The language of access rules.

use std::fmt::{self, Display, Formatter};
use std::sync::{Arc, LazyLock};

use base::Principal;

/// Makes an enum with a word for each value, and a list of all values.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $value:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$doc])* $value,)* }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$value,)*];

            /// Its word, as it is stored.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$value => $word,)* }
            }

            /// What the word stands for.
            pub fn parse(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$value),)*
                    _ => None,
                }
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What somebody wants to do. The set and its meaning are those that existing rule sets use
    /// (KIP-11 and those after it).
    Operation {
        /// Everything, in a rule.
        Everything = "all",
        /// Read records, or be a member of a group.
        Read = "read",
        /// Write records, or use a transactional id.
        Write = "write",
        /// Create.
        Create = "create",
        /// Delete.
        Delete = "delete",
        /// Change.
        Alter = "alter",
        /// Learn that it exists, and what it is like.
        Describe = "describe",
        /// What brokers do among each other.
        ClusterAction = "cluster-action",
        /// Read the configuration.
        DescribeConfigs = "describe-configs",
        /// Change the configuration.
        AlterConfigs = "alter-configs",
        /// Produce with a sequence (KIP-98).
        IdempotentWrite = "idempotent-write",
        /// Make tokens for another user (KIP-373).
        CreateTokens = "create-tokens",
        /// List the tokens of another user (KIP-373).
        DescribeTokens = "describe-tokens",
        /// Take part in a two-phase commit (KIP-939).
        TwoPhaseCommit = "two-phase-commit",
    }
}

words! {
    /// What a rule is about. Kinds that a later version adds are not asked for by this one.
    ResourceKind {
        /// A topic.
        Topic = "topic",
        /// A group of consumers.
        Group = "group",
        /// The cluster as such; its name is [`super::CLUSTER`].
        Cluster = "cluster",
        /// A transactional id.
        Transaction = "transaction",
        /// A delegation token.
        Token = "token",
        /// A user, as the owner of tokens.
        User = "user",
    }
}

words! {
    /// What a rule does.
    Effect {
        /// It allows.
        Allow = "allow",
        /// It denies, whatever else allows.
        Deny = "deny",
    }
}

/// A set of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Operations(u16);

impl Operations {
    /// None.
    pub const NONE: Self = Self(0);

    /// Every operation.
    pub fn every() -> Self {
        Operation::ALL.iter().copied().collect()
    }

    /// Whether it is in the set.
    pub fn has(self, operation: Operation) -> bool {
        self.0 & Self::of(operation).0 != 0
    }

    /// Adds one.
    pub fn insert(&mut self, operation: Operation) {
        self.0 |= Self::of(operation).0;
    }

    /// Takes one out.
    pub fn remove(&mut self, operation: Operation) {
        self.0 &= !Self::of(operation).0;
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those in the set.
    pub fn iter(self) -> impl Iterator<Item = Operation> {
        Operation::ALL.iter().copied().filter(move |operation| self.has(*operation))
    }

    pub(super) fn join(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    fn of(operation: Operation) -> Self {
        Self(1 << operation as u16)
    }
}

impl FromIterator<Operation> for Operations {
    fn from_iter<I: IntoIterator<Item = Operation>>(operations: I) -> Self {
        let mut set = Self::NONE;
        operations.into_iter().for_each(|operation| set.insert(operation));
        set
    }
}

/// Which resources of a kind a rule is about. A door whose names have levels will add one of their
/// filters here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// All of them.
    Any,
    /// The one of this name.
    Literal(Arc<str>),
    /// Those whose names begin so (KIP-290).
    Prefix(Arc<str>),
}

impl Pattern {
    /// Whether it is about the resource of this name.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Literal(literal) => **literal == *name,
            Self::Prefix(prefix) => name.starts_with(&**prefix),
        }
    }
}

/// The name of the user that stands for everybody.
const EVERYBODY: &str = "*";

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// The kind of resources.
    pub kind: ResourceKind,
    /// Which of them.
    pub pattern: Pattern,
    /// Whom it is about; see [`Rule::everybody`].
    pub principal: Principal,
    /// The address that they come from, as text; any, if absent.
    pub host: Option<Arc<str>>,
    /// What they want to do.
    pub operation: Operation,
    /// Whether they may.
    pub effect: Effect,
}

impl Rule {
    /// The principal that stands for everybody.
    pub fn everybody() -> &'static Principal {
        static ALL: LazyLock<Principal> = LazyLock::new(|| Principal::user(EVERYBODY));
        &ALL
    }

    fn is_for_everybody(&self) -> bool {
        *self.principal.kind == *Principal::USER && *self.principal.name == *EVERYBODY
    }

    /// Whether the rule speaks of this request. Permissions imply lesser ones: who may read, write,
    /// delete or alter may describe; who may alter the configuration may describe it. Denials
    /// imply nothing.
    ///
    /// This is the rules' meaning, written to be read; [`super::Rules`] is written to be fast.
    pub fn matches(
        &self,
        principal: &Principal,
        host: &str,
        operation: Operation,
        kind: ResourceKind,
        name: &str,
    ) -> bool {
        self.kind == kind
            && self.pattern.matches(name)
            && (self.principal == *principal || self.is_for_everybody())
            && self.host.as_deref().is_none_or(|allowed| allowed == host)
            && (self.operation == operation
                || self.operation == Operation::Everything
                || (self.effect == Effect::Allow
                    && implied_by(operation).contains(&self.operation)))
    }
}

/// The operations of which each, where it is allowed, allows this one, too.
pub(super) fn implied_by(operation: Operation) -> &'static [Operation] {
    match operation {
        Operation::Describe => {
            &[Operation::Read, Operation::Write, Operation::Delete, Operation::Alter]
        }
        Operation::DescribeConfigs => &[Operation::AlterConfigs],
        _ => &[],
    }
}

/// How the pattern of a rule is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternFilter {
    /// Any pattern, of exactly this name.
    Any,
    /// Patterns that match a resource of this name.
    Match,
    /// Literal patterns of exactly this name; `*` finds [`Pattern::Any`].
    Literal,
    /// Prefixes of exactly this name.
    Prefix,
}

/// Which rules are meant. Absent means any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFilter {
    /// The kind of resources.
    pub kind: Option<ResourceKind>,
    /// How the name is meant.
    pub pattern: PatternFilter,
    /// The name that the pattern has, or matches.
    pub name: Option<String>,
    /// The principal, exactly.
    pub principal: Option<Principal>,
    /// The host as it is written, `*` for any.
    pub host: Option<String>,
    /// The operation, exactly.
    pub operation: Option<Operation>,
    /// What the rule does.
    pub effect: Option<Effect>,
}

impl RuleFilter {
    /// All rules.
    pub fn all() -> Self {
        Self {
            kind: None,
            pattern: PatternFilter::Any,
            name: None,
            principal: None,
            host: None,
            operation: None,
            effect: None,
        }
    }

    /// Whether the filter finds the rule.
    pub fn finds(&self, rule: &Rule) -> bool {
        self.finds_resource(rule.kind, &rule.pattern)
            && self.principal.as_ref().is_none_or(|principal| *principal == rule.principal)
            && self.host.as_deref().is_none_or(|host| host == rule.host.as_deref().unwrap_or("*"))
            && self.operation.is_none_or(|operation| operation == rule.operation)
            && self.effect.is_none_or(|effect| effect == rule.effect)
    }

    /// Whether the filter may find rules with this pattern.
    pub fn finds_resource(&self, kind: ResourceKind, pattern: &Pattern) -> bool {
        if self.kind.is_some_and(|wanted| wanted != kind) {
            return false;
        }
        let (is_prefix, written) = match pattern {
            Pattern::Any => (false, "*"),
            Pattern::Literal(name) => (false, &**name),
            Pattern::Prefix(name) => (true, &**name),
        };
        let same = |name: &str| name == written;
        let name = self.name.as_deref();
        match self.pattern {
            PatternFilter::Any => name.is_none_or(same),
            PatternFilter::Literal => !is_prefix && name.is_none_or(same),
            PatternFilter::Prefix => is_prefix && name.is_none_or(same),
            PatternFilter::Match => name.is_none_or(|name| pattern.matches(name)),
        }
    }
}
