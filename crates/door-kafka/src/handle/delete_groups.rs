//! DeleteGroups: deletes empty groups with their offsets.

use super::Request;
use crate::map;
use crate::wire::messages::delete_groups_response::DeletableGroupResult;
use crate::wire::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

pub(super) async fn handle(
    request: Request<'_>,
    asked: DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    let mut response = DeleteGroupsResponse::default();
    for group_id in asked.groups_names {
        let outcome = request.broker().groups().delete(&group_id.as_str().into()).await;
        let error_message = outcome.as_ref().err().map(ToString::to_string);
        let error_code = map::group_code(outcome);
        response.results.push(DeletableGroupResult { group_id, error_code, error_message });
    }
    response
}
