//! Conversion of rows to types of the API.

use std::sync::Arc;

use kapelle_api as api;
use kapelle_core::{
    Account, Payload, RunId, TaskError, TaskId, Timestamp,
    run::{RunEvent, RunStatus, StatusKind},
    task::{StateKind, Task, TaskState},
};
use kapelle_store::{AccessKey, ArtifactRow, AuditRow, JournalEntry, Lane, Replays, RunRow, VersionRow};
use serde_json::{Value, json, value::RawValue};

use crate::{app::App, app_error::AppError, secrets::hex, waiting};

/// Formats a time by RFC 3339: `2026-11-21T03:40:05.123Z`.
#[must_use]
pub fn time(at: Timestamp) -> String {
    // Beyond the years that RFC 3339 can write: the last or first that it can.
    let end = if at.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_millisecond(at.0).unwrap_or(end).to_string()
}

/// Returns the JSON of a stored payload, unchanged.
pub(crate) fn raw(app: &App, payload: &Payload) -> Result<Box<RawValue>, AppError> {
    let bytes = match payload {
        Payload::Row(id) => app.reader().payload(*id)?.unwrap_or_else(|| b"null".to_vec()),
        other => other.inline().unwrap_or(b"null").to_vec(),
    };
    let broken = |error: &dyn std::fmt::Display| AppError::internal(format!("a stored value is not JSON: {error}"));
    let text = String::from_utf8(bytes).map_err(|error| broken(&error))?;
    RawValue::from_string(text).map_err(|error| broken(&error))
}

/// Converts the state of a task.
pub(crate) fn state(kind: StateKind) -> api::TaskState {
    match kind {
        StateKind::Scheduled => api::TaskState::Scheduled,
        StateKind::Ready => api::TaskState::Ready,
        StateKind::Running => api::TaskState::Running,
        StateKind::Retrying => api::TaskState::Retrying,
        StateKind::Held => api::TaskState::Held,
        StateKind::Parked => api::TaskState::Parked,
        StateKind::Waiting => api::TaskState::Waiting,
        StateKind::Succeeded => api::TaskState::Succeeded,
        StateKind::Failed => api::TaskState::Failed,
        StateKind::Cancelled => api::TaskState::Cancelled,
        StateKind::Skipped => api::TaskState::Skipped,
        StateKind::Discarded => api::TaskState::Discarded,
    }
}

/// Converts the state of a run.
pub(crate) fn run_state(kind: StatusKind) -> api::RunState {
    match kind {
        StatusKind::Running => api::RunState::Running,
        StatusKind::Cancelling => api::RunState::Cancelling,
        StatusKind::Failing => api::RunState::Failing,
        StatusKind::Succeeded => api::RunState::Succeeded,
        StatusKind::Failed => api::RunState::Failed,
        StatusKind::Cancelled => api::RunState::Cancelled,
    }
}

/// Converts a task, without its output.
pub(crate) fn task(app: &App, task: &Task) -> api::Task {
    let mut shown = api::Task {
        id: task.id.to_string(),
        worker: task.worker.to_string(),
        queue: task.queue.to_string(),
        state: state(task.state.kind()),
        attempt: task.epoch,
        priority: task.priority,
        created_at: time(task.created_at),
        ready_at: None,
        started_at: None,
        ended_at: task.ended_at().map(time),
        key: task.key.as_ref().map(ToString::to_string),
        deadline: task.policy.deadline.map(time),
        timeout_ms: task.policy.timeout.map(|timeout| timeout.0),
        max_attempts: task.policy.retry.max_attempts,
        host: None,
        run: task.origin.as_ref().map(|origin| origin.run.to_string()),
        step: task.origin.as_ref().map(|origin| origin.path.to_string()),
        reason: None,
        waiting: waiting::row(task),
        requires: task.policy.requires.clone().into(),
        dead: false,
        provenance: api::Provenance::default(),
        error: None,
        progress: None,
        replayed: 0,
        output: None,
        input: None,
        attempts: Vec::new(),
    };
    if task.epoch <= 1 && task.failures == 0 {
        shown.ready_at = ready_at(task).map(time);
    }
    match &task.state {
        TaskState::Running(lease) => {
            shown.progress = app.memory.progress.of(task.id, task.epoch);
            shown.started_at = Some(time(lease.started_at));
            shown.host = app.memory.hosts.shown_id(task.tenant, lease.host);
        }
        TaskState::Succeeded { provenance: from, started_at, .. } => {
            shown.provenance = api::Provenance::from(&**from);
            shown.started_at = Some(time(*started_at));
        }
        TaskState::Failed { error: why, dead, .. } => {
            shown.error = Some(error(why));
            shown.dead = *dead;
        }
        TaskState::Discarded { error: why, dead, reason, .. } => {
            shown.error = Some(error(why));
            shown.dead = *dead;
            shown.reason = Some(reason.to_string());
        }
        TaskState::Retrying { error: why, .. } => shown.error = Some(error(why)),
        TaskState::Cancelled { reason, .. } | TaskState::Skipped { reason, .. } => {
            shown.reason = Some(reason.to_string());
        }
        TaskState::Ready { .. } => shown.waiting = waiting::lane(app, &Lane::of(task)),
        _ => {}
    }
    if let Some(waiting) = &shown.waiting {
        shown.reason = Some(waiting.to_string());
    }
    shown
}

/// Returns the time since which a task needs or needed only a slot, of one that had at most one attempt. A step becomes
/// ready when it is made; another task may have been submitted with a delay, which its row does not keep.
fn ready_at(task: &Task) -> Option<Timestamp> {
    match task.state.kind() {
        StateKind::Scheduled | StateKind::Waiting | StateKind::Skipped => None,
        _ => Some(task.created_at),
    }
}

/// Converts a task with its input, its output and its attempts.
pub(crate) fn single_task(app: &App, row: &Task) -> Result<api::Task, AppError> {
    let mut shown = whole_task(app, row)?;
    shown.input = Some(raw(app, &row.input)?);
    for attempt in app.reader().attempts(row.id)? {
        shown.attempts.push(api::Attempt {
            number: attempt.epoch,
            started_at: time(attempt.started_at),
            ended_at: time(attempt.ended_at),
            cost_nanousd: attempt.error.cost.0,
            error: error(&attempt.error),
        });
    }
    if shown.started_at.is_none() && row.state.kind().is_terminal() {
        shown.started_at = shown.attempts.last().map(|attempt| attempt.started_at.clone());
    }
    shown.replayed = app.reader().replayed(Replays::Task(row.id))?;
    Ok(shown)
}

/// Converts a task with its output.
pub(crate) fn whole_task(app: &App, row: &Task) -> Result<api::Task, AppError> {
    let mut shown = task(app, row);
    if let TaskState::Succeeded { output, .. } = &row.state {
        shown.output = Some(raw(app, output)?);
    }
    if let TaskState::Parked { needs, .. } = &row.state {
        shown.waiting = Some(waiting::money(app, row, *needs));
        shown.reason = shown.waiting.as_ref().map(ToString::to_string);
    }
    spending(app, row, &mut shown)?;
    Ok(shown)
}

/// Converts a task for a list: without its output, and with what was spent on it.
pub(crate) fn listed_task(app: &App, row: &Task) -> Result<api::Task, AppError> {
    let mut shown = task(app, row);
    spending(app, row, &mut shown)?;
    Ok(shown)
}

/// Sets what was really spent on a task. The ledger counts every attempt, also failed ones, and the calls in progress so
/// far; costs that only a worker reports are in its answers and errors.
fn spending(app: &App, row: &Task, shown: &mut api::Task) -> Result<(), AppError> {
    if row.epoch == 0 {
        return Ok(());
    }
    let provenance = &mut shown.provenance;
    if let Some(book) = app.reader().account(row.tenant, &Account::Task(row.id), 0)? {
        (provenance.cost_nanousd, provenance.calls) = (book.spent.0, book.calls);
        (provenance.input_tokens, provenance.output_tokens) = (book.input, book.output);
        return Ok(());
    }
    if row.failures > 0 {
        let failed = app.reader().attempts(row.id)?;
        let told = failed.iter().map(|attempt| attempt.error.cost.0).fold(0, u64::saturating_add);
        provenance.cost_nanousd = provenance.cost_nanousd.saturating_add(told);
    }
    Ok(())
}

/// Converts an error.
pub(crate) fn error(error: &Arc<TaskError>) -> api::TaskError {
    api::TaskError {
        category: error.category.as_str().to_owned(),
        message: error.message.clone(),
        retryable: Some(error.retryable),
        retry_after_ms: error.retry_after.map(|wait| wait.0),
        retry: None,
    }
}

/// Converts the row of a run alone; `run_view.rs` adds the rest.
pub(crate) fn run(row: &RunRow) -> api::Run {
    let mut shown = api::Run {
        id: row.id.to_string(),
        workflow: row.workflow.to_string(),
        state: run_state(row.status.kind()),
        paused: row.paused.is_some(),
        created_at: time(row.created_at),
        ended_at: row.status.ended_at().map(time),
        seq: row.seq,
        reason: None,
        error: None,
        outputs: None,
        rerun_of: row.rerun.as_ref().map(|rerun| rerun.of.to_string()),
        recorded: row.rerun.as_ref().is_some_and(|rerun| rerun.recorded),
        strategy: String::new(),
        version: None,
        file: None,
        inputs: None,
        parent: None,
        children: Vec::new(),
        started_by: None,
        steps: api::StateCounts::default(),
        steps_more: false,
        degraded: 0,
        replayed: 0,
        cost_nanousd: 0,
        calls: 0,
        input_tokens: 0,
        output_tokens: 0,
        counts: None,
        stopped_by: None,
    };
    match &row.status {
        RunStatus::Failed { error: why, .. } => shown.error = Some(error(why)),
        RunStatus::Cancelled { reason, .. } | RunStatus::Cancelling { reason, .. } => {
            shown.reason = Some(reason.to_string());
        }
        _ => {}
    }
    shown
}

/// Converts a version of a workflow.
pub(crate) fn version(row: &VersionRow) -> api::Version {
    api::Version {
        workflow: row.workflow.to_string(),
        number: row.number,
        sha256: hex(&row.sha256),
        file: row.file.to_string(),
        created_at: time(row.created_at),
        shadowed_by: None,
    }
}

/// Converts a file.
pub(crate) fn artifact(row: &ArtifactRow) -> api::Artifact {
    api::Artifact {
        file: format!("sha256:{}", row.sha256),
        name: row.name.to_string(),
        media_type: row.media_type.to_string(),
        size: row.bytes,
        created_at: Some(time(row.at)),
    }
}

/// Converts a key.
pub(crate) fn key(key: &AccessKey) -> api::Key {
    api::Key {
        id: key.id.to_string(),
        name: key.name.to_string(),
        role: api::Role::from_word(&key.role).unwrap_or(api::Role::Viewer),
        tenant: key.tenant.0,
        created_at: time(key.created_at),
        expires_at: key.expires_at.map(time),
        revoked_at: key.revoked_at.map(time),
        workers: key.scope.workers.clone(),
        queues: key.scope.queues.clone(),
        ask: key.scope.ask,
        approve: key.scope.approve,
        submit: key.scope.submit,
    }
}

/// Converts an administrative act.
pub(crate) fn audit(row: &AuditRow) -> api::AuditEntry {
    api::AuditEntry {
        seq: row.seq,
        at: time(row.at),
        tenant: row.act.tenant.0,
        actor: row.act.actor.to_string(),
        action: row.act.action.to_string(),
        resource: row.act.resource.to_string(),
        hash: hex(&row.hash),
    }
}

/// Converts an entry of a journal: the stored form with ids as people know them. Ids of scopes are text, because
/// JavaScript rounds numbers of 64 bits. `step` is the path of the step, if the entry is about one.
#[must_use]
pub fn entry(entry: &JournalEntry, step: Option<&str>) -> api::JournalEntry {
    let mut fields = serde_json::Map::new();
    let mut event = String::new();
    if let Ok(Value::Object(stored)) = serde_json::to_value(&entry.event) {
        for (name, field) in stored {
            let field = match (name.as_str(), field.as_i64()) {
                ("event", _) => {
                    event = field.as_str().unwrap_or_default().to_owned();
                    continue;
                }
                ("at", _) => continue,
                ("task", Some(id)) => json!(TaskId(id).to_string()),
                ("run" | "child", Some(id)) => json!(RunId(id).to_string()),
                ("scope", _) if field.is_number() => json!(field.to_string()),
                _ => field,
            };
            fields.insert(name, field);
        }
    }
    api::JournalEntry { seq: entry.seq, at: time(entry.at), event, step: step.map(str::to_owned), fields }
}

/// Returns the task of the step that an entry is about; `None` for an entry without a step.
pub(crate) fn step_task(event: &RunEvent) -> Option<TaskId> {
    match event {
        RunEvent::StepStarted { task, .. }
        | RunEvent::ScopeOpened { task, .. }
        | RunEvent::StepSkipped { task, .. }
        | RunEvent::StepEnded { task, .. }
        | RunEvent::ScopeFailed { task, .. } => Some(*task),
        _ => None,
    }
}
