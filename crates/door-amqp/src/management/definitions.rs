//! All that was declared, to be kept and brought back: `/definitions`.
//!
//! Passwords are not in it: their hashes are of no use to another server, nor are a RabbitMQ's here. Users who come with
//! nothing but a hash are passed over, unless they are there already.

use broker::exchanges::BindTo;
use serde_json::{Map, Value as Json, json};

use super::bindings::{self, bind_one};
use super::body::Body;
use super::refusal::Refusal;
use super::routes::unknown;
use super::{
    Ask, Host, Outcome, done, exchanges, host_name, json, permissions, policies, queues, text,
    told, users, virtual_hosts,
};
use crate::handle::exchange::kind_name;
use crate::handshake::RABBITMQ_VERSION;
use crate::limits::MANAGEMENT_DEFINITIONS_VALUES_MAX;

pub(super) async fn route(ask: &Ask<'_>, verb: &str, rest: &[&[u8]]) -> Outcome {
    ask.check_administrator()?;
    match (verb, rest) {
        ("GET", []) => Ok(told(&export(ask, None))),
        ("GET", [host]) => Ok(told(&export(ask, Some(&ask.host(host)?)))),
        ("POST", []) => import(ask, None).await,
        ("POST", [host]) => import(ask, Some(&ask.host(host)?)).await,
        _ => unknown(verb),
    }
}

/// Without the virtual host, where all are of one.
fn without_host(mut json: Json, host: Option<&Host>) -> Json {
    if let (Some(fields), Some(_)) = (json.as_object_mut(), host) {
        fields.remove("vhost");
    }
    json
}

fn export(ask: &Ask<'_>, host: Option<&Host>) -> Json {
    let mut all = Map::new();
    let mut put = |name: &str, value: Json| all.insert(name.to_owned(), value);
    put("rabbit_version", json!(RABBITMQ_VERSION));
    put("rabbitmq_version", json!(RABBITMQ_VERSION));
    put("product_name", json!("RabbitMQ"));
    put("product_version", json!(RABBITMQ_VERSION));
    put(
        "rabbitmq_definition_format",
        json!(if host.is_some() { "single_virtual_host" } else { "cluster" }),
    );
    put("explanation", json!("Definitions of an Entrepot broker"));
    if host.is_none() {
        let hosts = ask.shared.spaces.names();
        let names = users::names(ask);
        put("users", names.iter().map(|name| users::view(ask, name)).collect());
        put("vhosts", hosts.iter().map(|host| json!({ "name": text(host) })).collect());
        put("permissions", permissions::all(ask, &hosts, &names).into());
        put("topic_permissions", json!([]));
        put("global_parameters", json!([]));
    }
    let of = |all: Vec<Json>| all.into_iter().map(|one| without_host(one, host)).collect();
    put("parameters", of(policies::export_parameters(ask, host)));
    put("policies", of(policies::export(ask, host)));
    put("queues", queues_of(ask, host));
    put("exchanges", exchanges_of(ask, host));
    put("bindings", bindings_of(ask, host));
    Json::Object(all)
}

/// Those that outlive the broker's process.
fn queues_of(ask: &Ask<'_>, host: Option<&Host>) -> Json {
    let kept = queues::visible(ask, host).into_iter().filter(|queue| queue.is_stored());
    let shown = kept.map(|queue| {
        let (name, spec) = (queue.name(), queue.spec());
        let shown = json!({
            "name": text(&name.name),
            "vhost": text(host_name(&name.space)),
            "durable": spec.durable,
            "auto_delete": spec.auto_delete,
            "arguments": json::of_arguments(&spec.arguments),
        });
        without_host(shown, host)
    });
    shown.collect()
}

fn exchanges_of(ask: &Ask<'_>, host: Option<&Host>) -> Json {
    let all = exchanges::visible(ask, host).into_iter();
    let kept = all.filter(|one| one.spec().durable && !one.name().name.starts_with(b"amq."));
    let shown = kept.map(|exchange| {
        let (name, spec) = (exchange.name(), exchange.spec());
        let shown = json!({
            "name": text(&name.name),
            "vhost": text(host_name(&name.space)),
            "type": kind_name(spec.kind),
            "durable": spec.durable,
            "auto_delete": spec.auto_delete,
            "internal": spec.internal,
            "arguments": json::of_arguments(&spec.arguments),
        });
        without_host(shown, host)
    });
    shown.collect()
}

/// Those of what is in the definitions, too.
fn bindings_of(ask: &Ask<'_>, host: Option<&Host>) -> Json {
    let is_kept = |row: &bindings::Row| !row.is_default() && row.is_durable(ask);
    let rows = bindings::all(ask, host);
    let shown = rows.iter().filter(|row| is_kept(row)).map(|row| {
        let mut shown = row.view();
        if let Some(fields) = shown.as_object_mut() {
            fields.remove("properties_key");
        }
        without_host(shown, host)
    });
    shown.collect()
}

/// Declares what a body says. What is there already and is not the same is refused, and what comes after it not done.
async fn import(ask: &Ask<'_>, host: Option<&Host>) -> Outcome {
    let mut body = Body::parse(&ask.request.body, MANAGEMENT_DEFINITIONS_VALUES_MAX)?;
    if host.is_none() {
        for one in body.take_list("vhosts")? {
            virtual_hosts::make(ask, one.needed("name")?.as_bytes()).await?;
        }
        for one in body.take_list("users")? {
            import_user(ask, &one).await?;
        }
        let mut permissions = body.take_list("permissions")?;
        // They are set for this one, and are those of all then.
        permissions.sort_by_key(|one| !matches!(one.text("vhost"), Ok(Some("/"))));
        for one in permissions {
            let (host, user) = (one.needed("vhost")?.as_bytes(), one.needed("user")?);
            permissions::put(ask, (host, user), &one).await?;
        }
    }
    import_policies(ask, host, &mut body).await?;
    for one in body.take_list("exchanges")? {
        let host = host_of(ask, host, &one)?;
        exchanges::declare(ask, &host, one.needed("name")?.as_bytes(), &one).await?;
    }
    for one in body.take_list("queues")? {
        let host = host_of(ask, host, &one)?;
        queues::declare(ask, &host, one.needed("name")?.as_bytes(), &one).await?;
    }
    for one in body.take_list("bindings")? {
        let host = host_of(ask, host, &one)?;
        import_binding(ask, &host, &one).await?;
    }
    Ok(done())
}

async fn import_policies(
    ask: &Ask<'_>,
    host: Option<&Host>,
    body: &mut Body,
) -> Result<(), Refusal> {
    for one in body.take_list("policies")? {
        policies::import(ask, &host_of(ask, host, &one)?, &one).await?;
    }
    for one in body.take_list("parameters")? {
        if policies::is_ours(&one)? {
            policies::import_parameter(ask, &host_of(ask, host, &one)?, &one).await?;
        } else {
            let component = one.text("component")?.unwrap_or_default();
            tracing::warn!(component, "definitions: a parameter that has no effect is passed over");
        }
    }
    Ok(())
}

/// The virtual host that is asked for, or the one that is written there.
fn host_of(ask: &Ask<'_>, host: Option<&Host>, one: &Body) -> Result<Host, Refusal> {
    match host {
        Some(Host { name, space }) => Ok(Host { name: name.clone(), space: space.clone() }),
        None => ask.host(one.needed("vhost")?.as_bytes()),
    }
}

async fn import_user(ask: &Ask<'_>, one: &Body) -> Result<(), Refusal> {
    let name = one.needed("name")?;
    if users::is_configured(ask, name) {
        return Ok(());
    }
    let is_known = ask.shared.broker.metadata().users.contains_key(name);
    if !is_known && one.text("password")?.is_none_or(str::is_empty) {
        tracing::warn!(user = name, "definitions: a user without a password is passed over");
        return Ok(());
    }
    users::put(ask, name, one).await.map(|_| ())
}

async fn import_binding(ask: &Ask<'_>, host: &Host, one: &Body) -> Result<(), Refusal> {
    let (source, to) = (one.needed("source")?.as_bytes(), one.needed("destination")?.as_bytes());
    let caller = ask.caller(host);
    let to = match one.needed("destination_type")? {
        "queue" => BindTo::Queue(caller.queue_name(to)),
        "exchange" => BindTo::Exchange(caller.exchange_name(to)),
        other => return Err(Refusal::bad(format!("unknown destination_type '{other}'"))),
    };
    bind_one(ask, host, (source, &to), one).await.map(|_| ())
}
