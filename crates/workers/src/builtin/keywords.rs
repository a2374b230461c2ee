//! `keywords`: names the subject of a text, in its own words (see [`crate::offline::keywords`]).

use kapelle_core::{
    TaskError,
    worker::{BoxFuture, Output, TaskContext, Worker, WorkerSpec},
};
use serde_json::{Value, json};

use crate::{
    offline::{self, Method},
    schema::object,
};

/// Worker that returns the `max` most telling phrases of a text.
pub struct Keywords(WorkerSpec);

impl Default for Keywords {
    fn default() -> Keywords {
        let mut spec = WorkerSpec::named("keywords");
        spec.description = "Name the subject of a text, in its own words".to_owned();
        spec.input = Some(object(
            &["text"],
            json!({ "text": { "type": "string" }, "max": { "type": "integer", "minimum": 1, "maximum": 100, "default": 10 } }),
        ));
        spec.output =
            Some(object(&["keywords"], json!({ "keywords": { "type": "array", "items": { "type": "string" } } })));
        Keywords(spec)
    }
}

impl Worker for Keywords {
    fn spec(&self) -> &WorkerSpec {
        &self.0
    }

    fn execute<'a>(&'a self, _ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async move { Ok(Output::plain(offline::run(Method::Keywords, input).await?)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_answers_without_a_model() {
        let ctx = TaskContext::detached("task_1");
        let output = Keywords::default()
            .execute(&ctx, json!({ "text": "The reading room needs light. The reading room has none.", "max": 1 }))
            .await
            .unwrap();
        assert_eq!(output.value, json!({ "keywords": ["reading room"] }));
        assert!(Keywords::default().execute(&ctx, json!({ "text": " " })).await.is_err());
    }
}
