//! UpdateFeatures (KIP-584): features have the levels that this version of the program has.

use super::Request;
use super::api_versions::FEATURES;
use crate::wire::ErrorCode;
use crate::wire::messages::update_features_request::FeatureUpdateKey;
use crate::wire::messages::update_features_response::UpdatableFeatureResult;
use crate::wire::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};

/// From this version on success names no features.
const NO_RESULTS_FROM: i16 = 2;

/// As Kafka 4 does it, all or nothing: one feature that cannot have its level is an error of the
/// request, in every version of it.
pub(super) async fn handle(
    request: Request<'_>,
    asked: UpdateFeaturesRequest,
) -> UpdateFeaturesResponse {
    if let Some(wrong) = asked.feature_updates.iter().find_map(wrong) {
        return UpdateFeaturesResponse {
            error_code: ErrorCode::InvalidUpdateVersion.number(),
            error_message: Some(format!("no feature was updated: {wrong}")),
            ..UpdateFeaturesResponse::default()
        };
    }
    let done = |asked: FeatureUpdateKey| UpdatableFeatureResult {
        feature: asked.feature,
        ..UpdatableFeatureResult::default()
    };
    let named = request.version() < NO_RESULTS_FROM;
    let results = asked.feature_updates.into_iter().filter(|_| named).map(done).collect();
    UpdateFeaturesResponse { results, ..UpdateFeaturesResponse::default() }
}

/// The level that a feature has may be asked for, and no other.
fn wrong(asked: &FeatureUpdateKey) -> Option<String> {
    let name = &asked.feature;
    match FEATURES.iter().find(|(own, _)| own == name) {
        Some((_, level)) if *level == asked.max_version_level => None,
        Some((_, level)) => Some(format!("{name} has level {level}, which cannot be changed")),
        None => Some(format!("this broker has no feature {name}")),
    }
}
