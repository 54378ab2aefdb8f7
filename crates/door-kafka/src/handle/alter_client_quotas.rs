//! AlterClientQuotas: sets and removes quotas (KIP-546).

use std::collections::HashSet;

use broker::quotas::{Entity, Name, QuotaKind};

use super::Request;
use super::describe_client_quotas::{CLIENT, IP, USER};
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use crate::wire::messages::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, alter_client_quotas_response,
};

type Refused = (ErrorCode, String);

pub(super) async fn handle(
    request: Request<'_>,
    asked: AlterClientQuotasRequest,
) -> AlterClientQuotasResponse {
    let mut response = AlterClientQuotasResponse::default();
    let mut seen = HashSet::new();
    for entry in asked.entries {
        let outcome = alter(&request, &entry, asked.validate_only, &mut seen).await;
        response.entries.push(result(entry.entity, outcome));
    }
    response
}

async fn alter(
    request: &Request<'_>,
    entry: &EntryData,
    validate_only: bool,
    seen: &mut HashSet<Entity>,
) -> Result<(), Refused> {
    let entity = entity(&entry.entity)?;
    let changes = changes(&entry.ops)?;
    if !seen.insert(entity.clone()) {
        return Err(invalid("the request names this entity twice"));
    }
    let outcome = if validate_only {
        request.broker().check_quotas(&entity, &changes)
    } else {
        request.broker().change_quotas(&entity, &changes).await
    };
    outcome.map_err(|error| (map::kind_error(error.kind()), error.to_string()))
}

fn invalid(text: &str) -> Refused {
    (ErrorCode::InvalidRequest, text.to_owned())
}

fn entity(asked: &[EntityData]) -> Result<Entity, Refused> {
    let mut entity = Entity::default();
    for part in asked {
        let place = match part.entity_type.as_str() {
            USER => &mut entity.user,
            CLIENT => &mut entity.client,
            IP => &mut entity.ip,
            other => return Err(invalid(&format!("there are no quotas of the kind '{other}'"))),
        };
        let name = match &part.entity_name {
            // An address is one however it is written.
            Some(name) if part.entity_type == IP => {
                let ip = name.parse().map(|ip: std::net::IpAddr| ip.to_canonical().to_string());
                Name::Named(ip.as_deref().unwrap_or(name).into())
            }
            Some(name) => Name::Named(name.as_str().into()),
            None => Name::Default,
        };
        if place.replace(name).is_some() {
            return Err(invalid("the entity has two names of one kind"));
        }
    }
    Ok(entity)
}

fn changes(ops: &[OpData]) -> Result<Vec<(QuotaKind, Option<f64>)>, Refused> {
    let mut changes: Vec<(QuotaKind, _)> = Vec::with_capacity(ops.len().min(8));
    for op in ops {
        let unknown = || invalid(&format!("there is no quota '{}'", op.key));
        let kind = QuotaKind::parse(&op.key).ok_or_else(unknown)?;
        if changes.iter().any(|(other, _)| *other == kind) {
            return Err(invalid(&format!("{} is given twice", op.key)));
        }
        changes.push((kind, (!op.remove).then_some(op.value)));
    }
    Ok(changes)
}

/// The answer about one entity.
pub(super) fn result(
    entity: Vec<EntityData>,
    outcome: Result<(), Refused>,
) -> alter_client_quotas_response::EntryData {
    let (code, error_message) = match outcome {
        Ok(()) => (ErrorCode::None, None),
        Err((code, text)) => (code, Some(text)),
    };
    let part = |part: EntityData| alter_client_quotas_response::EntityData {
        entity_type: part.entity_type,
        entity_name: part.entity_name,
    };
    alter_client_quotas_response::EntryData {
        error_code: code.number(),
        error_message,
        entity: entity.into_iter().map(part).collect(),
    }
}
