//! What there is how much of.

use std::collections::BTreeMap;

use observe::{Collect, Sink, families};
use queue::group::{Filter, GroupKind, Listing};

use crate::broker::Inner;
use crate::queues::{QueueCounts, QueueFlow};

impl Collect for Inner {
    fn collect(&self, sink: &mut Sink<'_>) {
        sink.gauge(&families::BUILD_INFO, [env!("CARGO_PKG_VERSION")], 1);
        let metadata = self.metadata.borrow().clone();
        let partitions = metadata.listed().map(|(_, topic)| topic.partitions.len()).sum();
        sink.count(&families::TOPICS, [], metadata.listed().count());
        sink.count(&families::PARTITIONS, [], partitions);
        self.collect_groups(sink);
        self.collect_queues(sink);
        self.collect_sessions(sink);
        self.collect_partitions(sink);
    }
}

/// Of most queues nothing comes back, and there is nothing to remember.
fn collect_flow(sink: &mut Sink<'_>, labels: [&str; 2], flow: &QueueFlow) {
    if flow.again == 0 && flow.dead == 0 {
        return;
    }
    let delivered = flow.delivered + flow.delivered_automatic + flow.got + flow.got_automatic;
    sink.counter(&families::QUEUE_DELIVERED, labels, delivered);
    sink.counter(&families::QUEUE_REDELIVERED, labels, flow.again);
    sink.counter(&families::QUEUE_DEAD, labels, flow.dead);
}

impl Inner {
    fn member_count(&self, listing: &Listing) -> usize {
        let (groups, name) = (&self.groups, &listing.group);
        let count = match listing.kind {
            GroupKind::Classic => groups.describe(name).map(|group| group.members.len()),
            GroupKind::Consumer => groups.describe_consumer(name).map(|group| group.members.len()),
            GroupKind::Share => groups.describe_share(name).map(|group| group.members.len()),
        };
        // It is gone again.
        count.unwrap_or(0)
    }

    fn collect_groups(&self, sink: &mut Sink<'_>) {
        let mut states: BTreeMap<&str, usize> = BTreeMap::new();
        for listing in self.groups.list(&Filter::default()).unwrap_or_default() {
            *states.entry(listing.state.as_str()).or_default() += 1;
            if sink.wants(families::GROUP_MEMBERS.family()) {
                let members = self.member_count(&listing);
                sink.count(&families::GROUP_MEMBERS, [&listing.group], members);
            }
        }
        for (state, count) in states {
            sink.count(&families::GROUPS, [state], count);
        }
        let nanos = |millis: i64| millis.saturating_mul(1_000_000);
        let lags = self.lags.get();
        let max = lags.iter().map(|lag| lag.messages).max().unwrap_or(0);
        sink.gauge(&families::LAG_MAX, [], max);
        let max = lags.iter().filter_map(|lag| lag.behind_ms).max().unwrap_or(0);
        sink.gauge(&families::LAG_TIME_MAX, [], nanos(max));
        for lag in lags.iter() {
            let labels = [&*lag.group, &*lag.topic];
            let still = i64::try_from(lag.still_seconds).unwrap_or(i64::MAX);
            sink.gauge(&families::GROUP_LAG, labels, lag.messages);
            sink.gauge(&families::GROUP_STILL_TIME, labels, still.saturating_mul(1_000_000_000));
            if let Some(behind) = lag.behind_ms {
                sink.gauge(&families::GROUP_LAG_TIME, labels, nanos(behind));
            }
            if !sink.wants(families::GROUP_PARTITION_LAG.family()) {
                continue;
            }
            for one in &lag.partitions {
                let partition = one.partition.to_string();
                let labels = [&*lag.group, &*lag.topic, &partition];
                sink.gauge(&families::GROUP_PARTITION_LAG, labels, one.messages);
            }
        }
    }

    fn collect_queues(&self, sink: &mut Sink<'_>) {
        let queues = self.queues.all();
        sink.count(&families::QUEUES, [], queues.len());
        let mut sum = QueueCounts::default();
        let is_detailed = sink.wants(families::QUEUE_READY.family())
            || sink.wants(families::QUEUE_HELD.family())
            || sink.wants(families::QUEUE_CONSUMERS.family());
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        for queue in queues {
            let counts = queue.counts();
            sum.ready += counts.ready;
            sum.held += counts.held;
            sum.consumers = sum.consumers.saturating_add(counts.consumers);
            if is_detailed {
                let space = String::from_utf8_lossy(&queue.name().space);
                let name = String::from_utf8_lossy(&queue.name().name);
                let labels = [&*space, &*name];
                sink.gauge(&families::QUEUE_READY, labels, whole(counts.ready));
                sink.gauge(&families::QUEUE_HELD, labels, whole(counts.held));
                sink.gauge(&families::QUEUE_CONSUMERS, labels, i64::from(counts.consumers));
                collect_flow(sink, labels, &queue.flow());
            }
        }
        sink.gauge(&families::QUEUES_READY, [], whole(sum.ready));
        sink.gauge(&families::QUEUES_HELD, [], whole(sum.held));
        sink.gauge(&families::QUEUES_CONSUMERS, [], i64::from(sum.consumers));
    }

    fn collect_sessions(&self, sink: &mut Sink<'_>) {
        let queue = self.sessions.queue().range();
        sink.count(&families::SESSIONS, [], self.sessions.count());
        sink.gauge(&families::SESSION_MESSAGES, [], queue.end - queue.start);
    }

    fn collect_partitions(&self, sink: &mut Sink<'_>) {
        let (offsets, bytes) = (
            sink.wants(families::PARTITION_END.family())
                || sink.wants(families::PARTITION_START.family()),
            sink.wants(families::PARTITION_BYTES.family()),
        );
        if !offsets && !bytes {
            return;
        }
        for open in self.topics.all() {
            for (partition, log) in open.logs.iter().enumerate() {
                let partition = partition.to_string();
                let labels = [open.topic.name.as_str(), &partition];
                let range = log.range();
                sink.gauge(&families::PARTITION_START, labels, range.start);
                sink.gauge(&families::PARTITION_END, labels, range.end);
                if bytes {
                    let stored = i64::try_from(log.status().bytes).unwrap_or(i64::MAX);
                    sink.gauge(&families::PARTITION_BYTES, labels, stored);
                }
            }
        }
    }
}
