//! The result of a check, as text, as JSON and as the interface shows it.

use kapelle_api::{DoctorCheck, DoctorState};
use serde_json::{Value, json};

use crate::out::{Tone, paint};

/// The state of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Ok,
    Warn,
    Fail,
}

/// The result of one check.
pub(super) struct Check {
    name: &'static str,
    pub(super) state: State,
    found: String,
    todo: Option<String>,
}

impl Check {
    pub(super) fn new(name: &'static str, state: State, found: impl Into<String>) -> Check {
        Check { name, state, found: found.into(), todo: None }
    }

    pub(super) fn todo(mut self, todo: impl Into<String>) -> Check {
        self.todo = Some(todo.into());
        self
    }

    fn word(&self) -> &'static str {
        match self.state {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "fail",
        }
    }

    /// Returns the command that shows more.
    fn command(&self) -> &'static str {
        match self.name {
            "config" | "budgets" => "kapelle config check",
            "key" if self.state == State::Fail => "kapelle config trust",
            "key" | "model" | "models" => "kapelle config show --origin",
            "workers" | "script" | "scripts" | "process" | "node" | "typescript" | "python" => "kapelle workers list",
            "tasks" => "kapelle tasks list",
            "provider" => "kapelle providers",
            "dead" => "kapelle dead groups",
            _ => "kapelle doctor",
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({ "check": self.name, "state": self.word(), "found": self.found, "todo": self.todo })
    }

    pub(super) fn text(&self) -> String {
        let tone = match self.state {
            State::Ok => Tone::Good,
            State::Warn => Tone::Warn,
            State::Fail => Tone::Bad,
        };
        let word = paint(tone, &format!("{:<4}", self.word()));
        let todo = self.todo.as_ref().map_or_else(String::new, |todo| format!("\n                 -> {todo}"));
        format!("{word} {:<11} {}{todo}", self.name, self.found)
    }
}

impl From<Check> for DoctorCheck {
    fn from(check: Check) -> DoctorCheck {
        let state = match check.state {
            State::Ok => DoctorState::Ok,
            State::Warn => DoctorState::Warn,
            State::Fail => DoctorState::Fail,
        };
        let (name, command) = (check.name.to_owned(), check.command().to_owned());
        DoctorCheck { name, state, found: check.found, todo: check.todo, command }
    }
}
