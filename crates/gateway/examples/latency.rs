//! Latency that the gateway adds to a call: equal requests to a double of a provider, bare and through the gateway.
//!
//! `cargo run --release -p kapelle-gateway --example latency` prints medians and 99th percentiles in microseconds. Bare
//! calls and calls through the gateway alternate, so that a busy machine slows both alike. The journal is in memory; a
//! durable journal adds its commit to the last byte. The HTTP server between the caller and the gateway is not
//! measured.
#![allow(clippy::unwrap_used, reason = "a benchmark ends where its stage cannot be set")]

use std::{sync::Arc, time::Duration};

use kapelle_core::{TaskId, TenantId};
use kapelle_gateway::{
    Body, Gateway, GatewayConfig, Grant, Operation, Service,
    config::{Alias, Kind, Provider},
    money::{Account, Payer},
    replay::TaskKey,
};
use kapelle_testkit::scripted_openai::{Script, ScriptedOpenai};
use serde_json::{Value, json};
use tokio::time::Instant;

const ROUNDS: usize = 3_000;
const WARM: usize = 300;

/// Times of one path: to the first byte and to the last.
#[derive(Default)]
struct Times(Vec<Duration>, Vec<Duration>);

#[tokio::main]
async fn main() {
    let script = Script::from_yaml(
        "rules: [{ reply: a short answer of a few words, usage: { prompt_tokens: 20, completion_tokens: 9 } }]",
    );
    let double = ScriptedOpenai::start(script.unwrap()).await.unwrap();
    let (service, token) = service(&double);
    // A second call finds the provider already installed, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().tcp_nodelay(true).tls_certs_only([]).build().unwrap();
    for stream in [false, true] {
        let (mut bare, mut through) = (Times::default(), Times::default());
        for round in 0..WARM + ROUNDS {
            // Each call has a different body, so that nothing is replayed.
            let body = body(stream, round);
            let one = ask(&client, &double, &body).await;
            let two = call(&service, &token, &body).await;
            if round >= WARM {
                bare.0.push(one.0);
                bare.1.push(one.1);
                through.0.push(two.0);
                through.1.push(two.1);
            }
        }
        println!("{}", if stream { "streams" } else { "whole answers" });
        row("first byte", &mut bare.0, &mut through.0);
        row("last byte", &mut bare.1, &mut through.1);
    }
}

fn service(double: &ScriptedOpenai) -> (Service, String) {
    let mut config = GatewayConfig::default();
    let provider = Provider { base_url: Some(double.base_url()), ..Provider::of(Kind::Compatible) };
    config.providers.insert("double".to_owned(), provider);
    let alias = Alias {
        chain: vec!["double/gpt-4o-mini".to_owned()],
        max_output_tokens: 100,
        limit_field: None,
        weights: Vec::new(),
    };
    config.models.insert("fast".to_owned(), alias);
    let gateway = Arc::new(Gateway::new(&config, &|_| None).unwrap());
    let service = Service::new(gateway);
    let task = TaskKey { tenant: TenantId(1), task: TaskId(1), replay_epoch: 0 };
    let accounts = vec![Account::Task(TaskId(1)), Account::Worker("w".to_owned()), Account::Tenant, Account::Day];
    let mut grant = Grant::of(Payer::of(TenantId(1), accounts));
    grant.task = Some(task);
    let (_, token) = service.tokens().issue(grant).unwrap();
    (service, token)
}

fn body(stream: bool, round: usize) -> Value {
    let text = format!("{round}: {}", "Summarise this text in two sentences. ".repeat(20));
    let messages = json!([{ "role": "user", "content": text }]);
    json!({ "model": "fast", "messages": messages, "stream": stream, "stream_options": { "include_usage": true } })
}

async fn ask(client: &reqwest::Client, double: &ScriptedOpenai, body: &Value) -> (Duration, Duration) {
    let text = body.to_string();
    let start = Instant::now();
    let url = format!("{}/chat/completions", double.base_url());
    let mut response = client.post(url).header("content-type", "application/json").body(text).send().await.unwrap();
    let mut first = None;
    while let Some(piece) = response.chunk().await.unwrap() {
        first.get_or_insert_with(|| start.elapsed());
        drop(piece);
    }
    (first.unwrap(), start.elapsed())
}

async fn call(service: &Service, token: &str, body: &Value) -> (Duration, Duration) {
    let text = body.to_string();
    let start = Instant::now();
    let reply = service.call(Operation::Chat, token, text.as_bytes()).await;
    assert_eq!(reply.status, 200);
    match reply.body {
        Body::Whole(_) => (start.elapsed(), start.elapsed()),
        Body::Stream(mut stream) => {
            let mut first = None;
            while stream.next().await.is_some() {
                first.get_or_insert_with(|| start.elapsed());
            }
            (first.unwrap(), start.elapsed())
        }
    }
}

fn row(name: &str, bare: &mut [Duration], through: &mut [Duration]) {
    bare.sort_unstable();
    through.sort_unstable();
    let at = |times: &[Duration], percent: usize| times[(times.len() - 1) * percent / 100].as_micros();
    let (b50, t50, b99, t99) = (at(bare, 50), at(through, 50), at(bare, 99), at(through, 99));
    let added = i128::try_from(t50).unwrap() - i128::try_from(b50).unwrap();
    println!(
        "  {name:<11} bare p50 {b50:>5} p99 {b99:>6}   gateway p50 {t50:>5} p99 {t99:>6}   added p50 {added:>5} us"
    );
}
