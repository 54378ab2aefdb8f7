//! `queue.declare`, `delete` and `purge`.

use std::borrow::Cow;
use std::sync::Arc;

use broker::queues::{DeleteOnly, Queue, QueueError, QueueSpec};
use bytes::Bytes;

use crate::arguments::{self, Of, QueueArguments};
use crate::fault::{Fault, named};
use crate::handle::{Access, Caller, check, check_key, check_prefix, one_line};
use crate::replies::REPLY_TO;
use crate::session::Session;
use crate::wire::frame::put_method;
use crate::wire::method::{
    QueueDeclare, QueueDeclareOk, QueueDelete, QueueDeleteOk, QueuePurge, QueuePurgeOk,
};
use crate::wire::reader::Short;
use crate::wire::reply::Reply;
use crate::wire::table::Table;

/// A queue, and what it is called.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) name: Bytes,
    pub(crate) queue: Arc<Queue>,
}

/// The name of a queue that is to be used: where it is empty, that of the last that was declared on the channel.
pub(crate) fn name(session: &Session<'_>, number: u16, said: &[u8]) -> Result<Bytes, Fault> {
    if !said.is_empty() {
        return Ok(Bytes::copy_from_slice(said));
    }
    let last = session.channels.get(&number).map(|channel| channel.last_queue.clone());
    let last = last.filter(|last| !last.is_empty());
    last.ok_or_else(|| Fault::not_found("no previously declared queue"))
}

/// The same for one that is to be deleted or bound.
pub(crate) fn plain_name(session: &Session<'_>, number: u16, said: &[u8]) -> Result<Bytes, Fault> {
    let name = name(session, number, said)?;
    let plain = match one_line(&name) {
        Cow::Borrowed(_) => None,
        Cow::Owned(plain) => Some(plain),
    };
    Ok(plain.map_or(name, Bytes::from))
}

/// A queue that is to be used, if it is there and nobody else has it for themselves.
pub(crate) fn find(session: &Session<'_>, number: u16, said: &[u8]) -> Result<Found, Fault> {
    find_named(session, name(session, number, said)?)
}

/// The same by its name.
pub(crate) fn find_named(session: &Session<'_>, name: Bytes) -> Result<Found, Fault> {
    let virtual_host = &session.agreed.virtual_host;
    let queue = session.shared.broker.queue(&session.queue_name(&name));
    let queue = queue.ok_or_else(|| Fault::queue(&QueueError::NotFound, &name, virtual_host))?;
    let own = queue.check_owner(session.owner.id());
    own.map_err(|error| Fault::queue(&error, &name, virtual_host))?;
    Ok(Found { name, queue })
}

/// Makes a queue, or finds that it is there as it is wanted.
pub(crate) async fn declare(
    session: &mut Session<'_>,
    number: u16,
    declare: &QueueDeclare<'_>,
) -> Result<(), Fault> {
    let (name, counts) = if declare.queue.starts_with(REPLY_TO) {
        let name = Bytes::copy_from_slice(&one_line(&declare.queue));
        let is_there = &name[..] == REPLY_TO || session.shared.replies.is_known(&name);
        let virtual_host = &session.agreed.virtual_host;
        let missing = || Fault::queue(&QueueError::NotFound, &name, virtual_host);
        is_there.then_some(()).ok_or_else(missing)?;
        (name, Default::default())
    } else if declare.passive {
        let name = plain_name(session, number, &declare.queue)?;
        let Found { name, queue } = find_named(session, name)?;
        queue.used();
        (name, queue.counts())
    } else {
        let (name, queue, _) = make(session.caller(), declare).await?;
        (name, queue.counts())
    };
    let Some(channel) = session.channels.get_mut(&number) else { return Ok(()) };
    channel.last_queue = name.clone();
    if !declare.nowait {
        let told = QueueDeclareOk {
            queue: Short(&name),
            message_count: u32::try_from(counts.ready).unwrap_or(u32::MAX),
            consumer_count: counts.consumers,
        };
        channel.out.tell(|channel, out| put_method(channel, &told, out));
    }
    Ok(())
}

/// Makes a queue that is wanted, if it is not there; whether it is new.
pub(crate) async fn make(
    caller: Caller<'_>,
    declare: &QueueDeclare<'_>,
) -> Result<(Bytes, Arc<Queue>, bool), Fault> {
    let Caller { broker, virtual_host, .. } = caller;
    let said = one_line(&declare.queue);
    let name = match said.is_empty() {
        true => format!("amq.gen-{:032x}", broker.options().random.next_u128()).into(),
        false => Bytes::copy_from_slice(&said),
    };
    check(caller, Access::Configure, "queue", &name)?;
    let of = Of { queue: &name, virtual_host };
    let QueueArguments { kind, settings } = arguments::of_queue(declare.arguments, of)?;
    if settings.stream.is_some() {
        check_stream(declare, of)?;
    }
    if let Some(to) = &settings.dead_letter {
        let key = to.key.as_ref().unwrap_or(&name);
        check_key(caller, Access::Write, &to.exchange, key)?;
    }
    let spec = QueueSpec {
        durable: declare.durable,
        exclusive: declare.exclusive,
        auto_delete: declare.auto_delete,
        kind,
        settings,
        arguments: Bytes::copy_from_slice(declare.arguments.bytes()),
    };
    let wanted = caller.queue_name(&name);
    if let Some(known) = broker.queue(&wanted) {
        same(caller, &name, &known, &spec)?;
        known.used();
        return Ok((name, known, false));
    }
    if !said.is_empty() {
        check_prefix("queue", &name)?;
    }
    match broker.declare_queue(&wanted, &spec, caller.owner).await {
        Ok((queue, true)) => Ok((name, queue, true)),
        // Somebody else was faster.
        Ok((queue, false)) => same(caller, &name, &queue, &spec).map(|()| (name, queue, false)),
        Err(error) => Err(Fault::queue(&error, &name, virtual_host)),
    }
}

/// What a stream cannot be.
fn check_stream(declare: &QueueDeclare<'_>, of: Of<'_>) -> Result<(), Fault> {
    let checks = [
        ("auto-delete", declare.auto_delete),
        ("exclusive-owner", declare.exclusive),
        ("non-durable", !declare.durable),
    ];
    match checks.into_iter().find(|(_, is)| *is) {
        None => Ok(()),
        Some((what, _)) => {
            let of = named("queue", of.queue, of.virtual_host);
            Err(Fault::precondition(format!("invalid property '{what}' for {of}")))
        }
    }
}

/// Whether a queue is there as it is wanted; what of it is not, in RabbitMQ's words.
fn same(caller: Caller<'_>, name: &[u8], queue: &Queue, wanted: &QueueSpec) -> Result<(), Fault> {
    let virtual_host = caller.virtual_host;
    let known = queue.spec();
    if queue.check_owner(caller.owner).is_err() || known.exclusive != wanted.exclusive {
        return Err(Fault::locked(name, virtual_host));
    }
    let of = named("queue", name, virtual_host);
    let flags = [
        ("durable", wanted.durable, known.durable),
        ("auto_delete", wanted.auto_delete, known.auto_delete),
    ];
    for (what, wanted, known) in flags {
        if wanted != known {
            let text = format!(
                "inequivalent arg '{what}' for {of}: received '{wanted}' but current is '{known}'"
            );
            return Err(Fault::precondition(text));
        }
    }
    let tables = (Table::new(&wanted.arguments), Table::new(&known.arguments));
    let (Ok(asked), Ok(kept)) = tables else { return Ok(()) };
    match arguments::difference(asked, kept) {
        None => Ok(()),
        Some((what, asked, kept)) => Err(Fault::precondition(format!(
            "inequivalent arg '{what}' for {of}: received {asked} but current is {kept}"
        ))),
    }
}

/// Deletes a queue; one that is not there is deleted already.
pub(crate) async fn delete(
    session: &mut Session<'_>,
    number: u16,
    delete: &QueueDelete<'_>,
) -> Result<(), Fault> {
    let name = plain_name(session, number, &delete.queue)?;
    check(session.caller(), Access::Configure, "queue", &name)?;
    let only = DeleteOnly { unused: delete.if_unused, empty: delete.if_empty };
    let broker = &session.shared.broker;
    let Some(channel) = session.channels.get(&number) else { return Ok(()) };
    // Who deletes what they consume from waits for that answer, and takes another for an error.
    let out = Arc::clone(&channel.out);
    out.hold_cancelled();
    let deleted = broker.delete_queue(&session.queue_name(&name), only, session.owner.id()).await;
    let answered = match deleted {
        Ok(count) => Ok(u32::try_from(count).unwrap_or(u32::MAX)),
        Err(QueueError::NotFound) => Ok(0),
        Err(error) => Err(Fault::queue(&error, &name, &session.agreed.virtual_host)),
    };
    if let Some(channel) = session.channels.get_mut(&number) {
        channel.news();
    }
    if let (Ok(message_count), false) = (&answered, delete.nowait) {
        let told = QueueDeleteOk { message_count: *message_count };
        out.tell(|channel, out| put_method(channel, &told, out));
    }
    out.tell_cancelled();
    answered.map(drop)
}

/// Messages are not taken out of a stream.
pub(crate) fn check_takes(
    session: &Session<'_>,
    name: &[u8],
    queue: &Queue,
    method: &str,
) -> Result<(), Fault> {
    if queue.spec().settings.stream.is_none() {
        return Ok(());
    }
    let of = named("queue", name, &session.agreed.virtual_host);
    let text = format!("{method} not supported by stream queues {of}");
    Err(Fault::new(Reply::NotImplemented, text))
}

/// Drops what waits in a queue.
pub(crate) async fn purge(
    session: &mut Session<'_>,
    number: u16,
    purge: &QueuePurge<'_>,
) -> Result<(), Fault> {
    let Found { name, queue } = find(session, number, &purge.queue)?;
    check(session.caller(), Access::Read, "queue", &name)?;
    check_takes(session, &name, &queue, "queue.purge")?;
    let purged = queue.purge().await;
    let count =
        purged.map_err(|error| Fault::queue(&error, &name, &session.agreed.virtual_host))?;
    let Some(channel) = session.channels.get(&number) else { return Ok(()) };
    if !purge.nowait {
        let told = QueuePurgeOk { message_count: u32::try_from(count).unwrap_or(u32::MAX) };
        channel.out.tell(|channel, out| put_method(channel, &told, out));
    }
    Ok(())
}
