//! The OpenAPI document (version 3.1), made of the table of routes.

use serde_json::{Map, Value as Json, json};

use crate::ask::Ask;
use crate::routes::{self, Login, Param, ParamKind, ROUTES, Route, Told};
use crate::{Outcome, console, schema, told};

/// `/openapi.json`.
pub(crate) async fn show(_ask: &Ask) -> Outcome {
    Ok(told(&document()))
}

pub(crate) fn document() -> Json {
    let mut paths: Map<String, Json> = Map::new();
    for route in ROUTES {
        let of_path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(of_path) = of_path.as_object_mut() {
            of_path.insert(route.method.to_lowercase(), operation(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Entrepot",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Metrics, health, state, administration, publishing and consuming.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schema::all(),
            "securitySchemes": { "login": { "type": "http", "scheme": "basic" } },
        },
    })
}

fn operation(route: &Route) -> Json {
    let in_path = route.path.split('/').filter_map(routes::name).map(|name| {
        json!({ "name": name, "in": "path", "required": true, "schema": schema::in_path(name) })
    });
    let in_query = route.query.iter().map(parameter);
    let mut operation = json!({
        "operationId": route.operation,
        "summary": route.summary,
        "tags": [route.operation.split('_').next().unwrap_or_default()],
        "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
        "responses": responses(route),
    });
    let Some(fields) = operation.as_object_mut() else { return operation };
    if let Some(body) = route.body {
        let content = json!({ "application/json": { "schema": schema::reference(body) } });
        fields.insert("requestBody".to_owned(), json!({ "required": true, "content": content }));
    }
    if route.login != Login::Never {
        // Or nothing, where the listener does not ask.
        fields.insert("security".to_owned(), json!([{ "login": [] }, {}]));
    }
    operation
}

fn parameter(param: &Param) -> Json {
    let schema = match param.kind {
        ParamKind::Text => json!({ "type": "string" }),
        ParamKind::Name => json!({ "type": "string", "minLength": 1 }),
        ParamKind::Word(words) => json!({ "type": "string", "enum": words }),
        ParamKind::Words(words) => {
            let one = format!("({})", words.join("|"));
            json!({ "type": "string", "pattern": format!("^({one}(,{one})*)?$") })
        }
        ParamKind::Flag => json!({ "type": "boolean" }),
        ParamKind::Number(from, to) => {
            json!({ "type": "integer", "format": "int64", "minimum": from, "maximum": to })
        }
    };
    json!({
        "name": param.name, "in": "query", "description": param.help, "schema": schema,
        "required": param.kind == ParamKind::Name,
    })
}

/// What an answer's body is, by media type; nothing where there is none.
fn content(told: Told) -> Option<Json> {
    let text = || json!({ "schema": { "type": "string" } });
    let json = |name: &str| json!({ "schema": schema::reference(name) });
    match told {
        Told::Nothing | Told::Socket => None,
        Told::File => Some(console::kinds()),
        Told::Metrics => {
            Some(json!({ "text/plain": text(), "application/openmetrics-text": text() }))
        }
        Told::Archive => Some(json!({ "application/gzip": {} })),
        Told::Json(name) => Some(json!({ "application/json": json(name) })),
        Told::JsonOrEvents(name) => {
            Some(json!({ "application/json": json(name), "text/event-stream": text() }))
        }
    }
}

/// What can be done with what an answer says: things are named by their names.
fn links(route: &Route) -> Json {
    let topic = |operation: &str| {
        let name = "$response.body#/name";
        (operation.to_owned(), json!({ "operationId": operation, "parameters": { "topic": name } }))
    };
    let remedy = |operation: &str| {
        let number = "$response.body#/number";
        (
            operation.to_owned(),
            json!({ "operationId": operation, "parameters": { "remedy": number } }),
        )
    };
    let of: Map<String, Json> = match route.answer {
        Told::Json("Topic") => {
            let operations = ROUTES.iter().filter(|route| route.path.contains("{topic}"));
            operations.map(|route| topic(route.operation)).collect()
        }
        Told::Json("Remedy") => {
            ["remedies_apply", "remedies_undo"].map(remedy).into_iter().collect()
        }
        _ => Map::new(),
    };
    of.into()
}

fn responses(route: &Route) -> Json {
    let mut all = Map::new();
    match content(route.answer) {
        None if route.answer == Told::Socket => {
            let told = json!({ "description": "WebSocket from here on (RFC 6455)." });
            all.insert("101".to_owned(), told)
        }
        None => all.insert("204".to_owned(), json!({ "description": "It is done." })),
        Some(content) => all.insert(
            "200".to_owned(),
            json!({ "description": "It went well.", "content": content, "links": links(route) }),
        ),
    };
    let mut fails = |status: &str, why: &str| {
        let problem = json!({ "schema": schema::reference("Problem") });
        let content = json!({ "application/problem+json": problem });
        all.insert(status.to_owned(), json!({ "description": why, "content": content }));
    };
    let has_names = route.path.contains('{');
    if has_names || !route.query.is_empty() || route.body.is_some() {
        fails("400", "The request is not as it must be.");
        fails("404", "What is named is not there.");
    }
    if route.answer == Told::Socket {
        fails("426", "It asks for no upgrade to WebSocket.");
    }
    if route.login != Login::Never {
        fails("401", "A name and a password are asked for, or are wrong.");
        fails("403", "Who asks may not do this.");
    }
    if route.method != "GET" {
        fails("409", "Somebody else was first, or uses it.");
    }
    if route.body.is_some() {
        fails("413", "The body, or a message, is too large.");
        fails("415", "The body is not JSON.");
    }
    fails("503", "Not now: try again.");
    Json::Object(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that `$ref`s lead to.
    fn references(json: &Json, found: &mut Vec<String>) {
        match json {
            Json::Object(fields) => {
                for (name, value) in fields {
                    match value.as_str().filter(|_| name == "$ref") {
                        Some(path) => found.push(path.to_owned()),
                        None => references(value, found),
                    }
                }
            }
            Json::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_used() {
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for path in &found {
            let name = path.strip_prefix("#/components/schemas/").unwrap();
            assert!(schemas.contains_key(name), "{path}");
        }
        for name in schemas.keys() {
            assert!(found.contains(&format!("#/components/schemas/{name}")), "{name} is not used");
        }
    }

    #[test]
    fn every_route_is_in_the_document() {
        let document = document();
        for route in ROUTES {
            let operation = &document["paths"][route.path][route.method.to_lowercase()];
            assert_eq!(operation["operationId"], route.operation, "{route:?}");
            let names = route.path.matches('{').count();
            let parameters = operation["parameters"].as_array().unwrap();
            assert_eq!(parameters.len(), names + route.query.len(), "{route:?}");
        }
    }
}
