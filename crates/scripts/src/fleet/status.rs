//! How scripts and their processes are doing.

use kapelle_supervisor::machine::Exit;
use serde::Serialize;

/// How one process is doing. Times are milliseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ProcessStatus {
    /// Its id: that of its worker, and a number.
    pub id: String,
    /// Its number among those of its worker.
    pub instance: u32,
    /// `starting`, `running`, `stopping`, `waiting`, `stopped`, `finished` or `crashed`.
    pub state: &'static str,
    /// Its process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// When it was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<i64>,
    /// When it is started next, when it waits for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_start_ms: Option<i64>,
    /// How often it was started again.
    pub restarts: u64,
    /// Failures in a row.
    pub failures: u32,
    /// How it ended the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<Exit>,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_exit_ms: Option<i64>,
}

/// How one script is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScriptStatus {
    /// Its id.
    pub id: String,
    /// The worker's name.
    pub name: String,
    /// Its file, from the folder of workers on.
    pub file: String,
    /// `JavaScript`, `TypeScript`, `Python` or `executable`.
    pub kind: &'static str,
    /// `daemon`, `task` or `pool`.
    pub mode: &'static str,
    /// What of the SDK it uses.
    pub uses: String,
    /// `started`, `not_started` or `cannot_start`.
    pub standing: &'static str,
    /// Why.
    pub why: String,
    /// `running`, `idle`, `waiting`, `crashed`, `stopped`, `finished`, `starting`, or `-` when it is not started.
    pub state: &'static str,
    /// What runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<String>,
    /// What is to be known of it besides: addresses of providers in it.
    pub warnings: Vec<String>,
    /// What happens to its tasks while it cannot work; none for a daemon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// Its processes.
    pub processes: Vec<ProcessStatus>,
}

/// How many scripts there are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Scripts that are started.
    pub started: usize,
    /// Processes that run.
    pub running: usize,
    /// Processes that were given up.
    pub crashed: usize,
    /// Scripts that should be started and cannot.
    pub cannot_start: usize,
}

impl Counts {
    /// The counts of these.
    #[must_use]
    pub fn of(all: &[ScriptStatus]) -> Counts {
        let standing = |word: &str| all.iter().filter(|script| script.standing == word).count();
        let processes =
            |word: &str| all.iter().flat_map(|script| &script.processes).filter(|p| p.state == word).count();
        Counts {
            started: standing("started"),
            running: processes("running"),
            crashed: processes("crashed"),
            cannot_start: standing("cannot_start"),
        }
    }
}
