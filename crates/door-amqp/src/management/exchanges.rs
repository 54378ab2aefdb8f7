//! Exchanges: `/exchanges`.

use std::sync::Arc;

use broker::Broker;
use broker::exchanges::{Exchange, ExchangeKind, ExchangeName};
use broker::policies::Governing;
use bytes::Bytes;
use serde_json::{Value as Json, json};

use super::bindings::{self, Side};
use super::body::Body;
use super::rates::Watched;
use super::refusal::Refusal;
use super::routes::unknown;
use super::stats::Looks;
use super::{Ask, Host, Outcome, done, host_name, json, made, messages, page, policies, text};
use crate::handle::exchange::{kind_name, make, remove};
use crate::wire::method::{ExchangeDeclare, ExchangeDelete};
use crate::wire::reader::Short;

/// What the exchange without a name is called in a path.
const DEFAULT: &[u8] = b"amq.default";

pub(super) async fn route(ask: &Ask<'_>, verb: &str, rest: &[&[u8]]) -> Outcome {
    match (verb, rest) {
        ("GET", []) => list(ask, None).await,
        ("GET", [host]) => list(ask, Some(&ask.host(host)?)).await,
        ("GET", [host, name]) => {
            let found = find(ask, &ask.host(host)?, name)?;
            page::one(&ask.request.query, view(&Looks::of(ask), &ask.shared.broker, &found))
        }
        ("PUT", [host, name]) => {
            let host = ask.host(host)?;
            Ok(made(declare(ask, &host, of_path(name), &ask.body()?).await?))
        }
        ("DELETE", [host, name]) => delete(ask, &ask.host(host)?, name).await,
        ("POST", [host, name, b"publish"]) => {
            let host = ask.host(host)?;
            find(ask, &host, name)?;
            messages::publish(ask, &host, of_path(name)).await
        }
        ("GET", [host, name, b"bindings", side @ (b"source" | b"destination")]) => {
            let host = ask.host(host)?;
            find(ask, &host, name)?;
            let side = if *side == b"source" { Side::Source } else { Side::Destination };
            bindings::of_exchange(ask, &host, of_path(name), side).await
        }
        _ => unknown(verb),
    }
}

/// The name of an exchange in a path.
pub(super) fn of_path(name: &[u8]) -> &[u8] {
    if name == DEFAULT { b"" } else { name }
}

/// An exchange as it is shown: one that is kept, or the one without a name of a namespace.
enum Shown {
    Kept(Arc<Exchange>),
    Default(Bytes),
}

impl Shown {
    fn name(&self) -> (&[u8], &[u8]) {
        match self {
            Self::Kept(exchange) => {
                let ExchangeName { space, name } = exchange.name();
                (host_name(space), name)
            }
            Self::Default(space) => (host_name(space), b""),
        }
    }
}

fn find(ask: &Ask<'_>, host: &Host, name: &[u8]) -> Result<Shown, Refusal> {
    let name = of_path(name);
    if name.is_empty() {
        return Ok(Shown::Default(host.space.clone()));
    }
    let found = ask.shared.broker.exchange(&ask.caller(host).exchange_name(name));
    let found = found.filter(|_| ask.sees(name));
    found.map(Shown::Kept).ok_or_else(Refusal::not_found)
}

/// Those that they may know of, of one virtual host or of all.
pub(super) fn visible(ask: &Ask<'_>, host: Option<&Host>) -> Vec<Arc<Exchange>> {
    let mut exchanges = ask.shared.broker.exchanges();
    let is_there = |name: &ExchangeName| host.is_none_or(|host| host.space == name.space);
    exchanges.retain(|one| is_there(one.name()) && ask.sees(&one.name().name));
    exchanges.sort_unstable_by(|a, b| a.name().cmp(b.name()));
    exchanges
}

async fn list(ask: &Ask<'_>, host: Option<&Host>) -> Outcome {
    let spaces = match host {
        Some(host) => vec![host.space.clone()],
        None => {
            let hosts = ask.shared.spaces.names();
            hosts.iter().filter_map(|host| ask.shared.spaces.find(host)).collect()
        }
    };
    let kept = visible(ask, host).into_iter().map(Shown::Kept);
    let mut all: Vec<Shown> = spaces.into_iter().map(Shown::Default).chain(kept).collect();
    all.sort_by(|a, b| a.name().cmp(&b.name()));
    let looks = Looks::of(ask);
    let name = |one: &Shown| text(one.name().1);
    let broker = ask.shared.broker.clone();
    let show = move |one: &Shown| view(&looks, &broker, one);
    page::reply(&ask.request.query, all, name, show).await
}

fn view(looks: &Looks, broker: &Broker, shown: &Shown) -> Json {
    let (host, name) = shown.name();
    let spec = match shown {
        Shown::Kept(exchange) => Some(exchange.spec()),
        Shown::Default(_) => None,
    };
    let governing = match shown {
        Shown::Kept(exchange) => exchange.governing(),
        Shown::Default(_) => Governing::default(),
    };
    let mut fields = json!({
        "name": text(name),
        "vhost": text(host),
        "type": kind_name(spec.map_or(ExchangeKind::Direct, |spec| spec.kind)),
        "durable": spec.is_none_or(|spec| spec.durable),
        "auto_delete": spec.is_some_and(|spec| spec.auto_delete),
        "internal": spec.is_some_and(|spec| spec.internal),
        "arguments": json::of_arguments(spec.map(|spec| &spec.arguments[..]).unwrap_or_default()),
        "policy": policies::name_of(governing.user.as_ref()),
    });
    let (watched, flow) = match shown {
        Shown::Kept(exchange) => (Watched::Exchange(Arc::downgrade(exchange)), exchange.flow()),
        Shown::Default(space) => (Watched::Unnamed(space.clone()), broker.unnamed_flow(space)),
    };
    looks.exchange(&watched, flow, &mut fields);
    fields
}

/// Makes an exchange; whether it is new.
pub(super) async fn declare(
    ask: &Ask<'_>,
    host: &Host,
    name: &[u8],
    body: &Body,
) -> Result<bool, Refusal> {
    let arguments = body.table("arguments")?;
    let kind = body.text("type")?.unwrap_or("direct");
    let declare = ExchangeDeclare {
        exchange: Short(name),
        kind: Short(kind.as_bytes()),
        durable: body.flag("durable")?,
        auto_delete: body.flag("auto_delete")?,
        internal: body.flag("internal")?,
        arguments: arguments.table(),
        ..ExchangeDeclare::default()
    };
    Ok(make(ask.caller(host), &declare).await?)
}

async fn delete(ask: &Ask<'_>, host: &Host, name: &[u8]) -> Outcome {
    find(ask, host, name)?;
    let if_unused = ask.request.query.is("if-unused");
    let exchange = Short(of_path(name));
    let delete = ExchangeDelete { exchange, if_unused, ..ExchangeDelete::default() };
    remove(ask.caller(host), &delete).await?;
    Ok(done())
}
