//! Directory of the process in which the loop runs.

use std::sync::Arc;

use kapelle_core::{
    DurationMs, Name, TaskError, TaskId, TenantId, definition::Definition, run::StepOrder, worker::WorkerSpec,
};
use serde::{Deserialize, Serialize};

use super::command::VersionRef;

/// Decision whether a provider has room for a call of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Admission {
    /// No provider has a known rate limit.
    Free,
    /// The task has the right to one call, until [`Directory::end_call`].
    Right,
    /// The call may be made after this wait.
    Wait(DurationMs),
}

/// Workers, workflows and strategies of the process in which the loop runs.
pub trait Directory: Send + Sync {
    /// Returns the worker that a name means for a tenant, if one is registered in this process.
    fn local(&self, tenant: TenantId, name: &Name) -> Option<Arc<WorkerSpec>>;

    /// Returns the workflow that a name means for a tenant now. With `None`, its newest stored version is run.
    fn workflow(&self, _tenant: TenantId, _name: &Name) -> Option<VersionRef> {
        None
    }

    /// Returns the definition of a stored version, if its text was read off the loop.
    fn definition(&self, _version: i64) -> Option<Arc<Definition>> {
        None
    }

    /// Keeps the definition of a stored version for the loop.
    fn keep_definition(&self, _version: i64, _definition: Arc<Definition>) {}

    /// Asks for the right of a task to one call of a model alias. A repeated request keeps one right.
    fn admit_call(&self, _model: &Name, _task: TaskId, _steady_ms: u64) -> Admission {
        Admission::Free
    }

    /// Ends the right of a task whose attempt is over, whether or not it made the call.
    fn end_call(&self, _task: TaskId) {}

    /// Returns the strategy that was registered under that name.
    fn order(&self, _name: &Name) -> Option<Arc<dyn StepOrder>> {
        None
    }

    /// Returns the workflows of a tenant with a trigger on the end of a run of that one.
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

    /// Checks the inputs of a run of a definition, and fills in defaults.
    ///
    /// # Errors
    /// The mismatch.
    fn check_inputs(
        &self,
        _definition: &Definition,
        inputs: serde_json::Value,
    ) -> Result<serde_json::Value, TaskError> {
        Ok(inputs)
    }
}
