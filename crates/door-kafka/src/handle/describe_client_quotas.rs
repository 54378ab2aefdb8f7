//! DescribeClientQuotas: the quotas that a filter finds (KIP-546).

use broker::quotas::{Entity, Name};

use super::Request;
use crate::wire::ErrorCode;
use crate::wire::messages::describe_client_quotas_request::ComponentData;
use crate::wire::messages::describe_client_quotas_response::{EntityData, EntryData, ValueData};
use crate::wire::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};

/// Kinds of entities.
pub(super) const USER: &str = "user";
pub(super) const CLIENT: &str = "client-id";
pub(super) const IP: &str = "ip";

/// How a component of the filter is meant.
const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const ANY: i8 = 2;

/// One component: which part of an entity, and what it must be; any, if absent.
struct Component {
    kind: &'static str,
    wanted: Option<Name>,
}

pub(super) async fn handle(
    request: Request<'_>,
    asked: DescribeClientQuotasRequest,
) -> DescribeClientQuotasResponse {
    let components = match parse(&asked.components) {
        Ok(components) => components,
        Err((code, text)) => {
            return DescribeClientQuotasResponse {
                error_code: code.number(),
                error_message: Some(text),
                ..DescribeClientQuotasResponse::default()
            };
        }
    };
    let matches = |entity: &Entity| {
        let all = components.iter().all(|component| {
            let part = part(entity, component.kind);
            part.is_some_and(|name| component.wanted.as_ref().is_none_or(|wanted| wanted == name))
        });
        let parts = [USER, CLIENT, IP].iter().filter(|kind| part(entity, kind).is_some()).count();
        all && (!asked.strict || parts == components.len())
    };
    let metadata = request.broker().metadata();
    let found = metadata.quotas.iter().filter(|(entity, _)| matches(entity));
    let entry = |(entity, limits): (&Entity, &std::collections::BTreeMap<_, f64>)| EntryData {
        entity: [USER, CLIENT, IP].iter().filter_map(|kind| data(entity, kind)).collect(),
        values: limits
            .iter()
            .map(|(kind, limit): (&broker::quotas::QuotaKind, _)| ValueData {
                key: kind.as_str().to_owned(),
                value: *limit,
            })
            .collect(),
    };
    DescribeClientQuotasResponse {
        entries: Some(found.map(entry).collect()),
        ..DescribeClientQuotasResponse::default()
    }
}

fn parse(asked: &[ComponentData]) -> Result<Vec<Component>, (ErrorCode, String)> {
    let invalid = |text: String| (ErrorCode::InvalidRequest, text);
    let mut components: Vec<Component> = Vec::new();
    for component in asked {
        let kind = [USER, CLIENT, IP].into_iter().find(|kind| *kind == component.entity_type);
        let Some(kind) = kind else {
            let text = format!("there are no quotas of the kind '{}'", component.entity_type);
            return Err((ErrorCode::UnsupportedVersion, text));
        };
        if components.iter().any(|other| other.kind == kind) {
            return Err(invalid(format!("the filter has {kind} twice")));
        }
        let wanted = match (component.match_type, &component.match_) {
            (EXACT, Some(name)) => Some(Name::Named(name.as_str().into())),
            (DEFAULT, None) => Some(Name::Default),
            (ANY, None) => None,
            (EXACT, None) => return Err(invalid("an exact match needs a name".to_owned())),
            (DEFAULT | ANY, Some(_)) => {
                return Err(invalid("only an exact match has a name".to_owned()));
            }
            _ => return Err(invalid("the match type is not one".to_owned())),
        };
        components.push(Component { kind, wanted });
    }
    let has = |kind| components.iter().any(|component| component.kind == kind);
    if has(IP) && (has(USER) || has(CLIENT)) {
        return Err(invalid("an address goes with neither user nor client".to_owned()));
    }
    Ok(components)
}

fn part<'a>(entity: &'a Entity, kind: &str) -> Option<&'a Name> {
    match kind {
        USER => entity.user.as_ref(),
        CLIENT => entity.client.as_ref(),
        _ => entity.ip.as_ref(),
    }
}

fn data(entity: &Entity, kind: &str) -> Option<EntityData> {
    let entity_name = match part(entity, kind)? {
        Name::Default => None,
        Name::Named(name) => Some(name.as_ref().to_owned()),
    };
    Some(EntityData { entity_type: kind.to_owned(), entity_name })
}
