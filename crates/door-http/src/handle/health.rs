//! Probes.

use door::http::{Answer, Reply, StatusCode};
use serde_json::json;

use crate::ask::Ask;
use crate::{Outcome, told};

/// `/livez`.
pub(crate) async fn live(_ask: &Ask) -> Outcome {
    Ok(told(&json!({ "status": "ok" })))
}

/// `/readyz`.
pub(crate) async fn ready(ask: &Ask) -> Outcome {
    if *ask.stopping.borrow() {
        return Ok(not_ready("the broker stops"));
    }
    match ask.broker().health() {
        Ok(()) => live(ask).await,
        Err(error) => Ok(not_ready(&error.to_string())),
    }
}

/// `/health`.
pub(crate) async fn health(ask: &Ask) -> Outcome {
    ready(ask).await
}

fn not_ready(why: &str) -> Reply {
    let body = json!({ "status": "unavailable", "reason": why });
    Answer::json(StatusCode::SERVICE_UNAVAILABLE, body.to_string()).into()
}
