//! DeleteAcls: removes the access rules that filters find.

use broker::RuleError;
use broker::access::Rule;

use super::Request;
use super::describe_acls::DISABLED;
use crate::map;
use crate::map::access::{Acl, AclFilter};
use crate::wire::ErrorCode;
use crate::wire::messages::delete_acls_request::DeleteAclsFilter;
use crate::wire::messages::delete_acls_response::{DeleteAclsFilterResult, DeleteAclsMatchingAcl};
use crate::wire::messages::{DeleteAclsRequest, DeleteAclsResponse};

pub(super) async fn handle(request: Request<'_>, asked: DeleteAclsRequest) -> DeleteAclsResponse {
    if !request.broker().options().access.enforce {
        return refuse(&asked, ErrorCode::SecurityDisabled);
    }
    let mut response = DeleteAclsResponse::default();
    for filter in &asked.filters {
        response.filter_results.push(delete(&request, filter).await);
    }
    response
}

async fn delete(request: &Request<'_>, asked: &DeleteAclsFilter) -> DeleteAclsFilterResult {
    let filter = AclFilter {
        kind: asked.resource_type_filter,
        name: asked.resource_name_filter.as_deref(),
        pattern: asked.pattern_type_filter,
        principal: asked.principal_filter.as_deref(),
        host: asked.host_filter.as_deref(),
        operation: asked.operation,
        permission: asked.permission_type,
    };
    let filters = match filter.filters() {
        Ok(filters) => filters,
        Err(text) => return failed(ErrorCode::InvalidRequest, text),
    };
    let mut removed: Vec<Rule> = Vec::new();
    for filter in filters {
        match request.broker().remove_rules(&filter).await {
            Ok(rules) => removed.extend(rules),
            Err(error) => return stopped(&error),
        }
    }
    let matching = |acl: Acl| DeleteAclsMatchingAcl {
        resource_type: acl.kind,
        resource_name: acl.name,
        pattern_type: acl.pattern,
        principal: acl.principal,
        host: acl.host,
        operation: acl.operation,
        permission_type: acl.permission,
        ..DeleteAclsMatchingAcl::default()
    };
    DeleteAclsFilterResult {
        matching_acls: removed.into_iter().map(Acl::of).map(matching).collect(),
        ..DeleteAclsFilterResult::default()
    }
}

/// Some may have been removed: who asks again learns what is left.
fn stopped(error: &RuleError) -> DeleteAclsFilterResult {
    failed(map::kind_error(error.kind()), error.to_string())
}

fn failed(code: ErrorCode, text: String) -> DeleteAclsFilterResult {
    DeleteAclsFilterResult {
        error_code: code.number(),
        error_message: Some(text),
        ..DeleteAclsFilterResult::default()
    }
}

/// The answer that removes nothing.
pub(super) fn refuse(asked: &DeleteAclsRequest, code: ErrorCode) -> DeleteAclsResponse {
    let text = if code == ErrorCode::SecurityDisabled { DISABLED } else { code.text() };
    let results = asked.filters.iter().map(|_| failed(code, text.to_owned()));
    DeleteAclsResponse { filter_results: results.collect(), ..DeleteAclsResponse::default() }
}
