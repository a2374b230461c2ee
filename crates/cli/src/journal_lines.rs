//! The entries of a journal in words.

use std::collections::HashMap;

use kapelle::core::run::{ScopeId, SkipReason, Slot};
use kapelle_api::{JournalEntry, Run};
use serde_json::Value;

use crate::shown;

/// The paths of a run's steps, learnt from the entries before.
pub struct Lines<'a> {
    run: &'a Run,
    paths: HashMap<String, String>,
    scopes: HashMap<ScopeId, String>,
}

impl<'a> Lines<'a> {
    /// Begins without any step.
    pub fn of(run: &'a Run) -> Lines<'a> {
        Lines { run, paths: HashMap::new(), scopes: HashMap::new() }
    }

    /// Remembers the path of the step of an entry.
    pub fn learn(&mut self, entry: &JournalEntry) {
        if let (Some(task), Some(step)) = (field(entry, "task"), &entry.step) {
            self.paths.insert(task.to_owned(), step.clone());
            let slot = entry.fields.get("slot").and_then(Value::as_u64).and_then(|slot| u32::try_from(slot).ok());
            if let (Some(scope), Some(slot)) = (scope_of(entry), slot) {
                self.scopes.insert(ScopeId::inner(scope, Slot(slot)), step.clone());
            }
        }
    }

    /// Returns an entry in words.
    pub fn text(&self, entry: &JournalEntry) -> String {
        let id = &self.run.id;
        let task = field(entry, "task").unwrap_or_default();
        let step = entry.step.as_deref().or_else(|| self.paths.get(task).map(String::as_str)).unwrap_or(task);
        let word = |name: &str| field(entry, name).unwrap_or_default();
        match entry.event.as_str() {
            "started" => format!("{id} started: {}", self.run.workflow),
            "step_started" => match field(entry, "signal") {
                Some(signal) => format!("step {step} waits for the signal {signal} ({task})"),
                None => format!("step {step} is ready ({task})"),
            },
            "scope_opened" => format!("step {step} {}", opening(entry.fields.get("opening"))),
            "step_skipped" => format!("step {step} skipped: {}", skip_reason(entry)),
            "step_ended" => format!("step {step} {}", field(entry, "outcome").unwrap_or("ended")),
            "loop_ended" => format!("{} has finished its last turn", self.scope(entry)),
            "scope_failed" => format!("{} fails: {step} did not succeed", self.scope(entry)),
            "failing" => format!("fails at once: {}", error(entry)),
            "tail_opened" => format!("{} begins", self.scope(entry)),
            "paused" => "paused".to_owned(),
            "resumed" => "goes on".to_owned(),
            "clock_paused" => "is only waiting: the clock of its time limit stops".to_owned(),
            "clock_resumed" => "works again".to_owned(),
            "signal_kept" => format!("the signal {} came, and is kept", word("name")),
            "signal_lost" => format!("the signal {} came while no step waited for it, and is lost", word("name")),
            "signal_taken" => format!("the signal {} that was kept is taken", word("name")),
            "triggered" => match field(entry, "run") {
                Some(run) => format!("starts {run} of {}", word("workflow")),
                None => format!("should start {}, which cannot be: {}", word("workflow"), word("error")),
            },
            "cancel_requested" => format!("to be cancelled: {}", word("reason")),
            "succeeded" | "cancelled" => format!("{id} {}", entry.event),
            "failed" => format!("{id} failed: {}", error(entry)),
            other => other.replace('_', " "),
        }
    }

    /// Returns the name of the scope of an entry.
    fn scope(&self, entry: &JournalEntry) -> String {
        match scope_of(entry) {
            Some(ScopeId::ROOT) => "the run".to_owned(),
            Some(ScopeId::ON_ERROR) => "`on_error`".to_owned(),
            Some(ScopeId::ON_CANCEL) => "`on_cancel`".to_owned(),
            Some(ScopeId::FINALLY) => "`finally`".to_owned(),
            inner => {
                let path = inner.and_then(|scope| self.scopes.get(&scope));
                path.map_or_else(|| "a step".to_owned(), |path| format!("step {path}"))
            }
        }
    }
}

fn field<'e>(entry: &'e JournalEntry, name: &str) -> Option<&'e str> {
    entry.fields.get(name).and_then(Value::as_str)
}

fn error(entry: &JournalEntry) -> String {
    let error = entry.fields.get("error").unwrap_or(&Value::Null);
    let text = |name: &str| error[name].as_str().unwrap_or_default();
    format!("{}: {}", text("category"), text("message"))
}

fn opening(opening: Option<&Value>) -> String {
    match opening.and_then(|opening| opening["items"]["total"].as_u64()) {
        Some(total) => format!("works on {}", shown::count(total as usize, "item")),
        None if opening.is_some_and(|opening| opening == "turns") => "takes turns".to_owned(),
        None => "begins its steps".to_owned(),
    }
}

fn skip_reason(entry: &JournalEntry) -> String {
    let reason = entry.fields.get("reason").cloned().unwrap_or_default();
    let known = serde_json::from_value::<SkipReason>(reason.clone());
    known.map_or_else(|_| reason.to_string(), |reason| reason.as_str().to_owned())
}

fn scope_of(entry: &JournalEntry) -> Option<ScopeId> {
    field(entry, "scope")?.parse().ok().map(ScopeId)
}
