//! `kapelle logs RUN|TASK`: what happened, line by line.

use kapelle::{
    RunId, TaskId,
    core::{
        TenantId,
        definition::{Definition, StepIx},
        run::{RunEvent, ScopeId, Slot},
        task::TaskState,
    },
    store::{Reader, RunRow, SqliteReader},
};
use serde_json::{Value, json};

use super::tasks;
use crate::{
    app::App,
    describe,
    failure::{Code, Failure},
    ids::{self, Id},
    shown,
};

/// Entries read at a time.
const PAGE: u32 = 1_000;

/// What happened to a run or task, line by line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Such as run_3 or task_12
    #[arg(value_name = "RUN|TASK")]
    id: String,
}

/// Runs the verb.
///
/// # Errors
/// When there is no such run or task.
pub fn run(app: &App, args: &Args) -> Result<Code, Failure> {
    let id = ids::any(&args.id)?;
    let reader = app.reader()?;
    match id {
        Id::Run(run) => of_run(app, &reader, run),
        Id::Task(task) => of_task(app, &reader, task),
    }
}

fn of_run(app: &App, reader: &SqliteReader, id: RunId) -> Result<Code, Failure> {
    let row = reader.run(TenantId::DEFAULT, id)?.ok_or_else(|| Failure::not_found(format!("{id} does not exist")))?;
    let names = Names { definition: describe::definition(reader, &row)?, row: &row };
    let mut from = 0;
    loop {
        let entries = reader.journal(id, from, PAGE)?;
        let Some(last) = entries.last() else { return Ok(Code::Ok) };
        from = last.seq + 1;
        for entry in &entries {
            let (step, text) = names.line(&entry.event);
            if app.out.json {
                let mut event = serde_json::to_value(&entry.event).unwrap_or_default();
                event["seq"] = json!(entry.seq);
                event["time"] = json!(shown::time_exact(entry.at));
                event["step"] = json!(step);
                // One object a line, so that a long journal can be read as it comes.
                app.out.print(&event.to_string())?;
            } else {
                let mut line = format!("{} {text}", shown::time_exact(entry.at));
                if let Some(attempts) = failed_attempts(reader, &entry.event)? {
                    line.push_str(&attempts);
                }
                app.out.print(&line)?;
            }
        }
    }
}

/// The attempts of a step that did not succeed stand below its failure.
fn failed_attempts(reader: &SqliteReader, event: &RunEvent) -> Result<Option<String>, Failure> {
    let RunEvent::Stopping { task } = event else { return Ok(None) };
    let mut text = String::new();
    for attempt in reader.attempts(*task)? {
        let span = shown::duration(attempt.ended_at.since(attempt.started_at));
        text.push_str(&format!("\n  attempt {} failed after {span}: {}", attempt.epoch, attempt.error));
    }
    Ok(Some(text))
}

struct Names<'a> {
    definition: Option<Definition>,
    row: &'a RunRow,
}

impl Names<'_> {
    fn step(&self, scope: ScopeId, slot: Slot) -> String {
        let root = self.definition.as_ref().map(|definition| definition.block(definition.root));
        match root.filter(|root| scope == ScopeId::ROOT && (slot.0 as usize) < root.steps.len()) {
            Some(root) => root.step(StepIx(slot.0)).name.to_string(),
            None => format!("{}.{}", scope.0, slot.0),
        }
    }

    fn line(&self, event: &RunEvent) -> (Option<String>, String) {
        match event {
            RunEvent::Started { .. } => (None, format!("{} started: {}", self.row.id, self.row.workflow)),
            RunEvent::StepStarted { scope, slot, task } => {
                let step = self.step(*scope, *slot);
                let text = format!("step {step} is ready ({task})");
                (Some(step), text)
            }
            RunEvent::StepSkipped { scope, slot, reason, .. } => {
                let step = self.step(*scope, *slot);
                let text = format!("step {step} skipped: {}", reason.as_str());
                (Some(step), text)
            }
            RunEvent::StepEnded { scope, slot, outcome } => {
                let step = self.step(*scope, *slot);
                let outcome = serde_json::to_value(outcome).unwrap_or_default();
                let text = format!("step {step} {}", outcome.as_str().unwrap_or("ended"));
                (Some(step), text)
            }
            RunEvent::Stopping { task } => (None, format!("stopping: {task} failed")),
            RunEvent::CancelRequested { reason } => (None, format!("to be cancelled: {reason}")),
            RunEvent::Succeeded { .. } => (None, format!("{} succeeded", self.row.id)),
            RunEvent::Failed { error, .. } => (None, format!("{} failed: {error}", self.row.id)),
            RunEvent::Cancelled { .. } => (None, format!("{} cancelled", self.row.id)),
        }
    }
}

fn of_task(app: &App, reader: &SqliteReader, id: TaskId) -> Result<Code, Failure> {
    let task = tasks::load(reader, id)?;
    let mut lines: Vec<(Value, String)> = Vec::new();
    let mut add = |at, event: &str, text: String| {
        let time = shown::time_exact(at);
        let line = format!("{time} {text}");
        lines.push((json!({ "time": time, "event": event, "text": text }), line));
    };
    add(task.created_at, "submitted", format!("{id} submitted for {} in queue {}", task.worker, task.queue));
    for attempt in reader.attempts(id)? {
        add(attempt.started_at, "attempt_started", format!("attempt {} began", attempt.epoch));
        add(attempt.ended_at, "attempt_failed", format!("attempt {} failed: {}", attempt.epoch, attempt.error));
    }
    match &task.state {
        TaskState::Running(lease) => {
            add(lease.started_at, "attempt_started", format!("attempt {} began", lease.epoch));
        }
        TaskState::Succeeded { started_at, ended_at, provenance, .. } => {
            add(*started_at, "attempt_started", format!("attempt {} began", task.epoch));
            let by =
                provenance.provider.as_ref().map_or_else(String::new, |provider| format!(", answered by {provider}"));
            let degraded =
                provenance.degraded.as_ref().map_or_else(String::new, |reason| format!(", degraded: {reason}"));
            add(*ended_at, "succeeded", format!("{id} succeeded{by}{degraded}"));
        }
        TaskState::Failed { error, ended_at, .. } => add(*ended_at, "failed", format!("{id} failed: {error}")),
        TaskState::Cancelled { reason, ended_at } => add(*ended_at, "cancelled", format!("{id} cancelled: {reason}")),
        TaskState::Discarded { error, reason, ended_at, discarded_at, .. } => {
            add(*ended_at, "failed", format!("{id} failed: {error}"));
            add(*discarded_at, "discarded", format!("{id} discarded: {reason}"));
        }
        TaskState::Skipped { reason, ended_at } => add(*ended_at, "skipped", format!("{id} skipped: {reason}")),
        TaskState::Retrying { at, .. } => add(*at, "due", "the next attempt is due".to_owned()),
        TaskState::Scheduled { at } => add(*at, "due", "the first attempt is due".to_owned()),
        TaskState::Ready { .. } | TaskState::Held { .. } | TaskState::Parked { .. } | TaskState::Waiting(_) => {}
    }
    for (value, line) in lines {
        app.out.print(&if app.out.json { value.to_string() } else { line })?;
    }
    Ok(Code::Ok)
}
