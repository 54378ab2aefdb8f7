//! CreateAcls: adds access rules.

use super::Request;
use super::describe_acls::DISABLED;
use crate::map;
use crate::map::access::Acl;
use crate::wire::ErrorCode;
use crate::wire::messages::create_acls_response::AclCreationResult;
use crate::wire::messages::{CreateAclsRequest, CreateAclsResponse};

pub(super) async fn handle(request: Request<'_>, asked: CreateAclsRequest) -> CreateAclsResponse {
    if !request.broker().options().access.enforce {
        return refuse(&asked, ErrorCode::SecurityDisabled);
    }
    let mut results = Vec::with_capacity(asked.creations.len());
    let mut rules = Vec::new();
    for creation in asked.creations {
        let acl = Acl {
            kind: creation.resource_type,
            name: creation.resource_name,
            pattern: creation.resource_pattern_type,
            principal: creation.principal,
            host: creation.host,
            operation: creation.operation,
            permission: creation.permission_type,
        };
        match acl.rule() {
            Ok(rule) => {
                rules.push((results.len(), rule));
                results.push(AclCreationResult::default());
            }
            Err(text) => results.push(failed(ErrorCode::InvalidRequest, text)),
        }
    }
    let (places, rules): (Vec<_>, Vec<_>) = rules.into_iter().unzip();
    let outcomes = request.broker().add_rules(rules).await;
    for (place, outcome) in places.into_iter().zip(outcomes) {
        if let (Err(error), Some(result)) = (outcome, results.get_mut(place)) {
            *result = failed(map::kind_error(error.kind()), error.to_string());
        }
    }
    CreateAclsResponse { results, ..CreateAclsResponse::default() }
}

fn failed(code: ErrorCode, text: String) -> AclCreationResult {
    AclCreationResult { error_code: code.number(), error_message: Some(text) }
}

/// The answer that adds none of them.
pub(super) fn refuse(asked: &CreateAclsRequest, code: ErrorCode) -> CreateAclsResponse {
    let text = if code == ErrorCode::SecurityDisabled { DISABLED } else { code.text() };
    let results = asked.creations.iter().map(|_| failed(code, text.to_owned()));
    CreateAclsResponse { results: results.collect(), ..CreateAclsResponse::default() }
}
