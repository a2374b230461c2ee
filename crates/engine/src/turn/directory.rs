//! What is known where the loop runs.

use std::sync::Arc;

use kapelle_core::{DurationMs, Name, TaskError, TaskId, definition::Definition, run::StepOrder, worker::WorkerSpec};

use super::command::VersionRef;

/// What is known of workers, workflows and strategies where the loop runs.
pub trait Directory: Send + Sync {
    /// The worker of that name, when it is registered in this process.
    fn local(&self, name: &Name) -> Option<Arc<WorkerSpec>>;

    /// The workflow of that name as it is to be run now; without one the newest stored version is.
    fn workflow(&self, _name: &Name) -> Option<VersionRef> {
        None
    }

    /// Asks for the right to call the provider of a worker's model once for that task. Nothing when it has it, or needs
    /// none; else how long it is to wait. Asked again for the same task it gives the same.
    fn provider_wait(&self, _spec: &WorkerSpec, _task: TaskId) -> Option<DurationMs> {
        None
    }

    /// The strategy that was registered under that name.
    fn order(&self, _name: &Name) -> Option<Arc<dyn StepOrder>> {
        None
    }

    /// The workflows that want to be started when a run of that one has ended.
    fn triggered(&self, _workflow: &Name) -> Vec<Arc<Definition>> {
        Vec::new()
    }

    /// The inputs of a workflow that a step wants to start, checked, with defaults filled in.
    ///
    /// # Errors
    /// What does not fit.
    fn admit(&self, _workflow: &Name, inputs: serde_json::Value) -> Result<serde_json::Value, TaskError> {
        Ok(inputs)
    }
}
