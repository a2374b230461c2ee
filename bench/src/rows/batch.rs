//! `batch`: tasks submitted by the five hundred, until all of them have ended.

use crate::{
    bed::{Bed, MANY_SLOTS},
    measure::{Floor, Measure, Plan},
    stopwatch::Stopwatch,
};

const TASKS: usize = 100_000;
const BATCH: usize = 500;

pub async fn measure(plan: &Plan) -> anyhow::Result<Vec<Measure>> {
    let tasks = plan.size(TASKS);
    let samples = plan.repeat(async |_| rate(plan, tasks).await).await?;
    Ok(vec![Measure::new("batch submit to all ended", "tasks/s", samples, Floor::AtLeast(40_000.0, Some(80_000.0)))])
}

async fn rate(plan: &Plan, tasks: usize) -> anyhow::Result<f64> {
    let bed = Bed::fresh(plan, "batch", MANY_SLOTS).await?;
    let watch = Stopwatch::start();
    bed.submit_batches(tasks, BATCH, |number| Bed::task("noop", number, 0)).await?;
    bed.completed(tasks).await?;
    let rate = tasks as f64 / watch.seconds();
    bed.remove().await?;
    Ok(rate)
}
