//! Every path, on one page.

use broker::policies::PolicyLayer;

use super::refusal::Refusal;
use super::{
    Ask, Outcome, bindings, connections, definitions, exchanges, overview, permissions, policies,
    queues, told, users, virtual_hosts,
};

/// Does what a request asks for.
pub(super) async fn route(ask: &Ask<'_>) -> Outcome {
    let path: Vec<&[u8]> = ask.request.path.iter().map(|part| &part[..]).collect();
    let [b"api", kind, rest @ ..] = &path[..] else { return Err(Refusal::not_found()) };
    let verb = ask.verb();
    match *kind {
        b"queues" => queues::route(ask, verb, rest).await,
        b"exchanges" => exchanges::route(ask, verb, rest).await,
        b"bindings" => bindings::route(ask, verb, rest).await,
        b"connections" => connections::route_connections(ask, verb, rest).await,
        b"channels" => connections::route_channels(ask, verb, rest).await,
        b"consumers" => connections::route_consumers(ask, verb, rest).await,
        b"vhosts" => virtual_hosts::route(ask, verb, rest).await,
        b"users" => users::route(ask, verb, rest).await,
        b"permissions" => permissions::route(ask, verb, rest).await,
        b"policies" => policies::route(ask, PolicyLayer::User, verb, rest).await,
        b"operator-policies" => policies::route(ask, PolicyLayer::Operator, verb, rest).await,
        b"definitions" => definitions::route(ask, verb, rest).await,
        b"aliveness-test" => overview::aliveness(ask, verb, rest).await,
        b"health" | b"healthchecks" => overview::health(ask, verb, rest),
        b"overview" | b"whoami" | b"nodes" | b"cluster-name" => {
            overview::route(ask, verb, kind, rest)
        }
        // There are none: these are lists with nothing in them.
        b"parameters" | b"global-parameters" | b"topic-permissions" | b"extensions"
        | b"vhost-limits" | b"user-limits" | b"federation-links" | b"shovels"
        | b"feature-flags" => nothing(verb),
        _ => Err(Refusal::not_found()),
    }
}

fn nothing(verb: &str) -> Outcome {
    match verb {
        "GET" => Ok(told(&serde_json::json!([]))),
        _ => Err(Refusal::method()),
    }
}

/// What a path that is not on the page of its kind is told.
pub(super) fn unknown(verb: &str) -> Outcome {
    match verb {
        "GET" => Err(Refusal::not_found()),
        _ => Err(Refusal::method()),
    }
}
