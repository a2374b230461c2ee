//! Workers that are scripts, and their processes.

use serde::{Deserialize, Serialize};

use crate::state::{ProcessState, ScriptMode, ScriptStanding};

/// How a process of a script ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScriptExit {
    /// In words.
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
    /// When.
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
    /// Its number on the server's machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// When it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// How long it has been there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<u64>,
    /// When it is started next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_start: Option<String>,
    /// How often it was started again.
    pub restarts: u64,
    /// Failures in a row.
    pub failures: u32,
    /// How it ended the last time.
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
    /// Its file, from the folder of workers on.
    pub file: String,
    /// `JavaScript`, `TypeScript`, `Python` or `executable`.
    pub kind: String,
    /// How it works.
    pub mode: ScriptMode,
    /// What of the OpenAI SDK it uses.
    pub uses: String,
    /// Whether it is started.
    pub standing: ScriptStanding,
    /// Why.
    pub why: String,
    /// The state of the whole; `-` when it is not started.
    pub state: ProcessState,
    /// What runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<String>,
    /// Addresses of providers in it, whose calls would be neither metered nor capped.
    pub warnings: Vec<String>,
    /// What happens to its tasks while it cannot work: `wait`, or the worker that answers in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// Its processes.
    pub processes: Vec<ScriptProcess>,
}

/// The scripts of the folder of workers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScriptList {
    /// By file.
    pub scripts: Vec<Script>,
}

/// What was started anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Restarted {
    /// How many workers or processes were told to start anew.
    pub restarted: usize,
}

/// How many processes a script is to have.
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
    /// When.
    pub at: String,
    /// Which process of the script; 0: one that worked on a single task.
    pub instance: u32,
    /// `out`, `err`, or `kapelle` for starts and ends.
    pub stream: String,
    /// What it says. Control characters stand as `\\u{1b}`.
    pub text: String,
}

/// The last lines of a script.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogLines {
    /// The oldest first.
    pub lines: Vec<LogLine>,
}
