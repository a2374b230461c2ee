//! Subscribers of live events.

use super::served::Served;
use crate::{
    bed::MANY_SLOTS,
    measure::{Plan, quantile},
    stopwatch::Stopwatch,
};

const SUBSCRIBERS: usize = 100;
/// Number of tasks, each with an event for every subscriber. At most as many at a time as a subscriber may lag behind.
const TASKS: usize = 5_000;
const AT_A_TIME: usize = 500;
/// Number of single events that are timed.
const SINGLE: usize = 50;

/// Measures the events per second to all subscribers. Also measures the milliseconds from a submission until the last
/// subscriber has received the end of the task.
pub async fn listen(plan: &Plan) -> anyhow::Result<(f64, f64)> {
    let served = Served::start(plan, MANY_SLOTS).await?;
    let mut subscribers = Vec::new();
    for _ in 0..SUBSCRIBERS {
        subscribers.push(served.client().await?.listen().await?);
    }
    let mut client = served.client().await?;
    let mut delays = Vec::new();
    for _ in 0..SINGLE {
        let watch = Stopwatch::start();
        client.post("/api/v1/tasks", r#"{"worker":"noop"}"#).await?;
        for subscriber in &mut subscribers {
            subscriber.events(1).await?;
        }
        delays.push(watch.ms());
    }
    let tasks = plan.size(TASKS);
    let body = super::batch("noop", AT_A_TIME.min(tasks));
    let watch = Stopwatch::start();
    for _ in 0..tasks / AT_A_TIME.min(tasks) {
        client.post("/api/v1/tasks/batch", &body).await?;
        let reading = subscribers.into_iter().map(|mut subscriber| {
            tokio::spawn(async move {
                subscriber.events(AT_A_TIME.min(tasks)).await?;
                anyhow::Ok(subscriber)
            })
        });
        subscribers = Vec::new();
        for reading in reading.collect::<Vec<_>>() {
            subscribers.push(reading.await??);
        }
    }
    let rate = (tasks * SUBSCRIBERS) as f64 / watch.seconds();
    drop(subscribers);
    served.stop().await?;
    Ok((rate, quantile(&delays, 0.5)))
}
