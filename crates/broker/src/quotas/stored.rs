//! How quotas stand in the metadata store: one key for each entity, `quota/USER/CLIENT/IP`, each
//! part empty if the entity has none, `<default>`, or the name with what is not a letter, digit or
//! one of `._-` as `%XX`. The value is a JSON object from the quotas' names to their limits.

use std::collections::BTreeMap;

use super::entity::{Entity, Name, QuotaKind};
use super::table::Quotas;
use crate::metadata::keys;

/// What all keys of quotas begin with.
pub(crate) const PREFIX: &str = "quota/";

const DEFAULT: &str = "<default>";

/// A value: limits by name. Names that are not known here are kept.
pub(crate) type Value = BTreeMap<String, f64>;

/// The key of an entity's quotas.
pub(crate) fn key(entity: &Entity) -> String {
    let part = |name: &Option<Name>| match name {
        None => String::new(),
        Some(Name::Default) => DEFAULT.to_owned(),
        Some(Name::Named(name)) => keys::escape(name.as_bytes()),
    };
    format!("{PREFIX}{}/{}/{}", part(&entity.user), part(&entity.client), part(&entity.ip))
}

fn named(escaped: &str) -> Option<String> {
    String::from_utf8(keys::unescape(escaped)?.to_vec()).ok()
}

/// The entity that the rest of a key names.
fn entity(rest: &str) -> Option<Entity> {
    let part = |text: &str| {
        Some(match text {
            "" => None,
            DEFAULT => Some(Name::Default),
            name => Some(Name::Named(named(name)?.into())),
        })
    };
    let mut parts = rest.split('/');
    let (user, client, ip) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    Some(Entity { user: part(user)?, client: part(client)?, ip: part(ip)? })
}

/// Takes a key that was put into the table.
pub(crate) fn put(quotas: &mut Quotas, rest: &str, value: &[u8]) {
    let (Some(entity), Ok(value)) = (entity(rest), serde_json::from_slice::<Value>(value)) else {
        tracing::error!(key = rest, "cannot read a quota of the metadata store");
        return;
    };
    let known = |(name, limit): (String, f64)| Some((QuotaKind::parse(&name)?, limit));
    quotas.put(entity, value.into_iter().filter_map(known).collect());
}

/// Takes a key that was deleted out of the table.
pub(crate) fn delete(quotas: &mut Quotas, rest: &str) {
    if let Some(entity) = entity(rest) {
        quotas.delete(&entity);
    }
}
