//! `gateway`: what `/v1` of the real server adds to a call, against the bare provider; and what calls leave in memory.

mod upstream;

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use kapelle::{
    Config, Kapelle,
    core::{Name, TenantId, task::Report},
    engine::{Command, NewPayload, SubmitTask, Wanted},
    gateway::{Scope, replay::TaskKey},
};
use kapelle_server::{Limits, Options, Server};
use tokio::task::JoinSet;

use crate::{
    machine::resident_mb,
    measure::{Floor, Measure, Plan},
    stopwatch::Stopwatch,
};
use upstream::Caller;

/// Calls for each figure, all connections together.
const CALLS: usize = 4_000;
/// How often the attempt tells that it is at work; its lease is several times as long.
const BEAT: Duration = Duration::from_secs(3);
/// Calls after which memory is looked at.
const MANY: usize = 50_000;
/// Memory may go up and down by so much while calls go through; it is the same for any number of them.
const FLAT_MB: f64 = 32.0;

/// A server before a provider, and a token of an attempt.
struct Stage {
    server: Server,
    upstream: std::net::SocketAddr,
    token: String,
    /// Keeps the attempt alive.
    _beats: AbortOnDrop,
}

/// A task that ends with what holds it.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Stage {
    async fn new(plan: &Plan) -> anyhow::Result<Stage> {
        let folder = plan.folder.join(format!("gateway-{}", std::process::id()));
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        let upstream = upstream::start().await?;
        let text = format!(
            "providers: {{ p: {{ kind: compatible, base_url: 'http://{upstream}/v1' }} }}\nmodels: {{ fast: {{ chain: [p/m], \
             max_output_tokens: 100 }} }}\nprices: {{ 'p/m': {{ input: $1, output: $1 }} }}\n"
        );
        let config = Config::parse(&text, "kapelle.yaml")?;
        let kapelle = Arc::new(Kapelle::builder(&folder).config(config).environment(|_| None).open().await?);
        let options = Options { listen: "127.0.0.1:0".to_owned(), limits: Limits::default(), ..Options::default() };
        let server = Server::start(Arc::clone(&kapelle), options).await?;
        let task = SubmitTask::new(Name::new("far"), NewPayload::None);
        let id = kapelle.engine().submit(TenantId::DEFAULT, vec![task], None).await?;
        let workers = Arc::from([Name::new("far")]);
        let wanted = Wanted { tenant: TenantId::DEFAULT, workers, queues: Arc::from([]), labels: Arc::default() };
        let claimed = kapelle.engine().claim(1, wanted, 1, Duration::from_secs(5)).await?;
        let lease = claimed.first().context("nothing was claimed")?.lease;
        let beat = Report { task: id, epoch: lease.epoch, nonce: lease.nonce };
        let engine = kapelle.engine().clone();
        let beats = tokio::spawn(async move {
            loop {
                tokio::time::sleep(BEAT).await;
                let _ = engine.ask(Command::Heartbeat { reports: Arc::from([beat]) }).await;
            }
        });
        let key = TaskKey { tenant: TenantId::DEFAULT, task: id, replay_epoch: 0 };
        let token = kapelle.desk().issue_task_token(key, lease.epoch, Scope::default())?.token;
        Ok(Stage { server, upstream, token, _beats: AbortOnDrop(beats) })
    }

    /// The middle and the 99th of a hundred times to the first and to the last byte, in ms, bare or through the server.
    async fn times(&self, through: bool, stream: bool, connections: usize, calls: usize) -> anyhow::Result<[f64; 4]> {
        let address = if through { self.server.address() } else { self.upstream };
        let mut all = JoinSet::new();
        for connection in 0..connections {
            let mut caller = Caller::new(address, &self.token).await?;
            all.spawn(async move {
                let mut times = Vec::with_capacity(calls / connections);
                for round in 0..calls / connections {
                    // Each call is another, so that none is answered from what is known.
                    times.push(caller.ask(&body(stream, connection, round)).await?);
                }
                anyhow::Ok(times)
            });
        }
        let mut times = Vec::with_capacity(calls);
        while let Some(done) = all.join_next().await {
            times.extend(done??);
        }
        let percentile = |pick: fn(&(f64, f64)) -> f64, percent: usize| {
            let mut sorted: Vec<f64> = times.iter().map(pick).collect();
            sorted.sort_by(f64::total_cmp);
            sorted[(sorted.len() - 1) * percent / 100]
        };
        Ok([percentile(|t| t.0, 50), percentile(|t| t.1, 50), percentile(|t| t.0, 99), percentile(|t| t.1, 99)])
    }
}

fn body(stream: bool, connection: usize, round: usize) -> String {
    let text = "Summarise this text in two sentences. ".repeat(20);
    format!(
        "{{\"model\":\"fast\",\"stream\":{stream},\"stream_options\":{{\"include_usage\":true}},\"messages\":[{{\"role\":\"user\",\
         \"content\":\"{connection} {round} {text}\"}}]}}"
    )
    .replace(if stream { "\u{0}" } else { ",\"stream_options\":{\"include_usage\":true}" }, "")
}

pub async fn measure(plan: &Plan) -> anyhow::Result<Vec<Measure>> {
    let mut stage = Stage::new(plan).await?;
    let mut rows = Vec::new();
    for stream in [false, true] {
        for connections in [1, 50, 200] {
            let mut added: [Vec<f64>; 4] = Default::default();
            let calls = plan.size(CALLS).max(connections);
            // Bare and through the server take turns, so that a busy machine slows both alike.
            for _ in 0..plan.runs {
                let bare = stage.times(false, stream, connections, calls).await?;
                let through = stage.times(true, stream, connections, calls).await?;
                for (at, added) in added.iter_mut().enumerate() {
                    added.push(through[at] - bare[at]);
                }
            }
            let what = if stream { "stream" } else { "whole" };
            let names = ["first byte p50", "last byte p50", "first byte p99", "last byte p99"];
            for (at, (name, samples)) in names.into_iter().zip(added).enumerate() {
                let floor = match (connections, at) {
                    (1, 0) => Floor::AtMost(0.2, None),
                    (1, 1) => Floor::AtMost(0.6, None),
                    _ => Floor::None,
                };
                rows.push(Measure::new(
                    format!("{what}, {connections} connections, added {name}"),
                    "ms",
                    samples,
                    floor,
                ));
            }
        }
    }
    rows.extend(many(plan, &stage).await?);
    stage.server.stop().await;
    Ok(rows)
}

/// Calls without end: how many in a second, and whether memory stays where it is. What the first fifth takes is what the
/// caches of the store and of the allocator grow to; after that it must not grow with the calls.
async fn many(plan: &Plan, stage: &Stage) -> anyhow::Result<Vec<Measure>> {
    let calls = plan.calls.unwrap_or_else(|| plan.size(MANY)).max(50 * 5);
    stage.times(true, false, 50, calls / 5).await?;
    let before = resident_mb()?;
    let watch = Stopwatch::start();
    let (mut done, mut most, mut stream) = (0, before, false);
    // In rounds, so that the times of a million calls are not what fills the memory.
    while done < calls - calls / 5 {
        let round = (calls - calls / 5 - done).clamp(50, 20_000);
        stage.times(true, stream, 50, round).await?;
        (done, stream) = (done + round, !stream);
        most = most.max(resident_mb()?);
    }
    let rate = done as f64 / watch.seconds();
    Ok(vec![
        Measure::new("calls, 50 connections", "/s", vec![rate], Floor::None),
        Measure::new(format!("memory after {calls} calls"), "MB", vec![resident_mb()?], Floor::None),
        Measure::new(
            format!("memory added by the last {done} of them, at most"),
            "MB",
            vec![most - before],
            Floor::AtMost(FLAT_MB, None),
        ),
    ])
}
