//! `recovery`: from opening a folder to the first acknowledged task.

use kapelle::core::TenantId;

use crate::{
    bed::{Bed, MANY_SLOTS},
    measure::{Floor, Measure, Plan},
    stopwatch::Stopwatch,
};

const OPEN: usize = 100_000;

pub async fn measure(plan: &Plan) -> anyhow::Result<Vec<Measure>> {
    let empty = plan.repeat(async |_| start_empty(plan).await).await?;
    let open = plan.size(OPEN);
    let loaded = plan.repeat(async |_| start_loaded(plan, open).await).await?;
    Ok(vec![
        Measure::new("start with an empty folder", "ms", empty, Floor::AtMost(100.0, None)),
        Measure::new(format!("start with {open} open tasks"), "ms", loaded, Floor::AtMost(2_000.0, None)),
    ])
}

async fn first_task(watch: Stopwatch, bed: &Bed) -> anyhow::Result<f64> {
    bed.kapelle.engine().submit(TenantId::DEFAULT, vec![Bed::task("noop", 0, 0)], None).await?;
    Ok(watch.ms())
}

async fn start_empty(plan: &Plan) -> anyhow::Result<f64> {
    let watch = Stopwatch::start();
    let bed = Bed::fresh(plan, "recovery-empty", 8).await?;
    let taken = first_task(watch, &bed).await?;
    bed.remove().await?;
    Ok(taken)
}

/// Measures a start after the former process was stopped with a running task in every slot, and the rest waiting.
async fn start_loaded(plan: &Plan, open: usize) -> anyhow::Result<f64> {
    let bed = Bed::fresh(plan, "recovery-open", MANY_SLOTS).await?;
    bed.register_hang();
    bed.submit_batches(open, 2_000, |number| Bed::task("hang", number, 0)).await?;
    let folder = bed.close().await;
    let watch = Stopwatch::start();
    let bed = Bed::open(&folder, MANY_SLOTS).await?;
    let taken = first_task(watch, &bed).await?;
    bed.remove().await?;
    Ok(taken)
}
