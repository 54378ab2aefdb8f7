//! Queues: `/queues`.

use std::sync::Arc;

use broker::queues::{DeleteOnly, Queue, QueueError, QueueName};
use bytes::Bytes;
use serde_json::{Value as Json, json};

use super::body::Body;
use super::refusal::{Refusal, of_queue};
use super::routes::unknown;
use super::stats::Looks;
use super::{
    Ask, Host, Outcome, bindings, connections, done, host_name, json, made, messages, page,
    policies, text,
};
use crate::handle::{self, Access, check};
use crate::wire::method::QueueDeclare;
use crate::wire::reader::Short;
use crate::wire::table::Table;

pub(super) async fn route(ask: &Ask<'_>, verb: &str, rest: &[&[u8]]) -> Outcome {
    match (verb, rest) {
        ("GET", []) => list(ask, None).await,
        ("GET", [host]) => list(ask, Some(&ask.host(host)?)).await,
        ("GET", [host, name]) => describe(ask, &ask.host(host)?, name),
        ("PUT", [host, name]) => {
            let host = ask.host(host)?;
            Ok(made(declare(ask, &host, name, &ask.body()?).await?))
        }
        ("DELETE", [host, name]) => delete(ask, &ask.host(host)?, name).await,
        ("GET", [host, name, b"bindings"]) => {
            let host = ask.host(host)?;
            find(ask, &host, name)?;
            bindings::of_queue(ask, &host, name).await
        }
        ("DELETE", [host, name, b"contents"]) => purge(ask, &ask.host(host)?, name).await,
        ("GET", [host, name, b"peek"]) => messages::peek(ask, &ask.host(host)?, name).await,
        ("PUT", [host, name, how @ (b"pause" | b"resume")]) => {
            pause(ask, &ask.host(host)?, name, *how == b"pause").await
        }
        ("POST", [host, name, b"get"]) => messages::get(ask, &ask.host(host)?, name).await,
        _ => unknown(verb),
    }
}

/// A queue that they may know of.
pub(super) fn find(ask: &Ask<'_>, host: &Host, name: &[u8]) -> Result<Arc<Queue>, Refusal> {
    let queue = ask.shared.broker.queue(&ask.caller(host).queue_name(name));
    queue.filter(|_| ask.sees(name)).ok_or_else(Refusal::not_found)
}

/// A queue that is to be used: nobody else has it for themselves.
pub(super) fn find_free(ask: &Ask<'_>, host: &Host, name: &[u8]) -> Result<Arc<Queue>, Refusal> {
    let queue = find(ask, host, name)?;
    let own = queue.check_owner(ask.owner);
    own.map_err(|error| of_queue(&error, name, &host.name))?;
    Ok(queue)
}

/// Those that they may know of, of one virtual host or of all, by name.
pub(super) fn visible(ask: &Ask<'_>, host: Option<&Host>) -> Vec<Arc<Queue>> {
    let mut queues = ask.shared.broker.queues();
    let is_there = |name: &QueueName| host.is_none_or(|host| host.space == name.space);
    queues.retain(|queue| is_there(queue.name()) && ask.sees(&queue.name().name));
    queues.sort_by_cached_key(|queue| {
        let QueueName { space, name } = queue.name();
        (Bytes::copy_from_slice(host_name(space)), name.clone())
    });
    queues
}

async fn list(ask: &Ask<'_>, host: Option<&Host>) -> Outcome {
    let queues = visible(ask, host);
    let name = |queue: &Arc<Queue>| text(&queue.name().name);
    let looks = Looks::of(ask);
    let show = move |queue: &Arc<Queue>| view(&looks, queue);
    page::reply(&ask.request.query, queues, name, show).await
}

fn describe(ask: &Ask<'_>, host: &Host, name: &[u8]) -> Outcome {
    let queue = find(ask, host, name)?;
    let mut shown = view(&Looks::of(ask), &queue);
    if let Some(fields) = shown.as_object_mut() {
        let consumers = connections::consumers_of(ask, &host.name, name);
        fields.insert("consumer_details".to_owned(), Json::Array(consumers));
        fields.insert("incoming".to_owned(), json!([]));
        fields.insert("deliveries".to_owned(), json!([]));
    }
    page::one(&ask.request.query, shown)
}

fn view(looks: &Looks, queue: &Arc<Queue>) -> Json {
    let (spec, counts, governing) = (queue.spec(), queue.counts(), queue.governing());
    let arguments = Table::new(&spec.arguments).unwrap_or_default();
    let kind = arguments.get(b"x-queue-type").and_then(|value| value.string());
    let kind = kind.filter(|kind| *kind != b"default").unwrap_or(b"classic");
    let mut shown = json!({
        "name": text(&queue.name().name),
        "vhost": text(host_name(&queue.name().space)),
        "type": text(kind),
        "durable": spec.durable,
        "auto_delete": spec.auto_delete,
        "exclusive": spec.exclusive,
        "arguments": json::of_table(arguments),
        "node": looks.node,
        "state": if counts.is_paused { "paused" } else { "running" },
        "messages": counts.ready + counts.held,
        "messages_ready": counts.ready,
        "messages_unacknowledged": counts.held,
        "consumers": counts.consumers,
        "policy": policies::name_of(governing.user.as_ref()),
        "operator_policy": policies::name_of(governing.operator.as_ref()),
        "effective_policy_definition": policies::effective(&governing),
    });
    looks.queue(queue, &mut shown);
    shown
}

/// Makes a queue; whether it is new.
pub(super) async fn declare(
    ask: &Ask<'_>,
    host: &Host,
    name: &[u8],
    body: &Body,
) -> Result<bool, Refusal> {
    if name.is_empty() {
        return Err(Refusal::bad("a queue has a name"));
    }
    let arguments = body.table("arguments")?;
    let declare = QueueDeclare {
        queue: Short(name),
        durable: body.flag("durable")?,
        auto_delete: body.flag("auto_delete")?,
        arguments: arguments.table(),
        ..QueueDeclare::default()
    };
    let (_, _, is_new) = handle::queue::make(ask.caller(host), &declare).await?;
    Ok(is_new)
}

async fn delete(ask: &Ask<'_>, host: &Host, name: &[u8]) -> Outcome {
    find(ask, host, name)?;
    let caller = ask.caller(host);
    check(caller, Access::Configure, "queue", name)?;
    let query = &ask.request.query;
    let only = DeleteOnly { unused: query.is("if-unused"), empty: query.is("if-empty") };
    let deleted = caller.broker.delete_queue(&caller.queue_name(name), only, ask.owner).await;
    match deleted {
        Ok(_) => Ok(done()),
        Err(QueueError::NotFound) => Err(Refusal::not_found()),
        Err(error) => Err(of_queue(&error, name, &host.name)),
    }
}

/// Nobody gets anything of a queue, or everybody does again.
async fn pause(ask: &Ask<'_>, host: &Host, name: &[u8], is_paused: bool) -> Outcome {
    find(ask, host, name)?;
    let caller = ask.caller(host);
    check(caller, Access::Configure, "queue", name)?;
    let paused = caller.broker.pause_queue(&caller.queue_name(name), is_paused, ask.owner).await;
    paused.map_err(|error| of_queue(&error, name, &host.name))?;
    Ok(done())
}

async fn purge(ask: &Ask<'_>, host: &Host, name: &[u8]) -> Outcome {
    let queue = find_free(ask, host, name)?;
    check(ask.caller(host), Access::Read, "queue", name)?;
    queue.purge().await.map_err(|error| of_queue(&error, name, &host.name))?;
    Ok(done())
}
