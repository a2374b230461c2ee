//! Middleware around every attempt: each may observe, change, answer itself, or refuse.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;

use crate::{
    failure::TaskError,
    id::RunId,
    worker::{BoxFuture, Output, TaskContext, Worker, WorkerSpec},
};

/// Data that the middleware of one attempt shares. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Metadata(Arc<Mutex<BTreeMap<String, Value>>>);

impl Metadata {
    /// Returns the value under a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Sets the value under a name.
    pub fn set(&self, name: &str, value: impl Into<Value>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), value.into());
    }
}

/// An attempt on its way through the middleware.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// Context of the attempt.
    pub context: &'a TaskContext,
    /// Specification of its worker.
    pub spec: &'a WorkerSpec,
    /// Data that the middleware shares.
    pub metadata: &'a Metadata,
}

/// A middleware. Code before the call of `next` runs on the way in, code after it on the way out; a middleware that
/// does not call `next` answers instead of the worker. An error fails the attempt under the task's retry rules, a panic
/// is a crash of the attempt; neither affects the engine.
pub trait Middleware: Send + Sync + 'static {
    /// Runs around one attempt of a task or step.
    fn around<'a>(&'a self, call: Call<'a>, input: Value, next: Next<'a>) -> BoxFuture<'a, Result<Output, TaskError>>;

    /// Runs before a run is started. An error refuses the run; changes to `inputs` are passed to the run.
    ///
    /// # Errors
    /// The reason for the refusal.
    fn run_starting(&self, workflow: &str, inputs: &mut Value) -> Result<(), TaskError> {
        let _ = (workflow, inputs);
        Ok(())
    }

    /// Runs after a run has ended, once that is stored.
    fn run_ended(&self, run: RunId, state: &str) {
        let _ = (run, state);
    }
}

/// The rest of the way: inner middleware, and the worker.
#[derive(Clone, Copy)]
pub struct Next<'a> {
    middleware: &'a [Arc<dyn Middleware>],
    worker: &'a dyn Worker,
}

impl<'a> Next<'a> {
    /// Makes the whole way: this middleware, the first outermost, around a worker.
    #[must_use]
    pub fn new(middleware: &'a [Arc<dyn Middleware>], worker: &'a dyn Worker) -> Next<'a> {
        Next { middleware, worker }
    }

    /// Continues with that input.
    #[must_use]
    pub fn run(self, call: Call<'a>, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        match self.middleware.split_first() {
            Some((outer, rest)) => outer.around(call, input, Next { middleware: rest, worker: self.worker }),
            None => self.worker.execute(call.context, input),
        }
    }
}
