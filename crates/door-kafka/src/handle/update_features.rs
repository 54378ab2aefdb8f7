//! UpdateFeatures (KIP-584): features have the levels that this version of the program has.

use super::Request;
use super::api_versions::FEATURES;
use crate::wire::ErrorCode;
use crate::wire::messages::update_features_request::FeatureUpdateKey;
use crate::wire::messages::update_features_response::UpdatableFeatureResult;
use crate::wire::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};

/// One error for all from this version on, one for each feature before.
const ONE_ERROR_FROM: i16 = 2;

pub(super) async fn handle(
    request: Request<'_>,
    asked: UpdateFeaturesRequest,
) -> UpdateFeaturesResponse {
    let results: Vec<_> = asked.feature_updates.into_iter().map(update).collect();
    if request.version() < ONE_ERROR_FROM {
        return UpdateFeaturesResponse { results, ..UpdateFeaturesResponse::default() };
    }
    let failed = results.into_iter().find(|result| result.error_code != 0);
    failed.map_or_else(UpdateFeaturesResponse::default, |result| UpdateFeaturesResponse {
        error_code: result.error_code,
        error_message: result.error_message,
        ..UpdateFeaturesResponse::default()
    })
}

/// The level that a feature has may be asked for, and no other.
fn update(asked: FeatureUpdateKey) -> UpdatableFeatureResult {
    let (name, wanted) = (asked.feature, asked.max_version_level);
    let own = FEATURES.iter().find(|(own, _)| *own == name);
    let wrong = match own {
        Some((_, level)) if *level == wanted => None,
        Some((_, level)) => Some(format!("{name} has level {level}, which cannot be changed")),
        None => Some(format!("this broker has no feature {name}")),
    };
    let code = if wrong.is_none() { ErrorCode::None } else { ErrorCode::InvalidUpdateVersion };
    UpdatableFeatureResult { feature: name, error_code: code.number(), error_message: wrong }
}
