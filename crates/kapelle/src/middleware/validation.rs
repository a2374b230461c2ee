//! Validation of inputs and outputs against the schemas of their worker.

use kapelle_core::{
    Category, TaskError,
    middleware::{Call, Middleware, Next},
    worker::{BoxFuture, Output},
};
use kapelle_workers::schema::Schema;
use serde_json::Value;

/// Middleware that checks inputs and outputs against the worker's schemas, and fills in defaults of the input: for
/// workers that do not check it themselves, such as functions.
#[derive(Debug, Clone, Copy, Default)]
pub struct Validation;

fn compile(worker: &str, what: &str, schema: &Value) -> Result<Schema, TaskError> {
    Schema::compile(schema).map_err(|error| {
        TaskError::new(Category::Internal, format!("worker {worker}: invalid {what} schema: {error}")).permanent()
    })
}

impl Middleware for Validation {
    fn around<'a>(&'a self, call: Call<'a>, input: Value, next: Next<'a>) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async move {
            let worker = call.spec.name.as_str();
            let input = match &call.spec.input {
                Some(schema) => compile(worker, "input", schema)?.admit(input)?,
                None => input,
            };
            let output = next.run(call, input).await?;
            if let Some(schema) = &call.spec.output {
                compile(worker, "output", schema)?.admit(output.value.clone()).map_err(|error| {
                    TaskError::new(Category::InvalidOutput, error.message).costing(output.provenance.cost)
                })?;
            }
            Ok(output)
        })
    }
}
