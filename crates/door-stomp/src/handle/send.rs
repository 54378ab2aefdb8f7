//! `SEND`: a message, to wherever its destination is.

use broker::exchanges::ExchangeError;
use broker::live::{Batch, Fate};
use broker::{Message, ProduceError};
use bytes::Bytes;

use crate::destination::{Destination, TEMP_QUEUE};
use crate::fault::{Fault, named, quoted};
use crate::handle::{Access, Next, check_key, transaction};
use crate::map;
use crate::queues;
use crate::session::{Session, receipt};
use crate::wire::parse::{Frame, Headers};

/// A message that is to be sent.
#[derive(Debug)]
pub(crate) struct Publish {
    pub(crate) exchange: Bytes,
    pub(crate) key: Bytes,
    pub(crate) message: Message,
}

/// Takes a message, unless its queue must be made before.
pub(crate) fn handle(
    session: &mut Session<'_>,
    chunk: &Bytes,
    frame: &Frame<'_>,
) -> Result<Next, Fault> {
    let to = destination(frame.headers)?;
    if !is_ready(session, &to, frame.headers) {
        return Ok(Next::Wait);
    }
    take(session, chunk, frame, &to)?;
    Ok(Next::Go)
}

/// The same, and makes what must be there.
pub(crate) async fn handle_slowly(
    session: &mut Session<'_>,
    chunk: &Bytes,
    frame: &Frame<'_>,
) -> Result<(), Fault> {
    let to = destination(frame.headers)?;
    if let Destination::Queue(name) = &to {
        queues::make_sure(session, name, frame.headers).await?;
    }
    if let Some(name) = temporary(frame.headers) {
        queues::make_temporary(session, name).await?;
    }
    take(session, chunk, frame, &to)
}

fn destination(headers: Headers<'_>) -> Result<Destination, Fault> {
    if headers.get("message-id").is_some() {
        let detail = "'message-id' is not allowed on 'SEND'.\n";
        return Err(Fault::new("Invalid header", detail));
    }
    let to = headers.get("destination").ok_or_else(|| Fault::no_destination("SEND"))?;
    Destination::parse(&to)
}

/// The temporary queue that answers are to go to.
fn temporary(headers: Headers<'_>) -> Option<Bytes> {
    let to = headers.get("reply-to")?;
    to.starts_with(TEMP_QUEUE.as_bytes()).then(|| Bytes::from(to.into_owned()))
}

fn is_ready(session: &Session<'_>, to: &Destination, headers: Headers<'_>) -> bool {
    let is_made = match to {
        Destination::Queue(name) => {
            session.remembered.contains(name)
                && session.shared.broker.queue(&session.queue_name(name)).is_some()
        }
        _ => true,
    };
    is_made && temporary(headers).is_none_or(|name| session.temporary.contains_key(&name))
}

fn take(
    session: &mut Session<'_>,
    chunk: &Bytes,
    frame: &Frame<'_>,
    to: &Destination,
) -> Result<(), Fault> {
    let headers = frame.headers;
    check_user(session, headers)?;
    let broker = &session.shared.broker;
    let answer_to = temporary(headers).and_then(|name| session.temporary.get(&name));
    let of = (session.owner.id(), answer_to.map(|address| &address[..]));
    let message = map::message(headers, chunk.slice_ref(frame.body), of, || broker.now())?;
    session.came.0 += 1;
    session.came.1 += frame.body.len();
    let (exchange, key) = to.target();
    let publish = Publish { exchange, key, message };
    if let Some(name) = headers.get("transaction") {
        return transaction::hold(session, &name, publish, receipt(headers));
    }
    let mut batch = std::mem::take(&mut session.publishing.batch);
    let fate = route(session, &publish, &mut batch);
    session.publishing.batch = batch;
    session.owe(headers, fate?);
    Ok(())
}

/// Who says who sent it must be who did.
fn check_user(session: &Session<'_>, headers: Headers<'_>) -> Result<(), Fault> {
    if session.agreed.is_open {
        return Ok(());
    }
    let Some(said) = headers.get("user-id") else { return Ok(()) };
    let user = &session.agreed.actor.principal().name;
    if said == user.as_bytes() {
        return Ok(());
    }
    Err(Fault::precondition(format!(
        "user_id property set to '{}' but authenticated user was '{user}'",
        quoted(&said)
    )))
}

/// Hands a message to the core.
pub(crate) fn route(
    session: &mut Session<'_>,
    Publish { exchange, key, message }: &Publish,
    batch: &mut Batch,
) -> Result<Fate, Fault> {
    check_key(session, Access::Write, exchange, key)?;
    check_internal(session, exchange)?;
    let (broker, virtual_host) = (&session.shared.broker, &session.agreed.virtual_host);
    let found = session.routes.find(broker, exchange, key, &[], || map::compared(message));
    let route = match found {
        Ok(route) => route,
        // Not a key that this exchange knows: nobody can be bound to it.
        Err(ExchangeError::NotAllowed(_)) => return Ok(Fate::Done),
        Err(error) => return Err(Fault::exchange(&error, exchange, virtual_host)),
    };
    match broker.route_to_queues(&route, message, batch) {
        Ok(routed) => Ok(routed.stored.map_or(Fate::Done, Fate::Stored)),
        Err(ProduceError::TooLarge { size, limit }) => Err(Fault::precondition(format!(
            "message size {size} is larger than the {limit} bytes that the topic of a queue takes"
        ))),
        Err(ProduceError::Refused) => Ok(Fate::Refused),
        Err(error) => Err(Fault::internal(error)),
    }
}

fn check_internal(session: &Session<'_>, exchange: &Bytes) -> Result<(), Fault> {
    if exchange.is_empty() || &exchange[..] == map::TOPIC_EXCHANGE {
        return Ok(());
    }
    let found = session.shared.broker.exchange(&session.exchange_name(exchange));
    if found.is_some_and(|exchange| exchange.spec().internal) {
        let of = named("internal exchange", exchange, &session.agreed.virtual_host);
        return Err(Fault::access_refused(format!("cannot publish to {of}")));
    }
    Ok(())
}
