//! Refusals and failures of the engine.

use std::sync::Arc;

use kapelle_core::{DeliveryId, Name, RunId, TaskError, TaskId, run::RunRejection, task::Rejection};
use kapelle_store::StoreError;

/// Reason why the engine refused or failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// The task's rules refused it.
    #[error(transparent)]
    Task(#[from] Rejection),
    /// The run's rules refused it.
    #[error(transparent)]
    Run(#[from] RunRejection),
    /// The idempotency key was used for another request.
    #[error("the idempotency key `{0}` was already used with another body: use a new key for a new request")]
    KeyReused(String),
    /// The key has reached its limit of running tasks, and the rule is to refuse more.
    #[error("{}", .0.message)]
    Busy(Box<TaskError>),
    /// A worker of that name was never registered.
    #[error("unknown worker `{name}`{hint}")]
    UnknownWorker {
        /// The name.
        name: String,
        /// A similar name, as the end of the sentence.
        hint: String,
    },
    /// The stored definition of a run can no longer be read.
    #[error("{run}: its definition cannot be read: {message}")]
    Definition {
        /// The run.
        run: RunId,
        /// Reason.
        message: String,
    },
    /// The definition uses a feature that this version does not run.
    #[error("{0}")]
    Unsupported(String),
    /// The task does not exist.
    #[error("{0} does not exist")]
    NoSuchTask(TaskId),
    /// The run does not exist.
    #[error("{0} does not exist")]
    NoSuchRun(RunId),
    /// The schedule does not exist.
    #[error("schedule {0} does not exist")]
    NoSuchSchedule(Name),
    /// A schedule of that name exists.
    #[error("schedule {0} exists already; choose another name, or replace it")]
    ScheduleExists(Name),
    /// The schedule belongs to the file of a workflow.
    #[error("schedule {0} belongs to {1}; change `on` in that file, or pause the schedule")]
    ScheduleOfFile(Name, Arc<str>),
    /// The subscription does not exist.
    #[error("subscription {0} does not exist")]
    NoSuchSubscription(Name),
    /// A subscription of that name exists.
    #[error("subscription {0} exists already; choose another name, or change it")]
    SubscriptionExists(Name),
    /// The delivery does not exist, or belongs to another subscription.
    #[error("{0} does not exist; deliveries are kept as long as tasks")]
    NoSuchDelivery(DeliveryId),
    /// The input is invalid.
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
