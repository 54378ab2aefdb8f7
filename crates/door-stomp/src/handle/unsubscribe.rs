//! `UNSUBSCRIBE`: no more messages. What was delivered can still be acknowledged.

use broker::queues::{DeleteOnly, QueueError};

use crate::fault::{Fault, quoted};
use crate::handle::{Access, check, subscribe};
use crate::queues;
use crate::session::{Session, Subscription};
use crate::wire::parse::Headers;

/// Ends one. A durable subscription that says `durable:true` here as well is deleted, with what waits for it: its own queue,
/// whatever else the frame names.
pub(crate) async fn handle(session: &mut Session<'_>, headers: Headers<'_>) -> Result<(), Fault> {
    let (tag, _) = subscribe::tag("UNSUBSCRIBE", headers)?;
    let is_over = queues::is_durable(headers)?;
    let known = session.subscriptions.remove(&tag);
    let Some(Subscription { number, consumer, own_queue }) = known else {
        let detail = format!(
            "UNSUBSCRIBE must refer to an existing subscription.\nSubscription to '{}' not found.\n",
            quoted(&tag)
        );
        return Err(Fault::new("No subscription found", detail));
    };
    // First here, so that nothing is delivered after it.
    session.deliveries.lock().remove(number);
    consumer.end().await;
    let Some(name) = own_queue.filter(|_| is_over) else { return Ok(()) };
    check(session, Access::Configure, "queue", &name)?;
    let (broker, owner) = (&session.shared.broker, session.owner.id());
    let only = DeleteOnly::default();
    match broker.delete_queue(&session.queue_name(&name), only, owner).await {
        // Nobody else was subscribed to it, and it went by itself.
        Ok(_) | Err(QueueError::NotFound) => Ok(()),
        Err(error) => Err(Fault::queue(&error, &name, &session.agreed.virtual_host)),
    }
}
