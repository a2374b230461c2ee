//! `fanout`: a list worked on by a no-op worker, a thousand items at once, and its join.

use kapelle::serde_json::{Value, json};

use crate::{
    bed::{Bed, MANY_SLOTS},
    measure::{Floor, Measure, Plan},
    stopwatch::Stopwatch,
};

const WORKFLOW: &str = "\
name: fanout
inputs: { type: object, required: [items], properties: { items: { type: array } } }
steps:
  all: { for_each: '${{ inputs.items }}', max_parallel: 1000, worker: noop, with: { n: '${{ item }}' } }
  join: { needs: [all], worker: noop, with: { n: '${{ steps.all.output | length }}' } }
";

/// Returns the duration of one run in milliseconds.
async fn run_ms(bed: &Bed, items: usize) -> anyhow::Result<f64> {
    let version = kapelle::load(WORKFLOW.as_bytes(), "fanout.yaml")?;
    let items: Vec<Value> = (0..items).map(Value::from).collect();
    let inputs = json!({ "items": items });
    let watch = Stopwatch::start();
    bed.kapelle.start_version(version, inputs).await?.wait().await?;
    Ok(watch.ms())
}

pub async fn measure(plan: &Plan) -> anyhow::Result<Vec<Measure>> {
    let bed = Bed::fresh(plan, "fanout", MANY_SLOTS).await?;
    run_ms(&bed, 100).await?;
    let thousand = plan.repeat(async |_| run_ms(&bed, 1_000).await).await?;
    let ten = plan.repeat(async |_| run_ms(&bed, 10_000).await).await?;
    let hundred = run_ms(&bed, plan.size(100_000)).await?;
    bed.remove().await?;
    let growth: Vec<f64> = ten.iter().map(|ten| hundred / plan.size(100_000) as f64 / (ten / 10_000.0)).collect();
    Ok(vec![
        Measure::new("fan-out of 1,000 and join", "ms", thousand, Floor::AtMost(50.0, Some(25.0))),
        Measure::new("fan-out of 10,000 and join", "ms", ten, Floor::AtMost(500.0, Some(250.0))),
        Measure::new("cost of an item, 100,000 against 10,000", "times", growth, Floor::AtMost(1.25, None)),
    ])
}
