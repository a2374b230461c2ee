//! An async function as a worker.

use std::{future::Future, sync::Arc};

use kapelle_core::{
    TaskError,
    worker::{BoxFuture, Output, TaskContext, Worker, WorkerSpec},
};
use serde_json::Value;

/// Makes a worker of an async function, as a member of a pool.
pub fn function<F, Fut>(spec: WorkerSpec, function: F) -> Arc<dyn Worker>
where
    F: Fn(Value) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Value, TaskError>> + Send + 'static,
{
    Arc::new(Function { spec, function: Arc::new(function) })
}

/// An async function as a worker.
pub(crate) struct Function<F> {
    pub(crate) spec: WorkerSpec,
    pub(crate) function: Arc<F>,
}

impl<F, Fut> Worker for Function<F>
where
    F: Fn(Value) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Value, TaskError>> + Send + 'static,
{
    fn spec(&self) -> &WorkerSpec {
        &self.spec
    }

    fn execute<'a>(&'a self, _ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        let future = (self.function)(input);
        Box::pin(async move { future.await.map(Output::plain) })
    }
}
