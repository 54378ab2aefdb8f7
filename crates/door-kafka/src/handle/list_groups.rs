//! ListGroups: all groups, or those in some states or of some kinds (KIP-518, KIP-848).

use broker::queue::group::Filter;

use super::Request;
use super::join_group::text;
use crate::map;
use crate::wire::messages::list_groups_response::ListedGroup;
use crate::wire::messages::{ListGroupsRequest, ListGroupsResponse};

pub(super) async fn handle(request: Request<'_>, asked: ListGroupsRequest) -> ListGroupsResponse {
    let filter = Filter { states: known(&asked.states_filter), kinds: known(&asked.types_filter) };
    let filtered_out = (!asked.states_filter.is_empty() && filter.states.is_empty())
        || (!asked.types_filter.is_empty() && filter.kinds.is_empty());
    if filtered_out {
        return ListGroupsResponse::default();
    }
    match request.broker().groups().list(&filter) {
        Ok(groups) => {
            let listed = groups.into_iter().map(|group| ListedGroup {
                group_id: text(group.group),
                protocol_type: group.protocol_type.map(text).unwrap_or_default(),
                group_state: group.state.to_string(),
                group_type: group.kind.as_str().to_owned(),
            });
            ListGroupsResponse { groups: listed.collect(), ..ListGroupsResponse::default() }
        }
        Err(error) => ListGroupsResponse {
            error_code: map::group_error(error).number(),
            ..ListGroupsResponse::default()
        },
    }
}

/// Those of the names that mean something here; no group is in any other state.
fn known<T: std::str::FromStr>(names: &[String]) -> Vec<T> {
    names.iter().filter_map(|name| name.parse().ok()).collect()
}
