//! `entrepot group`.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use door_kafka::wire::messages::describe_groups_response::DescribedGroupMember;
use door_kafka::wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use door_kafka::wire::messages::offset_fetch_request::OffsetFetchRequestGroup;
use door_kafka::wire::messages::{
    ConsumerProtocolAssignment, DeleteGroupsRequest, DescribeGroupsRequest, ListGroupsRequest,
    OffsetCommitRequest, OffsetFetchRequest,
};
use door_kafka::wire::{ErrorCode, decode_versioned};
use serde::Serialize;

use crate::client::{Client, ClientError, EARLIEST, LATEST, NEWEST, TopicPartition};
use crate::output::{Output, Row};
use crate::settings::{self, ConfigRow};
use crate::topic::pair;
use crate::{CliError, Connect, consumer_group, share_group};

/// Versions of `OffsetFetch` and `OffsetCommit` from 10 on name topics by id.
const BY_NAME: i16 = 9;

/// `entrepot group`
#[derive(Debug, Args)]
pub struct Group {
    #[command(flatten)]
    connect: Connect,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List groups
    List,
    /// Show members, committed offsets, lag, and what is set
    Describe {
        /// Names of the groups
        #[arg(required = true, value_name = "GROUP")]
        names: Vec<String>,
    },
    /// Change settings
    Alter {
        /// Name of the group, which need not exist
        name: String,
        /// Change a setting; may be repeated
        #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
        set: Vec<(String, String)>,
        /// Return a setting to the broker's default; may be repeated
        #[arg(long, value_name = "KEY")]
        unset: Vec<String>,
    },
    /// Delete groups and their offsets
    Delete {
        /// Names of the groups
        #[arg(required = true, value_name = "GROUP")]
        names: Vec<String>,
    },
    /// Move the committed offsets of a group that has no members
    ResetOffsets {
        /// Name of the group
        group: String,
        /// Topic, or some of its partitions: NAME or NAME:0,1; may be repeated. Otherwise all
        /// topics of which the group has offsets
        #[arg(long, short, value_name = "TOPIC[:PARTITIONS]", value_parser = topic_partitions)]
        topic: Vec<(String, Vec<i32>)>,
        /// Where to: earliest, latest, an offset, +N or -N from where it is, or @MILLISECONDS
        /// since the epoch
        #[arg(long, value_parser = Target::parse, allow_hyphen_values = true)]
        to: Target,
        /// Only show what would be done
        #[arg(long)]
        dry_run: bool,
    },
}

/// Where offsets are to be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Earliest,
    Latest,
    Offset(i64),
    Shift(i64),
    Time(i64),
}

impl Target {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "earliest, latest, an offset, +N, -N or @MILLISECONDS".to_owned();
        let number = |text: &str| text.parse::<i64>().map_err(|_| wrong());
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            _ if text.starts_with(['+', '-']) => number(text).map(Self::Shift),
            _ => match text.strip_prefix('@') {
                Some(time) => number(time).map(Self::Time),
                None => number(text).map(Self::Offset),
            },
        }
    }
}

fn topic_partitions(text: &str) -> Result<(String, Vec<i32>), String> {
    let Some((name, partitions)) = text.split_once(':') else {
        return Ok((text.to_owned(), Vec::new()));
    };
    let numbers: Result<Vec<i32>, _> = partitions.split(',').map(str::parse).collect();
    match numbers {
        Ok(numbers) => Ok((name.to_owned(), numbers)),
        Err(_) => Err("must be NAME or NAME:0,1,2".to_owned()),
    }
}

impl Group {
    pub(crate) fn run(self) -> Result<(), CliError> {
        let mut client = self.connect.client()?;
        let mut output = self.connect.output();
        match self.action {
            Action::List => list(&mut client, &mut output)?,
            Action::Describe { names } => {
                for name in names {
                    describe(&mut client, &mut output, &name)?;
                }
            }
            Action::Alter { name, set, unset } => alter(&mut client, &name, &set, &unset)?,
            Action::Delete { names } => delete(&mut client, &names)?,
            Action::ResetOffsets { group, topic, to, dry_run } => {
                reset(&mut client, &mut output, &group, &topic, to, dry_run)?;
            }
        }
        Ok(output.flush()?)
    }
}

#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    /// classic, consumer (KIP-848) or share (KIP-932).
    group_type: String,
    state: String,
    protocol_type: String,
    coordinator: i32,
}

impl Row for Listed {
    const COLUMNS: &'static [&'static str] = &["GROUP", "TYPE", "STATE", "PROTOCOL", "COORDINATOR"];

    fn cells(&self) -> Vec<String> {
        let Self { name, group_type, state, protocol_type, coordinator } = self;
        let texts = [name, group_type, state, protocol_type].map(Clone::clone);
        texts.into_iter().chain([coordinator.to_string()]).collect()
    }
}

fn list(client: &mut Client, output: &mut Output) -> Result<(), CliError> {
    let brokers: Vec<i32> =
        client.metadata(Some(&[]))?.brokers.iter().map(|broker| broker.node_id).collect();
    let mut rows = Vec::new();
    for broker in brokers {
        let response = client.call_on(broker, &ListGroupsRequest::default(), NEWEST)?;
        ClientError::check(format!("broker {broker}"), response.error_code, None)?;
        rows.extend(response.groups.into_iter().map(|group| Listed {
            name: group.group_id,
            // Brokers before KIP-848 do not say: they know one.
            group_type: match group.group_type.is_empty() {
                true => "classic".to_owned(),
                false => group.group_type,
            },
            state: group.group_state,
            protocol_type: group.protocol_type,
            coordinator: broker,
        }));
    }
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(output.rows(&rows)?)
}

#[derive(Debug, Serialize)]
struct Described {
    name: String,
    group_type: &'static str,
    state: String,
    protocol_type: String,
    assignor: String,
    coordinator: i32,
    members: Vec<MemberRow>,
    offsets: Vec<OffsetRow>,
    total_lag: i64,
    settings: Vec<ConfigRow>,
}

#[derive(Debug, Serialize)]
pub(crate) struct MemberRow {
    pub(crate) member: String,
    pub(crate) instance: Option<String>,
    pub(crate) client: String,
    pub(crate) host: String,
    /// Of which assignment the member is; classic groups have one for all.
    pub(crate) epoch: Option<i32>,
    pub(crate) partitions: usize,
}

impl Row for MemberRow {
    const COLUMNS: &'static [&'static str] = &["MEMBER", "CLIENT", "HOST", "PARTITIONS"];

    fn cells(&self) -> Vec<String> {
        let Self { member, client, host, partitions, .. } = self;
        vec![member.clone(), client.clone(), host.clone(), partitions.to_string()]
    }
}

/// Which member has which partition.
pub(crate) type Owners = BTreeMap<TopicPartition, String>;

/// A group whose position is the offsets that it commits.
pub(crate) struct Found {
    pub(crate) group_type: &'static str,
    pub(crate) state: String,
    pub(crate) protocol_type: String,
    pub(crate) assignor: String,
    pub(crate) members: Vec<MemberRow>,
    pub(crate) owners: Owners,
}

#[derive(Debug, Serialize)]
struct OffsetRow {
    topic: String,
    partition: i32,
    committed: Option<i64>,
    /// The offset after the partition's last record.
    end: Option<i64>,
    lag: Option<i64>,
    member: Option<String>,
    note: Option<String>,
}

impl Row for OffsetRow {
    const COLUMNS: &'static [&'static str] =
        &["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER"];

    fn cells(&self) -> Vec<String> {
        let number = |n: Option<i64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
        vec![
            self.topic.clone(),
            self.partition.to_string(),
            number(self.committed),
            number(self.end),
            number(self.lag),
            self.member.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    }
}

fn describe(client: &mut Client, output: &mut Output, name: &str) -> Result<(), CliError> {
    client.metadata(Some(&[]))?;
    let coordinator = client.coordinator(name)?;
    let found = match classic(client, coordinator, name)? {
        None => consumer_group::find(client, coordinator, name)?,
        found => found,
    };
    let Some(group) = found else {
        let is_shared = share_group::describe(client, output, coordinator, name)?;
        if is_shared || describe_settings(client, output, name)? {
            return Ok(());
        }
        return Err(CliError::new(format!("group {name} does not exist"))
            .hint("`entrepot group list` shows all groups"));
    };
    let committed = committed(client, coordinator, name)?;
    let offsets = offset_rows(client, &committed, &group.owners)?;
    let described = Described {
        name: name.to_owned(),
        group_type: group.group_type,
        members: group.members,
        total_lag: offsets.iter().filter_map(|row| row.lag).sum(),
        state: group.state,
        protocol_type: group.protocol_type,
        assignor: group.assignor,
        coordinator,
        offsets,
        settings: own_settings(client, name)?,
    };
    if output.is_json() {
        return Ok(output.json(&described)?);
    }
    output.line(format!(
        "{} group {name}, {}, coordinator {coordinator}, assignor {}, lag {}",
        described.group_type,
        described.state,
        if described.assignor.is_empty() { "-" } else { &described.assignor },
        described.total_lag
    ))?;
    output.rows(&described.offsets)?;
    if !described.members.is_empty() {
        output.line("")?;
        output.rows(&described.members)?;
    }
    if !described.settings.is_empty() {
        output.line("")?;
        output.rows(&described.settings)?;
    }
    Ok(output.line("")?)
}

/// What is set on a group.
fn own_settings(client: &mut Client, name: &str) -> Result<Vec<ConfigRow>, ClientError> {
    // A broker that knows no configuration of groups has none.
    let mut all = settings::of(client, settings::GROUP, name).unwrap_or_default();
    all.retain(|setting| setting.config_source == settings::SET_ON_GROUP);
    Ok(settings::rows(all))
}

#[derive(Debug, Serialize)]
struct DescribedSettings {
    name: String,
    group_type: &'static str,
    settings: Vec<ConfigRow>,
}

/// Shows what is set on a group that has no consumers and no offsets, such as one of live subscribers; whether anything
/// is.
fn describe_settings(
    client: &mut Client,
    output: &mut Output,
    name: &str,
) -> Result<bool, CliError> {
    let settings = own_settings(client, name)?;
    if settings.is_empty() {
        return Ok(false);
    }
    let described = DescribedSettings { name: name.to_owned(), group_type: "live", settings };
    if output.is_json() {
        output.json(&described)?;
        return Ok(true);
    }
    output.line(format!("group {name}, no consumers with offsets"))?;
    output.rows(&described.settings)?;
    output.line("")?;
    Ok(true)
}

fn alter(
    client: &mut Client,
    name: &str,
    set: &[(String, String)],
    unset: &[String],
) -> Result<(), CliError> {
    if set.is_empty() && unset.is_empty() {
        return Err(
            CliError::usage("there is nothing to alter").hint("--set KEY=VALUE or --unset KEY")
        );
    }
    client.metadata(Some(&[]))?;
    settings::change(client, settings::GROUP, name, set, unset)?;
    eprintln!("changed the settings of group {name}");
    Ok(())
}

/// `None` if there is no such classic group.
fn classic(client: &mut Client, coordinator: i32, name: &str) -> Result<Option<Found>, CliError> {
    let request = DescribeGroupsRequest {
        groups: vec![name.to_owned()],
        include_authorized_operations: false,
    };
    let response = client.call_on(coordinator, &request, NEWEST)?;
    let group = response.groups.into_iter().next().unwrap_or_default();
    // From version 6 on, one that is not there, or is of another kind, is an error; before, it is
    // described as dead.
    if group.error_code == ErrorCode::GroupIdNotFound.number() || group.group_state == "Dead" {
        return Ok(None);
    }
    ClientError::check(format!("group {name}"), group.error_code, group.error_message.clone())?;
    let owners = owners(&group.members);
    let members = group.members.into_iter().map(|member| MemberRow {
        partitions: owners.values().filter(|owner| **owner == member.member_id).count(),
        member: member.member_id,
        instance: member.group_instance_id,
        client: member.client_id,
        host: member.client_host,
        epoch: None,
    });
    Ok(Some(Found {
        group_type: "classic",
        members: members.collect(),
        state: group.group_state,
        protocol_type: group.protocol_type,
        assignor: group.protocol_data,
        owners,
    }))
}

/// Committed offsets with their notes.
fn committed(
    client: &mut Client,
    coordinator: i32,
    name: &str,
) -> Result<BTreeMap<TopicPartition, (i64, Option<String>)>, ClientError> {
    let request = OffsetFetchRequest {
        group_id: name.to_owned(),
        topics: None,
        groups: vec![OffsetFetchRequestGroup {
            group_id: name.to_owned(),
            topics: None,
            ..OffsetFetchRequestGroup::default()
        }],
        require_stable: false,
    };
    let response = client.call_on(coordinator, &request, BY_NAME)?;
    let subject = format!("group {name}");
    ClientError::check(&subject, response.error_code, None)?;
    let mut offsets = BTreeMap::new();
    for topic in response.topics {
        for partition in topic.partitions {
            let key = (topic.name.clone(), partition.partition_index);
            offsets.insert(key, (partition.committed_offset, partition.metadata));
        }
    }
    for group in response.groups {
        ClientError::check(&subject, group.error_code, None)?;
        for topic in group.topics {
            for partition in topic.partitions {
                let key = (topic.name.clone(), partition.partition_index);
                offsets.insert(key, (partition.committed_offset, partition.metadata));
            }
        }
    }
    offsets.retain(|_, (offset, _)| *offset >= 0);
    Ok(offsets)
}

/// Which member has which partition. Members of other protocols than consumers' have none.
fn owners(members: &[DescribedGroupMember]) -> Owners {
    let mut owners = BTreeMap::new();
    for member in members {
        let assignment = member.member_assignment.clone();
        let Ok((_, assignment)) = decode_versioned::<ConsumerProtocolAssignment>(assignment) else {
            continue;
        };
        for topic in assignment.assigned_partitions {
            for partition in topic.partitions {
                owners.insert((topic.topic.clone(), partition), member.member_id.clone());
            }
        }
    }
    owners
}

fn offset_rows(
    client: &mut Client,
    committed: &BTreeMap<TopicPartition, (i64, Option<String>)>,
    owners: &Owners,
) -> Result<Vec<OffsetRow>, ClientError> {
    let mut keys: Vec<&TopicPartition> = committed.keys().chain(owners.keys()).collect();
    keys.sort();
    keys.dedup();
    let mut end: BTreeMap<&str, BTreeMap<i32, i64>> = BTreeMap::new();
    for (topic, _) in &keys {
        if !end.contains_key(topic.as_str()) {
            // A topic that is gone has no end; its committed ones are still shown.
            let offsets = match client.topic(topic, false) {
                Ok(found) => client.offsets(&found, LATEST)?,
                Err(_) => BTreeMap::new(),
            };
            end.insert(topic, offsets);
        }
    }
    let row = |key: &TopicPartition| {
        let committed = committed.get(key);
        let end = end.get(key.0.as_str()).and_then(|offsets| offsets.get(&key.1)).copied();
        let offset = committed.map(|(offset, _)| *offset);
        OffsetRow {
            topic: key.0.clone(),
            partition: key.1,
            committed: offset,
            end,
            lag: offset.zip(end).map(|(offset, end)| (end - offset).max(0)),
            member: owners.get(key).cloned(),
            note: committed.and_then(|(_, note)| note.clone()).filter(|note| !note.is_empty()),
        }
    };
    Ok(keys.into_iter().map(row).collect())
}

fn delete(client: &mut Client, names: &[String]) -> Result<(), CliError> {
    client.metadata(Some(&[]))?;
    let mut results = Vec::new();
    for name in names {
        let coordinator = client.coordinator(name)?;
        let request = DeleteGroupsRequest { groups_names: vec![name.clone()] };
        let response = client.call_on(coordinator, &request, NEWEST)?;
        results.extend(response.results.into_iter().map(|result| {
            let subject = format!("group {}", result.group_id);
            ClientError::check(&subject, result.error_code, None)
                .map(|()| format!("deleted {subject}"))
        }));
    }
    crate::topic::each(results.into_iter())
}

#[derive(Debug, Serialize)]
struct Moved {
    topic: String,
    partition: i32,
    from: Option<i64>,
    to: i64,
}

impl Row for Moved {
    const COLUMNS: &'static [&'static str] = &["TOPIC", "PARTITION", "FROM", "TO"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.topic.clone(),
            self.partition.to_string(),
            self.from.map_or_else(|| "-".to_owned(), |from| from.to_string()),
            self.to.to_string(),
        ]
    }
}

fn reset(
    client: &mut Client,
    output: &mut Output,
    group: &str,
    topics: &[(String, Vec<i32>)],
    to: Target,
    dry_run: bool,
) -> Result<(), CliError> {
    client.metadata(Some(&[]))?;
    let coordinator = client.coordinator(group)?;
    let committed = committed(client, coordinator, group)?;
    let mut wanted = topics.to_vec();
    if wanted.is_empty() {
        wanted = committed.keys().map(|(topic, _)| (topic.clone(), Vec::new())).collect();
        wanted.dedup();
    }
    if wanted.is_empty() {
        return Err(CliError::new(format!("group {group} has no offsets to move"))
            .hint("name the topics with --topic"));
    }
    let mut moves = Vec::new();
    for (topic, partitions) in &wanted {
        moves.extend(moves_of(client, topic, partitions, &committed, to)?);
    }
    if !dry_run {
        commit(client, coordinator, group, &moves)?;
    }
    output.rows(&moves)?;
    output.flush()?;
    let done = if dry_run { "would be moved" } else { "were moved" };
    eprintln!("{} offsets of group {group} {done}", moves.len());
    Ok(())
}

/// Where the offsets of a topic's partitions are to go, kept within what the partitions hold.
fn moves_of(
    client: &mut Client,
    name: &str,
    only: &[i32],
    committed: &BTreeMap<TopicPartition, (i64, Option<String>)>,
    to: Target,
) -> Result<Vec<Moved>, CliError> {
    let topic = client.topic(name, false)?;
    let earliest = client.offsets(&topic, EARLIEST)?;
    let latest = client.offsets(&topic, LATEST)?;
    let at_time = match to {
        Target::Time(time) => client.offsets(&topic, time)?,
        _ => BTreeMap::new(),
    };
    if let Some(missing) = only.iter().find(|partition| !latest.contains_key(partition)) {
        return Err(CliError::new(format!("topic {name} has no partition {missing}")));
    }
    let mut moves = Vec::new();
    for (partition, end) in latest {
        if !only.is_empty() && !only.contains(&partition) {
            continue;
        }
        let begin = earliest.get(&partition).copied().unwrap_or_default();
        let from = committed.get(&(name.to_owned(), partition)).map(|(offset, _)| *offset);
        let target = match to {
            Target::Earliest => begin,
            Target::Latest => end,
            Target::Offset(offset) => offset,
            Target::Shift(by) => from.unwrap_or(begin).saturating_add(by),
            // No record is so late: its end.
            Target::Time(_) => {
                at_time.get(&partition).copied().filter(|at| *at >= 0).unwrap_or(end)
            }
        };
        moves.push(Moved {
            topic: name.to_owned(),
            partition,
            from,
            to: target.clamp(begin, end.max(begin)),
        });
    }
    Ok(moves)
}

/// Commits as nobody in particular, which a broker allows while the group has no members.
fn commit(
    client: &mut Client,
    coordinator: i32,
    group: &str,
    moves: &[Moved],
) -> Result<(), CliError> {
    let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for moved in moves {
        topics.entry(&moved.topic).or_default().push(OffsetCommitRequestPartition {
            partition_index: moved.partition,
            committed_offset: moved.to,
            ..OffsetCommitRequestPartition::default()
        });
    }
    let request = OffsetCommitRequest {
        group_id: group.to_owned(),
        topics: topics
            .into_iter()
            .map(|(name, partitions)| OffsetCommitRequestTopic {
                name: name.to_owned(),
                partitions,
                ..OffsetCommitRequestTopic::default()
            })
            .collect(),
        ..OffsetCommitRequest::default()
    };
    let response = client.call_on(coordinator, &request, BY_NAME)?;
    for partition in response.topics.into_iter().flat_map(|topic| topic.partitions) {
        let subject = format!("offsets of group {group}");
        ClientError::check(subject, partition.error_code, None)?;
    }
    Ok(())
}
