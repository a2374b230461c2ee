//! The history of counts and gauges, and the machine.

use serde::{Deserialize, Serialize};

/// A question for history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SeriesQuery {
    /// One or more of `throughput`, `failures`, `wait_p50`, `wait_p95`, `duration_p50`, `duration_p95`, `depth`, `running`,
    /// `slots`, `runs`, `spend`, `calls`, `input_tokens`, `output_tokens`, `cpu` and `memory`, with commas between.
    pub metric: String,
    /// `all` (default), `queue`, `worker`, `provider` or `model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The beginning (RFC 3339); an hour before the end by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The end (RFC 3339); now by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The time between two values in milliseconds: a multiple of 10,000. The finest with at most 1,000 values by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
}

/// The unit of the values of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SeriesUnit {
    /// Events per second.
    PerS,
    /// Milliseconds.
    Ms,
    /// A number of things, on average.
    Count,
    /// Nano-dollars in the step.
    Nanousd,
    /// Tokens in the step.
    Tokens,
    /// Cores of the processor, on average.
    Cores,
    /// Bytes, on average.
    Bytes,
}

/// The values of one metric of one thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Series {
    pub metric: String,
    /// Name of the queue, worker and so on; empty for all together.
    pub name: String,
    pub unit: SeriesUnit,
    /// One value a step; none where nothing was recorded.
    pub values: Vec<Option<f64>>,
}

/// An event that is marked on charts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct SeriesMark {
    pub at: String,
    /// `started` or `stopped`.
    pub kind: String,
    pub text: String,
}

/// The history of some metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct SeriesReport {
    /// Time of the first value.
    pub from: String,
    pub to: String,
    pub step_ms: u64,
    pub series: Vec<Series>,
    pub marks: Vec<SeriesMark>,
}

/// The machine and the processes of the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct SystemReport {
    pub version: String,
    pub pid: u32,
    pub uptime_ms: u64,
    /// Processors that the server may use.
    pub cpus: u32,
    pub process: ProcessUse,
    pub machine: MachineUse,
    pub disk: DiskUse,
    /// Processes of scripts.
    pub scripts: Vec<ScriptUse>,
}

/// Use of a process; fields that the system does not tell are left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ProcessUse {
    /// Cores, over the last seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

/// Memory and disk of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct MachineUse {
    /// Cores that are busy, over the last seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_total_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_available_bytes: Option<u64>,
}

/// The disk with the state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct DiskUse {
    pub folder: String,
    pub database_bytes: u64,
    /// The history for charts.
    pub history_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
    /// Bytes in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_bytes: Option<u64>,
    /// Bytes that the server may still write. Blocks that are reserved for root are neither used nor free, so the share
    /// in use is `used_bytes / (used_bytes + free_bytes)`, as `df` shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
}

/// Use of a process of a script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ScriptUse {
    /// The id of the process.
    pub id: String,
    /// The name of the worker.
    pub name: String,
    pub pid: i32,
    #[serde(flatten, deserialize_with = "crate::flat::read")]
    pub uses: ProcessUse,
}
