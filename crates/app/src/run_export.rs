//! A run as a whole, for archives: the run, its steps and its journal, one JSON object a line.

use kapelle_core::{RunId, TaskId, TenantId, run::RunStatus};
use serde_json::{Value, json};

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    run_view, to_api,
};

/// Rows read at a time.
const PAGE: u32 = 200;
/// Approximate bytes of lines that are made at a time. They are made when they can be sent, so that a slow reader
/// occupies neither a thread nor a connection of the store.
const PART: usize = 64 * 1024;

/// The position at which an export continues.
#[derive(Debug, Clone, Copy)]
pub enum ExportFrom {
    /// The run itself.
    Run,
    /// The steps after this one.
    Steps(TaskId),
    /// The journal from this entry on.
    Journal(u64),
}

impl App {
    /// Returns the next lines of an export, and the position after them; `None` at the end.
    ///
    /// # Errors
    /// When the tenant has no such run, or the store fails.
    pub fn export(&self, by: &Caller, id: RunId, from: ExportFrom) -> Result<(String, Option<ExportFrom>), AppError> {
        by.allow(Permission::Read)?;
        match from {
            ExportFrom::Run => Ok((format!("{}\n", head(self, by.tenant, id)?), Some(ExportFrom::Steps(TaskId(0))))),
            ExportFrom::Steps(after) => steps(self, id, after),
            ExportFrom::Journal(from) => journal(self, by.tenant, id, from),
        }
    }
}

fn head(app: &App, tenant: TenantId, id: RunId) -> Result<Value, AppError> {
    let row = app.one_run(tenant, id)?;
    let mut run = run_view::listed(app, &row)?;
    if let RunStatus::Succeeded { outputs, .. } = &row.status {
        run.outputs = Some(app.engine.value(outputs)?);
    }
    let mut first = value(&run, "run")?;
    first["inputs"] = app.engine.value(&row.inputs)?;
    if let Some(version) = app.reader().version(tenant, row.version)? {
        first["version"] = json!(version.number);
        first["source"] = json!(String::from_utf8_lossy(&version.source));
    }
    Ok(first)
}

fn steps(app: &App, id: RunId, mut after: TaskId) -> Result<(String, Option<ExportFrom>), AppError> {
    let steps = app.reader().steps(id, after, PAGE)?;
    let (mut text, mut taken) = (String::new(), 0);
    for step in &steps {
        let mut line = value(&to_api::whole_task(app, step)?, "step")?;
        line["input"] = app.engine.value(&step.input)?;
        text += &format!("{line}\n");
        (after, taken) = (step.id, taken + 1);
        if text.len() >= PART {
            break;
        }
    }
    let is_last = taken == steps.len() && steps.len() < PAGE as usize;
    Ok((text, Some(if is_last { ExportFrom::Journal(0) } else { ExportFrom::Steps(after) })))
}

fn journal(app: &App, tenant: TenantId, id: RunId, mut from: u64) -> Result<(String, Option<ExportFrom>), AppError> {
    let entries = app.entries(tenant, id, from, PAGE)?;
    let (mut text, mut taken) = (String::new(), 0);
    for entry in &entries {
        text += &format!("{}\n", value(entry, "journal")?);
        (from, taken) = (entry.seq + 1, taken + 1);
        if text.len() >= PART {
            break;
        }
    }
    let is_last = taken == entries.len() && entries.len() < PAGE as usize;
    Ok((text, (!is_last).then_some(ExportFrom::Journal(from))))
}

fn value(of: &impl serde::Serialize, kind: &str) -> Result<Value, AppError> {
    let mut line = json!({ "kind": kind });
    let shown = serde_json::to_value(of).map_err(|error| AppError::internal(error.to_string()))?;
    if let (Some(line), Value::Object(shown)) = (line.as_object_mut(), shown) {
        line.extend(shown);
    }
    Ok(line)
}
