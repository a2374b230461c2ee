//! `http`: a throwaway server around the engine, to know whether the floors over HTTP are in reach. Clients and server
//! share this process and its cores.

mod client;
mod probe;

use std::sync::Arc;

use kapelle::core::{Name, TenantId};

use crate::{
    bed::{Bed, MANY_SLOTS},
    measure::{Floor, Measure, Plan, quantile},
    stopwatch::Stopwatch,
};
use client::Client;
use probe::Probe;

const CONNECTIONS: usize = 50;
const SINGLES: usize = 50_000;
const BATCHED: usize = 100_000;
const REMOTE: usize = 50_000;
const BATCH: usize = 500;
const LATENCY: usize = 2_000;
/// Worker hosts that claim, and how many tasks each claims at once.
const HOSTS: usize = 4;
const CLAIM: usize = 100;

pub async fn measure(plan: &Plan) -> anyhow::Result<Vec<Measure>> {
    let (mut singles, mut batched, mut remote) = (Vec::new(), Vec::new(), Vec::new());
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for _ in 0..plan.runs {
        let (middle, slow) = latency(plan).await?;
        p50.push(middle);
        p99.push(slow);
        singles.push(one_at_a_time(plan).await?);
        batched.push(in_batches(plan).await?);
        remote.push(by_hosts(plan).await?);
    }
    let at_least = |floor: f64| Floor::AtLeast(floor, Some(floor * 2.0));
    Ok(vec![
        Measure::new("HTTP, submit to result, idle, p50", "ms", p50, Floor::AtMost(0.8, Some(0.6))),
        Measure::new("HTTP, submit to result, idle, p99", "ms", p99, Floor::AtMost(4.0, Some(2.5))),
        Measure::new("HTTP, 50 clients one at a time, all ended", "tasks/s", singles, at_least(20_000.0)),
        Measure::new("HTTP, batches of 500, all ended", "tasks/s", batched, at_least(30_000.0)),
        Measure::new("HTTP, the same by remote hosts", "tasks/s", remote, at_least(15_000.0)),
    ])
}

async fn latency(plan: &Plan) -> anyhow::Result<(f64, f64)> {
    let probe = Probe::start(Bed::fresh(plan, "http", 8).await?).await?;
    let mut client = Client::connect(probe.address).await?;
    let mut samples = Vec::new();
    for number in 0..plan.size(LATENCY) {
        let body = format!(r#"{{"worker":"noop","input":{{"n":{number}}}}}"#);
        let watch = Stopwatch::start();
        client.post("/tasks?wait=true", &body).await?;
        if number >= 50 {
            samples.push(watch.ms());
        }
    }
    probe.stop().await?;
    Ok((quantile(&samples, 0.5), quantile(&samples, 0.99)))
}

async fn one_at_a_time(plan: &Plan) -> anyhow::Result<f64> {
    let probe = Probe::start(Bed::fresh(plan, "http", MANY_SLOTS).await?).await?;
    let each = plan.size(SINGLES) / CONNECTIONS;
    let address = probe.address;
    let watch = Stopwatch::start();
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            tokio::spawn(async move {
                let mut client = Client::connect(address).await?;
                for number in 0..each {
                    let body = format!(r#"{{"worker":"noop","input":{{"n":{number}}}}}"#);
                    client.post("/tasks", &body).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for client in clients {
        client.await??;
    }
    probe.bed.completed(each * CONNECTIONS).await?;
    let rate = (each * CONNECTIONS) as f64 / watch.seconds();
    probe.stop().await?;
    Ok(rate)
}

/// The body of a batch.
fn batch(worker: &str) -> String {
    let tasks: Vec<String> =
        (0..BATCH).map(|number| format!(r#"{{"worker":"{worker}","input":{{"n":{number}}}}}"#)).collect();
    format!("[{}]", tasks.join(","))
}

async fn in_batches(plan: &Plan) -> anyhow::Result<f64> {
    let probe = Probe::start(Bed::fresh(plan, "http", MANY_SLOTS).await?).await?;
    let batches = plan.size(BATCHED) / BATCH;
    let body = batch("noop");
    let mut client = Client::connect(probe.address).await?;
    let watch = Stopwatch::start();
    for _ in 0..batches {
        client.post("/batches", &body).await?;
    }
    probe.bed.completed(batches * BATCH).await?;
    let rate = (batches * BATCH) as f64 / watch.seconds();
    probe.stop().await?;
    Ok(rate)
}

async fn by_hosts(plan: &Plan) -> anyhow::Result<f64> {
    let probe = Probe::start(Bed::fresh(plan, "http", MANY_SLOTS).await?).await?;
    let batches = plan.size(REMOTE) / BATCH;
    let address = probe.address;
    let body = batch("remote");
    let watch = Stopwatch::start();
    let submitter = tokio::spawn(async move {
        let mut client = Client::connect(address).await?;
        for _ in 0..batches {
            client.post("/batches", &body).await?;
        }
        anyhow::Ok(())
    });
    let left = Arc::new(std::sync::atomic::AtomicUsize::new(batches * BATCH));
    let hosts: Vec<_> = (0..HOSTS).map(|_| tokio::spawn(host(address, Arc::clone(&left)))).collect();
    submitter.await??;
    for host in hosts {
        host.await??;
    }
    let rate = (batches * BATCH) as f64 / watch.seconds();
    let name = Name::new("remote");
    let open = probe.bed.kapelle.engine().reader().open_tasks(TenantId::DEFAULT)?;
    anyhow::ensure!(open.iter().all(|lane| lane.worker != name), "tasks are left over");
    probe.stop().await?;
    Ok(rate)
}

/// A worker host: claims, answers with the input, until nothing is left.
async fn host(address: std::net::SocketAddr, left: Arc<std::sync::atomic::AtomicUsize>) -> anyhow::Result<()> {
    use kapelle::serde_json::{Value, from_str, json};
    use std::sync::atomic::Ordering;
    let mut client = Client::connect(address).await?;
    while left.load(Ordering::Relaxed) > 0 {
        let claimed: Vec<Value> = from_str(&client.post("/claim", &CLAIM.to_string()).await?)?;
        if claimed.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            continue;
        }
        let reports: Vec<Value> = claimed
            .iter()
            .map(|task| json!({ "id": task["id"], "lease": task["lease"], "output": task["input"] }))
            .collect();
        client.post("/reports", &Value::Array(reports).to_string()).await?;
        left.fetch_sub(claimed.len(), Ordering::Relaxed);
    }
    Ok(())
}
