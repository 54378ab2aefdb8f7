//! Changing the broker's own configuration, for one broker or for all of them.

use base::BrokerId;
use base::limits::META_VALUE_BYTES_MAX;
use cluster::{Compare, Op, Txn};

use crate::Broker;
use crate::metadata::keys;
use crate::settings::{self, SettingsError, Values};
use crate::topic_config::ConfigError;

impl Broker {
    /// Changes what is set for one broker, or with `None` for all of them, again until nobody else
    /// wrote in between. Takes effect before this returns, on this broker.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub async fn change_settings(
        &self,
        whose: Option<BrokerId>,
        change: impl Fn(&mut Values),
    ) -> Result<(), SettingsError> {
        let key = keys::settings(whose);
        loop {
            let current = self.inner.meta.get(key.as_bytes()).await?;
            let stored = current.as_ref().map(|kv| serde_json::from_slice(&kv.value));
            // What a newer version wrote, and we cannot read, is not changed.
            let value: Option<keys::SetValue> = stored.transpose().map_err(|_| {
                ConfigError::Unknown { of: "broker", name: "(written by a newer version)".into() }
            })?;
            let mut config = value.map(|value| value.config).unwrap_or_default();
            change(&mut config);
            settings::check(&config, whose, self.options(), &self.metadata())?;
            let unchanged = match &current {
                Some(kv) => Compare::mod_revision(key.clone(), kv.mod_revision),
                None => Compare::absent(key.clone()),
            };
            let op = if config.is_empty() {
                Op::delete(key.clone())
            } else {
                let value = keys::encode(&keys::SetValue { config });
                if value.len() >= META_VALUE_BYTES_MAX {
                    let name = "max.connections.per.ip.overrides";
                    let expected =
                        format!("all values together less than {META_VALUE_BYTES_MAX} bytes");
                    return Err(
                        ConfigError::Invalid { name, value: "…".to_owned(), expected }.into()
                    );
                }
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
