//! Delegation tokens (KIP-48), which are not enabled here: each request is told so.

use super::Request;
use crate::wire::ErrorCode;
use crate::wire::messages::{
    CreateDelegationTokenRequest, CreateDelegationTokenResponse, DescribeDelegationTokenRequest,
    DescribeDelegationTokenResponse, ExpireDelegationTokenRequest, ExpireDelegationTokenResponse,
    RenewDelegationTokenRequest, RenewDelegationTokenResponse,
};

const DISABLED: ErrorCode = ErrorCode::DelegationTokenAuthDisabled;
/// No time.
const NEVER: i64 = -1;

pub(super) async fn handle_create(
    request: Request<'_>,
    _: CreateDelegationTokenRequest,
) -> CreateDelegationTokenResponse {
    let asking = request.context.actor.principal();
    CreateDelegationTokenResponse {
        error_code: DISABLED.number(),
        principal_type: asking.kind.as_ref().to_owned(),
        principal_name: asking.name.as_ref().to_owned(),
        token_requester_principal_type: asking.kind.as_ref().to_owned(),
        token_requester_principal_name: asking.name.as_ref().to_owned(),
        issue_timestamp_ms: NEVER,
        expiry_timestamp_ms: NEVER,
        max_timestamp_ms: NEVER,
        ..CreateDelegationTokenResponse::default()
    }
}

pub(super) async fn handle_renew(
    _: Request<'_>,
    _: RenewDelegationTokenRequest,
) -> RenewDelegationTokenResponse {
    RenewDelegationTokenResponse {
        error_code: DISABLED.number(),
        expiry_timestamp_ms: NEVER,
        ..RenewDelegationTokenResponse::default()
    }
}

pub(super) async fn handle_expire(
    _: Request<'_>,
    _: ExpireDelegationTokenRequest,
) -> ExpireDelegationTokenResponse {
    ExpireDelegationTokenResponse {
        error_code: DISABLED.number(),
        expiry_timestamp_ms: NEVER,
        ..ExpireDelegationTokenResponse::default()
    }
}

pub(super) async fn handle_describe(
    _: Request<'_>,
    _: DescribeDelegationTokenRequest,
) -> DescribeDelegationTokenResponse {
    DescribeDelegationTokenResponse {
        error_code: DISABLED.number(),
        ..DescribeDelegationTokenResponse::default()
    }
}
