//! `BEGIN`, `COMMIT` and `ABORT`: messages and acknowledgements that count together.

use std::collections::HashMap;

use broker::live::{Batch, Fate};
use broker::queues::{DeliveryId, Settlement};
use bytes::Bytes;

use crate::fault::{Fault, quoted};
use crate::handle::send::{self, Publish};
use crate::limits::{
    HELD_ACK_BYTES, HELD_HEADER_BYTES, HELD_MESSAGE_BYTES, NAME_BYTES_MAX, TRANSACTION_BYTES_MAX,
    TRANSACTIONS_MAX,
};
use crate::session::Session;
use crate::wire::parse::Headers;

/// Those of a connection that are open.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    open: HashMap<Bytes, Transaction>,
    /// What all of them hold.
    bytes: usize,
}

#[derive(Debug, Default)]
struct Transaction {
    /// With their receipts, which say that they are stored.
    messages: Vec<(Publish, Option<Bytes>)>,
    /// With the tags of their subscriptions, and their numbers.
    settled: Vec<(Bytes, u64, DeliveryId, Settlement)>,
    bytes: usize,
}

impl Transactions {
    /// One that is to hold so many bytes more.
    fn grow(&mut self, name: &[u8], bytes: usize) -> Result<&mut Transaction, Fault> {
        let transaction = self.open.get_mut(name).ok_or_else(|| unknown(name))?;
        self.bytes += bytes;
        if self.bytes > TRANSACTION_BYTES_MAX {
            return Err(Fault::resource("the transactions of the connection are too large"));
        }
        transaction.bytes += bytes;
        Ok(transaction)
    }

    fn close(&mut self, name: &[u8]) -> Result<Transaction, Fault> {
        let closed = self.open.remove(name).ok_or_else(|| unknown(name))?;
        self.bytes = self.bytes.saturating_sub(closed.bytes);
        Ok(closed)
    }
}

/// Begins one.
pub(crate) fn begin(session: &mut Session<'_>, headers: Headers<'_>) -> Result<(), Fault> {
    let name = name("BEGIN", headers)?;
    let open = &mut session.transactions.open;
    if open.contains_key(&name) {
        let detail = format!("A transaction \"{}\" is open already\n", quoted(&name));
        return Err(Fault::new("Bad transaction", detail));
    }
    if open.len() >= TRANSACTIONS_MAX {
        return Err(Fault::resource(format!("more than {TRANSACTIONS_MAX} transactions")));
    }
    open.insert(name, Transaction::default());
    Ok(())
}

/// Keeps a message until it is committed. Its receipt comes then, or never.
pub(crate) fn hold(
    session: &mut Session<'_>,
    name: &[u8],
    mut publish: Publish,
    receipt: Option<Bytes>,
) -> Result<(), Fault> {
    // It stays for a while: without what it arrived with.
    publish.message.value = publish.message.value.map(|value| Bytes::copy_from_slice(&value));
    let of = &publish.message;
    // Headers are there twice: as lines, and as what others have words for.
    let bytes = of.value.as_ref().map_or(0, Bytes::len)
        + 2 * of.original.as_ref().map_or(0, |original| original.bytes.len())
        + of.headers.len() * HELD_HEADER_BYTES
        + receipt.as_ref().map_or(0, Bytes::len)
        + HELD_MESSAGE_BYTES;
    session.transactions.grow(name, bytes)?.messages.push((publish, receipt));
    Ok(())
}

/// Keeps acknowledgements until they are committed.
pub(crate) fn hold_settled(
    session: &mut Session<'_>,
    name: &[u8],
    tag: &[u8],
    (taken, settlement): (Vec<(u64, DeliveryId)>, Settlement),
) -> Result<(), Fault> {
    let transaction = session.transactions.grow(name, taken.len() * HELD_ACK_BYTES)?;
    let tag = Bytes::copy_from_slice(tag);
    let held = taken.into_iter().map(|(number, id)| (tag.clone(), number, id, settlement));
    transaction.settled.extend(held);
    Ok(())
}

/// All counts now: messages are stored before acknowledgements, so that a failure leaves them to come again.
pub(crate) async fn commit(session: &mut Session<'_>, headers: Headers<'_>) -> Result<(), Fault> {
    let name = name("COMMIT", headers)?;
    let Transaction { messages, settled, .. } = session.transactions.close(&name)?;
    let (mut batch, mut is_refused) = (Batch::default(), false);
    for (publish, _) in &messages {
        is_refused |= send::route(session, publish, &mut batch)? == Fate::Refused;
    }
    let _slow = batch.flush();
    let stored = session.shared.broker.store(batch).await.done().await;
    if let Some(error) = stored.into_iter().find_map(Result::err) {
        return Err(Fault::internal(format!("cannot commit: {error}")));
    }
    session.settled.extend(settled.into_iter().map(|(_, _, id, settlement)| (id, settlement)));
    session.settle();
    let settled = session.holder.settled().await;
    settled.map_err(|error| Fault::internal(format!("cannot commit: {error}")))?;
    if is_refused {
        return Err(Fault::precondition("partial tx completion: a queue is full"));
    }
    for (_, receipt) in messages {
        session.owe_receipt(receipt, Fate::Done);
    }
    Ok(())
}

/// Nothing of it counts. What was acknowledged is not: it can be, again.
pub(crate) fn abort(session: &mut Session<'_>, headers: Headers<'_>) -> Result<(), Fault> {
    let name = name("ABORT", headers)?;
    let Transaction { settled, .. } = session.transactions.close(&name)?;
    let mut state = session.deliveries.lock();
    for (tag, number, id, _) in settled {
        state.put_back(&tag, number, id);
    }
    Ok(())
}

fn name(command: &str, headers: Headers<'_>) -> Result<Bytes, Fault> {
    let name = headers.get("transaction").ok_or_else(|| {
        let detail = format!("'{command}' must include a 'transaction' header\n");
        Fault::new("Missing transaction", detail)
    })?;
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(Fault::invalid(command, "transaction"));
    }
    Ok(Bytes::from(name.into_owned()))
}

fn unknown(name: &[u8]) -> Fault {
    let detail = format!("Invalid transaction identifier: \"{}\"\n", quoted(name));
    Fault::new("Bad transaction", detail)
}
