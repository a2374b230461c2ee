//! `history`: what the charts of the console cost, by the work of the row `batch` with the record and without it.

use std::fs;

use super::{BATCH, served::Served};
use crate::{
    bed::{Bed, MANY_SLOTS},
    machine::process_cpu_seconds,
    measure::{Floor, Measure, Plan},
};

const TASKS: usize = 200_000;
/// The file of the history. A folder of that name keeps it from being opened, and nothing is recorded.
const FILE: &str = "history.db";

pub async fn measure(plan: &Plan) -> anyhow::Result<Vec<Measure>> {
    let (mut with, mut without, mut more) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..plan.runs {
        // The sides take turns, so that what else the machine does falls on both.
        let first = cost(plan, run % 2 == 0).await?;
        let second = cost(plan, run % 2 == 1).await?;
        let (on, off) = if run % 2 == 0 { (first, second) } else { (second, first) };
        with.push(on);
        without.push(off);
        more.push((on / off - 1.0) * 100.0);
    }
    Ok(vec![
        Measure::new("batch under a server, processor time with history", "us/task", with, Floor::None),
        Measure::new("  without history", "us/task", without, Floor::None),
        Measure::new("  history adds", "%", more, Floor::AtMost(3.0, Some(1.0))),
    ])
}

/// Returns the processor time of the process for a task, in microseconds. The end of the server is part of it, which
/// writes what was recorded last.
async fn cost(plan: &Plan, history: bool) -> anyhow::Result<f64> {
    let bed = Bed::fresh(plan, "history", MANY_SLOTS).await?;
    if !history {
        fs::create_dir(bed.kapelle.folder().join(FILE))?;
    }
    let served = Served::over(bed, MANY_SLOTS).await?;
    let recorded = served.bed.kapelle.folder().join(FILE).is_file();
    anyhow::ensure!(recorded == history, "{FILE} is recorded: {recorded}; expected {history}");
    let tasks = plan.size(TASKS);
    let before = process_cpu_seconds()?;
    served.bed.submit_batches(tasks, BATCH, |number| Bed::task("noop", number, 0)).await?;
    served.bed.completed(tasks).await?;
    served.stop().await?;
    Ok((process_cpu_seconds()? - before) * 1e6 / tasks as f64)
}
