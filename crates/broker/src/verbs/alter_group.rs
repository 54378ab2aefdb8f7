//! Changing what is set on a group.

use std::collections::BTreeMap;

use base::limits::{GROUP_NAME_BYTES_MAX, META_VALUE_BYTES_MAX};
use cluster::{Compare, MetaError, Op, Txn};

use crate::Broker;
use crate::group_config;
use crate::metadata::keys;
use crate::topic_config::ConfigError;

/// Why a group's configuration was not changed.
#[derive(Debug, thiserror::Error)]
pub enum GroupConfigError {
    /// No name, or one that is too long.
    #[error("a group's name has 1 to {GROUP_NAME_BYTES_MAX} bytes")]
    Name,
    /// A key, or a value.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The metadata store.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

impl Broker {
    /// Changes what is set on a group, which need not exist yet. Takes effect at once.
    ///
    /// # Errors
    /// See [`GroupConfigError`].
    pub async fn set_group_config(
        &self,
        name: &str,
        change: impl Fn(&mut BTreeMap<String, String>),
    ) -> Result<(), GroupConfigError> {
        if name.is_empty() || name.len() > GROUP_NAME_BYTES_MAX {
            return Err(GroupConfigError::Name);
        }
        let key = keys::group(name);
        loop {
            let current = self.inner.meta.get(key.as_bytes()).await?;
            let stored = current.as_ref().map(|kv| serde_json::from_slice(&kv.value));
            // What a newer version wrote, and we cannot read, is not changed.
            let value: Option<keys::SetValue> = stored.transpose().map_err(|_| {
                ConfigError::Unknown { of: "group", name: "(written by a newer version)".into() }
            })?;
            let mut config = value.map(|value| value.config).unwrap_or_default();
            change(&mut config);
            group_config::check(&config, &self.inner.options.group_bounds)?;
            let unchanged = match &current {
                Some(kv) => Compare::mod_revision(key.clone(), kv.mod_revision),
                None => Compare::absent(key.clone()),
            };
            let op = if config.is_empty() {
                Op::delete(key.clone())
            } else {
                let value = keys::encode(&keys::SetValue { config });
                debug_assert!(value.len() < META_VALUE_BYTES_MAX, "its keys are few and short");
                Op::put(key.clone(), value)
            };
            let answer = self.inner.meta.txn(Txn::new().when(unchanged).then(op)).await?;
            if answer.succeeded {
                self.seen(answer.revision).await;
                return Ok(());
            }
        }
    }
}
