//! `basic.qos`: how many deliveries may be out.

use crate::channel::Channel;
use crate::fault::Fault;
use crate::wire::frame::put_method;
use crate::wire::method::{BasicQos, BasicQosOk};
use crate::wire::reply::Reply;

/// As RabbitMQ means `global`: without it, of each consumer to come; with it, of the channel's together.
pub(crate) fn handle(channel: &mut Channel, qos: &BasicQos) -> Result<(), Fault> {
    if qos.prefetch_size > 0 {
        let text = format!("prefetch_size!=0 ({})", qos.prefetch_size);
        return Err(Fault::new(Reply::NotImplemented, text));
    }
    let prefetch = u32::from(qos.prefetch_count);
    match qos.global {
        true => channel.holder.set_prefetch(prefetch),
        false => channel.prefetch = prefetch,
    }
    channel.out.note(|facts| match qos.global {
        true => facts.prefetch_together = prefetch,
        false => facts.prefetch = prefetch,
    });
    channel.out.tell(|channel, out| put_method(channel, &BasicQosOk {}, out));
    Ok(())
}
