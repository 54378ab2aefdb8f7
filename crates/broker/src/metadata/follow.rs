//! Following the metadata store: each change becomes a new picture, and topics are opened and
//! closed to match.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use cluster::{RangeResponse, WatchError};
use observe::state::{NodeId, NodeKind};
use observe::{Said, kinds};

use super::keys::Key;
use super::model::Metadata;
use crate::broker::{Broker, Inner};
use crate::{queues, registry};

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
                from = range.revision + 1;
                reload(&inner, &range);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read the metadata; will retry");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Replaces the picture by a whole new one; what became of topics meanwhile is made up for.
pub(crate) fn reload(inner: &Arc<Inner>, range: &RangeResponse) {
    let metadata = Metadata::load(range, inner.options.id);
    let known: HashSet<_> = inner.metadata.borrow().topic_names.keys().copied().collect();
    inner.apply_settings(&metadata);
    let settings = inner.settings();
    let gone = inner.topics.load(&metadata, &inner.store, settings.topic_defaults());
    for topic in metadata.topic_names.keys() {
        inner.topic_opened(*topic, !known.contains(topic));
    }
    gone.iter().for_each(|topic| inner.topic_closed(topic.id));
    // A topic that we cannot read is not a topic that is gone.
    if is_complete(&metadata, range) {
        for topic in gone {
            for partition in &topic.partitions {
                inner.store.delete_log(partition.log);
            }
            inner.groups.topic_deleted(&topic);
            inner.queues.topic_deleted(&topic);
        }
    }
    inner.groups.put_topics(metadata.topics.values());
    inner.exchanges.changed();
    replace(inner, metadata);
}

/// Shows the new picture. Whoever remembered what the old one allowed asks again.
fn replace(inner: &Arc<Inner>, metadata: Metadata) {
    let new = Arc::new(metadata);
    let old = inner.metadata.send_replace(Arc::clone(&new));
    if !Arc::ptr_eq(&old.access, &new.access) {
        inner.live.access_changed();
    }
    if old.groups != new.groups {
        let broker = Broker { inner: Arc::clone(inner) };
        inner.live.groups.configure(|group| broker.group_config(group).dispatch);
    }
}

/// Tells of a change to whoever reads events.
fn tell(inner: &Inner, change: &super::TopicChange) {
    let topic = change.topic();
    // Else telling of the topic of events would be told of, too.
    if topic.internal {
        return;
    }
    let about = NodeId::new(NodeKind::Topic, topic.name.as_str());
    let (kind, what) = match change {
        super::TopicChange::Put(_) => (&kinds::TOPIC_CHANGED, "was made or changed"),
        super::TopicChange::Deleted(_) => (&kinds::TOPIC_DELETED, "was deleted"),
    };
    inner.observe.events.tell(kind, Some(about), || {
        let said = Said::new(format!("topic {} {what}", topic.name));
        said.with("id", &topic.id).with("partitions", &topic.partitions.len())
    });
}

/// Whether every topic in the metadata store could be read.
pub(crate) fn is_complete(metadata: &Metadata, range: &RangeResponse) -> bool {
    let topics = range.kvs.iter().filter(|kv| matches!(Key::parse(&kv.key), Key::Topic(_)));
    topics.count() == metadata.topics.len()
}

/// Applies changes as they come, until the watch ends.
async fn follow(inner: &Arc<Inner>, from: &mut u64) -> Result<(), WatchError> {
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
        let is_elsewhere = |key| registry::is_ours(key) || queues::is_ours(key);
        if batch.changes.iter().all(|change| is_elsewhere(change.key())) {
            // Frequent, and nothing of it is in the picture: no new one unless somebody holds it.
            inner.metadata.send_modify(|old| Arc::make_mut(old).revision = batch.revision);
            continue;
        }
        let before = Arc::clone(&inner.metadata.borrow());
        let mut metadata = Metadata::clone(&before);
        let changes = metadata.apply(&batch, inner.options.id);
        let retuned = !Arc::ptr_eq(&before.settings, &metadata.settings);
        drop(before);
        if retuned {
            inner.apply_settings(&metadata);
        }
        let settings = inner.settings();
        let is_about_topics = !changes.is_empty();
        for change in changes {
            let is_new = !inner.topics.has(change.topic().id);
            inner.topics.apply(&change, &inner.store, settings.topic_defaults());
            tell(inner, &change);
            match &change {
                super::TopicChange::Put(topic) => {
                    inner.topic_opened(topic.id, is_new);
                    if !is_new {
                        inner.queues.topic_changed(inner, topic);
                    }
                    inner.groups.put_topics([topic]);
                }
                super::TopicChange::Deleted(topic) => {
                    inner.topic_closed(topic.id);
                    inner.groups.topic_deleted(topic);
                    inner.queues.topic_deleted(topic);
                }
            }
        }
        if is_about_topics {
            inner.exchanges.changed();
        }
        if retuned {
            // What topics do not set themselves may be another now.
            inner.topics.load(&metadata, &inner.store, settings.topic_defaults());
            for topic in metadata.topic_names.keys() {
                inner.topic_opened(*topic, false);
            }
        }
        replace(inner, metadata);
    }
}
