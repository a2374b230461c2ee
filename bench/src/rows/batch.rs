//! `batch`: tasks submitted by the five hundred, until all of them have ended.

use crate::{
    bed::{Bed, MANY_SLOTS},
    machine::loop_cpu_seconds,
    measure::{Floor, Measure, Plan},
    stopwatch::Stopwatch,
};

const TASKS: usize = 100_000;
const BATCH: usize = 500;

pub async fn measure(plan: &Plan) -> anyhow::Result<Vec<Measure>> {
    let tasks = plan.size(TASKS);
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for _ in 0..plan.runs {
        let (rate, cost) = rate(plan, tasks).await?;
        rates.push(rate);
        costs.push(cost);
    }
    Ok(vec![
        Measure::new("batch submit to all ended", "tasks/s", rates, Floor::AtLeast(40_000.0, Some(80_000.0))),
        Measure::new("  time of the loop on a core, per task", "us", costs, Floor::None),
    ])
}

async fn rate(plan: &Plan, tasks: usize) -> anyhow::Result<(f64, f64)> {
    let bed = Bed::fresh(plan, "batch", MANY_SLOTS).await?;
    let watch = Stopwatch::start();
    bed.submit_batches(tasks, BATCH, |number| Bed::task("noop", number, 0)).await?;
    bed.completed(tasks).await?;
    let rate = tasks as f64 / watch.seconds();
    let cost = loop_cpu_seconds()? * 1e6 / tasks as f64;
    bed.remove().await?;
    Ok((rate, cost))
}
