//! `sleep`: does nothing for a given time. For trying things out.

use std::time::Duration;

use kapelle_core::{
    Category, TaskError,
    worker::{BoxFuture, Output, TaskContext, Worker, WorkerSpec},
};
use serde_json::{Value, json};

use crate::schema::object;

/// The longest sleep, in milliseconds.
const MS_MAX: u64 = 3_600_000;

/// Worker that does nothing for a while. Dropping the attempt ends it at once.
pub struct Sleep(WorkerSpec);

impl Default for Sleep {
    fn default() -> Sleep {
        let mut spec = WorkerSpec::named("sleep");
        spec.description = "Do nothing for a given time; for trying things out".to_owned();
        let ms = json!({ "type": "integer", "minimum": 0, "maximum": MS_MAX });
        spec.input = Some(object(&["ms"], json!({ "ms": ms })));
        spec.output = Some(object(&["ms"], json!({ "ms": { "type": "integer" } })));
        Sleep(spec)
    }
}

impl Worker for Sleep {
    fn spec(&self) -> &WorkerSpec {
        &self.0
    }

    fn execute<'a>(&'a self, _ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async move {
            let Some(ms) = input.get("ms").and_then(Value::as_u64).filter(|ms| *ms <= MS_MAX) else {
                let message = format!("`ms` must be a whole number from 0 to {MS_MAX}, at most an hour");
                return Err(TaskError::new(Category::InvalidInput, message).permanent());
            };
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Ok(Output::plain(json!({ "ms": ms })))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn says_how_long_it_did_nothing() {
        let ctx = TaskContext::detached("task_1");
        let output = Sleep::default().execute(&ctx, json!({ "ms": 1 })).await.unwrap();
        assert_eq!(output.value, json!({ "ms": 1 }));
    }

    #[tokio::test]
    async fn refuses_what_is_no_time_or_too_long() {
        let ctx = TaskContext::detached("task_1");
        for input in [json!(null), json!({ "ms": -1 }), json!({ "ms": "1" }), json!({ "ms": MS_MAX + 1 })] {
            let error = Sleep::default().execute(&ctx, input).await.unwrap_err();
            assert_eq!(error.category, Category::InvalidInput);
            assert!(!error.retryable);
        }
    }
}
