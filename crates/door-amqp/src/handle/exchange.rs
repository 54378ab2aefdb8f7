//! `exchange.declare` and `delete`.

use broker::exchanges::{ExchangeError, ExchangeKind, ExchangeSpec};
use bytes::Bytes;

use crate::fault::{Fault, named, quoted};
use crate::handle::{Access, Caller, check, check_prefix, one_line};
use crate::session::Session;
use crate::wire::frame::put_method;
use crate::wire::method::{ExchangeDeclare, ExchangeDeclareOk, ExchangeDelete, ExchangeDeleteOk};
use crate::wire::reply::Reply;
use crate::wire::table::Table;

/// Kinds of exchanges, by the names that clients give them.
const KINDS: [(&str, ExchangeKind); 4] = [
    ("direct", ExchangeKind::Direct),
    ("fanout", ExchangeKind::Fanout),
    ("topic", ExchangeKind::Topic),
    ("headers", ExchangeKind::Headers),
];

/// Nobody changes the exchange without a name, and nobody is bound to it (§3.1.3.1).
pub(crate) fn check_default(name: &[u8]) -> Result<(), Fault> {
    if !name.is_empty() {
        return Ok(());
    }
    let text = "operation not permitted on the default exchange";
    Err(Fault::new(Reply::AccessRefused, text))
}

/// Makes an exchange, or finds that it is there as it is wanted.
pub(crate) async fn declare(
    session: &mut Session<'_>,
    number: u16,
    declare: &ExchangeDeclare<'_>,
) -> Result<(), Fault> {
    let caller = session.caller();
    if declare.passive {
        let name = one_line(&declare.exchange);
        let known = caller.broker.exchange(&caller.exchange_name(&name));
        if known.is_none() && !name.is_empty() {
            let missing = ExchangeError::NotFound;
            return Err(Fault::exchange(&missing, &name, caller.virtual_host));
        }
    } else {
        make(caller, declare).await?;
    }
    if let (false, Some(channel)) = (declare.nowait, session.channels.get(&number)) {
        channel.out.tell(|channel, out| put_method(channel, &ExchangeDeclareOk {}, out));
    }
    Ok(())
}

/// Makes an exchange that is wanted, if it is not there; whether it is new.
pub(crate) async fn make(caller: Caller<'_>, declare: &ExchangeDeclare<'_>) -> Result<bool, Fault> {
    let said = one_line(&declare.exchange);
    check_default(&said)?;
    check(caller, Access::Configure, "exchange", &said)?;
    let spec = spec(declare)?;
    if let Some(alternate) = &spec.alternate {
        check(caller, Access::Write, "exchange", alternate)?;
    }
    let name = caller.exchange_name(&said);
    if let Some(known) = caller.broker.exchange(&name) {
        return same(caller, &name.name, known.spec(), &spec).map(|()| false);
    }
    check_prefix("exchange", &said)?;
    let made = caller.broker.declare_exchange(&name, &spec).await;
    made.map_err(|error| Fault::exchange(&error, &name.name, caller.virtual_host))
}

fn spec(declare: &ExchangeDeclare<'_>) -> Result<ExchangeSpec, Fault> {
    let found = KINDS.iter().find(|(name, _)| name.as_bytes() == declare.kind.0);
    let unknown = || {
        let text = format!("unknown exchange type '{}'", quoted(&declare.kind));
        Fault::command_invalid(text)
    };
    let (_, kind) = found.ok_or_else(unknown)?;
    let alternate = declare.arguments.get(b"alternate-exchange");
    let alternate = alternate.map(|value| {
        let text = value.string().map(Bytes::copy_from_slice);
        text.ok_or_else(|| Fault::precondition("invalid arg 'alternate-exchange': it is no string"))
    });
    Ok(ExchangeSpec {
        kind: *kind,
        durable: declare.durable,
        auto_delete: declare.auto_delete,
        internal: declare.internal,
        alternate: alternate.transpose()?,
        arguments: Bytes::copy_from_slice(declare.arguments.bytes()),
    })
}

/// What clients call a kind.
pub(crate) fn kind_name(kind: ExchangeKind) -> &'static str {
    let found = KINDS.iter().find(|(_, known)| *known == kind);
    // The space of subjects is one to a client.
    found.map_or("topic", |(name, _)| name)
}

/// Whether an exchange is there as it is wanted; what of it is not, in RabbitMQ's words.
fn same(
    caller: Caller<'_>,
    name: &[u8],
    known: &ExchangeSpec,
    wanted: &ExchangeSpec,
) -> Result<(), Fault> {
    let of = named("exchange", name, caller.virtual_host);
    let differs = |what: &str, wanted: &str, known: &str| {
        let text = format!(
            "inequivalent arg '{what}' for {of}: received '{wanted}' but current is '{known}'"
        );
        Err(Fault::precondition(text))
    };
    let (asked, kept) = (kind_name(wanted.kind), kind_name(known.kind));
    if asked != kept {
        return differs("type", asked, kept);
    }
    let flags = [
        ("durable", wanted.durable, known.durable),
        ("auto_delete", wanted.auto_delete, known.auto_delete),
        ("internal", wanted.internal, known.internal),
    ];
    for (what, wanted, known) in flags {
        if wanted != known {
            return differs(what, &wanted.to_string(), &known.to_string());
        }
    }
    let tables = (Table::new(&wanted.arguments), Table::new(&known.arguments));
    let (Ok(asked), Ok(kept)) = tables else { return Ok(()) };
    let alternate = |table: Table<'_>| {
        let value = table.get(b"alternate-exchange");
        value.map_or("none".to_owned(), |value| crate::map::shown(&value))
    };
    let (asked, kept) = (alternate(asked), alternate(kept));
    if asked != kept {
        return differs("alternate-exchange", &asked, &kept);
    }
    Ok(())
}

/// Deletes an exchange; one that is not there is deleted already.
pub(crate) async fn delete(
    session: &mut Session<'_>,
    number: u16,
    delete: &ExchangeDelete<'_>,
) -> Result<(), Fault> {
    remove(session.caller(), delete).await?;
    if let (false, Some(channel)) = (delete.nowait, session.channels.get(&number)) {
        channel.out.tell(|channel, out| put_method(channel, &ExchangeDeleteOk {}, out));
    }
    Ok(())
}

/// Deletes an exchange, if it is there.
pub(crate) async fn remove(caller: Caller<'_>, delete: &ExchangeDelete<'_>) -> Result<(), Fault> {
    let said = one_line(&delete.exchange);
    check_default(&said)?;
    check_prefix("exchange", &said)?;
    check(caller, Access::Configure, "exchange", &said)?;
    let name = caller.exchange_name(&said);
    match caller.broker.delete_exchange(&name, delete.if_unused).await {
        Ok(()) | Err(ExchangeError::NotFound) => Ok(()),
        Err(error) => Err(Fault::exchange(&error, &name.name, caller.virtual_host)),
    }
}
