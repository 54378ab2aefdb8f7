//! Following the metadata store: each change becomes a new picture, and topics are opened and
//! closed to match.

use std::sync::Arc;
use std::time::Duration;

use cluster::WatchError;

use super::model::Metadata;
use crate::broker::{FIRST_TOPIC_LOG, Inner};

/// Pause before the metadata store is asked again after it failed.
const RETRY: Duration = Duration::from_millis(500);

/// Runs until the broker stops.
pub(crate) async fn run(inner: Arc<Inner>, mut from: u64) {
    loop {
        if matches!(follow(&inner, &mut from).await, Err(WatchError::Closed)) {
            return;
        }
        // Fell behind, or the store hiccuped: take a whole new picture and go on from there.
        match inner.meta.range(b"", 0, b"").await {
            Ok(range) => {
                let metadata = Metadata::load(&range, inner.options.id);
                inner.topics.load(&metadata, &inner.store, &inner.options, FIRST_TOPIC_LOG);
                from = range.revision + 1;
                inner.metadata.send_replace(Arc::new(metadata));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read the metadata; will retry");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Applies changes as they come, until the watch ends.
async fn follow(inner: &Inner, from: &mut u64) -> Result<(), WatchError> {
    let mut watch = match inner.meta.watch(b"", *from).await {
        Ok(watch) => watch,
        Err(error) => {
            tracing::warn!(%error, "cannot watch the metadata; will retry");
            tokio::time::sleep(RETRY).await;
            return Ok(());
        }
    };
    loop {
        let batch = watch.next().await?;
        *from = batch.revision + 1;
        let mut metadata = Metadata::clone(&inner.metadata.borrow());
        for change in metadata.apply(&batch, inner.options.id) {
            inner.topics.apply(&change, &inner.store, &inner.options);
            if let super::TopicChange::Deleted(topic) = &change {
                inner.groups.topic_deleted(&topic.name);
            }
        }
        inner.metadata.send_replace(Arc::new(metadata));
    }
}
