//! `payload`: tasks with 4 KiB of input and 4 KiB of output.

use std::sync::Arc;

use kapelle::{
    core::Name,
    engine::{NewPayload, SubmitTask},
    serde_json::json,
};

use crate::{
    bed::{Bed, MANY_SLOTS},
    machine::loop_cpu_seconds,
    measure::{Floor, Measure, Plan},
    stopwatch::Stopwatch,
};

const TASKS: usize = 40_000;
const BATCH: usize = 500;
const BYTES: usize = 4_096;

pub async fn measure(plan: &Plan) -> anyhow::Result<Vec<Measure>> {
    let tasks = plan.size(TASKS);
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for _ in 0..plan.runs {
        let (rate, cost) = rate(plan, tasks).await?;
        rates.push(rate);
        costs.push(cost);
    }
    let floor = Floor::AtLeast(20_000.0, Some(30_000.0));
    Ok(vec![
        Measure::new("4 KiB in and out, batch submit to all ended", "tasks/s", rates, floor),
        Measure::new("  time of the loop on a core, per task", "us", costs, Floor::None),
    ])
}

async fn rate(plan: &Plan, tasks: usize) -> anyhow::Result<(f64, f64)> {
    let bed = Bed::fresh(plan, "payload", MANY_SLOTS).await?;
    let text = "x".repeat(BYTES - 32);
    let make = |number: usize| {
        let input = json!({ "n": number, "text": text }).to_string().into_bytes();
        SubmitTask::new(Name::new("noop"), NewPayload::Bytes(Arc::from(input)))
    };
    let watch = Stopwatch::start();
    bed.submit_batches(tasks, BATCH, make).await?;
    bed.completed(tasks).await?;
    let rate = tasks as f64 / watch.seconds();
    let cost = loop_cpu_seconds()? * 1e6 / tasks as f64;
    bed.remove().await?;
    Ok((rate, cost))
}
