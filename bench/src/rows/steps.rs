//! `steps`: cost of a step in small and in large runs. It must not depend on the size of its run.

use super::wide::run_ms;
use crate::{
    bed::{Bed, MANY_SLOTS},
    machine::loop_cpu_seconds,
    measure::{Floor, Measure, Plan},
};

const SMALL: usize = 100;
const MIDDLE: usize = 10_000;
const LARGE: usize = 100_000;

/// Microseconds per step: wall time, and processor time of the loop.
#[derive(Default)]
struct Cost {
    wall: Vec<f64>,
    core: Vec<f64>,
}

impl Cost {
    async fn take(&mut self, bed: &Bed, steps: usize) -> anyhow::Result<()> {
        let before = loop_cpu_seconds()?;
        self.wall.push(run_ms(bed, steps).await? * 1e3 / steps as f64);
        self.core.push((loop_cpu_seconds()? - before) * 1e6 / steps as f64);
        Ok(())
    }

    fn measures(self, name: &str) -> [Measure; 2] {
        [
            Measure::new(format!("a step in a run of {name}"), "us", self.wall, Floor::None),
            Measure::new("  time of the loop on a core", "us", self.core, Floor::None),
        ]
    }
}

pub async fn measure(plan: &Plan) -> anyhow::Result<Vec<Measure>> {
    let bed = Bed::fresh(plan, "steps", MANY_SLOTS).await?;
    run_ms(&bed, SMALL).await?;
    let (mut small, mut middle, mut large) = (Cost::default(), Cost::default(), Cost::default());
    for _ in 0..plan.runs {
        for _ in 0..10 {
            small.take(&bed, SMALL).await?;
        }
        middle.take(&bed, MIDDLE).await?;
        large.take(&bed, LARGE).await?;
    }
    bed.remove().await?;
    // Processor time: wall time includes the disk, and other load of the machine.
    let ratios = large.core.iter().zip(&middle.core).map(|(large, middle)| large / middle).collect();
    let mut measures = Vec::new();
    measures.extend(small.measures("100"));
    measures.extend(middle.measures("10,000"));
    measures.extend(large.measures("100,000"));
    measures.push(Measure::new("  on a core, 100,000 against 10,000", "ratio", ratios, Floor::AtMost(1.2, None)));
    Ok(measures)
}
