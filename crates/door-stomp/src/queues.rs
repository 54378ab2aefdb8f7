//! Queues as destinations need them: made where they are not there, as RabbitMQ's plugin makes them.

use std::sync::Arc;

use broker::exchanges::{BindTo, Binding, ExchangeError, ExchangeKind, HeaderMatch};
use broker::queues::{Queue, QueueError, QueueKind, QueueSpec};
use bytes::Bytes;

use crate::arguments::{self, QueueArguments};
use crate::deliveries::{AckMode, To};
use crate::destination::{self, Destination, REPLY_QUEUE};
use crate::fault::{Fault, named};
use crate::handle::subscribe::{How, consume};
use crate::handle::{Access, GENERATED, check, check_key, check_prefix};
use crate::limits::REMEMBERED_MAX;
use crate::session::Session;
use crate::wire::parse::Headers;

/// Begins the names of queues of subscriptions.
const SUBSCRIPTION: &str = "stomp-subscription-";
/// Longest name of a queue, in bytes.
const QUEUE_NAME_BYTES_MAX: usize = 255;

/// How a queue is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    durable: bool,
    auto_delete: bool,
    exclusive: bool,
}

/// A queue of the connection's own.
const OWN: Kept = Kept { durable: false, auto_delete: true, exclusive: true };

/// A header that says yes or no, also as Python writes that.
fn flag(headers: Headers<'_>, name: &str) -> Result<Option<bool>, Fault> {
    match headers.get(name).as_deref() {
        None => Ok(None),
        Some(b"true" | b"True") => Ok(Some(true)),
        Some(b"false" | b"False") => Ok(Some(false)),
        Some(_) => Err(Fault::precondition(format!("invalid header '{name}': not true or false"))),
    }
}

/// Whether a subscription is to outlive its connection. `persistent` is what it was called before.
pub(crate) fn is_durable(headers: Headers<'_>) -> Result<bool, Fault> {
    let durable = flag(headers, "durable")?;
    Ok(durable.or(flag(headers, "persistent")?).unwrap_or(false))
}

/// Finds a queue, or makes it. One that is there is taken as it is, unless the frame says how it must be.
pub(crate) async fn make_sure(
    session: &mut Session<'_>,
    name: &Bytes,
    headers: Headers<'_>,
) -> Result<Arc<Queue>, Fault> {
    let (durable, exclusive) = (flag(headers, "durable")?, flag(headers, "exclusive")?);
    let auto_delete = flag(headers, "auto-delete")?;
    let is_said = [durable, exclusive, auto_delete].iter().any(Option::is_some)
        || arguments::are_there(headers);
    let queue = match session.shared.broker.queue(&session.queue_name(name)) {
        Some(queue) if !is_said => queue,
        known => {
            if known.is_none() {
                check_prefix(name)?;
            }
            let kept = Kept {
                durable: durable.unwrap_or(true),
                auto_delete: auto_delete.unwrap_or(false),
                exclusive: exclusive.unwrap_or(false),
            };
            check(session, Access::Configure, "queue", name)?;
            declare(session, name, kept, headers).await?
        }
    };
    if session.remembered.len() >= REMEMBERED_MAX {
        session.remembered.clear();
    }
    session.remembered.insert(name.clone());
    Ok(queue)
}

/// The queue that a subscription gets its messages from, and its name.
pub(crate) async fn for_subscription(
    session: &mut Session<'_>,
    from: &Destination,
    id: Option<&Bytes>,
    headers: Headers<'_>,
) -> Result<(Arc<Queue>, Bytes), Fault> {
    let (queue, name) = match from {
        Destination::Queue(name) => (make_sure(session, name, headers).await?, name),
        Destination::AmqQueue(name) => {
            let known = session.shared.broker.queue(&session.queue_name(name));
            let missing = || refused(session, &QueueError::NotFound, name);
            (known.ok_or_else(missing)?, name)
        }
        Destination::Topic(_) | Destination::Exchange(..) => {
            return bound(session, from, id, headers).await;
        }
    };
    check(session, Access::Read, "queue", name)?;
    queue.check_owner(session.owner.id()).map_err(|error| refused(session, &error, name))?;
    Ok((queue, name.clone()))
}

/// A queue for one subscription, bound to the exchange.
async fn bound(
    session: &Session<'_>,
    from: &Destination,
    id: Option<&Bytes>,
    headers: Headers<'_>,
) -> Result<(Arc<Queue>, Bytes), Fault> {
    let (exchange, key) = from.target();
    check_key(session, Access::Read, &exchange, &key)?;
    let (broker, virtual_host) = (&session.shared.broker, &session.agreed.virtual_host);
    let source = session.exchange_name(&exchange);
    let failed = |error: &ExchangeError| Fault::exchange(error, &exchange, virtual_host);
    let known = broker.exchange(&source).ok_or_else(|| failed(&ExchangeError::NotFound))?;
    let said = headers.get("x-queue-name").map(|name| Bytes::from(name.into_owned()));
    let (name, kept) = if is_durable(headers)? {
        let id = id.ok_or_else(|| {
            let detail = "Header 'id' is required for durable subscriptions";
            Fault::new("Missing Header", detail)
        })?;
        let auto_delete = flag(headers, "auto-delete")?.unwrap_or(false);
        let kept = Kept { durable: true, auto_delete, exclusive: false };
        (Some(said.map_or_else(|| subscription_name(from, id), Ok)?), kept)
    } else {
        (said, OWN)
    };
    let name = match name {
        Some(name) => {
            check_prefix(&name)?;
            // It could be somebody's, with what waits in it.
            for access in [Access::Configure, Access::Write, Access::Read] {
                check(session, access, "queue", &name)?;
            }
            name
        }
        None => format!("{SUBSCRIPTION}{:032x}", broker.options().random.next_u128()).into(),
    };
    let queue = declare(session, &name, kept, headers).await?;
    // Without anything to ask for, all headers are there.
    let matching = (known.spec().kind == ExchangeKind::Headers)
        .then(|| HeaderMatch { all: true, headers: Vec::new() });
    let binding = Binding { key, matching, arguments: Bytes::new() };
    let to = BindTo::Queue(session.queue_name(&name));
    broker.bind(&source, &to, binding).await.map_err(|error| failed(&error))?;
    Ok((queue, name))
}

/// The name of a durable subscription's queue: the same for the same id and destination, and for no others.
fn subscription_name(from: &Destination, id: &[u8]) -> Result<Bytes, Fault> {
    let (exchange, key) = from.target();
    let lengths = format!("{SUBSCRIPTION}{}.{}.", id.len(), exchange.len());
    let name = [lengths.as_bytes(), id, b".", &exchange[..], b".", &key[..]].concat();
    if name.len() > QUEUE_NAME_BYTES_MAX {
        let detail = "'id' and 'destination' are too long; 'x-queue-name' can name the queue\n";
        return Err(Fault::new("Invalid id", detail));
    }
    Ok(name.into())
}

/// Makes a queue for answers, whose messages come as those of a subscription of its name, if it is not there.
pub(crate) async fn make_temporary(session: &mut Session<'_>, name: Bytes) -> Result<(), Fault> {
    if session.temporary.contains_key(&name) {
        return Ok(());
    }
    let chance = session.shared.broker.options().random.next_u128();
    let queue_name = Bytes::from(format!("{GENERATED}{chance:032x}"));
    let queue = declare(session, &queue_name, OWN, Headers::kept(b"")).await?;
    let mut address = Vec::new();
    destination::put(REPLY_QUEUE, &queue_name, &mut address);
    let to =
        To { tag: name.clone(), id: Some(name.clone()), queue: queue_name, mode: AckMode::Auto };
    consume(session, &queue, to, How::default())?;
    session.temporary.insert(name, address.into());
    Ok(())
}

/// Makes a queue, or finds that it is there as it is wanted.
async fn declare(
    session: &Session<'_>,
    name: &Bytes,
    kept: Kept,
    headers: Headers<'_>,
) -> Result<Arc<Queue>, Fault> {
    let virtual_host = &session.agreed.virtual_host;
    let made = arguments::of_queue(headers, name, virtual_host)?;
    let QueueArguments { kind, settings, table } = made;
    let Kept { durable, auto_delete, exclusive } = kept;
    if kind == QueueKind::Stream {
        let checks = [
            ("auto-delete", auto_delete),
            ("exclusive-owner", exclusive),
            ("non-durable", !durable),
        ];
        if let Some((what, _)) = checks.into_iter().find(|(_, is)| *is) {
            let of = named("queue", name, virtual_host);
            return Err(Fault::precondition(format!("invalid property '{what}' for {of}")));
        }
    }
    if let Some(to) = &settings.dead_letter {
        let key = to.key.as_ref().unwrap_or(name);
        check_key(session, Access::Write, &to.exchange, key)?;
    }
    let spec = QueueSpec { durable, exclusive, auto_delete, kind, settings, arguments: table };
    let wanted = session.queue_name(name);
    let declared = session.shared.broker.declare_queue(&wanted, &spec, session.owner.id()).await;
    declared.map(|(queue, _)| queue).map_err(|error| refused(session, &error, name))
}

fn refused(session: &Session<'_>, error: &QueueError, name: &[u8]) -> Fault {
    Fault::queue(error, name, &session.agreed.virtual_host)
}
