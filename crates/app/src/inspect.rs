//! Reading of runs without working on them.

use kapelle_api::Waiting;
use kapelle_core::{
    TaskId,
    definition::Definition,
    run::{Phase, Run, RunStatus, ScopeKind, Slot, StepRow, built_in},
    task::{Task, TaskState, WaitFor},
};
use kapelle_store::{Reader, RunRow};

use crate::{error::Error, waiting};

/// The reason for the state of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Reason {
    /// The path of the step.
    pub path: String,
    pub state: &'static str,
    /// Whether the state is final.
    pub ended: bool,
    /// The reason, for people. For a waiting step it is the text of `waiting`.
    pub why: String,
    /// The event or time for which it waits; `None` for a step that is running or has ended.
    pub waiting: Option<Waiting>,
    /// The task that needs only a slot, and its worker: a server that works on it may know a further reason.
    pub ready: Option<(TaskId, String)>,
}

/// Rows read at a time.
const PAGE: u32 = 1_000;

/// Returns the reasons for the states of a run's steps: those that have a row, and those of the open scopes that have
/// none yet. `serves` tells whether a worker of that name is known here.
///
/// # Errors
/// When the run or its definition cannot be read.
pub fn explain(reader: &dyn Reader, row: &RunRow, serves: &dyn Fn(&str) -> bool) -> Result<Vec<Reason>, Error> {
    let mut reasons = Vec::new();
    let mut rows = Vec::new();
    let mut after = TaskId(0);
    loop {
        let page = reader.steps(row.id, after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for task in &page {
            rows.extend(step_row(task));
            reasons.push(of_task(task, row, serves));
        }
    }
    if row.status.kind().is_terminal() {
        return Ok(reasons);
    }
    let Some(version) = reader.version(row.tenant, row.version)? else { return Ok(reasons) };
    let definition = Definition::parse(&version.source, &version.file).map_err(Error::Definition)?;
    let mut run = Run::new(row.id, row.tenant, row.version, std::sync::Arc::new(definition), row.inputs.clone());
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

fn of_task(task: &Task, row: &RunRow, serves: &dyn Fn(&str) -> bool) -> Reason {
    let waiting = match &task.state {
        TaskState::Ready { .. } if row.paused.is_some() => Some(Waiting::RunPaused),
        TaskState::Ready { .. } if !task.policy.requires.is_empty() => {
            Some(Waiting::Labels { worker: task.worker.to_string(), requires: task.policy.requires.to_string() })
        }
        TaskState::Ready { .. } if !serves(task.worker.as_str()) => {
            Some(Waiting::Served { worker: task.worker.to_string() })
        }
        TaskState::Ready { .. } => Some(Waiting::Slot { queue: task.queue.to_string() }),
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
    let path = task.origin.as_ref().map_or_else(|| task.id.to_string(), |origin| origin.path.to_string());
    let ready = matches!(task.state, TaskState::Ready { .. }).then(|| (task.id, task.worker.to_string()));
    Reason { path, state: task.state.kind().as_str(), ended: task.state.kind().is_terminal(), why, waiting, ready }
}

/// Returns the steps without a row, in the open scopes.
fn pending(run: &Run, row: &RunRow) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for (id, scope) in run.scopes.iter().filter(|(_, scope)| !scope.dead && !scope.closed) {
        let mut add = |path: String, waiting: Waiting| reasons.push(of_pending(path, waiting));
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
                reasons.push(of_pending(name.to_owned(), Waiting::RunSteps));
            }
        }
    }
    reasons
}

fn of_pending(path: String, waiting: Waiting) -> Reason {
    Reason { path, state: "pending", ended: false, why: waiting.to_string(), waiting: Some(waiting), ready: None }
}
