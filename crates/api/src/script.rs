//! Workers that are scripts, and their processes.

use serde::{Deserialize, Serialize};

use crate::state::{ProcessState, ScriptMode, ScriptStanding};

/// The exit of a process of a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScriptExit {
    /// Description for people.
    pub reason: String,
    /// `exit`, `signal`, `oom`, `processes`, `not_ready`, `helper_lost` or `refused`.
    pub kind: String,
    /// Its exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Processes that it left behind and that were ended with it.
    pub swept: u32,
    /// Time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// A process of a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScriptProcess {
    /// Its id.
    pub id: String,
    /// State now.
    pub state: ProcessState,
    /// Its process id on the server's machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// Time of its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// Time since its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<u64>,
    /// Time of its next start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_start: Option<String>,
    /// The account that has no money for it, and what lifts that, while the process is parked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<String>,
    /// Number of starts.
    #[serde(default)]
    pub runs: u64,
    /// Number of restarts: after failures, and by request.
    pub restarts: u64,
    /// Failures in a row.
    pub failures: u32,
    /// The latest exit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<ScriptExit>,
}

/// A script of the folder of workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Script {
    /// Its id.
    pub id: String,
    /// The name of the worker.
    pub name: String,
    /// Its file, relative to the folder of workers.
    pub file: String,
    /// `JavaScript`, `TypeScript`, `Python` or `executable`.
    pub kind: String,
    /// Mode in which its processes run.
    pub mode: ScriptMode,
    /// The SDKs and frameworks by which it asks models.
    pub uses: String,
    /// Whether it is started.
    pub standing: ScriptStanding,
    /// The reason for `standing`.
    pub why: String,
    /// The overall state; `-` when it is not started.
    pub state: ProcessState,
    /// The program that runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<String>,
    /// Addresses of providers in its code, whose calls would be neither metered nor capped.
    pub warnings: Vec<String>,
    /// Its fallback while it cannot work: `wait`, or the worker that answers instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// The times of its starts, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Spending limit of one task or process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_nanousd: Option<u64>,
    /// Its processes.
    pub processes: Vec<ScriptProcess>,
}

/// Returns the scripts of the folder of workers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScriptList {
    /// By file.
    pub scripts: Vec<Script>,
}

/// The number of restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Restarted {
    /// Number of restarted workers or processes.
    pub restarted: usize,
}

/// The number of processes of a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// 1 to 64.
    pub instances: u32,
}

/// A line that a script wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogLine {
    /// Its number since the server was started.
    pub number: u64,
    /// Time.
    pub at: String,
    /// The number of the script's process; 0 for one that worked on a single task.
    pub instance: u32,
    /// `out`, `err`, or `kapelle` for starts and ends.
    pub stream: String,
    /// The text. Control characters are written as `\\u{1b}`.
    pub text: String,
}

/// Returns the last lines of a script.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogLines {
    /// The oldest first.
    pub lines: Vec<LogLine>,
}
