//! The kind `code_improvement` and its worker.

use std::{path::PathBuf, sync::Arc};

use kapelle_core::{
    TaskError,
    worker::{BoxFuture, Output, TaskContext, Worker, WorkerSpec},
    yaml::{Shape, Table, key},
};
use kapelle_workers::{
    configured::{Fault, Given, Kind},
    schema::{Schema, object},
};
use serde_json::{Value, json};

use super::survey::{Limits, Wanted, survey};
use crate::{
    faults::apart,
    object_key::ObjectKey,
    settings::{number, text},
};

static SETTINGS: Table = Table {
    name: "code_improvement_settings",
    about: "The settings of `kind: code_improvement`.",
    required: &["root"],
    keys: &[
        key("root", Shape::Text, "The folder with the source; a relative one is in the project."),
        key("max_files", Shape::Whole { least: 1, most: 100_000 }, "Files of one task; default 5,000."),
        key(
            "max_file_bytes",
            Shape::Whole { least: 1, most: 16 << 20 },
            "The largest file that is read; default 1 MiB.",
        ),
        key("max_bytes", Shape::Whole { least: 1, most: 1 << 30 }, "The text of one task; default 64 MiB."),
        key("line_length", Shape::Whole { least: 20, most: 10_000 }, "Characters of a line; default 120."),
        key("function_lines", Shape::Whole { least: 5, most: 10_000 }, "Lines of a function; default 80."),
        key("file_lines", Shape::Whole { least: 20, most: 100_000 }, "Lines of a file; default 800."),
    ],
};

/// Every check.
const CHECKS: [&str; 9] =
    ["secret", "conflict", "broad_catch", "debugging", "duplicate", "long_function", "long_file", "mark", "long_line"];

/// The kind `code_improvement`.
pub struct CodeImprovement;

impl Kind for CodeImprovement {
    fn name(&self) -> &'static str {
        "code_improvement"
    }

    fn settings(&self) -> &'static Table {
        &SETTINGS
    }

    fn make(&self, given: Given) -> Result<Arc<dyn Worker>, Vec<Fault>> {
        let Given { mut spec, settings, project } = given;
        let written = text(&settings, "root").unwrap_or_default();
        let root = project.join(written);
        if written.is_empty() || root.parent().is_none() {
            let message = format!("`{written}` is not the folder of a source");
            return Err(vec![Fault::of("root", message, "write one such as ./src")]);
        }
        let input = Schema::compile(&input_schema());
        let input = input.map_err(|error| vec![Fault::of("root", error, "report this fault of Kapelle")])?;
        if spec.description.is_empty() {
            spec.description = format!("Report what could be better in the source of {written}");
        }
        spec.input = Some(input_schema());
        spec.output = Some(output_schema());
        let limits = Limits {
            files: number(&settings, "max_files", 5_000),
            file_bytes: number(&settings, "max_file_bytes", 1 << 20),
            bytes: number(&settings, "max_bytes", 64 << 20) as u64,
            line_length: number(&settings, "line_length", 120),
            function_lines: number(&settings, "function_lines", 80),
            file_lines: number(&settings, "file_lines", 800),
        };
        Ok(Arc::new(CodeWorker { spec, input, root, limits }))
    }
}

fn input_schema() -> Value {
    object(
        &[],
        json!({
            "path": { "type": "string", "description": "A folder or file below the root; default all" },
            "checks": { "type": "array", "items": { "enum": CHECKS }, "description": "Default all" },
            "limit": { "type": "integer", "minimum": 1, "maximum": 2000, "default": 200 },
        }),
    )
}

fn output_schema() -> Value {
    let (text, count) = (json!({ "type": "string" }), json!({ "type": "integer" }));
    let counts = json!({ "type": "object", "additionalProperties": count });
    let finding = object(
        &["file", "line", "check", "message"],
        json!({ "file": text, "line": count, "check": text, "message": text }),
    );
    object(
        &["files", "lines", "counts", "findings", "complete", "markdown"],
        json!({
            "files": count, "lines": count,
            "skipped": { "type": "integer", "description": "Files that are not text, too large or not readable" },
            "complete": { "type": "boolean", "description": "False when a limit was reached" },
            "lines_by_ending": counts, "counts": counts,
            "findings": { "type": "array", "items": finding },
            "more": { "type": "integer", "description": "Findings beyond `limit`" },
            "markdown": text,
        }),
    )
}

struct CodeWorker {
    spec: WorkerSpec,
    input: Schema,
    root: PathBuf,
    limits: Limits,
}

impl Worker for CodeWorker {
    fn spec(&self) -> &WorkerSpec {
        &self.spec
    }

    fn execute<'a>(&'a self, ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async move {
            let input = self.input.admit(input)?;
            let path = input["path"].as_str().map(|text| ObjectKey::parse(text.trim_end_matches('/')));
            let path = path.transpose().map_err(|mut error| {
                error.message = error.message.replacen("key: ", "path: ", 1);
                error
            })?;
            let checks = input["checks"].as_array().into_iter().flatten();
            let checks = checks.filter_map(Value::as_str).map(str::to_owned).collect();
            let wanted = Wanted { path, checks, limit: number(&input, "limit", 200) };
            let (root, limits, cancel) = (self.root.clone(), self.limits, ctx.cancel.clone());
            apart(move || survey(&root, limits, &wanted, &cancel)).await.map(Output::plain)
        })
    }
}
