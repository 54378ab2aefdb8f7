//! `basic.ack`, `nack`, `reject` and `recover`: what becomes of deliveries.

use broker::queues::Settlement;

use crate::channel::{Channel, Mode, Unsettled};
use crate::fault::Fault;
use crate::limits::TRANSACTION_ENTRIES_MAX;
use crate::wire::frame::put_method;
use crate::wire::method::{BasicAck, BasicNack, BasicRecoverOk, BasicReject};
use crate::wire::reply::Reply;

/// What goes back goes to its place, and counts as delivered.
const RETURN: Settlement = Settlement::Return { counted: true, failed: false, after: 0 };
/// The same of what somebody could not do: where what fails waits before it comes again, that is what RabbitMQ means by it.
const FAILED: Settlement = Settlement::Return { counted: true, failed: true, after: 0 };

/// Done with.
pub(crate) fn ack(channel: &mut Channel, ack: &BasicAck) -> Result<(), Fault> {
    settle(channel, ack.delivery_tag, ack.multiple, Settlement::Accept)
}

/// Not done, one or many: again, or never.
pub(crate) fn nack(channel: &mut Channel, nack: &BasicNack) -> Result<(), Fault> {
    let settlement = if nack.requeue { RETURN } else { Settlement::Reject };
    settle(channel, nack.delivery_tag, nack.multiple, settlement)
}

/// Not done: again, or never.
pub(crate) fn reject(channel: &mut Channel, reject: &BasicReject) -> Result<(), Fault> {
    let settlement = if reject.requeue { FAILED } else { Settlement::Reject };
    settle(channel, reject.delivery_tag, false, settlement)
}

/// All again. To the same consumer is not possible, nor with RabbitMQ.
pub(crate) fn recover(channel: &mut Channel, requeue: bool, answers: bool) -> Result<(), Fault> {
    if !requeue {
        return Err(Fault::new(Reply::NotImplemented, "requeue=false"));
    }
    // Even in a transaction: it is not undone.
    let Channel { out, settled, .. } = channel;
    out.lock().take_all(|_, out| settled.push((out.id, RETURN)));
    if answers {
        out.tell(|channel, out| put_method(channel, &BasicRecoverOk {}, out));
    }
    Ok(())
}

fn settle(
    channel: &mut Channel,
    tag: u64,
    multiple: bool,
    settlement: Settlement,
) -> Result<(), Fault> {
    let Channel { out, settled, mode, .. } = channel;
    let mut state = out.lock();
    match mode {
        Mode::Transaction(transaction) => {
            let held = &mut transaction.settled;
            let each = |tag: u64, out: Unsettled| held.push((tag, out, settlement));
            state.take(tag, multiple, each)?;
            if held.len() > TRANSACTION_ENTRIES_MAX {
                let text = "a transaction with too many acknowledgements";
                return Err(Fault::new(Reply::ResourceError, text));
            }
            Ok(())
        }
        _ => state.take(tag, multiple, |_, out| settled.push((out.id, settlement))),
    }
}
