//! Requests about the cluster, its brokers, and configuration.

use std::collections::BTreeSet;

use broker::access::Operation;

use super::{CLUSTER_DENIED, Guard, Guarded, Verdict, text};
use crate::handle::describe_configs::{GROUP, TOPIC};
use crate::handle::{alter_client_quotas, create_acls, delete_acls};
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use crate::wire::messages::describe_configs_response::DescribeConfigsResult;
use crate::wire::messages::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, AlterConfigsRequest, AlterConfigsResponse,
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse, CreateAclsRequest,
    CreateAclsResponse, DeleteAclsRequest, DeleteAclsResponse, DescribeAclsRequest,
    DescribeAclsResponse, DescribeClientQuotasRequest, DescribeClientQuotasResponse,
    DescribeClusterRequest, DescribeClusterResponse, DescribeConfigsRequest,
    DescribeConfigsResponse, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, alter_configs_response,
    incremental_alter_configs_response,
};

impl Guarded for DescribeClusterRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<DescribeClusterResponse> {
        if !self.include_cluster_authorized_operations {
            return Verdict::Pass;
        }
        let operations = guard.cluster_operations();
        Verdict::amend(move |response: &mut DescribeClusterResponse| {
            if response.cluster_authorized_operations != map::NO_OPERATIONS {
                response.cluster_authorized_operations = operations;
            }
        })
    }
}

/// An error for the whole answer from this version on.
const ERROR_FROM: i16 = 3;

impl Guarded for DescribeLogDirsRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<DescribeLogDirsResponse> {
        Verdict::pass_if(guard.cluster(Operation::Describe), || DescribeLogDirsResponse {
            error_code: if guard.version() >= ERROR_FROM { CLUSTER_DENIED } else { 0 },
            ..DescribeLogDirsResponse::default()
        })
    }
}

impl Guarded for DescribeAclsRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<DescribeAclsResponse> {
        Verdict::pass_if(guard.cluster(Operation::Describe), || DescribeAclsResponse {
            error_code: CLUSTER_DENIED,
            error_message: text(ErrorCode::ClusterAuthorizationFailed),
            ..DescribeAclsResponse::default()
        })
    }
}

impl Guarded for CreateAclsRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<CreateAclsResponse> {
        let code = ErrorCode::ClusterAuthorizationFailed;
        Verdict::pass_if(guard.cluster(Operation::Alter), || create_acls::refuse(self, code))
    }
}

impl Guarded for DeleteAclsRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<DeleteAclsResponse> {
        let code = ErrorCode::ClusterAuthorizationFailed;
        Verdict::pass_if(guard.cluster(Operation::Alter), || delete_acls::refuse(self, code))
    }
}

impl Guarded for DescribeClientQuotasRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<DescribeClientQuotasResponse> {
        let allowed = guard.cluster(Operation::DescribeConfigs);
        Verdict::pass_if(allowed, || DescribeClientQuotasResponse {
            error_code: CLUSTER_DENIED,
            error_message: text(ErrorCode::ClusterAuthorizationFailed),
            ..DescribeClientQuotasResponse::default()
        })
    }
}

impl Guarded for AlterClientQuotasRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<AlterClientQuotasResponse> {
        let allowed = guard.cluster(Operation::AlterConfigs);
        Verdict::pass_if(allowed, || {
            let refused = std::mem::take(&mut self.entries).into_iter().map(|entry| {
                let code = ErrorCode::ClusterAuthorizationFailed;
                alter_client_quotas::result(entry.entity, Err((code, code.text().to_owned())))
            });
            AlterClientQuotasResponse {
                entries: refused.collect(),
                ..AlterClientQuotasResponse::default()
            }
        })
    }
}

impl Guarded for DescribeUserScramCredentialsRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<DescribeUserScramCredentialsResponse> {
        let allowed = guard.cluster(Operation::Describe);
        Verdict::pass_if(allowed, || DescribeUserScramCredentialsResponse {
            error_code: CLUSTER_DENIED,
            error_message: text(ErrorCode::ClusterAuthorizationFailed),
            ..DescribeUserScramCredentialsResponse::default()
        })
    }
}

impl Guarded for AlterUserScramCredentialsRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<AlterUserScramCredentialsResponse> {
        Verdict::pass_if(guard.cluster(Operation::Alter), || {
            let deletions = self.deletions.iter().map(|deletion| &deletion.name);
            let upsertions = self.upsertions.iter().map(|upsertion| &upsertion.name);
            // One answer for each user.
            let users: BTreeSet<_> = deletions.chain(upsertions).cloned().collect();
            let refused = users.into_iter().map(|user| AlterUserScramCredentialsResult {
                user,
                error_code: CLUSTER_DENIED,
                error_message: text(ErrorCode::ClusterAuthorizationFailed),
            });
            AlterUserScramCredentialsResponse {
                results: refused.collect(),
                ..AlterUserScramCredentialsResponse::default()
            }
        })
    }
}

/// Why somebody may not do this with what has configuration, if so.
fn denied(guard: &Guard<'_>, operation: Operation, kind: i8, name: &str) -> Option<ErrorCode> {
    let (allowed, code) = match kind {
        TOPIC => (guard.topic(operation, name), ErrorCode::TopicAuthorizationFailed),
        GROUP => (guard.group(operation, name), ErrorCode::GroupAuthorizationFailed),
        // Brokers and all that is the cluster's.
        _ => (guard.cluster(operation), ErrorCode::ClusterAuthorizationFailed),
    };
    (!allowed).then_some(code)
}

impl Guarded for DescribeConfigsRequest {
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<DescribeConfigsResponse> {
        let mut refused = Vec::new();
        self.resources.retain(|resource| {
            let (kind, name) = (resource.resource_type, &resource.resource_name);
            let denied = denied(guard, Operation::DescribeConfigs, kind, name);
            refused.extend(denied.map(|code| DescribeConfigsResult {
                error_code: code.number(),
                error_message: text(code),
                resource_type: kind,
                resource_name: name.clone(),
                ..DescribeConfigsResult::default()
            }));
            denied.is_none()
        });
        Verdict::without(refused, |response: &mut DescribeConfigsResponse, refused| {
            response.results.extend(refused);
        })
    }
}

/// Both forms of changing configuration.
macro_rules! alters {
    ($($request:ident -> $response:ident, $module:ident;)*) => {$(
        impl Guarded for $request {
            fn guard(&mut self, guard: &Guard<'_>) -> Verdict<$response> {
                let mut refused = Vec::new();
                self.resources.retain(|resource| {
                    let (kind, name) = (resource.resource_type, &resource.resource_name);
                    let denied = denied(guard, Operation::AlterConfigs, kind, name);
                    refused.extend(denied.map(|code| $module::AlterConfigsResourceResponse {
                        error_code: code.number(),
                        error_message: text(code),
                        resource_type: kind,
                        resource_name: name.clone(),
                    }));
                    denied.is_none()
                });
                Verdict::without(refused, |response: &mut $response, refused| {
                    response.responses.extend(refused);
                })
            }
        }
    )*};
}

alters! {
    AlterConfigsRequest -> AlterConfigsResponse, alter_configs_response;
    IncrementalAlterConfigsRequest -> IncrementalAlterConfigsResponse,
        incremental_alter_configs_response;
}
