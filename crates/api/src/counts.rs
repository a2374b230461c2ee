//! Counts of everything that is under way, for an overview.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::graph::StateCounts;

/// Counts of everything that is under way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Counts {
    /// Runs that have not ended.
    pub runs: OpenRuns,
    /// Tasks that have not ended, steps of runs included.
    pub tasks: StateCounts,
    /// Dead letters, at most 10,000.
    pub dead: u64,
    /// Tasks that wait for money.
    pub parked: u64,
    /// Steps that wait for a person, at most 10,000.
    pub approvals: u64,
    /// Workers by state.
    pub workers: WorkerTotals,
    /// Worker hosts of the tenant that are alive.
    pub hosts: u64,
    /// Scripts by state; empty where none are supervised.
    pub scripts: BTreeMap<String, u64>,
    /// Slots of the server's own process.
    pub slots: SlotTotals,
    /// Queues and workers that are paused.
    pub paused: Vec<PausedThing>,
    /// Ready tasks that nobody takes at present, and why; at most 100 lanes.
    pub unserved: Vec<Unserved>,
    /// Spending of the day.
    pub today: SpentToday,
}

/// Runs that have not ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct OpenRuns {
    /// All of them.
    pub open: u64,
    pub paused: u64,
}

/// Workers by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the fields are named for the states")]
pub struct WorkerTotals {
    pub busy: u64,
    pub idle: u64,
    pub absent: u64,
}

/// Slots of the server's own process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct SlotTotals {
    /// Running tasks, of worker hosts too.
    pub busy: u64,
    /// Slots of the configured queues.
    pub all: u64,
}

/// A queue or worker that is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PausedThing {
    /// `queue` or `worker`.
    pub kind: String,
    /// Name, where people see one.
    pub name: String,
}

/// Ready tasks that nobody takes at present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Unserved {
    pub queue: String,
    pub worker: String,
    pub tasks: u64,
    /// The reason, for people.
    pub why: String,
    /// The reason, for programs.
    pub waiting: crate::waiting::Waiting,
}

/// Spending of a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct SpentToday {
    pub spent_nanousd: u64,
    pub calls: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
}
