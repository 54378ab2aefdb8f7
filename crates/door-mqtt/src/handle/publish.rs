//! PUBLISH.

use base::Subject;
use broker::access::Operation;

use crate::connection::{Client, Due, End};
use crate::map::{self, Published};
use crate::socket::Packets;
use crate::wire::ack::Ack;
use crate::wire::header::Kind;
use crate::wire::publish::Publish;
use crate::wire::reason::Reason;
use crate::wire::{Version, WireError};

/// Publishes a message. Acknowledgements are sent when all that arrived together is handled.
pub(super) fn handle(
    client: &mut Client,
    packets: &Packets,
    flags: u8,
    body: &[u8],
) -> Result<(), End> {
    let publish = Publish::decode(client.version, flags, body)?;
    if publish.qos > 0 && !begin(client, &publish)? {
        return Ok(());
    }
    let (reason, stored) = route(client, packets, &publish)?;
    let kind = match publish.qos {
        0 => return Ok(()),
        1 => Kind::Puback,
        _ => Kind::Pubrec,
    };
    if kind == Kind::Pubrec && reason.is_failure() {
        client.session.lock().received.remove(&publish.packet_id);
    }
    let ack = Ack { packet_id: publish.packet_id, reason };
    client.publishing().acks.push(Due { kind, ack, stored });
    Ok(())
}

/// Takes note of a message that is to be acknowledged. Whether it is new.
fn begin(client: &mut Client, publish: &Publish<'_>) -> Result<bool, End> {
    let max = usize::from(client.shared.options.receive_max);
    let owed = client.publishing().owed;
    client.publishing().owed += 1;
    let mut state = client.session.lock();
    // Each of QoS 2 counts until it is released.
    if client.version == Version::V5 && owed.max(state.received.len()) >= max {
        let why = "more messages than the receive maximum";
        return Err(End::Told(Reason::RECEIVE_MAX_EXCEEDED, why.into()));
    }
    let is_new = publish.qos < 2 || state.received.insert(publish.packet_id);
    // Said again, it is to be as sure as what was said before.
    state.is_dirty |= publish.qos == 2;
    drop(state);
    if !is_new {
        // It is here already; that is said again, behind what was said of it before.
        let ack = Ack { packet_id: publish.packet_id, reason: Reason::SUCCESS };
        client.publishing().acks.push(Due { kind: Kind::Pubrec, ack, stored: [None; 3] });
    }
    Ok(is_new)
}

/// Hands a message to the core: what is to be said of it, and its numbers where it is kept.
fn route(
    client: &mut Client,
    packets: &Packets,
    publish: &Publish<'_>,
) -> Result<(Reason, [Option<usize>; 3]), End> {
    let is_new = client.version == Version::V5;
    let alias_max = client.shared.options.topic_alias_max;
    let (shared, actor, publisher) =
        (client.shared.clone(), client.actor.clone(), client.session.id);
    let publishing = client.publishing();
    let topic = match publish.alias {
        None => publish.topic,
        Some(alias) => resolve(&mut publishing.aliases, alias, alias_max, publish.topic)?,
    };
    let allowed = |subject: &Subject| {
        !map::is_reserved(topic) && actor.may_subject(Operation::Write, subject)
    };
    let route = publishing.routes.find(&shared.broker, topic.as_bytes(), allowed);
    let Ok(route) = route else { return Err(WireError::TopicName.into()) };
    if !route.is_allowed() {
        return Ok((Reason::NOT_AUTHORIZED, [None; 3]));
    }
    if publish.properties.is_text && std::str::from_utf8(publish.payload).is_err() {
        if publish.qos == 0 {
            let why = "a payload that is not the text that it is said to be";
            return Err(End::Told(Reason::PAYLOAD_FORMAT_INVALID, why.into()));
        }
        return Ok((Reason::PAYLOAD_FORMAT_INVALID, [None; 3]));
    }
    let published = Published { qos: publish.qos, retain: publish.retain };
    let payload = packets.share(publish.payload);
    let now = || shared.broker.now();
    let message = map::message(published, &publish.properties, payload, publisher, now);
    // Of QoS 2 nobody else says so, and clients take it for a failure.
    let is_nobody = route.receivers() == 0 && publish.qos == 1 && is_new;
    if publish.retain && publishing.ticket.is_none() {
        publishing.ticket = Some(shared.storing.begin());
    }
    let batch = &mut publishing.batch;
    let routed = shared.broker.route(route, &message, batch).and_then(|routed| {
        let retain = || shared.broker.retain(route, &message, batch);
        Ok([routed.stored, publish.retain.then(retain).transpose()?, None])
    });
    match routed {
        Ok([None, kept, _]) if is_nobody => {
            Ok((Reason::NO_MATCHING_SUBSCRIBERS, [None, kept, None]))
        }
        Ok(stored) => Ok((Reason::SUCCESS, stored)),
        // Of QoS 0 nobody asks what became of it.
        Err(_) if publish.qos == 0 => Ok((Reason::SUCCESS, [None; 3])),
        Err(error) if is_new => Ok((map::refusal(&error), [None; 3])),
        Err(error) => Err(End::Told(map::refusal(&error), error.to_string().into())),
    }
}

/// The topic that an alias stands for, from now on if it comes with one.
fn resolve<'a>(
    aliases: &'a mut Vec<Option<Box<str>>>,
    alias: u16,
    max: u16,
    topic: &'a str,
) -> Result<&'a str, End> {
    let invalid = |why: &'static str| End::Told(Reason::TOPIC_ALIAS_INVALID, why.into());
    if alias == 0 || alias > max {
        return Err(invalid("an alias that may not be used"));
    }
    let index = usize::from(alias) - 1;
    if !topic.is_empty() {
        if aliases.len() <= index {
            aliases.resize(index + 1, None);
        }
        if let Some(place) = aliases.get_mut(index) {
            *place = Some(topic.into());
        }
        return Ok(topic);
    }
    match aliases.get(index) {
        Some(Some(topic)) => Ok(topic),
        _ => Err(WireError::Protocol("an alias of no topic").into()),
    }
}
