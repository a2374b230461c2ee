//! `chain`: a run of forty steps, each of which needs the one before and its output.

use std::fmt::Write;

use kapelle::serde_json::Value;

use crate::{
    bed::Bed,
    measure::{Floor, Measure, Plan},
    stopwatch::Stopwatch,
};

const STEPS: usize = 40;

/// Builds a workflow of that many steps in a row.
fn workflow(steps: usize) -> String {
    let mut text = "name: chain\nsteps:\n  s0: { worker: noop, with: { n: 0 } }\n".to_owned();
    for step in 1..steps {
        let before = step - 1;
        let _ = writeln!(
            text,
            "  s{step}: {{ needs: [s{before}], worker: noop, with: {{ n: '${{{{ steps.s{before}.output.n + 1 }}}}' }} }}"
        );
    }
    let _ = writeln!(text, "outputs: {{ n: '${{{{ steps.s{}.output.n }}}}' }}", steps - 1);
    text
}

pub async fn measure(plan: &Plan) -> anyhow::Result<Vec<Measure>> {
    let bed = Bed::fresh(plan, "chain", 8).await?;
    let version = kapelle::load(workflow(STEPS).as_bytes(), "chain.yaml")?;
    let mut samples = Vec::new();
    // The first run prepares statements and pages; several runs each time, since one takes milliseconds.
    for number in 0..=plan.runs * 5 {
        let watch = Stopwatch::start();
        let run = bed.kapelle.start_version(version.clone(), Value::Null).await?;
        let result = run.wait().await?;
        anyhow::ensure!(result.outputs["n"] == STEPS - 1, "the chain gave {}", result.outputs);
        if number > 0 {
            samples.push(watch.ms());
        }
    }
    bed.remove().await?;
    Ok(vec![Measure::new("run of 40 steps in a row", "ms", samples, Floor::AtMost(25.0, Some(15.0)))])
}
