//! The quotas of a cluster, and which of them bounds somebody.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::entity::{Entity, Name, QuotaKind};

/// All quotas of a cluster, at one revision.
#[derive(Debug, Clone, Default)]
pub struct Quotas {
    entities: BTreeMap<Entity, Limits>,
    /// How many entities have each kind.
    counts: [usize; QuotaKind::ALL.len()],
}

/// The quotas of one entity, by kind.
pub(crate) type Limits = BTreeMap<QuotaKind, f64>;

/// A quota that bounds somebody, and whose usage counts together against it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bound {
    pub(super) limit: f64,
    /// Empty names: of all users, or of all clients.
    pub(super) user: Arc<str>,
    pub(super) client: Arc<str>,
}

impl Quotas {
    /// Entities with their quotas, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Entity, &BTreeMap<QuotaKind, f64>)> {
        self.entities.iter()
    }

    /// How many entities have quotas.
    pub fn len(&self) -> usize {
        self.entities.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }

    /// Whether anybody has a quota of this kind.
    pub fn has(&self, kind: QuotaKind) -> bool {
        self.counts.get(kind as usize).is_some_and(|count| *count > 0)
    }

    pub(crate) fn put(&mut self, entity: Entity, limits: Limits) {
        self.count(&limits, 1);
        let old = self.entities.insert(entity, limits);
        self.count(&old.unwrap_or_default(), -1);
    }

    pub(crate) fn delete(&mut self, entity: &Entity) {
        let old = self.entities.remove(entity).unwrap_or_default();
        self.count(&old, -1);
    }

    fn count(&mut self, limits: &Limits, by: isize) {
        for kind in limits.keys() {
            if let Some(count) = self.counts.get_mut(*kind as usize) {
                *count = count.saturating_add_signed(by);
            }
        }
    }

    fn limit(&self, entity: &Entity, kind: QuotaKind) -> Option<f64> {
        self.entities.get(entity)?.get(&kind).copied()
    }

    /// The quota that bounds a client of a user: the one that names them most closely, the user
    /// before the client (KIP-55).
    pub(super) fn bound(
        &self,
        kind: QuotaKind,
        user: &Arc<str>,
        client: &Arc<str>,
    ) -> Option<Bound> {
        if !self.has(kind) {
            return None;
        }
        let named = |name: &Arc<str>| Some(Name::Named(Arc::clone(name)));
        let default = || Some(Name::Default);
        let candidates = [
            (named(user), named(client)),
            (named(user), default()),
            (named(user), None),
            (default(), named(client)),
            (default(), default()),
            (default(), None),
            (None, named(client)),
            (None, default()),
        ];
        candidates.into_iter().find_map(|(of_user, of_client)| {
            let (by_user, by_client) = (of_user.is_some(), of_client.is_some());
            let entity = Entity { user: of_user, client: of_client, ip: None };
            // What is given to each user, or each client, is not shared between them.
            let shared = |name: &Arc<str>, by: bool| if by { Arc::clone(name) } else { "".into() };
            Some(Bound {
                limit: self.limit(&entity, kind)?,
                user: shared(user, by_user),
                client: shared(client, by_client),
            })
        })
    }

    /// How many connections a second an address may make.
    pub fn connections_of(&self, ip: &str) -> Option<f64> {
        if !self.has(QuotaKind::Connections) {
            return None;
        }
        let of = |name| Entity { ip: Some(name), ..Entity::default() };
        let own = self.limit(&of(Name::Named(ip.into())), QuotaKind::Connections);
        own.or_else(|| self.limit(&of(Name::Default), QuotaKind::Connections))
    }
}
