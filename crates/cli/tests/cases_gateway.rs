//! Faults of the model gateway found in use, each through the real binary: a server, a double of a provider that
//! answers as described, and a client that knows nothing but HTTP.

#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it should be")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use kapelle_testkit::scripted_openai::{Script, ScriptedOpenai};
use serde_json::{Value, json};

#[path = "verbs/place.rs"]
#[allow(dead_code, reason = "the folder of the tests of verbs, of which this uses a part")]
mod place;

use place::{Place, watched};

const CONFIG: &str = "\
providers:
  up: { kind: compatible, base_url: 'UP', api_key_env: UP_KEY }
  az: { kind: azure, base_url: 'UP', api_key_env: UP_KEY }
  claude: { kind: anthropic, base_url: 'UP', api_key_env: UP_KEY }
models:
  fast: { chain: [up/plain] }
  none: { chain: [up/plain], limit_field: none }
";

struct Stage {
    place: Place,
    double: ScriptedOpenai,
    _runtime: tokio::runtime::Runtime,
    server: Child,
    address: String,
    token: String,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Stage {
    fn new(rules: &Value, more: &str) -> Stage {
        Stage::with(rules, more, &[])
    }

    /// Makes a server with these files in its folder, before a double with these rules.
    fn with(rules: &Value, more: &str, files: &[(&str, &str)]) -> Stage {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let script = Script::from_yaml(&json!({ "rules": rules }).to_string()).unwrap();
        let double = runtime.block_on(ScriptedOpenai::start(script)).unwrap();
        let place = Place::new();
        place.file("kapelle.yaml", CONFIG.replace("UP'", &format!("{}'", double.base_url())) + more);
        for (name, text) in files {
            let path = place.file(name, text);
            if text.starts_with("#!") {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        let mut command = place.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("UP_KEY", "sk-canary-up-0123456789");
        let mut server = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let _watched = watched(&server);
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening=").unwrap().to_owned();
        let token = std::fs::read_to_string(place.path(".kapelle/token")).unwrap().trim().to_owned();
        Stage { place, double, _runtime: runtime, server, address, token }
    }

    fn open(&self, method: &str, path: &str, token: &str, body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let authorization = if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\n{authorization}content-type: application/json\r\ncontent-length: \
             {}\r\nconnection: close\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        stream
    }

    fn ask(&self, method: &str, path: &str, token: &str, body: &[u8]) -> Answer {
        let mut bytes = Vec::new();
        self.open(method, path, token, body).read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
        let body = if chunked { unchunked(body) } else { body.to_owned() };
        assert!(!body.contains("canary") && !head.contains("canary"), "the key leaked: {body}");
        Answer { status, head: head.to_lowercase(), body }
    }

    fn chat(&self, model: &str, more: Value) -> Answer {
        let mut body = json!({ "model": model, "messages": [{ "role": "user", "content": "hi" }] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.ask("POST", "/v1/chat/completions", &self.token, body.to_string().as_bytes())
    }

    fn calls(&self) -> Vec<Value> {
        self.ask("GET", "/api/v1/calls", &self.token, b"").json()["calls"].as_array().unwrap().clone()
    }

    /// Returns the call of that model, once it is in the ledger: the row of a prepaid call follows within a second.
    #[expect(clippy::disallowed_methods, reason = "it waits for a real process, in real time")]
    fn settled(&self, model: &str) -> Value {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let of_model = |call: &Value| call["model"] == model && call["state"] != "open";
            if let Some(call) = self.calls().into_iter().find(of_model) {
                return call;
            }
            assert!(Instant::now() < until, "no call of {model} is settled");
            std::thread::yield_now();
        }
    }

    fn sent(&self) -> Value {
        self.double.calls().last().unwrap().body.clone()
    }
}

fn unchunked(mut text: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = text.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        whole.push_str(&rest[..size]);
        if size == 0 {
            break;
        }
        text = &rest[size + 2..];
    }
    whole
}

/// A stream of these events.
fn stream(events: &[Value]) -> Value {
    let text: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    json!({ "body": text + "data: [DONE]\n\n", "headers": { "content-type": "text/event-stream" } })
}

fn for_model(model: &str, rule: Value) -> Value {
    let mut rule = rule;
    rule["model"] = json!(model);
    rule
}

fn error(status: u16, message: &str, kind: &str, param: Value, code: Value) -> Value {
    let body = json!({ "error": { "message": message, "type": kind, "param": param, "code": code } });
    json!({ "status": status, "body": body.to_string() })
}

#[test]
fn case_015_half_of_a_surrogate_pair_does_not_cut_a_stream() {
    let piece =
        |text: &str| format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
    let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let body = piece("smile \\ud83d") + &piece("\\ude00 done") + end;
    let rule = json!({ "body": body, "headers": { "content-type": "text/event-stream" } });
    let stage = Stage::new(&json!([for_model("s_surr", rule)]), "");
    let answer = stage.chat("up/s_surr", json!({ "stream": true, "stream_options": { "include_usage": true } }));
    assert_eq!((answer.status, answer.body), (200, body));
}

#[test]
fn cases_070_and_072_the_providers_own_error_reaches_the_caller() {
    let page = "<!doctype html><html><title>Sign in</title></html>";
    let invalid = "invalid_request_error";
    let rules = json!([
        for_model("err200", json!({ "body": "{\"error\":{\"message\":\"slow down\",\"code\":429}}" })),
        for_model("bad200", json!({ "body": "{\"error\":{\"message\":\"no such thing\",\"code\":400}}" })),
        for_model("ctx", error(400, "too long", invalid, json!("messages"), json!("context_length_exceeded"))),
        for_model("filter400", error(400, "filtered", invalid, json!("prompt"), json!("content_filter"))),
        for_model("e404", error(404, "no model", invalid, Value::Null, json!("model_not_found"))),
        for_model("e413", error(413, "too large", invalid, Value::Null, json!("too_big"))),
        for_model("e422", error(422, "odd", invalid, json!("x"), json!("odd"))),
        for_model("page", json!({ "body": page, "headers": { "content-type": "text/html" } })),
        for_model("moved", json!({ "status": 302, "headers": { "location": "/login" }, "body": "" })),
        for_model("empty", json!({ "body": "" })),
    ]);
    let stage = Stage::new(&rules, "");
    for (model, status, kind, code, param, message) in [
        ("err200", 429, "rate_limit_error", "rate_limited", Value::Null, "slow down"),
        ("bad200", 400, invalid, "provider", Value::Null, "no such thing"),
        ("ctx", 400, invalid, "context_length_exceeded", json!("messages"), "too long"),
        ("filter400", 400, invalid, "content_filter", json!("prompt"), "filtered"),
        ("e404", 404, invalid, "model_not_found", Value::Null, "no model"),
        ("e413", 413, invalid, "too_big", Value::Null, "too large"),
        ("e422", 422, invalid, "odd", json!("x"), "odd"),
        ("page", 502, "server_error", "provider", Value::Null, "a web page (HTML)"),
        ("moved", 502, "server_error", "provider", Value::Null, "a redirect (302)"),
        ("empty", 502, "server_error", "provider", Value::Null, ""),
    ] {
        for provider in ["up", "az"] {
            for stream in [false, true] {
                let answer = stage.chat(&format!("{provider}/{model}"), json!({ "stream": stream }));
                let told = &answer.json()["error"];
                assert_eq!(
                    (answer.status, &told["type"], &told["code"], &told["param"]),
                    (status, &kind.into(), &code.into(), &param),
                    "{provider}/{model} {stream}: {told}"
                );
                assert!(told["message"].as_str().unwrap().contains(message), "{model}: {told}");
            }
        }
    }
}

#[test]
fn case_075_a_limit_that_one_model_teaches_does_not_hold_up_another() {
    let headers = json!({ "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s" });
    let stage = Stage::new(&json!([for_model("lowA", json!({ "headers": headers }))]), "");
    assert_eq!(stage.chat("up/lowA", json!({})).status, 200);
    assert_eq!(stage.chat("up/ok", json!({})).status, 200, "it would wait for minutes");
}

#[test]
fn case_077_parameters_of_the_caller_are_never_renamed() {
    let stage = Stage::new(&json!([]), "");
    for model in ["up/my-o3-deployment", "az/my-o3-deployment", "az/o3-mini", "up/plain"] {
        for name in ["max_tokens", "max_completion_tokens"] {
            assert_eq!(stage.chat(model, json!({ name: 7, "temperature": 1 })).status, 200);
            let sent = stage.sent();
            let other = if name == "max_tokens" { "max_completion_tokens" } else { "max_tokens" };
            assert_eq!(
                (&sent[name], &sent[other], &sent["temperature"]),
                (&json!(7), &Value::Null, &json!(1)),
                "{model}"
            );
        }
    }
    for (model, name) in [("az/x", "max_completion_tokens"), ("up/x", "max_tokens"), ("none", "")] {
        assert_eq!(stage.chat(model, json!({})).status, 200);
        let sent = stage.sent();
        let found: Vec<&str> =
            ["max_tokens", "max_completion_tokens"].into_iter().filter(|n| sent[*n].is_u64()).collect();
        assert_eq!(found.concat(), name, "{model}: {sent}");
    }
}

#[test]
fn case_080_a_client_that_leaves_pays_the_input_as_one_that_stays() {
    let stage = Stage::new(
        &json!([for_model("s_drip", json!({ "events_hang": 5, "reply": "one two three four five six" }))]),
        "",
    );
    let words = "word ".repeat(40_000);
    let body = json!({ "model": "up/s_drip", "stream": true, "messages": [{ "role": "user", "content": words }] });
    let mut left = stage.open("POST", "/v1/chat/completions", &stage.token, body.to_string().as_bytes());
    let mut some = [0; 512];
    assert!(left.read(&mut some).unwrap() > 0);
    drop(left);
    let call = stage.settled("s_drip");
    let input = call["input_tokens"].as_u64().unwrap();
    assert!((50_000..50_100).contains(&input), "{call}");
}

#[test]
fn case_081_a_count_beyond_belief_spends_the_reservation_and_no_more() {
    let usage = |usage: Value| {
        let choice =
            json!({ "index": 0, "message": { "role": "assistant", "content": "hello" }, "finish_reason": "stop" });
        json!({ "body": json!({ "id": "c", "choices": [choice], "usage": usage }).to_string() })
    };
    let most = 1_000_000_000_000_000_000_u64;
    let rules = json!([
        for_model("usage_huge", usage(json!({ "prompt_tokens": most, "completion_tokens": most }))),
        for_model("usage_max", usage(json!({ "prompt_tokens": u64::MAX, "completion_tokens": 1 }))),
        for_model("usage_text", usage(json!({ "prompt_tokens": "9", "completion_tokens": "9" }))),
        for_model("usage_minus", usage(json!({ "prompt_tokens": -9, "completion_tokens": -9 }))),
        for_model("usage_float", usage(json!({ "prompt_tokens": 9.5, "completion_tokens": 9.5 }))),
        for_model("usage_null", usage(Value::Null)),
    ]);
    let stage = Stage::new(&rules, "budgets: { day: $5 }\n");
    for (model, state) in [
        ("usage_huge", "unknown"),
        ("usage_max", "unknown"),
        ("usage_text", "charged"),
        ("usage_minus", "charged"),
        ("usage_float", "charged"),
        ("usage_null", "charged"),
    ] {
        assert_eq!(stage.chat(&format!("up/{model}"), json!({})).status, 200, "{model}");
        let call = stage.settled(model);
        let (cost, reserved) = (call["cost_nanousd"].as_u64().unwrap(), call["reserved_nanousd"].as_u64().unwrap());
        assert!(cost > 0 && cost <= reserved, "{model}: {call}");
        assert_eq!(call["state"], state, "{model}: {call}");
    }
    assert_eq!(stage.chat("up/plain", json!({})).status, 200, "the budget of the day is not over");
}

/// A prompt worker that wants JSON, and one that wants text.
const WORKERS: [(&str, &str); 2] = [
    (
        "workers/asks.yaml",
        "kind: prompt\nname: asks\nmodel: fast\nprompt: 'Say {{ q }}'\noutput: { type: object, required: [a], \
         properties: { a: { type: string } }, additionalProperties: false }\n",
    ),
    ("workers/says.yaml", "kind: prompt\nname: says\nmodel: fast\nprompt: 'Say {{ q }}'\n"),
];

#[test]
fn cases_082_and_083_json_is_found_in_fences_and_after_thoughts_and_asked_for_once_more() {
    let json = "{\"a\": \"run ```ls``` {now}\"}";
    let rules = json!([
        { "contains": "fencein", "reply": format!("Here:\n```json\n{json}\n```\nBye.") },
        { "contains": "thinkfence", "reply": format!("<think>\n```json\n{{\"x\": 1}}\n```\n</think>\n```json\n{json}\n```") },
        { "contains": "think", "reply": format!("<think>either {{a}} or [b]</think>\n{json}") },
        { "contains": "plainly", "reply": "<thinking>hm</thinking>hello" },
        { "contains": "never", "reply": "I will not." },
    ]);
    let stage = Stage::with(&rules, "", &WORKERS);
    for word in ["fencein", "think", "thinkfence"] {
        let said = stage.place.kapelle(&["submit", "asks", "--wait", "--input", &format!("q={word}")]);
        assert_eq!((said.code, &said.json()["a"]), (0, &"run ```ls``` {now}".into()), "{word}: {said:?}");
    }
    assert_eq!(stage.double.calls().len(), 3);
    let said = stage.place.kapelle(&["submit", "says", "--wait", "--input", "q=plainly"]);
    assert_eq!(said.json(), json!({ "text": "hello" }), "{said:?}");
    let said = stage.place.kapelle(&["submit", "asks", "--wait", "--input", "q=never"]);
    assert!(said.code != 0 && said.err.contains("not JSON"), "{said:?}");
    assert_eq!(stage.double.calls().len(), 4 + 2, "asked once more, and never again");
}

#[test]
fn case_085_a_tool_without_arguments_has_an_empty_object_for_them() {
    let events = [
        json!({ "type": "message_start", "message": { "id": "m", "model": "c", "usage": { "input_tokens": 3 } } }),
        json!({ "type": "content_block_start", "index": 0,
            "content_block": { "type": "tool_use", "id": "t", "name": "now", "input": {} } }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" }, "usage": { "output_tokens": 2 } }),
        json!({ "type": "message_stop" }),
    ];
    let stage = Stage::new(&json!([for_model("tool", stream(&events))]), "");
    let tools = json!([{ "type": "function", "function": { "name": "now" } }]);
    let answer = stage.chat("claude/tool", json!({ "stream": true, "tools": tools }));
    let arguments: String = answer
        .body
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
        .filter_map(|piece| {
            Some(piece["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str()?.to_owned())
        })
        .collect();
    assert_eq!(arguments, "{}", "{}", answer.body);
}

/// A script that writes down its key and stays.
const KEEPS: &str = "#!/bin/sh
# ---
# mode: daemon
# ---
printf %s \"$OPENAI_API_KEY\" > ../key.tmp
mv ../key.tmp ../key
while :; do read -r line || exit 0; done
";

#[test]
fn cases_087_and_098_every_refusal_below_v1_has_the_shape_of_the_sdks_also_for_the_token_of_a_script() {
    let stage = Stage::with(&json!([]), "", &[("workers/keeps", KEEPS)]);
    let script = std::iter::repeat_with(|| {
        std::thread::yield_now();
        std::fs::read_to_string(stage.place.path("key")).ok()
    })
    .flatten()
    .next()
    .unwrap();
    // A public script that looks at its key before it uses it.
    let wanted = include_str!("cases/098/nokey.py").split("startswith(\"").nth(1).unwrap();
    let wanted = wanted.split('"').next().unwrap();
    assert!(script.starts_with(wanted) && script.starts_with("sk-kapelle-"), "{script}");
    assert_eq!(stage.ask("GET", "/v1/models", &script, b"").status, 200);
    let key = stage.place.kapelle(&["keys", "create", "me", "--role", "developer"]).out.trim().to_owned();
    for (name, token) in
        [("admin", stage.token.as_str()), ("key", &key), ("script", &script), ("none", ""), ("wrong", "sk-x")]
    {
        for (method, path, status) in [
            ("POST", "/v1/audio/speech", 404),
            ("POST", "/v1/files", 404),
            ("GET", "/v1/models/fast/x", 404),
            ("POST", "/v1/v1/chat/completions", 404),
            ("GET", "/v1", 404),
            ("PUT", "/v1/chat/completions", 405),
            ("GET", "/v1/embeddings", 405),
        ] {
            let answer = stage.ask(method, path, token, b"");
            let told = &answer.json()["error"];
            let status = if matches!(name, "none" | "wrong") { 401 } else { status };
            assert_eq!(answer.status, status, "{name} {method} {path}: {}", answer.body);
            assert!(
                told["message"].is_string() && told["type"].is_string() && told["code"].is_string(),
                "{}",
                answer.body
            );
            if status == 404 {
                assert!(told["message"].as_str().unwrap().contains("POST /v1/chat/completions"), "{told}");
            }
            assert!(status != 405 || answer.head.contains("\r\nallow: "), "{}", answer.head);
        }
    }
    let mut foreign = TcpStream::connect(&stage.address).unwrap();
    foreign.write_all(b"GET /v1/models HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    foreign.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 4") && text.contains("{\"error\":{\"message\":"), "{text}");
}
