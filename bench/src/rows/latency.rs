//! `latency`: from submitting a task to its committed result, on an idle server.

use kapelle::core::TenantId;

use crate::{
    bed::Bed,
    measure::{Floor, Measure, Plan, quantile},
    stopwatch::Stopwatch,
};

const TASKS: usize = 2_000;
const WARM_UP: usize = 50;

pub async fn measure(plan: &Plan) -> anyhow::Result<Vec<Measure>> {
    let tasks = plan.size(TASKS);
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for _ in 0..plan.runs {
        let bed = Bed::fresh(plan, "latency", 8).await?;
        let mut samples = Vec::with_capacity(tasks);
        for number in 0..WARM_UP + tasks {
            let watch = Stopwatch::start();
            bed.kapelle.engine().submit_and_wait(TenantId::DEFAULT, Bed::task("noop", number, 0)).await?;
            if number >= WARM_UP {
                samples.push(watch.ms());
            }
        }
        bed.remove().await?;
        p50.push(quantile(&samples, 0.5));
        p99.push(quantile(&samples, 0.99));
    }
    Ok(vec![
        Measure::new("submit to result, idle, p50", "ms", p50, Floor::AtMost(0.8, Some(0.6))),
        Measure::new("submit to result, idle, p99", "ms", p99, Floor::AtMost(4.0, Some(2.5))),
    ])
}
