//! ApiVersions: what this broker serves (KIP-35, KIP-511).

use door::CloseReason;

use super::{OFFERED, Offer, Request};
use crate::session::{Parts, protocol_error};
use crate::wire::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use crate::wire::messages::{ApiVersionsRequest, ApiVersionsResponse};
use crate::wire::{ApiKey, ErrorCode, RequestHeader, encode_response};

/// What the cluster can do beyond its requests (KIP-584): transactions whose every end gives a new
/// epoch (KIP-890), consumer groups (KIP-848), and share groups (KIP-932) with dead letters
/// (KIP-1191).
pub(super) const FEATURES: &[(&str, i16)] =
    &[("transaction.version", 2), ("group.version", 1), ("share.version", 2)];
/// Longest name and version of a client's library that are kept.
const SOFTWARE_CHARS_MAX: usize = 100;
/// Features that begin at level 0 can be told from this version on.
const LEVEL_ZERO_FROM: i16 = 4;

pub(super) async fn handle(request: Request<'_>, asked: ApiVersionsRequest) -> ApiVersionsResponse {
    if let Err(code) = check_route(&request, &asked) {
        return ApiVersionsResponse { error_code: code.number(), ..ApiVersionsResponse::default() };
    }
    if !asked.client_software_name.is_empty() {
        // The first that it says counts; a second request on a connection says the same.
        let short = |text: String| text.chars().take(SOFTWARE_CHARS_MAX).collect();
        let software = (short(asked.client_software_name), short(asked.client_software_version));
        let _ = request.context.software.set(software);
    }
    let supported = |(name, level): &(&str, i16)| SupportedFeatureKey {
        name: (*name).to_owned(),
        min_version: 0,
        max_version: *level,
    };
    let finalized = |(name, level): &(&str, i16)| FinalizedFeatureKey {
        name: (*name).to_owned(),
        max_version_level: *level,
        min_version_level: *level,
    };
    let tells_zero = request.version() >= LEVEL_ZERO_FROM;
    ApiVersionsResponse {
        api_keys: OFFERED.iter().map(offer).collect(),
        supported_features: FEATURES.iter().filter(|_| tells_zero).map(supported).collect(),
        finalized_features_epoch: 0,
        finalized_features: FEATURES.iter().map(finalized).collect(),
        ..ApiVersionsResponse::default()
    }
}

/// Whether the client reached whom it meant to reach (KIP-1242): behind changed addresses there may
/// be another broker, or one of another cluster.
fn check_route(request: &Request<'_>, asked: &ApiVersionsRequest) -> Result<(), ErrorCode> {
    const UNKNOWN: i32 = -1;
    match (&asked.cluster_id, asked.node_id) {
        (None, UNKNOWN) => Ok(()),
        (None, _) | (_, UNKNOWN) => Err(ErrorCode::InvalidRequest),
        (Some(cluster), node) => {
            let broker = request.broker();
            let reached = *cluster == broker.metadata().cluster_id && node == broker.id().0;
            if reached { Ok(()) } else { Err(ErrorCode::RebootstrapRequired) }
        }
    }
}

/// The answer to a version that we do not know: in version 0, naming the versions that we do.
pub(super) fn unsupported(header: &RequestHeader) -> Result<Parts, CloseReason> {
    let own = OFFERED.iter().filter(|offered| offered.api == ApiKey::ApiVersions);
    let response = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.number(),
        api_keys: own.map(offer).collect(),
        ..ApiVersionsResponse::default()
    };
    let frame =
        encode_response(header.api, 0, header.correlation_id, |writer| response.encode(writer, 0));
    Ok(vec![frame.map_err(protocol_error)?])
}

fn offer(offered: &Offer) -> ApiVersion {
    ApiVersion {
        api_key: offered.api.number(),
        min_version: offered.low,
        max_version: offered.high,
    }
}
