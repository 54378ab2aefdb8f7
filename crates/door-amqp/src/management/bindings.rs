//! Bindings: `/bindings`, and what is bound to a queue or an exchange.

use std::hash::Hasher;

use broker::exchanges::{BindTo, Binding, ExchangeName};
use bytes::Bytes;
use door::http::{Answer, HeaderValue, StatusCode, escape, header};
use serde_json::{Value as Json, json};

use super::body::Body;
use super::exchanges::{self, of_path};
use super::refusal::Refusal;
use super::routes::unknown;
use super::{Ask, Host, Outcome, done, host_name, json, page, queues, text};
use crate::handle::bind::{self, From};
use crate::handle::{Access, check};
use crate::wire::table::Table;

/// Which end of a binding an exchange is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Destination,
}

pub(super) async fn route(ask: &Ask<'_>, verb: &str, rest: &[&[u8]]) -> Outcome {
    match (verb, rest) {
        ("GET", []) => list(ask, all(ask, None)).await,
        ("GET", [host]) => list(ask, all(ask, Some(&ask.host(host)?))).await,
        (_, [host, b"e", source, kind @ (b"q" | b"e"), to, rest @ ..]) => {
            let host = ask.host(host)?;
            let pair =
                Pair { host: &host, source: of_path(source), to: to_of(ask, &host, kind, to) };
            match (verb, rest) {
                ("GET", []) => list(ask, pair.rows(ask)).await,
                ("POST", []) => post(ask, &pair).await,
                ("GET", [key]) => page::one(&ask.request.query, pair.find(ask, key)?.view()),
                ("DELETE", [key]) => delete(ask, &pair, key).await,
                _ => unknown(verb),
            }
        }
        _ => unknown(verb),
    }
}

/// What is bound: a queue (`q`), or an exchange.
fn to_of(ask: &Ask<'_>, host: &Host, kind: &[u8], name: &[u8]) -> BindTo {
    let caller = ask.caller(host);
    match kind {
        b"q" => BindTo::Queue(caller.queue_name(name)),
        _ => BindTo::Exchange(caller.exchange_name(of_path(name))),
    }
}

/// A binding, and between what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    space: Bytes,
    source: Bytes,
    to: BindTo,
    binding: Binding,
}

impl Row {
    /// What is bound.
    fn destination(&self) -> (&'static str, &Bytes) {
        match &self.to {
            BindTo::Queue(name) => ("queue", &name.name),
            BindTo::Exchange(name) => ("exchange", &name.name),
        }
    }

    /// What tells it from others of the same source and destination: the routing key, and of arguments something that
    /// depends on them. `write` makes text of a key.
    fn key(&self, write: impl Fn(&[u8]) -> String) -> String {
        let Binding { key, arguments, .. } = &self.binding;
        let mut text = if key.is_empty() { "~".to_owned() } else { write(key) };
        if !arguments.is_empty() {
            let mut hash = Fnv::default();
            hash.write(arguments);
            text.push_str(&format!("~{:016x}", hash.finish()));
        }
        text
    }

    pub(super) fn view(&self) -> Json {
        let (kind, destination) = self.destination();
        json!({
            "source": text(&self.source),
            "vhost": text(host_name(&self.space)),
            "destination": text(destination),
            "destination_type": kind,
            "routing_key": text(&self.binding.key),
            "arguments": json::of_arguments(&self.binding.arguments),
            "properties_key": self.key(escape),
        })
    }

    /// Whether what it binds, and to what, outlives the broker's process.
    pub(super) fn is_durable(&self, ask: &Ask<'_>) -> bool {
        let broker = &ask.shared.broker;
        let is_kept = |name: &ExchangeName| {
            broker.exchange(name).is_some_and(|exchange| exchange.spec().durable)
        };
        let source = ExchangeName { space: self.space.clone(), name: self.source.clone() };
        is_kept(&source)
            && match &self.to {
                BindTo::Queue(name) => broker.queue(name).is_some_and(|queue| queue.is_stored()),
                BindTo::Exchange(name) => is_kept(name),
            }
    }

    /// Whether it is the one that every queue has without asking.
    pub(super) fn is_default(&self) -> bool {
        self.source.is_empty()
    }
}

/// The hash of Fowler, Noll and Vo (FNV-1a): the same on every machine and in every version.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// All that they may know of, of one virtual host or of all, in order.
pub(super) fn all(ask: &Ask<'_>, host: Option<&Host>) -> Vec<Row> {
    let mut rows = Vec::new();
    for queue in queues::visible(ask, host) {
        let (name, source) = (queue.name().clone(), Bytes::new());
        // By its name, every queue is bound to the exchange without one.
        let binding = Binding { key: name.name.clone(), ..Binding::default() };
        rows.push(Row { space: name.space.clone(), source, to: BindTo::Queue(name), binding });
    }
    for exchange in exchanges::visible(ask, host) {
        let name = exchange.name();
        let of = exchange.bindings().into_iter().map(|(to, binding)| Row {
            space: name.space.clone(),
            source: name.name.clone(),
            to,
            binding,
        });
        rows.extend(of.filter(|row| ask.sees(row.destination().1)));
    }
    rows.sort_unstable();
    rows
}

async fn list(ask: &Ask<'_>, rows: Vec<Row>) -> Outcome {
    page::reply(&ask.request.query, rows, |row| text(&row.source), Row::view).await
}

/// How a queue is bound.
pub(super) async fn of_queue(ask: &Ask<'_>, host: &Host, name: &[u8]) -> Outcome {
    let mut rows = all(ask, Some(host));
    rows.retain(|row| matches!(&row.to, BindTo::Queue(to) if to.name == name));
    list(ask, rows).await
}

/// What is bound to an exchange, or what that is bound to.
pub(super) async fn of_exchange(ask: &Ask<'_>, host: &Host, name: &[u8], side: Side) -> Outcome {
    let mut rows = all(ask, Some(host));
    rows.retain(|row| match side {
        Side::Source => row.source == name,
        Side::Destination => matches!(&row.to, BindTo::Exchange(to) if to.name == name),
    });
    list(ask, rows).await
}

/// An exchange and what is bound to it.
struct Pair<'a> {
    host: &'a Host,
    source: &'a [u8],
    to: BindTo,
}

impl Pair<'_> {
    fn rows(&self, ask: &Ask<'_>) -> Vec<Row> {
        let mut rows = all(ask, Some(self.host));
        rows.retain(|row| row.source == self.source && row.to == self.to);
        rows
    }

    /// The binding of this key; clients may have taken its escapes for those of the path.
    fn find(&self, ask: &Ask<'_>, key: &[u8]) -> Result<Row, Refusal> {
        let is_it =
            |row: &Row| row.key(escape).as_bytes() == key || row.key(text).as_bytes() == key;
        self.rows(ask).into_iter().find(is_it).ok_or_else(Refusal::not_found)
    }

    /// Where a binding of it is found.
    fn path(&self, row: &Row) -> String {
        let (kind, destination) = row.destination();
        let (host, source) = (escape(&self.host.name), escape(self.source));
        let letter = if kind == "queue" { 'q' } else { 'e' };
        let (to, key) = (escape(destination), escape(row.key(escape).as_bytes()));
        format!("/api/bindings/{host}/e/{source}/{letter}/{to}/{key}")
    }
}

async fn post(ask: &Ask<'_>, pair: &Pair<'_>) -> Outcome {
    let body = ask.body()?;
    let (key, arguments) = bind_one(ask, pair.host, (pair.source, &pair.to), &body).await?;
    let binding = Binding { key, matching: None, arguments };
    let (space, source) = (pair.host.space.clone(), Bytes::copy_from_slice(pair.source));
    let row = Row { space, source, to: pair.to.clone(), binding };
    let answer = Answer::empty(StatusCode::CREATED);
    // A path of escapes is always a value.
    Ok(match HeaderValue::from_str(&pair.path(&row)) {
        Ok(path) => answer.with(header::LOCATION, path).into(),
        Err(_) => answer.into(),
    })
}

/// Binds a queue or an exchange to an exchange, as a body says: by which key, with which arguments.
pub(super) async fn bind_one(
    ask: &Ask<'_>,
    host: &Host,
    (source, to): (&[u8], &BindTo),
    body: &Body,
) -> Result<(Bytes, Bytes), Refusal> {
    let key = body.text("routing_key")?.unwrap_or_default().as_bytes();
    let arguments = body.table("arguments")?;
    change(ask, host, From { exchange: source, key, arguments: arguments.table() }, to, true)
        .await?;
    Ok((Bytes::copy_from_slice(key), arguments.into_bytes().into()))
}

async fn delete(ask: &Ask<'_>, pair: &Pair<'_>, key: &[u8]) -> Outcome {
    let row = pair.find(ask, key)?;
    let arguments = Table::new(&row.binding.arguments).unwrap_or_default();
    let from = From { exchange: pair.source, key: &row.binding.key, arguments };
    change(ask, pair.host, from, &pair.to, false).await?;
    Ok(done())
}

async fn change(
    ask: &Ask<'_>,
    host: &Host,
    from: From<'_>,
    to: &BindTo,
    binds: bool,
) -> Result<(), Refusal> {
    let caller = ask.caller(host);
    match to {
        BindTo::Exchange(name) => bind::exchanges(caller, from, &name.name, binds).await?,
        BindTo::Queue(name) => {
            queues::find_free(ask, host, &name.name)?;
            check(caller, Access::Write, "queue", &name.name)?;
            bind::change(caller, from, to, binds).await?;
        }
    }
    Ok(())
}
