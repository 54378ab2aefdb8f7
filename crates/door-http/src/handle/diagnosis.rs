//! What is wrong.

use broker::access::Operation;
use door::http::{Answer, HeaderValue, StatusCode, header};
use serde_json::json;

use crate::ask::Ask;
use crate::problem::Problem;
use crate::{Outcome, told};

/// What browsers call the archive.
const FILE: HeaderValue =
    HeaderValue::from_static("attachment; filename=\"entrepot-bundle.tar.gz\"");

/// `/api/v1/diagnosis`.
pub(crate) async fn show(ask: &Ask) -> Outcome {
    ask.check_cluster(Operation::Describe)?;
    Ok(told(&json!({ "incidents": *ask.broker().incidents() })))
}

/// `/api/v1/diagnosis/bundle`.
pub(crate) async fn bundle(ask: &Ask) -> Outcome {
    ask.check_cluster(Operation::Describe)?;
    // Each takes memory and time: one after the other.
    let _turn = ask.shared.bundling.lock().await;
    let made = ask.broker().bundle().await;
    let made = made.map_err(|error| Problem::unavailable(error.to_string()))?;
    let answer = Answer { body: made.into(), ..Answer::empty(StatusCode::OK) };
    let answer = answer.with(header::CONTENT_TYPE, HeaderValue::from_static("application/gzip"));
    Ok(answer.with(header::CONTENT_DISPOSITION, FILE).into())
}
