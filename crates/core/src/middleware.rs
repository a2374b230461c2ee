//! What is done around every attempt: an onion of layers, each of which may look, change, answer itself, or refuse.

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

/// What the layers around one attempt tell each other. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Metadata(Arc<Mutex<BTreeMap<String, Value>>>);

impl Metadata {
    /// What is written under a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Writes something, in place of what was there.
    pub fn set(&self, name: &str, value: impl Into<Value>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), value.into());
    }
}

/// An attempt on its way through the layers.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// What the attempt knows about itself.
    pub context: &'a TaskContext,
    /// What is known of its worker.
    pub spec: &'a WorkerSpec,
    /// What the layers tell each other.
    pub metadata: &'a Metadata,
}

/// One layer. What stands before the call of `next` happens on the way in, what stands behind it on the way out; a
/// layer that does not call `next` answers in the worker's place. An error fails the attempt under the task's retry
/// rules, a panic is a crash of the attempt; neither touches the engine.
pub trait Middleware: Send + Sync + 'static {
    /// Around one attempt of a task or step.
    fn around<'a>(&'a self, call: Call<'a>, input: Value, next: Next<'a>) -> BoxFuture<'a, Result<Output, TaskError>>;

    /// Before a run is started. An error refuses it; what is written into `inputs` is what the run gets.
    ///
    /// # Errors
    /// Whatever the layer has against it.
    fn run_starting(&self, workflow: &str, inputs: &mut Value) -> Result<(), TaskError> {
        let _ = (workflow, inputs);
        Ok(())
    }

    /// After a run has ended, once that is stored.
    fn run_ended(&self, run: RunId, state: &str) {
        let _ = (run, state);
    }
}

/// What is left of the way: the layers further in, and the worker.
#[derive(Clone, Copy)]
pub struct Next<'a> {
    layers: &'a [Arc<dyn Middleware>],
    worker: &'a dyn Worker,
}

impl<'a> Next<'a> {
    /// The whole way: these layers, the first one outermost, around a worker.
    #[must_use]
    pub fn new(layers: &'a [Arc<dyn Middleware>], worker: &'a dyn Worker) -> Next<'a> {
        Next { layers, worker }
    }

    /// Goes on with that input.
    #[must_use]
    pub fn run(self, call: Call<'a>, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        match self.layers.split_first() {
            Some((layer, rest)) => layer.around(call, input, Next { layers: rest, worker: self.worker }),
            None => self.worker.execute(call.context, input),
        }
    }
}
