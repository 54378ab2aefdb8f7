//! `basic.cancel`: no more deliveries. What was delivered can still be acknowledged.

use crate::fault::Fault;
use crate::session::Session;
use crate::wire::frame::put_method;
use crate::wire::method::{BasicCancel, BasicCancelOk};

/// Ends a consumer; one that there is not is ended already. A queue that goes with its last consumer is gone when the
/// client hears so.
pub(crate) async fn handle(
    session: &mut Session<'_>,
    number: u16,
    cancel: &BasicCancel<'_>,
) -> Result<(), Fault> {
    let Some(channel) = session.channels.get_mut(&number) else { return Ok(()) };
    if let Some(known) = channel.consumers.remove(&cancel.consumer_tag[..]) {
        // First here, so that nothing is delivered after the answer.
        channel.out.lock().remove(known.number);
        if let Some(consumer) = known.consumer {
            consumer.end().await;
        }
    }
    if !cancel.nowait {
        let told = BasicCancelOk { consumer_tag: cancel.consumer_tag };
        channel.out.tell(|channel, out| put_method(channel, &told, out));
    }
    Ok(())
}
