//! `tx.select`, `commit` and `rollback`: publishes and acknowledgements that count together.

use broker::live::{Batch, Fate};

use crate::channel::{Channel, Content, Mode, Transaction};
use crate::fault::Fault;
use crate::handle::publish;
use crate::limits::{TRANSACTION_BYTES_MAX, TRANSACTION_ENTRIES_MAX};
use crate::session::Session;
use crate::wire::frame::put_method;
use crate::wire::method::{TxCommitOk, TxRollbackOk, TxSelectOk};
use crate::wire::reply::Reply;

/// From now on, nothing counts before it is committed.
pub(crate) fn select(channel: &mut Channel) -> Result<(), Fault> {
    match channel.mode {
        Mode::Confirm { .. } => {
            return Err(Fault::precondition("cannot switch from confirm to tx mode"));
        }
        Mode::Transaction(_) => {}
        Mode::Plain => channel.mode = Mode::Transaction(Box::default()),
    }
    channel.out.note(|facts| facts.is_transactional = true);
    channel.out.tell(|channel, out| put_method(channel, &TxSelectOk {}, out));
    Ok(())
}

/// Keeps a message until then.
pub(crate) fn hold(transaction: &mut Transaction, content: Content) -> Result<(), Fault> {
    transaction.bytes += content.payload.len() + content.properties.len();
    let entries = transaction.contents.len();
    if transaction.bytes > TRANSACTION_BYTES_MAX || entries >= TRANSACTION_ENTRIES_MAX {
        return Err(Fault::new(Reply::ResourceError, "the transaction is too large"));
    }
    transaction.contents.push(content.detached());
    Ok(())
}

/// All counts now: messages are stored before acknowledgements, so that a failure leaves them to come again.
pub(crate) async fn commit(session: &mut Session<'_>, number: u16) -> Result<(), Fault> {
    let Some(channel) = session.channels.get_mut(&number) else { return Ok(()) };
    let Mode::Transaction(transaction) = &mut channel.mode else { return Err(not_transactional()) };
    let Transaction { contents, settled, .. } = std::mem::take(&mut **transaction);
    let mut batch = Batch::default();
    let mut refused = false;
    for content in contents {
        let fate = publish::route(session, number, content, &mut batch)?;
        refused |= fate == Fate::Refused;
    }
    let _slow = batch.flush();
    let stored = session.shared.broker.store(batch).await.done().await;
    if let Some(error) = stored.into_iter().find_map(Result::err) {
        return Err(Fault::new(Reply::InternalError, format!("cannot commit: {error}")));
    }
    let Some(channel) = session.channels.get_mut(&number) else { return Ok(()) };
    channel.settled.extend(settled.into_iter().map(|(_, out, settlement)| (out.id, settlement)));
    channel.settle();
    let settled = channel.holder.settled().await;
    settled.map_err(|error| Fault::new(Reply::InternalError, format!("cannot commit: {error}")))?;
    if refused {
        return Err(Fault::precondition("partial tx completion: a queue is full"));
    }
    channel.out.tell(|channel, out| put_method(channel, &TxCommitOk {}, out));
    Ok(())
}

/// Nothing of it counts. What was acknowledged is not: it can be, again.
pub(crate) fn rollback(channel: &mut Channel) -> Result<(), Fault> {
    let Mode::Transaction(transaction) = &mut channel.mode else { return Err(not_transactional()) };
    let Transaction { settled, .. } = std::mem::take(&mut **transaction);
    channel.out.lock().put_back(settled.into_iter().map(|(tag, out, _)| (tag, out)));
    channel.out.tell(|channel, out| put_method(channel, &TxRollbackOk {}, out));
    Ok(())
}

fn not_transactional() -> Fault {
    Fault::precondition("channel is not transactional")
}
