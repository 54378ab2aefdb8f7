//! DeleteTopics: by name, or by id from version 6 on.

use base::TopicId;

use super::Request;
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::delete_topics_response::DeletableTopicResult;
use crate::wire::messages::{DeleteTopicsRequest, DeleteTopicsResponse};

const BY_ID_FROM: i16 = 6;

pub(super) async fn handle(
    request: Request<'_>,
    asked: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let mut response = DeleteTopicsResponse::default();
    if request.version() < BY_ID_FROM {
        for name in asked.topic_names {
            response.responses.push(delete(&request, name, None).await);
        }
        return response;
    }
    for topic in asked.topics {
        let id = TopicId::from_bytes(topic.topic_id);
        let result = match (topic.name, request.broker().topic_by_id(id)) {
            (Some(_), _) if topic.topic_id != [0; 16] => DeletableTopicResult {
                error_code: ErrorCode::InvalidRequest.number(),
                error_message: Some("name the topic or give its id, not both".to_owned()),
                ..DeletableTopicResult::default()
            },
            (Some(name), _) => delete(&request, name, None).await,
            (None, Some(open)) => delete(&request, open.topic.name.clone(), Some(id)).await,
            (None, None) => DeletableTopicResult {
                error_code: ErrorCode::UnknownTopicId.number(),
                ..DeletableTopicResult::default()
            },
        };
        let topic_id = if result.topic_id == [0; 16] { topic.topic_id } else { result.topic_id };
        response.responses.push(DeletableTopicResult { topic_id, ..result });
    }
    response
}

async fn delete(request: &Request<'_>, name: String, id: Option<TopicId>) -> DeletableTopicResult {
    let broker = request.broker();
    let topic_id = broker.topic(&name).map(|open| open.topic.id.to_bytes()).unwrap_or_default();
    let (code, message) = match broker.delete_topic(&name, id).await {
        Ok(()) => (ErrorCode::None, None),
        Err(error) => (map::topic_error(&error), Some(error.to_string())),
    };
    DeletableTopicResult {
        name: Some(name),
        topic_id,
        error_code: code.number(),
        error_message: message,
    }
}
