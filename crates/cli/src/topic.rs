//! `entrepot topic`.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use door_kafka::wire::ErrorCode;
use door_kafka::wire::messages::create_partitions_request::CreatePartitionsTopic;
use door_kafka::wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use door_kafka::wire::messages::delete_topics_request::DeleteTopicState;
use door_kafka::wire::messages::describe_log_dirs_request::DescribableLogDirTopic;
use door_kafka::wire::messages::metadata_response::MetadataResponseTopic;
use door_kafka::wire::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeLogDirsRequest,
};
use serde::Serialize;

use crate::client::{Client, ClientError, EARLIEST, LATEST, NEWEST};
use crate::output::{Output, Row, size};
use crate::settings::{self, ConfigRow};
use crate::{CliError, Connect};

/// `entrepot topic`
#[derive(Debug, Args)]
pub struct Topic {
    #[command(flatten)]
    connect: Connect,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List topics
    List {
        /// Include topics that the broker keeps for itself
        #[arg(long)]
        internal: bool,
    },
    /// Create topics
    Create {
        /// Names of the topics
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Number of partitions; the broker's default if not given
        #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        /// A setting of the topic; may be repeated
        #[arg(long, short, value_name = "KEY=VALUE", value_parser = pair)]
        config: Vec<(String, String)>,
        /// Keep what is published to the subjects that match, such as 'sensors.>'; may be repeated. Without it,
        /// what is published to the topic's own name
        #[arg(long, value_name = "FILTER", value_parser = filter)]
        bind: Vec<String>,
        /// Leave a topic that exists as it is
        #[arg(long)]
        if_not_exists: bool,
    },
    /// Delete topics and all their messages
    Delete {
        /// Names of the topics
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Do not fail if a topic does not exist
        #[arg(long)]
        if_exists: bool,
    },
    /// Show partitions, offsets, sizes and settings
    Describe {
        /// Names of the topics
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Add partitions, change settings
    Alter {
        /// Name of the topic
        name: String,
        /// New number of partitions, larger than the present one
        #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        /// Change a setting; may be repeated
        #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
        set: Vec<(String, String)>,
        /// Return a setting to the broker's default; may be repeated
        #[arg(long, value_name = "KEY")]
        unset: Vec<String>,
    },
}

/// The setting that says what is published to a topic.
const BIND: &str = "entrepot.bind";

/// Checks a filter over subjects, as text.
fn filter(text: &str) -> Result<String, String> {
    match base::subject::TEXT.filter(text.as_bytes()) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{error}: write it as in sensors.*.temp or sensors.>")),
    }
}

/// Takes `KEY=VALUE` apart.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("must be of the form KEY=VALUE".to_owned()),
    }
}

impl Topic {
    pub(crate) fn run(self) -> Result<(), CliError> {
        let mut client = self.connect.client()?;
        let mut output = self.connect.output();
        match self.action {
            Action::List { internal } => list(&mut client, &mut output, internal)?,
            Action::Create { names, partitions, mut config, bind, if_not_exists } => {
                if !bind.is_empty() {
                    config.push((BIND.to_owned(), bind.join(" ")));
                }
                create(&mut client, &names, partitions, &config, if_not_exists)?;
            }
            Action::Delete { names, if_exists } => delete(&mut client, &names, if_exists)?,
            Action::Describe { names } => {
                for name in names {
                    describe(&mut client, &mut output, &name)?;
                }
            }
            Action::Alter { name, partitions, set, unset } => {
                alter(&mut client, &name, partitions, &set, &unset)?;
            }
        }
        Ok(output.flush()?)
    }
}

#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    id: String,
    partitions: usize,
    internal: bool,
}

impl Row for Listed {
    const COLUMNS: &'static [&'static str] = &["NAME", "PARTITIONS", "ID"];

    fn cells(&self) -> Vec<String> {
        vec![self.name.clone(), self.partitions.to_string(), self.id.clone()]
    }
}

/// Topics that a broker keeps for itself. Not `__consumer_offsets`, which asking for it would make.
const INTERNAL: [&str; 1] = ["_events"];

fn list(client: &mut Client, output: &mut Output, internal: bool) -> Result<(), CliError> {
    let mut found = client.metadata(None)?.topics;
    if internal {
        // Told to who names them only.
        let named = client.metadata(Some(&INTERNAL))?.topics.into_iter();
        found.extend(named.filter(|topic| topic.error_code == ErrorCode::None.number()));
    }
    let mut topics: Vec<Listed> = found
        .into_iter()
        .map(|topic| Listed {
            id: base::TopicId::from_bytes(topic.topic_id).to_string(),
            partitions: topic.partitions.len(),
            internal: topic.is_internal,
            name: topic.name.unwrap_or_default(),
        })
        .collect();
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(output.rows(&topics)?)
}

fn create(
    client: &mut Client,
    names: &[String],
    partitions: Option<i32>,
    config: &[(String, String)],
    if_not_exists: bool,
) -> Result<(), CliError> {
    let setting = |(name, value): &(String, String)| CreatableTopicConfig {
        name: name.clone(),
        value: Some(value.clone()),
    };
    let topic = |name: &String| CreatableTopic {
        name: name.clone(),
        num_partitions: partitions.unwrap_or(-1),
        replication_factor: -1,
        configs: config.iter().map(setting).collect(),
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest {
        topics: names.iter().map(topic).collect(),
        timeout_ms: client.timeout_ms(),
        validate_only: false,
    };
    let response = client.call_controller(&request, NEWEST)?;
    each(response.topics.into_iter().map(|topic| {
        let subject = format!("topic {}", topic.name);
        match ClientError::check(&subject, topic.error_code, topic.error_message) {
            Err(error) if if_not_exists && error.is(ErrorCode::TopicAlreadyExists) => {
                Ok(format!("{subject} exists already"))
            }
            Err(error) => Err(error),
            Ok(()) if topic.num_partitions > 0 => {
                Ok(format!("created {subject} with {} partitions", topic.num_partitions))
            }
            Ok(()) => Ok(format!("created {subject}")),
        }
    }))
}

fn delete(client: &mut Client, names: &[String], if_exists: bool) -> Result<(), CliError> {
    let state = |name: &String| DeleteTopicState {
        name: Some(name.clone()),
        ..DeleteTopicState::default()
    };
    let request = DeleteTopicsRequest {
        topics: names.iter().map(state).collect(),
        topic_names: names.to_vec(),
        timeout_ms: client.timeout_ms(),
    };
    let response = client.call_controller(&request, NEWEST)?;
    each(response.responses.into_iter().map(|topic| {
        let subject = format!("topic {}", topic.name.unwrap_or_default());
        match ClientError::check(&subject, topic.error_code, topic.error_message) {
            Err(error) if if_exists && error.is(ErrorCode::UnknownTopicOrPartition) => {
                Ok(format!("{subject} does not exist"))
            }
            Err(error) => Err(error),
            Ok(()) => Ok(format!("deleted {subject}")),
        }
    }))
}

/// Says what became of each part of a request, and fails with the last failure if there was one.
pub(crate) fn each(
    results: impl Iterator<Item = Result<String, ClientError>>,
) -> Result<(), CliError> {
    let mut failed: Option<ClientError> = None;
    for result in results {
        match result {
            Ok(done) => eprintln!("{done}"),
            Err(error) => {
                if let Some(earlier) = failed.replace(error) {
                    eprintln!("error: {earlier}");
                }
            }
        }
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}

#[derive(Debug, Serialize)]
struct Described {
    name: String,
    id: String,
    internal: bool,
    partitions: Vec<PartitionRow>,
    config: Vec<ConfigRow>,
}

#[derive(Debug, Serialize)]
struct PartitionRow {
    partition: i32,
    leader: i32,
    leader_epoch: i32,
    earliest: i64,
    latest: i64,
    /// Bytes on disk; -1 if the broker does not say.
    bytes: i64,
}

impl Row for PartitionRow {
    const COLUMNS: &'static [&'static str] =
        &["PARTITION", "LEADER", "EPOCH", "EARLIEST", "LATEST", "OFFSETS", "SIZE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.partition.to_string(),
            self.leader.to_string(),
            self.leader_epoch.to_string(),
            self.earliest.to_string(),
            self.latest.to_string(),
            (self.latest - self.earliest).to_string(),
            size(self.bytes),
        ]
    }
}

fn describe(client: &mut Client, output: &mut Output, name: &str) -> Result<(), CliError> {
    let topic = client.topic(name, false)?;
    let earliest = client.offsets(&topic, EARLIEST)?;
    let latest = client.offsets(&topic, LATEST)?;
    let bytes = stored(client, &topic);
    let offset = |of: &BTreeMap<i32, i64>, number: i32| of.get(&number).copied().unwrap_or(-1);
    let partitions: Vec<_> = topic
        .partitions
        .iter()
        .map(|partition| PartitionRow {
            partition: partition.partition_index,
            leader: partition.leader_id,
            leader_epoch: partition.leader_epoch,
            earliest: offset(&earliest, partition.partition_index),
            latest: offset(&latest, partition.partition_index),
            bytes: offset(&bytes, partition.partition_index),
        })
        .collect();
    let config = settings::rows(settings::of(client, settings::TOPIC, name)?);
    let described = Described {
        name: name.to_owned(),
        id: base::TopicId::from_bytes(topic.topic_id).to_string(),
        internal: topic.is_internal,
        partitions,
        config,
    };
    if output.is_json() {
        return Ok(output.json(&described)?);
    }
    output.line(format!("topic {name}, id {}", described.id))?;
    let bind = described.config.iter().find(|row| row.key == BIND);
    if let Some(bind) = bind.and_then(|row| row.value.as_deref()).filter(|bind| !bind.is_empty()) {
        output.line(format!("keeps what is published to {}", bind.replace(' ', ", ")))?;
    }
    output.rows(&described.partitions)?;
    output.line("")?;
    output.rows(&described.config)?;
    Ok(output.line("")?)
}

/// Bytes on disk by partition; what a broker does not say is left out.
fn stored(client: &mut Client, topic: &MetadataResponseTopic) -> BTreeMap<i32, i64> {
    let mut leaders: Vec<_> = topic.partitions.iter().map(|p| p.leader_id).collect();
    leaders.sort_unstable();
    leaders.dedup();
    let request = DescribeLogDirsRequest {
        topics: Some(vec![DescribableLogDirTopic {
            topic: topic.name.clone().unwrap_or_default(),
            partitions: topic.partitions.iter().map(|p| p.partition_index).collect(),
        }]),
    };
    let mut bytes = BTreeMap::new();
    for leader in leaders {
        // Sizes are an extra: a broker that keeps them to itself can still be described.
        let Ok(response) = client.call_on(leader, &request, NEWEST) else { continue };
        let topics = response.results.into_iter().flat_map(|dir| dir.topics);
        for partition in topics.flat_map(|topic| topic.partitions) {
            bytes.insert(partition.partition_index, partition.partition_size);
        }
    }
    bytes
}

fn alter(
    client: &mut Client,
    name: &str,
    partitions: Option<i32>,
    set: &[(String, String)],
    unset: &[String],
) -> Result<(), CliError> {
    if partitions.is_none() && set.is_empty() && unset.is_empty() {
        return Err(CliError::usage("there is nothing to alter")
            .hint("--partitions N, --set KEY=VALUE or --unset KEY"));
    }
    let subject = format!("topic {name}");
    if !set.is_empty() || !unset.is_empty() {
        settings::change(client, settings::TOPIC, name, set, unset)?;
        eprintln!("changed the settings of {subject}");
    }
    if let Some(count) = partitions {
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic { name: name.to_owned(), count, assignments: None }],
            timeout_ms: client.timeout_ms(),
            validate_only: false,
        };
        let response = client.call_controller(&request, NEWEST)?;
        for result in response.results {
            ClientError::check(&subject, result.error_code, result.error_message)?;
        }
        eprintln!("{subject} has {count} partitions now");
    }
    Ok(())
}
