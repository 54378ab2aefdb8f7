//! Policies: `/policies` and `/operator-policies`.

use std::sync::Arc;

use broker::policies::{Governing, Policy, PolicyError, PolicyLayer, PolicyName};
use bytes::Bytes;
use serde_json::{Value as Json, json};

use super::body::Body;
use super::refusal::Refusal;
use super::routes::unknown;
use super::{Ask, Host, Outcome, done, host_name, made, page, text};
use crate::policies::{self, Said};

/// What policies of operators are called among parameters.
const COMPONENT: &str = "operator_policy";

pub(super) async fn route(
    ask: &Ask<'_>,
    layer: PolicyLayer,
    verb: &str,
    rest: &[&[u8]],
) -> Outcome {
    ask.check_monitor()?;
    match (verb, rest) {
        ("GET", []) => list(ask, layer, None).await,
        ("GET", [host]) => list(ask, layer, Some(&ask.host(host)?)).await,
        ("GET", [host, name]) => {
            let found = ask.shared.broker.policy(&named(&ask.host(host)?, layer, name));
            let found = found.ok_or_else(Refusal::not_found)?;
            page::one(&ask.request.query, view(&found))
        }
        ("PUT", [host, name]) => {
            let name = named(&ask.host(host)?, layer, name);
            Ok(made(put(ask, name, &ask.body()?).await?))
        }
        ("DELETE", [host, name]) => {
            ask.check_administrator()?;
            ask.shared.broker.delete_policy(&named(&ask.host(host)?, layer, name)).await?;
            Ok(done())
        }
        _ => unknown(verb),
    }
}

fn named(host: &Host, layer: PolicyLayer, name: &[u8]) -> PolicyName {
    PolicyName { space: host.space.clone(), layer, name: Bytes::copy_from_slice(name) }
}

/// Those of one virtual host or of all.
fn all(ask: &Ask<'_>, layer: PolicyLayer, host: Option<&Host>) -> Vec<Arc<Policy>> {
    let is_there = |name: &PolicyName| host.is_none_or(|host| host.space == name.space);
    let mut policies = ask.shared.broker.policies();
    policies.retain(|policy| policy.name.layer == layer && is_there(&policy.name));
    policies
}

async fn list(ask: &Ask<'_>, layer: PolicyLayer, host: Option<&Host>) -> Outcome {
    let name = |policy: &Arc<Policy>| text(&policy.name.name);
    let show = |policy: &Arc<Policy>| view(policy);
    page::reply(&ask.request.query, all(ask, layer, host), name, show).await
}

fn view(policy: &Policy) -> Json {
    let (apply_to, definition) = policies::written(policy);
    json!({
        "vhost": text(host_name(&policy.name.space)),
        "name": text(&policy.name.name),
        "pattern": policy.pattern.as_str(),
        "apply-to": apply_to,
        "definition": definition,
        "priority": policy.priority,
    })
}

/// Sets a policy; whether it is new.
async fn put(ask: &Ask<'_>, name: PolicyName, body: &Body) -> Result<bool, Refusal> {
    ask.check_administrator()?;
    let missing = || Refusal::bad("key_missing: definition");
    let said = Said {
        pattern: body.needed("pattern")?,
        definition: body.json("definition").ok_or_else(missing)?,
        priority: body.json("priority"),
        apply_to: body.json("apply-to"),
    };
    let policy = policies::read(name, &said).map_err(Refusal::bad)?;
    Ok(ask.shared.broker.set_policy(policy).await?)
}

/// What queues and exchanges show of the policies that they are under.
pub(super) fn name_of(policy: Option<&Arc<Policy>>) -> Json {
    policy.map_or(Json::Null, |policy| Json::String(text(&policy.name.name)))
}

/// What holds of them.
pub(super) fn effective(governing: &Governing) -> Json {
    policies::effective(governing)
}

/// Those of users, for definitions.
pub(super) fn export(ask: &Ask<'_>, host: Option<&Host>) -> Vec<Json> {
    all(ask, PolicyLayer::User, host).iter().map(|policy| view(policy)).collect()
}

/// Those of operators, for definitions, where they are parameters.
pub(super) fn export_parameters(ask: &Ask<'_>, host: Option<&Host>) -> Vec<Json> {
    let parameter = |policy: &Arc<Policy>| {
        let mut value = view(policy);
        if let Some(fields) = value.as_object_mut() {
            fields.remove("vhost");
            fields.remove("name");
        }
        json!({
            "component": COMPONENT,
            "name": text(&policy.name.name),
            "vhost": text(host_name(&policy.name.space)),
            "value": value,
        })
    };
    all(ask, PolicyLayer::Operator, host).iter().map(parameter).collect()
}

/// Sets one of definitions.
pub(super) async fn import(ask: &Ask<'_>, host: &Host, one: &Body) -> Result<(), Refusal> {
    let name = named(host, PolicyLayer::User, one.needed("name")?.as_bytes());
    put(ask, name, one).await.map(|_| ())
}

/// Whether a parameter of definitions is a policy.
pub(super) fn is_ours(one: &Body) -> Result<bool, Refusal> {
    Ok(one.text("component")? == Some(COMPONENT))
}

/// Sets one of definitions that is a parameter.
pub(super) async fn import_parameter(
    ask: &Ask<'_>,
    host: &Host,
    one: &Body,
) -> Result<(), Refusal> {
    let name = named(host, PolicyLayer::Operator, one.needed("name")?.as_bytes());
    put(ask, name, &one.object("value")?).await.map(|_| ())
}

/// Those of a virtual host go with it.
pub(super) async fn clear(ask: &Ask<'_>, host: &Host) -> Result<(), Refusal> {
    for policy in ask.shared.broker.policies() {
        if policy.name.space != host.space {
            continue;
        }
        match ask.shared.broker.delete_policy(&policy.name).await {
            Ok(()) | Err(PolicyError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
