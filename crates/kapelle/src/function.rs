//! An async function as a worker: of JSON values, or of types of its own.

use std::{future::Future, marker::PhantomData, sync::Arc};

use kapelle_core::{
    Category, TaskError,
    worker::{BoxFuture, Output, TaskContext, Worker, WorkerSpec},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    context::{Context, Home},
    worker_error::WorkerError,
};

/// Makes a worker of an async function, as a member of a pool.
pub fn function<F, Fut>(spec: WorkerSpec, function: F) -> Arc<dyn Worker>
where
    F: Fn(Value) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Value, TaskError>> + Send + 'static,
{
    Arc::new(Function { spec, function: Arc::new(function) })
}

/// An async function of JSON values as a worker.
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

/// An async function of a context and a typed input as a worker.
pub(crate) struct TypedFunction<F, I> {
    pub(crate) spec: WorkerSpec,
    pub(crate) function: F,
    pub(crate) home: Home,
    pub(crate) input: PhantomData<fn(I)>,
}

impl<F, Fut, I, O> Worker for TypedFunction<F, I>
where
    F: Fn(Context, I) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, WorkerError>> + Send + 'static,
    I: DeserializeOwned + Send + 'static,
    O: Serialize,
{
    fn spec(&self) -> &WorkerSpec {
        &self.spec
    }

    fn execute<'a>(&'a self, ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        let attempt = match serde_json::from_value::<I>(input) {
            Ok(input) => {
                let context = Context { attempt: ctx.clone(), home: self.home.clone() };
                Ok((self.function)(context, input))
            }
            Err(error) => Err(TaskError::new(Category::InvalidInput, format!("input: {error}"))),
        };
        Box::pin(async move {
            let answer = attempt?.await.map_err(WorkerError::into_inner)?;
            let unreadable = |error| TaskError::new(Category::InvalidOutput, format!("output: {error}")).permanent();
            Ok(Output::plain(serde_json::to_value(answer).map_err(unreadable)?))
        })
    }
}
