//! Runs that steps of other runs start.

use std::sync::Arc;

use kapelle_core::{
    Category, Name, RunId, TaskError, TaskId,
    run::{Parent, Run, RunEvent},
    task::{Task, TaskState, WaitFor},
};
use kapelle_store::{IdKind, StoreError};

use super::{command::VersionRef, control, payload::NewPayload, rerun, runs, state::LoopState};
use crate::evaluate::Start;

/// Limit of runs that start one another in a row. A cycle of workflows ends here.
const DEPTH_MAX: u16 = 16;

/// Makes the run that a step starts, not begun yet, or the error.
pub(super) fn child_run(
    state: &mut LoopState,
    parent: RunId,
    task: Option<TaskId>,
    workflow: &Name,
    inputs: &NewPayload,
) -> Result<Result<Run, Arc<TaskError>>, StoreError> {
    let refuse = |what: String| Ok(Err(Arc::new(TaskError::new(Category::InvalidInput, what).permanent())));
    let Some((tenant, depth)) = state.rows.cache.run(parent).map(|run| (run.tenant, run.parent.map_or(0, |p| p.depth)))
    else {
        return refuse(format!("{parent} is not open"));
    };
    if depth >= DEPTH_MAX {
        return refuse(format!(
            "`{workflow}` would be the {}th run in a row that another started; {DEPTH_MAX} are the most: is there a circle?",
            depth + 1
        ));
    }
    let version = match state.rows.directory.workflow(tenant, workflow) {
        Some(version) => version,
        None => match state.rows.store.newest_version(tenant, workflow)? {
            Some(row) => VersionRef::Stored(row.id),
            None => return refuse(format!("there is no workflow `{workflow}`")),
        },
    };
    let (version, definition) = match state.definitions.version(&mut state.rows, tenant, &version)? {
        Ok(found) => found,
        Err(error) => return refuse(error.to_string()),
    };
    let strategy = definition.strategy.clone();
    let Some(order) = runs::order(state, &strategy) else {
        return refuse(format!("`{workflow}` asks for a strategy that nobody registered"));
    };
    let id = RunId(state.rows.store.ids(IdKind::Run, 1)?);
    let inputs = state.rows.place(inputs)?;
    let mut run = Run::new(id, tenant, version, definition, inputs).with_strategy(strategy, order);
    run.parent = Some(Parent { run: parent, task, depth: depth + 1 });
    run.started_by = state.rows.cache.run(parent).and_then(|run| run.started_by.clone());
    Ok(Ok(run))
}

/// Starts the runs that the end of a run triggers, in the commit of that end.
pub(super) fn start_triggered(state: &mut LoopState, id: RunId, starts: Vec<Start>) -> Result<(), StoreError> {
    for (workflow, inputs) in starts {
        let child = match inputs {
            Ok(_) if rerun::is_recorded(state, id) => {
                let what = "a run that is answered from the record of another starts no run";
                Err(Arc::new(TaskError::new(Category::InvalidInput, what).permanent()))
            }
            Ok(inputs) => child_run(state, id, None, &workflow, &inputs)?,
            Err(error) => Err(error),
        };
        let (run, error) = match &child {
            Ok(child) => (Some(child.id), None),
            Err(error) => (None, Some(Arc::from(error.message.as_str()))),
        };
        state.rows.record(id, &RunEvent::Triggered { workflow, run, error });
        if let Ok(child) = child {
            runs::begin_run(state, child);
        }
    }
    Ok(())
}

/// Cancels the run of a step that ended otherwise than by that run.
pub(super) fn leave_child(state: &mut LoopState, before: &Task) -> Result<(), StoreError> {
    if let TaskState::Waiting(WaitFor::Run(child)) = before.state {
        let _ = control::cancel_run(state, child, &Arc::from("the step that started it was ended"))?;
    }
    Ok(())
}
