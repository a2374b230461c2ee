//! What is known where the loop runs.

use std::sync::Arc;

use kapelle_core::{
    DurationMs, Name, TaskError, TaskId, TenantId, definition::Definition, run::StepOrder, worker::WorkerSpec,
};

use super::command::VersionRef;

/// Whether a provider takes a call of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// No provider says how much it takes.
    Free,
    /// The task has the right to one call, until [`Directory::end_call`].
    Right,
    /// Not before that long from now.
    Wait(DurationMs),
}

/// What is known of workers, workflows and strategies where the loop runs.
pub trait Directory: Send + Sync {
    /// The worker that a name means for a tenant, when one is registered in this process.
    fn local(&self, tenant: TenantId, name: &Name) -> Option<Arc<WorkerSpec>>;

    /// The workflow that a name means for a tenant now. With `None`, its newest stored version is run.
    fn workflow(&self, _tenant: TenantId, _name: &Name) -> Option<VersionRef> {
        None
    }

    /// The definition of a stored version, when its text was read off the loop.
    fn definition(&self, _version: i64) -> Option<Arc<Definition>> {
        None
    }

    /// Keeps the definition of a stored version for the loop.
    fn keep_definition(&self, _version: i64, _definition: Arc<Definition>) {}

    /// Asks for the right of a task to one call of a model alias. Asked again for the same task it stays one right.
    fn admit_call(&self, _model: &Name, _task: TaskId, _steady_ms: u64) -> Admission {
        Admission::Free
    }

    /// The attempt of a task that has the right to a call is over, whether or not it made the call.
    fn end_call(&self, _task: TaskId) {}

    /// The strategy that was registered under that name.
    fn order(&self, _name: &Name) -> Option<Arc<dyn StepOrder>> {
        None
    }

    /// The workflows of a tenant that want to be started when a run of that one has ended.
    fn triggered(&self, _tenant: TenantId, _workflow: &Name) -> Vec<Arc<Definition>> {
        Vec::new()
    }

    /// The inputs of a workflow that a step wants to start, checked, with defaults filled in.
    ///
    /// # Errors
    /// The mismatch.
    fn admit(
        &self,
        _tenant: TenantId,
        _workflow: &Name,
        inputs: serde_json::Value,
    ) -> Result<serde_json::Value, TaskError> {
        Ok(inputs)
    }
}
