//! Settings of an engine.

use std::collections::BTreeMap;

use kapelle_core::{DurationMs, Labels, Name, limit::KeyLimit, task::Ageing};

/// Settings of an engine. The defaults are those of `kapelle.yaml`.
#[derive(Debug, Clone)]
pub struct Options {
    /// Queues whose tasks run in this process. A queue that is not listed gets [`Options::other_slots`].
    pub queues: BTreeMap<Name, QueueOptions>,
    /// Slots of queues that are not listed.
    pub other_slots: u32,
    /// Value of a point of priority.
    pub ageing: Ageing,
    /// Timeout of an attempt when neither task nor worker has one.
    pub default_timeout: DurationMs,
    /// Time after which a silent remote worker is lost.
    pub lease: DurationMs,
    /// Ready tasks of a lane that are kept in memory.
    pub window: usize,
    /// Retention of idempotency keys.
    pub key_retention: DurationMs,
    /// Retention of ended tasks outside of runs.
    pub task_retention: DurationMs,
    /// Retention of ended runs.
    pub run_retention: DurationMs,
    /// Labels of this process: tasks that require other labels do not run here.
    pub labels: Labels,
    /// Whether entries of the session log are kept until they are reported as written.
    pub session: bool,
    /// Whether schedules are fired here. A process that comes and goes leaves that to the server.
    pub schedules: bool,
    /// Number of threads that evaluate expressions.
    pub evaluators: usize,
    /// Whether the start voids the attempts on worker hosts, too: after a restore their results count no more.
    pub voids_hosts: bool,
}

/// Settings of a queue.
#[derive(Debug, Clone, Copy)]
pub struct QueueOptions {
    /// Limit of its running tasks in this process.
    pub slots: u32,
    /// Concurrency limit of tasks with one key, here and on worker hosts together.
    pub per_key: Option<KeyLimit>,
}

impl QueueOptions {
    /// Makes a queue with that many slots.
    #[must_use]
    pub fn of(slots: u32) -> QueueOptions {
        QueueOptions { slots, per_key: None }
    }
}

const DAY: u64 = 86_400_000;

impl Default for Options {
    fn default() -> Options {
        let queues = [("default", 8), ("openai", 8), ("ml", 1)];
        Options {
            queues: queues.into_iter().map(|(name, slots)| (Name::new(name), QueueOptions::of(slots))).collect(),
            other_slots: 8,
            ageing: Ageing::default(),
            default_timeout: DurationMs(300_000),
            lease: DurationMs(15_000),
            window: 4_096,
            key_retention: DurationMs(7 * DAY),
            task_retention: DurationMs(7 * DAY),
            run_retention: DurationMs(30 * DAY),
            labels: Labels::new(),
            session: false,
            schedules: false,
            evaluators: 2,
            voids_hosts: false,
        }
    }
}
