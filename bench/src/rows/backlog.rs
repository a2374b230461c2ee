//! `backlog`: five thousand tasks while a million others wait, against five thousand in an empty queue, in pairs.

use crate::{
    bed::Bed,
    measure::{Floor, Measure, Plan},
    stopwatch::Stopwatch,
};

const WAITING: usize = 1_000_000;
const TASKS: usize = 5_000;
const BATCH: usize = 500;
/// Fewer slots than elsewhere. While the last of the five thousand end, free slots go to the other waiting tasks, which
/// is right but not measured.
const SLOTS: u32 = 256;
/// Pairs for each run; one takes a tenth of a second.
const PAIRS: usize = 3;

pub async fn measure(plan: &Plan) -> anyhow::Result<Vec<Measure>> {
    let waiting = plan.size(WAITING);
    let empty = Bed::fresh(plan, "backlog-empty", SLOTS).await?;
    let mut measures = Vec::new();
    let mut empty_made = 0;
    for (what, worker) in [("of another worker", "other"), ("of the same lane, less urgent", "noop")] {
        let full = Bed::fresh(plan, "backlog-full", SLOTS).await?;
        full.pause(true).await?;
        full.submit_batches(waiting, 2_000, |number| Bed::task(worker, number, -100)).await?;
        let (mut rates, mut ratios) = (Vec::new(), Vec::new());
        let mut made = 0;
        // The first pair is a warm-up.
        for pair in 0..=plan.runs * PAIRS {
            let alone = rate(&empty, &mut empty_made).await?;
            let behind = rate(&full, &mut made).await?;
            if pair > 0 {
                rates.push(behind);
                ratios.push(behind / alone);
            }
        }
        full.remove().await?;
        let count = waiting / 1_000;
        measures.push(Measure::new(format!("5,000 behind {count}k {what}"), "tasks/s", rates, Floor::None));
        measures.push(Measure::new("  against an empty queue", "ratio", ratios, Floor::Within(0.9, 1.1)));
    }
    empty.remove().await?;
    Ok(measures)
}

/// Submits while the queue is paused, resumes it, and waits for all of the tasks. The queue is paused again as soon as
/// the last has begun, so that few other tasks of the lane are done meanwhile.
async fn rate(bed: &Bed, made: &mut usize) -> anyhow::Result<f64> {
    bed.pause(true).await?;
    bed.quiet().await?;
    *made = bed.attempts();
    let watch = Stopwatch::start();
    let urgent = bed.submit_urgent(TASKS, BATCH).await?;
    bed.pause(false).await?;
    bed.attempted(*made + TASKS).await;
    bed.pause(true).await?;
    bed.ended(&urgent).await?;
    Ok(TASKS as f64 / watch.seconds())
}
