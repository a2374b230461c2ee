//! What clients and hosts saw, kept outside the server.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use serde_json::Value;

/// From when something was asked until it was answered, in microseconds. What was asked came to pass in between.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Span {
    pub sent: u64,
    pub got: u64,
}

/// How a task looked.
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

/// What was asked about one task, and answered.
#[derive(Debug, Clone)]
pub enum What {
    /// It was submitted, and that was acknowledged.
    Submitted,
    /// It was looked at; none when it did not exist.
    Seen(Option<Look>),
    /// It was to be cancelled; whether it was, when that is known.
    Cancelled(Option<bool>),
    /// A host was given an attempt.
    Claimed { by: String, attempt: u64 },
    /// A host told how an attempt ended.
    Reported(Reported),
}

/// What a host told, and what it was told.
#[derive(Debug, Clone, Deserialize)]
pub struct Reported {
    pub by: String,
    pub attempt: u64,
    pub outcome: String,
    /// `accepted`, or the code of the refusal.
    pub told: String,
    /// How often it was told in vain, the server being away: it may have been heard.
    pub tries: u64,
    /// How long before that the lease was certainly the host's.
    pub silent_ms: u64,
}

/// Something that was asked.
#[derive(Debug, Clone)]
pub struct Event {
    pub span: Span,
    pub what: What,
}

/// Everything about every task.
#[derive(Debug, Default)]
pub struct History {
    pub tasks: BTreeMap<String, Vec<Event>>,
    /// Hosts that were stopped for longer than a lease, and when that began.
    pub frozen: BTreeMap<String, u64>,
}

/// A line that a host wrote down.
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

    /// Adds what a host wrote down. The last line of one that was killed may be torn.
    pub fn read(&mut self, log: &Path) {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        for line in text.lines() {
            // Numbers keep their digits, so that what is tagged inside is read in two steps.
            match serde_json::from_str::<serde_json::Value>(line).and_then(serde_json::from_value) {
                Ok(Line::Claim { task, by, attempt, span }) => self.add(&task, span, What::Claimed { by, attempt }),
                Ok(Line::Report { task, reported, span }) => self.add(&task, span, What::Reported(reported)),
                Err(error) => assert!(error.is_eof(), "{}: {error}: {line}", log.display()),
            }
        }
    }
}
