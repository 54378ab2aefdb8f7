//! Filters with wildcards, as a tree of their steps.

use std::collections::HashMap;
use std::{mem, ptr};

use base::subject::Step;
use base::{Filter, Subject};

use crate::hash::Seeded;
use crate::node::{Found, Lists};
use crate::{Group, Key, Subscribed};

/// Children of a node before they are in a table.
const FEW: usize = 8;
/// Children of a table before there are many tables: a large one that grows is copied while all wait.
const TABLE: usize = 4096;
const TABLES: usize = 256;

#[derive(Debug)]
pub(crate) struct Tree<S> {
    /// Filters that match hidden subjects, too.
    all: Node<S>,
    /// Those that do not.
    visible: Node<S>,
    seed: Seeded,
}

#[derive(Debug)]
struct Node<S> {
    /// Of the filter that ends here.
    lists: Lists<S>,
    /// Of the filter whose last step, one or more levels, comes here.
    tail: Lists<S>,
    literals: Children<S>,
    one: Option<Box<Node<S>>>,
    /// Where a step of any number of levels leads: it comes back to itself with each level.
    many: Option<Box<Node<S>>>,
    loops: bool,
}

impl<S> Default for Node<S> {
    fn default() -> Self {
        let (lists, tail) = (Lists::default(), Lists::default());
        let literals = Children::Few(Vec::new());
        Self { lists, tail, literals, one: None, many: None, loops: false }
    }
}

/// Levels have memory of their own: a slice would keep its whole filter.
type Level = Box<[u8]>;
type Table<S> = HashMap<Level, Box<Node<S>>, Seeded>;

#[derive(Debug)]
enum Children<S> {
    Few(Vec<(Level, Box<Node<S>>)>),
    Table(Table<S>),
    Tables(Box<[Table<S>]>),
}

/// What a removal leaves, to be dropped without the lock: to give memory back may take long.
#[derive(Debug)]
pub(crate) struct Gone<S> {
    pub(crate) item: Option<S>,
    nodes: Vec<(Option<Level>, Box<Node<S>>)>,
    children: Vec<Children<S>>,
}

impl<S> Default for Gone<S> {
    fn default() -> Self {
        Self { item: None, nodes: Vec::new(), children: Vec::new() }
    }
}

impl<S: Subscribed> Tree<S> {
    pub(crate) fn new(seed: Seeded) -> Self {
        Self { all: Node::default(), visible: Node::default(), seed }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.visible.is_empty()
    }

    fn root(&mut self, filter: &Filter) -> &mut Node<S> {
        if filter.skips_hidden() { &mut self.visible } else { &mut self.all }
    }

    pub(crate) fn insert(
        &mut self,
        filter: &Filter,
        id: u64,
        item: S,
        group: Option<&Group>,
    ) -> u32 {
        let seed = self.seed;
        let mut node = self.root(filter);
        for (raw, step) in filter.raw_steps().zip(filter.steps()) {
            node = match step {
                Step::Literal(_) => node.literals.get_or_insert(raw, seed),
                Step::One => node.one.get_or_insert_default(),
                Step::ZeroOrMore => {
                    let many = node.many.get_or_insert_default();
                    many.loops = true;
                    many
                }
                Step::OneOrMore => return node.tail.insert(filter, id, item, group),
            };
        }
        node.lists.insert(filter, id, item, group)
    }

    pub(crate) fn remove(&mut self, filter: &Filter, key: Key, group: Option<&Group>) -> Gone<S> {
        let seed = self.seed;
        let steps: Vec<_> = filter.raw_steps().zip(filter.steps()).collect();
        let mut gone = Gone::default();
        gone.item = self.root(filter).remove(&steps, seed, (key, group), &mut gone);
        gone
    }

    /// Walks all branches at once, one level after the other, each node once a level: it cannot take longer than there
    /// are nodes, whatever wildcards there are.
    pub(crate) fn find(&self, subject: &Subject, found: &mut Found<S>) {
        let mut nodes: Vec<&Node<S>> = Vec::with_capacity(8);
        let mut next = Vec::with_capacity(8);
        let mut tails: Vec<&Lists<S>> = Vec::new();
        self.all.reach(&mut nodes);
        if !subject.is_hidden() {
            self.visible.reach(&mut nodes);
        }
        for raw in subject.raw_levels() {
            let mut loops = false;
            for node in nodes.drain(..) {
                if !node.tail.is_empty() {
                    tails.push(&node.tail);
                }
                if node.loops {
                    loops = true;
                    node.reach(&mut next);
                }
                let children = [node.literals.get(raw, self.seed), node.one.as_deref()];
                children.into_iter().flatten().for_each(|child| child.reach(&mut next));
            }
            if loops {
                unique(&mut next);
            }
            mem::swap(&mut nodes, &mut next);
            if nodes.is_empty() {
                break;
            }
        }
        unique(&mut tails);
        tails.into_iter().chain(nodes.into_iter().map(|node| &node.lists)).for_each(|lists| {
            lists.find(found);
        });
    }
}

/// Leaves each once, in the order in which they came.
fn unique<T>(all: &mut Vec<&T>) {
    if all.len() < 2 {
        return;
    }
    let mut seen = std::collections::HashSet::with_capacity(all.len());
    all.retain(|one| seen.insert(ptr::from_ref(*one)));
}

impl<S: Subscribed> Node<S> {
    fn is_empty(&self) -> bool {
        let leads_nowhere = self.one.is_none() && self.many.is_none() && self.literals.is_empty();
        leads_nowhere && self.lists.is_empty() && self.tail.is_empty()
    }

    /// This node, and what is reached from it without another level.
    fn reach<'a>(&'a self, nodes: &mut Vec<&'a Self>) {
        let mut node = self;
        nodes.push(node);
        while let Some(many) = &node.many {
            nodes.push(many);
            node = many;
        }
    }

    fn remove(
        &mut self,
        steps: &[(&[u8], Step<'_>)],
        seed: Seeded,
        (key, group): (Key, Option<&Group>),
        gone: &mut Gone<S>,
    ) -> Option<S> {
        let Some(((raw, step), rest)) = steps.split_first() else {
            return self.lists.remove(key, group);
        };
        let removed;
        match step {
            Step::OneOrMore => removed = self.tail.remove(key, group),
            Step::Literal(_) => {
                let child = self.literals.get_mut(raw, seed)?;
                removed = child.remove(rest, seed, (key, group), gone);
                if child.is_empty() {
                    self.literals.remove(raw, seed, gone);
                }
            }
            Step::One | Step::ZeroOrMore => {
                let slot = if *step == Step::One { &mut self.one } else { &mut self.many };
                let child = slot.as_mut()?;
                removed = child.remove(rest, seed, (key, group), gone);
                if let Some(empty) = slot.take_if(|child| child.is_empty()) {
                    gone.nodes.push((None, empty));
                }
            }
        }
        removed
    }
}

impl<S> Children<S> {
    fn is_empty(&self) -> bool {
        match self {
            Self::Few(few) => few.is_empty(),
            Self::Table(table) => table.is_empty(),
            Self::Tables(tables) => tables.iter().all(HashMap::is_empty),
        }
    }

    fn get(&self, raw: &[u8], seed: Seeded) -> Option<&Node<S>> {
        match self {
            Self::Few(few) => few.iter().find(|(level, _)| **level == *raw).map(|(_, n)| &**n),
            Self::Table(table) => table.get(raw).map(|node| &**node),
            Self::Tables(tables) => tables.get(table_of(raw, seed))?.get(raw).map(|node| &**node),
        }
    }

    fn get_mut(&mut self, raw: &[u8], seed: Seeded) -> Option<&mut Node<S>> {
        match self {
            Self::Few(few) => {
                few.iter_mut().find(|(level, _)| **level == *raw).map(|(_, n)| &mut **n)
            }
            Self::Table(table) => table.get_mut(raw).map(|node| &mut **node),
            Self::Tables(tables) => {
                tables.get_mut(table_of(raw, seed))?.get_mut(raw).map(|node| &mut **node)
            }
        }
    }

    fn remove(&mut self, raw: &[u8], seed: Seeded, gone: &mut Gone<S>) {
        let removed = match self {
            Self::Few(few) => {
                let at = few.iter().position(|(level, _)| **level == *raw);
                at.map(|at| few.swap_remove(at))
            }
            Self::Table(table) => table.remove_entry(raw),
            Self::Tables(tables) => {
                tables.get_mut(table_of(raw, seed)).and_then(|table| table.remove_entry(raw))
            }
        };
        gone.nodes.extend(removed.map(|(level, node)| (Some(level), node)));
        if self.is_empty() {
            gone.children.push(mem::replace(self, Self::Few(Vec::new())));
        }
    }

    fn get_or_insert(&mut self, raw: &[u8], seed: Seeded) -> &mut Node<S> {
        self.grow(seed);
        let level = || Box::from(raw);
        match self {
            Self::Few(few) => {
                let at = few.iter().position(|(level, _)| **level == *raw).unwrap_or_else(|| {
                    // Most nodes have one.
                    few.reserve_exact(usize::from(few.is_empty()));
                    few.push((level(), Box::default()));
                    few.len() - 1
                });
                #[allow(clippy::indexing_slicing, reason = "found there, or put there")]
                &mut few[at].1
            }
            Self::Table(table) => table.entry(level()).or_default(),
            Self::Tables(tables) =>
            {
                #[allow(clippy::indexing_slicing, reason = "as many tables as there are numbers")]
                tables[table_of(raw, seed)].entry(level()).or_default()
            }
        }
    }

    /// Changes the form before one more comes, if it is time.
    fn grow(&mut self, seed: Seeded) {
        match self {
            Self::Few(few) if few.len() >= FEW => {
                let mut table = HashMap::with_hasher(seed);
                table.extend(few.drain(..));
                *self = Self::Table(table);
            }
            Self::Table(table) if table.len() >= TABLE => {
                let mut tables: Vec<_> = (0..TABLES).map(|_| HashMap::with_hasher(seed)).collect();
                for (level, node) in table.drain() {
                    if let Some(table) = tables.get_mut(table_of(&level, seed)) {
                        table.insert(level, node);
                    }
                }
                *self = Self::Tables(tables.into());
            }
            _ => {}
        }
    }
}

/// By other bits than those that the table itself goes by.
fn table_of(raw: &[u8], seed: Seeded) -> usize {
    usize::try_from((seed.of(raw) >> 24) % TABLES as u64).unwrap_or_default()
}
