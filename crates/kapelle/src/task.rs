//! One piece of work, as its submitter holds it.

use std::sync::Arc;

use kapelle_api as api;
use kapelle_app::{App, Error, rfc3339};
use kapelle_core::{
    DurationMs, Money, Requires, TaskId, TenantId, Timestamp,
    cache::CacheRule,
    retry::{Jitter, RetryPolicy},
    task::TaskState,
    worker::Provenance,
};
use kapelle_engine::EngineError;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::kapelle::{owner, reason};

/// A task to be submitted, with settings of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Submit {
    request: api::SubmitTask,
    idempotency: Option<String>,
}

impl Submit {
    /// Makes a task for a worker, with all other settings from the worker.
    #[must_use]
    pub fn new(worker: &str, input: Value) -> Submit {
        let request = api::SubmitTask { worker: worker.to_owned(), input, ..api::SubmitTask::default() };
        Submit { request, idempotency: None }
    }

    /// Makes a task of a typed input.
    ///
    /// # Errors
    /// When the input has no form in JSON, such as a map whose keys are no strings.
    pub fn typed(worker: &str, input: &impl Serialize) -> Result<Submit, Error> {
        Ok(Submit::new(worker, to_json(input)?))
    }

    /// Sets another queue than the worker's.
    #[must_use]
    pub fn queue(mut self, queue: &str) -> Submit {
        self.request.queue = Some(queue.to_owned());
        self
    }

    /// Sets the priority: higher first, -100 to 100. Other values are refused at submission.
    #[must_use]
    pub fn priority(mut self, priority: i16) -> Submit {
        self.request.priority = priority;
        self
    }

    /// Delays the task.
    #[must_use]
    pub fn delay(mut self, delay: DurationMs) -> Submit {
        self.request.delay_ms = delay.0;
        self
    }

    /// Sets the time at which it fails, whatever its state.
    #[must_use]
    pub fn deadline(mut self, deadline: Timestamp) -> Submit {
        self.request.deadline = Some(rfc3339(deadline));
        self
    }

    /// Makes it fail unless its first attempt begins within this time.
    #[must_use]
    pub fn ttl(mut self, ttl: DurationMs) -> Submit {
        self.request.ttl_ms = Some(ttl.0);
        self
    }

    /// Sets the time limit of an attempt.
    #[must_use]
    pub fn timeout(mut self, timeout: DurationMs) -> Submit {
        self.request.timeout_ms = Some(timeout.0);
        self
    }

    /// Sets the retry rules.
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Submit {
        let jitter = match retry.jitter {
            Jitter::None => "none",
            Jitter::Full => "full",
            Jitter::Equal => "equal",
        };
        self.request.retry = Some(api::Retry {
            max_attempts: Some(retry.max_attempts),
            delay_ms: Some(retry.delay.0),
            multiplier: Some(retry.multiplier),
            max_delay_ms: Some(retry.max_delay.0),
            jitter: Some(jitter.to_owned()),
            on: retry.on.map(|on| on.iter().map(|category| category.as_str().to_owned()).collect()),
        });
        self
    }

    /// Requires a host with these labels, besides those that its worker requires.
    #[must_use]
    pub fn requires(mut self, labels: Requires) -> Submit {
        self.request.requires = labels.into();
        self
    }

    /// Sets its concurrency key, for limits of the worker or queue per key.
    #[must_use]
    pub fn key(mut self, key: &str) -> Submit {
        self.request.key = Some(key.to_owned());
        self
    }

    /// Allows an earlier task's answer to an equal input, up to the age that the rule states.
    #[must_use]
    pub fn cache(mut self, rule: CacheRule) -> Submit {
        self.request.cache = Some(api::Cache { max_age_ms: rule.max_age.map(|age| age.0) });
        self
    }

    /// Sets an idempotency key: submitting it again with this key and equal settings returns the same task, for seven
    /// days.
    #[must_use]
    pub fn idempotency_key(mut self, key: &str) -> Submit {
        self.idempotency = Some(key.to_owned());
        self
    }

    /// Sets the highest cost; the task fails rather than exceed it.
    #[must_use]
    pub fn max_cost(mut self, cost: Money) -> Submit {
        self.request.max_cost_nanousd = Some(cost.0);
        self
    }

    pub(crate) fn into_request(self) -> (api::SubmitTask, Option<String>) {
        (self.request, self.idempotency)
    }
}

/// One piece of work, as its submitter holds it.
#[derive(Clone)]
pub struct Task {
    pub(crate) id: TaskId,
    pub(crate) app: Arc<App>,
}

/// The answer of a task that succeeded.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct TaskResult {
    pub output: Value,
    /// Origin of the answer.
    pub provenance: Provenance,
    /// Attempts made.
    pub attempts: u32,
}

impl TaskResult {
    /// Reads the answer as a type.
    ///
    /// # Errors
    /// When it has another shape.
    pub fn parse<T: DeserializeOwned>(self) -> Result<T, Error> {
        parse("output", self.output)
    }
}

/// Writes a value as JSON.
pub(crate) fn to_json(input: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(input).map_err(|error| Error::Shape { field: "input".to_owned(), error })
}

/// Reads a value as a type.
pub(crate) fn parse<T: DeserializeOwned>(field: &str, value: Value) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|error| Error::Shape { field: field.to_owned(), error })
}

impl Task {
    /// Returns its id, such as `task_12`.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Waits for the answer.
    ///
    /// # Errors
    /// When it failed or was cancelled, or the engine stops.
    pub async fn wait(&self) -> Result<TaskResult, Error> {
        let task = self.app.engine().wait(TenantId::DEFAULT, self.id).await?;
        let what = self.id.to_string();
        match &task.state {
            TaskState::Succeeded { output, provenance, .. } => Ok(TaskResult {
                output: self.app.engine().value(output)?,
                provenance: (**provenance).clone(),
                attempts: task.epoch,
            }),
            TaskState::Failed { error, .. } => Err(Error::Failed { what, error: (**error).clone() }),
            TaskState::Cancelled { reason, .. } => Err(Error::Cancelled { what, reason: reason.to_string() }),
            _ => Err(EngineError::Stopped.into()),
        }
    }

    /// Returns its current state, as HTTP answers it: with cost, tokens, and the reason why it waits.
    ///
    /// # Errors
    /// When it does not exist, or the store fails.
    pub async fn state(&self) -> Result<api::Task, Error> {
        Ok(self.app.task(owner(), self.id, None).await?.0)
    }

    /// Cancels it.
    ///
    /// # Errors
    /// When it has ended already.
    pub async fn cancel(&self, why: &str) -> Result<(), Error> {
        self.app.cancel_task(owner(), self.id, reason(why)).await?;
        Ok(())
    }
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Task").field(&self.id).finish()
    }
}
