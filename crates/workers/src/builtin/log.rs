//! `log`: writes a line. The line is the progress of its task and its output, so that it is visible wherever tasks are.

use kapelle_core::{
    TaskError,
    worker::{BoxFuture, Output, TaskContext, Worker, WorkerSpec},
};
use serde_json::{Value, json};

use crate::schema::object;

/// Characters of a long line that are shown as progress.
const SHOWN: usize = 500;

/// Worker that writes a line.
pub struct Log(WorkerSpec);

impl Default for Log {
    fn default() -> Log {
        let mut spec = WorkerSpec::named("log");
        spec.description = "Say a line".to_owned();
        spec.input = Some(object(&["message"], json!({ "message": {} })));
        spec.output = Some(object(&["message"], json!({ "message": { "type": "string" } })));
        Log(spec)
    }
}

impl Worker for Log {
    fn spec(&self) -> &WorkerSpec {
        &self.0
    }

    fn execute<'a>(&'a self, ctx: &'a TaskContext, mut input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        let message = match input.get_mut("message").map(Value::take) {
            Some(Value::String(text)) => text,
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let shown: String = message.chars().take(SHOWN).collect();
        (ctx.progress)(1.0, &shown);
        Box::pin(std::future::ready(Ok(Output::plain(json!({ "message": message })))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[tokio::test]
    async fn the_line_is_progress_and_output() {
        let said = Arc::new(Mutex::new(String::new()));
        let mut ctx = TaskContext::detached("task_1");
        let heard = Arc::clone(&said);
        ctx.progress = Arc::new(move |_, line| heard.lock().unwrap().push_str(line));
        let output = Log::default().execute(&ctx, json!({ "message": "no tickets" })).await.unwrap();
        assert_eq!(output.value, json!({ "message": "no tickets" }));
        assert_eq!(*said.lock().unwrap(), "no tickets");
        let output = Log::default().execute(&ctx, json!({ "message": [1] })).await.unwrap();
        assert_eq!(output.value["message"], "[1]");
    }
}
