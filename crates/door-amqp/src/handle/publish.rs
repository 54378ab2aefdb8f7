//! `basic.publish`: a message, to wherever its exchange sends it.

use std::sync::atomic::Ordering;

use broker::ProduceError;
use broker::exchanges::ExchangeError;
use broker::live::{Batch, Fate};
use bytes::Bytes;

use crate::channel::{Content, Mode};
use crate::confirm::Owed;
use crate::fault::{Fault, named, quoted};
use crate::handle::{Access, check_key, tx};
use crate::limits::EXTRA_KEYS_MAX;
use crate::map;
use crate::replies::{self, REPLY_TO};
use crate::session::Session;
use crate::wire::frame::put_content;
use crate::wire::method::BasicReturn;
use crate::wire::properties::Properties;
use crate::wire::reader::Short;
use crate::wire::reply::Reply;

/// Takes a message that is all there.
pub(crate) fn handle(
    session: &mut Session<'_>,
    number: u16,
    content: Content,
) -> Result<(), Fault> {
    let Some(channel) = session.channels.get_mut(&number) else { return Ok(()) };
    session.came.0 += 1;
    session.came.1 += content.payload.len();
    if content.immediate {
        return Err(Fault::new(Reply::NotImplemented, "immediate=true"));
    }
    let tag = match &mut channel.mode {
        Mode::Transaction(transaction) => return tx::hold(transaction, content),
        Mode::Confirm { published } => {
            *published += 1;
            Some((std::sync::Arc::clone(&channel.out), *published))
        }
        Mode::Plain => None,
    };
    let mut batch = std::mem::take(&mut session.publishing.batch);
    let routed = route(session, number, content, &mut batch);
    session.publishing.batch = batch;
    let fate = routed?;
    if let Some((channel, tag)) = tag {
        session.publishing.owed.push(Owed { channel, tag, fate });
    }
    Ok(())
}

/// Hands a message to the core. One that is lost goes back to its publisher, who wants that.
pub(crate) fn route(
    session: &mut Session<'_>,
    number: u16,
    mut content: Content,
    batch: &mut Batch,
) -> Result<Fate, Fault> {
    let raw = content.properties.clone();
    let mut properties = Properties::decode(&raw).map_err(|error| Fault::syntax(error, &raw))?;
    check_user(session, &properties)?;
    let extra = map::extra_keys(&properties, EXTRA_KEYS_MAX)?;
    check_exchange(session, &content, &extra)?;
    // What the client says of itself is made what others can use.
    let changed = rewritten(session, number, &properties)?;
    if let Some(changed) = &changed {
        content.properties = changed.clone();
        properties = Properties::decode(changed).map_err(|error| Fault::syntax(error, changed))?;
    }
    if let Some(channel) = session.channels.get(&number) {
        channel.out.flow.published.add(1);
    }
    if content.exchange.is_empty() && content.routing_key.starts_with(REPLY_TO) {
        let taken = session.shared.replies.answer(&content);
        return Ok(if taken { Fate::Done } else { lost(session, number, &content) });
    }
    let broker = &session.shared.broker;
    let body = (content.properties.clone(), content.payload.clone());
    let mut message = map::message(&properties, body, session.owner.id(), || broker.now())?;
    if !extra.is_empty() {
        // What is left of them: those of BCC go with it.
        message.further_keys = map::extra_keys(&properties, EXTRA_KEYS_MAX)?;
    }
    let Some(channel) = session.channels.get_mut(&number) else { return Ok(Fate::Done) };
    let headers = || map::compared_headers(&properties);
    let (exchange, key) = (&content.exchange, &content.routing_key);
    let route = match channel.routes.find(broker, exchange, key, &extra, headers) {
        Ok(route) => route,
        Err(error @ ExchangeError::NotFound) => {
            return Err(Fault::exchange(&error, exchange, &session.agreed.virtual_host));
        }
        // Not a key that this exchange knows: nobody can be bound to it.
        Err(ExchangeError::NotAllowed(_)) => return Ok(lost(session, number, &content)),
        Err(error) => return Err(Fault::exchange(&error, exchange, &session.agreed.virtual_host)),
    };
    match broker.route_to_queues(&route, &message, batch) {
        Ok(routed) if routed.is_lost() => Ok(lost(session, number, &content)),
        Ok(routed) => Ok(routed.stored.map_or(Fate::Done, Fate::Stored)),
        Err(ProduceError::TooLarge { size, limit }) => Err(Fault::precondition(format!(
            "message size {size} is larger than the {limit} bytes that the topic of a queue takes"
        ))),
        Err(_) => Ok(Fate::Refused),
    }
}

/// A message that nobody takes is sent back, if that was asked for: before it is confirmed.
fn lost(session: &Session<'_>, number: u16, content: &Content) -> Fate {
    let Some(channel) = session.channels.get(&number) else { return Fate::Done };
    let (host, flow) = (&session.client.host, &channel.out.flow);
    let (of_host, of_channel) = match content.mandatory {
        true => (&host.returned, &flow.returned),
        false => (&host.dropped, &flow.dropped),
    };
    of_host.fetch_add(1, Ordering::Relaxed);
    of_channel.add(1);
    if content.mandatory {
        let returned = BasicReturn {
            reply_code: Reply::NoRoute.code(),
            reply_text: Short(Reply::NoRoute.name().as_bytes()),
            exchange: Short(&content.exchange),
            routing_key: Short(&content.routing_key),
        };
        let frame_max = session.agreed.frame_max;
        channel.out.tell(|channel, out| {
            let place = (channel, frame_max);
            put_content(place, &returned, &content.properties, &content.payload, out);
        });
    }
    Fate::Done
}

fn check_exchange(session: &Session<'_>, content: &Content, extra: &[Bytes]) -> Result<(), Fault> {
    let exchange = &content.exchange;
    for key in std::iter::once(&content.routing_key).chain(extra) {
        check_key(session.caller(), Access::Write, exchange, key)?;
    }
    if exchange.is_empty() {
        return Ok(());
    }
    let found = session.shared.broker.exchange(&session.exchange_name(exchange));
    if found.is_some_and(|exchange| exchange.spec().internal) {
        let of = named("internal exchange", exchange, &session.agreed.virtual_host);
        return Err(Fault::new(Reply::AccessRefused, format!("cannot publish to {of}")));
    }
    Ok(())
}

/// Who says who published it must be who did.
fn check_user(session: &Session<'_>, properties: &Properties<'_>) -> Result<(), Fault> {
    let Some(said) = properties.user_id.filter(|_| !session.agreed.is_open) else { return Ok(()) };
    let user = &session.agreed.actor.principal().name;
    if said.0 == user.as_bytes() {
        return Ok(());
    }
    Err(Fault::precondition(format!(
        "user_id property set to '{}' but authenticated user was '{user}'",
        quoted(&said)
    )))
}

/// The properties as others are to see them, where that is not as they came.
fn rewritten(
    session: &Session<'_>,
    number: u16,
    properties: &Properties<'_>,
) -> Result<Option<Bytes>, Fault> {
    let mut made = map::without_bcc(properties).map(Bytes::from);
    if properties.reply_to.is_some_and(|reply_to| reply_to.0 == REPLY_TO) {
        let address = session.channels.get(&number).and_then(replies::address);
        let address =
            address.ok_or_else(|| Fault::precondition("fast reply consumer does not exist"))?;
        let from = made.clone();
        let known = match &from {
            Some(bytes) => Properties::decode(bytes).unwrap_or_default(),
            None => *properties,
        };
        let mut out = Vec::new();
        Properties { reply_to: Some(Short(&address)), ..known }.encode(&mut out);
        made = Some(out.into());
    }
    Ok(made)
}
