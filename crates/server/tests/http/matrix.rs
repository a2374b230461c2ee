//! Every route, asked by every kind of caller in every way. A new route is tested because it is in the table.

use kapelle_server::{Limits, Permission, Role, Route, Scope, routes};
use serde_json::{Value, json};

use crate::{
    place::{Answer, Place},
    shares::{beginning, half},
};

/// Says whether a route answers with a stream, or needs an upgrade: such answers are not awaited.
fn streams(route: &Route) -> bool {
    let path = route.path;
    ["/events", "/ws", "/live"].iter().any(|end| path.ends_with(end)) || path == "/api/v1/results"
}

/// Returns the path of a route with the ids of things that exist for tenant 1.
fn path(route: &Route, ids: &[(&str, &str)]) -> String {
    let kind = route.path.split('/').nth(3).unwrap_or("");
    let id = ids.iter().find(|(of, _)| *of == kind).map_or("x_1", |(_, id)| *id);
    let path = route.path.replace("{id}", id).replace("{name}", "default").replace("{number}", "1");
    path.replace("{*path}", "runs/run_1")
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_in_without_a_key_but_where_the_table_says_so() {
    let place = Place::new().await;
    for route in routes() {
        let path = path(&route, &[]);
        let answer = place.say(route.method.as_str(), &path, &[], b"").await;
        let open = route.permission == Permission::Public;
        // Routes behind a link exist for holders of a link, and a session for holders of a code.
        let there = match route.path {
            path if path.contains("{link}") => 404,
            "/api/v1/sessions" => 401,
            _ => route.gives.0.as_u16(),
        };
        assert_eq!(answer.status, if open { there } else { 401 }, "{route:?}");
        if route.openai {
            // The SDKs read other shapes.
            let refused = answer.json(401);
            if is_anthropic(&route) {
                assert_eq!(refused["error"]["type"], "authentication_error", "{route:?}");
            } else {
                assert_eq!(refused["error"]["code"], "invalid_api_key", "{route:?}");
            }
            assert_eq!(answer.headers["www-authenticate"], "Bearer", "{route:?}");
        } else if !open {
            answer.refused(401, "unauthorized", &[]);
            assert_eq!(answer.headers["www-authenticate"], "Bearer", "{route:?}");
        }
        assert!(answer.headers.contains_key("x-content-type-options"), "{route:?}");
    }
    // Strangers do not learn which routes exist.
    place.say("GET", "/api/v1/nothing", &[], b"").await.refused(401, "unauthorized", &[]);
    place.say("PATCH", "/api/v1/tasks", &[], b"").await.refused(401, "unauthorized", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_do_what_the_table_says_and_nothing_else() {
    let place = Place::new().await;
    // Made before the loop, in which an admin replaces the token that makes them.
    let mut keys = Vec::new();
    for role in Role::ALL {
        keys.push((role, place.key(role.as_str(), 1).await.0));
    }
    for (role, key) in keys {
        for route in routes().iter().filter(|route| !streams(route)) {
            let answer = place.ask_as(&key, route.method.as_str(), &path(route, &[]), Value::Null).await;
            let may = role.may(route.permission);
            assert_eq!(answer.status == 403, !may, "{} {route:?}: {}", role.as_str(), answer.text());
            assert!(answer.status < 500, "{} {route:?}: {}", role.as_str(), answer.text());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_another_tenant_does_not_exist() {
    let place = Place::new().await;
    let task = place.submit("echo", json!({})).await;
    let source = "name: flow\nsteps:\n  one: { worker: echo }\n";
    let run = place.post("/api/v1/runs", json!({ "source": source })).await.json(201);
    let run = run["id"].as_str().unwrap().to_owned();
    let host = place.post("/api/v1/hosts", json!({ "workers": ["far"] })).await.json(201);
    let host = host["id"].as_str().unwrap().to_owned();
    let (_, key_id) = place.key("viewer", 1).await;
    let asks = "name: asks\nsteps:\n  ask: { wait: { approval: 'Well?' } }\n";
    place.post("/api/v1/runs", json!({ "source": asks })).await.json(201);
    let step = place.get("/api/v1/approvals").await.json(200)["approvals"][0]["id"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {}", place.token);
    let file = place.say("POST", "/api/v1/artifacts", &[("authorization", &bearer)], b"theirs").await.json(201);
    let file = file["$file"].as_str().unwrap().to_owned();
    let nothing = format!("sha256:{}", "0".repeat(64));
    let ids = [
        ("tasks", task.as_str()),
        ("dead", &task),
        ("runs", &run),
        ("hosts", &host),
        ("keys", &key_id),
        ("approvals", &step),
        ("artifacts", &file),
        ("files", &file),
    ];
    let none = [
        ("tasks", "task_999"),
        ("dead", "task_999"),
        ("runs", "run_999"),
        ("hosts", "host_999"),
        ("keys", "key_999"),
        ("approvals", "task_999"),
        ("artifacts", nothing.as_str()),
        ("files", nothing.as_str()),
    ];
    let bodies = [("claim", json!({})), ("report", json!({ "reports": [] })), ("ack", json!({ "lease_tokens": [] }))];
    let report = json!({ "lease_token": "1.1.0000000000000001", "error": { "category": "internal", "message": "m" } });
    let shown = async || {
        let paths = [format!("/api/v1/tasks/{task}"), format!("/api/v1/runs/{run}"), format!("/api/v1/tasks/{step}")];
        let mut texts = Vec::new();
        for path in paths {
            texts.push(place.get(&path).await.text());
        }
        let keys = place.get("/api/v1/keys").await.json(200)["keys"].clone();
        texts.push(keys.as_array().unwrap().iter().filter(|key| key["tenant"] == 1).map(Value::to_string).collect());
        texts
    };
    place.get(&format!("/api/v1/tasks/{task}?wait_ms=20000")).await.json(200);
    place.get(&format!("/api/v1/runs/{run}?wait_ms=20000")).await.json(200);
    let before = shown().await;
    let mut asked = 0;
    for role in Role::ALL {
        let (other, _) = place.key(role.as_str(), 2).await;
        for route in routes().iter().filter(|route| route.path.contains("{id}")) {
            let last = route.path.rsplit('/').next().unwrap();
            let body = bodies.iter().find(|(name, _)| *name == last).map(|(_, body)| body.clone());
            let body = match (body, last) {
                (Some(body), _) => body,
                (None, "succeed" | "fail" | "release") => report.clone(),
                _ => Value::Null,
            };
            let theirs = place.ask_as(&other, route.method.as_str(), &path(route, &ids), body.clone()).await;
            let nothing = place.ask_as(&other, route.method.as_str(), &path(route, &none), body).await;
            let same = |text: String| ids.iter().chain(&none).fold(text, |text, (_, id)| text.replace(id, "it"));
            assert_eq!(theirs.status, nothing.status, "{} {route:?}", role.as_str());
            assert_eq!(same(theirs.text()), same(nothing.text()), "{} {route:?}", role.as_str());
            // Reports are judged by their leases, which no other tenant has.
            let expected: &[u16] = match last {
                _ if !role.may(route.permission) => &[403],
                "report" | "frame" => &[200],
                _ => &[404, 409],
            };
            assert!(expected.contains(&theirs.status), "{} {route:?}: {}", role.as_str(), theirs.text());
            asked += 1;
        }
    }
    assert!(asked >= 75, "{asked}");
    assert_eq!(shown().await, before, "nothing of it has changed");
    let (other, _) = place.key("admin", 2).await;
    for route in routes().iter().filter(|route| route.scope == Scope::Server) {
        let answer = place.ask_as(&other, route.method.as_str(), &path(route, &[]), Value::Null).await;
        answer.refused(403, "forbidden", &[]);
    }
    let listed = place.ask_as(&other, "GET", "/api/v1/tasks", Value::Null).await.json(200);
    assert_eq!(listed["tasks"], json!([]));
    let listed = place.ask_as(&other, "GET", "/api/v1/keys", Value::Null).await.json(200);
    assert!(listed["keys"].as_array().unwrap().iter().all(|key| key["tenant"] == 2), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_took_effect_stands_in_the_trail() {
    let place = Place::new().await;
    let (other, _) = place.key("admin", 2).await;
    let task = place.submit("gate", json!({})).await;
    let source = "name: flow\nsteps:\n  one: { wait: { approval: 'Well?' } }\n";
    place.post("/api/v1/workflows", json!({ "source": source })).await.json(201);
    let run = place.post("/api/v1/runs", json!({ "source": source })).await.json(201)["id"].clone();
    let step = place.get("/api/v1/approvals").await.json(200)["approvals"][0]["id"].clone();
    let (_, key) = place.key("viewer", 1).await;
    place.post("/api/v1/hosts", json!({ "workers": ["far"] })).await.json(201);
    let entries = async || place.get("/api/v1/audit?limit=1000").await.json(200)["entries"].clone();
    let theirs = async || {
        place.ask_as(&other, "GET", "/api/v1/audit?limit=1000", Value::Null).await.json(200)["entries"].clone()
    };
    let before = (entries().await, theirs().await);
    let text = |id: &Value| id.as_str().unwrap().to_owned();
    for (asker, task, run, step, key) in [
        (&place.token, "task_999".to_owned(), "run_999".to_owned(), "task_999".to_owned(), "key_none"),
        (&other, task, text(&run), text(&step), key.as_str()),
    ] {
        let as_other = asker == &other;
        for (method, path, body) in [
            ("DELETE", "/api/v1/workflows/nope/7".to_owned(), Value::Null),
            ("DELETE", "/api/v1/workflows/flow/9".to_owned(), Value::Null),
            ("DELETE", "/api/v1/workflows/flow/1".to_owned(), Value::Null),
            ("POST", "/api/v1/workflows/nope/rollback".to_owned(), json!({ "number": 1 })),
            ("POST", "/api/v1/workflows/flow/rollback".to_owned(), json!({ "number": 9 })),
            ("POST", format!("/api/v1/tasks/{task}/cancel"), Value::Null),
            ("POST", format!("/api/v1/tasks/{task}/retry"), Value::Null),
            ("POST", format!("/api/v1/dead/{task}/retry"), Value::Null),
            ("POST", format!("/api/v1/dead/{task}/discard"), Value::Null),
            ("POST", format!("/api/v1/runs/{run}/cancel"), Value::Null),
            ("POST", format!("/api/v1/runs/{run}/pause"), Value::Null),
            ("POST", format!("/api/v1/runs/{run}/resume"), Value::Null),
            ("POST", format!("/api/v1/runs/{run}/rerun"), Value::Null),
            ("POST", format!("/api/v1/runs/{run}/signals/go"), Value::Null),
            ("POST", format!("/api/v1/approvals/{step}/approve"), Value::Null),
            ("POST", format!("/api/v1/approvals/{step}/deny"), Value::Null),
            ("DELETE", format!("/api/v1/keys/{key}"), Value::Null),
            ("DELETE", "/api/v1/workers/nope".to_owned(), Value::Null),
            ("POST", "/api/v1/scripts/nope/restart".to_owned(), Value::Null),
            ("POST", "/api/v1/scripts/nope/scale".to_owned(), json!({ "instances": 2 })),
            ("POST", "/api/v1/budgets".to_owned(), json!({ "account": format!("task:{task}"), "limit_nanousd": 1 })),
            ("POST", "/api/v1/budgets".to_owned(), json!({ "account": format!("run:{run}"), "limit_nanousd": 1 })),
        ] {
            let answer = place.ask_as(asker, method, &path, body).await;
            assert!([403, 404, 409, 422].contains(&answer.status), "{method} {path}: {}", answer.text());
        }
        // These succeed because the requested state is already there.
        for path in ["/api/v1/workers/echo/resume", "/workers/restart-all"] {
            let answer = place.ask_as(asker, "POST", path, Value::Null).await;
            assert!([200, 403, 404].contains(&answer.status), "{path}: {}", answer.text());
        }
        if !as_other {
            place.post("/api/v1/queues/default/resume", Value::Null).await.json(200);
            place.post("/api/v1/workflows", json!({ "source": source })).await.json(201);
        }
        assert_eq!((entries().await, theirs().await), before);
    }
    // A request that takes effect is recorded once.
    for _ in 0..2 {
        place.post("/api/v1/queues/default/pause", Value::Null).await.json(200);
    }
    let now = entries().await;
    assert_eq!(now.as_array().unwrap().len(), before.0.as_array().unwrap().len() + 1);
    assert_eq!(now[0]["action"], "queue.pause");
}

/// Says whether callers of the route read Anthropic's shape.
fn is_anthropic(route: &Route) -> bool {
    route.path.starts_with("/v1/messages")
}

/// Checks a refusal in the shape that callers of the route read: that of the SDKs below `/v1`, a problem elsewhere.
fn refused_by(route: &Route, answer: &Answer, status: u16, code: &str, words: &[&str]) {
    if !route.openai {
        return answer.refused(status, code, words);
    }
    let body = answer.json(status);
    let error = body["error"].clone();
    if is_anthropic(route) {
        let shaped = body["type"] == "error" && error["type"].is_string() && body["request_id"].is_string();
        assert!(shaped && error["message"].is_string(), "{}: {body}", route.path);
        return;
    }
    assert_eq!(error["code"], code, "{}: {error}", route.path);
    assert!(error["type"].is_string() && error.get("param").is_some(), "{}: {error}", route.path);
    let message = error["message"].as_str().unwrap_or_default();
    assert!(!message.is_empty() && words.iter().all(|word| message.contains(word)), "{}: {error}", route.path);
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_hosts_and_pages_are_refused_on_every_route() {
    let place = Place::new().await;
    let bearer = format!("Bearer {}", place.token);
    let authorization = ("authorization", bearer.as_str());
    for route in routes() {
        let path = path(&route, &[]);
        let method = route.method.as_str();
        let answer = place.say(method, &path, &[authorization, ("host", "evil.example")], b"").await;
        refused_by(&route, &answer, 421, "wrong_host", &[]);
        for foreign in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
            let answer = place.say(method, &path, &[authorization, foreign], b"").await;
            refused_by(&route, &answer, 403, "forbidden", &[]);
        }
    }
    let named = [authorization, ("host", "kapelle.example"), ("origin", "https://kapelle.example")];
    assert_eq!(place.say("GET", "/api/v1/tasks", &named, b"").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_bounded_and_json_and_methods_are_those_of_the_table() {
    let place = Place::new().await;
    let bearer = format!("Bearer {}", place.token);
    let authorization = ("authorization", bearer.as_str());
    // Without a right link a body is never read.
    let has_key = |route: &&Route| route.method.as_str() != "GET" && !route.path.contains("{link}");
    for route in routes().iter().filter(has_key) {
        let path = path(route, &[]);
        let large = vec![b' '; route.body + 1];
        let bound = route.body.to_string();
        let bound = [bound.as_str()];
        let kind = ("content-type", "application/json");
        let answer = place.say(route.method.as_str(), &path, &[authorization, kind], &large).await;
        refused_by(route, &answer, 413, "too_large", if route.openai { &[] } else { &bound });
        if route.body > 0 && !route.raw {
            for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
                let headers = [authorization, ("content-type", kind)];
                let answer = place.say(route.method.as_str(), &path, &headers, b"{}").await;
                refused_by(route, &answer, 415, "unsupported_media_type", &[]);
            }
        }
    }
    let mut paths: Vec<&str> = routes().iter().map(|route| route.path).collect();
    paths.dedup();
    for path in paths {
        let all = routes();
        let known: Vec<&Route> = all.iter().filter(|route| route.path == path).collect();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            if known.iter().any(|route| route.method.as_str() == method) {
                continue;
            }
            let shown = self::path(known[0], &[]);
            let answer = place.say(method, &shown, &[authorization], b"").await;
            refused_by(known[0], &answer, 405, "method_not_allowed", &[method]);
            assert!(known.iter().all(|route| answer.headers["allow"].contains(route.method.as_str())), "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_looked_at_before_a_byte_of_a_body() {
    // This many wrong secrets would otherwise have to wait.
    let place = Place::with(Limits { failures_per_minute: 100_000, ..Limits::default() }).await;
    let unknown = format!("kapelle_{}", "0".repeat(80));
    let worded = format!("sk-kapelle-{}", "0".repeat(80));
    let (key, id) = place.key("admin", 1).await;
    place.ask("DELETE", &format!("/api/v1/keys/{id}"), Value::Null).await.json(200);
    let mut asked = 0;
    // A one-time code is in the body: it is no credential of the request.
    let has_secret = |route: &&Route| route.method.as_str() == "POST" && route.path != "/api/v1/sessions";
    for route in routes().iter().filter(has_secret) {
        let path = path(route, &[]).replace("{link}", "1.2.9999999999999.00112233445566778899aabbccddeeff");
        let announced = format!("content-length: {}\r\n", route.body.max(1));
        for secret in ["kap_wrong", unknown.as_str(), &worded, &key] {
            for more in [announced.clone(), format!("{announced}expect: 100-continue\r\n")] {
                let mut stream = half(&place, secret, &path, &more, b"").await;
                let answer = beginning(&mut stream).await;
                let refused = if route.path.contains("{link}") { " 404 " } else { " 401 " };
                assert!(answer.starts_with("HTTP/1.1 4") && answer.contains(refused), "{route:?}: {answer}");
                asked += 1;
            }
        }
        if route.body > 0 && !route.path.contains("{link}") {
            // A right one is asked for its body.
            let more = format!("{announced}expect: 100-continue\r\n");
            let mut stream = half(&place, &place.token, &path, &more, b"").await;
            let answer = beginning(&mut stream).await;
            assert!(answer.starts_with("HTTP/1.1 100 "), "{route:?}: {answer}");
        }
    }
    assert!(asked > 200, "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_spelling_of_a_path_reaches_a_handler() {
    let place = Place::new().await;
    for path in [
        "//api/v1/keys",
        "/api/v1/keys/",
        "/api/v1//keys",
        "/api/v1/%6beys",
        "/api/v1/keys;x",
        "/API/v1/keys",
        "/livez/../api/v1/keys",
        "/livez/%2e%2e/api/v1/keys",
        "/api/v1/keys%00",
    ] {
        assert_eq!(place.say("GET", path, &[], b"").await.status, 401, "{path}");
        let (viewer, _) = place.key("viewer", 1).await;
        let answer = place.ask_as(&viewer, "GET", path, Value::Null).await;
        assert!([403, 404].contains(&answer.status), "{path}: {}", answer.status);
    }
    for path in [
        "/api/v1/tasks/..%2f..%2ftoken",
        "/api/v1/workflows/..%2f..%2ftoken/1",
        "/api/v1/runs/%ff",
        "/api/v1/tasks/task_1%00",
    ] {
        let answer = place.get(path).await;
        assert!([400, 404].contains(&answer.status), "{path}: {}", answer.status);
        assert!(!answer.text().contains(&place.token));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_has_every_route_and_no_other() {
    let place = Place::new().await;
    let description = place.get("/openapi.json").await.json(200);
    assert_eq!(description["openapi"], "3.1.0");
    let described: usize =
        description["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();
    assert_eq!(described, routes().len());
    for route in routes() {
        let operation = &description["paths"][route.path.replace("{*", "{")][route.method.as_str().to_lowercase()];
        assert_eq!(operation["summary"], route.summary, "{route:?}");
    }
    // Every reference leads somewhere.
    let text = description.to_string();
    for reference in text.split("\"$ref\":\"").skip(1) {
        let name = reference.split('"').next().unwrap().strip_prefix("#/components/schemas/").unwrap();
        assert!(description["components"]["schemas"][name].is_object(), "{name}");
    }
    let page = place.get("/docs").await;
    assert_eq!(page.status, 200);
    assert!(routes().iter().all(|route| page.text().contains(route.summary)));
}
