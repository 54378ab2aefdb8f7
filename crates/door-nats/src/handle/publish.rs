//! `PUB` and `HPUB`: a message, to whoever is there and to the topics that keep it.

use base::Subject;
use broker::access::{Actor, Operation};
use bytes::Bytes;

use crate::map::{self, error};
use crate::session::{End, Publishing, Session};
use crate::wire::encode::Outbound;
use crate::wire::headers::Block;
use crate::wire::parse::Publish;
use crate::wire::subject;

pub(crate) fn handle(
    session: &mut Session<'_>,
    chunk: &Bytes,
    publish: &Publish<'_>,
) -> Result<(), End> {
    if publish.headers.is_some() && !session.takes_headers {
        return Err(End::protocol(error::NO_HEADERS));
    }
    session.received.0 += 1;
    session.received.1 += (publish.payload.len() + publish.headers.map_or(0, <[u8]>::len)) as u64;
    if session.pedantic && !subject::is_literal(publish.subject) {
        session.complain(error::INVALID_PUBLISH_SUBJECT);
        return Ok(());
    }
    let Ok(receivers) = route(session, chunk, publish) else { return Ok(()) };
    if receivers == 0
        && session.no_responders
        && let Some(reply) = publish.reply
    {
        no_responders(session, publish.subject, reply);
    }
    session.ok();
    Ok(())
}

/// The client was told why a message goes nowhere.
struct Refused;

/// Hands a message to the broker; how many get it, a topic counting as one.
fn route(
    session: &mut Session<'_>,
    chunk: &Bytes,
    publish: &Publish<'_>,
) -> Result<usize, Refused> {
    let Session { shared, client, publishing, owed, .. } = session;
    let broker = &shared.broker;
    let publishing = publishing.get_or_insert_with(|| Publishing::new(broker, client.publisher));
    let Publishing { routes, batch, message } = &mut **publishing;
    message.value = Some(chunk.slice_ref(publish.payload));
    message.properties = Default::default();
    message.headers.clear();
    message.original = None;
    if let Some(headers) = publish.headers {
        map::take_headers(&chunk.slice_ref(headers), message);
    }
    let mut name = publish.subject;
    if let Some((id, rest)) = map::correlated(name) {
        // The answer to somebody who wants their word back.
        message.properties.correlation_id = Some(id);
        name = rest;
    }
    let may_write = |subject: &Subject| may(client.actor(), Operation::Write, subject);
    let route = match routes.find(broker, name, may_write) {
        Ok(route) if route.is_allowed() => route,
        Ok(_) => {
            session.complain(&error::publish(publish.subject));
            return Err(Refused);
        }
        // What is no subject reaches nobody, and a client that wants to know is pedantic.
        Err(_) => return Ok(0),
    };
    if let Some(reply) = publish.reply {
        let Ok(subject) = map::NAMES.subject(reply) else {
            session.complain(&error::reply(reply));
            return Err(Refused);
        };
        message.properties.reply_to = Some(subject);
    }
    let routed = broker.route(route, message, batch);
    // Not held on to: the memory that it lies in is used again.
    message.value = None;
    message.original = None;
    message.headers.clear();
    match routed {
        Ok(routed) => {
            *owed += routed.receivers * publish.payload.len();
            Ok(routed.receivers + usize::from(routed.stored.is_some()))
        }
        Err(refused) => {
            let why =
                format!("Cannot store message for {:?}: {refused}", route.subject().to_string());
            session.complain(&why.replace('\'', "\""));
            Err(Refused)
        }
    }
}

/// Whether rules let somebody do this with a subject. Who has not said who they are is let do what
/// nobody asks about.
pub(crate) fn may(actor: Option<&Actor>, operation: Operation, subject: &Subject) -> bool {
    actor.is_none_or(|actor| actor.may_subject(operation, subject))
}

/// Tells who asked that nobody can answer: as a message with the status 503 to the reply subject, for
/// this client's own subscription to it only.
fn no_responders(session: &Session<'_>, subject: &[u8], reply: &[u8]) {
    let mut block = Vec::new();
    let mut head = Block::with_status(b"503", &mut block);
    head.field(b"Nats-Subject", subject);
    head.end();
    let outbound = Outbound { subject: reply, reply: None, headers: Some(&block), payload: &[] };
    session.client.tell(reply, &outbound);
}

/// Hands over what topics keep, in the order in which it came. The protocol knows no answer to a
/// publish, so nobody waits until it is on the disk; who publishes faster than that waits here for
/// room.
pub(crate) async fn store(session: &mut Session<'_>) {
    let Some(publishing) = &mut session.publishing else { return };
    let batch = std::mem::take(&mut publishing.batch);
    let storing = session.shared.broker.store(batch).await;
    drop(storing);
}
