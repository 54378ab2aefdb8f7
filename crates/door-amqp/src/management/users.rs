//! Users: `/users`. They are the broker's own, who log in at every door; tags are what rules let them do with the cluster.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::{PasswordHash, Principal, limits};
use broker::access::{
    Actor, CLUSTER, Effect, Operation, Pattern, PatternFilter, ResourceKind, Rule, RuleFilter,
};
use door::http::StatusCode;
use door::sasl::scram;
use serde_json::{Value as Json, json};

use super::body::Body;
use super::refusal::Refusal;
use super::routes::unknown;
use super::{Ask, Outcome, done, made, page, permissions, text};

/// Who has this tag may change everything.
const ADMINISTRATOR: &str = "administrator";
/// Who has this one may look at everything.
const MONITORING: &str = "monitoring";
/// Who has this one may ask here: everybody.
const MANAGEMENT: &str = "management";

pub(super) async fn route(ask: &Ask<'_>, verb: &str, rest: &[&[u8]]) -> Outcome {
    match (verb, rest) {
        ("GET", []) => {
            ask.check_monitor()?;
            list(ask, &names(ask)).await
        }
        ("GET", [b"without-permissions"]) => {
            ask.check_monitor()?;
            let mut names = names(ask);
            names.retain(|name| permissions::has_none(ask, name));
            list(ask, &names).await
        }
        ("GET", [name]) => page::one(&ask.request.query, view(ask, &find(ask, name)?)),
        ("PUT", [name]) => Ok(made(put(ask, &text(name), &ask.body()?).await?)),
        ("DELETE", [name]) => delete(ask, &find(ask, name)?).await,
        ("POST", [b"bulk-delete"]) => bulk_delete(ask).await,
        ("GET", [name, b"permissions"]) => {
            let name = find(ask, name)?;
            permissions::list(ask, &ask.shared.spaces.names(), Some(&name)).await
        }
        ("GET", [name, b"topic-permissions"]) => {
            find(ask, name)?;
            Ok(super::told(&json!([])))
        }
        _ => unknown(verb),
    }
}

async fn list(ask: &Ask<'_>, names: &[String]) -> Outcome {
    let shown = names.iter().map(|name| view(ask, name)).collect();
    page::reply(&ask.request.query, shown, page::by("name"), Json::clone).await
}

/// All users, by name: those that are kept, and those of the configuration.
pub(super) fn names(ask: &Ask<'_>) -> Vec<String> {
    let configured = ask.configured.iter().flat_map(|users| users.keys());
    let metadata = ask.shared.broker.metadata();
    let all: BTreeSet<&String> = metadata.users.keys().chain(configured).collect();
    all.into_iter().cloned().collect()
}

/// A user that there is; they may know of themselves, and others of them with permission.
fn find(ask: &Ask<'_>, name: &[u8]) -> Result<String, Refusal> {
    let name = text(name);
    if *name != *ask.actor.principal().name {
        ask.check_monitor()?;
    }
    let is_kept = ask.shared.broker.metadata().users.contains_key(name.as_str());
    let is_there = is_kept || is_configured(ask, &name);
    is_there.then_some(name).ok_or_else(Refusal::not_found)
}

/// Whether the configuration has a user, whom nobody changes here.
pub(super) fn is_configured(ask: &Ask<'_>, name: &str) -> bool {
    ask.configured.is_some_and(|users| users.contains_key(name))
}

pub(super) fn view(ask: &Ask<'_>, name: &str) -> Json {
    // Rules that are for one address only are nobody's tag.
    let actor = ask.shared.broker.actor(Principal::user(name), "".into());
    json!({
        "name": name,
        // None that another server can use, and shown to nobody: where it is empty, there is none.
        "password_hash": "",
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": tags_of(&actor),
        "limits": {},
    })
}

/// The tags of who may do so much.
pub(super) fn tags_of(actor: &Actor) -> Vec<&'static str> {
    if actor.may_cluster(Operation::Alter) {
        vec![ADMINISTRATOR]
    } else if actor.may_cluster(Operation::Describe) {
        vec![MONITORING]
    } else {
        vec![MANAGEMENT]
    }
}

/// Makes a user, or changes one; whether it is new.
pub(super) async fn put(ask: &Ask<'_>, name: &str, body: &Body) -> Result<bool, Refusal> {
    ask.check_administrator()?;
    if is_configured(ask, name) {
        return Err(Refusal::bad(
            "the configuration has this user: change it there (login.plain_users)",
        ));
    }
    let broker = &ask.shared.broker;
    let is_new = !broker.metadata().users.contains_key(name);
    let tags = body.tags()?;
    match body.text("password")?.filter(|password| !password.is_empty()) {
        Some(password) => set_password(ask, name, password.to_owned()).await?,
        None if is_new => {
            let reason = "a password is needed: hashes of another server are of no use here";
            return Err(Refusal::bad(reason));
        }
        // Tags alone.
        None => {}
    }
    if body.has("tags") {
        set_tags(ask, name, &tags).await?;
    }
    Ok(is_new)
}

async fn set_password(ask: &Ask<'_>, name: &str, password: String) -> Result<(), Refusal> {
    let broker = &ask.shared.broker;
    let random = Arc::clone(&broker.options().random);
    let hashing = tokio::task::spawn_blocking(move || {
        let iterations = *limits::PASSWORD_ITERATIONS.start();
        PasswordHash::ALL
            .map(|hash| (hash, Some(scram::new_credential(hash, &password, iterations, &*random))))
    });
    let credentials = hashing.await;
    let credentials = credentials.map_err(|error| Refusal::unavailable(error.to_string()))?;
    Ok(broker.alter_user(name, &credentials).await?)
}

/// Makes rules for the cluster say what tags say. Other tags say nothing.
async fn set_tags(ask: &Ask<'_>, name: &str, tags: &[String]) -> Result<(), Refusal> {
    let (broker, principal) = (&ask.shared.broker, Principal::user(name));
    let has = |wanted: &str| tags.iter().any(|tag| tag == wanted);
    for operation in [Operation::Everything, Operation::Alter, Operation::Describe] {
        let filter = RuleFilter {
            kind: Some(ResourceKind::Cluster),
            pattern: PatternFilter::Any,
            principal: Some(principal.clone()),
            host: Some("*".to_owned()),
            operation: Some(operation),
            effect: Some(Effect::Allow),
            ..RuleFilter::all()
        };
        broker.remove_rules(&filter).await?;
    }
    let operation = match (has(ADMINISTRATOR), has(MONITORING)) {
        (true, _) => Operation::Everything,
        (false, true) => Operation::Describe,
        (false, false) => return Ok(()),
    };
    let rule = Rule {
        kind: ResourceKind::Cluster,
        pattern: Pattern::Literal(CLUSTER.into()),
        principal,
        host: None,
        operation,
        effect: Effect::Allow,
    };
    for added in broker.add_rules(vec![rule]).await {
        added?;
    }
    Ok(())
}

/// Deletes a user, and what rules say of them.
async fn delete(ask: &Ask<'_>, name: &str) -> Outcome {
    ask.check_administrator()?;
    let broker = &ask.shared.broker;
    if is_configured(ask, name) {
        return Err(Refusal::bad("the configuration has this user: they stay (login.plain_users)"));
    }
    let metadata = broker.metadata();
    let known = metadata.users.get(name).ok_or_else(Refusal::not_found)?;
    let gone: Vec<_> = known.credentials.keys().map(|hash| (*hash, None)).collect();
    broker.alter_user(name, &gone).await?;
    let of = RuleFilter { principal: Some(Principal::user(name)), ..RuleFilter::all() };
    broker.remove_rules(&of).await?;
    Ok(done())
}

async fn bulk_delete(ask: &Ask<'_>) -> Outcome {
    ask.check_administrator()?;
    let body: Json = serde_json::from_slice(&ask.request.body)
        .map_err(|error| Refusal::bad(format!("not_json: {error}")))?;
    let names = body.get("users").and_then(Json::as_array);
    let names = names.ok_or_else(|| Refusal::bad("key_missing: users"))?;
    for name in names {
        let name = name.as_str().ok_or_else(|| Refusal::bad("users is no list of texts"))?;
        match delete(ask, name).await {
            Ok(_) => {}
            Err(refusal) if refusal.status == StatusCode::NOT_FOUND => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(done())
}
