//! Virtual hosts: `/vhosts`. Those of the configuration are there always; others are made and deleted here. One is there
//! as long as its exchanges are.

use broker::exchanges::{ExchangeError, MARK, SpaceFlows};
use broker::queues::{DeleteOnly, QueueError};
use bytes::Bytes;
use serde_json::{Value as Json, json};

use super::rates::Watched;
use super::refusal::{Refusal, of_queue};
use super::routes::unknown;
use super::stats::{Figures, Looks};
use super::{Ask, Host, Outcome, connections, done, made, page, permissions, policies, text};

/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 255;

pub(super) async fn route(ask: &Ask<'_>, verb: &str, rest: &[&[u8]]) -> Outcome {
    match (verb, rest) {
        ("GET", []) => {
            let hosts = ask.shared.spaces.names();
            let (looks, flows) = (Looks::of(ask), ask.shared.broker.space_flows());
            let show = |host: &Bytes| view(ask, (&looks, &flows), host);
            let shown = hosts.iter().map(show).collect();
            page::reply(&ask.request.query, shown, page::by("name"), Json::clone).await
        }
        ("GET", [host]) => {
            let host = ask.host(host)?;
            let flows = ask.shared.broker.space_flows();
            page::one(&ask.request.query, view(ask, (&Looks::of(ask), &flows), &host.name))
        }
        ("PUT", [host]) => {
            ask.body()?;
            Ok(made(make(ask, host).await?))
        }
        ("DELETE", [host]) => delete(ask, &ask.host(host)?).await,
        ("GET", [host, b"permissions"]) => {
            permissions::list(ask, &[ask.host(host)?.name], None).await
        }
        ("GET", [host, b"connections"]) => connections::of_host(ask, Some(&ask.host(host)?)).await,
        ("GET", [host, b"channels"]) => connections::channels_of_host(ask, &ask.host(host)?).await,
        ("GET", [host, b"topic-permissions"]) => {
            ask.host(host)?;
            Ok(super::told(&json!([])))
        }
        _ => unknown(verb),
    }
}

fn view(ask: &Ask<'_>, (looks, flows): (&Looks, &SpaceFlows), host: &Bytes) -> Json {
    let space = ask.shared.spaces.find(host).unwrap_or_default();
    let flow = flows.by_space.get(&space).copied().unwrap_or_default();
    let figures = Figures::of_space(&flow, ask.shared.clients.hosts.get(host).as_slice());
    let stays = space.is_empty() || ask.shared.spaces.is_configured(host);
    let mut shown = json!({
        "name": text(host),
        "description": "",
        "tags": [],
        "metadata": { "description": "", "tags": [] },
        "default_queue_type": "classic",
        "tracing": false,
        "protected_from_deletion": stays,
        "cluster_state": { (looks.node.clone()): "running" },
        "messages": flow.ready + flow.held,
        "messages_ready": flow.ready,
        "messages_unacknowledged": flow.held,
    });
    looks.space(&Watched::Host(host.clone(), space), &figures, &mut shown);
    shown
}

/// Makes one; whether it is new.
pub(super) async fn make(ask: &Ask<'_>, name: &[u8]) -> Result<bool, Refusal> {
    ask.check_administrator()?;
    if ask.shared.spaces.find(name).is_some() {
        return Ok(false);
    }
    let has_controls = || text(name).chars().any(char::is_control);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || has_controls() {
        let reason = "the name of a virtual host has 1 to 255 bytes and no control characters";
        return Err(Refusal::bad(reason));
    }
    let made = ask.shared.spaces.make(&Bytes::copy_from_slice(name)).await;
    made.map_err(|error| Refusal::unavailable(error.to_string()))?;
    Ok(true)
}

/// Deletes one with all that is in it. Its mark goes last, so that a deletion that was cut off can be done again; what
/// clients made until then goes after that.
async fn delete(ask: &Ask<'_>, host: &Host) -> Outcome {
    ask.check_administrator()?;
    if host.space.is_empty() || ask.shared.spaces.is_configured(&host.name) {
        let reason = "the configuration has this virtual host: it stays (amqp.virtual_hosts)";
        return Err(Refusal::bad(reason));
    }
    policies::clear(ask, host).await?;
    empty(ask, host, false).await?;
    empty(ask, host, true).await?;
    ask.shared.broker.forget_space_flow(&host.space);
    ask.shared.clients.hosts.forget(&host.name);
    Ok(done())
}

/// Closes its connections, and deletes its queues and exchanges; at last the mark, too.
async fn empty(ask: &Ask<'_>, host: &Host, is_last: bool) -> Result<(), Refusal> {
    let broker = &ask.shared.broker;
    let mark = ask.caller(host).exchange_name(MARK.as_bytes());
    let refused = |error: &ExchangeError| Refusal::unavailable(error.to_string());
    if is_last {
        match broker.delete_exchange(&mark, false).await {
            Ok(()) | Err(ExchangeError::NotFound) => {}
            Err(error) => return Err(refused(&error)),
        }
    }
    connections::close_host(ask, host, "vhost is down");
    for queue in broker.queues() {
        let name = queue.name();
        if name.space != host.space {
            continue;
        }
        match broker.delete_queue(name, DeleteOnly::default(), ask.owner).await {
            // Of a connection that is being closed: it goes with that.
            Ok(_) | Err(QueueError::NotFound | QueueError::Locked) => {}
            Err(error) => return Err(of_queue(&error, &name.name, &host.name)),
        }
    }
    for exchange in broker.exchanges() {
        let name = exchange.name();
        if name.space != host.space || *name == mark {
            continue;
        }
        match broker.delete_exchange(name, false).await {
            Ok(()) | Err(ExchangeError::NotFound) => {}
            Err(error) => return Err(refused(&error)),
        }
    }
    Ok(())
}
