//! `singles`: fifty submitters, each of which submits one task at a time and waits for the acknowledgement.

use std::sync::Arc;

use kapelle::core::TenantId;

use crate::{
    bed::{Bed, MANY_SLOTS},
    measure::{Floor, Measure, Plan},
    stopwatch::Stopwatch,
};

const SUBMITTERS: usize = 50;
const TASKS: usize = 60_000;

pub async fn measure(plan: &Plan) -> anyhow::Result<Vec<Measure>> {
    let each = plan.size(TASKS) / SUBMITTERS;
    let mut acknowledged = Vec::new();
    let mut ended = Vec::new();
    for _ in 0..plan.runs {
        let (first, second) = rates(plan, each).await?;
        acknowledged.push(first);
        ended.push(second);
    }
    Ok(vec![
        Measure::new("50 submitters, one at a time, acknowledged", "tasks/s", acknowledged, Floor::None),
        Measure::new(
            "50 submitters, one at a time, acknowledged and all ended",
            "tasks/s",
            ended,
            Floor::AtLeast(20_000.0, Some(40_000.0)),
        ),
    ])
}

async fn rates(plan: &Plan, each: usize) -> anyhow::Result<(f64, f64)> {
    let bed = Arc::new(Bed::fresh(plan, "singles", MANY_SLOTS).await?);
    let tasks = each * SUBMITTERS;
    let watch = Stopwatch::start();
    let submitters: Vec<_> = (0..SUBMITTERS)
        .map(|submitter| {
            let bed = Arc::clone(&bed);
            tokio::spawn(async move {
                for number in 0..each {
                    let task = Bed::task("noop", submitter * each + number, 0);
                    bed.kapelle.engine().submit(TenantId::DEFAULT, vec![task], None).await?;
                }
                Ok::<(), kapelle::engine::EngineError>(())
            })
        })
        .collect();
    for submitter in submitters {
        submitter.await??;
    }
    let acknowledged = tasks as f64 / watch.seconds();
    bed.completed(tasks).await?;
    let ended = tasks as f64 / watch.seconds();
    if let Ok(bed) = Arc::try_unwrap(bed) {
        bed.remove().await?;
    }
    Ok((acknowledged, ended))
}
