//! Queues.

use broker::access::Operation;
use broker::observe::state::NodeKind;
use broker::queues::QueueName;
use bytes::Bytes;
use serde_json::json;

use super::state;
use crate::ask::Ask;
use crate::problem::Problem;
use crate::{Outcome, told};

/// `GET /api/v1/queues`.
pub(crate) async fn list(ask: &Ask) -> Outcome {
    state::list(ask, NodeKind::Queue, |name| ask.actor.may_topic(Operation::Describe, name))
}

/// `DELETE /api/v1/queues/{queue}/messages`.
pub(crate) async fn purge(ask: &Ask) -> Outcome {
    let name = ask.part("queue");
    // Rights are on names, as where queues are consumed from.
    ask.check_topic(Operation::Read, name)?;
    let space = ask.query("space").unwrap_or_default().to_owned();
    let of = QueueName { space: space.into(), name: Bytes::copy_from_slice(name.as_bytes()) };
    let queue = ask.broker().queue(&of);
    let queue = queue.ok_or_else(|| Problem::not_found(format!("there is no queue '{name}'")))?;
    queue.check_owner(ask.broker().new_publisher())?;
    Ok(told(&json!({ "messages": queue.purge().await? })))
}
