//! How an engine is set up.

use std::collections::BTreeMap;

use kapelle_core::{DurationMs, Labels, Name, limit::KeyLimit, task::Ageing};

/// How an engine is set up. The defaults are those of `kapelle.yaml`.
#[derive(Debug, Clone)]
pub struct Options {
    /// The queues whose tasks run in this process. A queue that is not listed gets [`Options::other_slots`].
    pub queues: BTreeMap<Name, QueueOptions>,
    /// Slots of queues that are not listed.
    pub other_slots: u32,
    /// What a point of priority is worth.
    pub ageing: Ageing,
    /// How long an attempt may take when neither task nor worker says.
    pub default_timeout: DurationMs,
    /// How long a remote worker may be silent.
    pub lease: DurationMs,
    /// Ready tasks of a lane that are kept in memory.
    pub window: usize,
    /// How long idempotency keys are remembered.
    pub key_retention: DurationMs,
    /// How long tasks of their own are kept once they have ended.
    pub task_retention: DurationMs,
    /// How long runs are kept once they have ended.
    pub run_retention: DurationMs,
    /// What sets this process apart: tasks that require other labels do not run here.
    pub labels: Labels,
    /// Keeps what the session log has to write until it is told that it stands there.
    pub session: bool,
    /// Threads that evaluate expressions.
    pub evaluators: usize,
}

/// How a queue is set up.
#[derive(Debug, Clone, Copy)]
pub struct QueueOptions {
    /// How many of its tasks run at once in this process.
    pub slots: u32,
    /// How many of its tasks with the same key may run at once, here and on worker hosts together.
    pub per_key: Option<KeyLimit>,
}

impl QueueOptions {
    /// A queue with that many slots.
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
            evaluators: 2,
        }
    }
}
