//! `report`: a readable Markdown document from the results of other steps.

use kapelle_core::{
    Category, TaskError,
    worker::{BoxFuture, Output, TaskContext, Worker, WorkerSpec},
};
use serde_json::{Value, json};

use super::markdown::Markdown;
use crate::schema::{Schema, object};

/// Worker that writes a Markdown report.
pub struct Report {
    spec: WorkerSpec,
    input: Option<Schema>,
}

impl Default for Report {
    fn default() -> Report {
        let section = json!({
            "type": "object",
            "required": ["title", "value"],
            "properties": { "title": { "type": "string" }, "value": {}, "note": { "type": ["string", "null"] } },
        });
        let input = object(
            &["title", "sections"],
            json!({
                "title": { "type": "string" },
                "intro": { "type": ["string", "null"] },
                "warnings": {
                    "type": ["array", "null"], "items": { "type": "string" },
                    "description": "Parts that could not be read or done; shown before the sections",
                },
                "sections": { "type": "array", "items": section },
                "steps": { "type": ["array", "null"], "items": { "type": "object" } },
            }),
        );
        let mut spec = WorkerSpec::named("report");
        spec.description = "Write a Markdown report from the results of other steps".to_owned();
        spec.output = Some(object(&["markdown"], json!({ "markdown": { "type": "string" } })));
        let compiled = Schema::compile(&input).ok();
        spec.input = Some(input);
        Report { spec, input: compiled }
    }
}

impl Report {
    fn write(&self, input: Value) -> Result<Output, TaskError> {
        let input = match &self.input {
            Some(schema) => schema.admit(input)?,
            None => input,
        };
        let mut page = Markdown::default();
        page.heading(1, input["title"].as_str().unwrap_or("Report"));
        if let Some(intro) = input["intro"].as_str() {
            page.paragraph(intro);
        }
        write_warnings(&mut page, &input["warnings"]);
        for section in input["sections"].as_array().into_iter().flatten() {
            page.heading(2, section["title"].as_str().unwrap_or(""));
            if let Some(note) = section["note"].as_str().filter(|note| !note.is_empty()) {
                page.paragraph(&format!("*{note}*"));
            }
            page.value(&section["value"]);
        }
        if let Some(steps) = input["steps"].as_array().filter(|steps| !steps.is_empty()) {
            page.heading(2, "Steps");
            page.table_of(steps);
        }
        match page.finish() {
            Some(markdown) => Ok(Output::plain(json!({ "markdown": markdown }))),
            None => Err(TaskError::new(Category::InvalidInput, "the report would be longer than 4 MiB: give it less")),
        }
    }
}

/// The most warnings that are listed.
const WARNINGS_MAX: usize = 20;

/// Writes the warnings, which the reader of the report must know before anything else; nothing when the list is empty.
fn write_warnings(page: &mut Markdown, warnings: &Value) {
    let Some(warnings) = warnings.as_array().filter(|warnings| !warnings.is_empty()) else { return };
    page.paragraph("**Warnings**");
    let mut shown: Vec<Value> = warnings.iter().take(WARNINGS_MAX).cloned().collect();
    if warnings.len() > WARNINGS_MAX {
        shown.push(json!(format!("and {} more", warnings.len() - WARNINGS_MAX)));
    }
    page.value(&Value::Array(shown));
}

impl Worker for Report {
    fn spec(&self) -> &WorkerSpec {
        &self.spec
    }

    fn execute<'a>(&'a self, _ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(std::future::ready(self.write(input)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn markdown(input: Value) -> String {
        let output = Report::default().execute(&TaskContext::detached("task_1"), input).await.unwrap();
        output.value["markdown"].as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn every_kind_of_value_is_readable() {
        let text = markdown(json!({
            "title": "Review",
            "sections": [
                { "title": "Summary", "value": { "text": "Loans rose.", "key_points": ["One.", "Two."] }, "note": "offline" },
                { "title": "Sentiment", "value": { "sentiment": "positive", "score": 0.4 } },
                { "title": "Questions", "value": [{ "question": "Who?", "answer": "A|B" }] },
                { "title": "Nothing", "value": null },
            ],
            "steps": [{ "name": "summarise", "state": "succeeded", "cost": 0 }],
        }))
        .await;
        let expected = "\
# Review

## Summary

*offline*

Loans rose.

**Key points**

- One.
- Two.

## Sentiment

| Sentiment | positive |
|---|---|
| Score | 0.4 |

## Questions

| Question | Answer |
|---|---|
| Who? | A\\|B |

## Nothing

—

## Steps

| Name | State | Cost |
|---|---|---|
| summarise | succeeded | 0 |
";
        assert_eq!(text, expected);
    }

    #[tokio::test]
    async fn warnings_stand_before_the_sections() {
        let input =
            |warnings: Value| json!({ "title": "R", "warnings": warnings, "sections": [{ "title": "S", "value": 1 }] });
        let text = markdown(input(json!(["page 2 was left out: its content cannot be decoded"]))).await;
        assert_eq!(
            text,
            "# R\n\n**Warnings**\n\n\
             - page 2 was left out: its content cannot be decoded\n\n## S\n\n1\n"
        );
        for none in [json!([]), json!(null)] {
            assert_eq!(markdown(input(none)).await, "# R\n\n## S\n\n1\n");
        }
        let many = vec![json!("w"); 25];
        assert!(markdown(input(json!(many))).await.contains("- and 5 more\n"));
    }

    #[tokio::test]
    async fn a_wrong_input_is_refused() {
        let ctx = TaskContext::detached("task_1");
        let error = Report::default().execute(&ctx, json!({ "title": "x" })).await.unwrap_err();
        assert!(error.message.contains("\"sections\" is a required property"), "{error}");
    }
}
