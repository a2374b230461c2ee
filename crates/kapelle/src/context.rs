//! The context that a worker function receives.

use std::{path::PathBuf, sync::Weak, time::Duration};

use kapelle_app::App;
use kapelle_core::{Category, TaskError, worker::TaskContext};
use serde_json::Value;

use crate::{kapelle::Kapelle, worker_error::WorkerError};

/// Context of one attempt of one task. A clone refers to the same attempt.
#[derive(Clone)]
pub struct Context {
    pub(crate) attempt: TaskContext,
    pub(crate) home: Home,
}

/// The engine that runs the attempt. Weak, because the engine owns its workers.
#[derive(Clone)]
pub(crate) struct Home {
    pub(crate) app: Weak<App>,
    pub(crate) balancers: std::sync::Arc<std::collections::BTreeMap<String, crate::builder::NewBalancer>>,
}

impl Context {
    /// Returns the id of the task, such as `task_12`.
    #[must_use]
    pub fn task_id(&self) -> &str {
        &self.attempt.task
    }

    /// Returns the id of the run, such as `run_3`. `None` when the task is no step of a run.
    #[must_use]
    pub fn run_id(&self) -> Option<&str> {
        self.attempt.run.as_deref()
    }

    /// Returns the path of the step within its run. `None` when the task is no step of a run.
    #[must_use]
    pub fn step(&self) -> Option<&str> {
        self.attempt.step.as_deref()
    }

    /// Returns the number of the attempt, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt.attempt
    }

    /// Tells whether a failure of this attempt is final.
    #[must_use]
    pub fn is_last_attempt(&self) -> bool {
        self.attempt.last_attempt
    }

    /// Returns the time limit of the attempt. `None` when the engine sets none.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.attempt.timeout.map(|limit| Duration::from_millis(limit.0))
    }

    /// Tells whether the attempt was cancelled or has run out of time. A future that waits is dropped by the engine; a
    /// loop that computes asks here between two pieces of work.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.attempt.cancel.is_raised()
    }

    /// Ends the work early when the attempt was cancelled: `ctx.check()?`.
    ///
    /// # Errors
    /// When it was.
    pub fn check(&self) -> Result<(), WorkerError> {
        match self.is_cancelled() {
            false => Ok(()),
            true => Err(TaskError::new(Category::Cancelled, "the attempt was cancelled").into()),
        }
    }

    /// Reports progress: the share done, from 0 to 1, and a line for people.
    pub fn progress(&self, share: f64, line: &str) {
        (self.attempt.progress)(share, line);
    }

    /// Appends text of the answer while it is being written, for those who watch the run.
    pub fn write(&self, text: &str) {
        self.attempt.text.add(text);
    }

    /// Returns the path of a file that the input refers to as `{"$file": "sha256:..."}`.
    ///
    /// # Errors
    /// When the value is no such reference, or the file is not stored here.
    pub fn file(&self, reference: &Value) -> Result<PathBuf, WorkerError> {
        let named = reference.get("$file").and_then(Value::as_str).and_then(|hash| hash.strip_prefix("sha256:"));
        let Some(hash) = named else {
            let message = format!("file: expected {{\"$file\": \"sha256:...\"}}, got {reference}");
            return Err(TaskError::new(Category::InvalidInput, message).into());
        };
        let missing = || TaskError::new(Category::InvalidInput, format!("file sha256:{hash} is not stored here"));
        Ok(self.attempt.files.path(hash).ok_or_else(missing)?)
    }

    /// Returns the engine, to submit further tasks and start runs.
    ///
    /// # Errors
    /// When the engine is closing.
    pub fn kapelle(&self) -> Result<Kapelle, WorkerError> {
        let closing = || TaskError::new(Category::Unavailable, "the engine is closing");
        let app = self.home.app.upgrade().ok_or_else(closing)?;
        Ok(Kapelle { app, balancers: std::sync::Arc::clone(&self.home.balancers) })
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("task", &self.attempt.task).field("attempt", &self.attempt.attempt).finish()
    }
}
