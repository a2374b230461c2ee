//! Everything that is known of one task or run: what lists leave out.

use std::{collections::HashSet, sync::Arc};

use kapelle_api as api;
use kapelle_core::{
    RunId, TaskId,
    definition::Definition,
    run::RunStatus,
    task::{Task, TaskState},
};
use kapelle_store::RunRow;

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    run_view, to_api,
};

/// Rows read at a time.
const PAGE: u32 = 1_000;

impl App {
    /// Returns a task row as interfaces show it, without its output.
    #[must_use]
    pub fn shown(&self, row: &Task) -> api::Task {
        to_api::task(self, row)
    }

    /// Returns a task with its output, its input and its failed attempts.
    ///
    /// # Errors
    /// When the tenant has no such task.
    pub fn task_details(&self, by: &Caller, id: TaskId) -> Result<api::Task, AppError> {
        by.allow(Permission::Read)?;
        let task = self.one_task(by.tenant, id)?;
        to_api::single_task(self, &task)
    }

    /// Returns a run with its outputs, its inputs, its version, and counts of its steps.
    ///
    /// # Errors
    /// When the tenant has no such run.
    pub async fn run_details(self: &Arc<Self>, by: &Caller, id: RunId) -> Result<api::Run, AppError> {
        by.allow(Permission::Read)?;
        let row = self.one_run(by.tenant, id)?;
        let read = self.list_for(by.tenant, move |app| {
            let mut run = run_view::whole(app, &row)?;
            if let RunStatus::Succeeded { outputs, .. } = &row.status {
                run.outputs = Some(app.engine.value(outputs)?);
            }
            let version = app.reader().version(row.tenant, row.version)?;
            // A definition of an earlier release may be unreadable now; the steps with a task are still counted.
            let definition = version.and_then(|version| Definition::parse(&version.source, &version.file).ok());
            run.counts = Some(counts(app, &row, definition.as_ref())?);
            let stopped_by = row.stopped_by.map(|task| app.one_task(row.tenant, task)).transpose()?;
            run.stopped_by = stopped_by.map(|task| to_api::whole_task(app, &task)).transpose()?.map(Box::new);
            Ok(run)
        });
        read.await
    }
}

/// Counts the steps of a run, page by page, however many items it fanned out over.
fn counts(app: &App, row: &RunRow, definition: Option<&Definition>) -> Result<api::RunCounts, AppError> {
    let own = definition.map(|definition| definition.block(definition.root)).into_iter().flat_map(|root| &root.steps);
    let mut pending: HashSet<&str> = own.filter(|step| !step.is_handler).map(|step| step.name.as_str()).collect();
    let mut counts = api::RunCounts::default();
    let (mut after, mut reasons_differ) = (TaskId(0), false);
    loop {
        let page = app.reader().steps(row.id, after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for task in &page {
            pending.remove(task.origin.as_ref().map_or("", |origin| &*origin.path));
            count(&mut counts, &mut reasons_differ, task);
        }
    }
    let pending = pending.len() as u64;
    if pending > 0 {
        counts.steps += pending;
        counts.states.insert("pending".to_owned(), pending);
    }
    if reasons_differ {
        counts.degraded_reason = None;
    }
    Ok(counts)
}

fn count(counts: &mut api::RunCounts, reasons_differ: &mut bool, task: &Task) {
    counts.steps += 1;
    *counts.states.entry(task.state.kind().as_str().to_owned()).or_default() += 1;
    let TaskState::Succeeded { provenance, .. } = &task.state else { return };
    let Some(reason) = provenance.degraded.as_deref() else { return };
    counts.degraded += 1;
    *reasons_differ |= counts.degraded_reason.as_deref().is_some_and(|first| first != reason);
    counts.degraded_reason.get_or_insert_with(|| reason.to_owned());
}
