//! The attacks of the hostile tenant, all at once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kapelle_testkit::rng::Rng;
use serde_json::{Value, json};
use tokio::{runtime::Runtime, task::JoinSet};

use crate::{
    hold::{Held, beginning, hold},
    stage::Stage,
    wire::{Request, Wire},
};

/// The hostile tenant, on threads of its own.
pub struct Bad {
    runtime: Runtime,
    doing: JoinSet<()>,
}

/// The knowledge of each attack.
#[derive(Clone)]
struct Hand {
    stage: Arc<Stage>,
    chance: Rng,
}

impl Bad {
    /// Begins everything.
    pub fn begin(stage: &Arc<Stage>, chance: &mut Rng, until: Instant) -> Bad {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut doing = JoinSet::new();
        let mut hand = || Hand { stage: Arc::clone(stage), chance: chance.fork() };
        let guard = runtime.enter();
        for held in holdings(stage) {
            doing.spawn(until_then(until, hold(Arc::clone(&stage.wire), held)));
        }
        doing.spawn(until_then(until, downloads(hand())));
        doing.spawn(until_then(until, polls(hand())));
        doing.spawn(until_then(until, strangers(hand())));
        doing.spawn(until_then(until, passes(hand())));
        doing.spawn(until_then(until, large_bodies(hand())));
        doing.spawn(until_then(until, schemas(hand())));
        doing.spawn(until_then(until, models(hand())));
        doing.spawn(until_then(until, foreign_ids(hand())));
        doing.spawn(until_then(until, lists(hand())));
        doing.spawn(until_then(until, others_names(hand())));
        doing.spawn(until_then(until, forged_reports(hand())));
        doing.spawn(until_then(until, runs(hand())));
        drop(guard);
        Bad { runtime, doing }
    }

    /// Waits until all attacks have ended.
    pub fn end(mut self) {
        self.runtime.block_on(async {
            while let Some(done) = self.doing.join_next().await {
                done.unwrap();
            }
        });
    }
}

async fn until_then(until: Instant, work: impl Future<Output = ()>) {
    let _ = tokio::time::timeout_at(until.into(), work).await;
}

/// Returns an interval with that many ticks a second.
fn times_a_second(times: u32) -> tokio::time::Interval {
    let mut tick = tokio::time::interval(Duration::from_secs(1) / times);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tick
}

impl Hand {
    fn wire(&self) -> &Wire {
        &self.stage.wire
    }

    /// Returns any of its keys, or an invalid one.
    fn any(&mut self) -> Arc<str> {
        let keys = &self.stage.bad;
        Arc::clone(&keys[self.chance.place(keys.len())])
    }

    async fn post(&self, tried: &'static str, path: &str, role: &str, body: &Value) -> Option<(u16, Vec<u8>)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let secret = self.stage.bad(role);
        self.wire().ask(tried, Request { method: "POST", path, secret: &secret, body: body.as_bytes() }).await
    }
}

impl Hand {
    /// Makes something. Returns its id.
    async fn id(&self, path: &str, role: &str, body: Value) -> Option<String> {
        let (_, answer) = self.post("polls", path, role, &body).await?;
        between(&answer, "\"id\":\"")
    }
}

/// Returns the connections to hold open.
fn holdings(stage: &Stage) -> Vec<Held> {
    let wire = &stage.wire;
    let (developer, viewer) = (stage.bad("developer"), stage.bad("viewer"));
    let announced = "content-length: 33000000\r\n";
    let post = |path: &str, secret: &str, size: usize| {
        let mut beginning = beginning(wire, "POST", path, secret, announced);
        beginning.resize(beginning.len() + size, b' ');
        beginning
    };
    let get = |path: &str, more: &str| beginning(wire, "GET", path, &viewer, more);
    let upgrade = "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let unknown = stage.bad.last().unwrap();
    vec![
        Held {
            tried: "slow uploads",
            count: 600,
            beginnings: vec![
                post("/api/v1/artifacts", &developer, 40_000),
                post("/api/v1/artifacts", &stage.bad("admin"), 40_000),
            ],
            at_once: 40,
            trickles: true,
            reads: true,
        },
        Held {
            tried: "slow bodies",
            count: 300,
            beginnings: vec![
                post("/api/v1/tasks/batch", &developer, 1 << 20),
                post("/v1/embeddings", &developer, 1 << 20),
            ],
            at_once: 10,
            trickles: true,
            reads: true,
        },
        Held {
            tried: "slow bodies of strangers",
            count: 200,
            beginnings: vec![
                post("/v1/embeddings", unknown, 1 << 16),
                post("/approve/2.1.3.00", "", 1 << 16),
                post("/api/v1/tasks", "kap_0", 1 << 16),
            ],
            at_once: 40,
            trickles: true,
            reads: true,
        },
        Held {
            tried: "streams",
            count: 400,
            beginnings: vec![get("/api/v1/events", ""), get("/api/v1/ws", upgrade)],
            at_once: 40,
            trickles: false,
            reads: true,
        },
        Held {
            tried: "idle connections",
            count: 4_200,
            beginnings: vec![Vec::new()],
            at_once: 500,
            trickles: false,
            reads: true,
        },
    ]
}

/// Reads one large file slowly, many times.
async fn downloads(hand: Hand) {
    let body = vec![b'x'; 8 << 20];
    let secret = hand.stage.bad("developer");
    let path = "/api/v1/artifacts?name=large";
    let request = || Request { method: "POST", path, secret: &secret, body: &body };
    let mut tick = times_a_second(2);
    let file = loop {
        tick.tick().await;
        let Some((201, answer)) = hand.wire().ask("uploads", request()).await else { continue };
        let text = String::from_utf8_lossy(&answer).into_owned();
        break text.split("\"$file\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    };
    let viewer = hand.stage.bad("viewer");
    let get = beginning(hand.wire(), "GET", &format!("/api/v1/artifacts/{file}"), &viewer, "");
    let held =
        Held { tried: "slow downloads", count: 400, beginnings: vec![get], at_once: 40, trickles: false, reads: false };
    hold(Arc::clone(&hand.stage.wire), held).await;
}

/// Waits for tasks that do not come, and for the end of one that does not end, many times.
async fn polls(hand: Hand) {
    let mut tick = times_a_second(2);
    let (host, task) = loop {
        tick.tick().await;
        let Some(host) = hand.id("/api/v1/hosts", "worker", json!({ "name": "h", "workers": ["nothing"] })).await
        else {
            continue;
        };
        let Some(task) = hand.id("/api/v1/tasks", "developer", json!({ "worker": "nothing" })).await else { continue };
        break (host, task);
    };
    let (wire, body) = (hand.wire(), "{\"max_tasks\":1,\"wait_ms\":60000}");
    let length = format!("content-length: {}\r\n", body.len());
    let mut claim = beginning(wire, "POST", &format!("/api/v1/hosts/{host}/claim"), &hand.stage.bad("worker"), &length);
    claim.extend_from_slice(body.as_bytes());
    let wait = format!("/api/v1/tasks/{task}?wait_ms=60000");
    let beginnings = vec![claim, beginning(wire, "GET", &wait, &hand.stage.bad("viewer"), "")];
    let held = Held { tried: "polls", count: 600, beginnings, at_once: 100, trickles: false, reads: true };
    hold(Arc::clone(&hand.stage.wire), held).await;
}

/// Asks without a key, and with wrong ones.
async fn strangers(mut hand: Hand) {
    let mut tick = times_a_second(40);
    loop {
        tick.tick().await;
        let secret = format!("kap_{:064x}", hand.chance.draw());
        let paths = ["/api/v1/tasks", "/v1/models", "/approve/1.1.1.0", "/api/v1/events?ticket=kap_1", "/nothing"];
        let path = paths[hand.chance.place(paths.len())];
        hand.wire().ask("wrong secrets", Request { method: "GET", path, secret: &secret, body: b"" }).await;
        hand.wire().ask("without a key", Request { method: "GET", path: "/readyz", secret: "", body: b"" }).await;
    }
}

async fn passes(hand: Hand) {
    let mut tick = times_a_second(50);
    loop {
        tick.tick().await;
        hand.post("passes", "/api/v1/tickets", "viewer", &Value::Null).await;
    }
}

/// Sends bodies of the largest size, with as many values as fit in.
async fn large_bodies(mut hand: Hand) {
    let mut tick = times_a_second(1);
    let many = format!("{{\"worker\":\"log\",\"input\":[{}0]}}", "0,".repeat(900_000));
    let deep = format!("{{\"source\":{}\"x\"{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let text = format!("{{\"tasks\":[{{\"worker\":\"log\",\"input\":{{\"message\":\"{}\"}}}}]}}", "x".repeat(4 << 20));
    let values = format!("{{\"tasks\":[{{\"worker\":\"log\",\"input\":[{}0]}}]}}", "[],".repeat(10_000_000));
    let chat = format!("{{\"model\":\"fast\",\"max_tokens\":1,\"messages\":[{}{{}}]}}", "{},".repeat(500_000));
    let secret = hand.stage.bad("developer");
    loop {
        tick.tick().await;
        let (path, body) = match hand.chance.below(5) {
            0 => ("/api/v1/tasks", &many),
            1 => ("/api/v1/runs", &deep),
            2 => ("/api/v1/tasks/batch", &text),
            3 => ("/api/v1/tasks/batch", &values),
            _ => ("/v1/chat/completions", &chat),
        };
        let body = body.as_bytes();
        hand.wire().ask("large bodies", Request { method: "POST", path, secret: &secret, body }).await;
    }
}

/// Sends schemas that are small and expensive.
async fn schemas(mut hand: Hand) {
    let mut tick = times_a_second(1);
    loop {
        tick.tick().await;
        let depth = 4 + hand.chance.below(9);
        let mut defs = serde_json::Map::new();
        for level in 0..depth {
            let next = json!({ "$ref": format!("#/$defs/d{}", level + 1) });
            defs.insert(format!("d{level}"), json!({ "allOf": [next, next, next, next] }));
        }
        defs.insert(format!("d{depth}"), json!({ "type": "string" }));
        let schema = json!({ "type": "object", "$defs": defs, "properties": { "t": { "$ref": "#/$defs/d0" } } });
        let source = json!({ "name": "bomb", "inputs": schema, "steps": { "one": { "worker": "log" } } });
        let run = json!({ "source": source.to_string(), "inputs": { "t": 1 } });
        hand.post("schemas", "/api/v1/runs", "developer", &run).await;
        let served = json!({ "name": "bomb", "input": source["inputs"] });
        hand.post("schemas of workers", "/api/v1/hosts", "worker", &json!({ "name": "h", "workers": [served] })).await;
        let task = json!({ "worker": "bomb", "input": { "t": 1 } });
        hand.post("schemas of workers", "/api/v1/tasks", "developer", &task).await;
    }
}

async fn models(mut hand: Hand) {
    let mut tick = times_a_second(20);
    loop {
        tick.tick().await;
        let chat =
            json!({ "model": "fast", "max_tokens": 100, "messages": [{ "role": "user", "content": "hostile" }] });
        let secret = hand.any();
        let body = chat.to_string();
        let request = Request { method: "POST", path: "/v1/chat/completions", secret: &secret, body: body.as_bytes() };
        hand.wire().ask("models", request).await;
    }
}

/// Asks for everything of the other tenant, with every key.
async fn foreign_ids(mut hand: Hand) {
    let mut tick = times_a_second(60);
    loop {
        tick.tick().await;
        let path = hand.stage.theirs[hand.chance.place(hand.stage.theirs.len())].clone();
        let secret = hand.any();
        let method = ["GET", "POST", "DELETE"][hand.chance.place(3)];
        let body: &[u8] = if method == "POST" { b"{}" } else { b"" };
        let answer = hand.wire().ask("foreign ids", Request { method, path: &path, secret: &secret, body }).await;
        let status = answer.map_or(0, |(status, _)| status);
        let is_list = path.contains('?');
        assert!(status != 200 || is_list || path.ends_with("/report"), "{method} {path} with a foreign key: {status}");
    }
}

async fn lists(mut hand: Hand) {
    let mut tick = times_a_second(40);
    let paths = [
        "/api/v1/tasks?limit=1000&steps=true",
        "/api/v1/runs?limit=1000",
        "/api/v1/artifacts?limit=1000",
        "/api/v1/workers",
        "/api/v1/workers/status",
        "/api/v1/scripts",
        "/api/v1/queues",
        "/api/v1/keys",
        "/api/v1/audit?limit=1000",
        "/api/v1/approvals",
        "/api/v1/workflows?limit=1000",
        "/api/v1/budgets",
        "/api/v1/cost?by=key",
        "/api/v1/cost?by=run",
        "/api/v1/calls?limit=1000",
        "/api/v1/dead",
        "/metrics",
        "/health",
    ];
    loop {
        tick.tick().await;
        let path = paths[hand.chance.place(paths.len())];
        let secret = hand.any();
        hand.wire().ask("lists", Request { method: "GET", path, secret: &secret, body: b"" }).await;
    }
}

/// Registers a host that serves workers under the names of the other's, and takes what it is given.
async fn others_names(mut hand: Hand) {
    let mut tick = times_a_second(4);
    loop {
        tick.tick().await;
        let body = json!({ "name": "log", "workers": ["log", "theirs", "summarizer", "extract_text"], "slots": 100 });
        let made = hand.post("workers with others' names", "/api/v1/hosts", "worker", &body).await;
        let mut paths: Vec<String> = (1..6).map(|id| format!("/api/v1/hosts/host_{id}/claim")).collect();
        if let Some(id) = made.as_ref().and_then(|(_, answer)| between(answer, "\"id\":\"")) {
            paths = vec![format!("/api/v1/hosts/{id}/claim"), paths.swap_remove(hand.chance.place(paths.len()))];
        }
        for path in paths {
            let claim = json!({ "max_tasks": 100, "wait_ms": 100 });
            hand.post("claims", &path, "worker", &claim).await;
        }
    }
}

fn between(answer: &[u8], before: &str) -> Option<String> {
    let text = String::from_utf8_lossy(answer);
    Some(text.split(before).nth(1)?.split('"').next()?.to_owned())
}

/// Reports on the other's tasks, with guessed leases.
async fn forged_reports(mut hand: Hand) {
    let mut tick = times_a_second(30);
    loop {
        tick.tick().await;
        let task = 1 + hand.chance.below(2_000);
        let lease = format!("{task:x}.{}.{:016x}", 1 + hand.chance.below(3), hand.chance.draw());
        let report = json!({ "lease_token": lease, "outcome": "succeed", "output": { "forged": true } });
        let many = json!({ "reports": [report] });
        let host = 1 + hand.chance.below(5);
        let answer = hand.post("forged reports", &format!("/api/v1/hosts/host_{host}/report"), "worker", &many).await;
        let accepted = answer.is_some_and(|(_, answer)| String::from_utf8_lossy(&answer).contains("\"accepted\":true"));
        if accepted {
            // A success of its own task is acknowledged again whatever the nonce, and changes nothing.
            let path = format!("/api/v1/tasks/task_{task}");
            let secret = hand.stage.bad("developer");
            let own = hand
                .wire()
                .ask("its own task", Request { method: "GET", path: &path, secret: &secret, body: b"" })
                .await;
            let forged = own.as_ref().is_none_or(|(status, answer)| {
                *status != 200 || String::from_utf8_lossy(answer).contains("\"forged\":true")
            });
            assert!(!forged, "a forged report was accepted: {lease}: {own:?}");
        }
        let single = json!({ "lease_token": lease, "output": { "forged": true } });
        hand.post("forged reports", &format!("/api/v1/tasks/task_{task}/succeed"), "worker", &single).await;
    }
}

/// Starts runs with many steps, which are exported and followed.
async fn runs(hand: Hand) {
    let mut tick = times_a_second(1);
    let source =
        "name: wide\nsteps:\n  all: { for_each: '${{ range(100) }}', worker: log, with: { message: '${{ item }}' } }\n";
    loop {
        tick.tick().await;
        let made = hand.post("runs", "/api/v1/runs", "operator", &json!({ "source": source })).await;
        let Some(id) = made.as_ref().and_then(|(_, answer)| between(answer, "\"id\":\"")) else { continue };
        let secret = hand.stage.bad("viewer");
        let path = format!("/api/v1/runs/{id}/export");
        hand.wire().ask("exports", Request { method: "GET", path: &path, secret: &secret, body: b"" }).await;
    }
}
