//! `basic.get`: the next message, if there is one.

use crate::arguments;
use crate::channel::ConsumerOut;
use crate::fault::Fault;
use crate::handle::queue::{self, Found};
use crate::handle::{Access, check, consume};
use crate::session::Session;
use crate::wire::frame::put_method;
use crate::wire::method::{BasicGet, BasicGetEmpty};

/// Takes a message out of a queue.
pub(crate) async fn handle(
    session: &mut Session<'_>,
    number: u16,
    get: &BasicGet<'_>,
) -> Result<(), Fault> {
    let Found { name, queue } = queue::find(session, number, &get.queue)?;
    check(session.caller(), Access::Read, "queue", &name)?;
    queue::check_takes(session, &name, &queue, "basic.get")?;
    let Some(channel) = session.channels.get(&number) else { return Ok(()) };
    let got = queue.get(&channel.holder, get.no_ack).await;
    let got = got.map_err(|error| Fault::queue(&error, &name, &session.agreed.virtual_host))?;
    match got {
        Some((delivered, left)) => {
            let counts = arguments::counts_deliveries(&queue);
            let from = ConsumerOut {
                tag: Default::default(),
                queue: name,
                no_ack: get.no_ack,
                counts,
                timeout: consume::timeout(session, &queue),
            };
            let left = u32::try_from(left).unwrap_or(u32::MAX);
            channel.out.got(&delivered, &from, left);
        }
        None => {
            channel.out.lock().flow.got_none += 1;
            channel.out.tell(|channel, out| put_method(channel, &BasicGetEmpty::default(), out));
        }
    }
    Ok(())
}
