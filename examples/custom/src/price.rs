//! A worker: a struct with a specification, for what a function cannot have, such as shared state and a schema.

use std::collections::BTreeMap;

use kapelle::{
    Category, Output, TaskContext, TaskError, Worker, WorkerSpec,
    core::worker::BoxFuture,
    serde_json::{Value, json},
};

/// Answers the price of an article.
#[derive(Debug)]
pub struct PriceList {
    spec: WorkerSpec,
    cents: BTreeMap<String, u64>,
}

impl PriceList {
    /// Makes the worker `price` of a list of articles with their prices in cents.
    #[must_use]
    pub fn new(cents: BTreeMap<String, u64>) -> PriceList {
        let article = json!({ "article": { "type": "string" } });
        let input = json!({ "type": "object", "required": ["article"], "properties": article });
        let spec = WorkerSpec { slots: 4, input: Some(input), ..WorkerSpec::named("price") };
        PriceList { spec, cents }
    }
}

impl Worker for PriceList {
    fn spec(&self) -> &WorkerSpec {
        &self.spec
    }

    fn execute<'a>(&'a self, _: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async move {
            let article = input["article"].as_str().unwrap_or_default();
            let cents = self.cents.get(article).ok_or_else(|| {
                let message = format!("article: `{article}` has no price; add it to the list");
                TaskError::new(Category::InvalidInput, message).permanent()
            })?;
            Ok(Output::plain(json!({ "cents": cents })))
        })
    }
}
