//! `confirm.select`: the publisher wants to know what is stored.

use crate::channel::{Channel, Mode};
use crate::fault::Fault;
use crate::wire::frame::put_method;
use crate::wire::method::{ConfirmSelect, ConfirmSelectOk};

/// From now on, each publish is acknowledged.
pub(crate) fn handle(channel: &mut Channel, select: &ConfirmSelect) -> Result<(), Fault> {
    match channel.mode {
        Mode::Transaction(_) => {
            return Err(Fault::precondition("cannot switch from tx to confirm mode"));
        }
        Mode::Confirm { .. } => {}
        Mode::Plain => channel.mode = Mode::Confirm { published: 0 },
    }
    channel.out.note(|facts| facts.confirms = true);
    if !select.nowait {
        channel.out.tell(|channel, out| put_method(channel, &ConfirmSelectOk {}, out));
    }
    Ok(())
}
