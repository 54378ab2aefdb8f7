//! What can be done about what is wrong, see [`broker::remedies`].

use broker::access::Operation;
use broker::remedies::RemedyError;
use serde::Deserialize;
use serde_json::json;

use crate::ask::Ask;
use crate::problem::Problem;
use crate::{Outcome, told};

/// `GET /api/v1/remedies`.
pub(crate) async fn list(ask: &Ask) -> Outcome {
    ask.check_cluster(Operation::Describe)?;
    let (mode, remedies) = ask.broker().remedies();
    Ok(told(&json!({ "mode": mode.as_str(), "remedies": remedies })))
}

/// `POST /api/v1/remedies/{remedy}/apply`.
pub(crate) async fn apply(ask: &Ask) -> Outcome {
    ask.check_cluster(Operation::Alter)?;
    let (by, number) = asked(ask)?;
    let done = ask.broker().apply_remedy(number, &by).await?;
    Ok(told(&json!(done)))
}

/// `POST /api/v1/remedies/{remedy}/undo`.
pub(crate) async fn undo(ask: &Ask) -> Outcome {
    ask.check_cluster(Operation::Alter)?;
    let (by, number) = asked(ask)?;
    let undone = ask.broker().undo_remedy(number, &by).await?;
    Ok(told(&json!(undone)))
}

/// Nothing more is to be said, but as JSON: pages of other sites cannot send that.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Who asks, and for which one.
fn asked(ask: &Ask) -> Result<(String, u64), Problem> {
    let Nothing {} = ask.body()?;
    let number = ask.part("remedy").parse().map_err(|_| RemedyError::NotFound)?;
    Ok((ask.actor.principal().to_string(), number))
}
