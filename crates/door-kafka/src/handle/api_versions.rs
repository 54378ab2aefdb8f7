//! ApiVersions: what this broker serves (KIP-35, KIP-511).

use door::CloseReason;

use super::{OFFERED, Request};
use crate::session::{Parts, protocol_error};
use crate::wire::messages::api_versions_response::ApiVersion;
use crate::wire::messages::{ApiVersionsRequest, ApiVersionsResponse};
use crate::wire::{ApiKey, ErrorCode, RequestHeader, encode_response};

pub(super) async fn handle(_: Request<'_>, _: ApiVersionsRequest) -> ApiVersionsResponse {
    ApiVersionsResponse {
        api_keys: OFFERED.iter().map(|(api, low, high)| offer(*api, *low, *high)).collect(),
        ..ApiVersionsResponse::default()
    }
}

/// The answer to a version that we do not know: in version 0, naming the versions that we do.
pub(super) fn unsupported(header: &RequestHeader) -> Result<Parts, CloseReason> {
    let own = OFFERED.iter().filter(|(api, ..)| *api == ApiKey::ApiVersions);
    let response = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.number(),
        api_keys: own.map(|(api, low, high)| offer(*api, *low, *high)).collect(),
        ..ApiVersionsResponse::default()
    };
    let frame =
        encode_response(header.api, 0, header.correlation_id, |writer| response.encode(writer, 0));
    Ok(vec![frame.map_err(protocol_error)?])
}

fn offer(api: ApiKey, min_version: i16, max_version: i16) -> ApiVersion {
    ApiVersion { api_key: api.number(), min_version, max_version }
}
