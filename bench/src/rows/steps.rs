//! `steps`: what a step costs in small and in large runs. It must not depend on the size of its run.

use super::wide::run_ms;
use crate::{
    bed::{Bed, MANY_SLOTS},
    measure::{Floor, Measure, Plan},
};

pub async fn measure(plan: &Plan) -> anyhow::Result<Vec<Measure>> {
    let bed = Bed::fresh(plan, "steps", MANY_SLOTS).await?;
    run_ms(&bed, 100).await?;
    let mut measures = Vec::new();
    let mut before: Option<Vec<f64>> = None;
    for (steps, name) in [(100, "100"), (10_000, "10,000"), (100_000, "100,000")] {
        let runs = if steps == 100 { plan.runs * 10 } else { plan.runs };
        let mut each = Vec::new();
        for _ in 0..runs {
            each.push(run_ms(&bed, steps).await? * 1e3 / steps as f64);
        }
        measures.push(Measure::new(format!("a step in a run of {name}"), "us", each.clone(), Floor::None));
        if steps == 100_000
            && let Some(before) = before.take()
        {
            let ratios = each.iter().zip(&before).map(|(large, small)| large / small).collect();
            measures.push(Measure::new("  100,000 against 10,000", "ratio", ratios, Floor::AtMost(1.2, None)));
        }
        before = Some(each);
    }
    bed.remove().await?;
    Ok(measures)
}
