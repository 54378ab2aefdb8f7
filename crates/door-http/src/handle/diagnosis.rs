//! What is wrong.

use broker::access::Operation;
use serde_json::json;

use crate::ask::Ask;
use crate::{Outcome, told};

/// `/api/v1/diagnosis`.
pub(crate) async fn show(ask: &Ask) -> Outcome {
    ask.check_cluster(Operation::Describe)?;
    Ok(told(&json!({ "incidents": *ask.broker().incidents() })))
}
