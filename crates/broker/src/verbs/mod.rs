//! What a broker can do: one file per verb, each an `impl Broker`.

mod admission;
pub(crate) mod alter_group;
mod alter_settings;
pub(crate) mod alter_topic;
pub(crate) mod alter_user;
pub(crate) mod browse;
pub(crate) mod change_quotas;
pub(crate) mod change_rules;
pub(crate) mod create_partitions;
pub(crate) mod create_topic;
pub(crate) mod delete_topic;
pub(crate) mod fetch;
pub(crate) mod find_offset;
pub(crate) mod new_producer;
pub(crate) mod produce;
pub(crate) mod publish;
pub(crate) mod read;
mod read_budget;
pub(crate) mod set_client_metrics;
pub(crate) mod take;
pub(crate) mod trim;
pub(crate) mod write_markers;
