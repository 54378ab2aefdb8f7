//! `channel.open`, `close` and `flow`; and `access.request`, of old.

use crate::channel::{Channel, ChannelOut};
use crate::fault::Fault;
use crate::session::{End, Session};
use crate::wire::frame::put_method;
use crate::wire::method::{
    AccessRequestOk, ChannelCloseOk, ChannelFlow, ChannelFlowOk, ChannelOpenOk, Method,
};
use crate::wire::reply::Reply;

/// The first method of a channel, which must be `channel.open`.
pub(crate) fn open(session: &mut Session<'_>, number: u16, payload: &[u8]) -> Result<(), End> {
    let method = Method::decode(payload);
    let method = method.map_err(|error| End::fault(Fault::syntax(error, payload)))?;
    match method {
        Method::ChannelOpen(_) => {}
        // It was closed by both at the same time.
        Method::ChannelCloseOk(_) => return Ok(()),
        other => {
            let fault = Fault::new(Reply::ChannelError, "expected 'channel.open'");
            return Err(End::Fault(fault, other.id()));
        }
    }
    let Session { shared, agreed, outgoing, .. } = session;
    let out = ChannelOut::new(number, agreed.frame_max, outgoing.clone(), agreed.can.cancel);
    out.tell(|channel, out| put_method(channel, &ChannelOpenOk::default(), out));
    session.client.opened(&out);
    let holder = shared.broker.new_holder(0);
    let routes = shared.broker.new_exchange_routes(session.space.clone());
    session.channels.insert(number, Channel::new(out, holder, routes));
    Ok(())
}

/// The client closes it: what it has goes back to the queues.
pub(crate) fn close(session: &mut Session<'_>, number: u16) {
    let Some(channel) = session.channels.remove(&number) else { return };
    channel.end(|channel, out| put_method(channel, &ChannelCloseOk {}, out));
}

/// Deliveries cannot be stopped so, only by not reading them; RabbitMQ's clients know that.
pub(crate) fn flow(channel: &Channel, flow: &ChannelFlow) -> Result<(), Fault> {
    if !flow.active {
        return Err(Fault::new(Reply::NotImplemented, "active=false"));
    }
    channel.out.tell(|channel, out| put_method(channel, &ChannelFlowOk { active: true }, out));
    Ok(())
}

/// Everybody gets the same ticket, and nobody looks at it.
pub(crate) fn access(channel: &Channel) -> Result<(), Fault> {
    channel.out.tell(|channel, out| put_method(channel, &AccessRequestOk { ticket: 1 }, out));
    Ok(())
}
