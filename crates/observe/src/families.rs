//! Every metric, on one page. Names follow Prometheus: `entrepot_`, what, unit, `_total` where it only grows. Those that
//! begin with `process_` are what every program has under these names.
//!
//! A `door` is called what its connections speak, and a `listener` what the configuration calls it. Figures of a door are of
//! all its connections together, those that are gone too: sums over connections would fall whenever one ends.

use crate::family::{CounterFamily, Family, GaugeFamily, HistogramFamily, Unit};

macro_rules! families {
    ($($(#[$doc:meta])* $name:ident: $kind:ident<$labels:literal> = $made:expr;)*) => {
        $($(#[$doc])* pub static $name: $kind<$labels> = $made;)*

        /// All of them.
        pub fn all() -> impl Iterator<Item = &'static Family> {
            [$($name.family()),*].into_iter()
        }
    };
}

families! {
    /// The version, as a label; always 1.
    BUILD_INFO: GaugeFamily<1> = GaugeFamily::new(
        "entrepot_build_info", "The version that runs.", Unit::None, &["version"]);
    /// 1 while the broker acknowledges what is stored.
    HEALTHY: GaugeFamily<0> = GaugeFamily::new(
        "entrepot_healthy", "Whether the broker can store and acknowledge messages.", Unit::None, &[]);
    /// Series that were not made.
    SERIES_LEFT_OUT: CounterFamily<0> = CounterFamily::new(
        "entrepot_metrics_left_out_total",
        "Series that a metric had no room for, each time that one was wanted.", Unit::None, &[]);
    /// What gathering all of this took.
    GATHER_TIME: GaugeFamily<0> = GaugeFamily::new(
        "entrepot_metrics_gather_seconds", "How long the last gathering of metrics took.",
        Unit::Seconds, &[]);

    // Connections.

    /// Connections now.
    CONNECTIONS: GaugeFamily<2> = GaugeFamily::new(
        "entrepot_connections", "Connections that are open.", Unit::None, &["door", "listener"]);
    /// Connections ever.
    CONNECTIONS_ACCEPTED: CounterFamily<2> = CounterFamily::new(
        "entrepot_connections_accepted_total", "Connections that were accepted.", Unit::None,
        &["door", "listener"]);
    /// Connections too many.
    CONNECTIONS_REFUSED: CounterFamily<2> = CounterFamily::new(
        "entrepot_connections_refused_total",
        "Connections closed unserved, because too many were open or came too fast.", Unit::None,
        &["door", "listener"]);
    /// Connections that ended badly: `protocol`, `limit`, `io`, `idle`, `handshake`, `login`, `panic`.
    CONNECTIONS_FAILED: CounterFamily<3> = CounterFamily::new(
        "entrepot_connections_failed_total", "Connections that ended other than by a client's wish.",
        Unit::None, &["door", "listener", "reason"]);
    /// Times that the system had no connection to give.
    ACCEPT_FAILURES: CounterFamily<2> = CounterFamily::new(
        "entrepot_accept_failures_total",
        "Times that the operating system could not hand over a connection.", Unit::None,
        &["door", "listener"]);

    // What doors do.

    /// Messages in.
    RECEIVED_MESSAGES: CounterFamily<1> = CounterFamily::new(
        "entrepot_received_messages_total", "Messages that clients published.", Unit::None, &["door"]);
    /// Bytes in.
    RECEIVED_BYTES: CounterFamily<1> = CounterFamily::new(
        "entrepot_received_bytes_total",
        "Bytes of messages that clients published, as their protocol has them, compressed where they were.",
        Unit::Bytes, &["door"]);
    /// Messages out.
    DELIVERED_MESSAGES: CounterFamily<1> = CounterFamily::new(
        "entrepot_delivered_messages_total", "Messages that were handed to clients, each time.",
        Unit::None, &["door"]);
    /// Bytes out.
    DELIVERED_BYTES: CounterFamily<1> = CounterFamily::new(
        "entrepot_delivered_bytes_total",
        "Bytes of messages that were handed to clients, as their protocol has them.", Unit::Bytes,
        &["door"]);
    /// Messages lost on their way out, where the protocol allows that.
    DROPPED_MESSAGES: CounterFamily<1> = CounterFamily::new(
        "entrepot_dropped_messages_total",
        "Messages that a client did not get because it was too slow, where its protocol says so.",
        Unit::None, &["door"]);
    /// Clients that were cut off.
    SLOW_CONSUMERS: CounterFamily<1> = CounterFamily::new(
        "entrepot_slow_consumers_total", "Connections that were ended because their clients read too slowly.",
        Unit::None, &["door"]);
    /// Requests.
    REQUESTS: CounterFamily<2> = CounterFamily::new(
        "entrepot_requests_total", "Requests that were handled, by the protocol's name for them.",
        Unit::None, &["door", "request"]);
    /// Requests that failed.
    REQUEST_ERRORS: CounterFamily<2> = CounterFamily::new(
        "entrepot_request_errors_total", "Requests that were answered with an error.", Unit::None,
        &["door", "request"]);
    /// How long requests take.
    REQUEST_TIME: HistogramFamily<2> = HistogramFamily::latency(
        "entrepot_request_duration_seconds",
        "From a request's arrival to its answer; waiting for what is not there yet is not counted.",
        &["door", "request"]);
    /// From a message's arrival to its acknowledgement.
    PUBLISH_TIME: HistogramFamily<1> = HistogramFamily::latency(
        "entrepot_publish_duration_seconds",
        "From the arrival of a message that is to be acknowledged to its acknowledgement.", &["door"]);

    // The log.

    /// Requests to the log's writer.
    APPENDS: CounterFamily<0> = CounterFamily::new(
        "entrepot_store_appends_total", "Appends that were stored.", Unit::None, &[]);
    /// Appends that failed.
    APPEND_FAILURES: CounterFamily<0> = CounterFamily::new(
        "entrepot_store_append_failures_total", "Appends that were refused, or failed.", Unit::None, &[]);
    /// Records stored.
    APPENDED_RECORDS: CounterFamily<0> = CounterFamily::new(
        "entrepot_store_appended_records_total", "Records that were appended to logs.", Unit::None, &[]);
    /// Frames written.
    FRAMES: CounterFamily<0> = CounterFamily::new(
        "entrepot_store_frames_total", "Frames that were written to the write-ahead log.", Unit::None, &[]);
    /// Bytes written.
    WAL_BYTES: CounterFamily<0> = CounterFamily::new(
        "entrepot_store_wal_bytes_total", "Bytes that were written to the write-ahead log.",
        Unit::Bytes, &[]);
    /// How long a write takes.
    WRITE_TIME: HistogramFamily<0> = HistogramFamily::latency(
        "entrepot_store_write_duration_seconds", "Writing a frame to the write-ahead log.", &[]);
    /// How long a sync takes.
    SYNC_TIME: HistogramFamily<0> = HistogramFamily::latency(
        "entrepot_store_sync_duration_seconds", "Waiting until the write-ahead log is on stable storage.",
        &[]);
    /// How long a whole frame takes.
    COMMIT_TIME: HistogramFamily<0> = HistogramFamily::latency(
        "entrepot_store_commit_duration_seconds",
        "From taking the appends of a frame to acknowledging them.", &[]);
    /// How large frames are.
    FRAME_BYTES: HistogramFamily<0> = HistogramFamily::size(
        "entrepot_store_frame_bytes", "Bytes of a frame.", &[]);
    /// How long a read from disk takes.
    READ_TIME: HistogramFamily<0> = HistogramFamily::latency(
        "entrepot_store_read_duration_seconds",
        "Reading from a segment for a consumer who is further back than what is in memory.", &[]);
    /// Bytes read from disk.
    READ_BYTES: CounterFamily<0> = CounterFamily::new(
        "entrepot_store_read_bytes_total", "Bytes that were read from segments for consumers.",
        Unit::Bytes, &[]);
    /// Appends that wait.
    APPEND_QUEUE: GaugeFamily<0> = GaugeFamily::new(
        "entrepot_store_append_queue", "Appends that wait for the writer.", Unit::None, &[]);
    /// Bytes in memory that are not in segments.
    TAIL_BYTES: GaugeFamily<0> = GaugeFamily::new(
        "entrepot_store_tail_bytes", "Bytes that wait in memory to be moved to segments.", Unit::Bytes, &[]);
    /// Moving to segments.
    FLUSH_TIME: HistogramFamily<0> = HistogramFamily::latency(
        "entrepot_store_flush_duration_seconds", "Moving what waits to segments, with their sync.", &[]);
    /// Flushes that failed.
    FLUSH_FAILURES: CounterFamily<0> = CounterFamily::new(
        "entrepot_store_flush_failures_total", "Times that moving to segments failed.", Unit::None, &[]);
    /// Segments that retention deleted.
    SEGMENTS_EXPIRED: CounterFamily<0> = CounterFamily::new(
        "entrepot_store_segments_expired_total", "Segments that were deleted because of their age, or their log's size.",
        Unit::None, &[]);
    /// 1 when the disk is full.
    DISK_FULL: GaugeFamily<0> = GaugeFamily::new(
        "entrepot_store_disk_full", "Whether appends are refused because the disk is full.", Unit::None, &[]);
    /// Free bytes.
    DISK_FREE: GaugeFamily<0> = GaugeFamily::new(
        "entrepot_disk_free_bytes", "What this process may still use of the data folder's disk.",
        Unit::Bytes, &[]);
    /// All bytes.
    DISK_SIZE: GaugeFamily<0> = GaugeFamily::new(
        "entrepot_disk_size_bytes", "The size of the data folder's disk.", Unit::Bytes, &[]);

    // What there is.

    /// Topics.
    TOPICS: GaugeFamily<0> = GaugeFamily::new(
        "entrepot_topics", "Topics.", Unit::None, &[]);
    /// Partitions.
    PARTITIONS: GaugeFamily<0> = GaugeFamily::new(
        "entrepot_partitions", "Partitions of all topics.", Unit::None, &[]);
    /// Groups, by kind and state.
    GROUPS: GaugeFamily<1> = GaugeFamily::new(
        "entrepot_groups", "Consumer groups, by state.", Unit::None, &["state"]);
    /// Sessions kept.
    SESSIONS: GaugeFamily<0> = GaugeFamily::new(
        "entrepot_sessions", "Sessions that outlive their connections.", Unit::None, &[]);
    /// Messages that wait for sessions.
    SESSION_MESSAGES: GaugeFamily<0> = GaugeFamily::new(
        "entrepot_session_messages", "Messages that wait for sessions.", Unit::None, &[]);
    /// Queues.
    QUEUES: GaugeFamily<0> = GaugeFamily::new(
        "entrepot_queues", "Queues.", Unit::None, &[]);
    /// Messages that wait in queues.
    QUEUES_READY: GaugeFamily<0> = GaugeFamily::new(
        "entrepot_queues_ready_messages", "Messages of all queues that wait for a consumer.", Unit::None, &[]);
    /// Messages that consumers have.
    QUEUES_HELD: GaugeFamily<0> = GaugeFamily::new(
        "entrepot_queues_held_messages", "Messages of all queues that consumers have and did not settle yet.",
        Unit::None, &[]);
    /// Consumers of queues.
    QUEUES_CONSUMERS: GaugeFamily<0> = GaugeFamily::new(
        "entrepot_queues_consumers", "Consumers of all queues.", Unit::None, &[]);
    /// The largest lag of a group, in messages.
    LAG_MAX: GaugeFamily<0> = GaugeFamily::new(
        "entrepot_consumer_lag_max_messages", "How many messages the group is behind that is behind most.",
        Unit::None, &[]);
    /// The largest lag of a group, in time.
    LAG_TIME_MAX: GaugeFamily<0> = GaugeFamily::new(
        "entrepot_consumer_lag_max_seconds", "How far the group is behind in time that is behind most.",
        Unit::Seconds, &[]);

    // One series for each of something that users make.

    /// A group's lag in a topic, in messages.
    GROUP_LAG: GaugeFamily<2> = GaugeFamily::new(
        "entrepot_group_lag_messages", "Messages of a topic that a consumer group has not committed.",
        Unit::None, &["group", "topic"]).detailed();
    /// A group's lag in a topic, in time.
    GROUP_LAG_TIME: GaugeFamily<2> = GaugeFamily::new(
        "entrepot_group_lag_seconds",
        "How long ago the first message came that a consumer group has not committed, of the partition where that is longest.",
        Unit::Seconds, &["group", "topic"]).detailed();
    /// How long a group has not gone on in a topic.
    GROUP_STILL_TIME: GaugeFamily<2> = GaugeFamily::new(
        "entrepot_group_still_seconds",
        "How long a consumer group has had messages to commit and committed nothing, of the partition where that is longest.",
        Unit::Seconds, &["group", "topic"]).detailed();
    /// A group's lag in a partition, in messages.
    GROUP_PARTITION_LAG: GaugeFamily<3> = GaugeFamily::new(
        "entrepot_group_partition_lag_messages",
        "Messages of a partition that a consumer group has not committed.", Unit::None,
        &["group", "topic", "partition"]).detailed();
    /// Members of a group.
    GROUP_MEMBERS: GaugeFamily<1> = GaugeFamily::new(
        "entrepot_group_members", "Members of a consumer group.", Unit::None, &["group"]).detailed();
    /// First offset of a partition.
    PARTITION_START: GaugeFamily<2> = GaugeFamily::new(
        "entrepot_partition_start_offset", "First offset of a partition.", Unit::None,
        &["topic", "partition"]).detailed();
    /// End of a partition.
    PARTITION_END: GaugeFamily<2> = GaugeFamily::new(
        "entrepot_partition_end_offset", "Offset that the next record of a partition gets.", Unit::None,
        &["topic", "partition"]).detailed();
    /// Bytes of a partition.
    PARTITION_BYTES: GaugeFamily<2> = GaugeFamily::new(
        "entrepot_partition_size_bytes", "What is stored of a partition.", Unit::Bytes,
        &["topic", "partition"]).detailed();
    /// Messages that wait in a queue.
    QUEUE_READY: GaugeFamily<2> = GaugeFamily::new(
        "entrepot_queue_ready_messages", "Messages of a queue that wait for a consumer.", Unit::None,
        &["space", "queue"]).detailed();
    /// Messages that a queue's consumers have.
    QUEUE_HELD: GaugeFamily<2> = GaugeFamily::new(
        "entrepot_queue_held_messages", "Messages of a queue that consumers have and did not settle yet.",
        Unit::None, &["space", "queue"]).detailed();
    /// Consumers of a queue.
    QUEUE_CONSUMERS: GaugeFamily<2> = GaugeFamily::new(
        "entrepot_queue_consumers", "Consumers of a queue.", Unit::None, &["space", "queue"]).detailed();

    /// Messages that a queue gave away.
    QUEUE_DELIVERED: CounterFamily<2> = CounterFamily::new(
        "entrepot_queue_delivered_messages_total",
        "Messages of a queue that were given away, each time; of queues of which some came back, or became dead letters.",
        Unit::None, &["space", "queue"]).detailed();
    /// Messages that a queue gave away again.
    QUEUE_REDELIVERED: CounterFamily<2> = CounterFamily::new(
        "entrepot_queue_redelivered_messages_total",
        "Messages of a queue that were given away and had been before.", Unit::None,
        &["space", "queue"]).detailed();
    /// Messages that a queue gave up.
    QUEUE_DEAD: CounterFamily<2> = CounterFamily::new(
        "entrepot_queue_dead_letters_total",
        "Messages of a queue that became dead letters because a consumer rejected them, or had them too often.",
        Unit::None, &["space", "queue"]).detailed();

    // Events.

    /// Events that happened.
    EVENTS: CounterFamily<1> = CounterFamily::new(
        "entrepot_events_total", "Events, those too that were not told one by one.", Unit::None, &["event"]);
    /// Incidents now.
    INCIDENTS: GaugeFamily<1> = GaugeFamily::new(
        "entrepot_incidents", "What is wrong now, by the rule that says so.", Unit::None, &["rule"]);

    // Messages that are followed.

    /// Spans.
    SPANS: CounterFamily<0> = CounterFamily::new(
        "entrepot_spans_total", "Steps of messages that are followed because their trace is sampled.", Unit::None, &[]);
    /// Spans that were too many.
    SPANS_DROPPED: CounterFamily<1> = CounterFamily::new(
        "entrepot_spans_dropped_total",
        "Steps of messages that are not shown any more (oldest), not followed (trace, pace), or not sent on (export).",
        Unit::None, &["reason"]);

    // The process.

    /// CPU time.
    CPU: CounterFamily<0> = CounterFamily::new(
        "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", Unit::Seconds, &[]);
    /// Memory.
    MEMORY: GaugeFamily<0> = GaugeFamily::new(
        "process_resident_memory_bytes", "Resident memory size in bytes.", Unit::Bytes, &[]);
    /// Address space.
    VIRTUAL_MEMORY: GaugeFamily<0> = GaugeFamily::new(
        "process_virtual_memory_bytes", "Virtual memory size in bytes.", Unit::Bytes, &[]);
    /// Memory that there may be.
    MEMORY_LIMIT: GaugeFamily<0> = GaugeFamily::new(
        "entrepot_memory_limit_bytes", "What memory there is for this process: the machine's, or its control group's limit.",
        Unit::Bytes, &[]);
    /// File descriptors.
    OPEN_FILES: GaugeFamily<0> = GaugeFamily::new(
        "process_open_fds", "Number of open file descriptors.", Unit::None, &[]);
    /// File descriptors that there may be.
    MAX_FILES: GaugeFamily<0> = GaugeFamily::new(
        "process_max_fds", "Maximum number of open file descriptors.", Unit::None, &[]);
    /// Start.
    START_TIME: GaugeFamily<0> = GaugeFamily::new(
        "process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
        Unit::Seconds, &[]);
    /// Threads.
    THREADS: GaugeFamily<0> = GaugeFamily::new(
        "process_threads", "Threads of the process.", Unit::None, &[]);
    /// How far the wall clock is from where it should be.
    CLOCK_LEAP: GaugeFamily<0> = GaugeFamily::new(
        "entrepot_clock_leap_seconds",
        "How far the wall clock has moved against a clock that is never set, since the start.",
        Unit::Seconds, &[]);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::family::Kind;

    #[test]
    fn every_name_is_as_prometheus_wants_it() {
        let mut names = BTreeSet::new();
        for family in all() {
            let name = family.name;
            assert!(names.insert(name), "{name} is there twice");
            assert!(name.starts_with("entrepot_") || name.starts_with("process_"), "{name}");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
            let rest = match family.kind {
                Kind::Counter => name.strip_suffix("_total").expect(name),
                Kind::Gauge | Kind::Histogram(_) => {
                    // Readers would take them for counters, or for parts of a histogram.
                    for end in ["_total", "_count", "_sum", "_bucket", "_created"] {
                        assert!(!name.ends_with(end), "{name}");
                    }
                    name
                }
            };
            let units = ["seconds", "bytes"];
            let ends = units.into_iter().find(|unit| rest.ends_with(&format!("_{unit}")));
            assert_eq!(ends.unwrap_or(""), family.unit.word(), "{name} ends in its unit");
            assert!(family.help.ends_with('.') && !family.help.contains('\n'), "{name}");
            for label in family.labels {
                assert!(!["le", "quantile"].contains(label), "{name}");
                assert!(label.chars().all(|c| c.is_ascii_lowercase()), "{name}: {label}");
            }
        }
        assert!(names.len() > 50);
    }

    #[test]
    fn what_is_not_of_details_has_no_label_that_users_make_values_of() {
        let bounded =
            ["door", "listener", "reason", "request", "version", "state", "event", "rule"];
        for family in all().filter(|family| !family.is_detail) {
            let known = |label: &&'static str| bounded.contains(label);
            assert!(family.labels.iter().all(known), "{}", family.name);
        }
    }

    /// Words of a text that begin like names of metrics.
    fn names(text: &str) -> BTreeSet<&str> {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
        words.filter(|word| word.starts_with("entrepot_") || word.starts_with("process_")).collect()
    }

    #[test]
    fn what_dashboards_and_alerts_ask_for_is_there() {
        let files = [
            include_str!("../../../deploy/prometheus/entrepot.rules.yml"),
            include_str!("../../../deploy/grafana/entrepot.json"),
            include_str!("../../../docs/diagnosis.md"),
            include_str!("../../../docs/doors/http.md"),
        ];
        let known: BTreeSet<_> = all().map(|family| family.name).collect();
        let mut seen = 0;
        for name in files.into_iter().flat_map(names) {
            let family =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            assert!(known.contains(name) || family.is_some_and(|of| known.contains(of)), "{name}");
            seen += 1;
        }
        assert!(seen > 20, "{seen}");
    }
}
