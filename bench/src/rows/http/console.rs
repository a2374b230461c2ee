//! `console`: what an open tab of the console costs the server while 1,000 rows change in a second.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::{batch, served::Served};
use crate::{
    bed::MANY_SLOTS,
    machine::process_cpu_seconds,
    measure::{Floor, Measure, Plan},
    stopwatch::Stopwatch,
};

/// Time between two batches.
const EVERY: Duration = Duration::from_millis(100);
/// Tasks of a batch. Each changes three times: it is submitted, it runs, it ends.
const TASKS: usize = 34;
/// Batches of a side.
const BATCHES: usize = 200;
/// Topics of a tab on the page of tasks, with those that every page follows.
const TOPICS: &str = r#"{"subscribe":["tasks","runs","queues","workers","money","approvals","stats"]}"#;
/// Lists that a tab reads again, at most once in a second.
const READS: [&str; 2] = ["/api/v1/tasks?limit=100", "/api/v1/counts"];

pub async fn measure(plan: &Plan) -> anyhow::Result<Vec<Measure>> {
    let (mut closed, mut open, mut more) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..plan.runs {
        let first = share(plan, run % 2 == 0).await?;
        let second = share(plan, run % 2 == 1).await?;
        let (on, off) = if run % 2 == 0 { (first, second) } else { (second, first) };
        open.push(on);
        closed.push(off);
        more.push(on - off);
    }
    Ok(vec![
        Measure::new("1,020 changes/s, the console open", "% of a core", open, Floor::None),
        Measure::new("  the console closed", "% of a core", closed, Floor::None),
        Measure::new("  an open tab adds", "% of a core", more, Floor::AtMost(5.0, Some(2.5))),
    ])
}

/// Returns the use of a core by this process under the load, in percent. The client that reads as a tab does is part of it.
async fn share(plan: &Plan, open: bool) -> anyhow::Result<f64> {
    let served = Served::start(plan, MANY_SLOTS).await?;
    let batches = plan.size(BATCHES);
    let tab = if open { Some(tokio::spawn(follow(&served).await?)) } else { None };
    let mut client = served.client().await?;
    let body = batch("noop", TASKS);
    let mut due = interval(EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (watch, before) = (Stopwatch::start(), process_cpu_seconds()?);
    for _ in 0..batches {
        due.tick().await;
        client.post("/api/v1/tasks/batch", &body).await?;
    }
    served.bed.completed(batches * TASKS).await?;
    let used = (process_cpu_seconds()? - before) / watch.seconds() * 100.0;
    if let Some(tab) = tab {
        anyhow::ensure!(!tab.is_finished(), "the tab ended: {:?}", tab.await?);
        tab.abort();
    }
    served.stop().await?;
    Ok(used)
}

/// Opens a tab. It reads what the socket tells, and its lists once in a second, until it is dropped.
async fn follow(served: &Served) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + use<>> {
    let mut reader = served.client().await?;
    let ticket = reader.ask("/api/v1/tickets", "").await?;
    let ticket = ticket["ticket"].as_str().unwrap_or_default().to_owned();
    let mut socket = served.client().await?.upgrade(&format!("/api/v1/live?ticket={ticket}")).await?;
    socket.say(TOPICS).await?;
    Ok(async move {
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                read = socket.drain() => read?,
                _ = second.tick() => {
                    for path in READS {
                        reader.get(path).await?;
                    }
                }
            }
        }
    })
}
