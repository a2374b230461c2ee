//! Sources of values, and the fields of a step in expressions.

use std::sync::Arc;

use kapelle_core::{
    DurationMs, Name, Payload, RunId, TaskError, TaskId, TenantId,
    expr::Shared,
    run::{Phase, ScopeId},
    task::{Task, TaskState},
    worker::Provenance,
};

use crate::turn::{NewPayload, step_error};

/// Size limit of values that the loop carries, in bytes; a larger one is a file.
pub(crate) const BYTES_MAX: usize = kapelle_core::payload::ROW_MAX;

/// Receives a row and the JSON text of its output.
pub type Show<'a> = dyn FnMut(&Task, &[u8]) -> Result<(), TaskError> + 'a;

/// A source of values. `None` means that the value is not available here.
pub trait Resolve {
    /// Returns the fields of a task that is a step.
    fn task(&self, tenant: TenantId, id: TaskId) -> Option<Result<TaskValue, TaskError>>;

    /// Returns the value of a payload.
    fn payload(&self, payload: &Payload) -> Option<Result<Shared, TaskError>>;

    /// Returns the input that a step was begun with.
    fn input(&self, tenant: TenantId, id: TaskId) -> Option<Result<Shared, TaskError>>;

    /// Passes the rows in one scope of a run by slot, each with the JSON text of its output.
    fn scope(&self, run: RunId, scope: ScopeId, show: &mut Show<'_>) -> Option<Result<(), TaskError>>;

    /// Stores the value as a payload; a large one is put into a file.
    fn keep(&self, json: Vec<u8>) -> Option<Result<NewPayload, TaskError>>;

    /// Checks the inputs of a workflow that a run of a tenant is to start, and fills in defaults.
    fn admit(
        &self,
        tenant: TenantId,
        workflow: &Name,
        inputs: serde_json::Value,
    ) -> Option<Result<serde_json::Value, TaskError>>;
}

/// Fields of a task in expressions: `steps.x.output`, `steps.x.provider` and so on.
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
    /// Makes the fields of a step without a task.
    pub(super) fn nothing() -> TaskValue {
        let (output, provenance) = (Shared::null(), Provenance::default());
        TaskValue { output, error: None, told: None, provenance, attempts: 0, duration: None }
    }

    /// Makes the fields of a task with this output.
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

    /// Returns the output.
    pub(super) fn output(self) -> Shared {
        self.output
    }

    /// Returns the error of a task that did not succeed.
    pub(super) fn error(self) -> Option<TaskError> {
        self.error
    }

    /// Returns the error as steps outside see it.
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
