//! DeleteRecords: deletes the oldest records of partitions.

use super::Request;
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use crate::wire::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

/// "Up to the end."
const ALL: i64 = -1;

pub(super) async fn handle(
    request: Request<'_>,
    asked: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let mut response = DeleteRecordsResponse::default();
    for topic in asked.topics {
        let open = request.broker().topic(&topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let before = Some(partition.offset).filter(|offset| *offset != ALL);
            let outcome = match &open {
                None => Err(ErrorCode::UnknownTopicOrPartition),
                Some(open) => {
                    let trimmed =
                        request.broker().trim(open, partition.partition_index, before).await;
                    trimmed.map_err(|error| map::trim_error(&error))
                }
            };
            partitions.push(DeleteRecordsPartitionResult {
                partition_index: partition.partition_index,
                low_watermark: *outcome.as_ref().unwrap_or(&-1),
                error_code: outcome.err().unwrap_or(ErrorCode::None).number(),
            });
        }
        response.topics.push(DeleteRecordsTopicResult { name: topic.name, partitions });
    }
    response
}
