//! A log line for every attempt and run.

use kapelle_core::{
    RunId, TaskError,
    middleware::{Call, Middleware, Next},
    worker::{BoxFuture, Output},
};
use serde_json::Value;

/// Middleware that writes a line to `tracing` when an attempt begins and when it ends. Inputs and outputs are not in
/// it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Logging;

impl Middleware for Logging {
    fn around<'a>(&'a self, call: Call<'a>, input: Value, next: Next<'a>) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async move {
            let (task, worker, attempt) = (&call.context.task, call.spec.name.as_str(), call.context.attempt);
            tracing::info!(task, worker, attempt, "an attempt begins");
            let ended = next.run(call, input).await;
            match &ended {
                Ok(output) => tracing::info!(task, worker, attempt, cost = %output.provenance.cost, "it succeeded"),
                Err(error) => tracing::warn!(task, worker, attempt, %error, "it failed"),
            }
            ended
        })
    }

    fn run_ended(&self, run: RunId, state: &str) {
        tracing::info!(%run, state, "a run has ended");
    }
}
