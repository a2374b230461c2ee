//! Views of runs, steps and tasks, in text and in JSON.

use std::{collections::HashMap, sync::Arc};

use kapelle::{
    Money, RunId, TaskError, TaskId,
    core::{
        DurationMs, Payload, TenantId,
        definition::{Definition, StepDef},
        run::RunStatus,
        task::{HoldReason, StateKind, Task, TaskState},
        worker::Provenance,
    },
    store::{Reader, RunRow},
};
use serde_json::{Value, json};

use crate::{
    arrange,
    failure::Failure,
    out::{Tone, paint},
    shown,
};

/// Rows read at a time.
const PAGE: u32 = 1_000;

/// A run with its steps.
pub struct RunView {
    pub row: RunRow,
    pub outputs: Value,
    pub steps: Vec<StepView>,
}

/// A step of a run, or a standalone task.
#[derive(Debug, Clone)]
pub struct StepView {
    pub name: String,
    pub task: Option<TaskId>,
    pub worker: String,
    pub state: &'static str,
    pub attempts: u32,
    pub duration: Option<DurationMs>,
    pub provenance: Provenance,
    pub error: Option<Arc<TaskError>>,
    /// The reason why it was skipped, cancelled, held or waits.
    pub reason: Option<String>,
}

/// Returns the value of a stored payload.
///
/// # Errors
/// When it cannot be read.
pub fn value(reader: &dyn Reader, payload: &Payload) -> Result<Value, Failure> {
    let bytes = match payload {
        Payload::Row(id) => reader.payload(*id)?.unwrap_or_else(|| b"null".to_vec()),
        other => other.inline().unwrap_or(b"null").to_vec(),
    };
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::new(crate::failure::Code::Failed, format!("a stored value is not JSON: {error}")))
}

/// Returns the definition of a run's version.
///
/// # Errors
/// When it cannot be read.
pub fn definition(reader: &dyn Reader, row: &RunRow) -> Result<Option<Definition>, Failure> {
    let Some(version) = reader.version(row.tenant, row.version)? else { return Ok(None) };
    // A definition for an earlier version of this program may be unreadable now; its steps are still shown.
    Ok(Definition::parse(&version.source, &version.file).ok())
}

/// Returns the row of a run.
///
/// # Errors
/// When it does not exist, or cannot be read.
pub fn row(reader: &dyn Reader, id: RunId) -> Result<RunRow, Failure> {
    reader.run(TenantId::DEFAULT, id)?.ok_or_else(|| {
        Failure::not_found(format!("{id} does not exist")).help("`kapelle runs list` shows those that do")
    })
}

/// Returns the outputs of a run; null when it did not succeed.
///
/// # Errors
/// When they cannot be read.
pub fn outputs(reader: &dyn Reader, row: &RunRow) -> Result<Value, Failure> {
    match &row.status {
        RunStatus::Succeeded { outputs, .. } => value(reader, outputs),
        _ => Ok(Value::Null),
    }
}

/// Shows every row of a run's steps, oldest first, a page at a time.
///
/// # Errors
/// When they cannot be read.
pub fn each_step(reader: &dyn Reader, run: RunId, show: &mut dyn FnMut(&Task)) -> Result<(), Failure> {
    let mut after = TaskId(0);
    loop {
        let tasks = reader.steps(run, after, PAGE)?;
        let Some(last) = tasks.last() else { return Ok(()) };
        after = last.id;
        tasks.iter().for_each(&mut *show);
    }
}

impl RunView {
    /// Reads a run with all of its steps.
    ///
    /// # Errors
    /// When it does not exist, or cannot be read.
    pub fn load(reader: &dyn Reader, id: RunId) -> Result<RunView, Failure> {
        let row = row(reader, id)?;
        let definition = definition(reader, &row)?;
        let root = definition.as_ref().map(|definition| definition.block(definition.root));
        let own = |step: &&StepDef| !step.is_handler;
        let mut steps: Vec<StepView> = root
            .iter()
            .flat_map(|root| root.steps.iter().filter(own))
            .map(|step| StepView::pending(step.name.as_str()))
            .collect();
        let places: HashMap<String, usize> =
            steps.iter().enumerate().map(|(at, step)| (step.name.clone(), at)).collect();
        let mut inner: Vec<(usize, StepView)> = Vec::new();
        each_step(reader, id, &mut |task| {
            let path = task.origin.as_ref().map_or("", |origin| &*origin.path);
            let view = StepView::of(path.to_owned(), task);
            match places.get(path) {
                Some(place) => steps[*place] = view,
                None => inner.push((places.get(arrange::first_step(path)).copied().unwrap_or(steps.len()), view)),
            }
        })?;
        let steps = arrange::interleave(steps, inner);
        Ok(RunView { outputs: outputs(reader, &row)?, row, steps })
    }

    /// Returns the error, if it failed.
    pub fn error(&self) -> Option<&TaskError> {
        match &self.row.status {
            RunStatus::Failed { error, .. } => Some(error),
            _ => None,
        }
    }

    /// Returns the cost of all steps.
    pub fn cost(&self) -> Money {
        Money(self.steps.iter().fold(0, |sum, step| sum.saturating_add(step.provenance.cost.0)))
    }

    /// Formats the run as JSON.
    pub fn json(&self) -> Value {
        let mut value = run_json(&self.row);
        value["outputs"] = self.outputs.clone();
        value["cost_nanousd"] = json!(self.cost().0);
        value["steps"] = self.steps.iter().map(StepView::json).collect();
        value
    }

    /// Formats the steps as a table.
    pub fn table(&self) -> String {
        let heading = ["STEP", "STATE", "ATTEMPT", "TIME", "PROVIDER", "COST", "NOTE"];
        shown::table(&heading, self.steps.iter().map(StepView::row).collect())
    }
}

/// Formats a run without its steps as JSON.
pub fn run_json(row: &RunRow) -> Value {
    let mut value = json!({
        "run": row.id.to_string(),
        "workflow": row.workflow.as_str(),
        "state": row.status.kind().as_str(),
        "created_at": shown::time_exact(row.created_at),
        "ended_at": row.status.ended_at().map(shown::time_exact),
        "duration_ms": row.status.ended_at().map(|ended| ended.since(row.created_at).0),
    });
    if let Some(rerun) = &row.rerun {
        (value["rerun_of"], value["recorded"]) = (json!(rerun.of.to_string()), json!(rerun.recorded));
    }
    match &row.status {
        RunStatus::Failed { error, .. } | RunStatus::Failing { error } => value["error"] = error_json(error),
        RunStatus::Cancelled { reason, .. } | RunStatus::Cancelling { reason, .. } => {
            value["reason"] = json!(&**reason)
        }
        _ => {}
    }
    value
}

/// Formats a failure as JSON.
pub fn error_json(error: &TaskError) -> Value {
    json!({ "category": error.category.as_str(), "message": error.message, "retryable": error.retryable })
}

/// Returns the colour of a state.
pub fn tone(state: &str) -> Tone {
    match state {
        "succeeded" => Tone::Good,
        "failed" => Tone::Bad,
        "cancelled" | "cancelling" | "failing" | "waiting" | "retrying" | "held" | "parked" => Tone::Warn,
        "running" => Tone::Bold,
        _ => Tone::Dim,
    }
}

impl StepView {
    fn pending(name: &str) -> StepView {
        StepView {
            name: name.to_owned(),
            task: None,
            worker: String::new(),
            state: "pending",
            attempts: 0,
            duration: None,
            provenance: Provenance::default(),
            error: None,
            reason: None,
        }
    }

    /// Makes the view of a task under a name.
    pub fn of(name: String, task: &Task) -> StepView {
        let mut view = StepView {
            name,
            task: Some(task.id),
            worker: task.worker.to_string(),
            state: task.state.kind().as_str(),
            attempts: task.epoch,
            ..StepView::pending("")
        };
        match &task.state {
            TaskState::Succeeded { provenance, started_at, ended_at, .. } => {
                view.provenance = (**provenance).clone();
                view.duration = Some(ended_at.since(*started_at));
            }
            TaskState::Failed { error, ended_at, dead } => {
                view.error = Some(Arc::clone(error));
                view.duration = Some(ended_at.since(task.created_at));
                view.reason = dead.then(|| "its worker died too often".to_owned());
            }
            TaskState::Retrying { error, at } => {
                view.error = Some(Arc::clone(error));
                view.reason = Some(format!("again at {}", shown::time(*at)));
            }
            TaskState::Discarded { error, reason, .. } => {
                view.error = Some(Arc::clone(error));
                view.reason = Some(format!("discarded: {reason}"));
            }
            TaskState::Scheduled { at } => view.reason = Some(format!("not before {}", shown::time(*at))),
            TaskState::Held { reason, .. } => view.reason = Some(HoldReason::as_str(*reason).to_owned()),
            TaskState::Parked { needs, .. } => view.reason = Some(format!("the next call may cost {needs}")),
            TaskState::Cancelled { reason, .. } | TaskState::Skipped { reason, .. } => {
                view.reason = Some(reason.to_string());
            }
            TaskState::Waiting(wait) => view.reason = Some(arrange::waits_for(wait)),
            TaskState::Ready { .. } | TaskState::Running(_) => {}
        }
        view
    }

    /// Formats the step as JSON.
    pub fn json(&self) -> Value {
        json!({
            "name": self.name,
            "task": self.task.map(|task| task.to_string()),
            "worker": (!self.worker.is_empty()).then_some(&self.worker),
            "state": self.state,
            "attempt": self.attempts,
            "duration_ms": self.duration.map(|span| span.0),
            "provider": self.provenance.provider,
            "model": self.provenance.model,
            "cached": self.provenance.cached,
            "recorded": self.provenance.recorded,
            "stand_in": self.provenance.stand_in,
            "degraded": self.provenance.degraded.is_some(),
            "degraded_reason": self.provenance.degraded,
            "cost_nanousd": self.provenance.cost.0,
            "error": self.error.as_deref().map(error_json),
            "reason": self.reason,
        })
    }

    /// Returns what matters to a person besides the state.
    pub fn note(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.provenance.degraded.as_ref().map(|reason| format!("degraded: {reason}")));
        if self.provenance.stand_in {
            parts.push("answered by a fallback worker".to_owned());
        }
        if self.provenance.cached {
            parts.push("an earlier answer".to_owned());
        }
        if self.provenance.recorded {
            parts.push("recorded".to_owned());
        }
        if self.provenance.truncated {
            parts.push("the input was cut".to_owned());
        }
        parts.extend(self.error.as_ref().map(|error| error.to_string()));
        parts.extend(self.reason.clone());
        parts.join("; ")
    }

    fn row(&self) -> Vec<String> {
        let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        vec![
            self.name.clone(),
            paint(tone(self.state), self.state),
            if self.attempts == 0 { "-".to_owned() } else { self.attempts.to_string() },
            dash(self.duration.map(shown::duration)),
            dash(self.provenance.provider.clone()),
            shown::money(self.provenance.cost),
            self.note(),
        ]
    }
}

/// Formats a task as JSON. Callers that show one task add `output` and `input`.
pub fn task_json(task: &Task) -> Value {
    let view = StepView::of(String::new(), task);
    let mut value = view.json();
    if let Some(object) = value.as_object_mut() {
        object.shift_remove("name");
    }
    value["queue"] = json!(task.queue.as_str());
    value["priority"] = json!(task.priority);
    value["run"] = json!(task.origin.as_ref().map(|origin| origin.run.to_string()));
    value["step"] = json!(task.origin.as_ref().map(|origin| &*origin.path));
    value["created_at"] = json!(shown::time_exact(task.created_at));
    value["ended_at"] = json!(task.ended_at().map(shown::time_exact));
    value["dead"] = json!(matches!(task.state, TaskState::Failed { dead: true, .. }));
    value
}

/// Returns the row of a task in a table.
pub fn task_row(task: &Task) -> Vec<String> {
    let view = StepView::of(String::new(), task);
    let origin = task.origin.as_ref().map_or_else(|| "-".to_owned(), |origin| origin.run.to_string());
    vec![
        task.id.to_string(),
        paint(tone(view.state), view.state),
        task.worker.to_string(),
        task.queue.to_string(),
        origin,
        task.epoch.to_string(),
        shown::time(task.created_at),
        view.note(),
    ]
}

/// The heading above [`task_row`].
pub const TASK_HEADING: [&str; 8] = ["TASK", "STATE", "WORKER", "QUEUE", "RUN", "ATTEMPT", "CREATED", "NOTE"];

/// Formats runs as a table.
pub fn run_table(rows: &[RunRow]) -> String {
    let row = |row: &RunRow| {
        let state = row.status.kind().as_str();
        let took = row.status.ended_at().map(|ended| shown::duration(ended.since(row.created_at)));
        let note = match &row.status {
            RunStatus::Failed { error, .. } | RunStatus::Failing { error } => error.to_string(),
            RunStatus::Cancelled { reason, .. } | RunStatus::Cancelling { reason, .. } => reason.to_string(),
            _ => String::new(),
        };
        vec![
            row.id.to_string(),
            paint(tone(state), state),
            row.workflow.to_string(),
            shown::time(row.created_at),
            took.unwrap_or_else(|| "-".to_owned()),
            note,
        ]
    };
    shown::table(&["RUN", "STATE", "WORKFLOW", "STARTED", "TIME", "NOTE"], rows.iter().map(row).collect())
}

/// Parses a state.
///
/// # Errors
/// A message with the known states.
pub fn state(word: &str) -> Result<StateKind, String> {
    let found = StateKind::ALL.into_iter().find(|kind| kind.as_str() == word);
    found.ok_or_else(|| {
        let words: Vec<&str> = StateKind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("there are: {}", words.join(", "))
    })
}
