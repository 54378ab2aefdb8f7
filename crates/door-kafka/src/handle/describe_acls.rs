//! DescribeAcls: the access rules that a filter finds.

use super::Request;
use crate::map::access::{Acl, AclFilter};
use crate::wire::ErrorCode;
use crate::wire::messages::describe_acls_response::{AclDescription, DescribeAclsResource};
use crate::wire::messages::{DescribeAclsRequest, DescribeAclsResponse};

/// What is said where rules are not enforced, and so not kept.
pub(super) const DISABLED: &str = "access rules are not enforced here (security.authorize)";

pub(super) async fn handle(
    request: Request<'_>,
    asked: DescribeAclsRequest,
) -> DescribeAclsResponse {
    let failed = |code: ErrorCode, text: String| DescribeAclsResponse {
        error_code: code.number(),
        error_message: Some(text),
        ..DescribeAclsResponse::default()
    };
    if !request.broker().options().access.enforce {
        return failed(ErrorCode::SecurityDisabled, DISABLED.to_owned());
    }
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
    let mut resources: Vec<DescribeAclsResource> = Vec::new();
    // Sorted, so that those of one resource follow each other.
    let rules = filters.iter().flat_map(|filter| request.broker().find_rules(filter));
    for acl in rules.map(Acl::of) {
        let description = AclDescription {
            principal: acl.principal,
            host: acl.host,
            operation: acl.operation,
            permission_type: acl.permission,
        };
        let same = |r: &&mut DescribeAclsResource| {
            r.resource_type == acl.kind
                && r.resource_name == acl.name
                && r.pattern_type == acl.pattern
        };
        match resources.last_mut().filter(same) {
            Some(resource) => resource.acls.push(description),
            None => resources.push(DescribeAclsResource {
                resource_type: acl.kind,
                resource_name: acl.name,
                pattern_type: acl.pattern,
                acls: vec![description],
            }),
        }
    }
    DescribeAclsResponse { resources, ..DescribeAclsResponse::default() }
}
