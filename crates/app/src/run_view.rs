//! Runs as the API shows them: in lists with counts, alone with everything.

use kapelle_api as api;
use kapelle_core::Account;
use kapelle_store::{Replays, RunRow};

use crate::{app::App, app_error::AppError, graph_view::strategy, to_api};

/// Steps of a run that are counted for a list, and for a single run.
const LISTED: u32 = 1_000;
const ALL: u32 = 1_000_000;
/// Runs that a run started, shown with it.
pub(crate) const CHILDREN: u32 = 1_000;

/// Converts a run for a list: without its inputs and outputs.
pub(crate) fn listed(app: &App, row: &RunRow) -> Result<api::Run, AppError> {
    counted(app, row, LISTED)
}

/// Converts a run with everything but its outputs.
pub(crate) fn whole(app: &App, row: &RunRow) -> Result<api::Run, AppError> {
    let mut shown = counted(app, row, ALL)?;
    // A run without inputs leaves them out.
    shown.inputs = Some(app.engine.value(&row.inputs)?).filter(|inputs| !inputs.is_null());
    if let Some(version) = app.reader().version(row.tenant, row.version)? {
        shown.version = Some(version.number);
        shown.file = Some(version.file.to_string());
    }
    let children = app.reader().children(row.tenant, row.id, CHILDREN)?;
    shown.children = children.iter().map(ToString::to_string).collect();
    if let Some(parent) = &mut shown.parent
        && let Some(task) = row.parent.and_then(|parent| parent.task)
    {
        let step = app.reader().task(row.tenant, task)?;
        parent.step = step.and_then(|step| step.origin.as_ref().map(|origin| origin.path.to_string()));
    }
    Ok(shown)
}

fn counted(app: &App, row: &RunRow, most: u32) -> Result<api::Run, AppError> {
    let reader = app.reader();
    let mut shown = to_api::run(row);
    shown.strategy = strategy(&row.strategy);
    shown.started_by = row.started_by.as_deref().map(str::to_owned);
    shown.parent = row.parent.map(|parent| api::RunParent {
        run: parent.run.to_string(),
        task: parent.task.map(|task| task.to_string()),
        step: None,
    });
    let totals = reader.step_totals(row.id, most)?;
    for (state, steps) in totals.states {
        *shown.steps.of(to_api::state(state)) += steps;
    }
    (shown.steps_more, shown.degraded) = (totals.more, totals.degraded);
    shown.replayed = reader.replayed(Replays::Run(row.id, most))?;
    if let Some(book) = reader.account(row.tenant, &Account::Run(row.id), 0)? {
        (shown.cost_nanousd, shown.calls) = (book.spent.0, book.calls);
        (shown.input_tokens, shown.output_tokens) = (book.input, book.output);
    }
    Ok(shown)
}
