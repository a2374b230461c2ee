//! `kapelle logs RUN|TASK`: the events of a run or task, line by line.

use std::collections::HashMap;

use kapelle::{
    RunId, TaskId,
    core::{
        TenantId,
        run::{Opening, RunEvent, ScopeId},
        task::TaskState,
    },
    store::{Reader, RunRow, SqliteReader},
};
use serde_json::{Value, json};

use super::{script_logs, tasks};
use crate::{
    app::App,
    failure::{Code, Failure},
    ids::{self, Id},
    scripts, shown,
};

/// Entries read at a time.
const PAGE: u32 = 1_000;

/// Show the events of a run or task, line by line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An id such as run_3 or task_12, or the name of a script
    #[arg(value_name = "RUN|TASK|SCRIPT")]
    id: String,
    /// For a script: follow its output
    #[arg(short, long)]
    follow: bool,
    /// For a script: the number of last lines
    #[arg(long, value_name = "N", default_value_t = 100)]
    tail: usize,
}

/// Runs the verb.
///
/// # Errors
/// When the run or task does not exist.
pub async fn run(app: &App, args: &Args) -> Result<Code, Failure> {
    let id = match ids::any(&args.id) {
        Ok(id) => id,
        Err(wrong) => {
            // Not an id: the name of a script, perhaps.
            let all = scripts::known(app).await?;
            let found = scripts::id(&all, &args.id);
            return match found {
                Ok(id) => script_logs::run(app, &id, args.tail, args.follow).await,
                Err(_) if all.is_empty() => Err(wrong),
                Err(failure) => Err(failure),
            };
        }
    };
    let reader = app.reader()?;
    match id {
        Id::Run(run) => of_run(app, &reader, run),
        Id::Task(task) => of_task(app, &reader, task),
    }
}

fn of_run(app: &App, reader: &SqliteReader, id: RunId) -> Result<Code, Failure> {
    let row = reader.run(TenantId::DEFAULT, id)?.ok_or_else(|| Failure::not_found(format!("{id} does not exist")))?;
    print_run(app, reader, &row, 0)?;
    Ok(Code::Ok)
}

/// Prints the journal of a run from an entry on. Returns the number of the next entry.
///
/// # Errors
/// When it cannot be read.
pub fn print_run(app: &App, reader: &SqliteReader, row: &RunRow, mut from: u64) -> Result<u64, Failure> {
    let mut names = None;
    loop {
        let entries = reader.journal(row.id, from, PAGE)?;
        let Some(last) = entries.last() else { return Ok(from) };
        from = last.seq + 1;
        if names.is_none() {
            names = Some(Names::read(reader, row)?);
        }
        let Some(names) = &names else { return Ok(from) };
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

/// Prints the attempts of a failed step below its failure.
fn failed_attempts(reader: &SqliteReader, event: &RunEvent) -> Result<Option<String>, Failure> {
    let RunEvent::ScopeFailed { task, .. } = event else { return Ok(None) };
    let mut text = String::new();
    for attempt in reader.attempts(*task)? {
        let span = shown::duration(attempt.ended_at.since(attempt.started_at));
        text.push_str(&format!("\n  attempt {} failed after {span}: {}", attempt.epoch, attempt.error));
    }
    Ok(Some(text))
}

/// The paths of a run's steps.
struct Names<'a> {
    row: &'a RunRow,
    paths: HashMap<TaskId, String>,
    scopes: HashMap<ScopeId, String>,
}

impl<'a> Names<'a> {
    fn read(reader: &SqliteReader, row: &'a RunRow) -> Result<Names<'a>, Failure> {
        let mut names = Names { row, paths: HashMap::new(), scopes: HashMap::new() };
        let mut after = TaskId(0);
        loop {
            let page = reader.steps(row.id, after, PAGE)?;
            let Some(last) = page.last() else { return Ok(names) };
            after = last.id;
            for task in page {
                let Some(origin) = task.origin else { continue };
                names.scopes.insert(ScopeId::inner(origin.scope, origin.slot), origin.path.to_string());
                names.paths.insert(task.id, origin.path.to_string());
            }
        }
    }

    fn of(&self, task: TaskId) -> String {
        self.paths.get(&task).cloned().unwrap_or_else(|| task.to_string())
    }

    fn scope(&self, scope: ScopeId) -> String {
        match scope {
            ScopeId::ROOT => "the run".to_owned(),
            ScopeId::ON_ERROR => "`on_error`".to_owned(),
            ScopeId::ON_CANCEL => "`on_cancel`".to_owned(),
            ScopeId::FINALLY => "`finally`".to_owned(),
            inner => self.scopes.get(&inner).map_or_else(|| "a step".to_owned(), |path| format!("step {path}")),
        }
    }

    fn line(&self, event: &RunEvent) -> (Option<String>, String) {
        let of_step = |task: TaskId, text: &str| {
            let step = self.of(task);
            let text = format!("step {step} {text}");
            (Some(step), text)
        };
        match event {
            RunEvent::Started { .. } => (None, format!("{} started: {}", self.row.id, self.row.workflow)),
            RunEvent::StepStarted { task, signal: Some(name), .. } => {
                of_step(*task, &format!("waits for the signal {name} ({task})"))
            }
            RunEvent::StepStarted { task, .. } => of_step(*task, &format!("is ready ({task})")),
            RunEvent::ScopeOpened { task, opening, .. } => of_step(
                *task,
                &match opening {
                    Opening::Items { total } => format!("works on {}", shown::count(*total as usize, "item")),
                    Opening::Turns => "takes turns".to_owned(),
                    Opening::Block(_) => "begins its steps".to_owned(),
                },
            ),
            RunEvent::StepSkipped { task, reason, .. } => of_step(*task, &format!("skipped: {}", reason.as_str())),
            RunEvent::StepEnded { task, outcome, .. } => {
                let outcome = serde_json::to_value(outcome).unwrap_or_default();
                of_step(*task, outcome.as_str().unwrap_or("ended"))
            }
            RunEvent::LoopEnded { scope } => (None, format!("{} has finished its last turn", self.scope(*scope))),
            RunEvent::ScopeFailed { scope, task, .. } => {
                (None, format!("{} fails: {} did not succeed", self.scope(*scope), self.of(*task)))
            }
            RunEvent::Failing { error } => (None, format!("fails at once: {error}")),
            RunEvent::TailOpened { scope } => (None, format!("{} begins", self.scope(*scope))),
            RunEvent::Paused { .. } => (None, "paused".to_owned()),
            RunEvent::Resumed { .. } => (None, "goes on".to_owned()),
            RunEvent::ClockPaused { .. } => (None, "is only waiting: the clock of its time limit stops".to_owned()),
            RunEvent::ClockResumed { .. } => (None, "works again".to_owned()),
            RunEvent::SignalKept { name } => (None, format!("the signal {name} came, and is kept")),
            RunEvent::SignalTaken { name } => (None, format!("the signal {name} that was kept is taken")),
            RunEvent::Triggered { workflow, run: Some(run), .. } => (None, format!("starts {run} of {workflow}")),
            RunEvent::Triggered { workflow, error, .. } => {
                let why = error.as_deref().unwrap_or("unknown reason");
                (None, format!("should start {workflow}, which cannot be: {why}"))
            }
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
