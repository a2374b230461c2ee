//! The observations of clients and hosts, kept outside the server.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use serde_json::Value;

/// Time from a question to its answer, in microseconds. The effect happened in between.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Span {
    pub sent: u64,
    pub got: u64,
}

/// The visible state of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    pub state: String,
    pub attempt: u64,
    pub ended_at: Value,
    pub output: Value,
}

impl Look {
    pub fn of(task: &Value) -> Look {
        Look {
            state: task["state"].as_str().unwrap().to_owned(),
            attempt: task["attempt"].as_u64().unwrap(),
            ended_at: task["ended_at"].clone(),
            output: task["output"].clone(),
        }
    }

    pub fn ended(&self) -> bool {
        ["succeeded", "failed", "cancelled"].contains(&self.state.as_str())
    }
}

/// A question about one task, and its answer.
#[derive(Debug, Clone)]
pub enum What {
    /// A submission that was acknowledged.
    Submitted,
    /// A look; `None` when the task did not exist.
    Seen(Option<Look>),
    /// A cancellation, and whether it took effect, when that is known.
    Cancelled(Option<bool>),
    /// An attempt that was given to a host.
    Claimed { by: String, attempt: u64 },
    /// A report of an attempt's end.
    Reported(Reported),
}

/// A report of a host, and its answer.
#[derive(Debug, Clone, Deserialize)]
pub struct Reported {
    pub by: String,
    pub attempt: u64,
    pub outcome: String,
    /// `accepted`, or the code of the refusal.
    pub told: String,
    /// Failed tries while the server was away: an earlier one may have been received.
    pub tries: u64,
    /// Time before the report since which the lease was not certainly the host's, in milliseconds.
    pub silent_ms: u64,
}

/// A question at some time.
#[derive(Debug, Clone)]
pub struct Event {
    pub span: Span,
    pub what: What,
}

/// All events of all tasks.
#[derive(Debug, Default)]
pub struct History {
    pub tasks: BTreeMap<String, Vec<Event>>,
    /// Hosts that were stopped for longer than a lease, and when that began.
    pub frozen: BTreeMap<String, u64>,
}

/// A line of a host's log.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line {
    Claim {
        task: String,
        by: String,
        attempt: u64,
        #[serde(flatten)]
        span: Span,
    },
    Report {
        task: String,
        #[serde(flatten)]
        reported: Reported,
        #[serde(flatten)]
        span: Span,
    },
}

impl History {
    pub fn add(&mut self, task: &str, span: Span, what: What) {
        self.tasks.entry(task.to_owned()).or_default().push(Event { span, what });
    }

    /// Adds a host's log. The last line of a killed host may be torn.
    pub fn read(&mut self, log: &Path) {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        for line in text.lines() {
            // Numbers keep their digits, so a tagged value is read in two steps.
            match serde_json::from_str::<serde_json::Value>(line).and_then(serde_json::from_value) {
                Ok(Line::Claim { task, by, attempt, span }) => self.add(&task, span, What::Claimed { by, attempt }),
                Ok(Line::Report { task, reported, span }) => self.add(&task, span, What::Reported(reported)),
                Err(error) => assert!(error.is_eof(), "{}: {error}: {line}", log.display()),
            }
        }
    }
}
