//! Worker hosts: their throughput, and their delay until they receive work.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use kapelle::serde_json::{Value, json};

use super::{BATCH, batch, client::Client, served::Served};
use crate::{bed::MANY_SLOTS, measure::Plan, stopwatch::Stopwatch};

const TASKS: usize = 50_000;
/// Number of hosts, and tasks that each claims at once.
const HOSTS: usize = 4;
const CLAIM: usize = 500;
/// Number of waiting hosts.
const WAITING: usize = 1_000;

/// Registers a host, and returns the prefix of its paths.
async fn register(client: &mut Client) -> anyhow::Result<String> {
    let body = json!({ "name": "bench", "slots": CLAIM, "workers": ["remote"] }).to_string();
    let told = client.ask("/api/v1/hosts", &body).await?;
    Ok(format!("/api/v1/hosts/{}", told["id"].as_str().unwrap_or_default()))
}

/// Measures tasks per second, from the first batch until the report of the last has been accepted.
pub async fn work(plan: &Plan) -> anyhow::Result<f64> {
    let served = Served::start(plan, MANY_SLOTS).await?;
    let batches = plan.size(TASKS) / BATCH;
    let left = Arc::new(AtomicUsize::new(batches * BATCH));
    let mut hosts = Vec::new();
    for _ in 0..HOSTS {
        let mut client = served.client().await?;
        let path = register(&mut client).await?;
        hosts.push(tokio::spawn(host(client, path, Arc::clone(&left))));
    }
    let mut client = served.client().await?;
    let body = batch("remote", BATCH);
    let watch = Stopwatch::start();
    let submitter = tokio::spawn(async move {
        for _ in 0..batches {
            client.post("/api/v1/tasks/batch", &body).await?;
        }
        anyhow::Ok(())
    });
    submitter.await??;
    let mut ended = 0.0_f64;
    for host in hosts {
        host.await??;
        ended = ended.max(watch.seconds());
    }
    let rate = (batches * BATCH) as f64 / ended;
    served.stop().await?;
    Ok(rate)
}

/// Runs a worker host: claims tasks and answers with their input, until none is left.
async fn host(mut client: Client, path: String, left: Arc<AtomicUsize>) -> anyhow::Result<()> {
    let (claim, report) = (format!("{path}/claim"), format!("{path}/report"));
    let body = json!({ "max_tasks": CLAIM, "wait_ms": 100 }).to_string();
    while left.load(Ordering::Relaxed) > 0 {
        let claimed = client.ask(&claim, &body).await?;
        let tasks = claimed["tasks"].as_array().map_or(&[][..], Vec::as_slice);
        if tasks.is_empty() {
            continue;
        }
        let outcome =
            |task: &Value| json!({ "lease_token": task["lease_token"], "outcome": "succeed", "output": task["input"] });
        let reports: Vec<Value> = tasks.iter().map(outcome).collect();
        let told = client.ask(&report, &json!({ "reports": reports }).to_string()).await?;
        let results = told["results"].as_array().map_or(&[][..], Vec::as_slice);
        anyhow::ensure!(results.iter().all(|result| result["accepted"] == true), "a report was refused");
        left.fetch_sub(results.len(), Ordering::Relaxed);
    }
    Ok(())
}

/// Measures the milliseconds from a batch of as many tasks as hosts wait until the last host has its task.
pub async fn wake(plan: &Plan) -> anyhow::Result<f64> {
    let served = Served::start(plan, MANY_SLOTS).await?;
    let waiting = plan.size(WAITING);
    let mut hosts = Vec::new();
    for _ in 0..waiting {
        let mut client = served.client().await?;
        let path = register(&mut client).await?;
        hosts.push(tokio::spawn(async move {
            let body = json!({ "max_tasks": 1, "wait_ms": 60_000 }).to_string();
            let claimed = client.ask(&format!("{path}/claim"), &body).await?;
            anyhow::ensure!(claimed["tasks"].as_array().is_some_and(|tasks| tasks.len() == 1), "nothing was given out");
            anyhow::Ok(())
        }));
    }
    // Long enough for the polls of all of them.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let mut client = served.client().await?;
    let body = batch("remote", waiting);
    let watch = Stopwatch::start();
    client.post("/api/v1/tasks/batch", &body).await?;
    for host in hosts {
        host.await??;
    }
    let ms = watch.ms();
    served.stop().await?;
    Ok(ms)
}
