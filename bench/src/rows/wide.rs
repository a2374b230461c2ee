//! `wide`: a run of many independent steps and one that joins them.

use std::fmt::Write;

use kapelle::serde_json::Value;

use crate::{
    bed::{Bed, MANY_SLOTS},
    measure::{Floor, Measure, Plan},
    stopwatch::Stopwatch,
};

/// Builds a workflow of that many independent steps, and one that needs them all.
pub fn workflow(steps: usize) -> String {
    let mut text = "name: wide\nsteps:\n".to_owned();
    let mut needs = String::new();
    for step in 0..steps {
        let _ = writeln!(text, "  s{step}: {{ worker: noop, with: {{ n: {step} }} }}");
        let _ = write!(needs, "{}s{step}", if step == 0 { "" } else { ", " });
    }
    let _ = writeln!(text, "  join: {{ needs: [{needs}], worker: noop, with: {{ n: {steps} }} }}");
    text
}

/// Returns the duration of one run in milliseconds, the joining step counted among its steps; reading the file is not
/// counted.
pub async fn run_ms(bed: &Bed, steps: usize) -> anyhow::Result<f64> {
    let version = kapelle::load(workflow(steps - 1).as_bytes(), "wide.yaml")?;
    let watch = Stopwatch::start();
    let run = bed.kapelle.start_version(version, Value::Null).await?;
    run.wait().await?;
    Ok(watch.ms())
}

pub async fn measure(plan: &Plan) -> anyhow::Result<Vec<Measure>> {
    let bed = Bed::fresh(plan, "wide", MANY_SLOTS).await?;
    run_ms(&bed, 100).await?;
    let thousand = plan.repeat(async |_| run_ms(&bed, 1_001).await).await?;
    let ten = plan.repeat(async |_| run_ms(&bed, 10_001).await).await?;
    bed.remove().await?;
    Ok(vec![
        Measure::new("run of 1,000 steps and a join", "ms", thousand, Floor::AtMost(50.0, Some(25.0))),
        Measure::new("run of 10,000 steps and a join", "ms", ten, Floor::AtMost(500.0, Some(250.0))),
    ])
}
