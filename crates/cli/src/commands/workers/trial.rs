//! `kapelle workers test`: runs a worker once, without recording anything.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    path::Path,
    sync::Arc,
};

use kapelle::{TaskContext, Worker, WorkerSpec, workers::schema::Schema};
use serde_json::json;

use crate::{
    app::App,
    failure::{Code, Failure, advice, task_code},
    inputs::InputArgs,
    remote, shown,
};

/// Runs the verb.
///
/// # Errors
/// When the worker does not exist or is a script, the input is invalid, or it fails.
pub(super) async fn run(app: &App, name: &str, inputs: &InputArgs) -> Result<Code, Failure> {
    remote::needs_folder(app, "workers test")?;
    let known = app.workers(&app.settings()?)?;
    app.warn_problems(&known.problems);
    known.find(name)?;
    let worker = known.catalogue.get(name).filter(|_| !known.is_script(name)).ok_or_else(|| {
        Failure::usage(format!("{name} is a script: its tasks are recorded"))
            .help(format!("`kapelle submit {name} --wait` runs it"))
    })?;
    test(app, worker, inputs).await
}

/// Returns the input with the worker's defaults, when it fits.
fn admit(spec: &WorkerSpec, input: serde_json::Value) -> Result<serde_json::Value, Failure> {
    let Some(schema) = &spec.input else { return Ok(input) };
    let schema = Schema::compile(schema)
        .map_err(|error| Failure::new(Code::Failed, format!("the input schema of {}: {error}", spec.name)))?;
    schema.admit(input).map_err(|error| {
        Failure::usage(error.message).help(format!("`kapelle workers show {}` shows what it takes", spec.name))
    })
}

async fn test(app: &App, worker: Arc<dyn Worker>, given: &InputArgs) -> Result<Code, Failure> {
    let spec = worker.spec().clone();
    let mut inputs = given.read(spec.input.as_ref(), Path::new("."))?;
    let input = admit(&spec, std::mem::take(&mut inputs.value))?;
    // Effects are recorded by task, so that each trial is a task of its own.
    let mut context = TaskContext::detached(&format!("trial_{:016x}", RandomState::new().build_hasher().finish()));
    context.files = Arc::new(inputs);
    let run = worker.execute(&context, input);
    let limit =
        spec.timeout.map_or(std::time::Duration::from_secs(300), |time| std::time::Duration::from_millis(time.0));
    let done = tokio::time::timeout(limit, run).await;
    let done = done.map_err(|_| {
        let span = spec.timeout.map_or_else(|| "5 minutes".to_owned(), shown::duration);
        Failure::new(Code::Timeout, format!("{} took longer than {span}", spec.name))
    })?;
    let output = done.map_err(|error| {
        Failure::new(task_code(error.category), format!("{} failed: {error}", spec.name)).help(advice(&error))
    })?;
    let provenance = &output.provenance;
    if app.out.json {
        let provenance = serde_json::to_value(provenance).unwrap_or_default();
        app.out.print_json(&json!({ "worker": spec.name, "output": output.value, "provenance": provenance }))?;
        return Ok(Code::Ok);
    }
    if let Some(reason) = &provenance.degraded {
        app.out.warn(&format!("the answer is degraded: {reason}"));
    }
    app.out.print_json(&output.value)?;
    let provider = provenance.provider.as_deref().unwrap_or("no model");
    app.out.note(&format!("answered by {provider}, cost {}", provenance.cost));
    Ok(Code::Ok)
}
