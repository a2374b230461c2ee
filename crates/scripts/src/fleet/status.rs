//! Status of scripts and their processes.

use kapelle_core::Money;
use kapelle_supervisor::machine::Exit;
use serde::Serialize;

/// The status of one process. Times are milliseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ProcessStatus {
    /// Its id: the id of its worker, and a number.
    pub id: String,
    /// Its number within its worker.
    pub instance: u32,
    /// `starting`, `running`, `stopping`, `waiting`, `stopped`, `finished`, `crashed` or `parked`.
    pub state: &'static str,
    /// Process id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// Time of its start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<i64>,
    /// Time of the next start, when the process waits for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_start_ms: Option<i64>,
    /// Account that has no money for it, and what lifts that, while the process is parked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parked: Option<String>,
    /// Number of starts.
    pub runs: u64,
    /// Number of restarts: after failures, and by request.
    pub restarts: u64,
    /// Failures in a row.
    pub failures: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<Exit>,
    /// Time of the latest exit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_exit_ms: Option<i64>,
}

/// The status of one script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ScriptStatus {
    pub id: String,
    /// The worker's name.
    pub name: String,
    /// Its file, relative to the folder of workers.
    pub file: String,
    /// `JavaScript`, `TypeScript`, `Python` or `executable`.
    pub kind: &'static str,
    /// `daemon`, `task` or `pool`.
    pub mode: &'static str,
    /// The parts of the SDK that it uses.
    pub uses: String,
    /// `started`, `not_started` or `cannot_start`.
    pub standing: &'static str,
    /// The reason for `standing`.
    pub why: String,
    /// `running`, `idle`, `waiting`, `parked`, `crashed`, `stopped`, `finished`, `starting`, or `-` when it is not
    /// started.
    pub state: &'static str,
    /// The program that runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<String>,
    /// Warnings, such as addresses of providers in its code.
    pub warnings: Vec<String>,
    /// Its fallback while it cannot work; `None` for a daemon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// The times of its starts, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Spending limit of one task or process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<Money>,
    pub processes: Vec<ProcessStatus>,
}

/// The number of scripts in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Scripts that are started.
    pub started: usize,
    /// Processes that run.
    pub running: usize,
    /// Processes that failed too often and are not restarted.
    pub crashed: usize,
    /// Processes that wait for money.
    pub parked: usize,
    /// Scripts that should be started and cannot.
    pub cannot_start: usize,
}

impl Counts {
    /// Counts the states.
    #[must_use]
    pub fn of(all: &[ScriptStatus]) -> Counts {
        let standing = |word: &str| all.iter().filter(|script| script.standing == word).count();
        let processes =
            |word: &str| all.iter().flat_map(|script| &script.processes).filter(|p| p.state == word).count();
        Counts {
            started: standing("started"),
            running: processes("running"),
            crashed: processes("crashed"),
            parked: processes("parked"),
            cannot_start: standing("cannot_start"),
        }
    }
}
