//! Virtual hosts: `/vhosts`. Those of the configuration are there always; others are made and deleted here. One is there
//! as long as its exchanges are.

use broker::exchanges::{ExchangeError, MARK};
use broker::queues::{DeleteOnly, QueueCounts, QueueError};
use bytes::Bytes;
use serde_json::{Map, Value as Json, json};

use super::refusal::{Refusal, of_queue};
use super::routes::unknown;
use super::{
    Ask, Host, Outcome, connections, done, made, overview, page, permissions, policies, text,
};

/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 255;

pub(super) async fn route(ask: &Ask<'_>, verb: &str, rest: &[&[u8]]) -> Outcome {
    match (verb, rest) {
        ("GET", []) => {
            let hosts = ask.shared.spaces.names();
            let counts = Counts::of(ask);
            let name = |host: &Bytes| text(host);
            page::reply(&ask.request.query, &hosts, name, |host| view(ask, &counts, host))
        }
        ("GET", [host]) => {
            let host = ask.host(host)?;
            page::one(&ask.request.query, view(ask, &Counts::of(ask), &host.name))
        }
        ("PUT", [host]) => {
            ask.body()?;
            Ok(made(make(ask, host).await?))
        }
        ("DELETE", [host]) => delete(ask, &ask.host(host)?).await,
        ("GET", [host, b"permissions"]) => permissions::list(ask, &[ask.host(host)?.name], None),
        ("GET", [host, b"connections"]) => connections::of_host(ask, Some(&ask.host(host)?)),
        ("GET", [host, b"channels"]) => connections::channels_of_host(ask, &ask.host(host)?),
        ("GET", [host, b"topic-permissions"]) => {
            ask.host(host)?;
            Ok(super::told(&json!([])))
        }
        _ => unknown(verb),
    }
}

/// How many messages each has: by namespace.
struct Counts(std::collections::HashMap<Bytes, Vec<QueueCounts>>);

impl Counts {
    fn of(ask: &Ask<'_>) -> Self {
        let mut by_space = std::collections::HashMap::<_, Vec<_>>::new();
        for queue in ask.shared.broker.queues() {
            by_space.entry(queue.name().space.clone()).or_default().push(queue.counts());
        }
        Self(by_space)
    }
}

fn view(ask: &Ask<'_>, counts: &Counts, host: &Bytes) -> Json {
    let space = ask.shared.spaces.find(host).unwrap_or_default();
    let counts = counts.0.get(&space).cloned().unwrap_or_default();
    let mut shown = match overview::totals(counts.into_iter()) {
        Json::Object(fields) => fields,
        _ => Map::new(),
    };
    let mut put = |name: &str, value: Json| shown.insert(name.to_owned(), value);
    put("name", Json::String(text(host)));
    put("description", json!(""));
    put("tags", json!([]));
    put("metadata", json!({ "description": "", "tags": [] }));
    put("default_queue_type", json!("classic"));
    put("tracing", json!(false));
    put(
        "protected_from_deletion",
        json!(space.is_empty() || ask.shared.spaces.is_configured(host)),
    );
    put("cluster_state", json!({ (overview::node_name(ask)): "running" }));
    Json::Object(shown)
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
