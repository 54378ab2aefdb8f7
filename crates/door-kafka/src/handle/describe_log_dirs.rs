//! DescribeLogDirs: how much space partitions take.

use std::collections::BTreeMap;

use broker::OpenTopic;
use broker::store::DiskSpace;

use super::Request;
use crate::wire::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use crate::wire::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};

pub(super) async fn handle(
    request: Request<'_>,
    asked: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let broker = request.broker();
    let mut topics: BTreeMap<String, Option<Vec<i32>>> = BTreeMap::new();
    match asked.topics {
        None => topics.extend(broker.metadata().topics.keys().map(|name| (name.clone(), None))),
        Some(named) => topics.extend(named.into_iter().map(|t| (t.topic, Some(t.partitions)))),
    }
    let described = topics.into_iter().filter_map(|(name, partitions)| {
        let open = broker.topic(&name)?;
        Some(describe(name, &open, partitions))
    });
    // Unknown where the system does not say.
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let space = DiskSpace::of(broker.options().data_dir.as_ref()).ok();
    let result = DescribeLogDirsResult {
        total_bytes: space.map_or(-1, |space| bytes(space.total)),
        usable_bytes: space.map_or(-1, |space| bytes(space.free)),
        log_dir: broker.options().data_dir.clone(),
        topics: described.collect(),
        ..DescribeLogDirsResult::default()
    };
    DescribeLogDirsResponse { results: vec![result], ..DescribeLogDirsResponse::default() }
}

fn describe(name: String, topic: &OpenTopic, asked: Option<Vec<i32>>) -> DescribeLogDirsTopic {
    let all = || (0..).take(topic.topic.partitions.len()).collect();
    let partitions = asked.unwrap_or_else(all).into_iter().filter_map(|index| {
        let status = topic.log(index)?.status();
        Some(DescribeLogDirsPartition {
            partition_index: index,
            partition_size: i64::try_from(status.bytes).unwrap_or(i64::MAX),
            ..DescribeLogDirsPartition::default()
        })
    });
    DescribeLogDirsTopic { name, partitions: partitions.collect() }
}
