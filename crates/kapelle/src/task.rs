//! One piece of work, as its submitter holds it.

use std::sync::Arc;

use kapelle_core::{
    DurationMs, Name, Requires, TaskId, TenantId, Timestamp, cache::CacheRule, retry::RetryPolicy, task::TaskState,
    worker::Provenance,
};
use kapelle_engine::{Engine, EngineError, Key, SubmitTask, question::cacheable};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::Error;

/// A task to be made, with settings of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Submit {
    pub(crate) worker: String,
    input: Value,
    queue: Option<String>,
    requires: Requires,
    priority: i16,
    delay: DurationMs,
    deadline: Option<Timestamp>,
    ttl: Option<DurationMs>,
    timeout: Option<DurationMs>,
    retry: Option<RetryPolicy>,
    idempotency: Option<String>,
    key: Option<String>,
    cache: Option<CacheRule>,
}

impl Submit {
    /// A task for a worker, all else as the worker has it.
    #[must_use]
    pub fn new(worker: &str, input: Value) -> Submit {
        Submit {
            worker: worker.to_owned(),
            input,
            queue: None,
            requires: Requires::default(),
            priority: 0,
            delay: DurationMs::ZERO,
            deadline: None,
            ttl: None,
            timeout: None,
            retry: None,
            idempotency: None,
            key: None,
            cache: None,
        }
    }

    /// In another queue than the worker's.
    #[must_use]
    pub fn queue(mut self, queue: &str) -> Submit {
        self.queue = Some(queue.to_owned());
        self
    }

    /// Higher first; -100 to 100.
    #[must_use]
    pub fn priority(mut self, priority: i16) -> Submit {
        self.priority = priority.clamp(-100, 100);
        self
    }

    /// Not before that long from now.
    #[must_use]
    pub fn delay(mut self, delay: DurationMs) -> Submit {
        self.delay = delay;
        self
    }

    /// Fails at that time whatever it is doing.
    #[must_use]
    pub fn deadline(mut self, deadline: Timestamp) -> Submit {
        self.deadline = Some(deadline);
        self
    }

    /// Fails unless its first attempt has begun by then.
    #[must_use]
    pub fn ttl(mut self, ttl: DurationMs) -> Submit {
        self.ttl = Some(ttl);
        self
    }

    /// How long an attempt may take.
    #[must_use]
    pub fn timeout(mut self, timeout: DurationMs) -> Submit {
        self.timeout = Some(timeout);
        self
    }

    /// When a failed attempt is tried again.
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Submit {
        self.retry = Some(retry);
        self
    }

    /// Only for a host with these labels, besides those that its worker requires.
    #[must_use]
    pub fn requires(mut self, labels: Requires) -> Submit {
        self.requires = labels;
        self
    }

    /// Grouped with the tasks of the same key where its worker or queue limits how many of one key run at once.
    #[must_use]
    pub fn key(mut self, key: &str) -> Submit {
        self.key = Some(key.to_owned());
        self
    }

    /// Answered by an earlier task with the same input, when there is one that is not older than the rule says.
    #[must_use]
    pub fn cache(mut self, rule: CacheRule) -> Submit {
        self.cache = Some(rule);
        self
    }

    /// Submitting it again with the same key and the same settings gives the same task, for seven days.
    #[must_use]
    pub fn idempotency_key(mut self, key: &str) -> Submit {
        self.idempotency = Some(key.to_owned());
        self
    }

    /// The key, bound to everything else that was asked for.
    pub(crate) fn idempotency(&self) -> Option<Key> {
        let key = self.idempotency.as_deref()?;
        let body = serde_json::json!([
            self.worker,
            self.input,
            self.queue,
            self.priority,
            self.delay,
            self.deadline,
            self.ttl,
            self.timeout,
            self.retry,
            self.key,
            self.cache,
            self.requires
        ]);
        Some(Key { key: Arc::from(key), body: Sha256::digest(body.to_string()).into() })
    }

    pub(crate) fn prepare(&self, engine: &Engine) -> Result<SubmitTask, Error> {
        let queue = self.queue.as_deref().map(Name::parse).transpose()?;
        let key = self.key.as_deref().map(Name::key).transpose().map_err(|error| Error::Inputs(error.to_string()))?;
        let spec = engine.registry().spec(TenantId::DEFAULT, &Name::new(&self.worker));
        let cache = spec.and_then(|spec| cacheable(&spec, self.cache, &self.input));
        Ok(SubmitTask {
            queue,
            priority: self.priority,
            delay: self.delay,
            deadline: self.deadline,
            ttl: self.ttl,
            timeout: self.timeout,
            retry: self.retry.clone(),
            key,
            cache,
            requires: self.requires.clone(),
            ..SubmitTask::new(Name::new(&self.worker), engine.payload(&self.input)?)
        })
    }
}

/// One piece of work, as its submitter holds it.
#[derive(Clone)]
pub struct Task {
    pub(crate) id: TaskId,
    pub(crate) engine: Engine,
}

/// The answer of a task that succeeded.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskResult {
    /// The answer.
    pub output: Value,
    /// Where it came from.
    pub provenance: Provenance,
    /// Attempts made.
    pub attempts: u32,
}

impl Task {
    /// Its id, such as `task_12`.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Waits for the answer.
    ///
    /// # Errors
    /// When it failed or was cancelled, or the engine stops.
    pub async fn wait(&self) -> Result<TaskResult, Error> {
        let task = self.engine.wait(TenantId::DEFAULT, self.id).await?;
        let what = self.id.to_string();
        match &task.state {
            TaskState::Succeeded { output, provenance, .. } => Ok(TaskResult {
                output: self.engine.value(output)?,
                provenance: (**provenance).clone(),
                attempts: task.epoch,
            }),
            TaskState::Failed { error, .. } => Err(Error::Failed { what, error: (**error).clone() }),
            TaskState::Cancelled { reason, .. } => Err(Error::Cancelled { what, reason: reason.to_string() }),
            _ => Err(EngineError::Stopped.into()),
        }
    }

    /// Where it stands now.
    ///
    /// # Errors
    /// When the store fails.
    pub fn state(&self) -> Result<kapelle_core::task::Task, Error> {
        let task = self.engine.reader().task(TenantId::DEFAULT, self.id)?;
        task.ok_or_else(|| EngineError::NoSuchTask(self.id).into())
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it has ended already.
    pub async fn cancel(&self, reason: &str) -> Result<(), Error> {
        self.engine.ask(kapelle_engine::command::Cancel { task: self.id, reason: Arc::from(reason) }).await?;
        Ok(())
    }
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Task").field(&self.id).finish()
    }
}
