//! What an operator can set about groups.

use base::{Millis, limits};

/// Settings of all groups of a broker. Times are in milliseconds, sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How long a group that has just got its first member waits for more of them
    /// (`group.initial.rebalance.delay.ms`). Zero: not at all.
    pub initial_rebalance_delay: Millis,
    /// Shortest session timeout that a member may ask for (`group.min.session.timeout.ms`).
    pub session_timeout_min: Millis,
    /// Longest session timeout that a member may ask for (`group.max.session.timeout.ms`).
    pub session_timeout_max: Millis,
    /// How long a new member may wait for its first rebalance before it is taken for gone. It
    /// cannot send heartbeats meanwhile, so its session timeout says nothing.
    pub new_member_timeout: Millis,
    /// A member of a consumer group is gone when it is not heard of for so long
    /// (`group.consumer.session.timeout.ms`).
    pub consumer_session_timeout: Millis,
    /// How often members of consumer groups are told to send heartbeats
    /// (`group.consumer.heartbeat.interval.ms`).
    pub consumer_heartbeat_interval: Millis,
    /// Most members of one group (`group.max.size`), and most ids handed out to members that have
    /// not come back with them.
    pub group_members_max: usize,
    /// Most bytes that the subscriptions and assignments of one group take together. What is
    /// persisted of a group is a little larger, and has to fit into one append.
    pub group_bytes_max: usize,
    /// Most groups.
    pub groups_max: usize,
    /// Most members of all groups together, with ids handed out and groups rebalancing counted.
    pub members_max: usize,
    /// Most bytes that the subscriptions and assignments of all groups take together.
    pub bytes_max: usize,
    /// Most committed offsets of all groups together.
    pub offsets_max: usize,
    /// Longest note with a committed offset (`offset.metadata.max.bytes`).
    pub note_bytes_max: usize,
    /// How long committed offsets are kept once their group is empty (`offsets.retention.minutes`).
    pub offsets_retention: Millis,
    /// How often to look for expired offsets and unused groups
    /// (`offsets.retention.check.interval.ms`).
    pub offsets_check_interval: Millis,
    /// Most offsets and groups examined for expiry per tick.
    pub sweep_batch: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            initial_rebalance_delay: 3_000,
            session_timeout_min: 6_000,
            session_timeout_max: 30 * 60 * 1000,
            new_member_timeout: 5 * 60 * 1000,
            consumer_session_timeout: 45_000,
            consumer_heartbeat_interval: 5_000,
            group_members_max: limits::GROUP_MEMBERS_MAX,
            group_bytes_max: limits::FRAME_BYTES_MAX / 2,
            groups_max: 100_000,
            members_max: 250_000,
            bytes_max: 256 * 1024 * 1024,
            offsets_max: 2_000_000,
            note_bytes_max: limits::OFFSET_NOTE_BYTES_MAX,
            offsets_retention: 7 * 24 * 60 * 60 * 1000,
            offsets_check_interval: 10 * 60 * 1000,
            sweep_batch: 4096,
        }
    }
}
