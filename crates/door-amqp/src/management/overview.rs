//! The broker as such: `/overview`, `/whoami`, `/nodes`, `/health`, `/aliveness-test`.

use bytes::Bytes;
use door::http::{Answer, StatusCode};
use serde_json::{Value as Json, json};

use super::messages::{self, Sent};
use super::rates::Watched;
use super::refusal::Refusal;
use super::routes::unknown;
use super::stats::{Figures, Looks};
use super::{Ask, Outcome, page, told, users};
use crate::handle;
use crate::handshake::RABBITMQ_VERSION;
use crate::wire::method::QueueDeclare;
use crate::wire::reader::Short;

/// The queue of `/aliveness-test`.
const ALIVENESS: &[u8] = b"aliveness-test";

pub(super) fn route(ask: &Ask<'_>, verb: &str, kind: &[u8], rest: &[&[u8]]) -> Outcome {
    match (verb, kind, rest) {
        ("GET", b"overview", []) => page::one(&ask.request.query, overview(ask)),
        ("GET", b"whoami", []) => {
            Ok(told(&json!({ "name": ask.user, "tags": users::tags_of(&ask.actor) })))
        }
        ("GET", b"nodes", []) => page::one(&ask.request.query, json!([node(ask)])),
        ("GET", b"nodes", [name]) if *name == node_name(ask).as_bytes() => {
            page::one(&ask.request.query, node(ask))
        }
        ("GET", b"cluster-name", []) => {
            Ok(told(&json!({ "name": ask.shared.options.cluster_name })))
        }
        _ => unknown(verb),
    }
}

/// What the one node is called.
pub(super) fn node_name(ask: &Ask<'_>) -> String {
    format!("entrepot@{}", ask.shared.broker.id().0)
}

fn overview(ask: &Ask<'_>) -> Json {
    let broker = &ask.shared.broker;
    let queues = broker.queues();
    let clients = ask.shared.clients.all();
    let channels: usize = clients.iter().map(|client| client.channels().len()).sum();
    let flow = broker.space_flows().all;
    let figures = Figures::of_space(&flow, &ask.shared.clients.hosts.all());
    let mut totals = json!({
        "messages": flow.ready + flow.held,
        "messages_ready": flow.ready,
        "messages_unacknowledged": flow.held,
    });
    let looks = Looks::of(ask);
    looks.space(&Watched::All, &figures, &mut totals);
    let stats = totals.as_object_mut().and_then(|fields| fields.remove("message_stats"));
    let kind = |name: &str| json!({ "name": name, "description": "", "enabled": true });
    json!({
        "management_version": RABBITMQ_VERSION,
        "rabbitmq_version": RABBITMQ_VERSION,
        "product_name": "RabbitMQ",
        "product_version": RABBITMQ_VERSION,
        "erlang_version": "",
        "erlang_full_version": concat!("none: Entrepot ", env!("CARGO_PKG_VERSION")),
        "rates_mode": "basic",
        "cluster_name": ask.shared.options.cluster_name,
        "node": node_name(ask),
        "exchange_types": [kind("direct"), kind("fanout"), kind("headers"), kind("topic")],
        "message_stats": stats.unwrap_or_else(|| json!({})),
        "churn_rates": {},
        "queue_totals": totals,
        "object_totals": {
            "channels": channels,
            "connections": clients.len(),
            "consumers": flow.consumers,
            // The one without a name, which every virtual host has, is not kept.
            "exchanges": broker.exchanges().len() + ask.shared.spaces.names().len(),
            "queues": queues.len(),
        },
        "statistics_db_event_queue": 0,
        "listeners": [],
        "contexts": [{
            "node": node_name(ask), "description": "RabbitMQ Management", "path": "/", "ssl_opts": [],
        }],
        "disable_stats": false,
        "enable_queue_totals": false,
        "default_queue_type": "classic",
        "is_op_policy_updating_enabled": true,
    })
}

fn node(ask: &Ask<'_>) -> Json {
    let broker = &ask.shared.broker;
    json!({
        "name": node_name(ask),
        "type": "disc",
        "running": true,
        "being_drained": false,
        "uptime": broker.now().saturating_sub(broker.started_at()).max(0),
        "processors": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "mem_alarm": false,
        "disk_free_alarm": broker.health().is_err(),
        "rates_mode": "basic",
        "partitions": [],
        "cluster_links": [],
        "applications": [],
        "auth_mechanisms": [],
        "exchange_types": [],
        "enabled_plugins": ["rabbitmq_management"],
        "contexts": [],
    })
}

/// Health checks: those whose answer is known here.
pub(super) fn health(ask: &Ask<'_>, verb: &str, rest: &[&[u8]]) -> Outcome {
    let ok = || Ok(told(&json!({ "status": "ok" })));
    match (verb, rest) {
        // Nothing is acknowledged while the disk is full or failing: the one alarm that there is.
        ("GET", [b"checks", b"alarms" | b"local-alarms"]) => match ask.shared.broker.health() {
            Ok(()) => ok(),
            Err(error) => {
                let alarm = json!({ "node": node_name(ask), "resource": "disk" });
                let reason = error.to_string();
                failed(&json!({ "status": "failed", "reason": reason, "alarms": [alarm] }))
            }
        },
        // As it was asked before there were several: whether anything is wrong.
        ("GET", [b"node"]) => old_health(ask),
        ("GET", [b"node", name]) if *name == node_name(ask).as_bytes() => old_health(ask),
        // One broker has no mirrors, and what it answers it serves.
        (
            "GET",
            [
                b"checks",
                b"virtual-hosts"
                | b"node-is-quorum-critical"
                | b"node-is-mirror-sync-critical"
                | b"is-in-service"
                | b"ready-to-serve-clients"
                | b"below-node-connection-limit",
            ],
        )
        | ("GET", [b"checks", b"protocol-listener", b"amqp" | b"amqp091" | b"http"]) => ok(),
        ("GET", [b"checks", b"protocol-listener", protocol]) => {
            let reason = format!("no active listener for {}", super::text(protocol));
            failed(&json!({ "status": "failed", "reason": reason }))
        }
        _ => unknown(verb),
    }
}

fn old_health(ask: &Ask<'_>) -> Outcome {
    Ok(told(&match ask.shared.broker.health() {
        Ok(()) => json!({ "status": "ok" }),
        Err(error) => json!({ "status": "failed", "reason": error.to_string() }),
    }))
}

fn failed(json: &Json) -> Outcome {
    Ok(Answer::json(StatusCode::SERVICE_UNAVAILABLE, json.to_string()).into())
}

/// Declares a queue, publishes to it and takes the message out again.
pub(super) async fn aliveness(ask: &Ask<'_>, verb: &str, rest: &[&[u8]]) -> Outcome {
    let ("GET", [host]) = (verb, rest) else { return unknown(verb) };
    let host = ask.host(host)?;
    let caller = ask.caller(&host);
    let declare = QueueDeclare { queue: Short(ALIVENESS), ..QueueDeclare::default() };
    let (_, queue, _) = handle::queue::make(caller, &declare).await?;
    handle::check(caller, handle::Access::Read, "queue", ALIVENESS)?;
    let sent = Sent {
        exchange: b"",
        key: ALIVENESS,
        properties: Bytes::new(),
        payload: Bytes::from_static(b"test_message"),
    };
    messages::send(ask, &host, &sent).await?;
    let holder = ask.shared.broker.new_holder(0);
    let got = queue.get(&holder, true).await;
    let got =
        got.map_err(|error| super::refusal::of_queue(&error, ALIVENESS, caller.virtual_host))?;
    match got {
        Some(_) => Ok(told(&json!({ "status": "ok" }))),
        None => Err(Refusal::unavailable("the message that was sent is not there")),
    }
}
