//! `ACK` and `NACK`: what becomes of deliveries.

use broker::queues::{DeliveryId, Settlement};

use crate::fault::Fault;
use crate::handle::transaction;
use crate::session::Session;
use crate::wire::Version;
use crate::wire::parse::{Command, Headers};

/// Takes one. In a transaction, it counts when that is committed.
pub(crate) fn handle(
    session: &mut Session<'_>,
    command: Command,
    headers: Headers<'_>,
) -> Result<(), Fault> {
    let name = if command == Command::Ack { "ACK" } else { "NACK" };
    let header = match session.agreed.version {
        Version::V1_2 => "id",
        Version::V1_0 | Version::V1_1 => "message-id",
    };
    let id = headers.get(header).ok_or_else(|| Fault::missing(name, header))?;
    let deliveries = std::sync::Arc::clone(&session.deliveries);
    let parsed = deliveries.parse_id(&id);
    let (tag, number) = parsed.ok_or_else(|| Fault::invalid(name, header))?;
    let settlement = settlement(command, headers)?;
    let mut taken: Vec<(u64, DeliveryId)> = Vec::new();
    if !deliveries.lock().take(tag, number, |number, id| taken.push((number, id))) {
        let detail = format!("unknown delivery tag {number}\n");
        return Err(Fault::new("Message not found", detail));
    }
    match headers.get("transaction") {
        Some(name) => transaction::hold_settled(session, &name, tag, (taken, settlement)),
        None => {
            session.settled.extend(taken.into_iter().map(|(_, id)| (id, settlement)));
            Ok(())
        }
    }
}

/// The same, and returns when it is sure to stay so.
pub(crate) async fn handle_and_wait(
    session: &mut Session<'_>,
    command: Command,
    headers: Headers<'_>,
) -> Result<(), Fault> {
    handle(session, command, headers)?;
    session.settle();
    let settled = session.holder.settled().await;
    settled.map_err(Fault::internal)
}

/// What is not acknowledged comes again, to anybody, unless the client says that it must not: `requeue:false`.
fn settlement(command: Command, headers: Headers<'_>) -> Result<Settlement, Fault> {
    if command == Command::Ack {
        return Ok(Settlement::Accept);
    }
    match headers.get("requeue").as_deref() {
        None | Some(b"true" | b"True") => {
            Ok(Settlement::Return { counted: true, failed: false, after: 0 })
        }
        Some(b"false" | b"False") => Ok(Settlement::Reject),
        Some(_) => Err(Fault::invalid("NACK", "requeue")),
    }
}
