//! Setting, changing and deleting subscriptions to clients' metrics.

use std::collections::BTreeMap;

use cluster::{Compare, Op, Txn};

use crate::Broker;
use crate::client_metrics::{ClientMetricsError, SUBSCRIPTIONS_MAX, Subscription, check_name};
use crate::metadata::keys;

impl Broker {
    /// Changes what is set on a subscription, again until nobody else wrote in between. One on which
    /// nothing is set is none.
    ///
    /// # Errors
    /// See [`ClientMetricsError`].
    pub async fn set_client_metrics(
        &self,
        name: &str,
        change: impl Fn(&mut BTreeMap<String, String>),
    ) -> Result<(), ClientMetricsError> {
        check_name(name)?;
        let key = keys::client_metrics(name);
        loop {
            let current = self.inner.meta.get(key.as_bytes()).await?;
            let mut config: BTreeMap<String, String> = current
                .as_ref()
                .and_then(|current| serde_json::from_slice(&current.value).ok())
                .unwrap_or_default();
            change(&mut config);
            Subscription::parse(&config)?;
            let unchanged = match &current {
                Some(current) => Compare::mod_revision(key.clone(), current.mod_revision),
                None if config.is_empty() => return Ok(()),
                None if self.metadata().client_metrics.len() >= SUBSCRIPTIONS_MAX => {
                    return Err(ClientMetricsError::Limit);
                }
                None => Compare::absent(key.clone()),
            };
            let write = match config.is_empty() {
                true => Op::delete(key.clone()),
                false => Op::put(key.clone(), keys::encode(&config)),
            };
            let answer = self.inner.meta.txn(Txn::new().when(unchanged).then(write)).await?;
            if answer.succeeded {
                self.seen(answer.revision).await;
                return Ok(());
            }
        }
    }
}
