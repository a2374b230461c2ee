//! The description of the interface, made from the table of routes: what is not in the table is not described, and
//! what is described is served.

use std::fmt::Write as _;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::{
    auth::Role,
    route::{Permission, Route},
};

/// OpenAPI 3.1.
#[must_use]
pub fn describe(routes: &[Route]) -> String {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut schemas = settings.into_generator();
    let problem = schemas.subschema_for::<kapelle_api::Problem>();
    let mut paths: Map<String, Value> = Map::new();
    for route in routes {
        let (status, gives) = &route.gives;
        let mut answer = json!({ "description": status.canonical_reason().unwrap_or("") });
        if let Some(gives) = gives {
            answer["content"] = json!({ "application/json": { "schema": gives(&mut schemas) } });
        }
        let refusal = json!({
            "description": "Refused",
            "content": { "application/problem+json": { "schema": problem } },
        });
        let mut operation = json!({
            "summary": route.summary,
            "operationId": operation(route),
            "tags": [tag(route.path)],
            "parameters": parameters(route),
            "responses": { status.as_str(): answer, "default": refusal },
            "x-roles": roles(route),
        });
        if route.permission == Permission::Public {
            operation["security"] = json!([]);
        }
        if let Some(takes) = route.takes {
            let schema = takes(&mut schemas);
            operation["requestBody"] = json!({ "content": { "application/json": { "schema": schema } } });
        }
        if route.raw {
            let bytes = json!({ "schema": { "type": "string", "format": "binary" } });
            operation["requestBody"] = json!({ "required": true, "content": { "*/*": bytes } });
        }
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation;
    }
    let schemas = schemas.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Kapelle", "version": env!("CARGO_PKG_VERSION"), "license": { "name": "Apache-2.0" } },
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas,
        },
    })
    .to_string()
}

fn operation(route: &Route) -> String {
    let mut id = route.method.as_str().to_lowercase();
    let path = route.path.strip_prefix("/v1/").map_or(route.path, |rest| rest);
    if path != route.path {
        id.push_str("_openai");
    }
    for part in path.split('/').filter(|part| !part.is_empty() && *part != "api" && *part != "v1") {
        let _ = write!(id, "_{}", part.trim_matches(['{', '}']).replace('.', "_"));
    }
    id
}

fn tag(path: &str) -> &str {
    path.strip_prefix("/api/v1/").map_or("server", |rest| rest.split('/').next().unwrap_or(rest))
}

fn roles(route: &Route) -> Vec<&'static str> {
    Role::ALL.into_iter().filter(|role| role.may(route.permission)).map(Role::as_str).collect()
}

fn parameters(route: &Route) -> Vec<Value> {
    let of_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let text = json!({ "type": "string" });
    let mut all: Vec<Value> =
        of_path.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": text })).collect();
    all.extend(
        route
            .query
            .iter()
            .map(|(name, does)| json!({ "name": name, "in": "query", "description": does, "schema": text })),
    );
    if route.method == axum::http::Method::POST
        && matches!(route.path, "/api/v1/tasks" | "/api/v1/tasks/batch" | "/api/v1/runs")
    {
        let does = "Asking again with the same key and body gives the same answer, for seven days";
        all.push(json!({ "name": "Idempotency-Key", "in": "header", "description": does, "schema": text }));
    }
    all
}

/// The table of routes as a page for people.
#[must_use]
pub fn page(routes: &[Route]) -> String {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Kapelle: HTTP interface</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>body{font:16px/1.5 system-ui;margin:2rem auto;\
         max-width:70rem;padding:0 1rem;color-scheme:light dark}td,th{text-align:left;padding:.3rem .8rem .3rem 0;\
         vertical-align:top}code{font:14px ui-monospace,monospace}small{opacity:.7}</style></head><body>\
         <h1>Kapelle: HTTP interface</h1><p>Send <code>Authorization: Bearer TOKEN</code>. Bodies and answers are JSON. \
         The full description is at <code>/openapi.json</code>.</p><table><thead><tr><th>Route</th><th>Does</th>\
         <th>Roles</th></tr></thead><tbody>\n",
    );
    for route in routes {
        let roles =
            if route.permission == Permission::Public { "everybody".to_owned() } else { roles(route).join(", ") };
        let _ = write!(page, "<tr><td><code>{} {}</code></td><td>{}", route.method, route.path, route.summary);
        for (name, does) in route.query {
            let _ = write!(page, "<br><small><code>{name}</code> {does}</small>");
        }
        let _ = writeln!(page, "</td><td>{roles}</td></tr>");
    }
    page.push_str("</tbody></table></body></html>\n");
    page
}
