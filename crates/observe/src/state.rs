//! What there is, and how it hangs together: one graph, which everybody who shows a broker reads.
//!
//! A node is a thing with a name that is the only one of its kind, such as a topic; an edge says what one thing has to do with
//! another, such as that a connection consumes a queue. Who knows things says them ([`Inspect`]); nobody needs to know all
//! kinds. Lists may be long: a [`Scope`] says what is wanted.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Debug, Display, Formatter};
use std::ops::Range;
use std::sync::{Arc, Weak};

use parking_lot::RwLock;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Kinds of things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// The broker itself, with its version.
    Broker,
    /// Where clients connect to.
    Listener,
    /// A client that is connected.
    Connection,
    /// A topic.
    Topic,
    /// A partition of one.
    Partition,
    /// A consumer group.
    Group,
    /// A member of one.
    Member,
    /// A session that outlives its connection.
    Session,
    /// A live subscription.
    Subscription,
    /// A queue.
    Queue,
    /// What routes messages to queues.
    Exchange,
    /// The log's storage.
    Store,
    /// A key of the configuration.
    Setting,
}

impl NodeKind {
    /// All kinds.
    pub const ALL: [Self; 13] = [
        Self::Broker,
        Self::Listener,
        Self::Connection,
        Self::Topic,
        Self::Partition,
        Self::Group,
        Self::Member,
        Self::Session,
        Self::Subscription,
        Self::Queue,
        Self::Exchange,
        Self::Store,
        Self::Setting,
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Listener => "listener",
            Self::Connection => "connection",
            Self::Topic => "topic",
            Self::Partition => "partition",
            Self::Group => "group",
            Self::Member => "member",
            Self::Session => "session",
            Self::Subscription => "subscription",
            Self::Queue => "queue",
            Self::Exchange => "exchange",
            Self::Store => "store",
            Self::Setting => "setting",
        }
    }

    /// The kind that a word says.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// A thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// What it is.
    pub kind: NodeKind,
    /// Which of them.
    pub name: Arc<str>,
}

impl NodeId {
    /// The thing of this name.
    pub fn new(kind: NodeKind, name: impl Into<Arc<str>>) -> Self {
        Self { kind, name: name.into() }
    }
}

impl Display for NodeId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.word(), self.name)
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parts = text.split_once('/');
        let id = parts.and_then(|(kind, name)| Some(Self::new(NodeKind::parse(kind)?, name)));
        id.ok_or_else(|| Error::custom(format!("'{text}' names nothing")))
    }
}

/// What is said of a thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fact {
    /// A number.
    Number(i64),
    /// Whether something is so.
    Is(bool),
    /// A text.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
}

impl From<&str> for Fact {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Fact {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Fact {
    fn from(is: bool) -> Self {
        Self::Is(is)
    }
}

impl From<i64> for Fact {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<u64> for Fact {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Fact {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// A thing and what is said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Which.
    pub id: NodeId,
    /// What is said.
    pub facts: BTreeMap<Cow<'static, str>, Fact>,
}

impl Node {
    /// Nothing is said yet.
    pub fn new(kind: NodeKind, name: impl Into<Arc<str>>) -> Self {
        Self { id: NodeId::new(kind, name), facts: BTreeMap::new() }
    }

    /// Says something.
    #[must_use]
    pub fn with(mut self, name: &'static str, fact: impl Into<Fact>) -> Self {
        self.facts.insert(Cow::Borrowed(name), fact.into());
        self
    }

    /// Says something, if it is known.
    #[must_use]
    pub fn with_some(self, name: &'static str, fact: Option<impl Into<Fact>>) -> Self {
        match fact {
            Some(fact) => self.with(name, fact),
            None => self,
        }
    }

    /// Whether its name, or a text that is said of it, contains this, which is in small letters.
    fn says(&self, part: &str) -> bool {
        let has = |text: &str| text.to_lowercase().contains(part);
        let is_said = |fact: &Fact| match fact {
            Fact::Text(text) => has(text),
            Fact::Texts(texts) => texts.iter().any(|text| has(text)),
            Fact::Number(_) | Fact::Is(_) => false,
        };
        has(&self.id.name) || self.facts.values().any(is_said)
    }

    /// A number that is said of it.
    pub fn number(&self, name: &str) -> Option<i64> {
        match self.facts.get(name) {
            Some(Fact::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// A text that is said of it.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.facts.get(name) {
            Some(Fact::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// What one thing has to do with another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Edge {
    /// One thing.
    pub from: NodeId,
    /// What it does to, or is of, the other: `of`, `consumes`, `stored_in`, `through`, `bound_to`.
    pub does: Cow<'static, str>,
    /// The other.
    pub to: NodeId,
}

/// An order of things of one kind. Of whom the fact is not said comes last, either way; the same facts are in the order of
/// names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// The fact's name.
    pub fact: String,
    /// The largest first.
    pub descending: bool,
}

impl Sort {
    fn compare(&self, a: &Node, b: &Node) -> Ordering {
        let facts = (a.facts.get(self.fact.as_str()), b.facts.get(self.fact.as_str()));
        let order = match facts {
            (Some(a), Some(b)) if self.descending => b.cmp(a),
            (Some(a), Some(b)) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            // By name, which is what is said of all of them.
            (None, None) if self.descending && self.fact == "name" => return b.id.cmp(&a.id),
            (None, None) => Ordering::Equal,
        };
        order.then_with(|| a.id.cmp(&b.id))
    }
}

/// What is wanted of a graph.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Kinds of things; none: all.
    pub kinds: Option<Vec<NodeKind>>,
    /// What their names contain.
    pub name: Option<String>,
    /// What their names contain, or a text that is said of them; in large or small letters.
    pub text: Option<String>,
    /// What they are in the order of; nothing: their names.
    pub sort: Option<Sort>,
    /// How many of them come before.
    pub offset: usize,
    /// At most so many of each kind.
    pub limit: usize,
}

impl Scope {
    /// Things of each kind, if nobody says how many.
    pub const LIMIT: usize = 1000;
    /// At most.
    pub const LIMIT_MAX: usize = 100_000;

    /// Everything.
    pub fn all() -> Self {
        Self { limit: Self::LIMIT_MAX, ..Self::default() }
    }

    /// These kinds only.
    pub fn of(kinds: impl IntoIterator<Item = NodeKind>) -> Self {
        Self { kinds: Some(kinds.into_iter().collect()), ..Self::all() }
    }

    /// The numbers of those that are shown.
    fn page(&self) -> Range<usize> {
        self.offset..self.offset.saturating_add(self.limit)
    }

    /// Whether things of a kind are wanted.
    pub fn wants(&self, kind: NodeKind) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&kind))
    }
}

/// Things, and what they have to do with each other.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Graph {
    /// Things, by kind and name.
    pub nodes: Vec<Node>,
    /// What they have to do with each other. Of things that are not among the nodes, too.
    pub edges: Vec<Edge>,
    /// How many there are of each kind, shown or not.
    pub totals: BTreeMap<NodeKind, usize>,
}

impl Graph {
    /// The thing of this kind and name.
    pub fn get(&self, kind: NodeKind, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id.kind == kind && &*node.id.name == name)
    }

    /// Puts things in order, and keeps a page of each kind, with what these have to do with others.
    fn cut(&mut self, scope: &Scope) {
        if let Some(sort) = &scope.sort {
            self.nodes.sort_by(|a, b| a.id.kind.cmp(&b.id.kind).then_with(|| sort.compare(a, b)));
        }
        let (mut kind, mut number) = (None, 0);
        self.nodes.retain(|node| {
            number = if kind == Some(node.id.kind) { number + 1 } else { 0 };
            kind = Some(node.id.kind);
            scope.page().contains(&number)
        });
        let shown: HashSet<&NodeId> = self.nodes.iter().map(|node| &node.id).collect();
        self.edges.retain(|edge| shown.contains(&edge.from));
    }

    /// The things of a kind.
    pub fn of_kind(&self, kind: NodeKind) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.id.kind == kind)
    }
}

/// Takes what is known, as far as it is wanted.
#[derive(Debug)]
pub struct View<'a> {
    scope: &'a Scope,
    /// What is looked for, in small letters.
    text: Option<String>,
    graph: Graph,
}

impl View<'_> {
    /// Whether things of a kind are wanted; who knows many does nothing where not, beyond [`Self::count`].
    pub fn wants(&self, kind: NodeKind) -> bool {
        self.scope.wants(kind)
    }

    /// There are so many of a kind, none of which is said.
    pub fn count(&mut self, kind: NodeKind, count: usize) {
        *self.graph.totals.entry(kind).or_default() += count;
    }

    /// There is a thing; `node` is called where it is wanted, and says all of it and what it has to do with others.
    pub fn put(
        &mut self,
        id: &NodeId,
        node: impl FnOnce(Node) -> Node,
        edges: &[(&'static str, NodeId)],
    ) {
        let total = self.graph.totals.entry(id.kind).or_default();
        if !self.scope.wants(id.kind) {
            *total += 1;
            return;
        }
        if self.scope.name.as_ref().is_some_and(|part| !id.name.contains(part.as_str())) {
            return;
        }
        let make = || node(Node::new(id.kind, Arc::clone(&id.name)));
        // Where all is looked through, or in another order, all of it must be made first.
        let node = match &self.text {
            Some(part) => {
                let made = make();
                if !made.says(part) {
                    return;
                }
                *total += 1;
                made
            }
            None => {
                let number = *total;
                *total += 1;
                if self.scope.sort.is_none() && !self.scope.page().contains(&number) {
                    return;
                }
                make()
            }
        };
        self.graph.nodes.push(node);
        let edge = |(does, to): &(&'static str, NodeId)| Edge {
            from: id.clone(),
            does: Cow::Borrowed(does),
            to: to.clone(),
        };
        self.graph.edges.extend(edges.iter().map(edge));
    }
}

/// Somebody who knows things.
pub trait Inspect: Send + Sync {
    /// Says what there is, in an order that stays the same from one time to the next.
    fn inspect(&self, view: &mut View<'_>);
}

/// Who knows things.
#[derive(Default)]
pub struct Inspectors {
    all: RwLock<Vec<Weak<dyn Inspect>>>,
}

impl Debug for Inspectors {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspectors").field("all", &self.all.read().len()).finish()
    }
}

impl Inspectors {
    /// Asks somebody, too, for as long as they are there.
    pub fn ask(&self, inspector: &Arc<impl Inspect + 'static>) {
        let inspector: Arc<dyn Inspect> = Arc::clone(inspector) as Arc<dyn Inspect>;
        let mut all = self.all.write();
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(&inspector));
    }

    /// What there is.
    pub fn look(&self, scope: &Scope) -> Graph {
        let all: Vec<_> = self.all.read().iter().filter_map(Weak::upgrade).collect();
        let text = scope.text.as_ref().map(|text| text.to_lowercase());
        let mut view = View { scope, text, graph: Graph::default() };
        for inspector in all {
            inspector.inspect(&mut view);
        }
        view.graph.nodes.sort_by(|a, b| a.id.cmp(&b.id));
        if scope.sort.is_some() || scope.text.is_some() {
            view.graph.cut(scope);
        }
        view.graph.edges.sort();
        view.graph
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Topics(usize);

    impl Inspect for Topics {
        fn inspect(&self, view: &mut View<'_>) {
            let broker = NodeId::new(NodeKind::Broker, "0");
            for number in 0..self.0 {
                let id = NodeId::new(NodeKind::Topic, format!("topic-{number:03}"));
                view.put(&id, |node| node.with("partitions", number), &[("of", broker.clone())]);
            }
            view.put(&broker, |node| node.with("version", "1"), &[]);
        }
    }

    fn look(scope: &Scope) -> (Vec<String>, usize) {
        let inspectors = Inspectors::default();
        let topics = Arc::new(Topics(30));
        inspectors.ask(&topics);
        let graph = inspectors.look(scope);
        let shown = graph.of_kind(NodeKind::Topic);
        let names = shown.map(|node| node.id.to_string()).collect();
        (names, graph.totals.get(&NodeKind::Topic).copied().unwrap_or(0))
    }

    #[test]
    fn a_page_has_what_was_asked_for_and_says_how_many_there_are() {
        let scope = Scope { offset: 3, limit: 2, ..Scope::default() };
        let expected = vec!["topic/topic-003".to_owned(), "topic/topic-004".to_owned()];
        assert_eq!(look(&scope), (expected, 30));
        let scope = Scope { name: Some("-02".into()), limit: 5, ..Scope::default() };
        let (names, total) = look(&scope);
        assert_eq!((names.len(), total), (5, 10), "of those whose names were asked for");
        assert_eq!(look(&Scope::of([NodeKind::Broker])), (vec![], 30));
    }

    #[test]
    fn things_are_sorted_and_looked_through_before_they_are_cut_into_pages() {
        let sort = |fact: &str, descending| Some(Sort { fact: fact.to_owned(), descending });
        let sorted = |fact, descending| {
            look(&Scope { sort: sort(fact, descending), offset: 1, limit: 2, ..Scope::default() })
        };
        let expected = vec!["topic/topic-028".to_owned(), "topic/topic-027".to_owned()];
        assert_eq!(sorted("partitions", true), (expected.clone(), 30));
        assert_eq!(sorted("name", true), (expected, 30));
        let expected = vec!["topic/topic-001".to_owned(), "topic/topic-002".to_owned()];
        assert_eq!(sorted("nothing", true), (expected.clone(), 30), "by name");
        assert_eq!(sorted("partitions", false), (expected, 30));
        let scope = Scope { text: Some("OPIC-02".into()), offset: 8, limit: 5, ..Scope::default() };
        let expected = vec!["topic/topic-028".to_owned(), "topic/topic-029".to_owned()];
        assert_eq!(look(&scope), (expected, 10));
        let node = |name: &str| Node::new(NodeKind::Connection, name);
        let by_user = Sort { fact: "user".into(), descending: true };
        let (said, unsaid) = (node("b").with("user", "me"), node("a"));
        assert_eq!(by_user.compare(&said, &unsaid), Ordering::Less, "what is not said is last");
        assert!(said.says("me") && !said.says("us"));
    }

    #[test]
    fn of_what_is_cut_off_nothing_is_left() {
        let inspectors = Inspectors::default();
        let topics = Arc::new(Topics(9));
        inspectors.ask(&topics);
        let sort = Some(Sort { fact: "partitions".into(), descending: true });
        let graph = inspectors.look(&Scope { sort, limit: 3, ..Scope::of([NodeKind::Topic]) });
        assert_eq!((graph.nodes.len(), graph.edges.len()), (3, 3));
    }

    #[test]
    fn a_graph_is_plain_json() {
        let inspectors = Inspectors::default();
        let topics = Arc::new(Topics(1));
        inspectors.ask(&topics);
        let graph = inspectors.look(&Scope::all());
        assert_eq!(graph.get(NodeKind::Topic, "topic-000").unwrap().number("partitions"), Some(0));
        let json = serde_json::to_value(&graph).unwrap();
        let expected = serde_json::json!({
            "nodes": [
                { "id": "broker/0", "facts": { "version": "1" } },
                { "id": "topic/topic-000", "facts": { "partitions": 0 } },
            ],
            "edges": [{ "from": "topic/topic-000", "does": "of", "to": "broker/0" }],
            "totals": { "broker": 1, "topic": 1 },
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn every_kind_has_its_word() {
        for kind in NodeKind::ALL {
            assert_eq!(NodeKind::parse(kind.word()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
        assert_eq!(NodeKind::parse("nothing"), None);
    }
}
