//! Reasons for the states of tasks and steps.

use std::sync::Arc;

use kapelle_api::{self as api, StepReason, Waiting};
use kapelle_core::{
    RunId, TaskId,
    run::{Phase, Run, RunStatus, ScopeKind, Slot, StepRow, built_in},
    task::{Task, TaskState, WaitFor},
};
use kapelle_store::{Lane, RunRow};

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    waiting,
};

/// Ready tasks that are counted before one.
const AHEAD_MOST: u32 = 10_000;
/// Rows read at a time.
const PAGE: u32 = 1_000;

impl App {
    /// Explains why a task has its state, and what ends its wait.
    ///
    /// # Errors
    /// When the tenant has no such task.
    pub fn explain_task(&self, by: &Caller, id: TaskId) -> Result<api::Explanation, AppError> {
        by.allow(Permission::Read)?;
        let task = self.one_task(by.tenant, id)?;
        let run = task.origin.as_ref().map(|origin| self.one_run(by.tenant, origin.run)).transpose()?;
        let state = task.state.kind().as_str().to_owned();
        let ahead = match task.state {
            TaskState::Ready { rank } => Some(self.reader().ahead(&Lane::of(&task), (rank, id), AHEAD_MOST)?),
            _ => None,
        };
        let told = StepReason { ahead, ..of_task(self, &task, run.as_ref()) };
        Ok(api::Explanation { id: id.to_string(), state, steps: vec![told] })
    }

    /// Explains why the steps of a run have their states: those with a task, and those of its open blocks that have
    /// none yet.
    ///
    /// # Errors
    /// When the tenant has no such run, or its definition cannot be read any more.
    pub async fn explain_run(self: &Arc<Self>, by: &Caller, id: RunId) -> Result<api::Explanation, AppError> {
        by.allow(Permission::Read)?;
        let row = self.one_run(by.tenant, id)?;
        let explained = self.list_for(by.tenant, move |app| {
            let state = row.status.kind().as_str().to_owned();
            Ok(api::Explanation { id: id.to_string(), state, steps: steps(app, &row)? })
        });
        explained.await
    }
}

fn steps(app: &App, row: &RunRow) -> Result<Vec<StepReason>, AppError> {
    let (mut reasons, mut rows, mut after) = (Vec::new(), Vec::new(), TaskId(0));
    loop {
        let page = app.reader().steps(row.id, after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for task in &page {
            rows.extend(step_row(task));
            reasons.push(of_task(app, task, Some(row)));
        }
    }
    if row.status.kind().is_terminal() {
        return Ok(reasons);
    }
    let definition = app.stored_definition(row.tenant, row.version)?;
    let mut run = Run::new(row.id, row.tenant, row.version, definition, row.inputs.clone());
    if let Some(order) = built_in(&row.strategy) {
        run = run.with_strategy(row.strategy.clone(), order);
    }
    run.status = row.status.clone();
    run.rebuild(&rows);
    reasons.extend(pending(&run, row));
    Ok(reasons)
}

fn step_row(task: &Task) -> Option<StepRow> {
    let origin = task.origin.as_ref()?;
    let (opened, signal) = match &task.state {
        TaskState::Waiting(WaitFor::Scope(opening)) => (Some(*opening), None),
        TaskState::Waiting(WaitFor::Signal { name, .. }) => (None, Some(name.clone())),
        _ => (None, None),
    };
    let state = task.state.kind();
    Some(StepRow { scope: origin.scope, slot: origin.slot, task: task.id, state, opened, signal })
}

fn of_task(app: &App, task: &Task, row: Option<&RunRow>) -> StepReason {
    let waiting = match &task.state {
        TaskState::Ready { .. } if row.is_some_and(|row| row.paused.is_some()) => Some(Waiting::RunPaused),
        TaskState::Ready { .. } => {
            let slot = || Waiting::Slot { queue: task.queue.to_string() };
            Some(waiting::lane(app, &Lane::of(task)).unwrap_or_else(slot))
        }
        TaskState::Parked { needs, .. } => Some(waiting::money(app, task, *needs)),
        _ => waiting::row(task),
    };
    let why = match &task.state {
        TaskState::Running(lease) => format!("attempt {} is under way", lease.epoch),
        TaskState::Succeeded { .. } => "it is done".to_owned(),
        TaskState::Failed { error, .. } => error.to_string(),
        TaskState::Discarded { .. } => "it failed for good, and was discarded by hand".to_owned(),
        TaskState::Cancelled { reason, .. } | TaskState::Skipped { reason, .. } => reason.to_string(),
        _ => waiting.as_ref().map_or_else(String::new, ToString::to_string),
    };
    let step = task.origin.as_ref().map_or_else(|| task.id.to_string(), |origin| origin.path.to_string());
    let run = task.origin.as_ref().map(|origin| origin.run.to_string());
    StepReason {
        step,
        task: Some(task.id.to_string()),
        state: task.state.kind().as_str().to_owned(),
        ended: task.state.kind().is_terminal(),
        why,
        lift: waiting.as_ref().and_then(|waiting| waiting.lift(run.as_deref())),
        waiting,
        ahead: None,
    }
}

/// Returns the steps without a row, in the open scopes.
fn pending(run: &Run, row: &RunRow) -> Vec<StepReason> {
    let mut reasons = Vec::new();
    for (id, scope) in run.scopes.iter().filter(|(_, scope)| !scope.dead && !scope.closed) {
        let mut add = |path: String, waiting: Waiting| reasons.push(of_pending(row, path, waiting));
        match &scope.kind {
            ScopeKind::Block(block) => {
                let busy = block.slots.iter().enumerate().find(|(_, slot)| slot.phase == Phase::Open);
                let steps = &run.definition.block(block.block).steps;
                for (at, slot) in block.slots.iter().enumerate().filter(|(_, slot)| slot.phase == Phase::Pending) {
                    let Some(step) = steps.get(at) else { continue };
                    let open = |need: &&kapelle_core::definition::StepIx| {
                        block.slots.get(need.0 as usize).is_some_and(|slot| !slot.phase.has_ended())
                    };
                    let names = step.needs.iter().filter(open).map(|need| steps[need.0 as usize].name.to_string());
                    let needs: Vec<String> = names.collect();
                    let waiting = match (needs.is_empty(), busy) {
                        _ if row.paused.is_some() => Waiting::RunPaused,
                        (false, _) => Waiting::Needs { steps: needs },
                        (true, Some((other, _))) if slot.unmet == 0 => {
                            Waiting::Before { step: run.path(*id, Slot(other as u32)) }
                        }
                        _ => Waiting::Moment,
                    };
                    add(run.path(*id, Slot(at as u32)), waiting);
                }
            }
            ScopeKind::Items(items) if items.next < items.total && !scope.stopped => {
                let left = u64::from(items.total - items.next);
                let waiting = match row.paused {
                    Some(_) => Waiting::RunPaused,
                    None => Waiting::Room { open: items.open.len() as u64, left },
                };
                add(run.path(*id, Slot(items.next)), waiting);
            }
            ScopeKind::Turns(turns) if turns.state.phase == Phase::Pending && !turns.over => {
                add(run.path(*id, Slot(turns.turn)), Waiting::Until);
            }
            _ => {}
        }
    }
    if matches!(run.status, RunStatus::Running) {
        for (name, block) in [("finally", run.definition.finally)] {
            if block.is_some() && !run.scopes.contains_key(&kapelle_core::run::ScopeId::FINALLY) {
                reasons.push(of_pending(row, name.to_owned(), Waiting::RunSteps));
            }
        }
    }
    reasons
}

fn of_pending(row: &RunRow, step: String, waiting: Waiting) -> StepReason {
    StepReason {
        step,
        task: None,
        state: "pending".to_owned(),
        ended: false,
        why: waiting.to_string(),
        lift: waiting.lift(Some(&row.id.to_string())),
        waiting: Some(waiting),
        ahead: None,
    }
}
