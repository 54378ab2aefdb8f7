//! Setting and removing quotas.

use base::ErrorKind;
use cluster::limits::META_KEY_BYTES_MAX;
use cluster::{Compare, MetaError, Op, Txn};

use crate::Broker;
use crate::metadata::keys;
use crate::quotas::{Entity, Name, QUOTAS_MAX, QuotaKind, stored};

/// Why a quota was not set or removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuotaError {
    /// Nobody is named, or a combination that makes no sense.
    #[error("{0}")]
    Entity(&'static str),
    /// A quota that this entity cannot have, or a limit that it cannot be.
    #[error("{0}")]
    Limit(String),
    /// There are too many.
    #[error("{QUOTAS_MAX} users, clients and addresses have quotas: remove some")]
    TooMany,
    /// The quotas of this entity cannot be read, so they cannot be changed either.
    #[error("the quotas of this entity were written by another version, and cannot be changed")]
    Unreadable,
    /// The metadata store failed.
    #[error("metadata: {0}")]
    Meta(#[from] MetaError),
}

impl QuotaError {
    /// What the caller should do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Entity(_) | Self::Limit(_) | Self::TooMany => ErrorKind::Invalid,
            Self::Unreadable => ErrorKind::Corrupt,
            Self::Meta(error) => error.kind(),
        }
    }
}

impl Broker {
    /// Whether quotas could be changed so.
    ///
    /// # Errors
    /// [`QuotaError::Entity`], [`QuotaError::Limit`].
    pub fn check_quotas(
        &self,
        entity: &Entity,
        changes: &[(QuotaKind, Option<f64>)],
    ) -> Result<(), QuotaError> {
        check_entity(entity)?;
        changes.iter().try_for_each(|(kind, limit)| check_limit(entity, *kind, *limit))
    }

    /// Sets quotas of an entity, or removes those that are given no limit. In force on this broker
    /// when it returns.
    ///
    /// # Errors
    /// See [`QuotaError`].
    pub async fn change_quotas(
        &self,
        entity: &Entity,
        changes: &[(QuotaKind, Option<f64>)],
    ) -> Result<(), QuotaError> {
        self.check_quotas(entity, changes)?;
        let key = stored::key(entity);
        if key.len() > META_KEY_BYTES_MAX {
            return Err(QuotaError::Entity("the names of the entity are too long"));
        }
        loop {
            let current = self.inner.meta.get(key.as_bytes()).await?;
            let revision = current.as_ref().map_or(0, |kv| kv.mod_revision);
            let mut value: stored::Value = match &current {
                Some(kv) => {
                    serde_json::from_slice(&kv.value).map_err(|_| QuotaError::Unreadable)?
                }
                None if self.metadata().quotas.len() >= QUOTAS_MAX => {
                    return Err(QuotaError::TooMany);
                }
                None => stored::Value::new(),
            };
            for (kind, limit) in changes {
                match limit {
                    Some(limit) => drop(value.insert(kind.as_str().to_owned(), *limit)),
                    None => drop(value.remove(kind.as_str())),
                }
            }
            let op = if value.is_empty() {
                Op::delete(key.clone())
            } else {
                Op::put(key.clone(), keys::encode(&value))
            };
            let txn = Txn::new().when(Compare::mod_revision(key.clone(), revision)).then(op);
            let answer = self.inner.meta.txn(txn).await?;
            if answer.succeeded {
                self.seen(answer.revision).await;
                return Ok(());
            }
        }
    }
}

fn check_entity(entity: &Entity) -> Result<(), QuotaError> {
    let parts = [&entity.user, &entity.client, &entity.ip];
    let is_empty = |name: &&Name| matches!(name, Name::Named(name) if name.is_empty());
    if parts.iter().copied().flatten().any(|name| is_empty(&name)) {
        return Err(QuotaError::Entity("the name of a user, client or address is empty"));
    }
    match (&entity.ip, entity.user.is_some() || entity.client.is_some()) {
        (None, false) => Err(QuotaError::Entity("no user, client or address is named")),
        (Some(_), true) => Err(QuotaError::Entity("an address goes with neither user nor client")),
        (Some(Name::Named(ip)), false) if ip.parse::<std::net::IpAddr>().is_err() => {
            Err(QuotaError::Entity("the address is not one"))
        }
        _ => Ok(()),
    }
}

fn check_limit(entity: &Entity, kind: QuotaKind, limit: Option<f64>) -> Result<(), QuotaError> {
    if kind.is_for_addresses() != entity.ip.is_some() {
        let whose = if kind.is_for_addresses() { "addresses" } else { "users and clients" };
        return Err(QuotaError::Limit(format!("{} is for {whose}", kind.as_str())));
    }
    let Some(limit) = limit else { return Ok(()) };
    // Also catches what is not a number at all.
    if !(limit > 0.0 && limit.is_finite()) {
        return Err(QuotaError::Limit(format!("{} must be more than 0", kind.as_str())));
    }
    let most = if kind == QuotaKind::Connections { f64::from(i32::MAX) } else { 2f64.powi(63) };
    if kind.is_whole() && (limit > most || limit.fract() > 1e-6) {
        return Err(QuotaError::Limit(format!("{} must be a whole number", kind.as_str())));
    }
    Ok(())
}
