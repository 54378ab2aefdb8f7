//! CreatePartitions: gives topics more partitions.

use super::Request;
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::create_partitions_request::CreatePartitionsTopic;
use crate::wire::messages::create_partitions_response::CreatePartitionsTopicResult;
use crate::wire::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

pub(super) async fn handle(
    request: Request<'_>,
    asked: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let mut response = CreatePartitionsResponse::default();
    for topic in asked.topics {
        let (code, error_message) = match create(&request, &topic, asked.validate_only).await {
            Ok(()) => (ErrorCode::None, None),
            Err((code, text)) => (code, Some(text)),
        };
        let error_code = code.number();
        response.results.push(CreatePartitionsTopicResult {
            name: topic.name,
            error_code,
            error_message,
        });
    }
    response
}

async fn create(
    request: &Request<'_>,
    topic: &CreatePartitionsTopic,
    validate_only: bool,
) -> Result<(), (ErrorCode, String)> {
    let broker = request.broker();
    let failed = |error: broker::TopicError| (map::topic_error(&error), error.to_string());
    let more = broker.check_more_partitions(&topic.name, topic.count).map_err(failed)?;
    if let Some(assignments) = &topic.assignments {
        let own = [broker.id().0];
        let count = i32::try_from(assignments.len()).unwrap_or(i32::MAX);
        if count != more || assignments.iter().any(|a| a.broker_ids != own) {
            let text = "each new partition must be assigned to this broker alone".to_owned();
            return Err((ErrorCode::InvalidReplicaAssignment, text));
        }
    }
    if validate_only {
        return Ok(());
    }
    broker.create_partitions(&topic.name, topic.count).await.map_err(failed)
}
