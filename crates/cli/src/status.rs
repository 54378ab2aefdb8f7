//! `entrepot status`.

use std::time::Instant;

use clap::Args;
use door_kafka::wire::messages::metadata_response::MetadataResponse;
use door_kafka::wire::messages::{DescribeLogDirsRequest, ListGroupsRequest, MetadataRequest};
use serde::Serialize;

use crate::client::{Client, NEWEST, address_of};
use crate::output::{Row, size};
use crate::{CliError, Connect, exit};

/// How often the round trip is measured; the shortest is shown, the one least disturbed.
const ROUNDS: usize = 5;

/// `entrepot status`
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Serialize)]
struct Report {
    healthy: bool,
    /// What is wrong, in words.
    problems: Vec<String>,
    cluster_id: Option<String>,
    controller: i32,
    brokers: Vec<BrokerRow>,
    topics: usize,
    partitions: usize,
    groups: usize,
    /// All partitions together; `None` if the brokers do not say.
    stored_bytes: Option<i64>,
    round_trip_ms: f64,
}

#[derive(Debug, Serialize)]
struct BrokerRow {
    id: i32,
    address: String,
    rack: Option<String>,
    controller: bool,
}

impl Row for BrokerRow {
    const COLUMNS: &'static [&'static str] = &["BROKER", "ADDRESS", "RACK", "CONTROLLER"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.address.clone(),
            self.rack.clone().unwrap_or_else(|| "-".to_owned()),
            if self.controller { "yes" } else { "" }.to_owned(),
        ]
    }
}

impl Status {
    pub(crate) fn run(self) -> Result<(), CliError> {
        let unhealthy = |error| CliError::from(error).code(exit::UNHEALTHY);
        let mut client = self.connect.client().map_err(unhealthy)?;
        let report = report(&mut client).map_err(unhealthy)?;
        let mut output = self.connect.output();
        if output.is_json() {
            output.json(&report)?;
        } else {
            let id = report.cluster_id.as_deref().unwrap_or("unknown");
            output.line(format!("cluster     {id}"))?;
            output.line(format!(
                "health      {}",
                if report.healthy { "healthy" } else { "not healthy" }
            ))?;
            for problem in &report.problems {
                output.line(format!("            {problem}"))?;
            }
            output.line(format!("topics      {}", report.topics))?;
            output.line(format!("partitions  {}", report.partitions))?;
            output.line(format!("groups      {}", report.groups))?;
            output.line(format!("stored      {}", size(report.stored_bytes.unwrap_or(-1))))?;
            output.line(format!("round trip  {:.2} ms", report.round_trip_ms))?;
            output.line("")?;
            output.rows(&report.brokers)?;
        }
        output.flush()?;
        if report.healthy {
            return Ok(());
        }
        Err(CliError::new(format!("the cluster is not healthy: {}", report.problems.join("; ")))
            .code(exit::UNHEALTHY))
    }
}

fn report(client: &mut Client) -> Result<Report, crate::ClientError> {
    let metadata = client.metadata(None)?;
    let mut problems = problems(&metadata);
    let mut groups = 0;
    let mut stored_bytes = None;
    for broker in &metadata.brokers {
        match client.call_on(broker.node_id, &ListGroupsRequest::default(), NEWEST) {
            Ok(response) => groups += response.groups.len(),
            Err(error) => {
                problems.push(error.to_string());
                continue;
            }
        }
        // Sizes are an extra: a broker that does not say them is not ill.
        let everything = DescribeLogDirsRequest { topics: None };
        if let Ok(response) = client.call_on(broker.node_id, &everything, NEWEST) {
            let topics = response.results.into_iter().flat_map(|dir| dir.topics);
            let partitions = topics.flat_map(|topic| topic.partitions);
            let bytes: i64 = partitions.map(|partition| partition.partition_size).sum();
            *stored_bytes.get_or_insert(0) += bytes;
        }
    }
    Ok(Report {
        healthy: problems.is_empty(),
        problems,
        controller: metadata.controller_id,
        brokers: brokers(&metadata),
        topics: metadata.topics.iter().filter(|topic| !topic.is_internal).count(),
        partitions: metadata.topics.iter().map(|topic| topic.partitions.len()).sum(),
        cluster_id: metadata.cluster_id,
        groups,
        stored_bytes,
        round_trip_ms: round_trip(client)?,
    })
}

fn brokers(metadata: &MetadataResponse) -> Vec<BrokerRow> {
    let row = |broker| BrokerRow {
        address: address_of(broker),
        id: broker.node_id,
        rack: broker.rack.clone(),
        controller: broker.node_id == metadata.controller_id,
    };
    let mut brokers: Vec<_> = metadata.brokers.iter().map(row).collect();
    brokers.sort_by_key(|broker| broker.id);
    brokers
}

fn problems(metadata: &MetadataResponse) -> Vec<String> {
    let mut problems = Vec::new();
    if metadata.brokers.is_empty() {
        problems.push("no broker is registered".to_owned());
    }
    if metadata.controller_id < 0 {
        problems.push("there is no controller".to_owned());
    }
    let partitions = metadata.topics.iter().flat_map(|topic| &topic.partitions);
    let leaderless = partitions.filter(|partition| partition.leader_id < 0).count();
    if leaderless > 0 {
        problems.push(format!("{leaderless} partitions have no leader"));
    }
    problems
}

/// The shortest of a few round trips, in milliseconds.
fn round_trip(client: &mut Client) -> Result<f64, crate::ClientError> {
    let nothing = MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() };
    let mut shortest = f64::INFINITY;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        client.call(&nothing, NEWEST)?;
        shortest = shortest.min(begun.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(shortest)
}
