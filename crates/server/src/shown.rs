//! Rows as they travel.

use std::sync::Arc;

use kapelle::{
    WorkerSpec,
    core::{
        Account, Payload, TaskError, Timestamp,
        run::RunStatus,
        task::{HoldReason, Task, TaskState},
        worker::Provenance,
    },
    store::{AccessKey, ArtifactRow, AuditRow, Lane, RunRow, VersionRow},
};
use kapelle_api as api;
use serde_json::value::RawValue;

use crate::{app::App, auth, problem::Problem, serving};

/// `2026-11-21T03:40:05.123Z`.
pub fn time(at: Timestamp) -> String {
    // Beyond the years that RFC 3339 can write, the last or first that it can.
    let end = if at.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_millisecond(at.0).unwrap_or(end).to_string()
}

/// The JSON of a stored payload, as it stands.
pub fn raw(app: &App, payload: &Payload) -> Result<Box<RawValue>, Problem> {
    let bytes = match payload {
        Payload::Row(id) => app.engine().reader().payload(*id)?.unwrap_or_else(|| b"null".to_vec()),
        other => other.inline().unwrap_or(b"null").to_vec(),
    };
    let broken = |error: &dyn std::fmt::Display| Problem::internal(format!("a stored value is not JSON: {error}"));
    let text = String::from_utf8(bytes).map_err(|error| broken(&error))?;
    RawValue::from_string(text).map_err(|error| broken(&error))
}

/// A task, without its output.
pub fn task(app: &App, task: &Task) -> api::Task {
    let mut shown = api::Task {
        id: task.id.to_string(),
        worker: task.worker.to_string(),
        queue: task.queue.to_string(),
        state: task.state.kind().as_str().to_owned(),
        attempt: task.epoch,
        priority: task.priority,
        created_at: time(task.created_at),
        ended_at: task.ended_at().map(time),
        run: task.origin.as_ref().map(|origin| origin.run.to_string()),
        reason: None,
        requires: task.policy.requires.clone().into(),
        dead: false,
        provenance: api::Provenance::default(),
        error: None,
        progress: None,
        output: None,
    };
    match &task.state {
        TaskState::Running { .. } => shown.progress = app.progress.of(task.id, task.epoch),
        TaskState::Succeeded { provenance: from, .. } => shown.provenance = provenance(from),
        TaskState::Failed { error: why, dead, .. } => {
            shown.error = Some(error(why));
            shown.dead = *dead;
        }
        TaskState::Discarded { error: why, dead, reason, .. } => {
            shown.error = Some(error(why));
            shown.dead = *dead;
            shown.reason = Some(reason.to_string());
        }
        TaskState::Retrying { error: why, at } => {
            shown.error = Some(error(why));
            shown.reason = Some(format!("tried again at {}", time(*at)));
        }
        TaskState::Scheduled { at } => shown.reason = Some(format!("not before {}", time(*at))),
        TaskState::Held { reason, .. } => shown.reason = Some(HoldReason::as_str(*reason).to_owned()),
        TaskState::Parked { needs, .. } => shown.reason = Some(format!("the next call may cost {needs}")),
        TaskState::Cancelled { reason, .. } | TaskState::Skipped { reason, .. } => {
            shown.reason = Some(reason.to_string());
        }
        TaskState::Ready { .. } => shown.reason = serving::reason(app, &Lane::of(task)),
        _ => {}
    }
    shown
}

/// A task with its output.
pub fn whole_task(app: &App, row: &Task) -> Result<api::Task, Problem> {
    let mut shown = task(app, row);
    if let TaskState::Succeeded { output, .. } = &row.state {
        shown.output = Some(raw(app, output)?);
    }
    // The book counts every attempt, and what the calls under way have cost so far.
    if let Some(book) = app.engine().reader().account(row.tenant, &Account::Task(row.id), 0)? {
        let provenance = &mut shown.provenance;
        (provenance.cost_nanousd, provenance.calls) = (book.spent.0, book.calls);
        (provenance.input_tokens, provenance.output_tokens) = (book.input, book.output);
    }
    Ok(shown)
}

/// Where an answer came from.
pub fn provenance(from: &Provenance) -> api::Provenance {
    from.into()
}

/// Why something failed.
pub fn error(error: &Arc<TaskError>) -> api::TaskError {
    api::TaskError {
        category: error.category.as_str().to_owned(),
        message: error.message.clone(),
        retryable: Some(error.retryable),
        retry_after_ms: error.retry_after.map(|wait| wait.0),
        retry: None,
    }
}

/// A run, without its outputs.
pub fn run(row: &RunRow) -> api::Run {
    let mut shown = api::Run {
        id: row.id.to_string(),
        workflow: row.workflow.to_string(),
        state: row.status.kind().as_str().to_owned(),
        created_at: time(row.created_at),
        ended_at: row.status.ended_at().map(time),
        seq: row.seq,
        reason: None,
        error: None,
        outputs: None,
        rerun_of: row.rerun.as_ref().map(|rerun| rerun.of.to_string()),
        recorded: row.rerun.as_ref().is_some_and(|rerun| rerun.recorded),
        cost_nanousd: 0,
        calls: 0,
        input_tokens: 0,
        output_tokens: 0,
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

/// The same with what its steps have spent.
pub fn run_and_cost(app: &App, row: &RunRow) -> Result<api::Run, Problem> {
    let mut shown = run(row);
    if let Some(book) = app.engine().reader().account(row.tenant, &Account::Run(row.id), 0)? {
        (shown.cost_nanousd, shown.calls) = (book.spent.0, book.calls);
        (shown.input_tokens, shown.output_tokens) = (book.input, book.output);
    }
    Ok(shown)
}

/// A version of a workflow.
pub fn version(row: &VersionRow) -> api::Version {
    api::Version {
        workflow: row.workflow.to_string(),
        number: row.number,
        sha256: auth::hex(&row.sha256),
        file: row.file.to_string(),
        created_at: time(row.created_at),
        shadowed_by: None,
    }
}

/// A file.
pub fn artifact(row: &ArtifactRow) -> api::Artifact {
    api::Artifact {
        file: format!("sha256:{}", row.sha256),
        name: row.name.to_string(),
        media_type: row.media_type.to_string(),
        size: row.bytes,
        created_at: Some(time(row.at)),
    }
}

/// A key.
pub fn key(key: &AccessKey) -> api::Key {
    api::Key {
        id: key.id.to_string(),
        name: key.name.to_string(),
        role: key.role.to_string(),
        tenant: key.tenant.0,
        created_at: time(key.created_at),
        expires_at: key.expires_at.map(time),
        revoked_at: key.revoked_at.map(time),
        workers: key.scope.workers.clone(),
        queues: key.scope.queues.clone(),
        ask: key.scope.ask,
        approve: key.scope.approve,
    }
}

/// An administrative act.
pub fn audit(row: &AuditRow) -> api::AuditEntry {
    api::AuditEntry {
        seq: row.seq,
        at: time(row.at),
        tenant: row.act.tenant.0,
        actor: row.act.actor.to_string(),
        action: row.act.action.to_string(),
        resource: row.act.resource.to_string(),
        hash: auth::hex(&row.hash),
    }
}

/// What is known of a worker, as it travels.
#[must_use]
pub fn worker(spec: &WorkerSpec) -> api::Worker {
    spec.into()
}
