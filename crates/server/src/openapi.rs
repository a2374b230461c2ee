//! The description of the interface, made from the table of routes, so that exactly the served routes are described.

use std::fmt::Write as _;

use axum::http::{Method, StatusCode};
use kapelle_app::{Permission, Role};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::route::Route;

/// Returns the OpenAPI 3.1 document.
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
        let schema = gives.map_or_else(|| json!({}), |gives| json!({ "schema": gives(&mut schemas) }));
        let mut answers = json!({ status.as_str(): {
            "description": status.canonical_reason().unwrap_or(""),
            "content": { route.media: schema },
        }});
        if route.openai {
            // The shapes that the SDKs of OpenAI read; some are the provider's own.
            let any = json!({ "application/json": {}, "text/event-stream": {} });
            answers["default"] = json!({ "description": "As in the API of OpenAI", "content": any });
        }
        for status in refusals(route).into_iter().filter(|_| !route.openai) {
            let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("");
            answers[status.to_string()] = json!({
                "description": reason,
                "content": { "application/problem+json": { "schema": problem } },
            });
        }
        if route.marked {
            answers["304"] = json!({ "description": "Unchanged since `If-None-Match`" });
        }
        let mut operation = json!({
            "summary": route.summary,
            "operationId": operation(route),
            "tags": [tag(route.path)],
            "parameters": parameters(route),
            "responses": answers,
            "x-roles": roles(route),
        });
        if route.permission == Permission::Public {
            operation["security"] = json!([]);
        }
        if let Some(takes) = route.takes {
            let schema = takes(&mut schemas);
            operation["requestBody"] = json!({ "content": { "application/json": { "schema": schema } } });
        }
        if let Some(messages) = route.messages {
            operation["x-messages"] = json!({ "schema": messages(&mut schemas) });
        }
        if route.raw {
            let bytes = json!({ "schema": { "type": "string", "format": "binary" } });
            operation["requestBody"] = json!({ "required": true, "content": { "*/*": bytes } });
        }
        let path = paths.entry(route.path.replace("{*", "{")).or_insert_with(|| json!({}));
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

/// Returns the statuses with which a route may refuse. Invalid HTTP is refused before a route is chosen.
fn refusals(route: &Route) -> Vec<u16> {
    let mut all = vec![400, 403, 413, 421, 500, 503];
    if route.permission != Permission::Public || route.path.ends_with("/sessions") {
        all.push(401);
    }
    if route.permission != Permission::Public || route.path.contains("{link}") || route.body > 0 {
        all.push(429);
    }
    if route.path.contains('{') {
        all.push(404);
    }
    if route.method != Method::GET {
        all.extend([408, 409, 415, 422, 507]);
    }
    all.sort_unstable();
    all
}

fn operation(route: &Route) -> String {
    let mut id = route.method.as_str().to_lowercase();
    let path = route.path.strip_prefix("/v1/").map_or(route.path, |rest| rest);
    if path != route.path {
        id.push_str(if path.starts_with("messages") { "_anthropic" } else { "_openai" });
    }
    for part in path.split('/').filter(|part| !part.is_empty() && *part != "api" && *part != "v1") {
        let _ = write!(id, "_{}", part.trim_matches(['{', '}', '*']).replace('.', "_"));
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
    let of_path = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| name.trim_start_matches('*'));
    let text = json!({ "type": "string" });
    let mut all: Vec<Value> =
        of_path.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": text })).collect();
    all.extend(
        route
            .query
            .iter()
            .map(|(name, does)| json!({ "name": name, "in": "query", "description": does, "schema": kind(name) })),
    );
    if route.method == Method::POST && takes_key(route.path) {
        let does = "For seven days, a repeated request with this key and body gives the first answer";
        all.push(json!({ "name": "Idempotency-Key", "in": "header", "description": does, "schema": text }));
    }
    all
}

/// Returns the schema of a parameter of a query. Most are text; a name has one kind in every route, or is text.
fn kind(name: &str) -> Value {
    match name {
        "limit" | "tail" => json!({ "type": "integer", "minimum": 1, "maximum": 1_000 }),
        "tenant" => json!({ "type": "integer", "minimum": 1 }),
        "wait_ms" | "after" => json!({ "type": "integer", "minimum": 0 }),
        "open" | "dead" | "steps" | "texts" | "outputs" | "follow" | "degraded" | "details" | "all" | "paused" => {
            json!({ "type": "boolean" })
        }
        _ => json!({ "type": "string" }),
    }
}

/// Says whether a repeated request with the same idempotency key takes effect once.
fn takes_key(path: &str) -> bool {
    let creates = ["/api/v1/tasks", "/api/v1/tasks/batch", "/api/v1/runs"];
    let again = path.ends_with("/rerun")
        || path.ends_with("/retry")
        || path.ends_with("/fire")
        || path.ends_with("/signals/{name}");
    creates.contains(&path) || again
}

const HEAD: &str = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Kapelle: HTTP interface</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><style>
:root{color-scheme:light dark;--line:light-dark(#d5d9e0,#3a4150);--soft:light-dark(#55606f,#a3adbb);--get:light-dark(#0b6b3a,#6fd79b);
--post:light-dark(#0b4fa8,#8dbdff);--delete:light-dark(#a3151b,#ff9d9d)}
body{font:16px/1.5 system-ui,sans-serif;margin:0;background:Canvas;color:CanvasText}
main{max-width:60rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.6rem;margin:.5rem 0}h2{font-size:1.15rem;margin:2.2rem 0 .3rem;text-transform:capitalize}
nav a{display:inline-block;padding:.35rem .9rem .35rem 0;text-transform:capitalize}
article{border-top:1px solid var(--line);padding:.7rem 0}
h3{font:600 15px/1.5 ui-monospace,monospace;margin:0;overflow-wrap:anywhere}
h3 b{display:inline-block;min-width:4.2rem}.get{color:var(--get)}.post{color:var(--post)}.delete{color:var(--delete)}
p{margin:.15rem 0}small,dl{color:var(--soft);font-size:.9rem}dl{margin:.3rem 0 0;display:grid;grid-template-columns:max-content 1fr;gap:0 .8rem}
dd{margin:0}code{font:14px ui-monospace,monospace}pre{overflow-x:auto;padding:.8rem;border:1px solid var(--line);border-radius:.4rem}
</style></head><body><main><h1>Kapelle: HTTP interface</h1>
<p>Bodies and answers are JSON. What is refused is told as <code>application/problem+json</code> with a <code>code</code>.
<a href="/openapi.json">The full description</a> is OpenAPI 3.1.</p>
<pre tabindex="0"><code>curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:7863/workers/status</code></pre>
"#;

/// Returns the table of routes as a page for people.
#[must_use]
pub fn page(routes: &[Route]) -> String {
    let mut tags: Vec<&str> = Vec::new();
    for route in routes {
        if !tags.contains(&tag(route.path)) {
            tags.push(tag(route.path));
        }
    }
    let mut page = HEAD.to_owned();
    page.push_str("<nav aria-label=\"Sections\">");
    for tag in &tags {
        let _ = write!(page, "<a href=\"#{tag}\">{tag}</a>");
    }
    page.push_str("</nav>\n");
    for tag_of in tags {
        let _ = writeln!(page, "<section aria-labelledby=\"{tag_of}\"><h2 id=\"{tag_of}\">{tag_of}</h2>");
        for route in routes.iter().filter(|route| tag(route.path) == tag_of) {
            article(&mut page, route);
        }
        page.push_str("</section>\n");
    }
    page.push_str("</main></body></html>\n");
    page
}

fn article(page: &mut String, route: &Route) {
    let roles = if route.permission == Permission::Public { "everybody".to_owned() } else { roles(route).join(", ") };
    let (method, path, summary) = (&route.method, route.path, route.summary);
    let class = method.as_str().to_lowercase();
    let _ = write!(page, "<article><h3><b class=\"{class}\">{method}</b> {path}</h3><p>{summary}</p>");
    let _ = write!(page, "<small>For: {roles}</small>");
    if !route.query.is_empty() {
        page.push_str("<dl>");
        for (name, does) in route.query {
            let _ = write!(page, "<dt><code>{name}</code></dt><dd>{does}</dd>");
        }
        page.push_str("</dl>");
    }
    page.push_str("</article>\n");
}
