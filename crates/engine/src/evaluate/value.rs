//! Where values come from, and what expressions see of a step.

use std::sync::Arc;

use kapelle_core::{
    DurationMs, Name, Payload, RunId, TaskError, TaskId, TenantId,
    expr::Shared,
    run::{Phase, ScopeId},
    task::{Task, TaskState},
    worker::Provenance,
};

use crate::turn::{NewPayload, step_error};

/// Values up to this size are carried by the loop; a larger one is a file.
pub(crate) const BYTES_MAX: usize = kapelle_core::payload::ROW_MAX;

/// Is shown a row and the JSON text of its output.
pub type Show<'a> = dyn FnMut(&Task, &[u8]) -> Result<(), TaskError> + 'a;

/// Where values come from. `None` means that the value is not at hand here.
pub trait Resolve {
    /// What is known of a task that is a step.
    fn task(&self, tenant: TenantId, id: TaskId) -> Option<Result<TaskValue, TaskError>>;

    /// The value of a payload.
    fn payload(&self, payload: &Payload) -> Option<Result<Shared, TaskError>>;

    /// The value that a step was begun with.
    fn input(&self, tenant: TenantId, id: TaskId) -> Option<Result<Shared, TaskError>>;

    /// Shows the rows in one scope of a run by slot, each with the JSON text of its output.
    fn scope(&self, run: RunId, scope: ScopeId, show: &mut Show<'_>) -> Option<Result<(), TaskError>>;

    /// The value as a payload; one that is too large to be carried is put into a file.
    fn keep(&self, json: Vec<u8>) -> Option<Result<NewPayload, TaskError>>;

    /// The inputs of a workflow that a run of a tenant is to start, checked, with defaults filled in.
    fn admit(
        &self,
        tenant: TenantId,
        workflow: &Name,
        inputs: serde_json::Value,
    ) -> Option<Result<serde_json::Value, TaskError>>;
}

/// What expressions see of a task: `steps.x.output`, `steps.x.provider` and so on.
#[derive(Debug, Clone)]
pub struct TaskValue {
    output: Shared,
    error: Option<TaskError>,
    told: Option<Arc<TaskError>>,
    provenance: Provenance,
    attempts: u32,
    duration: Option<DurationMs>,
}

impl TaskValue {
    /// Of a step that has no task.
    pub(super) fn nothing() -> TaskValue {
        let (output, provenance) = (Shared::null(), Provenance::default());
        TaskValue { output, error: None, told: None, provenance, attempts: 0, duration: None }
    }

    /// Of a task whose output, if it has one, is this.
    #[must_use]
    pub fn of(task: &Task, output: Shared) -> TaskValue {
        let value = TaskValue { output, attempts: task.epoch, told: step_error(task), ..TaskValue::nothing() };
        match &task.state {
            TaskState::Succeeded { provenance, started_at, ended_at, .. } => {
                TaskValue { provenance: (**provenance).clone(), duration: Some(ended_at.since(*started_at)), ..value }
            }
            TaskState::Failed { error, .. } => TaskValue { error: Some((**error).clone()), ..value },
            TaskState::Cancelled { reason, .. } => {
                let error = TaskError::new(kapelle_core::Category::Cancelled, reason.to_string());
                TaskValue { error: Some(error), ..value }
            }
            _ => value,
        }
    }

    /// What the task gave.
    pub(super) fn output(self) -> Shared {
        self.output
    }

    /// The error that made the task end, when it did not end well.
    pub(super) fn error(self) -> Option<TaskError> {
        self.error
    }

    /// The same error as those outside of the step are told it.
    pub(super) fn told(self) -> Option<Arc<TaskError>> {
        self.told
    }

    pub(super) fn fields(self, phase: Phase) -> Shared {
        let text = |text: Option<String>| Shared::from_json(&text.map_or(serde_json::Value::Null, Into::into));
        let number = |number: Option<u64>| Shared::from_json(&number.map_or(serde_json::Value::Null, Into::into));
        let cost = self.provenance.cost;
        Shared::map([
            ("output", self.output),
            ("state", text(Some(word(phase).to_owned()))),
            ("error", text(self.error.map(|error| error.message))),
            ("provider", text(self.provenance.provider)),
            ("degraded", text(self.provenance.degraded)),
            ("attempts", number(Some(self.attempts.into()))),
            ("duration_ms", number(self.duration.map(|duration| duration.0))),
            ("cost", text(Some(cost.to_string()))),
            ("cost_nanousd", number(Some(cost.0))),
        ])
    }
}

fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending | Phase::Queued => "pending",
        Phase::Open | Phase::Handling => "running",
        Phase::Succeeded => "succeeded",
        Phase::Failed | Phase::Tolerated => "failed",
        Phase::Cancelled => "cancelled",
        Phase::Skipped => "skipped",
    }
}
