//! A middleware: every answer names its attempt, and some inputs are refused.

use kapelle::{
    Call, Category, Middleware, Next, Output, TaskError,
    core::worker::BoxFuture,
    serde_json::{Value, json},
};

/// Adds a stamp to answers that are objects, and refuses inputs that name a forbidden customer.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// Customer whose inputs are refused.
    pub forbidden: String,
}

impl Middleware for Stamp {
    fn around<'a>(&'a self, call: Call<'a>, input: Value, next: Next<'a>) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async move {
            if input["customer"] == json!(self.forbidden) {
                let message = format!("nothing is done for {}", self.forbidden);
                return Err(TaskError::new(Category::InvalidInput, message));
            }
            let mut output = next.run(call, input).await?;
            if let Some(answer) = output.value.as_object_mut() {
                answer.insert(
                    "stamp".to_owned(),
                    json!(format!("{}, attempt {}", call.context.task, call.context.attempt)),
                );
            }
            Ok(output)
        })
    }
}
