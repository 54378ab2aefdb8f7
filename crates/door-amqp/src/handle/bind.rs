//! `queue.bind` and `unbind`, `exchange.bind` and `unbind`.

use broker::exchanges::{
    BindTo, Binding, ExchangeError, ExchangeKind, HeaderMatch, HeaderValue, Headers,
};
use bytes::Bytes;

use crate::fault::{Fault, quoted};
use crate::handle::exchange::check_default;
use crate::handle::queue::{self, Found};
use crate::handle::{Access, Caller, check, check_key, one_line};
use crate::map;
use crate::session::Session;
use crate::wire::frame::put_method;
use crate::wire::method::{
    Arguments, ExchangeBind, ExchangeBindOk, ExchangeUnbind, ExchangeUnbindOk, QueueBind,
    QueueBindOk, QueueUnbind, QueueUnbindOk,
};
use crate::wire::table::{Table, Value};

/// From which exchange, by what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct From<'a> {
    pub(crate) exchange: &'a [u8],
    pub(crate) key: &'a [u8],
    pub(crate) arguments: Table<'a>,
}

/// A queue gets messages of an exchange.
pub(crate) async fn queue(
    session: &mut Session<'_>,
    number: u16,
    bind: &QueueBind<'_>,
) -> Result<(), Fault> {
    let name = queue::plain_name(session, number, &bind.queue)?;
    let Found { name, .. } = queue::find_named(session, name)?;
    // "If the queue name is empty, the current one is bound, by its own name if there is no key" (§1.7.2.2).
    let key = match bind.queue.is_empty() && bind.routing_key.is_empty() {
        true => &name[..],
        false => &bind.routing_key[..],
    };
    let from = From { exchange: &bind.exchange, key, arguments: bind.arguments };
    check(session.caller(), Access::Write, "queue", &name)?;
    let to = BindTo::Queue(session.queue_name(&name));
    change(session.caller(), from, &to, true).await?;
    answer(session, number, bind.nowait, &QueueBindOk {});
    Ok(())
}

/// It gets no more. Where it, the exchange or the binding is not there, that is so already: clients unbind what was
/// deleted with its last consumer.
pub(crate) async fn queue_not(
    session: &mut Session<'_>,
    number: u16,
    unbind: &QueueUnbind<'_>,
) -> Result<(), Fault> {
    let name = queue::plain_name(session, number, &unbind.queue)?;
    if let Some(queue) = session.shared.broker.queue(&session.queue_name(&name)) {
        let own = queue.check_owner(session.owner.id());
        own.map_err(|error| Fault::queue(&error, &name, &session.agreed.virtual_host))?;
    }
    let key = match unbind.queue.is_empty() && unbind.routing_key.is_empty() {
        true => &name[..],
        false => &unbind.routing_key[..],
    };
    let from = From { exchange: &unbind.exchange, key, arguments: unbind.arguments };
    check(session.caller(), Access::Write, "queue", &name)?;
    let to = BindTo::Queue(session.queue_name(&name));
    change(session.caller(), from, &to, false).await?;
    answer(session, number, false, &QueueUnbindOk {});
    Ok(())
}

/// An exchange gets messages of another.
pub(crate) async fn exchange(
    session: &mut Session<'_>,
    number: u16,
    bind: &ExchangeBind<'_>,
) -> Result<(), Fault> {
    let from = From { exchange: &bind.source, key: &bind.routing_key, arguments: bind.arguments };
    exchanges(session.caller(), from, &bind.destination, true).await?;
    answer(session, number, bind.nowait, &ExchangeBindOk {});
    Ok(())
}

/// It gets no more, as above.
pub(crate) async fn exchange_not(
    session: &mut Session<'_>,
    number: u16,
    unbind: &ExchangeUnbind<'_>,
) -> Result<(), Fault> {
    let from =
        From { exchange: &unbind.source, key: &unbind.routing_key, arguments: unbind.arguments };
    exchanges(session.caller(), from, &unbind.destination, false).await?;
    answer(session, number, unbind.nowait, &ExchangeUnbindOk {});
    Ok(())
}

/// Binds an exchange to another, or ends that.
pub(crate) async fn exchanges(
    caller: Caller<'_>,
    from: From<'_>,
    destination: &[u8],
    binds: bool,
) -> Result<(), Fault> {
    let destination = &*one_line(destination);
    check_default(destination)?;
    check(caller, Access::Write, "exchange", destination)?;
    let name = caller.exchange_name(destination);
    if binds && caller.broker.exchange(&name).is_none() {
        return Err(Fault::exchange(&ExchangeError::NotFound, destination, caller.virtual_host));
    }
    change(caller, from, &BindTo::Exchange(name), binds).await
}

/// Binds something to an exchange, or ends that. Whether the caller may send to what is bound, somebody else has asked.
pub(crate) async fn change(
    caller: Caller<'_>,
    from: From<'_>,
    to: &BindTo,
    binds: bool,
) -> Result<(), Fault> {
    let exchange = &*one_line(from.exchange);
    check_default(exchange)?;
    check_key(caller, Access::Read, exchange, from.key)?;
    let Caller { broker, virtual_host, .. } = caller;
    let source = caller.exchange_name(exchange);
    let refused = |error: &ExchangeError| Fault::exchange(error, exchange, virtual_host);
    let Some(known) = broker.exchange(&source) else {
        return if binds { Err(refused(&ExchangeError::NotFound)) } else { Ok(()) };
    };
    let matching = match known.spec().kind {
        ExchangeKind::Headers => Some(header_match(&from.arguments)?),
        _ => None,
    };
    let binding = Binding {
        key: Bytes::copy_from_slice(from.key),
        matching,
        arguments: Bytes::copy_from_slice(from.arguments.bytes()),
    };
    let changed = match binds {
        true => broker.bind(&source, to, binding).await,
        false => broker.unbind(&source, to, &binding).await,
    };
    match changed {
        // Deleted meanwhile.
        Err(ExchangeError::NotFound) if !binds => Ok(()),
        changed => changed.map_err(|error| refused(&error)),
    }
}

fn answer<M: Arguments>(session: &Session<'_>, number: u16, nowait: bool, told: &M) {
    if let (false, Some(channel)) = (nowait, session.channels.get(&number)) {
        channel.out.tell(|channel, out| put_method(channel, told, out));
    }
}

/// What a binding to a headers exchange asks for.
fn header_match(arguments: &Table<'_>) -> Result<HeaderMatch, Fault> {
    let (all, with_x) = match arguments.get(b"x-match") {
        None | Some(Value::String(b"all")) => (true, false),
        Some(Value::String(b"any")) => (false, false),
        Some(Value::String(b"all-with-x")) => (true, true),
        Some(Value::String(b"any-with-x")) => (false, true),
        Some(other) => {
            let text = format!(
                "Invalid x-match field value '{}'; expected all, any, all-with-x, or any-with-x",
                match other {
                    Value::String(text) => quoted(text),
                    other => map::shown(&other),
                }
            );
            return Err(Fault::precondition(text));
        }
    };
    let is_asked = |name: &[u8]| name != b"x-match" && (with_x || !name.starts_with(b"x-"));
    let asked = arguments.entries().filter(|(name, _)| is_asked(name));
    let headers: Headers = asked
        .map(|(name, value)| {
            // Without a value, it only has to be there.
            let value = match value {
                Value::Void => HeaderValue::Any,
                other => map::header_value(&other),
            };
            (Bytes::copy_from_slice(name), value)
        })
        .collect();
    Ok(HeaderMatch { all, headers })
}
