//! What there is, as far as the core knows: the broker, its topics, groups, queues, exchanges, storage and configuration.

use std::sync::Arc;

use bytes::Bytes;
use observe::state::{Graph, Inspect, Node, NodeId, NodeKind, Scope, View};
use queue::group::{Filter, GroupKind, Listing};
use store::Durability;

use super::GroupLag;
use crate::broker::Inner;
use crate::exchanges::BindTo;
use crate::{Broker, OpenTopic};

impl Inspect for Inner {
    fn inspect(&self, view: &mut View<'_>) {
        self.see_broker(view);
        self.see_topics(view);
        self.see_groups(view);
        self.see_queues(view);
        self.see_exchanges(view);
        self.see_store(view);
        self.see_settings(view);
        view.count(NodeKind::Session, self.sessions.count());
    }
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A name within a space of names, as things of the state are called.
pub(crate) fn spaced(space: &Bytes, name: &Bytes) -> String {
    if space.is_empty() { text(name) } else { format!("{}/{}", text(space), text(name)) }
}

/// Of the topics that a group consumes: the one of whose retention most is used up by what it is behind.
fn with_kept(node: Node, lags: &[&GroupLag]) -> Node {
    let most = lags.iter().filter_map(|lag| Some((lag.kept_percent?, lag))).max_by_key(|of| of.0);
    let Some((percent, lag)) = most.filter(|(percent, _)| *percent > 0) else { return node };
    node.with("kept_percent", percent).with("kept_topic", &*lag.topic)
}

/// Of the topics that a group consumes: the one with a partition that gets much more than the others, and where the
/// group is furthest behind.
fn with_hot(node: Node, lags: &[&GroupLag]) -> Node {
    let most = lags.iter().filter_map(|lag| Some((lag.hot_behind()?, lag)));
    let Some(((own, others), lag)) = most.max_by_key(|of| of.0) else { return node };
    let Some((partition, hot)) = lag.hot else { return node };
    node.with("hot_topic", &*lag.topic)
        .with("hot_partition", i64::from(partition))
        .with("hot_came_percent", hot.percent)
        .with("hot_usual_percent", hot.usual_percent)
        .with("hot_behind_ms", own)
        .with("hot_others_behind_ms", others)
}

impl Inner {
    fn own_id(&self) -> NodeId {
        NodeId::new(NodeKind::Broker, self.options.id.0.to_string())
    }

    fn see_broker(&self, view: &mut View<'_>) {
        let metadata = self.metadata.borrow().clone();
        for broker in metadata.brokers.values() {
            let id = NodeId::new(NodeKind::Broker, broker.id.0.to_string());
            let is_own = broker.id == self.options.id;
            let rest = |node: Node| {
                let node = node
                    .with("is_this", is_own)
                    .with("registered_at", broker.registered_at)
                    .with_some("rack", broker.rack.clone());
                if !is_own {
                    return node;
                }
                node.with("version", env!("CARGO_PKG_VERSION"))
                    .with("cluster", metadata.cluster_id.as_str())
                    .with("started_at", self.started_at)
                    .with("now", self.options.clock.now())
                    .with("metadata_revision", metadata.revision)
                    .with("healthy", self.store.health().is_ok())
            };
            view.put(&id, rest, &[]);
        }
    }

    fn see_topics(&self, view: &mut View<'_>) {
        let mut all = self.topics.all();
        if !view.wants(NodeKind::Topic) && !view.wants(NodeKind::Partition) {
            view.count(NodeKind::Topic, all.len());
            view.count(NodeKind::Partition, all.iter().map(|open| open.logs.len()).sum());
            return;
        }
        all.sort_by(|a, b| a.topic.name.cmp(&b.topic.name));
        for open in all {
            let id = NodeId::new(NodeKind::Topic, open.topic.name.as_str());
            view.put(&id, |node| topic(&open, node), &[]);
            if !view.wants(NodeKind::Partition) {
                view.count(NodeKind::Partition, open.logs.len());
                continue;
            }
            for (number, log) in open.logs.iter().enumerate() {
                let name = format!("{}/{number}", open.topic.name);
                let own = NodeId::new(NodeKind::Partition, name);
                let leader = open.topic.partitions.get(number).map(|partition| partition.leader);
                let rest = |node: Node| {
                    let status = log.status();
                    node.with("number", number)
                        .with("start", status.start)
                        .with("end", status.end)
                        .with("stable_end", log.stable_end())
                        .with("bytes", status.bytes)
                        .with("segments", status.segments)
                        .with("compacted", status.compacted)
                        .with_some("leader", leader.map(|leader| leader.0.to_string()))
                };
                view.put(&own, rest, &[("of", id.clone())]);
            }
        }
    }

    fn see_groups(&self, view: &mut View<'_>) {
        let lags = self.lags.get();
        for listing in self.groups.list(&Filter::default()).unwrap_or_default() {
            let id = NodeId::new(NodeKind::Group, Arc::clone(&listing.group));
            let own: Vec<_> = lags.iter().filter(|lag| lag.group == listing.group).collect();
            let topic = |lag: &&GroupLag| NodeId::new(NodeKind::Topic, Arc::clone(&lag.topic));
            let edges: Vec<_> = own.iter().map(|lag| ("consumes", topic(lag))).collect();
            let rest = |node: Node| {
                let node = node
                    .with("state", listing.state.as_str())
                    .with("kind", listing.kind.as_str())
                    .with("lag_messages", own.iter().map(|lag| lag.messages).sum::<i64>())
                    .with("lost_messages", own.iter().map(|lag| lag.lost()).sum::<i64>())
                    .with_some("behind_ms", own.iter().filter_map(|lag| lag.behind_ms).max());
                let node = with_kept(node, &own);
                with_hot(node, &own)
            };
            view.put(&id, rest, &edges);
            if view.wants(NodeKind::Member) {
                self.see_members(&listing, &id, view);
            }
        }
    }

    fn see_members(&self, listing: &Listing, group: &NodeId, view: &mut View<'_>) {
        let mut see = |id: &str, client: &str, host: &str| {
            let own = NodeId::new(NodeKind::Member, format!("{}/{id}", listing.group));
            let rest = |node: Node| node.with("client_id", client).with("host", host);
            view.put(&own, rest, &[("of", group.clone())]);
        };
        match listing.kind {
            GroupKind::Classic => {
                for one in self.groups.describe(&listing.group).into_iter().flat_map(|g| g.members)
                {
                    see(&one.member_id, &one.client_id, &one.client_host);
                }
            }
            GroupKind::Consumer => {
                let found = self.groups.describe_consumer(&listing.group);
                for one in found.into_iter().flat_map(|group| group.members) {
                    see(&one.member_id, &one.client_id, &one.client_host);
                }
            }
            GroupKind::Share => {
                let found = self.groups.describe_share(&listing.group);
                for one in found.into_iter().flat_map(|group| group.members) {
                    see(&one.member_id, &one.client_id, &one.client_host);
                }
            }
        }
    }

    fn see_queues(&self, view: &mut View<'_>) {
        let mut all = self.queues.all();
        if !view.wants(NodeKind::Queue) {
            return view.count(NodeKind::Queue, all.len());
        }
        all.sort_by(|a, b| a.name().cmp(b.name()));
        for queue in all {
            let id = NodeId::new(NodeKind::Queue, spaced(&queue.name().space, &queue.name().name));
            let stored = queue.stored_in();
            let topic = stored.clone().map(|topic| NodeId::new(NodeKind::Topic, topic));
            let edges: Vec<_> = topic.into_iter().map(|topic| ("stored_in", topic)).collect();
            let rest = |node: Node| {
                let counts = queue.counts();
                let settings = &queue.spec().settings;
                node.with("space", text(&queue.name().space))
                    .with("queue", text(&queue.name().name))
                    .with("ready", counts.ready)
                    .with("held", counts.held)
                    .with("consumers", u64::from(counts.consumers))
                    .with("durable", queue.spec().durable)
                    .with("exclusive", queue.spec().exclusive)
                    .with("auto_delete", queue.spec().auto_delete)
                    .with_some("length_max", settings.length_max)
                    .with("dead_letters", settings.dead_letter.is_some())
                    .with_some("topic", stored)
            };
            view.put(&id, rest, &edges);
        }
    }

    fn see_exchanges(&self, view: &mut View<'_>) {
        let mut all = self.exchanges.all();
        if !view.wants(NodeKind::Exchange) {
            return view.count(NodeKind::Exchange, all.len());
        }
        all.sort_by(|a, b| a.name().cmp(b.name()));
        for exchange in all {
            let name = exchange.name();
            let id = NodeId::new(NodeKind::Exchange, spaced(&name.space, &name.name));
            let bindings = exchange.bindings();
            let to = |to: &BindTo| match to {
                BindTo::Queue(queue) => {
                    NodeId::new(NodeKind::Queue, spaced(&queue.space, &queue.name))
                }
                BindTo::Exchange(other) => {
                    NodeId::new(NodeKind::Exchange, spaced(&other.space, &other.name))
                }
            };
            let mut edges: Vec<_> =
                bindings.iter().map(|(bound, _)| ("routes_to", to(bound))).collect();
            edges.sort();
            edges.dedup();
            view.put(&id, |node| node.with("bindings", bindings.len()), &edges);
        }
    }

    fn see_store(&self, view: &mut View<'_>) {
        let id = NodeId::new(NodeKind::Store, self.options.data_dir.as_str());
        let why = self.store.health().err().map(|error| error.to_string());
        let rest = |node: Node| node.with("healthy", why.is_none()).with_some("why", why);
        view.put(&id, rest, &[("of", self.own_id())]);
    }

    fn see_settings(&self, view: &mut View<'_>) {
        if !view.wants(NodeKind::Setting) {
            return view.count(NodeKind::Setting, self.options.settings.len());
        }
        for setting in &self.options.settings {
            let id = NodeId::new(NodeKind::Setting, setting.name);
            let rest = |node: Node| {
                node.with_some("value", setting.value.clone())
                    .with("is_set", setting.is_set)
                    .with_some("default", setting.default.clone())
            };
            view.put(&id, rest, &[("of", self.own_id())]);
        }
    }
}

fn topic(open: &OpenTopic, node: Node) -> Node {
    let durability = match open.config.log.durability {
        Durability::Memory => "memory",
        Durability::Os => "os",
        Durability::Fsync => "fsync",
    };
    let all = open.logs.iter().map(|log| log.status());
    let (bytes, messages) = all.fold((0, 0), |(bytes, messages): (u64, i64), status| {
        (bytes.saturating_add(status.bytes), messages.saturating_add(status.end - status.start))
    });
    node.with("partitions", open.logs.len())
        .with("bytes", bytes)
        .with("messages", messages)
        .with("internal", open.topic.internal)
        .with("is_queue", open.config.is_queue)
        .with("created_at", open.topic.created_at)
        .with("durability", durability)
        .with("compacted", open.config.log.compaction.is_some())
        .with_some("retention_ms", open.config.log.retention_ms)
        .with_some("retention_bytes", open.config.log.retention_bytes)
}

impl Broker {
    /// What there is now; see [`observe::state`].
    pub fn state(&self, scope: &Scope) -> Graph {
        self.inner.observe.inspectors.look(scope)
    }
}
