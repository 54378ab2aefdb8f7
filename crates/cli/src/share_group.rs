//! `entrepot group describe` of a share group (KIP-932).

use door_kafka::wire::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup;
use door_kafka::wire::messages::share_group_describe_response::DescribedGroup;
use door_kafka::wire::messages::{DescribeShareGroupOffsetsRequest, ShareGroupDescribeRequest};
use serde::Serialize;

use crate::CliError;
use crate::client::{Client, ClientError, NEWEST};
use crate::output::{Output, Row};

#[derive(Debug, Serialize)]
struct Described {
    name: String,
    group_type: &'static str,
    state: String,
    protocol_type: &'static str,
    assignor: String,
    coordinator: i32,
    members: Vec<MemberRow>,
    offsets: Vec<OffsetRow>,
    total_lag: i64,
}

#[derive(Debug, Serialize)]
struct MemberRow {
    member: String,
    client: String,
    host: String,
    partitions: usize,
}

impl Row for MemberRow {
    const COLUMNS: &'static [&'static str] = &["MEMBER", "CLIENT", "HOST", "PARTITIONS"];

    fn cells(&self) -> Vec<String> {
        let Self { member, client, host, partitions } = self;
        vec![member.clone(), client.clone(), host.clone(), partitions.to_string()]
    }
}

#[derive(Debug, Serialize)]
struct OffsetRow {
    topic: String,
    partition: i32,
    /// All before it is done.
    start: Option<i64>,
    /// Records that are not done.
    lag: Option<i64>,
}

impl Row for OffsetRow {
    const COLUMNS: &'static [&'static str] = &["TOPIC", "PARTITION", "START", "LAG"];

    fn cells(&self) -> Vec<String> {
        let number = |n: Option<i64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let Self { topic, partition, start, lag } = self;
        vec![topic.clone(), partition.to_string(), number(*start), number(*lag)]
    }
}

/// Describes a group that is none of another kind. Whether there is such a share group, as far as
/// the broker knows them.
pub(crate) fn describe(
    client: &mut Client,
    output: &mut Output,
    coordinator: i32,
    name: &str,
) -> Result<bool, CliError> {
    let Some(group) = group(client, coordinator, name)? else { return Ok(false) };
    let offsets = offsets(client, coordinator, name)?;
    let members = group.members.into_iter().map(|member| MemberRow {
        partitions: member.assignment.topic_partitions.iter().map(|t| t.partitions.len()).sum(),
        member: member.member_id,
        client: member.client_id,
        host: member.client_host,
    });
    let described = Described {
        name: name.to_owned(),
        members: members.collect(),
        total_lag: offsets.iter().filter_map(|row| row.lag).sum(),
        state: group.group_state,
        group_type: "share",
        protocol_type: "share",
        assignor: group.assignor_name,
        coordinator,
        offsets,
    };
    if output.is_json() {
        output.json(&described)?;
        return Ok(true);
    }
    output.line(format!(
        "share group {name}, {}, coordinator {coordinator}, assignor {}, lag {}",
        described.state, described.assignor, described.total_lag
    ))?;
    output.rows(&described.offsets)?;
    if !described.members.is_empty() {
        output.line("")?;
        output.rows(&described.members)?;
    }
    output.line("")?;
    Ok(true)
}

fn group(
    client: &mut Client,
    coordinator: i32,
    name: &str,
) -> Result<Option<DescribedGroup>, CliError> {
    let request = ShareGroupDescribeRequest {
        group_ids: vec![name.to_owned()],
        include_authorized_operations: false,
    };
    match client.call_on(coordinator, &request, NEWEST) {
        Ok(response) => Ok(response.groups.into_iter().next().filter(|one| one.error_code == 0)),
        // An older broker knows no share groups.
        Err(ClientError::Version { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn offsets(
    client: &mut Client,
    coordinator: i32,
    name: &str,
) -> Result<Vec<OffsetRow>, ClientError> {
    let request = DescribeShareGroupOffsetsRequest {
        groups: vec![DescribeShareGroupOffsetsRequestGroup {
            group_id: name.to_owned(),
            topics: None,
        }],
    };
    let response = client.call_on(coordinator, &request, NEWEST)?;
    let mut rows = Vec::new();
    for group in response.groups {
        let message = group.error_message;
        ClientError::check(format!("group {name}"), group.error_code, message)?;
        for topic in group.topics {
            let known = |offset: i64| Some(offset).filter(|offset| *offset >= 0);
            rows.extend(topic.partitions.iter().map(|partition| OffsetRow {
                topic: topic.topic_name.clone(),
                partition: partition.partition_index,
                start: known(partition.start_offset),
                lag: known(partition.lag),
            }));
        }
    }
    Ok(rows)
}
