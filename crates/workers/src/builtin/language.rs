//! `language`: tells which language a text is in (see [`crate::offline::language`]).

use kapelle_core::{
    TaskError,
    worker::{BoxFuture, Output, TaskContext, Worker, WorkerSpec},
};
use serde_json::{Value, json};

use crate::{
    offline::{self, Method},
    schema::object,
};

/// Worker that returns the language of a text.
pub struct Language(WorkerSpec);

impl Default for Language {
    fn default() -> Language {
        let mut spec = WorkerSpec::named("language");
        spec.description = "Tell which language a text is in".to_owned();
        spec.input = Some(object(&["text"], json!({ "text": { "type": "string" } })));
        spec.output = Some(object(
            &["language", "code", "confidence", "reliable"],
            json!({
                "language": { "type": "string" }, "code": { "type": "string" }, "script": { "type": "string" },
                "confidence": { "type": "number" }, "reliable": { "type": "boolean" },
            }),
        ));
        Language(spec)
    }
}

impl Worker for Language {
    fn spec(&self) -> &WorkerSpec {
        &self.0
    }

    fn execute<'a>(&'a self, _ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async move { Ok(Output::plain(offline::run(Method::Language, input).await?)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_answers_without_a_model() {
        let ctx = TaskContext::detached("task_1");
        let output = Language::default()
            .execute(&ctx, json!({ "text": "Der Bericht zeigt, dass mehr Menschen als je zuvor kamen." }))
            .await
            .unwrap();
        assert_eq!(output.value["code"], "deu");
        assert!(Language::default().execute(&ctx, json!({ "text": " " })).await.is_err());
    }
}
