//! `UNSUBSCRIBE`: no more messages. What was delivered can still be acknowledged.

use broker::queues::{DeleteOnly, QueueError};

use crate::destination::Destination;
use crate::fault::{Fault, quoted};
use crate::handle::{Access, check, subscribe};
use crate::queues;
use crate::session::{Session, Subscription};
use crate::wire::parse::Headers;

/// Ends one. A durable subscription that says `durable:true` here as well is deleted, with what waits for it.
pub(crate) async fn handle(session: &mut Session<'_>, headers: Headers<'_>) -> Result<(), Fault> {
    let (tag, id) = subscribe::tag("UNSUBSCRIBE", headers)?;
    let Some(Subscription { number, consumer }) = session.subscriptions.remove(&tag) else {
        let detail = format!(
            "UNSUBSCRIBE must refer to an existing subscription.\nSubscription to '{}' not found.",
            quoted(&tag)
        );
        return Err(Fault::new("No subscription found", detail));
    };
    // First here, so that nothing is delivered after it.
    session.deliveries.lock().remove(number);
    drop(consumer);
    let destination = headers.get("destination");
    let (Some(id), Some(destination), true) = (id, destination, queues::is_durable(headers)?)
    else {
        return Ok(());
    };
    let from = Destination::parse(&destination)?;
    if matches!(from, Destination::Queue(_) | Destination::AmqQueue(_)) {
        return Ok(());
    }
    let name = queues::subscription_name(&from, &id, headers)?;
    check(session, Access::Configure, "queue", &name)?;
    let (broker, owner) = (&session.shared.broker, session.owner.id);
    let only = DeleteOnly::default();
    match broker.delete_queue(&session.queue_name(&name), only, owner).await {
        Ok(_) | Err(QueueError::NotFound) => Ok(()),
        Err(error) => Err(Fault::queue(&error, &name, &session.agreed.virtual_host)),
    }
}
