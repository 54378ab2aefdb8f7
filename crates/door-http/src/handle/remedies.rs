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
    let done = ask.broker().apply_remedy(number(ask)?, &by(ask)?).await?;
    Ok(told(&json!(done)))
}

/// `POST /api/v1/remedies/{remedy}/undo`.
pub(crate) async fn undo(ask: &Ask) -> Outcome {
    ask.check_cluster(Operation::Alter)?;
    let undone = ask.broker().undo_remedy(number(ask)?, &by(ask)?).await?;
    Ok(told(&json!(undone)))
}

/// Nothing more is to be said, but as JSON: pages of other sites cannot send that.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Who asks.
fn by(ask: &Ask) -> Result<String, Problem> {
    let Nothing {} = ask.body()?;
    Ok(ask.actor.principal().to_string())
}

fn number(ask: &Ask) -> Result<u64, Problem> {
    let number = ask.part("remedy").parse();
    number.map_err(|_| RemedyError::NotFound.into())
}
