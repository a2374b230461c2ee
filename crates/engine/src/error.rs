//! Why the engine refused or failed.

use std::sync::Arc;

use kapelle_core::{RunId, TaskError, TaskId, run::RunRejection, task::Rejection};
use kapelle_store::StoreError;

/// Why the engine refused or failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// The task's rules refused it.
    #[error(transparent)]
    Task(#[from] Rejection),
    /// The run's rules refused it.
    #[error(transparent)]
    Run(#[from] RunRejection),
    /// The idempotency key was used for something else.
    #[error("the idempotency key `{0}` was already used with another body: use a new key for a new request")]
    KeyReused(String),
    /// As many tasks of the key run as may, and the rule is to refuse more.
    #[error("{}", .0.message)]
    Busy(Box<TaskError>),
    /// Nobody has registered a worker of that name.
    #[error("unknown worker `{name}`{hint}")]
    UnknownWorker {
        /// The name.
        name: String,
        /// A name that is close, as the end of the sentence.
        hint: String,
    },
    /// The stored definition of a run can no longer be read.
    #[error("{run}: its definition cannot be read: {message}")]
    Definition {
        /// The run.
        run: RunId,
        /// Why not.
        message: String,
    },
    /// The definition asks for something that this version does not run.
    #[error("{0}")]
    Unsupported(String),
    /// Something that was asked about is not there.
    #[error("{0} does not exist")]
    NoSuchTask(TaskId),
    /// Something that was asked about is not there.
    #[error("{0} does not exist")]
    NoSuchRun(RunId),
    /// The input is not what it should be.
    #[error("{0}")]
    InvalidInput(String),
    /// The store failed.
    #[error("{0}")]
    Store(Arc<StoreError>),
    /// The engine is stopping or has stopped.
    #[error("the engine has stopped")]
    Stopped,
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> EngineError {
        EngineError::Store(Arc::new(error))
    }
}
