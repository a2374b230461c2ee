//! `http`: the real server on a socket. Clients and server share this process and its cores.

mod client;
pub mod console;
pub mod history;
mod hosts;
mod served;
mod streams;

use crate::{
    bed::MANY_SLOTS,
    measure::{Floor, Measure, Plan, quantile},
    stopwatch::Stopwatch,
};
use served::Served;

const CONNECTIONS: usize = 50;
const SINGLES: usize = 50_000;
const BATCHED: usize = 100_000;
/// Tasks of a batch.
pub const BATCH: usize = 500;
const LATENCY: usize = 2_000;

pub async fn measure(plan: &Plan) -> anyhow::Result<Vec<Measure>> {
    let (mut acknowledged, mut ended, mut batched, mut remote) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    let (mut events, mut told, mut woken) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.runs {
        let (middle, slow) = latency(plan).await?;
        p50.push(middle);
        p99.push(slow);
        let (first, all) = one_at_a_time(plan).await?;
        acknowledged.push(first);
        ended.push(all);
        batched.push(in_batches(plan).await?);
        remote.push(hosts::work(plan).await?);
        woken.push(hosts::wake(plan).await?);
        let (rate, delay) = streams::listen(plan).await?;
        events.push(rate);
        told.push(delay);
    }
    let at_least = |floor: f64| Floor::AtLeast(floor, Some(floor * 2.0));
    Ok(vec![
        Measure::new("HTTP, submit to result, idle, p50", "ms", p50, Floor::AtMost(0.8, Some(0.6))),
        Measure::new("HTTP, submit to result, idle, p99", "ms", p99, Floor::AtMost(4.0, Some(2.5))),
        Measure::new("HTTP, 50 clients one at a time, acknowledged", "tasks/s", acknowledged, at_least(20_000.0)),
        Measure::new("HTTP, 50 clients one at a time, all ended", "tasks/s", ended, at_least(20_000.0)),
        Measure::new("HTTP, batches of 500, all ended", "tasks/s", batched, at_least(30_000.0)),
        Measure::new("HTTP, batches of 500 by remote hosts", "tasks/s", remote, at_least(15_000.0)),
        Measure::new("HTTP, 1,000 waiting hosts have a task each", "ms", woken, Floor::None),
        Measure::new("HTTP, events to 100 subscribers", "events/s", events, Floor::None),
        Measure::new("HTTP, an event at the last of 100 subscribers", "ms", told, Floor::None),
    ])
}

async fn latency(plan: &Plan) -> anyhow::Result<(f64, f64)> {
    let served = Served::start(plan, 8).await?;
    let mut client = served.client().await?;
    let mut samples = Vec::new();
    for number in 0..plan.size(LATENCY) {
        let body = format!(r#"{{"worker":"noop","input":{{"n":{number}}}}}"#);
        let watch = Stopwatch::start();
        client.post("/api/v1/tasks?wait_ms=20000", &body).await?;
        if number >= 50 {
            samples.push(watch.ms());
        }
    }
    served.stop().await?;
    Ok((quantile(&samples, 0.5), quantile(&samples, 0.99)))
}

/// Measures tasks per second until the last was acknowledged, and until the last had ended.
async fn one_at_a_time(plan: &Plan) -> anyhow::Result<(f64, f64)> {
    let served = Served::start(plan, MANY_SLOTS).await?;
    let each = plan.size(SINGLES) / CONNECTIONS;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(served.client().await?);
    }
    let watch = Stopwatch::start();
    let clients: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            tokio::spawn(async move {
                for number in 0..each {
                    let body = format!(r#"{{"worker":"noop","input":{{"n":{number}}}}}"#);
                    client.post("/api/v1/tasks", &body).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for client in clients {
        client.await??;
    }
    let all = (each * CONNECTIONS) as f64;
    let acknowledged = all / watch.seconds();
    served.bed.completed(each * CONNECTIONS).await?;
    let ended = all / watch.seconds();
    served.stop().await?;
    Ok((acknowledged, ended))
}

/// Builds the body of a batch.
fn batch(worker: &str, tasks: usize) -> String {
    let tasks: Vec<String> =
        (0..tasks).map(|number| format!(r#"{{"worker":"{worker}","input":{{"n":{number}}}}}"#)).collect();
    format!(r#"{{"tasks":[{}]}}"#, tasks.join(","))
}

async fn in_batches(plan: &Plan) -> anyhow::Result<f64> {
    let served = Served::start(plan, MANY_SLOTS).await?;
    let batches = plan.size(BATCHED) / BATCH;
    let body = batch("noop", BATCH);
    let mut client = served.client().await?;
    let watch = Stopwatch::start();
    for _ in 0..batches {
        client.post("/api/v1/tasks/batch", &body).await?;
    }
    served.bed.completed(batches * BATCH).await?;
    let rate = (batches * BATCH) as f64 / watch.seconds();
    served.stop().await?;
    Ok(rate)
}
